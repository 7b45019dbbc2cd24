/*
 * bench_dkim: one message of 10 KB verified and signed again and again, key and
 * DNS answer at hand. It leaves the message and the keys in --dir, where
 * bench_opendkim does the same with opendkim's library (whose functions have the
 * names of ours, so it is a program of its own).
 */
#include "bench/bench.h"

#include "dkim/sign.h"
#include "dkim/verify.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SIZE 10240
#define NOW_US (INT64_C(1528637909) * US_PER_S)
#define PATH_MAX_OCTETS 4096
#define KEY_BITS 2048

struct job {
    struct dkim_signer signer; /* first: found again from it */
    struct dns_client dns;
    struct dkim_crypto *crypto;
    struct dkim_private_key *keys[2]; /* by algorithm */
    struct buf wires[2];              /* TXT records of them */
    struct arena *arena;
    struct buf plain, signeds[2];
};

static enum err sign(struct dkim_signer *signer, struct view domain, struct view selector,
                     enum dkim_algorithm algorithm, const uint8_t *digest, struct buf *out) {
    struct job *job = (struct job *)signer;
    (void)domain;
    (void)selector;
    return dkim_private_key_sign(job->keys[algorithm], digest, out);
}

static enum err lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                       struct dns_answer *out) {
    struct job *job = (struct job *)((uint8_t *)client - offsetof(struct job, dns));
    (void)type;
    *out = (struct dns_answer){.status = DNS_OK, .canonical = name};
    out->data = ARENA_NEW(arena, struct dns_rdata);
    if (!out->data)
        return ERR_LIMIT;
    out->data->data = buf_view(&job->wires[view_starts(name, VIEW("ed")) ? DKIM_ED25519_SHA256 : DKIM_RSA_SHA256]);
    out->data_n = 1;
    return ERR_OK;
}

static void save(struct view folder, const char *name, struct view content) {
    char path[PATH_MAX_OCTETS];
    (void)snprintf(path, sizeof(path), "%.*s/%s", VIEW_FMT(folder), name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(content.p, 1, content.n, f) != content.n || fclose(f) != 0)
        bench_die("cannot write", path);
}

static struct view make_pem(bool is_rsa, struct buf *out) {
    EVP_PKEY *pkey = is_rsa ? EVP_RSA_gen(KEY_BITS) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    if (!pkey || !bio || PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1)
        bench_die("OpenSSL makes no key", "");
    long n = BIO_get_mem_data(bio, &p);
    buf_put(out, view_of(p, (size_t)n));
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return buf_view(out);
}

static void make_key(struct job *job, enum dkim_algorithm algorithm, struct view folder, struct buf *table) {
    struct buf pem, data, record;
    buf_init(&pem, 8192);
    buf_init(&data, 4096);
    buf_init(&record, 8192);
    buf_init(&job->wires[algorithm], 8192);
    bool is_rsa = algorithm == DKIM_RSA_SHA256;
    struct view text = make_pem(is_rsa, &pem);
    if (dkim_private_key_load(job->crypto, text, &job->keys[algorithm]) != ERR_OK ||
        dkim_private_key_put_public(job->keys[algorithm], &data) != ERR_OK)
        bench_die("no key", "");
    dkim_put_key_record(&record, algorithm, buf_view(&data), false);
    for (struct view rest = buf_view(&record); rest.n > 0;) {
        struct view piece = view_sub(rest, 0, DKIM_TXT_PIECE);
        buf_put_byte(&job->wires[algorithm], (uint8_t)piece.n);
        buf_put(&job->wires[algorithm], piece);
        rest = view_skip(rest, piece.n);
    }
    buf_put_str(table, is_rsa ? "rsa._domainkey.load.example " : "ed._domainkey.load.example ");
    buf_put(table, buf_view(&record));
    buf_put_str(table, "\n");
    save(folder, is_rsa ? "rsa.pem" : "ed.pem", text);
    buf_fini(&record);
    buf_fini(&data);
    buf_fini(&pem);
}

static enum err verify_once(struct job *job, struct view message) {
    struct dkim_input *input;
    struct dkim_report report;
    TRY(dkim_input_new(job->crypto, &input));
    enum err err = dkim_input_feed(input, message);
    if (err == ERR_OK)
        err = dkim_input_end(input);
    if (err == ERR_OK)
        err = dkim_verify(input, &job->dns, NOW_US, NULL, job->arena, &report);
    if (err == ERR_OK && report.result != DKIM_PASS)
        bench_die("it does not verify", (const char *)report.verdicts[0].why.p);
    dkim_input_free(input);
    arena_clear(job->arena);
    return err;
}

