/*
 * What the algorithms need after confinement: no file at all. A child forbids
 * itself to open any, then loads keys, signs and verifies. And signatures that
 * are known octet for octet.
 */
#include "dkim/crypto.h"

#include "dkim/key.h"
#include "dkim/testing.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* RFC8032-7.1, test 1, as PKCS#8; RFC8463-A.2 publishes the same. */
static const uint8_t ed25519_der[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
                                      0x04, 0x22, 0x04, 0x20, 0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                      0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69,
                                      0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const char rsa_pem[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                              "MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"
                              "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"
                              "KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
                              "AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"
                              "6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"
                              "zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"
                              "6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"
                              "uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"
                              "WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"
                              "WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"
                              "licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"
                              "o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"
                              "uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"
                              "-----END RSA PRIVATE KEY-----\n";

/* From now on opening anything, whatever the path, ends the process by SIGSYS. */
static bool forbid_opening(void) {
#define FORBID(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        FORBID(SYS_openat),
#ifdef SYS_open
        FORBID(SYS_open),
#endif
        FORBID(SYS_socket),
        FORBID(SYS_execve),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Loads the key, signs, verifies; a changed digest does not verify. Returns 0, or the step that failed. */
static int use_key(const struct dkim_crypto *crypto, struct view key, enum dkim_algorithm algorithm) {
    struct dkim_private_key *private;
    struct dkim_public_key *public;
    struct buf data, signature;
    uint8_t digest[DKIM_DIGEST_SIZE];
    buf_init(&data, 4096);
    buf_init(&signature, DKIM_SIGNATURE_MAX);
    if (dkim_digest(crypto, VIEW("x"), digest) != ERR_OK)
        return 2;
    if (dkim_private_key_load(crypto, key, &private) != ERR_OK || dkim_private_key_algorithm(private) != algorithm)
        return 3;
    if (dkim_private_key_put_public(private, &data) != ERR_OK ||
        dkim_public_key_new(crypto, algorithm, buf_view(&data), &public) != ERR_OK)
        return 4;
    if (dkim_private_key_sign(private, digest, &signature) != ERR_OK ||
        !dkim_public_key_verify(public, digest, buf_view(&signature)))
        return 5;
    if (dkim_private_key_bits(private) != dkim_public_key_bits(public))
        return 6;
    digest[0] ^= 1;
    if (dkim_public_key_verify(public, digest, buf_view(&signature)))
        return 7;
    dkim_public_key_free(public);
    dkim_private_key_free(private);
    buf_fini(&signature);
    buf_fini(&data);
    return 0;
}

static int status_of(bool opens) {
    pid_t child = fork();
    if (child == 0) {
        struct dkim_crypto *crypto;
        if (dkim_crypto_new(&crypto) != ERR_OK || !forbid_opening())
            _exit(1);
        if (opens) {
            FILE *file = fopen("/dev/null", "r");
            if (file)
                (void)fclose(file);
        }
        int step = use_key(crypto, view_of(ed25519_der, sizeof(ed25519_der)), DKIM_ED25519_SHA256);
        if (step == 0)
            step = use_key(crypto, view_cstr(rsa_pem), DKIM_RSA_SHA256);
        _exit(step);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void no_file_is_opened(void **state) {
    (void)state;
    int status = status_of(true); /* the trap works */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    status = status_of(false);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void known_keys(void **state) {
    (void)state;
    struct dkim_crypto *crypto;
    struct dkim_private_key *key;
    struct buf data, text;
    buf_init(&data, 4096);
    buf_init(&text, 4096);
    assert_int_equal(dkim_crypto_new(&crypto), ERR_OK);
    assert_int_equal(dkim_private_key_load(crypto, view_of(ed25519_der, sizeof(ed25519_der)), &key), ERR_OK);
    assert_int_equal(dkim_private_key_put_public(key, &data), ERR_OK);
    dkim_put_key_record(&text, DKIM_ED25519_SHA256, buf_view(&data), false);
    /* RFC8463-A.2 */
    assert_true(view_eq(buf_view(&text), VIEW("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")));
    dkim_private_key_free(key);
    buf_clear(&data);
    buf_clear(&text);
    assert_int_equal(dkim_private_key_load(crypto, view_cstr(rsa_pem), &key), ERR_OK);
    assert_int_equal(dkim_private_key_bits(key), 1024);
    assert_int_equal(dkim_private_key_put_public(key, &data), ERR_OK);
    dkim_put_key_record(&text, DKIM_RSA_SHA256, buf_view(&data), false);
    assert_true(view_starts(buf_view(&text),
                            VIEW("v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6")));
    dkim_private_key_free(key);
    /* FIPS 180-4: the SHA-256 of "abc", in pieces too. */
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
    uint8_t digest[DKIM_DIGEST_SIZE];
    struct dkim_hash *hash;
    assert_int_equal(dkim_hash_new(crypto, &hash), ERR_OK);
    dkim_hash_put(hash, VIEW("a"));
    dkim_hash_put(hash, VIEW_NONE);
    dkim_hash_put(hash, VIEW("bc"));
    assert_int_equal(dkim_hash_end(hash, digest), ERR_OK);
    assert_memory_equal(digest, abc, sizeof(abc));
    dkim_hash_free(hash);
    buf_fini(&text);
    buf_fini(&data);
    dkim_crypto_free(crypto);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_is_opened),
        cmocka_unit_test(known_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
