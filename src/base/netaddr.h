/* IP addresses with ports, and the text forms of them. */
#ifndef BASE_NETADDR_H
#define BASE_NETADDR_H

#include "base/buf.h"

struct netaddr {
    uint8_t family; /* 4, 6, or 0 for none */
    uint8_t ip[16]; /* the first 4 octets for IPv4 */
    uint16_t port;
};

/* "127.0.0.1", "::1", "127.0.0.1:25", "[::1]:25"; without a port *out has default_port. */
enum err netaddr_parse(struct view text, uint16_t default_port, struct netaddr *out) MUST_CHECK;
/* With port unless it is 0; IPv6 in brackets then. RFC5952-4 form. */
void buf_put_netaddr(struct buf *buf, const struct netaddr *addr);
void buf_put_ip(struct buf *buf, const struct netaddr *addr);
/* RFC5321-4.1.3: "[127.0.0.1]" or "[IPv6:::1]" */
void buf_put_address_literal(struct buf *buf, const struct netaddr *addr);
bool netaddr_is_loopback(const struct netaddr *addr);
/* Loopback, link-local, unique local, RFC1918-3 and unspecified ones. */
bool netaddr_is_private(const struct netaddr *addr);
bool netaddr_ip_eq(const struct netaddr *a, const struct netaddr *b);
/* The network that counts as one peer: /24 of IPv4, /64 of IPv6, port 0. */
struct netaddr netaddr_network(const struct netaddr *addr);
/* RFC4291-2.5.5.2: ::ffff:192.0.2.1 is 192.0.2.1; others as they are. */
struct netaddr netaddr_unmapped(const struct netaddr *addr);
/* Family and address as the key of a map: a view into *addr. The port is no part of it. */
struct view netaddr_key(const struct netaddr *addr);
/* sockaddr conversions; sa_len in and out in octets. */
struct sockaddr_storage;
enum err netaddr_from_sockaddr(const struct sockaddr_storage *sa, struct netaddr *out) MUST_CHECK;
size_t netaddr_to_sockaddr(const struct netaddr *addr, struct sockaddr_storage *sa);

#endif
