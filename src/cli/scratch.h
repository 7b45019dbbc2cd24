/* A fresh directory for one run, and its end. */
#ifndef CLI_SCRATCH_H
#define CLI_SCRATCH_H

#include "base/arena.h"

/* A new directory below $TMPDIR or /tmp, absolute, in the arena. Complains. */
enum err scratch_make(struct arena *arena, struct view *out) MUST_CHECK;
/* Removes it with all it holds; complains about what stays. */
void scratch_remove(struct arena *arena, struct view path);

#endif
