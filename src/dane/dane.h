/*
 * DANE for SMTP (RFC 7672): which TLSA records hold for a mail exchanger, what a
 * client must then do, and by which names it knows the server.
 *
 * Pure but for the questions asked. Records are judged here; whether a server's
 * certificate chain fits is dane/match.h.
 */
#ifndef DANE_DANE_H
#define DANE_DANE_H

#include "dane/tlsa.h"
#include "dns/client.h"

#define DANE_RECORDS_MAX 64 /* of one set; who rolls a key has two to four, RFC7671-8 */
#define DANE_NAMES_MAX 3    /* RFC7672-3.2.2: the base domain and two of the next hop */
#define DANE_STEPS_MAX 8    /* questions asked: two addresses, an alias, two base domains */

enum dane_status {
    DANE_NONE,      /* DNSSEC says that there are no records */
    DANE_INSECURE,  /* a zone on the way is not signed: whatever it says is not looked at */
    DANE_SECURE,    /* records, of which some, or none, are usable */
    DANE_BOGUS,     /* DNSSEC does not hold: somebody may be in the way */
    DANE_TEMPORARY, /* no answer; RFC7672-2.1.1 makes no difference, but people do */
};
/* RFC7672-2.2 */
enum dane_action {
    DANE_OPPORTUNISTIC, /* as if there were no DANE: TLS if it is there, plain text else */
    DANE_ENCRYPT,       /* TLS or nothing, with any certificate: secure records, all unusable */
    DANE_AUTHENTICATE,  /* TLS with a certificate that the records know, or nothing */
    DANE_DEFER,         /* not this host, not now */
};

struct dane_query {
    struct view host; /* the exchanger, as its MX record spells it: A-labels. An address has no records */
    uint16_t port;    /* 25 */
    /* Names of the next hop, for the check of names (RFC7672-3.2.2). Empty, both: host is the next hop itself. */
    struct view next_hop;           /* the domain whose MX was asked for */
    struct view next_hop_canonical; /* after its aliases; empty or the same: it has none */
    enum dns_security mx_security;  /* of the MX answer (of no MX, too). SECURE when no MX was asked for */
    /* RFC7672-2.2.1: records of exchangers that insecure MX records name are used, MAY: an attacker must then be in DNS
     * already when mail is sent, not only on the way. False: DANE_INSECURE without a question. */
    bool use_insecure_mx;
};

struct dane_record {
    struct tlsa tlsa;
    enum tlsa_use use;
};
struct dane_step { /* what was asked, for people */
    struct view name;
    uint16_t type;
    enum dns_status status;
    enum dns_security security;
    struct view canonical; /* differs from name: an alias */
    uint32_t records;
};
struct dane_result {
    enum dane_status status;
    bool is_mx_secure;                 /* false: never to be called secure delivery to the next hop (RFC7672-2.2.1) */
    bool has_address;                  /* of the host; without one it cannot be reached, whatever its records */
    struct view base;                  /* SECURE: the TLSA base domain, the name for SNI (RFC7672-8.1) */
    const struct dane_record *records; /* SECURE: all, judged, in the order of the answer */
    size_t records_n, usable_n;
    /* SECURE: the reference identifiers of RFC7672-3.2.2, base first. */
    struct view names[DANE_NAMES_MAX];
    size_t names_n;
    uint32_t ttl; /* of the records, seconds */
    struct view why_bogus;
    struct dane_step steps[DANE_STEPS_MAX];
    size_t steps_n;
};

/* RFC7672-2.2.2 and RFC7672-2.2.3. ERR_AGAIN (the resolver cannot be asked now), ERR_CANCELED, ERR_NO_MEMORY, ERR_LIMIT (arena); all else is a status. */
enum err dane_discover(struct dns_client *client, const struct dane_query *query, struct arena *arena,
                       struct dane_result *out) MUST_CHECK;
enum dane_action dane_action(const struct dane_result *result);

/* Judges a set: each alone, then RFC7671-9, digest agility. Returns how many are usable. */
size_t dane_judge(struct dane_record *records, size_t n);

const char *dane_status_name(enum dane_status status); /* "secure"; TEMPORARY is "temperror" */
const char *dane_action_text(enum dane_action action);

#endif
