/*
 * The hash map: entries lie in one array in the order they came, and an
 * open-addressed table of indexes into it is searched by linear probing.
 * Removing leaves a hole in the array, so iteration is an index that never
 * jumps; holes are squeezed out when the array is full.
 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#define MAP_INLINE_KEY 16 /* keys up to here (addresses, ids) cost no allocation of their own */
#define MAP_SLOTS_FIRST ((size_t)16)
#define MAP_LIMIT_MOST ((size_t)1 << 30) /* indexes are 32 bits, and the table has twice as many slots */

/* Values of a slot; others are 1 + an index into the entries. */
#define SLOT_EMPTY 0u
#define SLOT_GONE UINT32_MAX /* was used: probing goes on past it */

struct entry {
    uint64_t hash;
    void *value; /* NULL: a hole */
    size_t key_n;
    union {
        uint8_t here[MAP_INLINE_KEY];
        uint8_t *there;
    } key;
};

struct map {
    uint8_t seed[16];
    size_t limit;
    size_t count; /* live entries */
    struct entry *entries;
    size_t n, cap; /* entries with holes, allocated */
    uint32_t *slots;
    size_t slot_count; /* a power of two, at least cap * 4 / 3 */
};

static uint64_t load_le64(const uint8_t *p) {
    uint64_t value = 0;
    for (size_t i = 8; i-- > 0;)
        value = value << 8 | p[i];
    return value;
}

