/* For tests: DNS as a table of TXT records, and a signer that holds its keys. */
#ifndef DKIM_TESTING_H
#define DKIM_TESTING_H

#include "dkim/crypto.h"
#include "dkim/sign.h"
#include "dns/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TABLE_MAX 64

/* A name without a text of its own answers NXDOMAIN; the same name twice is two records. */
struct table_dns {
    struct dns_client client;
    struct {
        struct view name, text;
        enum dns_status status;
        enum dns_security security;
    } rows[TABLE_MAX];
    size_t n, asked;
};

static inline void table_add(struct table_dns *table, struct view name, struct view text) {
    assert_true(table->n < TABLE_MAX);
    table->rows[table->n].name = name;
    table->rows[table->n].text = text;
    table->rows[table->n++].status = DNS_OK;
}

static inline enum err table_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                                    struct dns_answer *out) {
    struct table_dns *table = (struct table_dns *)client;
    table->asked++;
    assert_int_equal(type, DNS_TXT);
    *out = (struct dns_answer){.status = DNS_NXDOMAIN, .canonical = name};
    out->data = ARENA_ARRAY(arena, TABLE_MAX, struct dns_rdata);
    if (!out->data)
        return ERR_LIMIT;
    for (size_t i = 0; i < table->n; i++) {
        if (!view_eq_nocase(table->rows[i].name, name))
            continue;
        out->status = (uint8_t)table->rows[i].status;
        out->security = (uint8_t)table->rows[i].security;
        if (table->rows[i].status != DNS_OK)
            continue;
        struct buf wire;
        buf_init(&wire, 65535);
        for (struct view rest = table->rows[i].text; rest.n > 0;) {
            struct view piece = view_sub(rest, 0, 255);
            buf_put_byte(&wire, (uint8_t)piece.n);
            buf_put(&wire, piece);
            rest = view_skip(rest, piece.n);
        }
        enum err err = arena_view(arena, buf_view(&wire), &out->data[out->data_n++].data);
        buf_fini(&wire);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static inline void table_init(struct table_dns *table) {
    *table = (struct table_dns){.client = {.lookup = table_lookup}};
}

/* ---- a signer with one key an algorithm, whatever the domain ---- */

struct test_signer {
    struct dkim_signer signer;
    struct dkim_private_key *keys[2]; /* by enum dkim_algorithm */
    enum err fails;                   /* ERR_OK: it signs */
};

static inline enum err test_signer_sign(struct dkim_signer *signer, struct view domain, struct view selector,
                                        enum dkim_algorithm algorithm, const uint8_t digest[DKIM_DIGEST_SIZE],
                                        struct buf *out) {
    struct test_signer *t = (struct test_signer *)signer;
    (void)domain;
    (void)selector;
    if (t->fails != ERR_OK)
        return t->fails;
    return dkim_private_key_sign(t->keys[algorithm], digest, out);
}

#endif
