/* Verdicts about signatures. */
#include "dkim/verify.h"

#include <string.h>

struct view dkim_result_name(enum dkim_result result) {
    static const struct view names[] = {
        [DKIM_NONE] = VIEW_INIT("none"),           [DKIM_PASS] = VIEW_INIT("pass"),
        [DKIM_FAIL] = VIEW_INIT("fail"),           [DKIM_POLICY] = VIEW_INIT("policy"),
        [DKIM_NEUTRAL] = VIEW_INIT("neutral"),     [DKIM_TEMPERROR] = VIEW_INIT("temperror"),
        [DKIM_PERMERROR] = VIEW_INIT("permerror"),
    };
    return names[result];
}

static enum err conclude(struct dkim_verdict *verdict, enum dkim_result result, const char *why) {
    verdict->result = result;
    verdict->why = view_cstr(why);
    return ERR_OK;
}

/* ---- the key ---- */

/* RFC6376-3.6.1: i= may be below d= only if the key allows it. Compared as written: who uses t=s writes the same twice. */
static bool is_identity_strict(const struct dkim_signature *signature) {
    ssize_t at = view_rfind_byte(signature->identity, '@');
    struct view domain = at < 0 ? VIEW_NONE : view_skip(signature->identity, (size_t)at + 1);
    return view_eq_nocase(domain, signature->domain) || view_eq_nocase(domain, signature->domain_as_written);
}

/* RFC6376-6.1.2: what of the record forbids this signature, or NULL. */
static const char *key_objection(const struct dkim_key_record *record, const struct dkim_signature *signature) {
    if (record->is_revoked)
        return "the key is revoked";
    if (!record->allows_sha256)
        return "h= of the key does not allow sha256";
    if (!record->allows_email)
        return "s= of the key does not allow email";
    if (record->algorithm != signature->algorithm)
        return "k= of the key is not the type that a= needs";
    if (record->is_strict && signature->identity.n > 0 && !is_identity_strict(signature))
        return "t=s of the key does not allow i= below d=";
    return NULL;
}

static enum err try_record(const struct dkim_crypto *crypto, const struct dkim_key_record *record,
                           const uint8_t *digest, struct dkim_verdict *verdict) {
    verdict->is_testing = record->is_testing;
    verdict->key_bits = 0;
    const char *objection = key_objection(record, &verdict->signature);
    if (objection)
        return conclude(verdict, DKIM_PERMERROR, objection);
    struct dkim_public_key *key;
    enum err err = dkim_public_key_new(crypto, record->algorithm, record->data, &key);
    if (err == ERR_LIMIT)
        return conclude(verdict, DKIM_PERMERROR, "the key is longer than 8192 bits, or its exponent is absurd");
    if (err == ERR_SYNTAX)
        return conclude(verdict, DKIM_PERMERROR, "p= is no public key of its type");
    TRY(err);
    verdict->key_bits = dkim_public_key_bits(key);
    /* RFC8301-3.2 */
    if (record->algorithm == DKIM_RSA_SHA256 && verdict->key_bits < DKIM_RSA_BITS_MIN)
        err = conclude(verdict, DKIM_PERMERROR, "the key is shorter than 1024 bits");
    else if (dkim_public_key_verify(key, digest, verdict->signature.b))
        err = conclude(verdict, DKIM_PASS, "");
    else
        err = conclude(verdict, DKIM_FAIL,
                       "the signature does not verify: signed fields were changed, or the key is another");
    dkim_public_key_free(key);
    return err;
}

enum err dkim_verify_digest(const struct dkim_crypto *crypto, struct dns_client *dns, struct arena *arena,
                            const uint8_t digest[DKIM_DIGEST_SIZE], struct dkim_verdict *verdict) {
    const struct dkim_signature *signature = &verdict->signature;
    /* RFC8301-3.1 */
    if (signature->is_sha1)
        return conclude(verdict, DKIM_PERMERROR, "rsa-sha1 is not accepted any more");
    TRY(dkim_key_lookup(dns, signature->selector, signature->domain, arena, &verdict->key));
    verdict->security = verdict->key.security;
    if (verdict->key.status != DKIM_KEY_OK) {
        verdict->result = verdict->key.status == DKIM_KEY_TEMPORARY ? DKIM_TEMPERROR : DKIM_PERMERROR;
        return arena_printf(arena, &verdict->why, "no key: %.*s", VIEW_FMT(verdict->key.why));
    }
    /* RFC6376-6.1.2: of several records each is tried; what is said is about the last. */
    for (size_t i = 0; i < verdict->key.n; i++) {
        TRY(try_record(crypto, &verdict->key.records[i], digest, verdict));
        if (verdict->result == DKIM_PASS)
            break;
    }
    return ERR_OK;
}

/* ---- one signature ---- */

