/* Compressed octets made plain within limits, and gzip written. */
#include "inflate/inflate.h"

#include <zlib.h>

#define PIECE (64 * 1024) /* octets that one call of the library makes */
/* zlib's windowBits: 15 is RFC1951's window of 32 KiB, 16 more means gzip, negative no wrapper. */
#define WINDOW_GZIP (15 + 16)
#define WINDOW_RAW (-15)
#define MEMORY_LEVEL 8       /* zlib's default */
#define INPUT_MAX (1U << 30) /* octets: zlib counts in unsigned int */

bool inflate_is_gzip(struct view octets) {
    /* RFC1952-2.3.1: ID1, ID2, and the one method there is. */
    return view_starts(octets, VIEW("\x1f\x8b\x08"));
}

/* One member, or the one raw stream. The ratio is of all members together: `size` octets are there, `made` were. */
static enum err run(z_stream *z, size_t size, size_t made, struct buf *out) {
    int code = Z_OK;
    while (code != Z_STREAM_END) {
        size_t room = MIN((size_t)PIECE, out->limit - out->n);
        /* A full buf gets one octet elsewhere, which tells an end from more to come. */
        uint8_t one;
        uint8_t *to = room ? buf_room(out, room) : &one;
        if (!to)
            return buf_err(out);
        z->next_out = to;
        z->avail_out = room ? (uInt)room : 1;
        uInt before = z->avail_out;
        code = inflate(z, Z_NO_FLUSH);
        size_t got = before - z->avail_out;
        if (got && !room)
            return ERR_LIMIT;
        buf_added(out, got);
        made += got;
        if (code == Z_MEM_ERROR)
            return ERR_NO_MEMORY;
        if (code != Z_OK && code != Z_STREAM_END)
            return ERR_SYNTAX; /* Z_BUF_ERROR too: the octets end before the stream does */
        if (made > INFLATE_RATIO_FROM && made / INFLATE_RATIO_MAX > size - z->avail_in)
            return ERR_LIMIT;
    }
    return ERR_OK;
}

enum err inflate_octets(struct view octets, enum inflate_form form, struct buf *out) {
    TRY(buf_err(out));
    if (octets.n > INPUT_MAX)
        return ERR_LIMIT;
    z_stream z = {0};
    z.next_in = (Bytef *)(uintptr_t)octets.p; /* zlib does not write there */
    z.avail_in = (uInt)octets.n;
    if (inflateInit2(&z, form == INFLATE_GZIP ? WINDOW_GZIP : WINDOW_RAW) != Z_OK)
        return ERR_NO_MEMORY;
    size_t start = out->n;
    enum err err = run(&z, octets.n, 0, out);
    /* RFC1952-2.2: "The members simply appear one after another in the file". */
    while (err == ERR_OK && form == INFLATE_GZIP && z.avail_in > 0)
        err = inflateReset(&z) == Z_OK ? run(&z, octets.n, out->n - start, out) : ERR_SYNTAX;
    if (err == ERR_OK && z.avail_in > 0)
        err = ERR_SYNTAX;
    (void)inflateEnd(&z);
    return err;
}

void buf_put_gzip(struct buf *out, struct view octets) {
    z_stream z = {0};
    if (buf_err(out) != ERR_OK)
        return;
    if (octets.n > INPUT_MAX) {
        out->err = ERR_LIMIT;
        return;
    }
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW_GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        out->err = ERR_NO_MEMORY;
        return;
    }
    z.next_in = (Bytef *)(uintptr_t)octets.p;
    z.avail_in = (uInt)octets.n;
    size_t bound = deflateBound(&z, (uLong)octets.n);
    uint8_t *to = buf_room(out, MIN(bound, out->limit - out->n));
    if (to) {
        z.next_out = to;
        z.avail_out = (uInt)MIN(bound, out->limit - out->n);
        if (deflate(&z, Z_FINISH) == Z_STREAM_END)
            buf_added(out, z.total_out);
        else
            out->err = ERR_LIMIT;
    }
    (void)deflateEnd(&z);
}
