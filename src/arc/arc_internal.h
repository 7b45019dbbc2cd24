/* What verify.c and seal.c know of each other. Nothing outside of arc/ includes this. */
#ifndef ARC_ARC_INTERNAL_H
#define ARC_ARC_INTERNAL_H

#include "arc/arc.h"

/* A field of a set as octets; of a seal, b_at and b_n say what b='s value is. */
struct arc_raw_set {
    struct view results, signature, seal;
    size_t b_at, b_n;
};

/* RFC8617-5.1.1: the digest of sets[0..n), the last of which is the one whose seal is made or checked. */
enum err arc_seal_hash(const struct dkim_crypto *crypto, const struct arc_raw_set *sets, size_t n,
                       uint8_t digest[DKIM_DIGEST_SIZE]) MUST_CHECK;

#endif
