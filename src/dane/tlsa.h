/*
 * TLSA records (RFC 6698, 7671): read, judged, and written for one's own zone.
 * Pure: octets in, values out.
 */
#ifndef DANE_TLSA_H
#define DANE_TLSA_H

#include "base/arena.h"
#include "base/buf.h"

/* RFC7218-2.1 to RFC7218-2.3: the names of the numbers. */
enum tlsa_usage { TLSA_PKIX_TA, TLSA_PKIX_EE, TLSA_DANE_TA, TLSA_DANE_EE };
enum tlsa_selector { TLSA_CERT, TLSA_SPKI };
enum tlsa_matching { TLSA_FULL, TLSA_SHA256, TLSA_SHA512 };

struct tlsa {
    uint8_t usage, selector, matching; /* any number: the enums name those we know */
    struct view data;
};
/* RFC6698-2.1. data is a view of rdata. ERR_SYNTAX: fewer than the three numbers, or no data. */
enum err tlsa_parse(struct view rdata, struct tlsa *out) MUST_CHECK;

enum tlsa_use {
    TLSA_USABLE,
    TLSA_NOT_FOR_SMTP,     /* RFC7672-3.1.3: usages 0 and 1 */
    TLSA_UNKNOWN_USAGE,    /* RFC7671-4: and others: unusable, not wrong */
    TLSA_UNKNOWN_SELECTOR, /* the same */
    TLSA_UNKNOWN_MATCHING, /* the same */
    TLSA_WRONG_SIZE,       /* a digest of another length */
    TLSA_BROKEN,           /* Full(0) that is no certificate, or no key */
    TLSA_WEAKER,           /* RFC7671-9: a stronger digest of the same usage and selector is there */
    TLSA_TOO_MANY,         /* over DANE_RECORDS_MAX */
};
/* Of one record alone; digest agility is dane_judge()'s (dane/dane.h). */
enum tlsa_use tlsa_judge(const struct tlsa *tlsa);
/* A sentence without its stop: "usage 1 is not for SMTP between servers". */
const char *tlsa_use_text(enum tlsa_use use);

/* RFC6698-2.2 in one line without grouping, "3 1 1 8755CDAA...": what zone files, people and reports (RFC8460-4.5) read. */
void buf_put_tlsa(struct buf *buf, const struct tlsa *tlsa);

/* Whether the record's data is that of this certificate (DER), by selector and matching; the usage is not looked at.
 * ERR_SYNTAX: no certificate; ERR_NO_MEMORY. */
enum err tlsa_matches(const struct tlsa *tlsa, struct view certificate, bool *out) MUST_CHECK;

/* The record to publish for a key: DANE-EE SPKI SHA2-256, which RFC7672-3.1.1 recommends, since it holds for every
 * certificate of the key. From a public key (SubjectPublicKeyInfo, DER), or from a certificate (DER). data lives in arena.
 * ERR_SYNTAX, ERR_LIMIT, ERR_NO_MEMORY. */
enum err tlsa_of_key(struct view public_key, struct arena *arena, struct tlsa *out) MUST_CHECK;
enum err tlsa_of_certificate(struct view certificate, struct arena *arena, struct tlsa *out) MUST_CHECK;
/* A line of a zone file, with its LF: "_25._tcp.mx.example. IN TLSA 3 1 1 ...". host: A-labels without the final dot. */
void buf_put_tlsa_line(struct buf *buf, struct view host, uint16_t port, const struct tlsa *tlsa);
/* "_25._tcp.mx.example" (RFC6698-3) */
void buf_put_tlsa_name(struct buf *buf, struct view host, uint16_t port);

#endif
