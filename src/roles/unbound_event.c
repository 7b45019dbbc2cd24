/* libunbound on our loop. */
#include "roles/unbound_event.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>
#include <unbound.h>

#define IO_BITS (UB_EV_READ | UB_EV_WRITE)

struct base {
    struct ub_event_base super; /* first: what the library holds */
    struct loop *loop;
};

struct event {
    struct ub_event super; /* first */
    struct base *base;
    int fd;
    short bits;
    void (*callback)(int fd, short bits, void *arg);
    void *arg;
    struct watch *watch;   /* while active on a descriptor */
    struct timer *timeout; /* made when first needed */
    struct timer *again;   /* the descriptor was still ready after a callback */
    bool *is_gone;         /* set when the event is freed inside its own callback */
};

/* ---- firing ---- */

static short ready_bits(const struct event *event) {
    struct pollfd p = {
        .fd = event->fd,
        .events = (short)((event->bits & UB_EV_READ ? POLLIN : 0) | (event->bits & UB_EV_WRITE ? POLLOUT : 0))};
    if (poll(&p, 1, 0) <= 0)
        return 0;
    short bits = 0;
    if (p.revents & (POLLIN | POLLHUP | POLLERR))
        bits = (short)(bits | UB_EV_READ);
    if (p.revents & (POLLOUT | POLLHUP | POLLERR))
        bits = (short)(bits | UB_EV_WRITE);
    return (short)(bits & event->bits);
}

static void event_stop(struct event *event) {
    watch_free(event->watch);
    event->watch = NULL;
    if (event->timeout)
        timer_disarm(event->timeout);
    if (event->again)
        timer_disarm(event->again);
}

/* False when the event is no more. */
static bool event_fire(struct event *event, short bits) {
    if (!(event->bits & UB_EV_PERSIST))
        event_stop(event);
    bool is_gone = false;
    event->is_gone = &is_gone;
    event->callback(event->fd, bits, event->arg);
    if (!is_gone)
        event->is_gone = NULL;
    return !is_gone;
}

static void event_look(void *ctx) {
    struct event *event = ctx;
    if (!event->watch)
        return;
    short bits = ready_bits(event);
    if (bits == 0 || !event_fire(event, bits))
        return;
    if (event->watch && ready_bits(event) != 0) /* in a later turn: others come in between */
        timer_arm(event->again, loop_now_us(event->base->loop));
}

static void event_timeout(void *ctx) {
    struct event *event = ctx;
    (void)event_fire(event, UB_EV_TIMEOUT);
}

/* ---- what the library calls ---- */

static int event_del(struct ub_event *super) {
    event_stop((struct event *)super);
    return 0;
}

static int event_set_timeout(struct event *event, const struct timeval *tv) {
    struct loop *loop = event->base->loop;
    if (!event->timeout)
        event->timeout = timer_new(loop, event_timeout, event);
    if (!event->timeout)
        return -1;
    timer_arm(event->timeout, loop_now_us(loop) + (int64_t)tv->tv_sec * US_PER_S + tv->tv_usec);
    return 0;
}

static int event_add(struct ub_event *super, struct timeval *tv) {
    struct event *event = (struct event *)super;
    struct loop *loop = event->base->loop;
    if (!loop)
        return -1;
    if (event->fd >= 0 && (event->bits & IO_BITS) && !event->watch) {
        if (!event->again)
            event->again = timer_new(loop, event_look, event);
        if (!event->again || watch_new(loop, event->fd, &event->watch) != ERR_OK)
            return -1;
        watch_on_ready(event->watch, event_look, event);
    }
    return tv ? event_set_timeout(event, tv) : 0;
}

static void event_add_bits(struct ub_event *super, short bits) {
    struct event *event = (struct event *)super;
    event->bits = (short)(event->bits | bits);
}

static void event_del_bits(struct ub_event *super, short bits) {
    struct event *event = (struct event *)super;
    event->bits = (short)(event->bits & ~bits);
}

