/* Answers kept for one message. */
#include "dkim/memo.h"

static enum err memo_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                            struct dns_answer *out) {
    struct dkim_memo *memo = (struct dkim_memo *)client; /* its first member */
    (void)arena;
    for (unsigned i = 0; i < memo->n; i++)
        if (memo->known[i].type == type && view_eq_nocase(memo->known[i].name, name)) {
            *out = memo->known[i].answer;
            return ERR_OK;
        }
    if (memo->n >= memo->max) {
        *out = (struct dns_answer){.status = DNS_TEMPORARY, .security = DNS_INSECURE, .canonical = name};
        return ERR_OK;
    }
    struct view kept;
    struct dns_answer answer;
    TRY(arena_view(memo->arena, name, &kept));
    TRY(dns_lookup(memo->inner, kept, type, memo->arena, &answer));
    /* A question counts whatever its answer; one without an answer may be asked again, as another question. */
    memo->known[memo->n].name = answer.status == DNS_TEMPORARY ? VIEW_NONE : kept;
    memo->known[memo->n].type = type;
    memo->known[memo->n++].answer = answer;
    *out = answer;
    return ERR_OK;
}

void dkim_memo_init(struct dkim_memo *memo, struct dns_client *inner, struct arena *arena, unsigned max) {
    *memo = (struct dkim_memo){
        .client = {.lookup = memo_lookup}, .inner = inner, .arena = arena, .max = MIN(max, (unsigned)DKIM_MEMO_MAX)};
}
