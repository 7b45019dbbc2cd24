/* Readable text of messages and of parts. */
#include "message/text.h"

#include "message/bodies.h"
#include "message/flowed.h"
#include "message/header.h"

#include "base/utf8.h"

/* Lists of parts for each message inside of another, at most three a part. */
#define LISTS_BUDGET (1024 * 1024)
/* What a character of one octet can become in UTF-8 at most. */
#define CHARACTER_MAX 3
/* HTML as text: the prefixes of lines make a text longer than its HTML in odd cases only; what does not fit is cut. */
#define RENDER_GROWTH 4
/* An attachment's size is counted by decoding it up to here; above it is estimated. */
#define EXACT_SIZE_MAX (1024 * 1024)

static void take_err(struct buf *out, enum err err) {
    if (err != ERR_OK && out->err == ERR_OK)
        out->err = err;
}

/* -- One part ------------------------------------------------------------------------------------- */

static bool is_html(const struct mime_part *part) {
    return mime_part_is(part, VIEW("text"), VIEW("html"));
}

/* The charset to believe, or a guess for an empty one; `begin` are the first octets of the decoded body. */
static struct view charset_of(const struct charset_table *table, const struct mime_part *part, struct view begin) {
    struct view label = view_trim(mime_params_get(&part->params, VIEW("charset")));
    if (is_html(part) && (label.n == 0 || !charset_is_known(table, label))) {
        struct view own = html_charset(begin);
        return own.n > 0 ? own : label;
    }
    return label;
}

void message_part_put_characters(struct buf *out, const struct charset_table *table, const struct message *message,
                                 const struct mime_part *part, size_t max, bool *is_cut) {
    struct buf window, octets;
    struct decoder decoder;
    struct charset_stream stream;
    bool is_begun = false, is_end = false;
    size_t at = 0;
    buf_init(&window, MESSAGE_WINDOW);
    buf_init(&octets, (size_t)2 * MESSAGE_WINDOW + DECODE_HELD_MAX + HTML_CHARSET_OCTETS);
    decoder_init(&decoder, part->encoding);
    while (!is_end && buf_err(out) == ERR_OK) {
        struct view piece;
        enum err err = message_body_read(message, part, at, MIN(max - at, (size_t)MESSAGE_WINDOW), &window, &piece);
        if (err != ERR_OK) {
            take_err(out, err);
            break;
        }
        at += piece.n;
        is_end = piece.n == 0 || at >= max;
        decoder_feed(&decoder, &octets, piece);
        if (is_end)
            decoder_end(&decoder, &octets);
        if (!is_begun) {
            if (octets.n < HTML_CHARSET_OCTETS && !is_end)
                continue; /* a document's own word on its charset may still come */
            charset_stream_init(&stream, table, charset_of(table, part, buf_view(&octets)));
            is_begun = true;
        }
        charset_stream_put(&stream, buf_view(&octets), out);
        take_err(out, buf_err(&octets));
        buf_clear(&octets);
    }
    if (is_begun)
        charset_stream_end(&stream, out);
    if (is_cut != NULL)
        *is_cut = at < part->body_size;
    buf_fini(&window);
    buf_fini(&octets);
}

void message_part_put_text(struct buf *out, const struct charset_table *table, const struct message *message,
                           const struct mime_part *part, size_t max, enum html_purpose purpose, bool *is_cut) {
    bool is_flowed = mime_part_is(part, VIEW("text"), VIEW("plain")) &&
                     view_eq_nocase(mime_params_get(&part->params, VIEW("format")), VIEW("flowed"));
    struct buf text, rendered;
    bool cut = false;
    size_t source = MIN(max, part->body_size);
    buf_init(&text, CHARACTER_MAX * source + MESSAGE_WINDOW);
    buf_init(&rendered, RENDER_GROWTH * CHARACTER_MAX * source + MESSAGE_WINDOW);
    message_part_put_characters(&text, table, message, part, max, &cut);
    take_err(out, buf_err(&text));
    if (is_html(part)) {
        html_put_text(&rendered, buf_view(&text), purpose);
    } else if (is_flowed) { /* RFC3676-4 */
        bool del_sp = view_eq_nocase(mime_params_get(&part->params, VIEW("delsp")), VIEW("yes"));
        flowed_put_text(&rendered, buf_view(&text), del_sp);
    }
    if (buf_err(&rendered) != ERR_LIMIT)
        take_err(out, buf_err(&rendered));
    cut |= buf_err(&rendered) == ERR_LIMIT;
    buf_put(out, is_html(part) || is_flowed ? buf_view(&rendered) : buf_view(&text));
    if (is_cut != NULL)
        *is_cut = cut;
    buf_fini(&text);
    buf_fini(&rendered);
}

