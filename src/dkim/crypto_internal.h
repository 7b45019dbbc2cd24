/* What crypto.c and private.c know of each other. Nothing outside of dkim/ includes this. */
#ifndef DKIM_CRYPTO_INTERNAL_H
#define DKIM_CRYPTO_INTERNAL_H

#include "dkim/crypto.h"

#include <openssl/evp.h>
#include <openssl/provider.h>

#define DKIM_ED25519_SIZE 32 /* RFC8032-5.1.5: octets of a public key */

struct dkim_crypto {
    OSSL_LIB_CTX *ctx;
    OSSL_PROVIDER *provider;
    EVP_MD *sha256;
};

#endif
