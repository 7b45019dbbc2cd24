/* Fuzz: any octets as replies; whole and byte by byte give the same replies, all bounded and printable. */
#include "smtp/reply_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All replies up to the first error, as text; returns how they ended. */
static enum err read_all(struct view in, size_t piece, struct buf *out) {
    struct reply_parser parser;
    reply_parser_init(&parser);
    enum err err = ERR_AGAIN;
    while (in.n > 0 && (err == ERR_AGAIN || err == ERR_OK)) {
        size_t used;
        err = reply_parser_feed(&parser, view_sub(in, 0, piece), &used);
        BUG_IF(used == 0 || used > MIN(piece, in.n));
        in = view_skip(in, used);
        if (err != ERR_OK)
            continue;
        struct view text = reply_parser_text(&parser), status = reply_parser_status(&parser);
        BUG_IF(parser.code < 200 || parser.code > 559 || parser.lines > SMTP_REPLY_LINES_MAX);
        BUG_IF(status.n > 0 && status.p[0] != '0' + parser.code / 100);
        for (size_t i = 0; i < text.n; i++)
            BUG_IF(text.p[i] != '\n' && (text.p[i] < 32 || text.p[i] > 126));
        buf_printf(out, "%u ", parser.code);
        buf_put(out, status);
        buf_put_byte(out, ' ');
        buf_put(out, text);
        buf_put_byte(out, 0);
        reply_parser_clear(&parser);
    }
    reply_parser_fini(&parser);
    return err == ERR_OK ? ERR_AGAIN : err; /* between two replies and inside one is the same here */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    struct buf a, b;
    buf_init(&a, 1 << 22);
    buf_init(&b, 1 << 22);
    enum err whole = read_all(in, in.n + 1, &a), bytes = read_all(in, 1, &b);
    BUG_IF(whole != bytes);
    BUG_IF(!view_eq(buf_view(&a), buf_view(&b)));
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
