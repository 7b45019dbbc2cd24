/* What is remembered of a domain's policy: when it holds, and when to ask again. */
#include "mtasts/mtasts.h"

int64_t mtasts_expires_us(const struct mtasts_cached *cached) {
    return cached->fetched_us + (int64_t)MIN(cached->max_age_s, (uint32_t)MTASTS_MAX_AGE_MAX) * US_PER_S;
}

/* RFC8461-3.3: after a failure, five minutes for the same id; another id is worth a try at once. */
static bool may_fetch(const struct mtasts_cached *cached, struct view id, int64_t now_us) {
    if (cached->tried_us == 0 || !view_eq(cached->tried_id, id))
        return true;
    return now_us < cached->tried_us || now_us - cached->tried_us >= MTASTS_RETRY_US;
}

struct mtasts_plan mtasts_plan(const struct mtasts_cached *cached, const struct mtasts_discovery *discovery,
                               int64_t now_us) {
    struct mtasts_plan plan = {0};
    int64_t age_us = cached->has_policy ? MAX(now_us - cached->fetched_us, 0) : 0;
    int64_t lives_us = cached->has_policy ? mtasts_expires_us(cached) - cached->fetched_us : 0;
    /* RFC8461-5.1: "whose time-since-fetch has not exceeded its max_age" */
    plan.use_cached = cached->has_policy && age_us <= lives_us;
    if (discovery->found == MTASTS_RECORD) {
        bool is_new = !plan.use_cached || !view_eq(discovery->id, cached->id);
        /* RFC8461-3.3: refreshed before it expires; one that lives less than two days, at half of its time. */
        bool is_due = age_us >= MIN(MTASTS_REFRESH_US, lives_us / 2);
        plan.fetch = (is_new || is_due) && may_fetch(cached, discovery->id, now_us);
    }
    /* RFC8461-3.3: "alert administrators ... when such attempts fail, unless the cached policy mode is "none"" */
    bool is_failing = cached->tried_us > cached->fetched_us || discovery->found != MTASTS_RECORD;
    plan.warn =
        plan.use_cached && cached->mode != MTASTS_NONE && is_failing && age_us >= MIN(MTASTS_REFRESH_US, lives_us / 2);
    return plan;
}
