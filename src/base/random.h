/* Randomness that is passed in: the kernel's, or a seeded one in tests and simulation. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include "base/view.h"

struct random {
    void (*fill)(struct random *random, void *p, size_t n);
};

/* The kernel's generator; constant, shared. */
struct random *random_system(void);

/* Deterministic (SipHash in counter mode over the seed): for tests, never for secrets. */
struct random_seeded {
    struct random random;
    uint64_t seed, counter;
};
void random_seeded_init(struct random_seeded *rs, uint64_t seed);

void random_fill(struct random *random, void *p, size_t n);
uint64_t random_u64(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);

#endif
