/*
 * Canonical bodies: pieces give what the whole gives, octet for octet and hash
 * for hash; and a canonical body is its own canonical form. The first octet seeds
 * the cuts.
 */
#include "base/err.h"
#include "base/random.h"
#include "dkim/canon.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX 200000

static void check_hash(const struct dkim_crypto *crypto, const struct dkim_body *body, enum dkim_canon canon,
                       uint64_t length, struct view whole) {
    uint8_t ours[DKIM_DIGEST_SIZE], theirs[DKIM_DIGEST_SIZE];
    uint64_t octets;
    if (dkim_body_hash(body, canon, length, ours, &octets) != ERR_OK ||
        dkim_digest(crypto, view_sub(whole, 0, (size_t)MIN(length, (uint64_t)whole.n)), theirs) != ERR_OK)
        abort();
    BUG_IF(octets != whole.n || memcmp(ours, theirs, sizeof(ours)) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dkim_crypto *crypto; /* as a process has one */
    if (!crypto && dkim_crypto_new(&crypto) != ERR_OK)
        return 0;
    if (size == 0 || size > BODY_MAX / 4)
        return 0;
    struct random_seeded rs;
    random_seeded_init(&rs, data[0]);
    struct view text = view_of(data + 1, size - 1);
    struct dkim_body *body;
    if (dkim_body_new(crypto, &body) != ERR_OK)
        abort();
    for (unsigned c = 0; c < 2; c++)
        if (dkim_body_want(body, (enum dkim_canon)c, DKIM_BODY_WHOLE) != ERR_OK ||
            dkim_body_want(body, (enum dkim_canon)c, data[0]) != ERR_OK)
            abort();
    for (size_t at = 0; at < text.n;) {
        size_t step = (size_t)random_below(&rs.random, 7);
        dkim_body_feed(body, view_sub(text, at, step));
        at += step;
    }
    if (dkim_body_end(body) != ERR_OK)
        abort();
    for (unsigned c = 0; c < 2; c++) {
        struct buf once, twice;
        buf_init(&once, BODY_MAX);
        buf_init(&twice, BODY_MAX);
        dkim_put_body(&once, (enum dkim_canon)c, text);
        check_hash(crypto, body, (enum dkim_canon)c, DKIM_BODY_WHOLE, buf_view(&once));
        check_hash(crypto, body, (enum dkim_canon)c, data[0], buf_view(&once));
        dkim_put_body(&twice, (enum dkim_canon)c, buf_view(&once));
        BUG_IF(!view_eq(buf_view(&once), buf_view(&twice)));
        buf_clear(&twice);
        dkim_put_field(&twice, (enum dkim_canon)c, text, false);
        buf_clear(&once);
        dkim_put_field(&once, (enum dkim_canon)c, buf_view(&twice), false);
        BUG_IF(!view_eq(buf_view(&once), buf_view(&twice)));
        buf_fini(&twice);
        buf_fini(&once);
    }
    dkim_body_free(body);
    return 0;
}
