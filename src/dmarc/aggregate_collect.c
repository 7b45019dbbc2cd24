/* Rows of a report collected over its period, equal ones merged. */
#include "dmarc/aggregate_internal.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

/* Octets of a row as it is compared: a hundred signatures with long names. */
#define KEY_MAX (256 * 1024)
#define DOMAIN_MAX 255 /* RFC1035-2.3.4 */

struct aggregate_collection {
    struct arena *arena;
    struct map *map; /* from the digest of a row's text without its count to the row */
    uint8_t keys[2][16];
    struct aggregate_row *rows; /* rows_max, and one for the rest */
    size_t rows_n, rows_max;
    bool has_rest; /* the last row is what came over the limit; its memory is here, so that there is always some */
    struct aggregate_reason rest_reason;
    uint8_t rest_from[DOMAIN_MAX];
    struct buf key;
};

enum err aggregate_collection_new(size_t rows_max, size_t budget, const uint8_t seed[16],
                                  struct aggregate_collection **out) {
    struct aggregate_collection *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return ERR_NO_MEMORY;
    c->rows_max = MIN(MAX(rows_max, 1), AGGREGATE_COLLECT_MAX);
    c->arena = arena_new("aggregate", budget);
    c->map = map_new(seed, c->rows_max);
    c->rows = calloc(c->rows_max + 1, sizeof(*c->rows));
    buf_init(&c->key, KEY_MAX);
    for (size_t i = 0; i < sizeof(c->keys[0]); i++) {
        c->keys[0][i] = seed[i];
        c->keys[1][i] = seed[i] ^ 0x5A; /* another function, as secret as the first */
    }
    if (c->arena == NULL || c->map == NULL || c->rows == NULL) {
        aggregate_collection_free(c);
        return ERR_NO_MEMORY;
    }
    *out = c;
    return ERR_OK;
}

void aggregate_collection_free(struct aggregate_collection *c) {
    if (c == NULL)
        return;
    arena_free(c->arena);
    map_free(c->map);
    buf_fini(&c->key);
    free(c->rows);
    free(c);
}

static enum err copy_text(struct arena *arena, struct view *text) {
    return text->p == NULL ? ERR_OK : arena_view(arena, *text, text);
}

static enum err copy_results(struct arena *arena, struct aggregate_auth **list, size_t *n) {
    *n = MIN(*n, AGGREGATE_RESULTS_MAX);
    struct aggregate_auth *copy = ARENA_ARRAY(arena, *n, struct aggregate_auth);
    if (copy == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < *n; i++) {
        copy[i] = (*list)[i];
        TRY(copy_text(arena, &copy[i].domain));
        TRY(copy_text(arena, &copy[i].selector));
        TRY(copy_text(arena, &copy[i].human_result));
    }
    *list = copy;
    return ERR_OK;
}

/* ERR_LIMIT: the arena; what was allocated stays, which is no more than the budget. */
static enum err copy_row(struct arena *arena, const struct aggregate_row *from, struct aggregate_row *out) {
    struct aggregate_row row = *from;
    row.reasons_n = MIN(row.reasons_n, AGGREGATE_REASONS_MAX);
    row.source.port = 0;
    row.reasons = ARENA_ARRAY(arena, row.reasons_n, struct aggregate_reason);
    if (row.reasons == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < row.reasons_n; i++) {
        row.reasons[i] = from->reasons[i];
        TRY(copy_text(arena, &row.reasons[i].comment));
    }
    TRY(copy_text(arena, &row.header_from));
    TRY(copy_text(arena, &row.envelope_from));
    TRY(copy_text(arena, &row.envelope_to));
    TRY(copy_results(arena, &row.dkim_results, &row.dkim_results_n));
    TRY(copy_results(arena, &row.spf_results, &row.spf_results_n));
    *out = row;
    return ERR_OK;
}

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX / 2 - MIN(b, UINT64_MAX / 2) ? UINT64_MAX / 2 : a + b;
}

/* One row for all that came over the limit: of the first one's author domain, and from an address that sends nothing. */
static void add_rest(struct aggregate_collection *c, const struct aggregate_row *row) {
    if (!c->has_rest) {
        struct view from = view_sub(row->header_from, 0, DOMAIN_MAX);
        c->has_rest = true;
        c->rest_reason = (struct aggregate_reason){
            AGGREGATE_OTHER, VIEW("these are messages of more sources than this report has rows for")};
        memcpy(c->rest_from, from.p, from.n);
        c->rows[c->rows_n++] = (struct aggregate_row){
            .source = {.family = 4},
            .disposition = AGGREGATE_DISPOSITION_NONE,
            .dkim = AGGREGATE_ALIGNED_FAIL,
            .spf = AGGREGATE_ALIGNED_FAIL,
            .reasons = &c->rest_reason,
            .reasons_n = 1,
            .header_from = view_of(c->rest_from, from.n),
        };
    }
    struct aggregate_row *rest = &c->rows[c->rows_n - 1];
    rest->count = sum(rest->count, row->count);
}

/* 128 bits under a key that nobody outside knows: no two rows are taken for one, and a row costs the map the same, however many
 * signatures it has. */
static struct view digest(const struct aggregate_collection *c, uint64_t out[2]) {
    for (size_t i = 0; i < 2; i++)
        out[i] = siphash(c->keys[i], buf_view(&c->key));
    return view_of(out, 2 * sizeof(*out));
}

enum err aggregate_collection_add(struct aggregate_collection *c, const struct aggregate_row *row) {
    if (row->count == 0)
        return ERR_SYNTAX;
    buf_clear(&c->key);
    enum err err = aggregate_put_record(&c->key, row, 0);
    if (err == ERR_SYNTAX || err == ERR_NO_MEMORY)
        return err;
    uint64_t sums[2];
    struct view key = digest(c, sums);
    struct aggregate_row *known = err == ERR_OK ? map_get(c->map, key) : NULL;
    if (known != NULL) {
        known->count = sum(known->count, row->count);
        return ERR_OK;
    }
    if (err == ERR_OK && !c->has_rest && c->rows_n < c->rows_max) {
        struct aggregate_row *fresh = &c->rows[c->rows_n];
        err = copy_row(c->arena, row, fresh);
        if (err == ERR_OK)
            err = map_put(c->map, key, fresh);
        if (err == ERR_OK) {
            c->rows_n++;
            return ERR_OK;
        }
    }
    add_rest(c, row);
    return ERR_OK;
}

void aggregate_collection_rows(const struct aggregate_collection *c, struct aggregate_report *out) {
    out->rows = c->rows;
    out->rows_n = c->rows_n;
    out->rows_left_out = 0;
}
