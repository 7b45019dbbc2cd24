/* The names of error classes, their relation to errno, and the end of a process that found its own bug. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *err_name(enum err err) {
    static const char *const names[ERR_COUNT] = {
        [ERR_OK] = "ok",
        [ERR_AGAIN] = "again",
        [ERR_SYNTAX] = "syntax",
        [ERR_LIMIT] = "limit",
        [ERR_NOT_FOUND] = "not-found",
        [ERR_EXISTS] = "exists",
        [ERR_DENIED] = "denied",
        [ERR_CLOSED] = "closed",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELED] = "canceled",
        [ERR_TEMPORARY] = "temporary",
        [ERR_PERMANENT] = "permanent",
        [ERR_IO] = "io",
        [ERR_FULL] = "full",
        [ERR_NO_MEMORY] = "no-memory",
        [ERR_BUG] = "bug",
    };
    unsigned i = (unsigned)err;
    return i < ERR_COUNT && names[i] != NULL ? names[i] : "unknown";
}

enum err err_from_errno(int errno_value) {
    switch (errno_value) {
    case 0:
        return ERR_OK;
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EINTR:
    case EINPROGRESS:
    case EALREADY:
    case EBUSY:
    case EMFILE: /* descriptors come back when sessions end */
    case ENFILE:
        return ERR_AGAIN;
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
    case ENODEV:
    case ENXIO:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
    case EADDRINUSE:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP: /* a symbolic link where none may be */
        return ERR_DENIED;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
        return ERR_CLOSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return ERR_TEMPORARY;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    case ENAMETOOLONG:
    case E2BIG:
    case EMSGSIZE:
    case EMLINK:
        return ERR_LIMIT;
    case EBADF:
    case EFAULT:
    case ENOTSOCK:
        return ERR_BUG;
    default:
        return ERR_IO;
    }
}

void bug_at(const char *file, int line, const char *what) {
    /* Straight to the descriptor: the heap and stdio may be what is broken. */
    (void)dprintf(STDERR_FILENO, "%s:%d: %s\n", file, line, what);
    abort();
}
