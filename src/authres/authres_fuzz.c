/* Authentication-Results: what is read can be written, and reads back as the same. */
#include "authres/authres.h"

static bool same(const struct authres *a, const struct authres *b) {
    if (!view_eq(a->authserv_id, b->authserv_id) || a->results_n != b->results_n)
        return false;
    for (size_t i = 0; i < a->results_n; i++) {
        const struct authres_result *x = &a->results[i], *y = &b->results[i];
        if (!view_eq(x->method, y->method) || !view_eq(x->result, y->result) || x->properties_n != y->properties_n)
            return false;
        for (size_t k = 0; k < x->properties_n; k++)
            if (!view_eq(x->properties[k].type, y->properties[k].type) ||
                !view_eq(x->properties[k].value, y->properties[k].value))
                return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct view id = VIEW_INIT("mail.example.org");
    struct view body = view_of(data, size), head, rest;
    (void)authres_is_forged(VIEW("Authentication-Results"), body, &id, 1);
    struct arena *arena = arena_new("authres.fuzz", 4u << 20);
    if (!arena)
        return 0;
    struct authres first, second, third;
    if (authres_parse(body, arena, &first) == ERR_OK) {
        struct buf out, again;
        buf_init(&out, 4u << 20);
        buf_init(&again, 4u << 20);
        buf_put_authres(&out, &first);
        BUG_IF(buf_err(&out) != ERR_OK || !view_split(buf_view(&out), ':', &head, &rest));
        for (size_t i = 0; i + 2 < rest.n; i++)
            BUG_IF(rest.p[i] == '\n' && (rest.p[i - 1] != '\r' || rest.p[i + 1] != '\t'));
        BUG_IF(authres_parse(rest, arena, &second) != ERR_OK);
        /* What cannot stand in a field is gone after the first writing; then nothing changes any more. */
        buf_put_authres(&again, &second);
        BUG_IF(!view_split(buf_view(&again), ':', &head, &rest) || authres_parse(rest, arena, &third) != ERR_OK);
        BUG_IF(!same(&second, &third));
        buf_fini(&out);
        buf_fini(&again);
    }
    arena_free(arena);
    return 0;
}
