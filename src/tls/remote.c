/*
 * An OpenSSL provider of ours with keys that live in another process: a key
 * object holds the public half and a number, and a signature is asked of
 * struct tls_signer with the octets to sign, whole.
 *
 * How it comes into play: such a key has no `export`, so OpenSSL cannot move it
 * to its own provider and takes the signature operation from ours. When it
 * compares the key to a certificate's, it imports the certificate's into ours.
 */
#include "tls/tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Our own parameter: where a struct tls_remote is. */
#define PARAM_REMOTE "veredus-remote"
/* A signature and its wrapping: RSA keys up to 16384 bits, as OpenSSL limits them. */
#define SIGNATURE_MAX 2048

/* ---- keys ---- */

struct remote_key {
    OSSL_LIB_CTX *ctx;
    const char *type; /* "EC" or "RSA" */
    EVP_PKEY *public_key;
    struct tls_remote remote; /* signer NULL: a public key only */
};

static void *key_new(OSSL_LIB_CTX *ctx, const char *type) {
    struct remote_key *key = calloc(1, sizeof(*key));
    if (key != NULL) {
        key->ctx = ctx;
        key->type = type;
    }
    return key;
}

static void *ec_key_new(void *ctx) {
    return key_new(ctx, "EC");
}

static void *rsa_key_new(void *ctx) {
    return key_new(ctx, "RSA");
}

static void key_free(void *p) {
    struct remote_key *key = p;
    if (key == NULL)
        return;
    EVP_PKEY_free(key->public_key);
    free(key);
}

static int key_has(const void *p, int selection) {
    const struct remote_key *key = p;
    if (key == NULL || key->public_key == NULL)
        return 0;
    /* It can sign, which is all that OpenSSL wants to know when it asks for the private half. */
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->remote.signer != NULL;
}

static int key_match(const void *a, const void *b, int selection) {
    (void)selection;
    const struct remote_key *x = a, *y = b;
    if (x->public_key == NULL || y->public_key == NULL)
        return 0;
    return EVP_PKEY_eq(x->public_key, y->public_key) == 1;
}

static int key_import(void *p, int selection, const OSSL_PARAM params[]) {
    (void)selection;
    struct remote_key *key = p;
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, PARAM_REMOTE);
    const void *remote;
    size_t n;
    if (param != NULL) {
        if (OSSL_PARAM_get_octet_string_ptr(param, &remote, &n) != 1 || n != sizeof(key->remote))
            return 0;
        memcpy(&key->remote, remote, n);
    }
    /* The public half only, whatever is offered. */
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(key->ctx, key->type, "provider=default");
    EVP_PKEY *public_key = NULL;
    int done = from != NULL && EVP_PKEY_fromdata_init(from) == 1 &&
               EVP_PKEY_fromdata(from, &public_key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) == 1;
    EVP_PKEY_CTX_free(from);
    if (done != 1)
        return 0;
    EVP_PKEY_free(key->public_key);
    key->public_key = public_key;
    return 1;
}

static const OSSL_PARAM *key_import_types(int selection) {
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_octet_string(PARAM_REMOTE, NULL, 0),
        OSSL_PARAM_END,
    };
    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? types : NULL;
}

static int key_get_params(void *p, OSSL_PARAM params[]) {
    struct remote_key *key = p;
    return key->public_key != NULL && EVP_PKEY_get_params(key->public_key, params) == 1;
}

static const OSSL_PARAM *key_gettable_params(void *ctx) {
    (void)ctx;
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    return types;
}

