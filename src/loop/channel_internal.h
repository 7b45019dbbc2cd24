/*
 * What the files of the channel know of each other. channel.c: lifetime, the
 * queue of outgoing packets, our requests and their replies. channel_serve.c:
 * the peer's requests. channel_fd.c and channel_pair.c: the transports.
 * channel_handle.c: handles and descriptors. Nothing outside of loop/ includes this.
 */
#ifndef LOOP_CHANNEL_INTERNAL_H
#define LOOP_CHANNEL_INTERNAL_H

#include "base/map.h"
#include "loop/channel.h"
#include "loop/channel_packet.h"

#define CHANNEL_CALL_BUDGET (1024 * 1024)     /* of a request's arena: its record and what the handler makes */
#define CHANNEL_QUEUE_BYTES (4 * 1024 * 1024) /* the queue is also full at so many octets: 32 of the largest packets */
/* Reading pauses when so much waits to be served: all that a peer of good will has outstanding, if it is small. */
#define CHANNEL_BACKLOG_MAX CHANNEL_PENDING_MAX
#define CHANNEL_BACKLOG_BYTES (1024 * 1024)
#define CHANNEL_BACKLOG_HANDLES 64 /* descriptors are scarcer than memory */
#define CHANNEL_READ_BATCH 64      /* packets read from one channel before others have their turn */

/* A packet on its way out. */
struct outgoing {
    struct outgoing *next;
    struct buf octets;
    enum packet_kind kind;
    uint16_t code;
    uint64_t id;
    size_t handles_n;
    struct handle handles[CHANNEL_HANDLES_MAX]; /* in process: the objects */
    int fds[CHANNEL_HANDLES_MAX];               /* sockets: the descriptors, fds_n of them, ours to close */
    size_t fds_n;
    int64_t due_us; /* in process: when it arrives */
};

struct pending; /* a request of ours */
struct served;  /* a request or one-way message of the peer */

struct transport {
    enum err (*start)(struct channel *channel);
    /* Brings the handles into the form they travel in; what cannot travel is ERR_PERMANENT. */
    enum err (*pack)(struct outgoing *out);
    /* A packet was added to the queue. */
    void (*flush)(struct channel *channel);
    /* Reading may go on. */
    void (*resume)(struct channel *channel);
    /* The channel was severed. What is left in the queue is dropped afterwards. */
    void (*sever)(struct channel *channel);
    int (*take_fd)(struct channel *channel);
    void (*destroy)(struct channel *channel); /* with the last reference */
    bool may_take_back; /* a request in the queue has not left: a caller that gives up takes it back */
};

struct channel {
    struct loop *loop;
    const struct transport *transport;
    unsigned refs; /* the owner, calls, handlers, the other end in process */
    bool is_started, is_severed, is_freed, is_told;
    enum err why;

    const char *name;
    const struct channel_handler *handlers;
    size_t handlers_n;
    void *ctx;
    struct co_group *group;
    void *user;
    void (*closed)(void *ctx, enum err why);
    void *closed_ctx;
    struct timer *tell; /* calls closed() on the main stack */

    struct outgoing *out_first, *out_last;
    size_t out_n, out_bytes;         /* all */
    size_t replies_n, replies_bytes; /* replies among them */
    struct waitq room;               /* callers that wait for the queue or for outstanding requests to shrink */

    uint64_t last_id;
    struct map *pending; /* id: struct pending */

    uint64_t peer_last_id;
    size_t unanswered; /* the peer's requests whose reply has not left us */
    struct served *backlog_first, *backlog_last;
    size_t backlog_n, backlog_bytes, backlog_handles;
    struct served *running;
    size_t running_n, running_max;
    struct served *starting_first, *starting_last; /* their coroutines were made and have not begun */
    bool is_pumping;                               /* within serve_pump() */
    bool is_paused;                                /* reading */

    struct timer *kick; /* transports: go on with reading or delivering */

    /* sockets */
    int fd; /* -1: severed, or in process */
    struct watch *watch;
    bool is_blocked; /* the socket's buffer is full: wait for the edge */
    bool is_mute;    /* nobody reads what we send; what the peer sent before may still come */

    /* in process */
    struct channel *peer;     /* holds a reference */
    struct outgoing *leaving; /* what was queued when the owner freed this end */
    int64_t last_due_us;
    bool is_cut; /* by the tap */
};

/* ---- channel.c ---- */

enum err channel_make(struct loop *loop, const struct transport *transport, struct channel **out) MUST_CHECK;
void channel_ref(struct channel *channel);
void channel_unref(struct channel *channel);
/* Nothing goes in or out any more: outstanding requests fail, the peer's are cancelled, the owner is told in a later turn. */
void channel_sever(struct channel *channel, enum err why);
/* Tells the owner of the end, once every one-way message that came before it has begun to be served. */
void channel_tell_closed(struct channel *channel);
/* A packet came in. Takes the handles. On the main stack. */
void channel_receive(struct channel *channel, const struct packet *packet, struct handle handles[CHANNEL_HANDLES_MAX]);

/* Makes a packet. header->handles_n and kinds are set here; handles (n of them) are consumed, also on error. record may be NULL. */
enum err outgoing_new(struct channel *c, struct packet header, const struct record_type *type, const void *record,
                      struct handle *handles, size_t n, struct outgoing **result) MUST_CHECK;
void outgoing_free(struct outgoing *out);
/* Appends it (takes it over) and gives the transport its chance. Drops it when the channel is severed. */
void channel_queue(struct channel *channel, struct outgoing *out);
/* Takes the first packet out of the queue, or NULL. */
struct outgoing *channel_dequeue(struct channel *channel);
bool channel_queue_has_room(const struct channel *channel);

/* ---- channel_serve.c ---- */

/* ERR_SYNTAX when it breaks a rule. */
enum err serve_receive(struct channel *channel, const struct packet *packet,
                       struct handle handles[CHANNEL_HANDLES_MAX]) MUST_CHECK;
enum err serve_cancel(struct channel *channel, uint64_t id) MUST_CHECK;
/* Starts what may start, lets reading pause or go on. */
void serve_pump(struct channel *channel);
/* Drops the requests that wait and cancels those being served (not the caller's own); with all, one-way messages too. */
void serve_cancel_all(struct channel *channel, bool all);

/* ---- channel_handle.c ---- */

void handles_close(struct handle *handles, size_t n);
/* A descriptor of its own for the handle, which is consumed also on error. ERR_PERMANENT when it has none to give. */
enum err handle_to_fd(struct handle *handle, int *fd) MUST_CHECK;
/* Takes the descriptor over, also on error. ERR_SYNTAX when it is not what the kind says. */
enum err handle_from_fd(struct loop *loop, enum handle_kind kind, int fd, struct handle *out) MUST_CHECK;

extern const struct transport channel_transport_fd, channel_transport_pair;

#endif
