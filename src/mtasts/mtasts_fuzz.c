/* Records and policies from hostile domains: bounded, and what is accepted reads the same when written. */
#include "mtasts/mtasts.h"

#include <stdlib.h>

static void check(bool holds) {
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view text = view_of(data, size), id;
    struct arena *arena = arena_new("fuzz", 1 << 20);
    if (!arena)
        return 0;
    if (mtasts_record_parse(text, &id) == ERR_OK) {
        check(mtasts_record_is_one(text));
        check(id.n > 0 && id.n <= MTASTS_ID_MAX && id.p >= data && id.p + id.n <= data + size);
    }
    struct mtasts_policy policy, again;
    const char *why = NULL;
    enum err err = mtasts_policy_parse(arena, text, &policy, &why);
    check(err == ERR_OK || why != NULL);
    if (err == ERR_OK) {
        check(policy.mx_n <= MTASTS_MX_MAX && policy.max_age_s <= MTASTS_MAX_AGE_MAX);
        check(policy.mx_n > 0 || policy.mode == MTASTS_NONE);
        for (size_t i = 0; i < policy.mx_n; i++) {
            check(mtasts_pattern_is_one(policy.mx[i]));
            if (!view_starts(policy.mx[i], VIEW("*.")))
                check(mtasts_policy_has(&policy, policy.mx[i]));
        }
        struct buf written;
        buf_init(&written, 2 * MTASTS_POLICY_MAX);
        buf_put_mtasts_policy(&written, &policy);
        check(buf_err(&written) == ERR_OK);
        /* Written with CRLF and a space it may be over the limit that it was read with. */
        err = mtasts_policy_parse(arena, buf_view(&written), &again, &why);
        check(err == ERR_LIMIT || (err == ERR_OK && again.mx_n == policy.mx_n && again.mode == policy.mode &&
                                   again.max_age_s == policy.max_age_s));
        for (size_t i = 0; err == ERR_OK && i < policy.mx_n; i++)
            check(view_eq(policy.mx[i], again.mx[i]));
        buf_fini(&written);
    }
    (void)mtasts_media_type_is_right(text);
    arena_free(arena);
    return 0;
}
