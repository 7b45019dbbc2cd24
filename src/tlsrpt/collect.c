/* One day's sessions with one domain, counted. */
#include "tlsrpt/tlsrpt.h"

#include "base/vec.h"

#include <stdlib.h>

struct counted {
    struct tlsrpt_policy policy; /* without details */
    struct vec failures;         /* struct tlsrpt_failure */
};
struct tlsrpt_collection {
    struct arena *texts;
    struct counted policies[TLSRPT_COLLECT_POLICIES_MAX];
    struct tlsrpt_policy out[TLSRPT_COLLECT_POLICIES_MAX];
    size_t n;
};

enum err tlsrpt_collection_new(size_t budget, struct tlsrpt_collection **out) {
    struct tlsrpt_collection *collection = calloc(1, sizeof(*collection));
    if (!collection)
        return ERR_NO_MEMORY;
    collection->texts = arena_new("tlsrpt", budget);
    if (!collection->texts) {
        free(collection);
        return ERR_NO_MEMORY;
    }
    *out = collection;
    return ERR_OK;
}

void tlsrpt_collection_free(struct tlsrpt_collection *collection) {
    if (!collection)
        return;
    for (size_t i = 0; i < collection->n; i++)
        vec_fini(&collection->policies[i].failures);
    arena_free(collection->texts);
    free(collection);
}

/* ---- policies ---- */

static bool is_same_list(const struct view *a, size_t a_n, const struct view *b, size_t b_n) {
    bool is_same = a_n == b_n;
    for (size_t i = 0; is_same && i < a_n; i++)
        is_same = view_eq(a[i], b[i]);
    return is_same;
}

static bool is_of(const struct tlsrpt_policy *policy, const struct tlsrpt_session *session) {
    return policy->type == session->policy && view_eq_nocase(policy->domain, session->domain) &&
           is_same_list(policy->lines, policy->lines_n, session->lines, session->lines_n) &&
           is_same_list(policy->mx, policy->mx_n, session->mx, session->mx_n);
}

static enum err copy_list(struct arena *arena, const struct view *list, size_t n, const struct view **out) {
    struct view *copy = ARENA_ARRAY(arena, n, struct view);
    if (!copy)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        TRY(arena_view(arena, list[i], &copy[i]));
    *out = copy;
    return ERR_OK;
}

static enum err find_policy(struct tlsrpt_collection *c, const struct tlsrpt_session *session, struct counted **out) {
    for (size_t i = 0; i < c->n; i++)
        if (is_of(&c->policies[i].policy, session)) {
            *out = &c->policies[i];
            return ERR_OK;
        }
    if (c->n == TLSRPT_COLLECT_POLICIES_MAX)
        return ERR_LIMIT;
    struct tlsrpt_policy policy = {.type = session->policy, .lines_n = session->lines_n, .mx_n = session->mx_n};
    TRY(arena_view(c->texts, session->domain, &policy.domain));
    TRY(copy_list(c->texts, session->lines, session->lines_n, &policy.lines));
    TRY(copy_list(c->texts, session->mx, session->mx_n, &policy.mx));
    *out = &c->policies[c->n++];
    (*out)->policy = policy;
    /* one more: of those that are not told apart any more */
    (*out)->failures = VEC_OF(struct tlsrpt_failure, TLSRPT_COLLECT_FAILURES_MAX + 1);
    return ERR_OK;
}

/* ---- failures ---- */

static bool is_same_failure(const struct tlsrpt_failure *a, const struct tlsrpt_failure *b) {
    return a->result == b->result && view_eq(a->sending_ip, b->sending_ip) &&
           view_eq(a->receiving_ip, b->receiving_ip) && view_eq(a->mx_host, b->mx_host) &&
           view_eq(a->mx_helo, b->mx_helo) && view_eq(a->additional, b->additional) && view_eq(a->reason, b->reason);
}

static enum err copy_texts(struct arena *arena, struct tlsrpt_failure *failure) {
    struct view *texts[] = {&failure->sending_ip, &failure->receiving_ip, &failure->mx_host,
                            &failure->mx_helo,    &failure->additional,   &failure->reason};
    failure->result_text = VIEW_NONE;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct view text = view_sub(*texts[i], 0, TLSRPT_TEXT_MAX);
        *texts[i] = VIEW_NONE;
        if (text.n)
            TRY(arena_view(arena, text, texts[i]));
    }
    return ERR_OK;
}

/* The entry of all that no entry of its own is left for. */
static enum err count_rest(struct counted *counted, uint64_t sessions) {
    static const struct view why = VIEW_INIT("several; more kinds of failure than are told apart");
    VEC_EACH(&counted->failures, struct tlsrpt_failure, f)
    if (f->reason.p == why.p) {
        f->sessions += sessions;
        return ERR_OK;
    }
    struct tlsrpt_failure *failure = vec_add(&counted->failures);
    if (!failure)
        return ERR_NO_MEMORY;
    *failure = (struct tlsrpt_failure){.result = TLSRPT_VALIDATION_FAILURE, .sessions = sessions, .reason = why};
    return ERR_OK;
}

static enum err count_failure(struct tlsrpt_collection *c, struct counted *counted,
                              const struct tlsrpt_failure *failure, uint64_t sessions) {
    VEC_EACH(&counted->failures, struct tlsrpt_failure, f)
    if (is_same_failure(f, failure)) {
        f->sessions += sessions;
        return ERR_OK;
    }
    struct tlsrpt_failure copy = *failure;
    copy.sessions = sessions;
    if (counted->failures.n >= TLSRPT_COLLECT_FAILURES_MAX || copy_texts(c->texts, &copy) != ERR_OK)
        return count_rest(counted, sessions);
    struct tlsrpt_failure *added = vec_add(&counted->failures);
    if (!added)
        return ERR_NO_MEMORY;
    *added = copy;
    return ERR_OK;
}

enum err tlsrpt_collection_add(struct tlsrpt_collection *collection, const struct tlsrpt_session *session) {
    struct counted *counted;
    TRY(find_policy(collection, session, &counted));
    if (session->is_success) {
        counted->policy.successes++;
        return ERR_OK;
    }
    uint64_t sessions = MAX(session->failure.sessions, (uint64_t)1);
    struct tlsrpt_failure failure = session->failure;
    if (failure.result == TLSRPT_OTHER_RESULT)
        failure.result = TLSRPT_VALIDATION_FAILURE;
    TRY(count_failure(collection, counted, &failure, sessions));
    counted->policy.failures += sessions;
    return ERR_OK;
}

void tlsrpt_collection_report(struct tlsrpt_collection *collection, struct tlsrpt_report *out) {
    for (size_t i = 0; i < collection->n; i++) {
        struct counted *counted = &collection->policies[i];
        collection->out[i] = counted->policy;
        collection->out[i].details = counted->failures.p;
        collection->out[i].details_n = counted->failures.n;
    }
    out->policies = collection->out;
    out->policies_n = collection->n;
}
