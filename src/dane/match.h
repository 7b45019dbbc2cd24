/*
 * Certificate chains against TLSA records, by OpenSSL's own DANE (SSL_dane_*), which
 * knows trust anchors, their constraints and names.
 */
#ifndef DANE_MATCH_H
#define DANE_MATCH_H

#include "dane/dane.h"

struct ssl_st;     /* SSL */
struct ssl_ctx_st; /* SSL_CTX */

/* Once for a context whose connections are to be armed. ERR_NO_MEMORY. */
enum err dane_arm_context(struct ssl_ctx_st *context) MUST_CHECK;
/* For a client's connection whose context was armed, before the handshake: its certificate will be judged by the usable
 * records of a DANE_SECURE result and by nothing else (SSL_VERIFY_PEER must be set), with the result's names, and SNI is the
 * base domain (RFC7672-8.1). ERR_SYNTAX: a name or a record that the library refuses; ERR_BUG: nothing usable. After the handshake
 * SSL_get_verify_result() says X509_V_OK, or why not. */
enum err dane_arm(struct ssl_st *ssl, const struct dane_result *result) MUST_CHECK;

struct dane_match {
    bool is_matched;
    const struct dane_record *record; /* that matched */
    int depth;                        /* of the certificate it matched: 0 is the leaf */
    int code;                         /* X509_V_ERR_..., for reports (RFC8460-4.3.3); X509_V_OK */
    const char *text;                 /* the library's words for code */
};
/* The same without a connection: certificates (DER), the leaf first. wall_us: the time for what expires (only under DANE-TA: RFC7672-3.1.1). ERR_SYNTAX: one is
 * no certificate, or there is none; ERR_BUG: nothing usable; ERR_NO_MEMORY. */
enum err dane_match_chain(const struct view *certificates, size_t n, const struct dane_result *result, int64_t wall_us,
                          struct dane_match *out) MUST_CHECK;

#endif
