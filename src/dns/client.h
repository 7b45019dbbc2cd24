/*
 * What everybody sees of DNS: a question, an answer, and an interface to ask.
 * Behind the interface is the resolver role over a channel, or a table in tests.
 * Protocol folders (spf/, dkim/, dane/ ...) take a struct dns_client and know
 * nothing of processes.
 */
#ifndef DNS_CLIENT_H
#define DNS_CLIENT_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/record.h"

/* RFC1035-3.2.2 and later ones: what we ask for. */
enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28, /* RFC3596-2.1 */
    DNS_SRV = 33,  /* RFC 2782 */
    DNS_TLSA = 52, /* RFC6698-7.1 */
    DNS_CAA = 257, /* RFC8659-4 */
};

enum dns_status {
    DNS_OK,        /* data has at least one record */
    DNS_NXDOMAIN,  /* RFC2308-2.1: no such name, of any type */
    DNS_NODATA,    /* RFC2308-2.2: the name is there, not with this type */
    DNS_TEMPORARY, /* no answer, a broken one, or (security BOGUS) one that failed validation */
};
enum dns_security { DNS_INSECURE, DNS_SECURE, DNS_BOGUS };

#define DNS_RECORDS_MAX 256 /* in one answer; more is nothing that mail publishes */
/* type: RFC1035-3.2.2 number. Names in A-label form without the final dot. */
#define R_dns_question(F, S) F(S, VIEW, name, 255) F(S, U16, type)
#define R_dns_rdata(F, S) F(S, VIEW, data, 65535) /* wire form; names inside are uncompressed */
/* clang-format off */
#define R_dns_answer(F, S)                                                                                       \
    F(S, U8, status) F(S, U8, security) F(S, U32, ttl) F(S, VIEW, canonical, 255) /* the name after all CNAMEs */ \
    F(S, LIST, data, dns_rdata, DNS_RECORDS_MAX) F(S, VIEW, why_bogus, 500)
/* clang-format on */
RECORD_DECLARE(dns_question);
RECORD_DECLARE(dns_rdata);
RECORD_DECLARE(dns_answer);

struct dns_client {
    /* May suspend. ERR_OK with any status in *out, whose views live in arena. ERR_SYNTAX: not a name. ERR_AGAIN: the
     * resolver cannot be asked now. ERR_CANCELED. What goes wrong beyond the resolver is DNS_TEMPORARY, not an error. */
    enum err (*lookup)(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                       struct dns_answer *out);
};
enum err dns_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                    struct dns_answer *out) MUST_CHECK;

/* RFC8552-1: the records at PREFIX.DOMAIN ("_mta-sts.", "_dmarc."), prefix with its dot. ERR_SYNTAX: the two are too long for a name, or none. */
enum err dns_lookup_under(struct dns_client *client, struct view prefix, struct view domain, uint16_t type,
                          struct arena *arena, struct dns_answer *out) MUST_CHECK;

#endif
