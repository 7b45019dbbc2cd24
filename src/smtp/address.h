/*
 * Addresses as they stand in SMTP commands: Mailbox, Path and their parts
 * (RFC5321-4.1.2, RFC5321-4.1.3). Pure functions over views.
 *
 * Labels are left as they were given (no case folding, no IDNA); local parts are
 * brought to one form: quoted only when they must be, and then with as few
 * backslashes as possible (RFC5321-4.1.2: both forms name the same mailbox).
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include "base/arena.h"
#include "base/reader.h"
#include "smtp/server.h"

#define SMTP_PATH_MAX 256   /* RFC5321-4.5.3.1.3: with punctuation and separators */
#define SMTP_DOMAIN_MAX 255 /* RFC5321-4.5.3.1.2 */
#define SMTP_LABEL_MAX 63   /* RFC1035-2.3.4 */

/*
 * RFC5321-4.5.3.1.1 asks for local parts of at least 64 octets, and RFC5321-4.5.3.1 for
 * no limit where that is possible: return addresses that carry another address inside
 * are longer. The path's length is the only limit here.
 */

enum smtp_path_flags {
    SMTP_PATH_NULL = 1,       /* "<>" is allowed (reverse-path) */
    SMTP_PATH_POSTMASTER = 2, /* "<Postmaster>" is allowed (RFC5321-4.1.1.3) */
    SMTP_PATH_UTF8 = 4,       /* RFC6531-3.3: UTF-8 in both parts */
};

/* A Path with its brackets. Source routes are read and dropped (RFC5321-C). The result lives in arena. ERR_SYNTAX; ERR_LIMIT when
 * the path is longer than SMTP_PATH_MAX; ERR_NO_MEMORY. The reader stands behind '>' on ERR_OK. */
enum err smtp_path_parse(struct reader *r, unsigned flags, struct arena *arena, struct smtp_path *out) MUST_CHECK;
/* A Mailbox alone, all of text. Flags as above but SMTP_PATH_NULL. */
enum err smtp_mailbox_parse(struct view text, unsigned flags, struct arena *arena, struct smtp_path *out) MUST_CHECK;
/* A Domain or an address-literal, all of text. */
bool smtp_domain_is_valid(struct view text, unsigned flags);
/* What EHLO and HELO may be given: looser than a Domain, since nothing may be refused for it (RFC5321-4.1.4); printable ASCII
 * without space, at most SMTP_DOMAIN_MAX. */
bool smtp_greeting_name_is_valid(struct view text);

#endif
