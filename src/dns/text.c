/* Records as text. */
#include "dns/text.h"

#include "dns/name.h"
#include "dns/rdata.h"

static const struct {
    uint16_t type;
    const char *name;
} types[] = {
    {DNS_A, "A"},     {DNS_NS, "NS"},     {DNS_CNAME, "CNAME"}, {DNS_SOA, "SOA"},   {DNS_PTR, "PTR"}, {DNS_MX, "MX"},
    {DNS_TXT, "TXT"}, {DNS_AAAA, "AAAA"}, {DNS_SRV, "SRV"},     {DNS_TLSA, "TLSA"}, {DNS_CAA, "CAA"},
};

bool dns_type_from_name(struct view name, uint16_t *type) {
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!view_eq_nocase(view_cstr(types[i].name), name))
            continue;
        *type = types[i].type;
        return true;
    }
    return false;
}

const char *dns_type_name(uint16_t type) {
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].type == type)
            return types[i].name;
    return NULL;
}

/* RFC1035-5.1: a <character-string>, always quoted. */
static void put_string(struct buf *buf, struct view string) {
    buf_put_byte(buf, '"');
    for (size_t i = 0; i < string.n; i++) {
        uint8_t c = string.p[i];
        if (c < ' ' || c >= 0x7f) {
            buf_printf(buf, "\\%03u", c);
            continue;
        }
        if (c == '"' || c == '\\')
            buf_put_byte(buf, '\\');
        buf_put_byte(buf, c);
    }
    buf_put_byte(buf, '"');
}

static void put_strings(struct reader *r, struct buf *buf) {
    for (bool first = true; !reader_at_end(r) && reader_err(r) == ERR_OK; first = false) {
        struct view string = reader_take(r, reader_be8(r));
        if (!first)
            buf_put_byte(buf, ' ');
        put_string(buf, string);
    }
}

/* A name with its final dot. */
static void put_name(struct reader *r, struct buf *buf) {
    size_t before = buf->n;
    if (dns_name_read(r, buf) == ERR_OK && !(buf->n == before + 1 && buf->p[before] == '.'))
        buf_put_byte(buf, '.');
}

static void put_numbers(struct reader *r, unsigned count, struct buf *buf) {
    for (unsigned i = 0; i < count; i++)
        buf_printf(buf, "%u ", reader_be16(r));
}

static void put_address(struct reader *r, uint8_t family, struct buf *buf) {
    struct netaddr ip;
    struct view octets = reader_take(r, family == 4 ? 4 : 16);
    if (reader_err(r) != ERR_OK)
        return;
    if ((family == 4 ? dns_rdata_a(octets, &ip) : dns_rdata_aaaa(octets, &ip)) == ERR_OK)
        buf_put_ip(buf, &ip);
}

static void put_typed(struct reader *r, uint16_t type, struct buf *buf) {
    switch (type) {
    case DNS_A:
        put_address(r, 4, buf);
        return;
    case DNS_AAAA:
        put_address(r, 6, buf);
        return;
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
        put_name(r, buf);
        return;
    case DNS_MX:
        put_numbers(r, 1, buf);
        put_name(r, buf);
        return;
    case DNS_SRV: /* RFC 2782 */
        put_numbers(r, 3, buf);
        put_name(r, buf);
        return;
    case DNS_SOA: /* RFC1035-3.3.13 */
        put_name(r, buf);
        buf_put_byte(buf, ' ');
        put_name(r, buf);
        for (unsigned i = 0; i < 5; i++)
            buf_printf(buf, " %u", reader_be32(r));
        return;
    case DNS_TXT:
        put_strings(r, buf);
        return;
    case DNS_TLSA: /* RFC6698-2.2 */
        for (unsigned i = 0; i < 3; i++)
            buf_printf(buf, "%u ", reader_be8(r));
        buf_put_hex(buf, reader_take(r, r->in.n - r->at));
        return;
    case DNS_CAA: /* RFC8659-4.1 */
        buf_printf(buf, "%u ", reader_be8(r));
        struct view tag = reader_take(r, reader_be8(r));
        for (size_t i = 0; i < tag.n; i++)
            if (!ascii_is_alnum(tag.p[i]))
                (void)reader_fail(r, ERR_SYNTAX);
        buf_put(buf, tag);
        buf_put_byte(buf, ' ');
        put_string(buf, reader_take(r, r->in.n - r->at));
        return;
    default:
        (void)reader_fail(r, ERR_SYNTAX);
    }
}

void buf_put_dns_rdata(struct buf *buf, uint16_t type, struct view data) {
    struct reader r = reader_of(data);
    size_t before = buf->n;
    put_typed(&r, type, buf);
    if (reader_err(&r) == ERR_OK && reader_at_end(&r) && data.n > 0)
        return;
    buf->n = before; /* half of a record is none */
    buf_printf(buf, "\\# %zu", data.n);
    if (data.n)
        buf_put_byte(buf, ' ');
    buf_put_hex(buf, data);
}
