/*
 * IPC: typed messages between two roles, with handles (files, streams, channels,
 * listeners) travelling along.
 *
 * Transports: a SOCK_SEQPACKET socketpair with SCM_RIGHTS, or in process (both
 * ends on one loop; messages are encoded and decoded all the same, handles are
 * passed as objects). One message is one packet of at most CHANNEL_PACKET_MAX
 * octets: larger things travel as files or in pieces.
 *
 * Each request has an id, a deadline, a trace id, and can be cancelled; its
 * reply is an error class, a record, and handles. Sends never block the loop:
 * a full queue suspends the calling coroutine until its deadline. When the peer
 * goes away, all outstanding requests fail with ERR_AGAIN. A message that cannot
 * be decoded, has an unknown code or a wrong direction closes the channel.
 * Messages of one channel arrive in order, and handlers begin in that order. At
 * most CHANNEL_HANDLERS_MAX of a channel's requests are served at a time; the
 * rest waits, and when much waits nothing more is read, so that the asker waits
 * too. Each request is answered exactly once, also a cancelled one. A request
 * that a handler makes carries the trace id of the one it serves (co_trace()).
 *
 * When the peer ends, its one-way messages that came before are still served;
 * its requests are cancelled, since nobody waits for the replies.
 */
#ifndef LOOP_CHANNEL_H
#define LOOP_CHANNEL_H

#include "base/disk.h"
#include "base/record.h"
#include "loop/net.h"

#define CHANNEL_PACKET_MAX (128 * 1024) /* below the default socket buffer of 208 KiB */
#define CHANNEL_HANDLES_MAX 4
#define CHANNEL_QUEUE_MAX 256    /* packets waiting to be sent */
#define CHANNEL_PENDING_MAX 1024 /* requests one side may have outstanding; more wait */
#define CHANNEL_HANDLERS_MAX 64 /* requests of one channel that are served at a time, unless the owner says otherwise */
#define CHANNEL_VERSION 1

struct channel;

enum handle_kind { HANDLE_NONE, HANDLE_FILE, HANDLE_STREAM, HANDLE_CHANNEL, HANDLE_LISTENER };
struct handle {
    enum handle_kind kind;
    union {
        struct file *file;
        struct stream *stream;
        struct channel *channel;
        struct listener *listener;
    };
};
#define HANDLE_OF_FILE(f) ((struct handle){.kind = HANDLE_FILE, .file = (f)})
#define HANDLE_OF_STREAM(s) ((struct handle){.kind = HANDLE_STREAM, .stream = (s)})
#define HANDLE_OF_CHANNEL(c) ((struct handle){.kind = HANDLE_CHANNEL, .channel = (c)})
#define HANDLE_OF_LISTENER(l) ((struct handle){.kind = HANDLE_LISTENER, .listener = (l)})
void handle_close(struct handle *handle);

struct message_type {
    uint16_t code;
    const char *name;
    const struct record_type *request;
    const struct record_type *reply; /* NULL: one way */
    uint8_t request_handles;         /* kinds are checked by the handler; more than this many is a protocol error */
    uint8_t reply_handles;
};

/* A request being served. The request and all its views live in `arena` until the reply has been sent. */
struct call {
    struct channel *channel;
    const struct message_type *type;
    struct arena *arena;
    const void *request;
    struct handle
        handles[CHANNEL_HANDLES_MAX]; /* the handler takes them by setting kind to HANDLE_NONE; the rest is closed */
    int64_t deadline_us;              /* US_NEVER for one-way messages */
    uint64_t trace;
};
/* Runs on a coroutine of its own in the channel's group and returns the reply: an error class and, with ERR_OK, the record
 * *reply (zeroed, type->reply->size octets; views may live in call->arena) and handles. One-way: reply is NULL. */
typedef enum err channel_handle_fn(void *ctx, struct call *call, void *reply,
                                   struct handle reply_handles[CHANNEL_HANDLES_MAX]);
struct channel_handler {
    const struct message_type *type;
    channel_handle_fn *handle;
};

/* A connected SOCK_SEQPACKET socket. Takes it over (also on error). */
enum err channel_new_fd(struct loop *loop, int fd, struct channel **out) MUST_CHECK;
/* A socketpair for passing on: both descriptors close-on-exec and non-blocking. */
enum err channel_socketpair(int fds[2]) MUST_CHECK;
/* Two ends in one process. */
enum err channel_new_pair(struct loop *loop, struct channel **a, struct channel **b) MUST_CHECK;
/* Ends it: outstanding requests fail, handlers being served are cancelled, queued packets are still sent if they fit at once.
 * A handler may free its own channel: it goes on, and its reply is dropped. */
void channel_free(struct channel *channel);
/* Starts reading. name for logs; handlers must outlive the channel; group: where handlers run (may be NULL). */
enum err channel_start(struct channel *channel, const char *name, const struct channel_handler *handlers, size_t n,
                       void *ctx, struct co_group *group) MUST_CHECK;
/* Called once, on the main stack, when the peer is gone or broke the protocol (why: ERR_CLOSED or ERR_SYNTAX); also
 * when that was before this was set. */
void channel_on_close(struct channel *channel, void (*closed)(void *ctx, enum err why), void *ctx);
/* How many of its requests are served at a time, 1 to CHANNEL_PENDING_MAX: more than the default for roles whose handlers
 * mostly wait (resolver), where slow ones must not keep fast ones waiting. */
void channel_set_handlers_max(struct channel *channel, size_t n);
bool channel_is_open(const struct channel *channel);
/* Data of the role that owns the channel (who is at the other end). */
void channel_set_user(struct channel *channel, void *user);
void *channel_user(const struct channel *channel);

/* Sends a request and suspends for the reply. `handles` (n of them) are consumed, also on error. The reply's views live in
 * arena (NULL is fine for records of fixed size). ERR_AGAIN peer gone, or ending: its handler was cancelled there; ERR_TIMEOUT;
 * ERR_CANCELED the calling coroutine was cancelled, and never anything else; ERR_LIMIT record too large, ERR_PERMANENT a handle
 * that cannot travel (no descriptor, a channel in use), or the class the peer answered. */
enum err channel_call(struct channel *channel, const struct message_type *type, const void *request,
                      struct handle *handles, size_t n, int64_t deadline_us, struct arena *arena, void *reply,
                      struct handle reply_handles[CHANNEL_HANDLES_MAX]) MUST_CHECK;
/* One way; never suspends; ERR_FULL when the queue is full. Handles are consumed. */
enum err channel_send(struct channel *channel, const struct message_type *type, const void *request,
                      struct handle *handles, size_t n) MUST_CHECK;
/* Gives up the descriptor of a channel that was not started (to pass it on), or -1. Frees the channel when it had one. */
int channel_take_fd(struct channel *channel);

/* In-process transport only: lets the simulation look at, delay or cut each packet (return false: the channel breaks). */
struct channel_tap {
    bool (*packet)(struct channel_tap *tap, const char *channel, uint16_t code, bool is_reply, int64_t *delay_us);
};
void loop_set_channel_tap(struct loop *loop, struct channel_tap *tap);

#endif
