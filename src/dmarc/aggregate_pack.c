/*
 * The files that reports come in: gzip (RFC 1952) both ways, and zip files
 * read, of which the first member that is a file counts. All sizes that a file
 * claims are ignored; what comes out is counted.
 */
#include "dmarc/aggregate.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#define CHUNK 16384
#define GZIP_WINDOW (15 + 16) /* zlib: 32 KiB, and a gzip header */
#define RAW_WINDOW (-15)      /* zlib: 32 KiB, no header */

/* Inflates one stream from the beginning of `in`; *used: its octets. Counts against what was in xml before: `from`. */
static enum err inflate_one(struct view in, int window, struct buf *xml, size_t from, size_t *used) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    if (inflateInit2(&z, window) != Z_OK)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    int status = Z_OK;
    while (err == ERR_OK && status == Z_OK) {
        uint8_t chunk[CHUNK];
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        status = inflate(&z, Z_NO_FLUSH);
        size_t n = sizeof(chunk) - z.avail_out, made = xml->n - from + n;
        if (made > AGGREGATE_XML_MAX || (made > AGGREGATE_RATIO_FROM && made / AGGREGATE_RATIO_MAX > in.n)) {
            err = ERR_LIMIT;
        } else {
            buf_put(xml, view_of(chunk, n));
            err = buf_err(xml);
        }
    }
    *used = in.n - z.avail_in;
    inflateEnd(&z);
    if (err != ERR_OK)
        return err;
    return status == Z_STREAM_END ? ERR_OK : status == Z_MEM_ERROR ? ERR_NO_MEMORY : ERR_SYNTAX;
}

static bool is_gzip(struct view file) {
    return file.n >= 2 && file.p[0] == 0x1F && file.p[1] == 0x8B;
}

/* RFC1952-2.2: members follow each other. Octets after them that begin no member are the mail's, and are left. */
static enum err unpack_gzip(struct view file, struct buf *xml) {
    size_t from = xml->n, used;
    do {
        TRY(inflate_one(file, GZIP_WINDOW, xml, from, &used));
        file = view_skip(file, used);
    } while (is_gzip(file));
    return ERR_OK;
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
    size_t from = xml->n, used;
    if (data.n != size)
        return ERR_SYNTAX;
    if (method == ZIP_STORED) {
        if (data.n > AGGREGATE_XML_MAX)
            return ERR_LIMIT;
        buf_put(xml, data);
        TRY(buf_err(xml));
    } else if (method == ZIP_DEFLATED) {
        TRY(inflate_one(data, RAW_WINDOW, xml, from, &used));
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
    if (file.n > AGGREGATE_PACKED_MAX && (is_gzip(file) || file.n > AGGREGATE_XML_MAX))
        return ERR_LIMIT;
    if (is_gzip(file))
        return unpack_gzip(file, xml);
    if (view_starts(file, VIEW("PK\3\4")))
        return file.n > AGGREGATE_PACKED_MAX ? ERR_LIMIT : unpack_zip(file, xml);
    buf_put(xml, file);
    return buf_err(xml);
}

enum err aggregate_put_gzip(struct buf *buf, struct view xml) {
    z_stream z = {0};
    if (xml.n > UINT_MAX)
        return ERR_LIMIT;
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return ERR_NO_MEMORY;
    /* RFC1952-2.3.1: no name, no time, and an unknown system, since zlib would write the one it was built on. */
    gz_header header = {.os = 255};
    int status = deflateSetHeader(&z, &header);
    z.next_in = (Bytef *)(uintptr_t)xml.p;
    z.avail_in = (uInt)xml.n;
    while (status == Z_OK) {
        uint8_t chunk[CHUNK];
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        status = deflate(&z, Z_FINISH);
        buf_put(buf, view_of(chunk, sizeof(chunk) - z.avail_out));
    }
    deflateEnd(&z);
    return status != Z_STREAM_END ? ERR_BUG : buf_err(buf);
}
