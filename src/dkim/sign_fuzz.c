/*
 * What we sign, we verify: any message with a From, in every canonical form. The
 * first octet chooses form and line ends.
 */
#include "dkim/sign.h"

#include "base/err.h"
#include "dkim/verify.h"

#include <stdlib.h>

#define NOW_US INT64_C(1528637909000000)
#define OUT_MAX ((size_t)4 * 1024 * 1024)

/* RFC8463-A.2 */
static const uint8_t private_key[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
                                      0x04, 0x22, 0x04, 0x20, 0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                      0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69,
                                      0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};

struct fuzz_signer {
    struct dkim_signer signer;
    struct dkim_private_key *key;
};

static enum err sign(struct dkim_signer *signer, struct view domain, struct view selector,
                     enum dkim_algorithm algorithm, const uint8_t *digest, struct buf *out) {
    (void)domain;
    (void)selector;
    (void)algorithm;
    return dkim_private_key_sign(((struct fuzz_signer *)signer)->key, digest, out);
}

static enum err lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                       struct dns_answer *out) {
    static const char record[] = "\x39"
                                 "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    (void)client;
    (void)type;
    *out = (struct dns_answer){.canonical = name, .status = DNS_OK};
    out->data = ARENA_NEW(arena, struct dns_rdata);
    if (!out->data)
        return ERR_LIMIT;
    out->data->data = view_of(record, sizeof(record) - 1);
    out->data_n = 1;
    return ERR_OK;
}

static struct dkim_input *feed(const struct dkim_crypto *crypto, bool fixes, struct view before, struct view message,
                               enum dkim_canon canon) {
    struct dkim_input *input;
    if (dkim_input_new(crypto, &input) != ERR_OK || dkim_input_want(input, canon, DKIM_BODY_WHOLE) != ERR_OK)
        abort();
    if (fixes)
        dkim_input_fix_lines(input);
    if (dkim_input_feed(input, before) != ERR_OK || dkim_input_feed(input, message) != ERR_OK ||
        dkim_input_end(input) != ERR_OK)
        abort();
    return input;
}

/* A field in front changes how the rest is read: a first line that continues one. */
static bool is_odd(struct view message) {
    return message.n == 0 || message.p[0] == ' ' || message.p[0] == '\t';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dkim_crypto *crypto; /* as a process has one */
    static struct fuzz_signer signer = {.signer = {.sign = sign}};
    if (!crypto && (dkim_crypto_new(&crypto) != ERR_OK ||
                    dkim_private_key_load(crypto, view_of(private_key, sizeof(private_key)), &signer.key) != ERR_OK))
        abort();
    if (size == 0)
        return 0;
    struct view message = view_of(data + 1, size - 1);
    bool fixes = data[0] & 4;
    if (is_odd(message))
        return 0;
    struct dkim_sign_options options = {.domain = VIEW("example.org"),
                                        .header_canon = data[0] & 1 ? DKIM_RELAXED : DKIM_SIMPLE,
                                        .body_canon = data[0] & 2 ? DKIM_RELAXED : DKIM_SIMPLE,
                                        .now_us = NOW_US};
    static const struct dkim_sign_key keys[2] = {{VIEW_INIT("a"), DKIM_ED25519_SHA256},
                                                 {VIEW_INIT("b"), DKIM_ED25519_SHA256}};
    struct arena *arena = arena_new("fuzz", 4 * DKIM_ARENA_BUDGET);
    struct dns_client dns = {.lookup = lookup};
    struct buf fields;
    buf_init(&fields, OUT_MAX);
    struct dkim_input *plain = feed(crypto, fixes, VIEW_NONE, message, options.body_canon);
    if (dkim_sign(plain, &options, keys, 2, &signer.signer, arena, &fields) == ERR_OK) {
        struct dkim_input *signed_one = feed(crypto, fixes, buf_view(&fields), message, options.body_canon);
        struct dkim_report report;
        if (dkim_verify(signed_one, &dns, NOW_US, NULL, arena, &report) != ERR_OK)
            abort();
        BUG_IF(!dkim_input_is_over(signed_one) && report.n < 2);
        for (size_t i = 0; i < 2 && !dkim_input_is_over(signed_one); i++)
            BUG_IF(report.verdicts[i].result != DKIM_PASS);
        dkim_input_free(signed_one);
    }
    dkim_input_free(plain);
    buf_fini(&fields);
    arena_free(arena);
    return 0;
}
