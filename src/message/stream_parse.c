/* The MIME parser over a stream: lines are put together from pieces, headers are copied, bodies are run over. */
#include "message/stream_parse.h"

#include "message/parse_impl.h"

#include <string.h>

/* The copy of a header grows from here to MESSAGE_HEADER_MAX. */
#define HEADER_COPY_FIRST 4096

struct message_parser {
    struct message message;
    size_t at; /* offset of the next octet */
    /* The current line, as far as its end has not come. */
    size_t line_n;
    uint8_t last; /* its last octet */
    uint8_t head[MESSAGE_LINE_LOOK];
    /* The first octets, until they say what ends lines. */
    size_t first_n;
    bool has_begun;
    uint8_t first[MESSAGE_FIRST_WINDOW];
    struct parser parser;
};

void parser_collect(struct parser *p, struct view octets) {
    struct header_copy *copy = &p->copy;
    if (!p->is_stream || !parser_wants_lines(p))
        return;
    octets.n = MIN(octets.n, MESSAGE_HEADER_MAX - copy->n);
    if (octets.n > copy->cap - copy->n) {
        size_t cap = MAX(copy->cap, (size_t)HEADER_COPY_FIRST);
        while (cap < copy->n + octets.n)
            cap *= 2;
        uint8_t *grown = arena_grow(p->arena, copy->p, copy->cap, cap, 1);
        if (grown != NULL) {
            copy->p = grown;
            copy->cap = cap;
        }
        octets.n = MIN(octets.n, copy->cap - copy->n);
    }
    if (octets.n > 0)
        memcpy(copy->p + copy->n, octets.p, octets.n);
    copy->n += octets.n;
}

struct message_parser *message_parser_new(struct arena *arena) {
    struct message_parser *p = ARENA_NEW(arena, struct message_parser);
    if (p == NULL || parser_begin(&p->parser, arena, &p->message, true) != ERR_OK)
        return NULL;
    return p;
}

/* Octets of a line whose end has not come. */
static void hold(struct message_parser *p, struct view octets) {
    if (octets.n == 0)
        return;
    parser_collect(&p->parser, octets);
    parser_note_nul(&p->parser, octets);
    if (p->line_n < sizeof(p->head))
        memcpy(p->head + p->line_n, octets.p, MIN(octets.n, sizeof(p->head) - p->line_n));
    p->line_n += octets.n;
    p->last = octets.p[octets.n - 1];
}

/* The current line ends with its last octet, or (at the end of the message) without a line end. */
static void end_line(struct message_parser *p, size_t eol) {
    size_t n = p->line_n - eol;
    p->line_n = 0;
    parser_line(&p->parser, p->at - n - eol, p->head, n, eol);
}

static void feed(struct message_parser *p, struct view octets) {
    if (p->line_n > 0) {
        ssize_t end = view_find_byte(octets, p->parser.eol);
        size_t n = end < 0 ? octets.n : (size_t)end + 1;
        if (end > 0)
            p->last = octets.p[end - 1];
        bool has_cr = end >= 0 && p->parser.eol == '\n' && p->last == '\r';
        hold(p, view_sub(octets, 0, n));
        p->at += n;
        octets = view_skip(octets, n);
        if (end < 0)
            return;
        end_line(p, has_cr ? 2 : 1);
    }
    size_t taken = parser_take_lines(&p->parser, p->at, octets, false);
    hold(p, view_skip(octets, taken));
    p->at += octets.n;
}

static void begin(struct message_parser *p) {
    p->has_begun = true;
    p->parser.eol = parser_eol(view_of(p->first, p->first_n));
    feed(p, view_of(p->first, p->first_n));
}

void message_parser_feed(struct message_parser *p, struct view octets) {
    if (!p->has_begun) {
        ssize_t end = view_find_byte(octets, '\n');
        struct view part = view_sub(octets, 0, end < 0 ? octets.n : (size_t)end + 1);
        part.n = MIN(part.n, sizeof(p->first) - p->first_n);
        if (part.n > 0)
            memcpy(p->first + p->first_n, part.p, part.n);
        p->first_n += part.n;
        octets = view_skip(octets, part.n);
        if (p->first_n < sizeof(p->first) && end < 0)
            return;
        begin(p);
    }
    if (octets.n > 0)
        feed(p, octets);
}

enum err message_parser_end(struct message_parser *p, struct message_source *source, struct message *out) {
    if (!p->has_begun)
        begin(p);
    if (p->line_n > 0)
        end_line(p, 0);
    parser_finish(&p->parser, p->at);
    p->message.source = source;
    *out = p->message;
    return ERR_OK;
}

enum err message_parse_source(struct arena *arena, struct message_source *source, struct message *out) {
    struct message_parser *p = message_parser_new(arena);
    uint8_t *window = p == NULL ? NULL : arena_alloc(arena, MESSAGE_WINDOW);
    if (window == NULL)
        return ERR_LIMIT;
    for (uint64_t at = 0;;) {
        size_t got = 0;
        TRY(source->read(source, at, window, MESSAGE_WINDOW, &got));
        if (got == 0)
            break;
        message_parser_feed(p, view_of(window, MIN(got, (size_t)MESSAGE_WINDOW)));
        at += got;
    }
    return message_parser_end(p, source, out);
}
