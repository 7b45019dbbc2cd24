/* A budget of questions. */
#include "dns/budget.h"

static enum err budget_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                              struct dns_answer *out) {
    struct dns_budget *budget = (struct dns_budget *)client;
    if (budget->left == 0 || budget->clock->mono_us(budget->clock) >= budget->deadline_us) {
        budget->is_used_up = true;
        struct dns_answer answer = {.status = DNS_TEMPORARY};
        TRY(arena_view(arena, name, &answer.canonical));
        *out = answer;
        return ERR_OK;
    }
    budget->left--;
    return dns_lookup(budget->behind, name, type, arena, out);
}

void dns_budget_init(struct dns_budget *budget, struct dns_client *behind, struct clock *clock, unsigned questions,
                     int64_t for_us) {
    *budget = (struct dns_budget){.client = {budget_lookup},
                                  .behind = behind,
                                  .clock = clock,
                                  .deadline_us = clock->mono_us(clock) + for_us,
                                  .left = questions};
}
