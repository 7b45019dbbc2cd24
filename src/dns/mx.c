/* Where mail for a domain goes. */
#include "dns/mx.h"

#include "dns/rdata.h"

struct exchanger {
    struct view host;
    uint16_t preference;
    uint64_t draw; /* RFC5321-5.1: equal ones MUST be in random order */
};

static bool is_before(const struct exchanger *a, const struct exchanger *b) {
    return a->preference != b->preference ? a->preference < b->preference : a->draw < b->draw;
}

/* At most 256: a sort by insertion does. */
static void insert(struct exchanger *list, size_t n, struct exchanger one) {
    while (n > 0 && is_before(&one, &list[n - 1])) {
        list[n] = list[n - 1];
        n--;
    }
    list[n] = one;
}

static enum err take_hosts(const struct exchanger *list, size_t n, struct view own_host, struct arena *arena,
                           struct mx *out) {
    /* RFC5321-5.1: when we are one of them, those of our preference and all worse ones are no way forward. */
    for (size_t i = 0; own_host.n && i < n; i++)
        if (view_eq_nocase(list[i].host, own_host))
            while (n > 0 && list[n - 1].preference >= list[i].preference)
                n--;
    if (n == 0) {
        out->status = MX_LOOP;
        return ERR_OK;
    }
    out->n = MIN(n, (size_t)MX_HOSTS_MAX);
    struct view *hosts = ARENA_ARRAY(arena, out->n, struct view);
    if (!hosts)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < out->n; i++)
        hosts[i] = list[i].host;
    out->hosts = hosts;
    out->status = MX_OK;
    return ERR_OK;
}

static enum err take_answer(const struct dns_answer *answer, struct view own_host, struct random *random,
                            struct arena *arena, struct mx *out) {
    struct exchanger *list = ARENA_ARRAY(arena, answer->data_n, struct exchanger);
    if (!list)
        return ERR_NO_MEMORY;
    size_t n = 0;
    bool is_null = false;
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct dns_mx mx;
        enum err err = dns_rdata_mx(answer->data[i].data, arena, &mx);
        if (err == ERR_NO_MEMORY || err == ERR_LIMIT)
            return err;
        if (err != ERR_OK)
            continue; /* no host name: as if it were not there */
        if (view_eq(mx.exchange, VIEW("."))) {
            is_null = true; /* beside others it means nothing, RFC7505-3 */
            continue;
        }
        insert(list, n++,
               (struct exchanger){.host = mx.exchange, .preference = mx.preference, .draw = random_u64(random)});
    }
    if (n > 0)
        return take_hosts(list, n, own_host, arena, out);
    out->status = is_null ? MX_NULL : MX_NO_HOST;
    return ERR_OK;
}

enum err mx_lookup(struct dns_client *client, struct view domain, struct view own_host, struct random *random,
                   struct arena *arena, struct mx *out) {
    struct dns_answer answer;
    struct mx mx = {.status = MX_TEMPORARY};
    enum err err = dns_lookup(client, domain, DNS_MX, arena, &answer);
    if (err == ERR_SYNTAX || err == ERR_LIMIT) { /* cannot be a name in DNS */
        mx.status = MX_NO_DOMAIN;
        *out = mx;
        return ERR_OK;
    }
    TRY(err);
    mx.security = (enum dns_security)answer.security;
    switch ((enum dns_status)answer.status) {
    case DNS_OK:
        TRY(take_answer(&answer, own_host, random, arena, &mx));
        break;
    case DNS_NXDOMAIN:
        mx.status = MX_NO_DOMAIN;
        break;
    case DNS_NODATA: {
        /* RFC5321-5.1: an empty list of MXs: the domain's own address is its MX with preference 0. An alias counts as its target. */
        struct exchanger self = {.host = domain};
        mx.is_implicit = true;
        TRY(take_hosts(&self, 1, own_host, arena, &mx));
        break;
    }
    case DNS_TEMPORARY:
        break;
    }
    *out = mx;
    return ERR_OK;
}

static enum err ask_family(struct dns_client *client, struct view host, uint16_t type, struct random *random,
                           struct arena *arena, struct netaddr list[MX_ADDRESSES_MAX], size_t *n, bool *is_temporary) {
    struct dns_answer answer;
    *n = 0;
    enum err err = dns_lookup(client, host, type, arena, &answer);
    if (err == ERR_SYNTAX || err == ERR_LIMIT)
        return ERR_OK;
    TRY(err);
    *is_temporary = *is_temporary || answer.status == DNS_TEMPORARY;
    for (uint32_t i = 0; answer.status == DNS_OK && i < answer.data_n && *n < MX_ADDRESSES_MAX; i++) {
        struct netaddr address;
        err =
            type == DNS_A ? dns_rdata_a(answer.data[i].data, &address) : dns_rdata_aaaa(answer.data[i].data, &address);
        if (err != ERR_OK)
            continue;
        size_t at = (size_t)random_below(random, *n + 1); /* a shuffle from the inside */
        list[*n] = list[at];
        list[at] = address;
        (*n)++;
    }
    return ERR_OK;
}

enum err mx_addresses(struct dns_client *client, struct view host, struct random *random, struct arena *arena,
                      struct mx_addresses *out) {
    struct netaddr six[MX_ADDRESSES_MAX], four[MX_ADDRESSES_MAX];
    size_t six_n, four_n;
    *out = (struct mx_addresses){0};
    TRY(ask_family(client, host, DNS_AAAA, random, arena, six, &six_n, &out->is_temporary));
    TRY(ask_family(client, host, DNS_A, random, arena, four, &four_n, &out->is_temporary));
    for (size_t i = 0; i < MX_ADDRESSES_MAX; i++) {
        if (i < six_n && out->n < MX_ADDRESSES_MAX)
            out->list[out->n++] = six[i];
        if (i < four_n && out->n < MX_ADDRESSES_MAX)
            out->list[out->n++] = four[i];
    }
    return ERR_OK;
}
