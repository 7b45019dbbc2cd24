/* IP addresses: strict reading, canonical writing, and what kind of network they are of. */
#include "base/netaddr.h"

#include "base/reader.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define PORT_MOST 65535u
/* The longest text: "[" 8 groups of 4 or 6 groups and a dotted quad "]:65535"; longer ones are not looked at. */
#define NETADDR_TEXT_MOST 64

/* RFC3986-3.2.2: dec-octet has no leading zeros, which elsewhere mean octal */
static bool parse_ipv4(struct reader *r, uint8_t ip[4]) {
    for (int i = 0; i < 4; i++) {
        if (i > 0 && !reader_expect(r, '.'))
            return false;
        struct view digits = reader_while(r, ascii_is_digit);
        uint32_t value;
        if (digits.n == 0 || digits.n > 3 || (digits.n > 1 && digits.p[0] == '0') ||
            view_to_u32(digits, 255, &value) != ERR_OK)
            return reader_fail(r, ERR_SYNTAX);
        ip[i] = (uint8_t)value;
    }
    return true;
}

static bool is_hex(uint8_t c) {
    return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static uint16_t hex_group(struct view digits) {
    unsigned value = 0;
    for (size_t i = 0; i < digits.n; i++) {
        uint8_t c = ascii_lower(digits.p[i]);
        value = value << 4 | (unsigned)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    return (uint16_t)value;
}

/* RFC4291-2.2: groups of 1 to 4 hex digits, one "::", and a dotted quad in place of the last two groups */
static bool parse_ipv6(struct reader *r, uint8_t ip[16]) {
    uint16_t groups[8] = {0};
    size_t n = 0, gap = SIZE_MAX; /* groups so far; how many of them stand before "::" */
    if (reader_accept_view(r, VIEW("::")))
        gap = 0;
    while (n < 8) {
        size_t start = r->at;
        struct view digits = reader_while(r, is_hex);
        if (digits.n == 0) {
            if (gap == n)
                break; /* ends in "::" */
            return reader_fail(r, ERR_SYNTAX);
        }
        if (reader_peek(r) == '.') {
            uint8_t quad[4];
            r->at = start;
            if (n > 6 || !parse_ipv4(r, quad))
                return reader_fail(r, ERR_SYNTAX);
            groups[n++] = (uint16_t)(quad[0] << 8 | quad[1]);
            groups[n++] = (uint16_t)(quad[2] << 8 | quad[3]);
            break;
        }
        if (digits.n > 4)
            return reader_fail(r, ERR_SYNTAX);
        groups[n++] = hex_group(digits);
        if (gap == SIZE_MAX && reader_accept_view(r, VIEW("::")))
            gap = n;
        else if (n == 8 || !reader_accept(r, ':'))
            break;
    }
    /* "::" stands for at least one group here, as RFC5952-4.2.2 writes it and every libc reads it. */
    if (gap == SIZE_MAX ? n != 8 : n > 7)
        return reader_fail(r, ERR_SYNTAX);
    size_t after = gap == SIZE_MAX ? 0 : n - gap;
    memset(ip, 0, 16);
    for (size_t i = 0; i < n; i++) {
        size_t at = i < n - after ? i : 8 - (n - i);
        ip[at * 2] = (uint8_t)(groups[i] >> 8);
        ip[at * 2 + 1] = (uint8_t)groups[i];
    }
    return true;
}

enum err netaddr_parse(struct view text, uint16_t default_port, struct netaddr *out) {
    struct netaddr addr = {.port = default_port};
    if (text.n > NETADDR_TEXT_MOST)
        return ERR_SYNTAX;
    struct reader r = reader_of(text);
    bool may_have_port = true;
    if (reader_accept(&r, '[')) {
        addr.family = 6;
        (void)parse_ipv6(&r, addr.ip);
        (void)reader_expect(&r, ']');
    } else {
        ssize_t colon = view_find_byte(text, ':'), dot = view_find_byte(text, '.');
        if (dot >= 0 && (colon < 0 || dot < colon)) {
            addr.family = 4;
            (void)parse_ipv4(&r, addr.ip);
        } else {
            addr.family = 6;
            may_have_port = false;
            (void)parse_ipv6(&r, addr.ip);
        }
    }
    if (may_have_port && reader_accept(&r, ':')) {
        struct view digits = reader_rest(&r);
        if (digits.n > 1 && digits.p[0] == '0')
            return ERR_SYNTAX;
        addr.port = (uint16_t)reader_u64(&r, PORT_MOST);
    }
    if (reader_err(&r) != ERR_OK || !reader_at_end(&r))
        return ERR_SYNTAX;
    *out = addr;
    return ERR_OK;
}

/* RFC4291-2.5.5.2: ::ffff:a.b.c.d */
static bool is_mapped(const struct netaddr *addr) {
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return addr->family == 6 && memcmp(addr->ip, prefix, sizeof(prefix)) == 0;
}

static void put_quad(struct buf *buf, const uint8_t ip[4]) {
    buf_printf(buf, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
}

static void put_ipv6(struct buf *buf, const struct netaddr *addr) {
    /* RFC5952-5: the dotted quad where the prefix says that there is one */
    size_t count = is_mapped(addr) ? 6 : 8;
    unsigned groups[8];
    for (size_t i = 0; i < 8; i++)
        groups[i] = (unsigned)addr->ip[i * 2] << 8 | addr->ip[i * 2 + 1];
    /* RFC5952-4.2.3: the longest run of zeros, the first of equals; RFC5952-4.2.2: not a single one */
    size_t gap = 8, gap_n = 1;
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        while (i + n < count && groups[i + n] == 0)
            n++;
        if (n > gap_n) {
            gap = i;
            gap_n = n;
        }
        i += n > 0 ? n - 1 : 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (i == gap) {
            buf_put_str(buf, "::");
            i += gap_n - 1;
            continue;
        }
        if (i > 0 && i != gap + gap_n)
            buf_put_byte(buf, ':');
        buf_printf(buf, "%x", groups[i]);
    }
    if (count == 6) {
        if (gap + gap_n != 6)
            buf_put_byte(buf, ':');
        put_quad(buf, addr->ip + 12);
    }
}

void buf_put_ip(struct buf *buf, const struct netaddr *addr) {
    if (addr->family == 4)
        put_quad(buf, addr->ip);
    else if (addr->family == 6)
        put_ipv6(buf, addr);
    else
        buf_put_str(buf, "none");
}

void buf_put_netaddr(struct buf *buf, const struct netaddr *addr) {
    bool bracketed = addr->family == 6 && addr->port != 0;
    if (bracketed)
        buf_put_byte(buf, '[');
    buf_put_ip(buf, addr);
    if (bracketed)
        buf_put_byte(buf, ']');
    if (addr->port != 0)
        buf_printf(buf, ":%u", addr->port);
}

void buf_put_address_literal(struct buf *buf, const struct netaddr *addr) {
    /* RFC5321-4.1.3: IPv6-address-literal = "IPv6:" IPv6-addr */
    buf_put_str(buf, addr->family == 6 ? "[IPv6:" : "[");
    buf_put_ip(buf, addr);
    buf_put_byte(buf, ']');
}

/* An IPv4 address in its IPv6 clothes is judged as what it reaches. */
struct netaddr netaddr_unmapped(const struct netaddr *addr) {
    struct netaddr plain = *addr;
    if (is_mapped(addr)) {
        plain = (struct netaddr){.family = 4, .port = addr->port};
        memcpy(plain.ip, addr->ip + 12, 4);
    }
    return plain;
}

bool netaddr_is_loopback(const struct netaddr *addr) {
    static const uint8_t one[16] = {[15] = 1};
    struct netaddr a = netaddr_unmapped(addr);
    return a.family == 4 ? a.ip[0] == 127 : a.family == 6 && memcmp(a.ip, one, 16) == 0;
}

bool netaddr_is_private(const struct netaddr *addr) {
    static const uint8_t zero[16];
    struct netaddr a = netaddr_unmapped(addr);
    if (netaddr_is_loopback(&a))
        return true;
    if (a.family == 4)
        return a.ip[0] == 0 ||                                           /* RFC1122-3.2.1.3: this host, this network */
               a.ip[0] == 10 || (a.ip[0] == 172 && a.ip[1] >> 4 == 1) || /* RFC1918-3 */
               (a.ip[0] == 192 && a.ip[1] == 168) || (a.ip[0] == 169 && a.ip[1] == 254);
    return a.family == 6 && (memcmp(a.ip, zero, 16) == 0 || (a.ip[0] & 0xfe) == 0xfc || /* RFC4193-3.1 */
                             (a.ip[0] == 0xfe && a.ip[1] >> 6 == 2));                   /* RFC4291-2.5.6 */
}

bool netaddr_ip_eq(const struct netaddr *a, const struct netaddr *b) {
    size_t n = a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
    return a->family == b->family && memcmp(a->ip, b->ip, n) == 0;
}

struct netaddr netaddr_network(const struct netaddr *addr) {
    struct netaddr network = netaddr_unmapped(addr);
    size_t keep = network.family == 4 ? 3 : network.family == 6 ? 8 : 0;
    memset(network.ip + keep, 0, sizeof(network.ip) - keep);
    network.port = 0;
    return network;
}

struct view netaddr_key(const struct netaddr *addr) {
    _Static_assert(offsetof(struct netaddr, ip) == 1, "family and address are one run of octets");
    return view_of(addr, offsetof(struct netaddr, ip) + sizeof(addr->ip));
}

enum err netaddr_from_sockaddr(const struct sockaddr_storage *sa, struct netaddr *out) {
    struct netaddr addr = {0};
    if (sa->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        addr.family = 4;
        addr.port = ntohs(in.sin_port);
        memcpy(addr.ip, &in.sin_addr, 4);
    } else if (sa->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof(in));
        addr.family = 6;
        addr.port = ntohs(in.sin6_port);
        memcpy(addr.ip, &in.sin6_addr, 16);
        /* A socket for both families shows IPv4 peers mapped; policies and logs know them by their own address. */
        addr = netaddr_unmapped(&addr);
    } else {
        return ERR_SYNTAX;
    }
    *out = addr;
    return ERR_OK;
}

size_t netaddr_to_sockaddr(const struct netaddr *addr, struct sockaddr_storage *sa) {
    memset(sa, 0, sizeof(*sa));
    if (addr->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip, 4);
        memcpy(sa, &in, sizeof(in));
        return sizeof(in);
    }
    if (addr->family == 6) {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
        memcpy(&in.sin6_addr, addr->ip, 16);
        memcpy(sa, &in, sizeof(in));
        return sizeof(in);
    }
    return 0;
}