static const char *ec_operation(int operation) {
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *rsa_operation(int operation) {
    return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

/* ---- signatures ---- */

struct signing {
    struct remote_key *key; /* outlives this: OpenSSL holds the EVP_PKEY */
    int hash;               /* octet of the scheme: 4 SHA-256, 5 SHA-384, 6 SHA-512 */
    bool is_pss;
};

static void *signing_new(void *ctx, const char *properties) {
    (void)ctx;
    (void)properties;
    return calloc(1, sizeof(struct signing));
}

static void signing_free(void *p) {
    free(p);
}

static void *signing_dup(void *p) {
    struct signing *copy = malloc(sizeof(*copy));
    if (copy != NULL)
        *copy = *(struct signing *)p;
    return copy;
}

static int signing_set_params(void *p, const OSSL_PARAM params[]) {
    struct signing *s = p;
    const OSSL_PARAM *mode = params != NULL ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    if (mode == NULL)
        return 1; /* the salt is as long as the digest, RFC8446-4.2.3 */
    int padding;
    const char *name;
    if (mode->data_type == OSSL_PARAM_UTF8_STRING) {
        if (OSSL_PARAM_get_utf8_string_ptr(mode, &name) != 1)
            return 0;
        s->is_pss = strcasecmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
        return s->is_pss || strcasecmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0;
    }
    if (OSSL_PARAM_get_int(mode, &padding) != 1)
        return 0;
    s->is_pss = padding == RSA_PKCS1_PSS_PADDING;
    return s->is_pss || padding == RSA_PKCS1_PADDING;
}

static const OSSL_PARAM *signing_settable_params(void *p, void *ctx) {
    (void)p;
    (void)ctx;
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };
    return types;
}

static int hash_of(const char *name) {
    static const struct {
        const char *name;
        int hash;
    } hashes[] = {{"SHA256", 4}, {"SHA2-256", 4}, {"SHA384", 5}, {"SHA2-384", 5}, {"SHA512", 6}, {"SHA2-512", 6}};
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(hashes); i++)
        if (strcasecmp(name, hashes[i].name) == 0)
            return hashes[i].hash;
    return 0;
}

static int signing_init(void *p, const char *digest, void *key, const OSSL_PARAM params[]) {
    struct signing *s = p;
    if (key != NULL)
        s->key = key;
    s->is_pss = false;
    s->hash = hash_of(digest);
    /* Also how OpenSSL asks what a key can do: SHA-1 and the rest it cannot. */
    return s->hash != 0 && s->key != NULL && s->key->remote.signer != NULL && signing_set_params(p, params);
}

/* RFC8446-4.2.3: the code points are regular: the hash in one octet, the algorithm in the other. */
static uint16_t scheme_of(const struct signing *s) {
    if (s->key->type[0] == 'E')
        return (uint16_t)(s->hash << 8 | 3);
    return (uint16_t)(s->is_pss ? 0x0800 | s->hash : s->hash << 8 | 1);
}

/* The listed place: the signer may suspend this coroutine, and others call OpenSSL meanwhile. */
static enum err ask_signer(const struct signing *s, struct view tbs, struct buf *signature) {
    struct tls_remote remote = s->key->remote;
    uint16_t scheme = scheme_of(s);
    ERR_clear_error();
    enum err err = remote.signer->sign(remote.signer, remote.key, scheme, tbs, signature);
    ERR_clear_error();
    if (err == ERR_OK)
        err = buf_err(signature);
    *remote.failed = err;
    return err;
}

static int signing_sign(void *p, unsigned char *out, size_t *n, size_t cap, const unsigned char *tbs, size_t tbs_n) {
    struct signing *s = p;
    if (s->key == NULL || s->hash == 0)
        return 0;
    if (out == NULL) {
        int size = EVP_PKEY_get_size(s->key->public_key);
        *n = size > 0 ? (size_t)size : 0;
        return size > 0;
    }
    struct buf signature;
    buf_init(&signature, SIGNATURE_MAX);
    bool is_signed = ask_signer(s, view_of(tbs, tbs_n), &signature) == ERR_OK && signature.n <= cap;
    if (is_signed) {
        memcpy(out, signature.p, signature.n);
        *n = signature.n;
    }
    buf_fini(&signature);
    return is_signed;
}

/* ---- the provider ---- */

#define CALL(id, function) \
    { id, (void (*)(void))(function) }
