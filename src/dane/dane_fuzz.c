/* TLSA records from hostile zones, and certificates from hostile servers: bounded, and consistent with themselves. */
#include "dane/match.h"

#include <stdlib.h>

#define WALL_US (INT64_C(1790000000) * US_PER_S)

static void check(bool holds) {
    if (!holds)
        abort();
}

/* Pieces with a length of two octets before each; the first is a certificate, the others are records. */
static struct view piece(struct view *octets) {
    if (octets->n < 2) {
        *octets = VIEW_NONE;
        return VIEW_NONE;
    }
    size_t n = (size_t)octets->p[0] << 8 | octets->p[1];
    struct view out = view_sub(*octets, 2, n);
    *octets = view_skip(*octets, 2 + n);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view octets = view_of(data, size), certificate = piece(&octets);
    struct dane_record records[DANE_RECORDS_MAX + 4] = {0};
    struct dane_result result = {.status = DANE_SECURE, .base = VIEW("mx.example"), .records = records};
    size_t n = 0;
    while (n < ARRAY_LEN(records) && octets.n) {
        struct view rdata = piece(&octets);
        if (tlsa_parse(rdata, &records[n].tlsa) == ERR_OK) {
            check(records[n].tlsa.data.n + 3 == rdata.n);
            n++;
        }
    }
    result.records_n = n;
    result.usable_n = dane_judge(records, n);
    check(result.usable_n <= n && result.usable_n <= DANE_RECORDS_MAX);
    size_t usable = 0;
    for (size_t i = 0; i < n; i++) {
        usable += records[i].use == TLSA_USABLE;
        check(records[i].use != TLSA_USABLE ||
              (records[i].tlsa.usage >= TLSA_DANE_TA && records[i].tlsa.selector <= 1));
    }
    check(usable == result.usable_n);
    struct arena *arena = arena_new("fuzz", 1 << 20);
    struct tlsa own;
    if (arena && tlsa_of_certificate(certificate, arena, &own) == ERR_OK) {
        bool is_same = false;
        check(tlsa_matches(&own, certificate, &is_same) == ERR_OK && is_same);
    }
    struct dane_match match;
    if (result.usable_n && dane_match_chain(&certificate, 1, &result, WALL_US, &match) == ERR_OK && match.is_matched) {
        /* Whatever the library says matches, matches for us. */
        bool is_same = false;
        check(match.record && match.record->use == TLSA_USABLE);
        if (match.depth == 0)
            check(tlsa_matches(&match.record->tlsa, certificate, &is_same) == ERR_OK && is_same);
    }
    arena_free(arena);
    return 0;
}
