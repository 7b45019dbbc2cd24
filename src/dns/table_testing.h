/*
 * For tests, fuzz targets and benchmarks: a DNS that is a table in memory,
 * behind struct dns_client. Names are compared without case; CNAMEs are followed.
 */
#ifndef DNS_TABLE_TESTING_H
#define DNS_TABLE_TESTING_H

#include "base/vec.h"
#include "dns/client.h"
#include "dns/name.h"
#include "dns/packet.h"

#include <stdlib.h>
#include <string.h>

#define DNS_TABLE_MAX 100000
#define DNS_TABLE_TIMEOUT 0 /* a type: questions for what the name does not have here have no answer */

struct dns_table_entry {
    struct buf name, data;
    uint16_t type;
};
struct dns_table {
    struct dns_client client; /* first */
    struct vec entries;       /* struct dns_table_entry */
    enum dns_security security;
    unsigned asked;
    enum err fail; /* what every lookup returns, if not ERR_OK */
};

static inline void dns_table_add_data(struct dns_table *table, struct view name, uint16_t type, struct view data) {
    struct dns_table_entry *e = vec_add(&table->entries);
    if (!e)
        abort();
    buf_init(&e->name, 4096);
    buf_init(&e->data, 65535);
    for (size_t i = 0; i < name.n; i++)
        buf_put_byte(&e->name, ascii_lower(name.p[i]));
    buf_put(&e->data, data);
    e->type = type;
}

/* text: "192.0.2.1", "2001:db8::1", "10 mx.example", a name, or the octets of a TXT record. What is none is left out. */
static inline void dns_table_add(struct dns_table *table, struct view name, uint16_t type, struct view text) {
    struct buf data;
    buf_init(&data, 65535);
    struct netaddr ip;
    struct view head, tail;
    uint32_t preference;
    enum err err = ERR_OK;
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        err = netaddr_parse(text, 0, &ip);
        if (err == ERR_OK)
            buf_put(&data, view_of(ip.ip, type == DNS_A ? 4 : 16));
        break;
    case DNS_MX:
        (void)view_split(text, ' ', &head, &tail);
        err = view_to_u32(head, 65535, &preference);
        if (err == ERR_OK)
            buf_put_be16(&data, (uint16_t)preference);
        if (err == ERR_OK)
            err = dns_name_to_wire(tail.n ? tail : VIEW("."), &data);
        break;
    case DNS_TXT:
        do {
            head = view_sub(text, 0, 255);
            text = view_skip(text, head.n);
            buf_put_byte(&data, (uint8_t)head.n);
            buf_put(&data, head);
        } while (text.n);
        break;
    case DNS_TABLE_TIMEOUT:
        break;
    default:
        err = dns_name_to_wire(text, &data);
    }
    if (err == ERR_OK && buf_err(&data) == ERR_OK)
        dns_table_add_data(table, name, type, buf_view(&data));
    buf_fini(&data);
}

static inline const struct dns_table_entry *dns_table_find(const struct dns_table *table, struct view name,
                                                           uint16_t type) {
    VEC_EACH(&table->entries, struct dns_table_entry, e)
    if (e->type == type && view_eq_nocase(buf_view(&e->name), name))
        return e;
    return NULL;
}

static inline enum err dns_table_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                                        struct dns_answer *out) {
    struct dns_table *table = (struct dns_table *)client;
    table->asked++;
    if (table->fail != ERR_OK)
        return table->fail;
    struct buf wire;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    enum err err = dns_name_to_wire(name, &wire);
    buf_fini(&wire);
    if (err != ERR_OK)
        return ERR_SYNTAX;
    struct dns_answer a = {.status = DNS_NXDOMAIN, .security = (uint8_t)table->security, .ttl = 300};
    TRY(arena_view(arena, name, &a.canonical));
    if (view_ends(a.canonical, VIEW(".")))
        a.canonical.n--;
    for (unsigned hops = 0; hops < DNS_CHAIN_MAX && type != DNS_CNAME; hops++) {
        const struct dns_table_entry *alias = dns_table_find(table, a.canonical, DNS_CNAME);
        if (!alias)
            break;
        struct reader r = reader_of(buf_view(&alias->data));
        struct buf text;
        buf_init(&text, DNS_NAME_WIRE_MAX);
        err = dns_name_read(&r, &text);
        if (err == ERR_OK)
            err = arena_view(arena, buf_view(&text), &a.canonical);
        buf_fini(&text);
        TRY(err);
    }
    a.data = ARENA_ARRAY(arena, DNS_RECORDS_MAX, struct dns_rdata);
    if (!a.data)
        return ERR_NO_MEMORY;
    bool is_silent = false;
    VEC_EACH(&table->entries, struct dns_table_entry, e) {
        if (!view_eq_nocase(buf_view(&e->name), a.canonical))
            continue;
        is_silent = is_silent || e->type == DNS_TABLE_TIMEOUT;
        if (a.status == DNS_NXDOMAIN)
            a.status = DNS_NODATA;
        if (e->type != type || a.data_n == DNS_RECORDS_MAX)
            continue;
        a.status = DNS_OK;
        a.data[a.data_n++].data = buf_view(&e->data);
    }
    if (is_silent && a.data_n == 0)
        a = (struct dns_answer){.status = DNS_TEMPORARY, .canonical = a.canonical};
    *out = a;
    return ERR_OK;
}

static inline void dns_table_init(struct dns_table *table) {
    *table = (struct dns_table){.client = {dns_table_lookup}};
    table->entries = VEC_OF(struct dns_table_entry, DNS_TABLE_MAX);
}

static inline void dns_table_clear(struct dns_table *table) {
    VEC_EACH(&table->entries, struct dns_table_entry, e) {
        buf_fini(&e->name);
        buf_fini(&e->data);
    }
    vec_clear(&table->entries);
}

static inline void dns_table_fini(struct dns_table *table) {
    dns_table_clear(table);
    vec_fini(&table->entries);
}

#endif
