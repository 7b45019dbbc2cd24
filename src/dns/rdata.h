/*
 * What is inside records: parsers of the wire form that a struct dns_answer has
 * (names uncompressed). Every octet must be consumed; ERR_SYNTAX else, and for a
 * name with a space, which no host has. Texts live in the arena.
 */
#ifndef DNS_RDATA_H
#define DNS_RDATA_H

#include "base/arena.h"
#include "base/netaddr.h"

#define DNS_TXT_MAX 65535 /* octets of one record's strings together: what 16 bits can say */

struct dns_mx {
    uint16_t preference;
    struct view exchange; /* "." is the null MX of RFC7505-3 */
};

/* RFC1035-3.4.1; port is 0. */
enum err dns_rdata_a(struct view data, struct netaddr *out) MUST_CHECK;
/* RFC3596-2.2 */
enum err dns_rdata_aaaa(struct view data, struct netaddr *out) MUST_CHECK;
/* RFC1035-3.3.9 */
enum err dns_rdata_mx(struct view data, struct arena *arena, struct dns_mx *out) MUST_CHECK;
/* RFC1035-3.3.1, RFC1035-3.3.11, RFC1035-3.3.12: CNAME, NS and PTR are one name. */
enum err dns_rdata_name(struct view data, struct arena *arena, struct view *out) MUST_CHECK;
/* RFC1035-3.3.14: one or more strings, joined without anything between (RFC7208-3.3, RFC6376-3.6.2.2). */
enum err dns_rdata_txt(struct view data, struct arena *arena, struct view *out) MUST_CHECK;

#endif
