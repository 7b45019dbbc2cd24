/* Passwords on their way in: asked for, read or made; only verifiers (RFC5802-3) leave this process. */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include "cli/cli.h"
#include "store/directory.h"

#define PASSWORD_MADE_SIZE 23 /* four groups of five from 31 characters, three hyphens: 99 bits */

/* A new password of PASSWORD_MADE_SIZE characters. */
void password_make(struct random *random, struct buf *out);
/* By --password-stdin from the first line of standard input; on a terminal by asking twice (empty: made); else made.
 * *made: the user has not seen it yet. Complains. */
enum err password_obtain(const struct invocation *in, struct buf *out, bool *made) MUST_CHECK;
/* The verifiers of a password, in the arena. ERR_SYNTAX: not a password; complains. */
enum err password_verifiers(struct view password, struct random *random, struct arena *arena,
                            struct scram_verifier **out, size_t *n) MUST_CHECK;

#endif
