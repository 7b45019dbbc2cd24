/* Reverse mapping. */
#include "dns/reverse.h"

#include "dns/rdata.h"

void buf_put_reversed_ip(struct buf *buf, const struct netaddr *ip) {
    static const char digits[] = "0123456789abcdef";
    if (ip->family == 4) {
        for (size_t i = 4; i-- > 0;)
            buf_printf(buf, "%u.", ip->ip[i]);
        return;
    }
    for (size_t i = 16; i-- > 0;) {
        buf_put_byte(buf, (uint8_t)digits[ip->ip[i] & 15]);
        buf_put_byte(buf, '.');
        buf_put_byte(buf, (uint8_t)digits[ip->ip[i] >> 4]);
        buf_put_byte(buf, '.');
    }
}

void buf_put_reverse_name(struct buf *buf, const struct netaddr *ip) {
    buf_put_reversed_ip(buf, ip);
    buf_put_str(buf, ip->family == 4 ? "in-addr.arpa" : "ip6.arpa");
}

static bool has_address(const struct dns_answer *answer, const struct netaddr *ip) {
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct netaddr found;
        enum err err =
            ip->family == 4 ? dns_rdata_a(answer->data[i].data, &found) : dns_rdata_aaaa(answer->data[i].data, &found);
        if (err == ERR_OK && netaddr_ip_eq(&found, ip))
            return true;
    }
    return false;
}

/* Asks for the name's addresses and keeps it when ours is among them. */
static enum err try_name(struct dns_client *client, struct view name, const struct netaddr *ip, struct arena *arena,
                         struct dns_validated *out) {
    struct dns_answer answer;
    enum err err = dns_lookup(client, name, ip->family == 4 ? DNS_A : DNS_AAAA, arena, &answer);
    if (err == ERR_SYNTAX) /* a name that nothing can have */
        return ERR_OK;
    TRY(err);
    if (answer.status == DNS_TEMPORARY)
        out->is_temporary = true; /* RFC7208-5.5: "that domain name is skipped" */
    if (answer.security != DNS_SECURE)
        out->is_secure = false;
    if (answer.status == DNS_OK && has_address(&answer, ip))
        out->names[out->n++] = name;
    return ERR_OK;
}

enum err dns_validate_names(struct dns_client *client, const struct netaddr *client_ip, struct arena *arena,
                            struct dns_validated *out) {
    struct netaddr ip = netaddr_unmapped(client_ip);
    struct dns_validated found = {.first = VIEW_NONE};
    struct buf reverse;
    buf_init(&reverse, 256);
    buf_put_reverse_name(&reverse, &ip);
    struct dns_answer answer;
    enum err err = buf_err(&reverse);
    if (err == ERR_OK)
        err = dns_lookup(client, buf_view(&reverse), DNS_PTR, arena, &answer);
    buf_fini(&reverse);
    TRY(err);
    found.status = (enum dns_status)answer.status;
    found.is_secure = answer.security == DNS_SECURE;
    for (uint32_t i = 0; answer.status == DNS_OK && i < answer.data_n && found.asked < DNS_VALIDATED_MAX; i++) {
        struct view name;
        err = dns_rdata_name(answer.data[i].data, arena, &name);
        if (err == ERR_SYNTAX)
            continue;
        TRY(err);
        if (found.asked++ == 0)
            found.first = name;
        TRY(try_name(client, name, &ip, arena, &found));
    }
    *out = found;
    return ERR_OK;
}

/* RFC8601-3: "the client's IP address must match one of the addresses of one of the names". */
enum err iprev_check(struct dns_client *client, const struct netaddr *ip, struct arena *arena, struct iprev *out) {
    struct dns_validated found;
    TRY(dns_validate_names(client, ip, arena, &found));
    struct iprev iprev = {.name = found.first};
    if (found.n) {
        iprev.result = IPREV_PASS;
        iprev.name = found.names[0];
    } else if (found.status == DNS_TEMPORARY || found.is_temporary) {
        iprev.result = IPREV_TEMPERROR;
    } else if (found.status != DNS_OK) {
        iprev.result = IPREV_PERMERROR; /* RFC8601-2.7.3: "there was no data" */
    } else {
        iprev.result = IPREV_FAIL;
    }
    *out = iprev;
    return ERR_OK;
}

const char *iprev_result_name(enum iprev_result result) {
    static const char *const names[] = {"pass", "fail", "temperror", "permerror"};
    return names[result];
}
