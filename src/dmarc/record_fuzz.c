/* Policy records and From fields from hostile octets: bounded, and consistent with themselves. */
#include "dmarc/dmarc.h"

#include <stdlib.h>

static void check(bool holds) {
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 4 << 20);
    if (arena == NULL)
        return 0;
    struct view text = view_of(data, size), list[DMARC_AUTHORS_MAX];
    struct dmarc_record r;
    enum err err = dmarc_record_parse(arena, text, &r);
    check(dmarc_record_is_one(text) == (err != ERR_SYNTAX));
    if (err == ERR_OK) {
        check(r.rua_n <= DMARC_URIS_MAX && r.ruf_n <= DMARC_URIS_MAX && r.fo != 0);
        check(!r.is_unusable || (r.p == DMARC_POLICY_NONE && r.rua_n == 0));
        check(r.has_np || r.np == r.sp);
        check(r.has_sp || r.sp == r.p);
        for (size_t i = 0; i < r.rua_n; i++)
            check(view_find_byte(r.rua[i], ',') < 0 && view_find_byte(r.rua[i], '!') < 0);
        for (size_t i = 0; i < r.problem.n; i++)
            check(r.problem.p[i] >= ' ' && r.problem.p[i] < 127);
    }
    size_t n;
    bool has_bad;
    if (dmarc_authors(arena, text, list, &n, &has_bad) == ERR_OK)
        check(n <= DMARC_AUTHORS_MAX);
    arena_free(arena);
    return 0;
}
