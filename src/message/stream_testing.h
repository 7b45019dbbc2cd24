/*
 * For tests: is the tree of a stream, cut into pieces in some way, the tree of
 * the whole message?
 */
#ifndef MESSAGE_STREAM_TESTING_H
#define MESSAGE_STREAM_TESTING_H

#include "message/stream_parse.h"
#include "message/structure.h"

#include <stdlib.h>

/* How octets are cut: pieces of this size, or (0) of sizes that the seed gives, or (SIZE_MAX) one piece. */
struct cuts {
    size_t piece;
    uint64_t seed;
};

static inline size_t cuts_next(struct cuts *cuts, size_t left) {
    if (cuts->piece > 0)
        return MIN(cuts->piece, left);
    /* xorshift: mostly short pieces, sometimes none, now and then long ones */
    cuts->seed ^= cuts->seed << 13;
    cuts->seed ^= cuts->seed >> 7;
    cuts->seed ^= cuts->seed << 17;
    size_t most = (cuts->seed & 7) == 0 ? 20000 : (cuts->seed & 8) ? 3 : 200;
    return MIN((size_t)(cuts->seed >> 8) % most, left);
}

static inline bool params_equal(const struct mime_params *a, const struct mime_params *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!view_eq(a->list[i].name, b->list[i].name) || !view_eq(a->list[i].value, b->list[i].value))
            return false;
    return true;
}

static inline bool field_equal(struct view a, struct view b) {
    return (a.p == NULL) == (b.p == NULL) && view_eq(a, b);
}

/* What differs between two parts, the parts around them left aside; NULL: nothing. */
static inline const char *compare_parts(const struct mime_part *a, const struct mime_part *b) {
    if (a->depth != b->depth || a->child_count != b->child_count || a->is_root != b->is_root)
        return "the place of a part differs";
    if (a->is_multipart != b->is_multipart || a->is_message != b->is_message || a->has_type != b->has_type ||
        a->was_multipart != b->was_multipart)
        return "the kind of a part differs";
    if (!view_eq(a->type, b->type) || !view_eq(a->subtype, b->subtype) || !params_equal(&a->params, &b->params))
        return "a type differs";
    if (a->encoding != b->encoding || !field_equal(a->encoding_text, b->encoding_text))
        return "an encoding differs";
    if (!field_equal(a->id, b->id) || !field_equal(a->description, b->description) || !field_equal(a->md5, b->md5) ||
        !field_equal(a->location, b->location) || !field_equal(a->disposition, b->disposition) ||
        !params_equal(&a->disposition_params, &b->disposition_params))
        return "a field differs";
    if (a->language_count != b->language_count)
        return "languages differ";
    for (size_t i = 0; i < a->language_count; i++)
        if (!view_eq(a->languages[i], b->languages[i]))
            return "a language differs";
    if (a->header_offset != b->header_offset || a->header_size != b->header_size || a->body_offset != b->body_offset ||
        a->body_size != b->body_size)
        return "offsets differ";
    if (a->header_lines != b->header_lines || a->lines != b->lines)
        return "lines differ";
    return view_eq(a->header, b->header) ? NULL : "a header differs";
}

static inline const char *compare_messages(const struct message *a, const struct message *b) {
    const struct mime_part *p = a->root, *q = b->root;
    while (p != NULL && q != NULL) {
        const char *error = compare_parts(p, q);
        if (error != NULL)
            return error;
        p = message_part_next(p);
        q = message_part_next(q);
    }
    if (p != NULL || q != NULL || a->part_count != b->part_count)
        return "the number of parts differs";
    if (a->degraded != b->degraded)
        return "only one is degraded";
    return a->has_nul == b->has_nul ? NULL : "only one saw a NUL";
}

/* The bodies of the stream read through its source are those of the whole. */
static inline const char *compare_bodies(const struct message *stream, const struct message *whole) {
    struct buf scratch;
    const char *error = NULL;
    buf_init(&scratch, MESSAGE_WINDOW);
    const struct mime_part *p = stream->root, *q = whole->root;
    /* Every octet of every body would be quadratic for deep messages: the first and the last piece. */
    for (; p != NULL && error == NULL; p = message_part_next(p), q = message_part_next(q)) {
        struct view body = message_part_body(whole, q);
        size_t at[] = {0, p->body_size - MIN(p->body_size, (size_t)7), p->body_size};
        for (size_t i = 0; i < ARRAY_LEN(at) && error == NULL; i++) {
            struct view got;
            if (message_body_read(stream, p, at[i], 300, &scratch, &got) != ERR_OK ||
                !view_eq(got, view_sub(body, at[i], 300)))
                error = "a body read from the source differs";
        }
    }
    buf_fini(&scratch);
    return error;
}

/* NULL when the stream's tree is the whole message's. The peer's octets are fed from exact copies. */
static inline const char *check_stream(const struct message *whole, struct view bytes, struct cuts cuts) {
    struct arena *arena = arena_new("stream", MESSAGE_ARENA_BUDGET);
    struct message_parser *parser = arena == NULL ? NULL : message_parser_new(arena);
    struct message_source_memory source;
    struct message stream;
    const char *error = "no parser";
    if (parser == NULL)
        goto done;
    for (size_t at = 0; at < bytes.n;) {
        size_t n = cuts_next(&cuts, bytes.n - at);
        message_parser_feed(parser, view_sub(bytes, at, n));
        at += n;
    }
    message_source_memory_init(&source, bytes);
    error = message_parser_end(parser, &source.source, &stream) == ERR_OK ? NULL : "the end fails";
    if (error == NULL)
        error = compare_messages(&stream, whole);
    if (error == NULL)
        error = compare_bodies(&stream, whole);
done:
    arena_free(arena);
    return error;
}

/* The same for all at once, octet by octet (when there are not too many), and cut at random. */
static inline const char *check_streams(struct view bytes, uint64_t seed) {
    struct arena *arena = arena_new("whole", MESSAGE_ARENA_BUDGET);
    struct message whole;
    const char *error = "not parsed";
    if (arena != NULL && message_parse(arena, bytes, &whole) == ERR_OK) {
        error = check_stream(&whole, bytes, (struct cuts){.piece = SIZE_MAX});
        if (error == NULL)
            error = check_stream(&whole, bytes, (struct cuts){.piece = bytes.n > 100000 ? 4099 : 1});
        for (uint64_t i = 1; i <= 3 && error == NULL; i++)
            error = check_stream(&whole, bytes, (struct cuts){.seed = seed * 0x9e3779b97f4a7c15u + i});
    }
    arena_free(arena);
    return error;
}

#endif
