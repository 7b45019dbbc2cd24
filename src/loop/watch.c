/* Watches: descriptors in the epoll set, edge-triggered, each with a reader and a writer that may wait. */
#include "loop/watch.h"
#include "loop/loop_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define EVENTS_AT_ONCE 256 /* a turn's worth; more come in the next */

struct watch {
    struct loop *loop;
    int fd;
    struct co *reader, *writer; /* may be the same coroutine */
    unsigned edges;             /* that came while nobody waited: the next wait tries again at once */
    bool is_interrupted;
    void (*ready)(void *ctx);
    void *ctx;
};

enum err watch_new(struct loop *loop, int fd, struct watch **out) {
    BUG_IF(loop->epoll_fd < 0);
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return ERR_NO_MEMORY;
    watch->loop = loop;
    watch->fd = fd;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = watch}};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        enum err err = err_from_errno(errno);
        free(watch);
        return err;
    }
    *out = watch;
    return ERR_OK;
}

enum err watch_wait(struct watch *watch, unsigned directions, int64_t deadline_us) {
    BUG_IF(directions == 0 || watch->ready != NULL);
    struct co *co = co_current();
    BUG_IF(co == NULL);
    if (co_is_canceled(co))
        return ERR_CANCELED;
    if ((directions & WATCH_READ) && watch->is_interrupted) {
        watch->is_interrupted = false;
        return ERR_AGAIN;
    }
    if (watch->edges & directions) {
        watch->edges &= ~directions;
        return ERR_OK;
    }
    BUG_IF((directions & WATCH_READ) && watch->reader != NULL);
    BUG_IF((directions & WATCH_WRITE) && watch->writer != NULL);
    if (directions & WATCH_READ)
        watch->reader = co;
    if (directions & WATCH_WRITE)
        watch->writer = co;
    enum err err = co_wait(CO_WAIT_INTERNAL, deadline_us);
    if (watch->reader == co)
        watch->reader = NULL;
    if (watch->writer == co)
        watch->writer = NULL;
    return err;
}

/* The slot stays taken until the coroutine runs, so it is woken once only. */
static bool wake(struct co *co, enum err result) {
    if (co == NULL || co->state != CO_SUSPENDED)
        return false;
    co_wake(co, result);
    return true;
}

void watch_interrupt(struct watch *watch) {
    if (!wake(watch->reader, ERR_AGAIN))
        watch->is_interrupted = true;
}

void watch_on_ready(struct watch *watch, void (*ready)(void *ctx), void *ctx) {
    BUG_IF(watch->reader != NULL || watch->writer != NULL);
    watch->ready = ready;
    watch->ctx = ctx;
}

void watch_want(struct watch *watch, unsigned directions) {
    struct epoll_event event = {.events = EPOLLET, .data = {.ptr = watch}};
    if (directions & WATCH_READ)
        event.events |= EPOLLIN | EPOLLRDHUP;
    if (directions & WATCH_WRITE)
        event.events |= EPOLLOUT;
    BUG_IF(epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0);
}

void watch_free(struct watch *watch) {
    if (watch == NULL)
        return;
    BUG_IF(watch->reader != NULL || watch->writer != NULL);
    struct loop *loop = watch->loop;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->event_at; loop->events != NULL && i < loop->event_n; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
    free(watch);
}

static void hand_out(struct watch *watch, uint32_t events) {
    if (watch->ready != NULL) {
        struct loop *loop = watch->loop;
        loop_turn_begins(loop);
        watch->ready(watch->ctx); /* may free the watch */
        loop_turn_ends(loop, "ready", NULL);
        return;
    }
    unsigned edges = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        edges |= WATCH_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        edges |= WATCH_WRITE;
    /* A coroutine that was woken by its deadline has not tried again yet: the edge is kept for its next wait. */
    if ((edges & WATCH_READ) && wake(watch->reader, ERR_OK))
        edges &= ~WATCH_READ;
    if ((edges & WATCH_WRITE) && wake(watch->writer, ERR_OK))
        edges &= ~WATCH_WRITE;
    watch->edges |= edges;
}

static int timeout_ms(struct loop *loop, int64_t until_us) {
    if (until_us == US_NEVER)
        return -1;
    int64_t now_us = loop->clock->mono_us(loop->clock);
    if (until_us <= now_us)
        return 0;
    /* Rounded up: waking before the timer is due would only turn the loop. */
    int64_t ms = (until_us - now_us) / US_PER_MS + ((until_us - now_us) % US_PER_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

void watch_poll(struct loop *loop, int64_t until_us) {
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms(loop, until_us));
    BUG_IF(n < 0 && errno != EINTR);
    loop->now_us = loop->clock->mono_us(loop->clock);
    loop->events = events;
    loop->event_n = n;
    for (loop->event_at = 0; loop->event_at < loop->event_n; loop->event_at++) {
        struct watch *watch = events[loop->event_at].data.ptr;
        if (watch != NULL)
            hand_out(watch, events[loop->event_at].events);
    }
    loop->events = NULL;
}
