/* What the loop asks of its watches; internal to loop/. */
#ifndef LOOP_WATCH_H
#define LOOP_WATCH_H

#include "loop/loop.h"

/* Waits for events until the time on the loop's clock (0: only looks) and hands them out. */
void watch_poll(struct loop *loop, int64_t until_us);

#endif
