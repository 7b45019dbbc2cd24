/*
 * A whole message: what arrives in pieces is what arrives at once, every verdict
 * has a reason, and nothing that nobody signed passes. Keys are those of
 * RFC8463-A, at whatever name is asked.
 */
#include "dkim/verify.h"

#include "base/err.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#define NOW_US INT64_C(1528637909000000)

static enum err lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                       struct dns_answer *out) {
    static const char ed25519[] = "\x39"
                                  "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    (void)client;
    (void)type;
    *out = (struct dns_answer){.canonical = name, .status = name.n % 7 == 0 ? DNS_TEMPORARY : DNS_OK};
    out->data = ARENA_NEW(arena, struct dns_rdata);
    if (!out->data)
        return ERR_LIMIT;
    out->data->data = view_of(ed25519, sizeof(ed25519) - 1);
    out->data_n = out->status == DNS_OK ? 1 : 0;
    return ERR_OK;
}

static struct dkim_input *feed(const struct dkim_crypto *crypto, struct view message, struct random *random) {
    struct dkim_input *input;
    if (dkim_input_new(crypto, &input) != ERR_OK)
        abort();
    if (message.n & 1)
        dkim_input_fix_lines(input);
    for (size_t at = 0; at < message.n;) {
        size_t step = random ? (size_t)random_below(random, 9) : message.n;
        if (dkim_input_feed(input, view_sub(message, at, step)) != ERR_OK)
            abort();
        at += step;
    }
    if (dkim_input_end(input) != ERR_OK)
        abort();
    return input;
}

static bool same_signature(const struct dkim_verdict *a, const struct dkim_verdict *b) {
    return a->result == b->result && view_eq(a->why, b->why) && a->body_octets == b->body_octets &&
           memcmp(a->body_hash, b->body_hash, sizeof(a->body_hash)) == 0 &&
           view_eq(a->signature.raw, b->signature.raw) && a->signature.names_n == b->signature.names_n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dkim_crypto *crypto; /* as a process has one */
    if (!crypto && dkim_crypto_new(&crypto) != ERR_OK)
        return 0;
    struct view message = view_of(data, size);
    struct random_seeded rs;
    random_seeded_init(&rs, size);
    struct arena *arena = arena_new("fuzz", 2 * DKIM_ARENA_BUDGET);
    struct dns_client dns = {.lookup = lookup};
    struct dkim_input *inputs[2] = {feed(crypto, message, NULL), feed(crypto, message, &rs.random)};
    struct dkim_report reports[2];
    for (size_t i = 0; i < 2; i++) {
        enum err err = dkim_verify(inputs[i], &dns, NOW_US, NULL, arena, &reports[i]);
        BUG_IF(err != ERR_OK);
    }
    BUG_IF(reports[0].n != reports[1].n || reports[0].result != reports[1].result);
    for (size_t i = 0; i < reports[0].n; i++) {
        const struct dkim_verdict *verdict = &reports[0].verdicts[i];
        BUG_IF(!same_signature(verdict, &reports[1].verdicts[i]));
        BUG_IF((verdict->why.n == 0) != (verdict->result == DKIM_PASS));
        BUG_IF(verdict->result == DKIM_NONE);
        BUG_IF(verdict->result == DKIM_PASS && (!verdict->is_body_intact || !verdict->signature.is_from_signed));
    }
    dkim_input_free(inputs[0]);
    dkim_input_free(inputs[1]);
    arena_free(arena);
    return 0;
}
