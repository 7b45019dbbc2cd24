/*
 * Public keys in DNS, RFC6376-3.6 and RFC6376-6.1.2: the record's grammar, the
 * lookup, and the text that a domain's owner puts into a zone.
 */
#ifndef DKIM_KEY_H
#define DKIM_KEY_H

#include "dkim/crypto.h"
#include "dns/client.h"

#define DKIM_KEY_RECORDS_MAX 4 /* RFC6376-3.6.2.2: there must be one; a rotation gone wrong leaves two */
#define DKIM_TXT_PIECE 255     /* RFC1035-3.3: octets of one string */

struct dkim_key_record {
    struct view text;              /* the strings joined */
    enum dkim_algorithm algorithm; /* k= */
    struct view data;              /* p= decoded; empty: revoked (RFC6376-3.6.1) */
    bool is_revoked;
    bool is_testing;    /* t=y */
    bool is_strict;     /* t=s: no subdomains in i= */
    bool allows_sha256; /* h= */
    bool allows_email;  /* s= */
};

/* Views live in the arena. ERR_SYNTAX (*why says what), ERR_LIMIT: the arena. */
enum err dkim_key_parse(struct view text, struct arena *arena, struct dkim_key_record *out,
                        const char **why) MUST_CHECK;

enum dkim_key_status {
    DKIM_KEY_OK,        /* at least one record is readable */
    DKIM_KEY_NONE,      /* no such name, or no TXT there */
    DKIM_KEY_BAD,       /* none of the records is a key record */
    DKIM_KEY_BAD_NAME,  /* selector and domain make no name of DNS */
    DKIM_KEY_TEMPORARY, /* DNS could not say, or what it said failed validation */
};
struct dkim_key_answer {
    enum dkim_key_status status;
    enum dns_security security;
    struct view name; /* that was asked, in A-labels (RFC8616-4) */
    struct dkim_key_record records[DKIM_KEY_RECORDS_MAX];
    size_t n;
    struct view why; /* unless DKIM_KEY_OK */
};
/* RFC6376-3.5: letters, digits, hyphens and dots (and underscores, which are published) of a name in A-labels: what else DNS could
 * carry shows people another domain than it is. */
bool dkim_is_domain(struct view name);
/* Asks for SELECTOR._domainkey.DOMAIN, either of which may have U-labels. May suspend. Errors: ERR_LIMIT (the arena),
 * ERR_CANCELED, ERR_NO_MEMORY; all the rest is a status. */
enum err dkim_key_lookup(struct dns_client *dns, struct view selector, struct view domain, struct arena *arena,
                         struct dkim_key_answer *out) MUST_CHECK;

/* "v=DKIM1; k=ed25519; p=..." for a public key as dkim_private_key_put_public() gives it. is_testing adds t=y. */
void dkim_put_key_record(struct buf *out, enum dkim_algorithm algorithm, struct view public_data, bool is_testing);
/* The line of a zone file, without line end: `NAME. IN TXT "..." "..."`, strings cut at DKIM_TXT_PIECE (RFC6376-3.6.2.2). */
void dkim_put_zone_line(struct buf *out, struct view selector, struct view domain, struct view record);

#endif
