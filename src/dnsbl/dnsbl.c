/* DNS lists of addresses and domains. */
#include "dnsbl/dnsbl.h"

#include "dns/name.h"
#include "dns/rdata.h"
#include "dns/reverse.h"

#include <string.h>

void buf_put_dnsbl_ip_name(struct buf *buf, const struct netaddr *ip, struct view zone) {
    struct netaddr plain = netaddr_unmapped(ip);
    buf_put_reversed_ip(buf, &plain);
    buf_put(buf, zone);
}

/* RFC5782-2.1: "the contents of the A record MUST NOT be used as an IP address", and lie in 127.0.0.0/8. */
static enum dnsbl_status judge(const struct dns_answer *answer, struct dnsbl_answer *out) {
    for (uint32_t i = 0; i < answer->data_n && out->codes_n < DNSBL_CODES_MAX; i++) {
        struct netaddr code;
        if (dns_rdata_a(answer->data[i].data, &code) != ERR_OK || code.ip[0] != 127)
            return DNSBL_BROKEN;
        out->codes[out->codes_n++] = code;
    }
    for (size_t i = 0; i < out->codes_n; i++)
        if (out->codes[i].ip[1] == 255 && out->codes[i].ip[2] == 255)
            return DNSBL_REFUSED;
    return out->codes_n ? DNSBL_LISTED : DNSBL_UNLISTED;
}

/* RFC5782-2.1: "a TXT record ... provides a reason". Without one, or without an answer, there is none. */
static enum err fetch_reason(struct dns_client *client, struct view name, struct arena *arena,
                             struct dnsbl_answer *out) {
    struct dns_answer answer;
    struct view text;
    TRY(dns_lookup(client, name, DNS_TXT, arena, &answer));
    if (answer.status != DNS_OK)
        return ERR_OK;
    enum err err = dns_rdata_txt(answer.data[0].data, arena, &text);
    if (err != ERR_OK)
        return err == ERR_SYNTAX ? ERR_OK : err;
    out->is_secure = out->is_secure && answer.security == DNS_SECURE;
    text = view_sub(text, 0, DNSBL_REASON_MAX);
    uint8_t *clean = arena_alloc(arena, text.n);
    if (!clean)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < text.n; i++)
        clean[i] = text.p[i] >= ' ' && text.p[i] < 0x7f ? text.p[i] : '?';
    out->reason = view_of(clean, text.n);
    return ERR_OK;
}

static enum err check_name(struct dns_client *client, struct view name, struct arena *arena, struct dnsbl_answer *out) {
    struct dns_answer answer;
    struct dnsbl_answer found = {.status = DNSBL_NO_QUESTION};
    enum err err = dns_lookup(client, name, DNS_A, arena, &answer);
    if (err == ERR_SYNTAX) {
        *out = found;
        return ERR_OK;
    }
    TRY(err);
    found.is_secure = answer.security == DNS_SECURE;
    found.status = answer.status == DNS_TEMPORARY ? DNSBL_TEMPORARY : judge(&answer, &found);
    if (found.status == DNSBL_BROKEN)
        found.codes_n = 0;
    if (found.status == DNSBL_LISTED)
        TRY(fetch_reason(client, name, arena, &found));
    *out = found;
    return ERR_OK;
}

static enum err check_built(struct dns_client *client, struct buf *name, struct arena *arena,
                            struct dnsbl_answer *out) {
    enum err err = buf_err(name);
    if (err == ERR_LIMIT) {
        *out = (struct dnsbl_answer){.status = DNSBL_NO_QUESTION};
        err = ERR_OK;
    } else if (err == ERR_OK) {
        err = check_name(client, buf_view(name), arena, out);
    }
    buf_fini(name);
    return err;
}

enum err dnsbl_check_ip(struct dns_client *client, struct view zone, const struct netaddr *ip, struct arena *arena,
                        struct dnsbl_answer *out) {
    struct buf name;
    buf_init(&name, DNS_NAME_TEXT_MAX);
    buf_put_dnsbl_ip_name(&name, ip, zone);
    return check_built(client, &name, arena, out);
}

enum err dnsbl_check_domain(struct dns_client *client, struct view zone, struct view domain, struct arena *arena,
                            struct dnsbl_answer *out) {
    struct buf name;
    buf_init(&name, DNS_NAME_TEXT_MAX);
    if (view_ends(domain, VIEW(".")))
        domain.n--;
    buf_put(&name, domain);
    buf_put_byte(&name, '.');
    buf_put(&name, zone);
    return check_built(client, &name, arena, out);
}