/* -- For people ----------------------------------------------------------------------------------- */

struct reading {
    struct buf *out;
    const struct charset_table *table;
    struct arena *arena;
};

static bool is_control(uint32_t cp) {
    return cp < ' ' || (cp >= 0x7f && cp < 0xa0) || cp == 0xfeff;
}

/* Text in lines, without control characters and empty lines at the end. A line begins where it is put. */
static void put_lines(struct buf *out, struct view text) {
    size_t owed = 0;
    while (text.n > 0 && buf_err(out) == ERR_OK) {
        uint32_t cp = 0xfffd;
        size_t n = MAX(utf8_decode(text, &cp), (size_t)1);
        if (cp == '\r' && view_starts(text, VIEW("\r\n")))
            n = 2;
        text = view_skip(text, n);
        if (cp == '\n' || cp == '\r' || cp == '\f') {
            owed++;
            continue;
        }
        if (is_control(cp) && cp != '\t')
            continue;
        for (; owed > 0; owed--)
            buf_put_byte(out, '\n');
        buf_put_utf8(out, cp);
    }
}

/* One line of a header or of a name. */
static void put_single(struct buf *out, struct view text) {
    while (text.n > 0 && buf_err(out) == ERR_OK) {
        uint32_t cp = 0xfffd;
        text = view_skip(text, MAX(utf8_decode(text, &cp), (size_t)1));
        buf_put_utf8(out, is_control(cp) ? ' ' : cp);
    }
}

/* The end of the last line, and an empty one. */
static void put_gap(struct buf *out, size_t start) {
    if (out->n == start)
        return;
    struct view text = buf_view(out);
    if (!view_ends(text, VIEW("\n")))
        buf_put_byte(out, '\n');
    if (!view_ends(buf_view(out), VIEW("\n\n")))
        buf_put_byte(out, '\n');
}

static void put_size(struct buf *out, const struct message *message, const struct mime_part *part) {
    uint64_t size = part->body_size;
    enum err err = ERR_OK;
    if (size <= EXACT_SIZE_MAX)
        err = mime_part_decoded_size(message, part, &size);
    else if (part->encoding == MIME_ENCODING_BASE64)
        size = (size - MIN(2 * (uint64_t)part->lines, size)) / 4 * 3;
    take_err(out, err);
    if (size < 1000)
        buf_printf(out, "%u B", (unsigned)size);
    else if (size < 1000 * 1000)
        buf_printf(out, "%u KB", (unsigned)((size + 500) / 1000));
    else
        buf_printf(out, "%llu.%u MB", (unsigned long long)(size / 1000000), (unsigned)(size / 100000 % 10));
}

/* "[report.pdf, application/pdf, 12 KB]" */
static void put_attachment(const struct reading *r, const struct message *message, const struct mime_part *part) {
    struct buf name;
    buf_init(&name, ATTACHMENT_NAME_MAX + 64);
    mime_part_put_name(&name, r->table, part);
    buf_put_byte(r->out, '[');
    if (name.n > 0) {
        put_single(r->out, buf_view(&name));
        buf_put(r->out, VIEW(", "));
    }
    put_single(r->out, part->type);
    buf_put_byte(r->out, '/');
    put_single(r->out, part->subtype);
    buf_put(r->out, VIEW(", "));
    put_size(r->out, message, part);
    buf_put(r->out, VIEW("]\n"));
    buf_fini(&name);
}

