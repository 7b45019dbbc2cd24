/* Fuzz target: mbox in all dialects. Any cut gives the same events; what is written reads back equal. */
#include "message/mbox_testing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pieces of 1 to 16 octets, after the octets that come. */
static size_t mixed(void *arg, size_t left) {
    const uint8_t **at = arg;
    (void)left;
    return 1 + *(*at)++ % 16;
}

static void show(enum mbox_dialect dialect, struct view file, size_t (*next)(void *arg, size_t left), void *arg,
                 struct buf *out, enum err *err) {
    struct arena *arena = arena_new("fuzz", 64 * 1024);
    buf_init(out, 16 * 1024 * 1024);
    if (arena == NULL)
        abort();
    *err = mbox_show(arena, dialect, file, next, arg, out, NULL);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    enum mbox_dialect dialect = (enum mbox_dialect)(data[0] % 5);
    struct view file = view_of(data + 1, size - 1);
    struct buf whole, cut;
    enum err err, cut_err;
    const uint8_t *at = data;
    show(dialect, file, mbox_whole, NULL, &whole, &err);
    show(dialect, file, mixed, &at, &cut, &cut_err);
    if (err != cut_err || (err == ERR_OK && !view_eq(buf_view(&whole), buf_view(&cut))))
        abort();
    buf_fini(&whole);
    buf_fini(&cut);

    struct mbox_writer writer;
    struct buf written, expected;
    buf_init(&written, 16 * 1024 * 1024);
    buf_init(&expected, 16 * 1024 * 1024);
    mbox_put_from(&written, &writer, VIEW("s@x"), 0);
    at = data;
    for (struct view rest = file; rest.n > 0;) {
        size_t n = mixed(&at, rest.n);
        n = MIN(n, rest.n);
        mbox_put_octets(&written, &writer, view_sub(rest, 0, n));
        rest = view_skip(rest, n);
    }
    mbox_put_end(&written, &writer);
    buf_put_str(&expected, "{s@x,0;");
    for (size_t i = 0; i < file.n; i++)
        if (file.p[i] != '\r' || i + 1 == file.n || file.p[i + 1] != '\n')
            buf_put_byte(&expected, file.p[i]);
    if (file.n > 0 && file.p[file.n - 1] != '\n')
        buf_put_byte(&expected, '\n');
    buf_put_byte(&expected, '}');
    show(MBOX_RD, buf_view(&written), mbox_whole, NULL, &whole, &err);
    if (err != ERR_OK || !view_eq(buf_view(&whole), buf_view(&expected)))
        abort();
    buf_fini(&whole);
    buf_fini(&written);
    buf_fini(&expected);
    return 0;
}
