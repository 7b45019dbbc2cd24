/*
 * A hash map from octets (or 64-bit numbers) to pointers, keyed (SipHash with a
 * random key) so that a peer cannot choose collisions. Keys are copied.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/view.h"

struct map;

/* seed: 16 random octets (the caller's randomness). limit: entries at most. NULL without memory. */
struct map *map_new(const uint8_t seed[16], size_t limit);
/* Frees the map, not the values. */
void map_free(struct map *map);
size_t map_count(const struct map *map);
/* The value, or NULL. */
void *map_get(const struct map *map, struct view key);
/* Adds or replaces; value must not be NULL. ERR_LIMIT, ERR_NO_MEMORY. */
enum err map_put(struct map *map, struct view key, void *value) MUST_CHECK;
/* Removes and returns the value, or NULL. */
void *map_remove(struct map *map, struct view key);
void *map_get_u64(const struct map *map, uint64_t key);
enum err map_put_u64(struct map *map, uint64_t key, void *value) MUST_CHECK;
void *map_remove_u64(struct map *map, uint64_t key);
/* Iteration in no order: start with *cursor = 0; false at the end. The current entry may be removed meanwhile. */
bool map_next(const struct map *map, size_t *cursor, struct view *key, void **value);

/* SipHash-2-4 of v under a 16-octet key. */
uint64_t siphash(const uint8_t key[16], struct view v);

#endif