static enum err sign_once(struct job *job, enum dkim_algorithm algorithm, struct buf *out) {
    struct dkim_input *input;
    TRY(dkim_input_new(job->crypto, &input));
    struct dkim_sign_key key = {algorithm == DKIM_RSA_SHA256 ? VIEW("rsa") : VIEW("ed"), algorithm};
    struct dkim_sign_options options = {
        .domain = VIEW("load.example"), .header_canon = DKIM_RELAXED, .body_canon = DKIM_RELAXED, .now_us = NOW_US};
    enum err err = dkim_input_want(input, DKIM_RELAXED, DKIM_BODY_WHOLE);
    if (err == ERR_OK)
        err = dkim_input_feed(input, buf_view(&job->plain));
    if (err == ERR_OK)
        err = dkim_input_end(input);
    if (err == ERR_OK)
        err = dkim_sign(input, &options, &key, 1, &job->signer, job->arena, out);
    dkim_input_free(input);
    arena_clear(job->arena);
    return err;
}

/* Of this process: on a machine where others work too, the wall would count their work. */
static double cpu_s(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs for `ms` and prints how often it went in a second of the processor. */
static void measure(struct job *job, bool is_verify, enum dkim_algorithm algorithm, uint64_t ms, struct buf *out) {
    struct buf fields;
    buf_init(&fields, 1 << 20);
    double began = cpu_s(), now = began;
    uint64_t n = 0;
    for (; now - began < (double)ms / 1000; now = cpu_s(), n++) {
        buf_clear(&fields);
        enum err err =
            is_verify ? verify_once(job, buf_view(&job->signeds[algorithm])) : sign_once(job, algorithm, &fields);
        if (err != ERR_OK)
            bench_die(is_verify ? "verify" : "sign", err_name(err));
    }
    buf_fini(&fields);
    buf_printf(out, "{\"bench\":\"dkim\",\"what\":\"%s %s\",\"reader\":\"veredus\",\"per_second\":%.0f}",
               is_verify ? "verify" : "sign", algorithm == DKIM_RSA_SHA256 ? "rsa-sha256" : "ed25519-sha256",
               (double)n / (now - began));
    bench_print(out);
}

int main(int argc, char **argv) {
    struct view folder = VIEW(".");
    uint64_t ms = 500;
    const struct bench_option options[] = {
        {"--dir", BENCH_TEXT, &folder, 0, "where the message and the keys are left for bench_opendkim"},
        {"--ms", BENCH_NUMBER, &ms, 100000, "milliseconds for each measurement"},
    };
    bench_options(argc, argv, options, ARRAY_LEN(options));
    struct job job = {
        .signer = {.sign = sign}, .dns = {.lookup = lookup}, .arena = arena_new("bench", DKIM_ARENA_BUDGET)};
    struct random_seeded rs;
    struct buf table, out;
    buf_init(&table, 20000);
    buf_init(&out, 4096);
    buf_init(&job.plain, 1 << 20);
    random_seeded_init(&rs, 1);
    if (!job.arena || dkim_crypto_new(&job.crypto) != ERR_OK)
        bench_die("no memory", "");
    bench_put_message(&job.plain, &rs.random, 1, SIZE);
    save(folder, "plain.eml", buf_view(&job.plain));
    for (unsigned a = 0; a < 2; a++) {
        make_key(&job, (enum dkim_algorithm)a, folder, &table);
        buf_init(&job.signeds[a], 1 << 20);
        if (sign_once(&job, (enum dkim_algorithm)a, &job.signeds[a]) != ERR_OK)
            bench_die("cannot sign", "");
        buf_put(&job.signeds[a], buf_view(&job.plain));
        save(folder, a == DKIM_RSA_SHA256 ? "rsa.eml" : "ed.eml", buf_view(&job.signeds[a]));
    }
    save(folder, "keys", buf_view(&table));
    for (unsigned i = 0; i < 4; i++)
        measure(&job, i < 2, (enum dkim_algorithm)(i & 1), ms, &out);
    for (unsigned a = 0; a < 2; a++) {
        buf_fini(&job.signeds[a]);
        buf_fini(&job.wires[a]);
        dkim_private_key_free(job.keys[a]);
    }
    buf_fini(&job.plain);
    buf_fini(&out);
    buf_fini(&table);
    dkim_crypto_free(job.crypto);
    arena_free(job.arena);
    return 0;
}