#define KEY_CALLS(new_function, operation)                                                                  \
    CALL(OSSL_FUNC_KEYMGMT_NEW, new_function), CALL(OSSL_FUNC_KEYMGMT_FREE, key_free),                      \
        CALL(OSSL_FUNC_KEYMGMT_HAS, key_has), CALL(OSSL_FUNC_KEYMGMT_MATCH, key_match),                     \
        CALL(OSSL_FUNC_KEYMGMT_IMPORT, key_import), CALL(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types), \
        CALL(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                                 \
        CALL(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),                                       \
        CALL(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, operation)

static const OSSL_DISPATCH ec_key_calls[] = {KEY_CALLS(ec_key_new, ec_operation), {0, NULL}};
static const OSSL_DISPATCH rsa_key_calls[] = {KEY_CALLS(rsa_key_new, rsa_operation), {0, NULL}};
static const OSSL_DISPATCH signing_calls[] = {
    CALL(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
    CALL(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
    CALL(OSSL_FUNC_SIGNATURE_DUPCTX, signing_dup),
    CALL(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
    CALL(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
    CALL(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
    CALL(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
    {0, NULL},
};

#define PROPERTIES "provider=" TLS_REMOTE_PROVIDER
static const OSSL_ALGORITHM keys[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_key_calls, "EC key of another process"},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_key_calls, "RSA key of another process"},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM signatures[] = {
    {"ECDSA", PROPERTIES, signing_calls, "ECDSA by another process"},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signing_calls, "RSA signature by another process"},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *ctx, int operation, int *no_store) {
    (void)ctx;
    *no_store = 0;
    return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static const OSSL_DISPATCH provider_calls[] = {CALL(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), {0, NULL}};

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                         void **ctx) {
    OSSL_FUNC_core_get_libctx_fn *get_libctx = NULL;
    for (; in->function_id != 0; in++)
        if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            get_libctx = OSSL_FUNC_core_get_libctx(in);
    if (get_libctx == NULL)
        return 0;
    /* A provider that is built in shares the library with its core, so the handle is the context itself. */
    *ctx = get_libctx(handle);
    *out = provider_calls;
    return 1;
}

enum err tls_remote_register(struct tls_library *library) {
    if (OSSL_PROVIDER_add_builtin(library->ctx, TLS_REMOTE_PROVIDER, provider_init) != 1 ||
        (library->remote = OSSL_PROVIDER_load(library->ctx, TLS_REMOTE_PROVIDER)) == NULL)
        return ERR_NO_MEMORY;
    return ERR_OK;
}

enum err tls_remote_key_new(struct tls_library *library, const struct tls_remote *remote, EVP_PKEY *public_key,
                            EVP_PKEY **out) {
    const char *type = EVP_PKEY_is_a(public_key, "EC") ? "EC" : EVP_PKEY_is_a(public_key, "RSA") ? "RSA" : NULL;
    if (type == NULL)
        return ERR_SYNTAX;
    struct tls_remote copy = *remote;
    OSSL_PARAM ours[] = {OSSL_PARAM_construct_octet_string(PARAM_REMOTE, &copy, sizeof(copy)),
                         OSSL_PARAM_construct_end()};
    OSSL_PARAM *public_params = NULL, *all = NULL;
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(library->ctx, type, PROPERTIES);
    EVP_PKEY *key = NULL;
    int done = from != NULL && EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &public_params) == 1 &&
               (all = OSSL_PARAM_merge(public_params, ours)) != NULL && EVP_PKEY_fromdata_init(from) == 1 &&
               EVP_PKEY_fromdata(from, &key, EVP_PKEY_KEYPAIR, all) == 1;
    EVP_PKEY_CTX_free(from);
    OSSL_PARAM_free(public_params);
    OPENSSL_free(all);
    ERR_clear_error();
    if (done != 1)
        return ERR_SYNTAX;
    *out = key;
    return ERR_OK;
}
