/* Fuzz target: which parts are bodies, and the readable text of a message, in memory and from a source. */
#include "message/bodies.h"
#include "message/stream_parse.h"
#include "message/text.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opened once: it loads some forty libraries. */
static struct charset_table table;

static void check_bodies(struct arena *arena, const struct message *m) {
    struct message_bodies bodies;
    if (message_bodies_find(arena, m, &bodies) != ERR_OK)
        return;
    for (const struct mime_part *p = m->root; p != NULL; p = message_part_next(p)) {
        const struct mime_part *top = p;
        size_t in_text = 0, in_html = 0, in_attachments = 0;
        while (!top->is_root)
            top = top->parent;
        for (size_t i = 0; i < bodies.text.count; i++)
            in_text += bodies.text.list[i] == p;
        for (size_t i = 0; i < bodies.html.count; i++)
            in_html += bodies.html.list[i] == p;
        for (size_t i = 0; i < bodies.attachments.count; i++)
            in_attachments += bodies.attachments.list[i] == p;
        bool is_leaf = top == m->root && !p->is_multipart;
        if (in_text > 1 || in_html > 1 || in_attachments > 1 || (in_text + in_html + in_attachments > 0) != is_leaf)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 100000)
        return 0;
    if (table.open == 0 && charset_prepare(&table) != ERR_OK)
        abort();
    struct view bytes = view_of(data, size);
    struct arena *arena = arena_new("fuzz", 4 * (size_t)MESSAGE_ARENA_BUDGET);
    struct message m, streamed;
    struct message_source_memory source;
    struct buf a, b;
    if (arena == NULL || message_parse(arena, bytes, &m) != ERR_OK)
        abort();
    check_bodies(arena, &m);
    message_source_memory_init(&source, bytes);
    if (message_parse_source(arena, &source.source, &streamed) != ERR_OK)
        abort();
    buf_init(&a, 1 << 26);
    buf_init(&b, 1 << 26);
    message_text_put(&a, &table, &m);
    message_text_put(&b, &table, &streamed);
    if (buf_err(&a) != ERR_OK || !utf8_is_valid(buf_view(&a)) || !view_eq(buf_view(&a), buf_view(&b)))
        abort();
    buf_clear(&a);
    message_index_text_put(&a, &table, &m);
    if (buf_err(&a) != ERR_OK || !utf8_is_valid(buf_view(&a)) || a.n > TEXT_INDEX_MAX)
        abort();
    if (view_find(buf_view(&a), VIEW("  ")) >= 0 || view_find(buf_view(&a), VIEW("\n\n")) >= 0)
        abort();
    buf_fini(&a);
    buf_fini(&b);
    arena_free(arena);
    return 0;
}
