/* Dots of transparency, added. */
#include "smtp/dot_stuff.h"

enum state { LINE_START, TEXT, CR };

static bool is_plain(uint8_t c) {
    return c != '\r' && c != '\n' && c != 0;
}

static void put(struct buf *out, struct view v) {
    if (out != NULL)
        buf_put(out, v);
}

enum err dot_stuff_feed(struct dot_stuff *stuff, struct view in, struct buf *out) {
    size_t from = 0; /* not appended yet */
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (stuff->state == CR) {
            if (c != '\n')
                return ERR_SYNTAX;
            stuff->state = LINE_START;
            continue;
        }
        if (c == '\n' || c == 0)
            return ERR_SYNTAX;
        if (c == '\r') {
            stuff->state = CR;
            continue;
        }
        if (stuff->state == LINE_START && c == '.') {
            put(out, view_sub(in, from, i - from));
            put(out, VIEW("."));
            from = i;
        }
        stuff->state = TEXT;
        uint8_t all = c;
        while (i + 1 < in.n && is_plain(in.p[i + 1]))
            all |= in.p[++i];
        stuff->has_eightbit |= all >= 0x80;
    }
    put(out, view_skip(in, from));
    stuff->size += in.n;
    return out != NULL ? buf_err(out) : ERR_OK;
}

enum err dot_stuff_end(struct dot_stuff *stuff, struct buf *out) {
    if (stuff->state == CR)
        return ERR_SYNTAX;
    if (stuff->state == TEXT) {
        put(out, VIEW("\r\n"));
        stuff->size += 2;
    }
    put(out, VIEW(".\r\n"));
    stuff->state = LINE_START;
    return out != NULL ? buf_err(out) : ERR_OK;
}
