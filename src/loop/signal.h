/*
 * Signals as events of the loop: they are blocked for the process and read from
 * a signalfd, so that nothing of ours ever runs inside a signal handler.
 */
#ifndef LOOP_SIGNAL_H
#define LOOP_SIGNAL_H

#include "loop/loop.h"

#include <signal.h>

struct signals;
/* Blocks the signals of mask and calls received(ctx, number) on the main stack for each that comes. Equal ones that wait
 * become one, so SIGCHLD means "at least one child". Make it before any child is started that should inherit the block
 * and undo it. */
enum err signals_new(struct loop *loop, const sigset_t *mask, void (*received)(void *ctx, int number), void *ctx,
                     struct signals **out) MUST_CHECK;
/* Sets the mask back to what it was before; must not be called from received(). NULL is fine. */
void signals_free(struct signals *signals);

#endif