static void event_set_fd(struct ub_event *super, int fd) {
    ((struct event *)super)->fd = fd;
}

static void event_free(struct ub_event *super) {
    struct event *event = (struct event *)super;
    if (event->is_gone)
        *event->is_gone = true;
    event_stop(event);
    timer_free(event->timeout);
    timer_free(event->again);
    free(event);
}

static int event_add_timer(struct ub_event *super, struct ub_event_base *base, void (*callback)(int, short, void *),
                           void *arg, struct timeval *tv) {
    struct event *event = (struct event *)super;
    event->base = (struct base *)base;
    event->callback = callback;
    event->arg = arg;
    return event->base->loop ? event_set_timeout(event, tv) : -1;
}

static int event_del_timer(struct ub_event *super) {
    struct event *event = (struct event *)super;
    if (event->timeout)
        timer_disarm(event->timeout);
    return 0;
}

static int event_add_signal(struct ub_event *super, struct timeval *tv) {
    (void)super;
    (void)tv;
    return -1;
}

static int event_del_signal(struct ub_event *super) {
    (void)super;
    return 0;
}

static void event_unregister(struct ub_event *super) {
    (void)super;
}

static void event_wouldblock(struct ub_event *super, int bit) {
    (void)super;
    (void)bit;
}

static struct ub_event *base_new_event(struct ub_event_base *super, int fd, short bits,
                                       void (*callback)(int, short, void *), void *arg) {
    static const struct ub_event_vmt vmt = {
        .add_bits = event_add_bits,
        .del_bits = event_del_bits,
        .set_fd = event_set_fd,
        .free = event_free,
        .add = event_add,
        .del = event_del,
        .add_timer = event_add_timer,
        .del_timer = event_del_timer,
        .add_signal = event_add_signal,
        .del_signal = event_del_signal,
        .winsock_unregister_wsaevent = event_unregister,
        .winsock_tcp_wouldblock = event_wouldblock,
    };
    struct event *event = calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    event->super.magic = UB_EVENT_MAGIC;
    event->super.vmt = (struct ub_event_vmt *)&vmt; /* the library only reads it */
    event->base = (struct base *)super;
    event->fd = fd;
    event->bits = bits;
    event->callback = callback;
    event->arg = arg;
    return &event->super;
}

static void base_nothing(struct ub_event_base *super) {
    (void)super;
}

static int base_dispatch(struct ub_event_base *super) {
    (void)super;
    return -1; /* the loop runs by itself */
}

static int base_loopexit(struct ub_event_base *super, struct timeval *tv) {
    (void)super;
    (void)tv;
    return 0;
}

static struct ub_event *base_new_signal(struct ub_event_base *super, int fd, void (*callback)(int, short, void *),
                                        void *arg) {
    (void)super;
    (void)fd;
    (void)callback;
    (void)arg;
    return NULL;
}

static struct ub_event *base_register_wsaevent(struct ub_event_base *super, void *wsaevent,
                                               void (*callback)(int, short, void *), void *arg) {
    (void)super;
    (void)wsaevent;
    (void)callback;
    (void)arg;
    return NULL;
}

struct ub_event_base *unbound_base_new(void) {
    static const struct ub_event_base_vmt vmt = {
        .free = base_nothing,
        .dispatch = base_dispatch,
        .loopexit = base_loopexit,
        .new_event = base_new_event,
        .new_signal = base_new_signal,
        .winsock_register_wsaevent = base_register_wsaevent,
    };
    struct base *base = calloc(1, sizeof(*base));
    if (!base)
        return NULL;
    base->super.magic = UB_EVENT_MAGIC;
    base->super.vmt = (struct ub_event_base_vmt *)&vmt;
    return &base->super;
}

void unbound_base_set_loop(struct ub_event_base *base, struct loop *loop) {
    ((struct base *)base)->loop = loop;
}

void unbound_base_free(struct ub_event_base *base) {
    free(base);
}