/* Returns whether there was anything to read. */
static bool put_parts(const struct reading *r, const struct message *message, const struct message_parts *parts,
                      size_t start) {
    bool has_text = false;
    for (size_t i = 0; i < parts->count && buf_err(r->out) == ERR_OK; i++) {
        const struct mime_part *part = parts->list[i];
        if (!view_eq_nocase(part->type, VIEW("text"))) {
            put_gap(r->out, start);
            put_attachment(r, message, part);
            continue;
        }
        struct buf text, lines;
        bool is_cut = false;
        buf_init(&text, (size_t)CHARACTER_MAX * RENDER_GROWTH * TEXT_READ_SOURCE_MAX + MESSAGE_WINDOW);
        buf_init(&lines, (size_t)CHARACTER_MAX * RENDER_GROWTH * TEXT_READ_SOURCE_MAX + MESSAGE_WINDOW);
        message_part_put_text(&text, r->table, message, part, TEXT_READ_SOURCE_MAX, HTML_READ, &is_cut);
        put_lines(&lines, buf_view(&text));
        take_err(r->out, buf_err(&text));
        take_err(r->out, buf_err(&lines));
        if (view_trim(buf_view(&lines)).n > 0) {
            has_text = true;
            put_gap(r->out, start);
            buf_put(r->out, buf_view(&lines));
            buf_put(r->out, is_cut ? VIEW("\n[...]\n") : VIEW("\n"));
        }
        buf_fini(&text);
        buf_fini(&lines);
    }
    return has_text;
}

static void put_field(const struct reading *r, struct view header, struct view name) {
    struct header_field field;
    struct buf text;
    if (!header_find(header, name, &field))
        return;
    buf_init(&text, 16 * field.value.n + MESSAGE_WINDOW);
    words_decode(r->table, field.value, &text);
    buf_put(r->out, name);
    buf_put(r->out, VIEW(": "));
    put_single(r->out, buf_view(&text));
    buf_put_byte(r->out, '\n');
    take_err(r->out, buf_err(&text));
    buf_fini(&text);
}

static void put_message(const struct reading *r, const struct message *message);

/* A message inside of another: a rule, its header in short, its text. At most MESSAGE_DEPTH_MAX inside each other. */
static void put_embedded(const struct reading *r, const struct message *message, const struct mime_part *part) {
    struct message inner = *message;
    struct view header = message_part_header(message, part->embedded);
    static const struct view fields[] = {VIEW_INIT("From"), VIEW_INIT("To"), VIEW_INIT("Cc"), VIEW_INIT("Date"),
                                         VIEW_INIT("Subject")};
    inner.root = part->embedded;
    buf_put(r->out, VIEW("----------------\n"));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        put_field(r, header, fields[i]);
    buf_put_byte(r->out, '\n');
    put_message(r, &inner);
}

static void put_message(const struct reading *r, const struct message *message) {
    struct message_bodies bodies;
    size_t start = r->out->n;
    enum err err = message_bodies_find(r->arena, message, &bodies);
    take_err(r->out, err);
    if (err != ERR_OK)
        return;
    if (!put_parts(r, message, &bodies.text, start) && bodies.html.count > 0) {
        /* An empty plain text beside an HTML one that says something. */
        struct message_parts html = {ARENA_ARRAY(r->arena, bodies.html.count, const struct mime_part *), 0};
        if (html.list == NULL)
            take_err(r->out, ERR_LIMIT);
        for (size_t i = 0; html.list != NULL && i < bodies.html.count; i++)
            if (is_html(bodies.html.list[i]))
                html.list[html.count++] = bodies.html.list[i];
        put_parts(r, message, &html, start);
    }
    bool is_first = true;
    for (size_t i = 0; i < bodies.attachments.count && buf_err(r->out) == ERR_OK; i++) {
        const struct mime_part *part = bodies.attachments.list[i];
        if (is_first || part->is_message)
            put_gap(r->out, start);
        if (part->is_message)
            put_embedded(r, message, part);
        else
            put_attachment(r, message, part);
        is_first = part->is_message;
    }
}

