/*
 * A header with ARC sets: the chain's structure is judged to an end, a failure
 * has its reason, and whatever the verdict, a set that we add makes a chain we
 * understand: one that is broken stays so, and is closed.
 */
#include "arc/arc.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define NOW_US INT64_C(1528637909000000)

/* RFC8463-A.2: its RSA key is of 1024 bits. */
static enum err lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                       struct dns_answer *out) {
    static const char rsa[] =
        "\xe1"
        "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
        "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2Ee"
        "C3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
    (void)client;
    (void)type;
    *out = (struct dns_answer){.canonical = name, .status = name.n % 7 == 0 ? DNS_TEMPORARY : DNS_OK};
    out->data = ARENA_NEW(arena, struct dns_rdata);
    if (!out->data)
        return ERR_LIMIT;
    out->data->data = view_of(rsa, sizeof(rsa) - 1);
    out->data_n = out->status == DNS_OK ? 1 : 0;
    return ERR_OK;
}

/* Which key it was is no matter here: the seal of a broken chain is not looked at. */
static enum err sign(struct dkim_signer *signer, struct view domain, struct view selector,
                     enum dkim_algorithm algorithm, const uint8_t *digest, struct buf *out) {
    (void)signer;
    (void)domain;
    (void)selector;
    (void)algorithm;
    buf_put(out, view_of(digest, DKIM_DIGEST_SIZE));
    return buf_err(out);
}

static struct dkim_input *feed(const struct dkim_crypto *crypto, struct view before, struct view message) {
    struct dkim_input *input;
    if (dkim_input_new(crypto, &input) != ERR_OK)
        abort();
    dkim_input_fix_lines(input);
    if (dkim_input_want(input, DKIM_RELAXED, DKIM_BODY_WHOLE) != ERR_OK || dkim_input_feed(input, before) != ERR_OK ||
        dkim_input_feed(input, message) != ERR_OK || dkim_input_end(input) != ERR_OK)
        abort();
    return input;
}

static void seal(const struct dkim_crypto *crypto, const struct dkim_input *input, const struct arc_report *report,
                 struct view message, struct arena *arena) {
    struct dkim_signer signer = {.sign = sign};
    struct dns_client dns = {.lookup = lookup};
    struct arc_seal_options options = {.domain = VIEW("example.org"),
                                       .key = {.selector = VIEW("s"), .algorithm = DKIM_RSA_SHA256},
                                       .results = VIEW("example.org; arc=fail"),
                                       .now_us = NOW_US};
    struct buf out;
    buf_init(&out, 4 * DKIM_HEADER_MAX);
    enum err err = arc_seal(input, report, &options, &signer, arena, &out);
    BUG_IF((err == ERR_DENIED) != (report->is_closed || report->highest == ARC_SETS_MAX) && err != ERR_SYNTAX);
    if (err == ERR_OK) {
        struct dkim_input *sealed = feed(crypto, buf_view(&out), message);
        struct arc_report after;
        if (arc_verify(sealed, &dns, NOW_US, arena, &after) != ERR_OK)
            abort();
        BUG_IF(!dkim_input_is_over(sealed) && after.highest != report->highest + 1);
        BUG_IF(after.is_closed != (report->status == ARC_FAIL) && !dkim_input_is_over(sealed));
        BUG_IF(after.status != ARC_FAIL); /* its signatures are none */
        dkim_input_free(sealed);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dkim_crypto *crypto; /* as a process has one */
    if (!crypto && dkim_crypto_new(&crypto) != ERR_OK)
        return 0;
    struct view message = view_of(data, size);
    struct arena *arena = arena_new("fuzz", 8 * DKIM_ARENA_BUDGET);
    struct dns_client dns = {.lookup = lookup};
    struct dkim_input *input = feed(crypto, VIEW_NONE, message);
    struct arc_report report;
    if (arc_verify(input, &dns, NOW_US, arena, &report) != ERR_OK)
        abort();
    BUG_IF((report.status == ARC_FAIL) != (report.why.n > 0));
    BUG_IF(report.n > ARC_SETS_MAX || report.highest > ARC_SETS_MAX || report.oldest_pass > report.n);
    BUG_IF(report.status == ARC_PASS && (report.n == 0 || report.n != report.highest));
    BUG_IF(report.is_closed && report.status != ARC_FAIL);
    seal(crypto, input, &report, message, arena);
    dkim_input_free(input);
    arena_free(arena);
    return 0;
}
