/* Which TLSA records hold for a mail exchanger. */
#include "dane/dane.h"

#include "base/netaddr.h"
#include "dns/name.h"

struct discovery {
    struct dns_client *client;
    const struct dane_query *query;
    struct arena *arena;
    struct dane_result result;
};

/* ---- judging ---- */

/* RFC7671-9: of one usage and selector only the records with the strongest digest count; Full(0) is no digest. The order of
 * strength is that of the numbers (RFC7671-9 leaves it to the client). */
static bool is_weaker(const struct dane_record *record, const struct dane_record *records, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (records[i].use == TLSA_USABLE && records[i].tlsa.usage == record->tlsa.usage &&
            records[i].tlsa.selector == record->tlsa.selector && records[i].tlsa.matching > record->tlsa.matching)
            return true;
    return false;
}

size_t dane_judge(struct dane_record *records, size_t n) {
    size_t usable = 0;
    for (size_t i = 0; i < n; i++)
        records[i].use = i < DANE_RECORDS_MAX ? tlsa_judge(&records[i].tlsa) : TLSA_TOO_MANY;
    for (size_t i = 0; i < n; i++) {
        struct dane_record *record = &records[i];
        /* A strongest one is never marked, so marking as we go hides none. */
        if (record->use == TLSA_USABLE && record->tlsa.matching != TLSA_FULL && is_weaker(record, records, n))
            record->use = TLSA_WEAKER;
        usable += record->use == TLSA_USABLE;
    }
    return usable;
}

/* ---- asking ---- */

static enum err ask(struct discovery *d, struct view name, uint16_t type, struct dns_answer *out) {
    enum err err = dns_lookup(d->client, name, type, d->arena, out);
    if (err == ERR_SYNTAX) { /* no name in DNS: there is nothing under it, and nobody can forge that */
        *out = (struct dns_answer){.status = DNS_NXDOMAIN, .security = DNS_SECURE, .canonical = name};
        err = ERR_OK;
    }
    TRY(err);
    if (d->result.steps_n < DANE_STEPS_MAX)
        d->result.steps[d->result.steps_n++] = (struct dane_step){
            .name = name,
            .type = type,
            .status = (enum dns_status)out->status,
            .security = (enum dns_security)out->security,
            .canonical = out->canonical,
            .records = out->data_n,
        };
    return ERR_OK;
}

/* RFC7672-2.1.2: whatever goes wrong ends the search. */
static bool is_failed(struct discovery *d, const struct dns_answer *answer) {
    if (answer->status != DNS_TEMPORARY && answer->security != DNS_BOGUS)
        return false;
    d->result.status = answer->security == DNS_BOGUS ? DANE_BOGUS : DANE_TEMPORARY;
    d->result.why_bogus = answer->why_bogus;
    return true;
}

static bool is_alias(const struct dns_answer *answer, struct view name) {
    return !view_eq_nocase(answer->canonical, name);
}

/* ---- names ---- */

static void add_name(struct dane_result *result, struct view name) {
    for (size_t i = 0; i < result->names_n; i++)
        if (view_eq_nocase(result->names[i], name))
            return;
    if (name.n && result->names_n < DANE_NAMES_MAX)
        result->names[result->names_n++] = name;
}

/* RFC7672-3.2.2 */
static void set_names(struct discovery *d) {
    const struct dane_query *query = d->query;
    add_name(&d->result, d->result.base);
    if (!d->result.is_mx_secure) /* "the MX hostname is the only reference identifier" */
        return;
    add_name(&d->result, query->next_hop.n ? query->next_hop : query->host);
    add_name(&d->result, query->next_hop_canonical);
}

/* ---- the records ---- */

static enum err take_records(struct discovery *d, const struct dns_answer *answer, struct view base) {
    struct dane_record *records = ARENA_ARRAY(d->arena, answer->data_n, struct dane_record);
    if (!records)
        return ERR_NO_MEMORY;
    size_t n = 0;
    for (uint32_t i = 0; i < answer->data_n; i++)
        /* What is no TLSA record at all cannot be used, and is none; but its owner has committed to TLS by it. */
        if (tlsa_parse(answer->data[i].data, &records[n].tlsa) == ERR_OK)
            n++;
    d->result.status = DANE_SECURE;
    d->result.base = base;
    d->result.records = records;
    d->result.records_n = n;
    d->result.usable_n = dane_judge(records, n);
    d->result.ttl = answer->ttl;
    set_names(d);
    return ERR_OK;
}