void message_text_put(struct buf *out, const struct charset_table *table, const struct message *message) {
    struct reading r = {.out = out, .table = table, .arena = arena_new("text", LISTS_BUDGET)};
    if (r.arena == NULL) {
        take_err(out, ERR_NO_MEMORY);
        return;
    }
    put_message(&r, message);
    arena_free(r.arena);
}

/* -- For the index -------------------------------------------------------------------------------- */

struct indexing {
    struct buf *out;
    const struct charset_table *table;
    size_t end; /* out->n at TEXT_INDEX_MAX */
    bool is_full;
};

static bool is_white(uint32_t cp) {
    return cp <= ' ' || (cp >= 0x7f && cp <= 0xa0) || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000 || cp == 0x1680;
}

/* Soft hyphens and the like inside of words would keep them from being found. */
static bool is_nothing(uint32_t cp) {
    return cp == 0xad || cp == 0x34f || cp == 0x200b || cp == 0x2060 || cp == 0xfeff;
}

static void put_indexed(struct indexing *x, struct view text) {
    bool begun = false, gap = false;
    while (text.n > 0 && !x->is_full && buf_err(x->out) == ERR_OK) {
        uint32_t cp = 0xfffd;
        text = view_skip(text, MAX(utf8_decode(text, &cp), (size_t)1));
        if (is_nothing(cp))
            continue;
        if (is_white(cp)) {
            gap = begun;
            continue;
        }
        if (x->out->n + 6 > x->end) { /* a space, a character, a line feed */
            x->is_full = true;
            break;
        }
        if (gap)
            buf_put_byte(x->out, ' ');
        buf_put_utf8(x->out, cp);
        begun = true;
        gap = false;
    }
    if (begun)
        buf_put_byte(x->out, '\n');
}

static void index_header(struct indexing *x, struct view header) {
    static const struct view names[] = {VIEW_INIT("Subject"),  VIEW_INIT("From"), VIEW_INIT("Sender"),
                                        VIEW_INIT("Reply-To"), VIEW_INIT("To"),   VIEW_INIT("Cc"),
                                        VIEW_INIT("Bcc")};
    struct header_iter it;
    struct header_field field;
    header_iter_init(&it, header);
    while (!x->is_full && header_next(&it, &field)) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            if (!view_eq_nocase(field.name, names[i]))
                continue;
            struct buf text;
            buf_init(&text, 16 * field.value.n + MESSAGE_WINDOW);
            words_decode(x->table, field.value, &text);
            put_indexed(x, buf_view(&text));
            take_err(x->out, buf_err(&text));
            buf_fini(&text);
        }
    }
}

static void index_part(struct indexing *x, const struct message *message, const struct mime_part *part) {
    struct buf text;
    size_t source = MIN((size_t)TEXT_INDEX_SOURCE_MAX, part->body_size);
    buf_init(&text, ATTACHMENT_NAME_MAX + CHARACTER_MAX * RENDER_GROWTH * source + MESSAGE_WINDOW);
    mime_part_put_name(&text, x->table, part);
    put_indexed(x, buf_view(&text));
    buf_clear(&text);
    if (view_eq_nocase(part->type, VIEW("text")) && !x->is_full) {
        message_part_put_text(&text, x->table, message, part, TEXT_INDEX_SOURCE_MAX, HTML_INDEX, NULL);
        put_indexed(x, buf_view(&text));
    }
    take_err(x->out, buf_err(&text));
    buf_fini(&text);
}

void message_index_text_put(struct buf *out, const struct charset_table *table, const struct message *message) {
    struct indexing x = {.out = out, .table = table, .end = out->n + TEXT_INDEX_MAX};
    for (const struct mime_part *part = message->root; part != NULL && !x.is_full && buf_err(out) == ERR_OK;
         part = message_part_next(part)) {
        if (part->is_root && part != message->root)
            index_header(&x, message_part_header(message, part));
        if (!part->is_multipart)
            index_part(&x, message, part);
    }
}
