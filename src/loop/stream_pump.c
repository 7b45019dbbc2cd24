/* The pump between two streams: back-pressure, half-close, and an end after silence. */
#include "loop/loop_internal.h"
#include "loop/stream.h"

#include <stdlib.h>

/* An idle pump waits with a small buffer on its stack; a large one is made when octets come faster than that. */
#define PUMP_SMALL ((size_t)512)
#define PUMP_LARGE ((size_t)32 * 1024)
#define PUMP_PIECE ((size_t)4 * 1024)

struct pump {
    struct stream *a, *b;
    int64_t idle_us;
    int64_t last_us; /* when octets moved last, in either direction */
    bool is_ended;   /* the coroutine's direction */
    enum err err;    /* of the coroutine's direction */
    bool is_failed;  /* one direction failed: the other has no sense any more */
    struct waitq ended;
};

static int64_t silence_ends_us(const struct pump *pump) {
    int64_t at_us;
    return __builtin_add_overflow(pump->last_us, pump->idle_us, &at_us) ? US_NEVER : at_us;
}

/* Moves one read's octets; *got is 0 when there was a reason to look again, *is_end at the source's end. */
static enum err copy(struct pump *pump, struct stream *from, struct stream *to, uint8_t *p, size_t cap, size_t *got,
                     bool *is_end) {
    *got = 0;
    enum err err = stream_read(from, p, cap, silence_ends_us(pump), got);
    if (pump->is_failed)
        return ERR_CANCELED;
    if (err == ERR_CLOSED) {
        *is_end = true;
        return ERR_OK;
    }
    /* Interrupted, or the other direction moved meanwhile: go on. */
    if (err == ERR_AGAIN || (err == ERR_TIMEOUT && silence_ends_us(pump) > loop_now_us(from->loop)))
        return ERR_OK;
    TRY(err);
    pump->last_us = loop_now_us(from->loop);
    for (size_t at = 0; at < *got;) {
        /* In pieces, so that a slow receiver that takes something is not silent. */
        size_t n = MIN(*got - at, PUMP_PIECE);
        err = stream_write(to, view_of(p + at, n), silence_ends_us(pump));
        if (pump->is_failed)
            return ERR_CANCELED;
        TRY(err);
        pump->last_us = loop_now_us(from->loop);
        at += n;
    }
    return ERR_OK;
}

static enum err run_direction(struct pump *pump, struct stream *from, struct stream *to) {
    uint8_t small[PUMP_SMALL];
    uint8_t *large = NULL;
    enum err err;
    bool is_end = false;
    do {
        size_t got, cap = large != NULL ? PUMP_LARGE : PUMP_SMALL;
        err = copy(pump, from, to, large != NULL ? large : small, cap, &got, &is_end);
        if (large == NULL && got == PUMP_SMALL) {
            large = malloc(PUMP_LARGE); /* without memory it goes on with the small one */
        } else if (large != NULL && got < PUMP_SMALL) {
            free(large);
            large = NULL;
        }
    } while (err == ERR_OK && !is_end);
    free(large);
    if (is_end)
        stream_shutdown(to);
    else
        pump->is_failed = true;
    return err;
}

static void run_backward(void *arg) {
    struct pump *pump = arg;
    pump->err = run_direction(pump, pump->b, pump->a);
    if (pump->err != ERR_OK)
        stream_interrupt(pump->a);
    pump->is_ended = true;
    waitq_wake_all(&pump->ended);
}

enum err stream_pump(struct stream *a, struct stream *b, struct co_group *group, int64_t idle_us) {
    struct pump pump = {.a = a, .b = b, .idle_us = idle_us, .last_us = loop_now_us(a->loop)};
    struct co *backward;
    TRY(co_spawn(a->loop, group, "pump", run_backward, &pump, &backward));
    enum err err = run_direction(&pump, a, b);
    if (err != ERR_OK && !pump.is_ended)
        co_cancel(backward);
    /* It uses what is on this stack, so even a cancelled caller waits for it. */
    while (!pump.is_ended) {
        enum err waited = waitq_wait(&pump.ended, US_NEVER);
        if (waited == ERR_CANCELED) {
            err = err == ERR_OK ? waited : err;
            if (!pump.is_ended)
                co_cancel(backward);
            while (!pump.is_ended)
                waitq_wait_shielded(&pump.ended);
        }
    }
    /* The direction that failed knows why; the other one was only told to stop. */
    if (err == ERR_OK || (err == ERR_CANCELED && pump.err != ERR_OK))
        err = pump.err;
    return err;
}
