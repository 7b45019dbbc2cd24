/*
 * A budget of questions: what the checks of one message may ask together, so that
 * a hostile zone cannot make us work. A client in front of another one.
 */
#ifndef DNS_BUDGET_H
#define DNS_BUDGET_H

#include "dns/client.h"

struct dns_budget {
    struct dns_client client; /* what is handed on; the first member */
    struct dns_client *behind;
    struct clock *clock;
    int64_t deadline_us; /* monotonic */
    unsigned left;       /* questions */
    bool is_used_up;     /* something was not asked any more */
};
/* Questions beyond the number or the time are not asked: their answers are DNS_TEMPORARY. behind and clock are kept. */
void dns_budget_init(struct dns_budget *budget, struct dns_client *behind, struct clock *clock, unsigned questions,
                     int64_t for_us);

#endif
