/*
 * An IMAP session after login, as `mailbox` speaks it: RFC 3501 with LITERAL+
 * (RFC7888), IDLE (RFC2177), NAMESPACE (RFC2342), UIDPLUS (RFC4315), MOVE
 * (RFC6851), UNSELECT (RFC3691), UNAUTHENTICATE (RFC8437), ENABLE (RFC5161), ID
 * (RFC2971), SPECIAL-USE (RFC6154).
 *
 * Everything that outlives one command is in struct imap_session and can be
 * saved and restored between two commands (also while idling), so that a
 * session survives its process. Commands are rows of the table in commands.c,
 * each in a file cmd_*.c of its own.
 *
 * The account and the stream are borrowed; the stream must outlive the session.
 */
#ifndef IMAP_SESSION_H
#define IMAP_SESSION_H

#include "imap/handover.h"
#include "store/account.h"

struct imap_session;
struct charset_table;

struct imap_session_ops {
    /* A file for a message of `size` octets that is too large for memory. NULL: a file in memory. */
    enum err (*spool)(void *ctx, uint64_t size, struct file **out);
    /* May be NULL; what happened, for the role's log: "select", "bad_command", "store_failed", ... */
    void (*note)(void *ctx, const char *event, struct view detail, enum err err);
};
struct imap_session_params {
    struct account *account;
    struct stream *stream;
    const struct imap_session_ops *ops; /* may be NULL */
    void *ctx;
    const struct charset_table *charsets; /* message/words.h; may be NULL */
};

enum imap_session_end {
    IMAP_SESSION_CLOSED, /* the peer is gone, timed out, or was sent away */
    IMAP_SESSION_LOGGED_OUT,
    IMAP_SESSION_UNAUTHENTICATED, /* RFC8437: stream and imap_session_unread() go back to a greeter */
    IMAP_SESSION_CANCELED,        /* the coroutine was cancelled; the session can be saved when it was idling */
};

/* A session that answers the login command of the hand-over first. ERR_NO_MEMORY, ERR_LIMIT. */
enum err imap_session_new(const struct imap_session_params *params, const struct imap_handover *handover,
                          struct imap_session **out) MUST_CHECK;
void imap_session_free(struct imap_session *session);
/* The body of the session's coroutine. */
enum imap_session_end imap_session_run(struct imap_session *session);
/* One command, or one wait while idling. ERR_OK: go on; ERR_CLOSED: over, *end says how. */
enum err imap_session_step(struct imap_session *session, enum imap_session_end *end) MUST_CHECK;
/* Octets received and not used, valid until the session is freed. */
struct view imap_session_unread(const struct imap_session *session);
/* Says BYE at the next chance and ends: the role shuts down. text: our own words. */
void imap_session_shutdown(struct imap_session *session, const char *text);
/* True when it only waits for its client. */
bool imap_session_is_idle(const struct imap_session *session);
/* For the role's log and its title. */
const char *imap_session_command(const struct imap_session *session);

/* Between two steps: everything, as octets. */
enum err imap_session_save(const struct imap_session *session, struct buf *out) MUST_CHECK;
/* The saved session on another stream of the same client. ERR_SYNTAX, ERR_LIMIT, ERR_NO_MEMORY. */
enum err imap_session_restore(const struct imap_session_params *params, struct view bytes,
                              struct imap_session **out) MUST_CHECK;

#endif
