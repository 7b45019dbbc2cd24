/*
 * Fuzz: any octets as the text of DATA, whole and byte by byte, against a slow
 * scanner that looks back at the octets themselves; and what the client makes of a
 * message comes back unchanged through the server's scanner.
 */
#include "smtp/data_scan.h"
#include "smtp/dot_stuff.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the text ends: behind the first CRLF "." CRLF of CRLF + text; or -1. */
static ssize_t slow_end(struct view in) {
    if (view_starts(in, VIEW(".\r\n")))
        return 3;
    ssize_t at = view_find(in, VIEW("\r\n.\r\n"));
    return at < 0 ? -1 : at + 5;
}

/* The text with its transparency taken away, line by line. */
static void slow_text(struct view in, struct buf *out) {
    bool at_start = true;
    for (size_t i = 0; i < in.n; i++) {
        if (!at_start || in.p[i] != '.')
            buf_put_byte(out, in.p[i]);
        at_start = i > 0 && in.p[i] == '\n' && in.p[i - 1] == '\r';
    }
}

static size_t scan(struct data_scan *s, struct view in, size_t piece, struct buf *out) {
    size_t at = 0;
    while (at < in.n && !s->ended) {
        struct view part = view_sub(in, at, piece);
        while (part.n > 0 && !s->ended) {
            size_t used;
            struct view text;
            data_scan_next(s, part, &used, &text);
            BUG_IF(used > part.n);
            buf_put(out, text);
            part = view_skip(part, used);
            at += used;
        }
    }
    return at;
}

static void check_scan(struct view in) {
    struct buf a, b, slow;
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    buf_init(&slow, 1 << 20);
    struct data_scan whole = data_scan_start(), bytes = data_scan_start();
    size_t used = scan(&whole, in, in.n + 1, &a);
    BUG_IF(scan(&bytes, in, 1, &b) != used);
    BUG_IF(!view_eq(buf_view(&a), buf_view(&b)));
    BUG_IF(memcmp(&whole, &bytes, sizeof(whole)) != 0);
    ssize_t end = slow_end(in);
    BUG_IF(whole.ended != (end >= 0));
    BUG_IF(end >= 0 && used != (size_t)end);
    if (end >= 0) {
        slow_text(view_sub(in, 0, (size_t)end - 3), &slow);
        BUG_IF(!view_eq(buf_view(&a), buf_view(&slow)));
        BUG_IF(whole.has_nul != (view_find_byte(buf_view(&slow), 0) >= 0));
        bool cr = false, lf = false;
        for (size_t i = 0; i < slow.n; i++) {
            cr |= slow.p[i] == '\r' && (i + 1 == slow.n || slow.p[i + 1] != '\n');
            lf |= slow.p[i] == '\n' && (i == 0 || slow.p[i - 1] != '\r');
        }
        BUG_IF(whole.has_bare_lf != lf);
        BUG_IF(whole.has_bare_cr != cr);
    }
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&slow);
}

static void check_round(struct view in) {
    struct buf wire, pieces, text;
    buf_init(&wire, 4 << 20);
    buf_init(&pieces, 4 << 20);
    buf_init(&text, 4 << 20);
    struct dot_stuff whole = dot_stuff_start(), bytes = dot_stuff_start();
    enum err err = dot_stuff_feed(&whole, in, &wire);
    if (err == ERR_OK)
        err = dot_stuff_end(&whole, &wire);
    enum err by_bytes = ERR_OK;
    for (size_t i = 0; i < in.n && by_bytes == ERR_OK; i++)
        by_bytes = dot_stuff_feed(&bytes, view_sub(in, i, 1), &pieces);
    if (by_bytes == ERR_OK)
        by_bytes = dot_stuff_end(&bytes, &pieces);
    BUG_IF(err != by_bytes || (err != ERR_OK && err != ERR_SYNTAX));
    if (err == ERR_OK) {
        BUG_IF(!view_eq(buf_view(&wire), buf_view(&pieces)));
        struct data_scan s = data_scan_start();
        BUG_IF(scan(&s, buf_view(&wire), 7, &text) != wire.n || !s.ended);
        BUG_IF(s.has_bare_cr || s.has_bare_lf || s.has_nul || s.has_eightbit != whole.has_eightbit);
        BUG_IF(text.n != whole.size || !view_starts(buf_view(&text), in));
    }
    buf_fini(&wire);
    buf_fini(&pieces);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_scan(view_of(data, size));
    check_round(view_of(data, size));
    return 0;
}