static uint64_t rotate(uint64_t x, unsigned by) {
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t siphash(const uint8_t key[16], struct view v) {
    uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
    uint64_t s[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                     k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    uint64_t length = (uint64_t)v.n << 56;
    for (; v.n >= 8; v = view_skip(v, 8)) {
        uint64_t word = load_le64(v.p);
        s[3] ^= word;
        sip_round(s);
        sip_round(s);
        s[0] ^= word;
    }
    uint64_t last = length;
    for (size_t i = 0; i < v.n; i++)
        last |= (uint64_t)v.p[i] << (8 * i);
    s[3] ^= last;
    sip_round(s);
    sip_round(s);
    s[0] ^= last;
    s[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s[0] ^ s[1] ^ s[2] ^ s[3];
}

struct map *map_new(const uint8_t seed[16], size_t limit) {
    struct map *map = calloc(1, sizeof(*map));
    if (map == NULL)
        return NULL;
    memcpy(map->seed, seed, sizeof(map->seed));
    map->limit = MIN(limit, MAP_LIMIT_MOST);
    return map;
}

static struct view entry_key(const struct entry *entry) {
    return view_of(entry->key_n <= MAP_INLINE_KEY ? entry->key.here : entry->key.there, entry->key_n);
}

static void entry_fini(struct entry *entry) {
    if (entry->value != NULL && entry->key_n > MAP_INLINE_KEY)
        free(entry->key.there);
    entry->value = NULL;
}

void map_free(struct map *map) {
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->n; i++)
        entry_fini(&map->entries[i]);
    free(map->entries);
    free(map->slots);
    free(map);
}

size_t map_count(const struct map *map) {
    return map->count;
}

/* The slot of key, or SIZE_MAX. */
static size_t find_slot(const struct map *map, struct view key, uint64_t hash) {
    if (map->count == 0)
        return SIZE_MAX;
    size_t mask = map->slot_count - 1;
    for (size_t slot = hash & mask;; slot = (slot + 1) & mask) {
        uint32_t at = map->slots[slot];
        if (at == SLOT_EMPTY)
            return SIZE_MAX;
        if (at == SLOT_GONE)
            continue;
        const struct entry *entry = &map->entries[at - 1];
        if (entry->hash == hash && view_eq(entry_key(entry), key))
            return slot;
    }
}

static void slot_fill(uint32_t *slots, size_t slot_count, uint64_t hash, size_t index) {
    size_t mask = slot_count - 1, slot = hash & mask;
    while (slots[slot] != SLOT_EMPTY && slots[slot] != SLOT_GONE)
        slot = (slot + 1) & mask;
    slots[slot] = (uint32_t)index + 1;
}

/* New arrays without holes, with room for at least as many entries again. */
static enum err rebuild(struct map *map) {
    size_t slot_count = MAP_SLOTS_FIRST;
    while (slot_count / 8 * 3 < map->count + 1)
        slot_count *= 2;
    size_t cap = slot_count / 4 * 3;
    struct entry *entries = malloc(cap * sizeof(*entries));
    uint32_t *slots = calloc(slot_count, sizeof(*slots));
    if (entries == NULL || slots == NULL) {
        free(entries);
        free(slots);
        return ERR_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < map->n; i++) {
        if (map->entries[i].value == NULL)
            continue;
        entries[n] = map->entries[i];
        slot_fill(slots, slot_count, entries[n].hash, n);
        n++;
    }
    free(map->entries);
    free(map->slots);
    map->entries = entries;
    map->slots = slots;
    map->n = n;
    map->cap = cap;
    map->slot_count = slot_count;
    return ERR_OK;
}

void *map_get(const struct map *map, struct view key) {
    size_t slot = find_slot(map, key, siphash(map->seed, key));
    return slot == SIZE_MAX ? NULL : map->entries[map->slots[slot] - 1].value;
}

enum err map_put(struct map *map, struct view key, void *value) {
    BUG_IF(value == NULL);
    uint64_t hash = siphash(map->seed, key);
    size_t slot = find_slot(map, key, hash);
    if (slot != SIZE_MAX) {
        map->entries[map->slots[slot] - 1].value = value;
        return ERR_OK;
    }
    if (map->count >= map->limit)
        return ERR_LIMIT;
    struct entry entry = {.hash = hash, .value = value, .key_n = key.n};
    if (key.n > MAP_INLINE_KEY) {
        entry.key.there = malloc(key.n);
        if (entry.key.there == NULL)
            return ERR_NO_MEMORY;
        memcpy(entry.key.there, key.p, key.n);
    } else if (key.n > 0) {
        memcpy(entry.key.here, key.p, key.n);
    }
    if (map->n == map->cap) {
        enum err err = rebuild(map);
        if (err != ERR_OK) {
            entry_fini(&entry);
            return err;
        }
    }
    map->entries[map->n] = entry;
    slot_fill(map->slots, map->slot_count, hash, map->n);
    map->n++;
    map->count++;
    return ERR_OK;
}

void *map_remove(struct map *map, struct view key) {
    size_t slot = find_slot(map, key, siphash(map->seed, key));
    if (slot == SIZE_MAX)
        return NULL;
    struct entry *entry = &map->entries[map->slots[slot] - 1];
    void *value = entry->value;
    entry_fini(entry);
    map->slots[slot] = SLOT_GONE;
    map->count--;
    if (map->count == 0) {
        /* Nothing left that a running iteration could miss: start afresh, and small, so that a map that was big once
         * does not clear a big table each time its one entry goes. */
        if (map->slot_count > MAP_SLOTS_FIRST) {
            free(map->entries);
            free(map->slots);
            map->entries = NULL;
            map->slots = NULL;
            map->cap = map->slot_count = 0;
        } else {
            memset(map->slots, 0, map->slot_count * sizeof(*map->slots));
        }
        map->n = 0;
    }
    return value;
}

static struct view key_of_u64(uint64_t key, uint8_t octets[8]) {
    for (size_t i = 8; i-- > 0; key >>= 8)
        octets[i] = (uint8_t)key;
    return view_of(octets, 8);
}

void *map_get_u64(const struct map *map, uint64_t key) {
    uint8_t octets[8];
    return map_get(map, key_of_u64(key, octets));
}

enum err map_put_u64(struct map *map, uint64_t key, void *value) {
    uint8_t octets[8];
    return map_put(map, key_of_u64(key, octets), value);
}

void *map_remove_u64(struct map *map, uint64_t key) {
    uint8_t octets[8];
    return map_remove(map, key_of_u64(key, octets));
}

bool map_next(const struct map *map, size_t *cursor, struct view *key, void **value) {
    while (*cursor < map->n && map->entries[*cursor].value == NULL)
        (*cursor)++;
    if (*cursor >= map->n)
        return false;
    const struct entry *entry = &map->entries[(*cursor)++];
    if (key != NULL)
        *key = entry_key(entry);
    if (value != NULL)
        *value = entry->value;
    return true;
}
