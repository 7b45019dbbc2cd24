/*
 * The files that reports come in: gzip (RFC 1952), and zip files, of which the
 * first member that is a file counts. All sizes that a file
 * claims are ignored; what comes out is counted.
 */
#include "dmarc/aggregate.h"

#include "inflate/inflate.h"

#include <zlib.h>

/* Octets after a gzip file are mostly the mail's line end. A file below 16 MiB ends in a zero, so none of it is lost. */
static struct view without_line_end(struct view file) {
    while (file.n > 0 && (file.p[file.n - 1] == '\r' || file.p[file.n - 1] == '\n'))
        file.n--;
    return file;
}

/* Fields of a zip file are least significant octet first. */
static uint32_t le(struct view v, size_t at, size_t n) {
    uint32_t value = 0;
    for (size_t i = n; i > 0; i--)
        value = value << 8 | v.p[at + i - 1];
    return value;
}

#define ZIP_LOCAL 0x04034b50u
#define ZIP_CENTRAL 0x02014b50u
#define ZIP_END 0x06054b50u
#define ZIP_LOCAL_SIZE 30
#define ZIP_CENTRAL_SIZE 46
#define ZIP_END_SIZE 22
#define ZIP_COMMENT_MAX 65535
#define ZIP_MEMBERS_MAX 16 /* looked at; senders put one file into it, some its folder before */
#define ZIP_ENCRYPTED 1u
#define ZIP_STORED 0
#define ZIP_DEFLATED 8

/* One member at its local header. */
static enum err unpack_member(struct view file, size_t at, uint32_t flags, uint32_t method, size_t size, uint32_t crc,
                              struct buf *xml) {
    if (at > file.n || file.n - at < ZIP_LOCAL_SIZE || le(file, at, 4) != ZIP_LOCAL || (flags & ZIP_ENCRYPTED) != 0)
        return ERR_SYNTAX;
    size_t skip = ZIP_LOCAL_SIZE + le(file, at + 26, 2) + le(file, at + 28, 2);
    if (file.n - at < skip)
        return ERR_SYNTAX;
    struct view data = view_sub(file, at + skip, size);
    size_t from = xml->n;
    if (data.n != size)
        return ERR_SYNTAX;
    if (method == ZIP_STORED) {
        buf_put(xml, data);
        TRY(buf_err(xml));
    } else if (method == ZIP_DEFLATED) {
        TRY(inflate_octets(data, INFLATE_RAW, xml));
    } else {
        return ERR_SYNTAX;
    }
    struct view made = view_skip(buf_view(xml), from);
    return crc32(crc32(0, Z_NULL, 0), made.n == 0 ? (const Bytef *)"" : made.p, (uInt)made.n) == crc ? ERR_OK
                                                                                                     : ERR_SYNTAX;
}

/* The directory at the end of the file is what counts: sizes at the members may be missing. */
static enum err unpack_zip(struct view file, struct buf *xml) {
    if (file.n < ZIP_END_SIZE)
        return ERR_SYNTAX;
    size_t end = file.n - ZIP_END_SIZE, low = end > ZIP_COMMENT_MAX ? end - ZIP_COMMENT_MAX : 0;
    while (le(file, end, 4) != ZIP_END) {
        if (end == low)
            return ERR_SYNTAX;
        end--;
    }
    size_t at = le(file, end + 16, 4);
    for (size_t i = 0; i < MIN(le(file, end + 10, 2), ZIP_MEMBERS_MAX); i++) {
        if (at > end || end - at < ZIP_CENTRAL_SIZE || le(file, at, 4) != ZIP_CENTRAL)
            return ERR_SYNTAX;
        size_t name_n = le(file, at + 28, 2);
        struct view name = view_sub(file, at + ZIP_CENTRAL_SIZE, name_n);
        if (!view_ends(name, VIEW("/"))) /* a folder */
            return unpack_member(file, le(file, at + 42, 4), le(file, at + 8, 2), le(file, at + 10, 2),
                                 le(file, at + 20, 4), le(file, at + 16, 4), xml);
        at += ZIP_CENTRAL_SIZE + name_n + le(file, at + 30, 2) + le(file, at + 32, 2);
    }
    return ERR_SYNTAX;
}

enum err aggregate_unpack(struct view file, struct buf *xml) {
    bool is_gzip = inflate_is_gzip(file), is_zip = view_starts(file, VIEW("PK\3\4"));
    if ((is_gzip || is_zip) && file.n > AGGREGATE_PACKED_MAX)
        return ERR_LIMIT;
    if (is_gzip)
        return inflate_octets(without_line_end(file), INFLATE_GZIP, xml);
    if (is_zip)
        return unpack_zip(file, xml);
    buf_put(xml, file);
    return buf_err(xml);
}
