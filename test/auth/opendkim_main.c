/*
 * opendkim's library judges and signs messages:
 *
 *     auth_opendkim verify KEYS FILE...    prints FILE: pass|WHY, for the first signature that holds
 *     auth_opendkim sign DOMAIN SELECTOR KEYFILE OUTDIR FILE...
 *
 * KEYS: lines of "NAME RECORD". Its own tool, opendkim-testmsg, takes keys from the
 * system's resolver only, and signs with SHA-1. Messages have CRLF.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <opendkim/dkim.h>

#define FILE_MAX (64u << 20)
#define KEY_MAX 16384

static _Noreturn void die(const char *what) {
    (void)fprintf(stderr, "auth_opendkim: %s\n", what);
    exit(2);
}

static size_t slurp(const char *path, unsigned char *p, size_t room) {
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path);
    size_t n = fread(p, 1, room, f);
    (void)fclose(f);
    return n;
}

static DKIM_STAT work(DKIM *dkim, unsigned char *text, size_t n) {
    _Bool is_testing;
    DKIM_STAT status = dkim_chunk(dkim, text, n);
    if (status == DKIM_STAT_OK)
        status = dkim_chunk(dkim, NULL, 0);
    return status == DKIM_STAT_OK ? dkim_eom(dkim, &is_testing) : status;
}

static void verify(DKIM_LIB *lib, const char *path, unsigned char *text) {
    DKIM_STAT status;
    DKIM *dkim = dkim_verify(lib, (const unsigned char *)"test", NULL, &status);
    if (!dkim)
        die("no memory");
    status = work(dkim, text, slurp(path, text, FILE_MAX));
    (void)printf("%s: %s\n", path, status == DKIM_STAT_OK ? "pass" : dkim_getresultstr(status));
    (void)dkim_free(dkim);
}

/* what: domain, selector, key (PEM), folder */
static void sign(DKIM_LIB *lib, unsigned char *const what[4], const char *path, unsigned char *text, unsigned number) {
    DKIM_STAT status;
    DKIM *dkim = dkim_sign(lib, (const unsigned char *)"test", NULL, what[2], what[1], what[0],
                           number & 1 ? DKIM_CANON_RELAXED : DKIM_CANON_SIMPLE,
                           number & 2 ? DKIM_CANON_RELAXED : DKIM_CANON_SIMPLE, DKIM_SIGN_RSASHA256, -1, &status);
    if (!dkim)
        die(dkim_getresultstr(status));
    size_t n = slurp(path, text, FILE_MAX), header_n;
    unsigned char *header;
    status = work(dkim, text, n);
    if (status == DKIM_STAT_OK)
        status = dkim_getsighdr_d(dkim, strlen("DKIM-Signature: "), &header, &header_n);
    if (status == DKIM_STAT_OK) {
        char name[4096];
        const char *base = strrchr(path, '/');
        (void)snprintf(name, sizeof(name), "%s/%s", (const char *)what[3], base ? base + 1 : path);
        FILE *f = fopen(name, "wb");
        if (!f)
            die(name);
        (void)fprintf(f, "DKIM-Signature: ");
        for (size_t i = 0; i < header_n; i++)
            (void)fprintf(f, header[i] == '\n' && (i == 0 || header[i - 1] != '\r') ? "\r%c" : "%c", header[i]);
        (void)fprintf(f, "\r\n");
        (void)fwrite(text, 1, n, f);
        (void)fclose(f);
    }
    (void)dkim_free(dkim);
}

int main(int argc, char **argv) {
    DKIM_LIB *lib = dkim_init(NULL, NULL);
    unsigned char *text = malloc(FILE_MAX);
    if (argc < 4 || !lib || !text)
        die("usage: see opendkim_main.c");
    if (strcmp(argv[1], "verify") == 0) {
        dkim_query_t how = DKIM_QUERY_FILE;
        char keys[4096];
        (void)dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYMETHOD, &how, sizeof(how));
        (void)snprintf(keys, sizeof(keys), "%s", argv[2]);
        (void)dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYINFO, keys, strlen(keys));
        for (int i = 3; i < argc; i++)
            verify(lib, argv[i], text);
    } else if (argc > 6) {
        static unsigned char key[KEY_MAX];
        (void)slurp(argv[4], key, KEY_MAX - 1);
        unsigned char *const what[4] = {(unsigned char *)argv[2], (unsigned char *)argv[3], key,
                                        (unsigned char *)argv[5]};
        for (int i = 6; i < argc; i++)
            sign(lib, what, argv[i], text, (unsigned)i);
    }
    free(text);
    dkim_close(lib);
    return 0;
}
