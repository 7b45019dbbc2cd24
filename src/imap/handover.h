/*
 * What travels with a stream from the process that greeted it (`edge`) to the
 * one that owns the account (`mailbox`), DESIGN.md section 2 "Hand-over after
 * login"; and what both announce about themselves.
 */
#ifndef IMAP_HANDOVER_H
#define IMAP_HANDOVER_H

#include "imap/parse.h"
#include "imap/scan.h"

#define IMAP_USER_MAX 320 /* RFC5321-4.5.3.1: local part, "@" and domain */
#define IMAP_PASSWORD_MAX 1024
#define IMAP_TLS_TEXT_MAX 100 /* "TLSv1.3 TLS_AES_128_GCM_SHA256" */

/* clang-format off */
#define R_imap_handover(F, S)                                                                                     \
    F(S, VIEW, tag, IMAP_TAG_MAX) /* of the command that logged in: the session answers it */                     \
    F(S, VIEW, command, 32)       /* "LOGIN", "AUTHENTICATE" */                                                   \
    F(S, VIEW, user, IMAP_USER_MAX)                                                                               \
    F(S, VIEW, unread, IMAP_INPUT_MAX) /* received and not yet looked at, raw, perhaps in the middle of a literal */ \
    F(S, LIST, client_id, imap_id_field, IMAP_ID_FIELDS_MAX) /* RFC2971 */                                        \
    F(S, BOOL, encrypted) F(S, VIEW, tls, IMAP_TLS_TEXT_MAX)                                                      \
    F(S, ADDR, peer) F(S, ADDR, local)                                                                            \
    F(S, U64, append_max)      /* octets of one message */                                                        \
    F(S, I64, idle_timeout_us) /* RFC3501-5.4: at least 30 minutes */                                             \
    F(S, U32, bad_max)         /* bad commands in a row before BYE */
/* clang-format on */
RECORD_DECLARE(imap_handover);

#define IMAP_APPEND_MAX_DEFAULT ((uint64_t)50 * 1024 * 1024)
#define IMAP_IDLE_TIMEOUT_US (INT64_C(31) * 60 * US_PER_S) /* RFC3501-5.4: at least 30 minutes */
#define IMAP_BAD_MAX 20                                    /* a client that is wrong so often is no IMAP client */

/* The capabilities before login (parts depend on TLS) and after it, without "CAPABILITY". */
void imap_put_capability_greeter(struct buf *out, bool can_starttls, bool can_login);
void imap_put_capability_session(struct buf *out);
/* "* ID (...)" with its line end. */
void imap_put_id(struct buf *out);

#endif
