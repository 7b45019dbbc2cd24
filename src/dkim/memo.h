/*
 * A dns_client that asks each name once, and only so many: the budget of one
 * message. A chain of fifty seals by one handler needs one key; a chain whose
 * every seal names another key is somebody's way of making us work.
 */
#ifndef DKIM_MEMO_H
#define DKIM_MEMO_H

#include "dns/client.h"

#define DKIM_MEMO_MAX 50 /* different questions for one message: one key for each of RFC8617-4.2.1's sets */

struct dkim_memo {
    struct dns_client client; /* to be passed on */
    struct dns_client *inner;
    struct arena *arena; /* answers live here, whatever arena a lookup brings */
    unsigned max;
    unsigned n;
    struct {
        struct view name;
        uint16_t type;
        struct dns_answer answer;
    } known[DKIM_MEMO_MAX];
};

/* max: at most DKIM_MEMO_MAX. Questions over it are answered DNS_TEMPORARY without being asked. Errors of the inner client, and
 * answers of DNS_TEMPORARY, are not kept. */
void dkim_memo_init(struct dkim_memo *memo, struct dns_client *inner, struct arena *arena, unsigned max);

#endif
