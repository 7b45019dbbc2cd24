/*
 * IMAP before login, as `edge` speaks it: greeting, CAPABILITY, NOOP, LOGOUT,
 * ID, STARTTLS, LOGIN, AUTHENTICATE PLAIN (RFC3501-6.1, RFC3501-6.2, RFC4959).
 *
 * It knows no passwords: proving is the role's, through ops->auth, and so is
 * giving the session to its mailbox, through ops->start. The session there
 * answers the login command; when it cannot be started, the greeter answers
 * NO [UNAVAILABLE] and stays.
 */
#ifndef IMAP_GREETER_H
#define IMAP_GREETER_H

#include "imap/handover.h"
#include "loop/stream.h"

#define IMAP_LOGIN_TIMEOUT_US (INT64_C(3) * 60 * US_PER_S) /* silence before login; there is no mail to lose yet */
#define IMAP_LOGIN_ATTEMPTS_MAX 10                         /* the role's callback slows them down; then BYE */

enum imap_auth_outcome {
    IMAP_AUTH_OK,
    IMAP_AUTH_WRONG,       /* NO [AUTHENTICATIONFAILED] */
    IMAP_AUTH_UNAVAILABLE, /* NO [UNAVAILABLE] */
    IMAP_AUTH_REFUSED,     /* too many attempts from there: BYE */
};

struct imap_greeter_ops {
    /* Proves the password; waits as long as the role wants to slow guesses down. authzid may be empty. */
    enum imap_auth_outcome (*auth)(void *ctx, struct view authzid, struct view user, struct view password);
    /* Makes a TLS stream out of the plain one, which it takes over (also on error). NULL: no STARTTLS. */
    enum err (*starttls)(void *ctx, struct stream *plain, struct stream **out);
    /* Gives the proven session to its mailbox. ERR_OK: the stream belongs to the role now. */
    enum err (*start)(void *ctx, const struct imap_handover *handover);
    /* May be NULL; what happened, for the role's log. */
    void (*note)(void *ctx, const char *event, struct view user);
};

struct imap_greeter_params {
    const struct imap_greeter_ops *ops;
    void *ctx;
    struct view host;    /* our name, for the greeting */
    struct view tls;     /* what is known of the TLS session when the stream has one */
    bool allow_plain;    /* passwords without TLS: for tests and for peers behind our own proxy */
    bool is_resumed;     /* back from UNAUTHENTICATE (RFC8437-2): no greeting */
    struct view unread;  /* octets received before */
    uint64_t append_max; /* passed on; 0: the default */
    /* NULL, or true when the role wants to end: BYE is said between two commands. Set it, then stream_interrupt(). */
    const bool *stopping;
};

enum imap_greeter_end {
    IMAP_GREETER_CLOSED, /* logged out, or the peer is gone; *stream is still the caller's (NULL after a failed STARTTLS) */
    IMAP_GREETER_HANDED_OVER, /* ops->start took it; *stream is NULL */
};

/* Runs on a coroutine until the end. *stream is replaced by STARTTLS. */
enum imap_greeter_end imap_greeter_run(const struct imap_greeter_params *params, struct stream **stream);

#endif