/* RFC7672-2.2.3. *is_over: the answer, or an error, ends the search. */
static enum err try_base(struct discovery *d, struct view base, bool *is_over) {
    struct buf text;
    struct view name;
    struct dns_answer answer;
    buf_init(&text, DNS_NAME_TEXT_MAX + 20);
    buf_put_tlsa_name(&text, base, d->query->port);
    enum err err = buf_err(&text);
    if (err == ERR_OK)
        err = arena_view(d->arena, buf_view(&text), &name);
    buf_fini(&text);
    TRY(err);
    TRY(ask(d, name, DNS_TLSA, &answer));
    *is_over = is_failed(d, &answer);
    if (*is_over)
        return ERR_OK;
    /* One name on the way that is not signed makes the rest worth nothing, also that there is nothing. */
    if (answer.security != DNS_SECURE)
        d->result.status = DANE_INSECURE;
    else if (answer.status == DNS_OK) {
        *is_over = true;
        return take_records(d, &answer, base);
    }
    return ERR_OK;
}

/* ---- the host ---- */

/* RFC7672-2.2.2: "MUST perform any A and/or AAAA queries" before. One family's trouble is the trouble of both only when
 * the other has no address: both have the same aliases, so they say the same of the zones. */
static enum err ask_addresses(struct discovery *d, struct dns_answer *out, bool *is_over) {
    struct dns_answer six, four;
    struct view host = d->query->host;
    *is_over = true;
    TRY(ask(d, host, DNS_AAAA, &six));
    if (six.security == DNS_BOGUS && is_failed(d, &six))
        return ERR_OK;
    TRY(ask(d, host, DNS_A, &four));
    if (four.security == DNS_BOGUS && is_failed(d, &four))
        return ERR_OK;
    d->result.has_address = six.status == DNS_OK || four.status == DNS_OK;
    if (!d->result.has_address && (is_failed(d, &six) || is_failed(d, &four)))
        return ERR_OK;
    *out = four.status == DNS_OK ? four : six;
    if (!d->result.has_address) {
        d->result.status = six.security == DNS_SECURE ? DANE_NONE : DANE_INSECURE;
        return ERR_OK;
    }
    if (six.status == DNS_OK && six.security != DNS_SECURE)
        out->security = six.security;
    *is_over = false;
    return ERR_OK;
}

static enum err search(struct discovery *d) {
    struct view host = d->query->host;
    struct dns_answer addresses, alias;
    bool is_over;
    TRY(ask_addresses(d, &addresses, &is_over));
    if (is_over)
        return ERR_OK;
    if (addresses.security != DNS_SECURE) {
        d->result.status = DANE_INSECURE;
        if (!is_alias(&addresses, host))
            return ERR_OK;
        /* RFC7672-2.1.3: only the first alias's own zone says whether records beside it can be believed. */
        TRY(ask(d, host, DNS_CNAME, &alias));
        if (is_failed(d, &alias) || alias.security != DNS_SECURE)
            return ERR_OK;
    } else if (is_alias(&addresses, host)) {
        TRY(try_base(d, addresses.canonical, &is_over));
        if (is_over)
            return ERR_OK;
    }
    /* The last candidate decides what is said of no records. */
    d->result.status = DANE_NONE;
    return try_base(d, host, &is_over);
}

enum err dane_discover(struct dns_client *client, const struct dane_query *query, struct arena *arena,
                       struct dane_result *out) {
    struct dane_query plain = *query;
    if (view_ends(plain.host, VIEW(".")))
        plain.host.n--;
    struct discovery d = {.client = client, .query = &plain, .arena = arena};
    struct netaddr literal;
    d.result.is_mx_secure = query->mx_security == DNS_SECURE;
    if (netaddr_parse(plain.host, 0, &literal) == ERR_OK || view_starts(plain.host, VIEW("["))) {
        /* RFC7672-2.2: "an address literal rather than a DNS domain, DANE TLS does not apply" */
        d.result.status = DANE_NONE;
        d.result.has_address = true;
    } else if (query->mx_security == DNS_BOGUS) {
        d.result.status = DANE_BOGUS;
    } else if (query->mx_security != DNS_SECURE && !query->use_insecure_mx) {
        d.result.status = DANE_INSECURE;
        d.result.has_address = true; /* nobody looked */
    } else {
        TRY(search(&d));
    }
    *out = d.result;
    return ERR_OK;
}

enum dane_action dane_action(const struct dane_result *result) {
    switch (result->status) {
    case DANE_SECURE:
        return result->usable_n ? DANE_AUTHENTICATE : DANE_ENCRYPT;
    case DANE_BOGUS:
    case DANE_TEMPORARY:
        return DANE_DEFER;
    default:
        return DANE_OPPORTUNISTIC;
    }
}

const char *dane_status_name(enum dane_status status) {
    static const char *const names[] = {"none", "insecure", "secure", "bogus", "temperror"};
    return names[status];
}

const char *dane_action_text(enum dane_action action) {
    static const char *const texts[] = {
        "mail goes by TLS if the server has it, with any certificate, and in plain text else",
        "mail goes by TLS only, with any certificate",
        "mail goes by TLS only, to a server whose certificate these records know",
        "mail waits",
    };
    return texts[action];
}
