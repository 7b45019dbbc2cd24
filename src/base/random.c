/* Randomness: the kernel's generator, and a seeded one for tests and simulation. */
#include "base/random.h"

#include "base/map.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void system_fill(struct random *random, void *p, size_t n) {
    (void)random;
    uint8_t *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            /* There is no safe way on without randomness. */
            BUG_IF(errno != EINTR);
            continue;
        }
        at += got;
        n -= (size_t)got;
    }
}

struct random *random_system(void) {
    static const struct random random = {system_fill};
    return (struct random *)&random;
}

static void store_le64(uint8_t *p, uint64_t value) {
    for (size_t i = 0; i < 8; i++, value >>= 8)
        p[i] = (uint8_t)value;
}

static void seeded_fill(struct random *random, void *p, size_t n) {
    struct random_seeded *rs = (struct random_seeded *)random;
    uint8_t key[16] = {0}, count[8], block[8];
    store_le64(key, rs->seed);
    uint8_t *at = p;
    while (n > 0) {
        store_le64(count, rs->counter++);
        store_le64(block, siphash(key, view_of(count, sizeof(count))));
        size_t part = MIN(n, sizeof(block));
        memcpy(at, block, part);
        at += part;
        n -= part;
    }
}

void random_seeded_init(struct random_seeded *rs, uint64_t seed) {
    *rs = (struct random_seeded){{seeded_fill}, seed, 0};
}

void random_fill(struct random *random, void *p, size_t n) {
    random->fill(random, p, n);
}

uint64_t random_u64(struct random *random) {
    uint64_t value;
    random->fill(random, &value, sizeof(value));
    return value;
}

uint64_t random_below(struct random *random, uint64_t bound) {
    BUG_IF(bound == 0);
    /* The lowest 2^64 mod bound values are drawn again, so that every remainder is equally likely. */
    uint64_t least = (0 - bound) % bound, value;
    do
        value = random_u64(random);
    while (value < least);
    return value % bound;
}
