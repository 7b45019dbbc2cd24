/*
 * The octets of p=: DER that a peer's zone gives us. The first octet says the
 * algorithm. A key that is made can be asked, and believes nobody.
 */
#include "base/err.h"
#include "dkim/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dkim_crypto *crypto; /* as a process has one */
    if (!crypto && dkim_crypto_new(&crypto) != ERR_OK)
        return 0;
    if (size == 0)
        return 0;
    struct dkim_public_key *key;
    enum dkim_algorithm algorithm = data[0] & 1 ? DKIM_ED25519_SHA256 : DKIM_RSA_SHA256;
    enum err err = dkim_public_key_new(crypto, algorithm, view_of(data + 1, size - 1), &key);
    if (err != ERR_OK) {
        BUG_IF(err != ERR_SYNTAX && err != ERR_LIMIT && err != ERR_NO_MEMORY);
        return 0;
    }
    BUG_IF(dkim_public_key_bits(key) > DKIM_RSA_BITS_MAX);
    static const uint8_t digest[DKIM_DIGEST_SIZE] = {1, 2, 3};
    /* Of a tiny modulus anything may be a signature; of one that we accept nothing that was not made. */
    bool is_good = dkim_public_key_verify(key, digest, view_of(data + 1, MIN(size - 1, (size_t)DKIM_SIGNATURE_MAX)));
    BUG_IF(is_good && algorithm == DKIM_RSA_SHA256 && dkim_public_key_bits(key) >= DKIM_RSA_BITS_MIN);
    dkim_public_key_free(key);
    return 0;
}