/* RFC5782-5: the entry that must be there, and the one that must not. */
static enum err check_entry(struct dns_client *client, struct view zone, enum dnsbl_kind kind, bool is_listed,
                            struct arena *arena, struct dnsbl_answer *out) {
    if (kind == DNSBL_DOMAINS) /* RFC5782-5: TEST is listed, INVALID is not */
        return dnsbl_check_domain(client, zone, is_listed ? VIEW("test") : VIEW("invalid"), arena, out);
    /* RFC5782-5: 127.0.0.2 is listed, 127.0.0.1 is not; for IPv6 the same, mapped (::FFFF:7F00:2), nibble by nibble. */
    struct netaddr v4 = {.family = 4, .ip = {127, 0, 0, is_listed ? 2 : 1}};
    if (kind == DNSBL_IPV4)
        return dnsbl_check_ip(client, zone, &v4, arena, out);
    struct netaddr v6 = {.family = 6};
    memset(v6.ip + 10, 0xff, 2);
    memcpy(v6.ip + 12, v4.ip, 4);
    struct buf name;
    buf_init(&name, DNS_NAME_TEXT_MAX);
    buf_put_reversed_ip(&name, &v6);
    buf_put(&name, zone);
    return check_built(client, &name, arena, out);
}

enum err dnsbl_check_health(struct dns_client *client, struct view zone, enum dnsbl_kind kind, struct arena *arena,
                            enum dnsbl_health *out) {
    struct dnsbl_answer must, must_not;
    TRY(check_entry(client, zone, kind, true, arena, &must));
    TRY(check_entry(client, zone, kind, false, arena, &must_not));
    bool lists_all = must_not.status == DNSBL_LISTED || must_not.status == DNSBL_BROKEN;
    if (lists_all)
        *out = DNSBL_LISTS_ALL;
    else if (must.status == DNSBL_LISTED && must_not.status == DNSBL_UNLISTED)
        *out = DNSBL_HEALTHY;
    else if (must.status == DNSBL_UNLISTED || must.status == DNSBL_NO_QUESTION)
        *out = DNSBL_DEAD;
    else
        *out = DNSBL_HEALTH_UNKNOWN;
    return ERR_OK;
}

const char *dnsbl_status_name(enum dnsbl_status status) {
    static const char *const names[] = {"unlisted", "listed", "refused", "broken", "temporary", "no question"};
    return names[status];
}

const char *dnsbl_health_name(enum dnsbl_health health) {
    static const char *const names[] = {"healthy", "dead", "lists all", "unknown"};
    return names[health];
}

/* RFC8904-2: pass, none, temperror, permerror. */
static struct view dnswl_result(enum dnsbl_status status) {
    switch (status) {
    case DNSBL_LISTED:
        return VIEW("pass");
    case DNSBL_UNLISTED:
        return VIEW("none");
    case DNSBL_TEMPORARY:
        return VIEW("temperror");
    default:
        return VIEW("permerror");
    }
}

static enum err add_policy(const struct dnsbl_answer *answer, struct authres *authres, struct arena *arena) {
    struct buf codes;
    struct view text;
    buf_init(&codes, 16 * DNSBL_CODES_MAX);
    for (size_t i = 0; i < answer->codes_n; i++) {
        if (i)
            buf_put_byte(&codes, ',');
        buf_put_ip(&codes, &answer->codes[i]);
    }
    enum err err = arena_view(arena, buf_view(&codes), &text);
    buf_fini(&codes);
    TRY(err);
    TRY(authres_add_property(authres, arena, VIEW("policy"), VIEW("ip"), text));
    return answer->reason.n ? authres_add_property(authres, arena, VIEW("policy"), VIEW("txt"), answer->reason)
                            : ERR_OK;
}

enum err dnsbl_add_authres(const struct dnsbl_answer *answer, struct view zone, struct authres *authres,
                           struct arena *arena) {
    TRY(authres_add(authres, arena, VIEW("dnswl"), dnswl_result(answer->status)));
    TRY(authres_add_property(authres, arena, VIEW("dns"), VIEW("zone"), zone));
    if (answer->status != DNSBL_LISTED && answer->status != DNSBL_UNLISTED)
        return ERR_OK;
    if (answer->status == DNSBL_LISTED)
        TRY(add_policy(answer, authres, arena));
    return authres_add_property(authres, arena, VIEW("dns"), VIEW("sec"), answer->is_secure ? VIEW("yes") : VIEW("no"));
}
