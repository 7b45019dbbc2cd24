/* Records, reports and mail from strangers: bounded, and what was read reads the same when written. */
#include "tlsrpt/tlsrpt.h"

#include <stdlib.h>

static void check(bool holds) {
    if (!holds)
        abort();
}

static bool is_same(const struct tlsrpt_report *a, const struct tlsrpt_report *b) {
    bool same = a->policies_n == b->policies_n && view_eq(a->report_id, b->report_id);
    for (size_t i = 0; same && i < a->policies_n; i++) {
        const struct tlsrpt_policy *p = &a->policies[i], *q = &b->policies[i];
        same = p->type == q->type && p->successes == q->successes && p->failures == q->failures && p->mx_n == q->mx_n &&
               p->lines_n == q->lines_n && p->details_n == q->details_n && view_eq(p->domain, q->domain);
        for (size_t k = 0; same && k < p->details_n; k++)
            same = p->details[k].result == q->details[k].result && p->details[k].sessions == q->details[k].sessions &&
                   view_eq(p->details[k].reason, q->details[k].reason);
    }
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view text = view_of(data, size);
    struct arena *arena = arena_new("fuzz", TLSRPT_ARENA_BUDGET);
    if (!arena)
        return 0;
    struct tlsrpt_record record;
    if (tlsrpt_record_parse(arena, text, &record) == ERR_OK) {
        check(tlsrpt_record_is_one(text) && record.uris_n <= TLSRPT_URIS_MAX);
        for (size_t i = 0; i < record.uris_n; i++)
            check(record.uris[i].text.n > 0 && view_find_byte(record.uris[i].text, ',') < 0);
    }
    struct tlsrpt_report report, again;
    enum err err = tlsrpt_read_file(arena, text, &report);
    struct message message;
    if (err != ERR_OK && message_parse(arena, text, &message) == ERR_OK)
        err = tlsrpt_read_message(arena, &message, &report);
    if (err == ERR_OK) {
        struct buf json;
        buf_init(&json, 8 * TLSRPT_JSON_MAX);
        check(tlsrpt_put_json(&json, &report) == ERR_OK);
        err = tlsrpt_read(arena, buf_view(&json), &again);
        check(err == ERR_LIMIT || (err == ERR_OK && is_same(&report, &again)));
        buf_fini(&json);
    }
    arena_free(arena);
    return 0;
}
