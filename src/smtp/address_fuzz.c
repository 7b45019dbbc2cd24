/* Fuzz: any octets as a path and as a mailbox; what is accepted is stable, bounded, and clean. */
#include "base/utf8.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct smtp_path path, unsigned flags, struct arena *arena) {
    BUG_IF(path.whole.n > SMTP_PATH_MAX - 2);
    BUG_IF(path.local.n == 0);
    BUG_IF(path.domain.n > 0 && path.local.n + 1 + path.domain.n != path.whole.n);
    BUG_IF(path.domain.n == 0 && (!(flags & SMTP_PATH_POSTMASTER) || path.local.n != path.whole.n));
    for (size_t i = 0; i < path.whole.n; i++)
        BUG_IF(path.whole.p[i] < 32 || path.whole.p[i] == 127);
    BUG_IF(!(flags & SMTP_PATH_UTF8) && !utf8_is_ascii(path.whole));
    BUG_IF(!utf8_is_valid(path.whole));
    /* Its one form is read back as itself. */
    struct smtp_path again;
    BUG_IF(smtp_mailbox_parse(path.whole, flags, arena, &again) != ERR_OK);
    BUG_IF(!view_eq(again.whole, path.whole) || !view_eq(again.local, path.local));
    if (path.domain.n > 0)
        BUG_IF(!smtp_domain_is_valid(path.domain, flags));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    struct arena *arena = arena_new("fuzz", 65536);
    if (arena == NULL)
        return 0;
    for (unsigned flags = 0; flags < 8; flags++) {
        struct reader r = reader_of(in);
        struct smtp_path path;
        arena_clear(arena);
        if (smtp_path_parse(&r, flags, arena, &path) == ERR_OK) {
            BUG_IF(r.at == 0 || r.in.p[r.at - 1] != '>');
            BUG_IF(path.whole.n == 0 && !(flags & SMTP_PATH_NULL));
            if (path.whole.n > 0)
                check(path, flags, arena);
        }
        if (smtp_mailbox_parse(in, flags, arena, &path) == ERR_OK)
            check(path, flags, arena);
    }
    (void)smtp_greeting_name_is_valid(in);
    arena_free(arena);
    return 0;
}
