/*
 * Writes random messages with the builder, for test_written.py to read with
 * another parser: one JSON object a line, octets in hexadecimal.
 *
 *     mime_write FIRST COUNT BITS
 *
 * BITS: 1 SMTPUTF8, 2 8BITMIME. The messages are those of
 * src/message/builder_testing.h with the seeds from FIRST on.
 */
#include "message/builder_testing.h"

#include <stdio.h>

static void put_text(struct buf *out, const char *name, struct view octets) {
    buf_printf(out, "\"%s\": \"", name);
    buf_put_hex(out, octets);
    buf_put_str(out, "\", ");
}

static void put_fields(struct buf *out, const struct round *r) {
    buf_put_str(out, "\"fields\": [");
    for (size_t i = 0; i < r->field_count; i++) {
        const struct round_field *f = &r->fields[i];
        buf_put_str(out, i > 0 ? ", {" : "{");
        put_text(out, "name", f->name);
        put_text(out, "text", f->text);
        buf_put_str(out, "\"addresses\": [");
        bool goes_on = false;
        for (size_t k = 0; k < f->count; k++) {
            if (f->addresses[k].kind != ADDRESS_MAILBOX)
                continue;
            buf_put_str(out, goes_on ? ", {" : "{");
            put_text(out, "name", cleaned(r->arena, f->addresses[k].name));
            put_text(out, "local", f->addresses[k].mailbox);
            put_text(out, "host", f->hosts[k]);
            buf_put_str(out, "\"is\": 1}");
            goes_on = true;
        }
        buf_put_str(out, "]}");
    }
    buf_put_str(out, "]");
}

/* Leaves in the order of the document. */
static void put_parts(struct buf *out, const struct round_part *p, bool *goes_on) {
    if (p->is_leaf && !p->is_message) {
        buf_put_str(out, *goes_on ? ", {" : "{");
        put_text(out, "type", p->type);
        put_text(out, "content", p->content);
        put_text(out, "file_name", p->file_name);
        put_text(out, "description", p->description);
        buf_put_str(out, "\"is\": 1}");
        *goes_on = true;
    }
    for (const struct round_part *child = p->child; child != NULL; child = child->next)
        put_parts(out, child, goes_on);
}

static int put_message(struct arena *arena, uint64_t seed, size_t bits) {
    struct random_seeded random;
    struct choices choices = {.random = &random.random, .arena = arena};
    struct round r;
    struct round_part *root = NULL;
    struct round_sink sink = {.sink = {round_write}};
    struct buf out;
    bool goes_on = false;
    random_seeded_init(&random, seed);
    buf_init(&out, 64 * 1024 * 1024);
    buf_init(&sink.out, 64 * 1024 * 1024);
    bool is_ok =
        round_make(&r, &choices, bits, &root) == NULL && builder_write(r.builder, root->part, &sink.sink) == ERR_OK;
    if (is_ok) {
        buf_printf(&out, "{\"seed\": %llu, ", (unsigned long long)seed);
        put_text(&out, "message", buf_view(&sink.out));
        put_fields(&out, &r);
        buf_put_str(&out, ", \"parts\": [");
        put_parts(&out, root, &goes_on);
        buf_put_str(&out, "]}\n");
        is_ok = buf_err(&out) == ERR_OK && fwrite(out.p, 1, out.n, stdout) == out.n;
    }
    buf_fini(&out);
    buf_fini(&sink.out);
    return is_ok ? 0 : 1;
}

int main(int argc, char **argv) {
    uint64_t first = 0, count = 0, bits = 0;
    if (argc != 4 || view_to_u64(view_cstr(argv[1]), UINT64_MAX, &first) != ERR_OK ||
        view_to_u64(view_cstr(argv[2]), UINT64_MAX, &count) != ERR_OK ||
        view_to_u64(view_cstr(argv[3]), 3, &bits) != ERR_OK) {
        fprintf(stderr, "usage: mime_write FIRST COUNT BITS\n");
        return 2;
    }
    struct arena *arena = arena_new("message", 64 * 1024 * 1024);
    int failed = arena == NULL;
    for (uint64_t seed = first; seed < first + count && !failed; seed++) {
        failed = put_message(arena, seed, (size_t)bits);
        arena_clear(arena);
    }
    arena_free(arena);
    return failed;
}
