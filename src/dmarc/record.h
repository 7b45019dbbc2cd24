/*
 * DMARC policy records: the TXT record at _dmarc.DOMAIN (RFC9989-4.7, the older
 * RFC7489-6.3 where domains still publish it).
 */
#ifndef DMARC_RECORD_H
#define DMARC_RECORD_H

#include "base/arena.h"

#define DMARC_RECORD_MAX 8192 /* octets of a record that is read */
#define DMARC_TAGS_MAX 64     /* of one record; more are ignored */
#define DMARC_URIS_MAX 10     /* report addresses of one tag; more are ignored */

enum dmarc_policy { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT }; /* in order of strength */
enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_NO, DMARC_PSD_YES };

/* RFC9989-4.7 "fo": when failure reports are asked for. */
#define DMARC_FO_ALL_FAILED 1u /* "0", the default: nothing aligned passed */
#define DMARC_FO_ANY_FAILED 2u /* "1" */
#define DMARC_FO_DKIM 4u       /* "d" */
#define DMARC_FO_SPF 8u        /* "s" */

struct dmarc_record {
    enum dmarc_policy p, sp, np; /* what is not said is what RFC9989-4.10.1 takes instead: np from sp, sp from p */
    bool has_p, has_sp, has_np;  /* said, with a value that exists */
    bool is_unusable;            /* RFC9989-4.10.1: a bad policy tag and no address for reports; DMARC does not apply */
    bool strict_dkim, strict_spf;
    bool is_testing; /* t=y, or the pct=0 that it replaces (RFC9989-A.6) */
    enum dmarc_psd psd;
    uint8_t fo;
    const struct view *rua, *ruf; /* URIs, without the size that RFC7489-6.2 allowed */
    size_t rua_n, ruf_n;
    struct view text;    /* the record */
    struct view problem; /* the first mistake in it, for people; empty: none */
};

/* True when text says it is a DMARC record: its first tag is v=DMARC1 (RFC9989-4.7: the rest need not be right). */
bool dmarc_record_is_one(struct view text);
/* Unknown tags and bad values are ignored (RFC9989-4.8). ERR_SYNTAX: not a DMARC record. ERR_LIMIT: too long, or the arena. */
enum err dmarc_record_parse(struct arena *arena, struct view text, struct dmarc_record *out) MUST_CHECK;

const char *dmarc_policy_name(enum dmarc_policy policy); /* "quarantine" */

#endif
