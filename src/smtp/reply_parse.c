/* The parser of replies. */
#include "smtp/reply_parse.h"

#include "base/reader.h"

#define TEXT_MAX ((size_t)SMTP_REPLY_LINES_MAX * SMTP_REPLY_LINE_OCTETS_MAX)
#define SUBJECT_DIGITS_MAX 3 /* RFC3463-2 */

void reply_parser_init(struct reply_parser *parser) {
    *parser = (struct reply_parser){0};
    buf_init(&parser->line, SMTP_REPLY_LINE_OCTETS_MAX);
    buf_init(&parser->text, TEXT_MAX);
}

void reply_parser_fini(struct reply_parser *parser) {
    buf_fini(&parser->line);
    buf_fini(&parser->text);
}

void reply_parser_clear(struct reply_parser *parser) {
    buf_clear(&parser->line);
    buf_clear(&parser->text);
    parser->lines = 0;
    parser->code = 0;
    parser->status_n = 0;
}

struct view reply_parser_status(const struct reply_parser *parser) {
    return view_of(parser->status, parser->status_n);
}

struct view reply_parser_text(const struct reply_parser *parser) {
    return buf_view(&parser->text);
}

/* RFC5321-4.2: Reply-code = %x32-35 %x30-35 %x30-39 */
static enum err parse_code(struct reader *r, uint16_t *out) {
    int a = reader_byte(r), b = reader_byte(r), c = reader_byte(r);
    if (a < '2' || a > '5' || b < '0' || b > '5' || c < '0' || c > '9')
        return ERR_SYNTAX;
    *out = (uint16_t)((a - '0') * 100 + (b - '0') * 10 + (c - '0'));
    return ERR_OK;
}

static bool is_digit(uint8_t c) {
    return ascii_is_digit(c);
}

/* RFC2034-4: status-code SP at the front of a text; the class must be the reply's. Empty when there is none. */
static struct view find_status(struct view text, uint16_t code) {
    struct reader r = reader_of(text);
    if (reader_peek(&r) != '0' + code / 100)
        return VIEW_NONE;
    (void)reader_byte(&r);
    for (size_t part = 0; part < 2; part++) {
        if (!reader_accept(&r, '.'))
            return VIEW_NONE;
        struct view digits = reader_while(&r, is_digit);
        if (digits.n == 0 || digits.n > SUBJECT_DIGITS_MAX)
            return VIEW_NONE;
    }
    return reader_at_end(&r) || reader_peek(&r) == ' ' ? view_sub(text, 0, r.at) : VIEW_NONE;
}

static void put_text(struct buf *out, struct view text) {
    for (size_t i = 0; i < text.n; i++)
        buf_put_byte(out, text.p[i] >= 32 && text.p[i] <= 126 ? text.p[i] : '?');
}

/* One whole line without its end. ERR_OK: it was the last. */
static enum err take_line(struct reply_parser *parser, struct view line) {
    struct reader r = reader_of(line);
    uint16_t code;
    TRY(parse_code(&r, &code));
    if (parser->lines > 0 && code != parser->code)
        return ERR_SYNTAX;
    bool more = reader_accept(&r, '-');
    if (!more && !reader_at_end(&r) && !reader_accept(&r, ' '))
        return ERR_SYNTAX;
    if (++parser->lines > SMTP_REPLY_LINES_MAX)
        return ERR_LIMIT;
    parser->code = code;
    struct view text = reader_rest(&r);
    struct view status = find_status(text, code);
    if (parser->lines == 1)
        for (; parser->status_n < status.n; parser->status_n++)
            parser->status[parser->status_n] = status.p[parser->status_n];
    /* The same status again is no part of the text. */
    if (status.n > 0 && view_eq(status, reply_parser_status(parser)))
        text = view_skip(text, status.n + 1);
    if (parser->lines > 1)
        buf_put_byte(&parser->text, '\n');
    put_text(&parser->text, text);
    TRY(buf_err(&parser->text));
    return more ? ERR_AGAIN : ERR_OK;
}

enum err reply_parser_feed(struct reply_parser *parser, struct view in, size_t *used) {
    *used = 0;
    while (in.n > 0) {
        ssize_t lf = view_find_byte(in, '\n');
        size_t n = lf < 0 ? in.n : (size_t)lf + 1;
        *used += n;
        buf_put(&parser->line, view_sub(in, 0, n));
        in = view_skip(in, n);
        TRY(buf_err(&parser->line));
        if (lf < 0)
            break;
        struct view line = buf_view(&parser->line);
        line.n--;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        enum err err = take_line(parser, line);
        buf_clear(&parser->line);
        if (err != ERR_AGAIN)
            return err;
    }
    return ERR_AGAIN;
}