/* RFC6376-6.1.3: the body. False: that is the verdict. */
static enum err check_body(const struct dkim_input *input, struct dkim_verdict *verdict, bool *goes_on) {
    const struct dkim_signature *signature = &verdict->signature;
    *goes_on = false;
    enum err err = dkim_input_body_hash(input, signature->body_canon, signature->length, verdict->body_hash,
                                        &verdict->body_octets);
    if (err == ERR_NOT_FOUND)
        return conclude(verdict, DKIM_NEUTRAL, "the signatures of this message name too many different l=");
    TRY(err);
    verdict->is_body_hash_made = true;
    if (signature->length != DKIM_BODY_WHOLE && signature->length > verdict->body_octets)
        return conclude(verdict, DKIM_PERMERROR, "l= is longer than the body");
    if (signature->length != DKIM_BODY_WHOLE)
        verdict->unsigned_octets = verdict->body_octets - signature->length;
    verdict->is_body_intact = view_eq(view_of(verdict->body_hash, DKIM_DIGEST_SIZE), signature->bh);
    *goes_on = true;
    return ERR_OK;
}

static enum err apply_options(const struct dkim_options *options, struct dkim_verdict *verdict) {
    if (!options || verdict->result != DKIM_PASS)
        return ERR_OK;
    if (options->refuses_partial && verdict->unsigned_octets > 0)
        return conclude(verdict, DKIM_POLICY, "l= leaves the end of the body unsigned");
    if (options->refuses_insecure_key && verdict->security != DNS_SECURE)
        return conclude(verdict, DKIM_POLICY, "the key is not protected by DNSSEC");
    return ERR_OK;
}

enum err dkim_verify_signature(const struct dkim_input *input, struct dns_client *dns, int64_t now_us,
                               const struct dkim_options *options, struct arena *arena, struct dkim_verdict *verdict) {
    const struct dkim_signature *signature = &verdict->signature;
    bool goes_on;
    TRY(check_body(input, verdict, &goes_on));
    if (!goes_on)
        return ERR_OK;
    uint8_t digest[DKIM_DIGEST_SIZE];
    TRY(dkim_signature_hash(input, signature, digest));
    TRY(dkim_verify_digest(dkim_input_crypto(input), dns, arena, digest, verdict));
    verdict->is_expired = signature->expires_us >= 0 && now_us > signature->expires_us;
    if (verdict->result == DKIM_PASS && !verdict->is_body_intact)
        return conclude(verdict, DKIM_FAIL, "the body was changed: its hash is not bh=");
    /* RFC6376-6.1.1: an expired signature is PERMFAIL, however good it was. */
    if (verdict->result == DKIM_PASS && verdict->is_expired)
        return conclude(verdict, DKIM_PERMERROR, "the signature has expired (x=)");
    return apply_options(options, verdict);
}

/* ---- a message ---- */

/* Which verdict speaks for the message: the higher, the more it says. */
static unsigned rank(enum dkim_result result) {
    static const enum dkim_result order[] = {DKIM_NONE,   DKIM_NEUTRAL,   DKIM_PERMERROR, DKIM_FAIL,
                                             DKIM_POLICY, DKIM_TEMPERROR, DKIM_PASS};
    unsigned i = 0;
    while (order[i] != result)
        i++;
    return i;
}

static enum err verify_field(const struct dkim_input *input, const struct dkim_field *field, struct dns_client *dns,
                             int64_t now_us, const struct dkim_options *options, struct arena *arena,
                             struct dkim_verdict *verdict) {
    const char *why = "";
    enum err err = dkim_signature_parse(DKIM_SIGNATURE_DKIM, field, arena, &verdict->signature, &why);
    if (err == ERR_SYNTAX)
        return conclude(verdict, DKIM_PERMERROR, why); /* RFC6376-6.1.1: signature syntax error */
    TRY(err);
    return dkim_verify_signature(input, dns, now_us, options, arena, verdict);
}

static enum err report_over(struct arena *arena, struct dkim_report *report) {
    report->verdicts = ARENA_ARRAY(arena, 1, struct dkim_verdict);
    if (!report->verdicts)
        return ERR_LIMIT;
    report->n = 1;
    report->result = DKIM_NEUTRAL;
    return conclude(report->verdicts, DKIM_NEUTRAL, "the header is too long to be looked at");
}

enum err dkim_verify(const struct dkim_input *input, struct dns_client *dns, int64_t now_us,
                     const struct dkim_options *options, struct arena *arena, struct dkim_report *out) {
    struct dkim_report report = {.result = DKIM_NONE};
    if (dkim_input_is_over(input)) {
        TRY(report_over(arena, &report));
        *out = report;
        return ERR_OK;
    }
    report.verdicts = ARENA_ARRAY(arena, DKIM_SIGNATURES_MAX, struct dkim_verdict);
    if (!report.verdicts)
        return ERR_LIMIT;
    size_t n;
    const struct dkim_field *fields = dkim_input_fields(input, &n);
    for (size_t i = 0; i < n; i++) {
        if (!view_eq_nocase(fields[i].name, VIEW("DKIM-Signature")))
            continue;
        if (report.n == DKIM_SIGNATURES_MAX) {
            report.skipped++;
            continue;
        }
        struct dkim_verdict *verdict = &report.verdicts[report.n++];
        TRY(verify_field(input, &fields[i], dns, now_us, options, arena, verdict));
        if (rank(verdict->result) > rank(report.result))
            report.result = verdict->result;
    }
    *out = report;
    return ERR_OK;
}
