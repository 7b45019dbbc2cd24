/*
 * bench_opendkim DIR MS: what bench_dkim measures, by opendkim's library, with
 * the message and the keys that bench_dkim left in DIR. Keys come from a file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include <opendkim/dkim.h>

#define FILE_MAX (1u << 20)

static _Noreturn void die(const char *what) {
    (void)fprintf(stderr, "bench_opendkim: %s\n", what);
    exit(1);
}

/* Of this process, as bench_dkim counts. */
static double cpu_s(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned char *slurp(const char *folder, const char *name, size_t *n) {
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    unsigned char *p = calloc(1, FILE_MAX);
    if (!f || !p)
        die(path);
    *n = fread(p, 1, FILE_MAX - 1, f);
    (void)fclose(f);
    return p;
}

static DKIM_STAT run(DKIM *dkim, unsigned char *text, size_t n) {
    _Bool is_testing;
    if (!dkim)
        die("no memory");
    DKIM_STAT status = dkim_chunk(dkim, text, n);
    if (status == DKIM_STAT_OK)
        status = dkim_chunk(dkim, NULL, 0);
    return status == DKIM_STAT_OK ? dkim_eom(dkim, &is_testing) : status;
}

static void measure(DKIM_LIB *lib, const char *what, const unsigned char *key, unsigned char *text, size_t n,
                    double s) {
    double began = cpu_s(), now = began;
    unsigned long count = 0;
    const unsigned char *id = (const unsigned char *)"bench";
    for (; now - began < s; now = cpu_s(), count++) {
        DKIM_STAT status;
        DKIM *dkim = key ? dkim_sign(lib, id, NULL, (dkim_sigkey_t)key, (const unsigned char *)"rsa",
                                     (const unsigned char *)"load.example", DKIM_CANON_RELAXED, DKIM_CANON_RELAXED,
                                     DKIM_SIGN_RSASHA256, -1, &status)
                         : dkim_verify(lib, id, NULL, &status);
        status = run(dkim, text, n);
        if (status != DKIM_STAT_OK)
            die(dkim_getresultstr(status));
        if (key) {
            unsigned char *header;
            size_t header_n;
            if (dkim_getsighdr_d(dkim, 16, &header, &header_n) != DKIM_STAT_OK)
                die("no signature");
        }
        (void)dkim_free(dkim);
    }
    (void)printf("{\"bench\":\"dkim\",\"what\":\"%s\",\"reader\":\"opendkim\",\"per_second\":%.0f}\n", what,
                 (double)count / (now - began));
}

int main(int argc, char **argv) {
    DKIM_LIB *lib = dkim_init(NULL, NULL);
    if (argc != 3 || !lib)
        die("DIR MS");
    dkim_query_t how = DKIM_QUERY_FILE;
    char keys[4096];
    (void)snprintf(keys, sizeof(keys), "%s/keys", argv[1]);
    (void)dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYMETHOD, &how, sizeof(how));
    (void)dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYINFO, keys, strlen(keys));
    size_t key_n, plain_n, signed_n;
    unsigned char *key = slurp(argv[1], "rsa.pem", &key_n), *plain = slurp(argv[1], "plain.eml", &plain_n),
                  *with = slurp(argv[1], "rsa.eml", &signed_n);
    double s = strtod(argv[2], NULL) / 1000;
    measure(lib, "verify rsa-sha256", NULL, with, signed_n, s);
    measure(lib, "sign rsa-sha256", key, plain, plain_n, s);
    free(key);
    free(plain);
    free(with);
    dkim_close(lib);
    return 0;
}
