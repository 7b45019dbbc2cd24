/*
 * The classes of errors, the same in every module.
 *
 * A function that can fail returns enum err and sets its out parameters only
 * on ERR_OK. The class says what a caller may do; a text for people, where
 * there is one, travels beside it. Each protocol maps classes to its reply
 * codes in one table.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
    ERR_OK = 0,
    ERR_AGAIN,     /* not now: more input, a busy peer, a restarted role; the same call may succeed */
    ERR_SYNTAX,    /* the bytes do not follow their grammar */
    ERR_LIMIT,     /* a named limit or budget would be exceeded */
    ERR_NOT_FOUND, /* what was named does not exist */
    ERR_EXISTS,    /* what was to be made exists already */
    ERR_DENIED,    /* the identity bound to the call may not do this */
    ERR_CLOSED,    /* the other side ended the stream or channel */
    ERR_TIMEOUT,   /* the deadline passed */
    ERR_CANCELED,  /* the coroutine or request was cancelled */
    ERR_TEMPORARY, /* refused for now, by policy or state (4xx) */
    ERR_PERMANENT, /* refused for good (5xx) */
    ERR_IO,        /* the operating system failed us; errno was logged where it happened */
    ERR_FULL,      /* no space left, or over quota */
    ERR_NO_MEMORY,
    ERR_BUG, /* our own mistake; never reachable by a peer's bytes */
};
#define ERR_COUNT (ERR_BUG + 1)

/* The name of a class ("limit"); never NULL. */
const char *err_name(enum err err);
/* The class that an errno value belongs to (ENOSPC and EDQUOT are ERR_FULL, EAGAIN ERR_AGAIN, ...). */
enum err err_from_errno(int errno_value);

/* Ends the process: for our own bugs only, never for input. Prints place and text to stderr. */
_Noreturn void bug_at(const char *file, int line, const char *what);
#define BUG(what) bug_at(__FILE__, __LINE__, what)
#define BUG_IF(condition)            \
    do {                             \
        if (condition)               \
            BUG("bug: " #condition); \
    } while (0)

/* Leaves the calling function with the error of a call that failed. */
#define TRY(call)                   \
    do {                            \
        enum err try_err_ = (call); \
        if (try_err_ != ERR_OK)     \
            return try_err_;        \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
