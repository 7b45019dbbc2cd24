/*
 * DNS messages (RFC1035-4): from the octets of a response to an answer. CNAMEs
 * are followed inside the message, names inside known types are uncompressed,
 * and records that were not asked for are left out.
 */
#ifndef DNS_PACKET_H
#define DNS_PACKET_H

#include "dns/client.h"

#define DNS_CHAIN_MAX 16     /* CNAMEs in a row; resolvers follow about as many */
#define DNS_SECTION_MAX 2000 /* records looked at in one response */

/* The response to a question for name and type. Sets all of *out but security and why_bogus. A response code other than 0 and 3
 * (RFC1035-4.1.1) is DNS_TEMPORARY. ERR_SYNTAX: not a well-formed response to that question. */
enum err dns_packet_answer(struct view packet, struct view name, uint16_t type, struct arena *arena,
                           struct dns_answer *out) MUST_CHECK;

#endif
