/*
 * Inside the queue role. Four rooms: life, submits and group commit (queue.c),
 * the schedule (queue_schedule.c), attempts and what comes of them
 * (queue_attempt.c), reports (queue_report.c).
 *
 * What must survive is in the store alone. Memory holds the recipients that are
 * due now, up to QUEUE_READY_MAX, each in the line of its destination; a restart
 * forgets them and reads them again. All times in the store are wall time.
 */
#ifndef ROLES_QUEUE_H
#define ROLES_QUEUE_H

#include "base/map.h"
#include "base/vec.h"
#include "roles/doors.h"
#include "store/queue_store.h"

#define QUEUE_RETRY_DEFAULT_US \
    (300 * US_PER_S) /* RFC5321-4.5.4.1: at least 30 minutes in general, sooner at first is allowed */
#define QUEUE_RETRY_MAX_US (4 * 3600 * US_PER_S)         /* RFC5321-4.5.4.1: 2 to 3 hours and more */
#define QUEUE_LIFETIME_DEFAULT_US (5 * 86400 * US_PER_S) /* RFC5321-4.5.4.1: at least 4 to 5 days */
#define QUEUE_LIFETIME_MAX_US (365 * 86400 * US_PER_S)
#define QUEUE_DELAYED_US (4 * 3600 * US_PER_S) /* a sender hears of a delay after this */
#define QUEUE_LOST_US (10 * US_PER_S)          /* after a courier or mailbox went away during an attempt */
#define QUEUE_REPORT_RETRY_US (60 * US_PER_S)  /* when the directory could not say who gets a report */
#define QUEUE_LOST_MAX 5                       /* so many quick ones; then the ordinary schedule */
#define QUEUE_READY_MAX 2000                   /* recipients in memory */
#define QUEUE_JOBS_MAX 100                     /* attempts at once */
#define QUEUE_REMOTE_JOBS 5                    /* of them to one domain */
#define QUEUE_LOCAL_JOBS 4                     /* of them to one account: its mailbox commits them together */
#define QUEUE_ATTEMPT_RECIPIENTS 100           /* RFC5321-4.5.3.1.8, and the record's limit */
#define QUEUE_COURIERS_MAX 64
#define QUEUE_PREFIX_MAX 8192
#define QUEUE_HEADER_MAX 65536 /* octets of a header block that a report returns */

/* queue_recipient.notify: RFC3461-4.1, and what the sender was told. 0: failures and delays are reported. */
#define QUEUE_NOTIFY_NEVER 1u
#define QUEUE_NOTIFY_SUCCESS 2u
#define QUEUE_NOTIFY_FAILURE 4u
#define QUEUE_NOTIFY_DELAY 8u
#define QUEUE_NOTIFY_ASKED (QUEUE_NOTIFY_NEVER | QUEUE_NOTIFY_SUCCESS | QUEUE_NOTIFY_FAILURE | QUEUE_NOTIFY_DELAY)
#define QUEUE_NOTIFIED_DELAY 0x80u /* a report of the delay was made */

struct queue_change;

/* A recipient in memory: due, in its destination's line or under way. */
struct queue_item {
    uint64_t id, message;
    struct queue_item *next;
};

/* A domain, or an account's mailbox. */
struct queue_destination {
    struct queue *queue;
    enum queue_kind kind;
    uint64_t account;   /* LOCAL */
    struct view key;    /* in the allocation */
    struct view domain; /* REMOTE; lower-case, inside key */
    struct queue_item *first, *last;
    unsigned jobs;
    struct queue_destination *next; /* among those that may start a job */
    bool is_runnable;
};

struct queue_courier {
    struct role_peer peer;
    uint32_t index;
    unsigned jobs;
    bool is_used;
};

/* Who is at the other end of a channel that we serve: bound to it when it was offered, never said by a message. */
struct queue_peer {
    struct queue *queue;
    struct channel *channel;
    uint32_t index;
};

struct queue {
    struct role_env *env;
    struct queue_store *store;
    enum err open_err;
    struct doors doors;
    struct role_peer directory;
    struct queue_courier couriers[QUEUE_COURIERS_MAX];
    struct waitq courier_arrived;
    struct vec peers; /* struct queue_peer *: edges and postmaster, whom we serve */
    int64_t retry_us, lifetime_us;
    /* schedule */
    struct map *destinations; /* key -> struct queue_destination */
    struct map *items;        /* recipient id -> struct queue_item */
    struct queue_destination *runnable_first, *runnable_last;
    unsigned jobs;
    bool more_due;        /* the store may have due recipients that are not in memory */
    int64_t next_load_us; /* wall time at which the next one that is not in memory is due */
    int64_t loaded_us;    /* when the store was last asked */
    bool is_woken;
    struct waitq wake;
    /* group commit */
    struct queue_change *changes_first, *changes_last;
    struct waitq changed;
};

/* ---- group commit (queue.c) ---- */

/* Runs run(queue, arg) inside a transaction that is shared by all that wait at this time, on the main stack, and returns when it is on
 * disk. An error of run undoes what it did, and only that. run may be called twice: it must not mind that its first try was undone. */
struct queue_change {
    enum err (*run)(struct queue *queue, void *arg);
    void *arg;
    enum err err;
    bool is_done;
    struct waitq done;
    struct queue_change *next;
};
enum err queue_commit(struct queue *queue, enum err (*run)(struct queue *queue, void *arg), void *arg) MUST_CHECK;
int64_t queue_wall_us(const struct queue *queue);

/* ---- schedule (queue_schedule.c) ---- */

enum err queue_schedule_init(struct queue *queue) MUST_CHECK;
void queue_schedule_fini(struct queue *queue);
/* A recipient that is in the store and due at r->next_us. */
void queue_schedule_add(struct queue *queue, const struct queue_recipient *r);
/* Asks the store again at this wall time, for what is known to be due then. */
void queue_schedule_at(struct queue *queue, int64_t wall_us);
void queue_schedule_wake(struct queue *queue);
/* The time of the next attempt after `attempts` of them: doubling from retry_us up to QUEUE_RETRY_MAX_US, a tenth at random. */
int64_t queue_retry_after_us(const struct queue *queue, uint32_t attempts);

/* ---- attempts (queue_attempt.c) ---- */

/* One job: recipients of one message at one destination. */
struct queue_job {
    struct queue *queue;
    struct queue_destination *destination;
    struct queue_item *items;
    size_t n;
};
/* The body of a job's coroutine; the items are forgotten when it returns. */
void queue_attempt(struct queue_job *job);

/* What came of one recipient. */
struct queue_outcome {
    uint16_t reply; /* 2xx, 4xx, 5xx */
    struct view status, text, host;
    bool is_lost; /* 4xx because a role of ours went away */
};

/* ---- reports (queue_report.c) ---- */

/* A report to the sender of `message`, ready to be added to the store in the transaction that marks its recipients. */
struct queue_report {
    bool is_made;
    struct queue_message message;
    struct queue_recipient *recipients;
    size_t n;
    struct view body;
};
/* Why one recipient is in a report. */
struct queue_reported {
    const struct queue_recipient *recipient;
    struct queue_outcome outcome;
};
/* is_made stays false when nobody is to be told (null sender, sender unknown). ERR_AGAIN and the like: the directory cannot be asked now.
 * All views live in arena. */
enum err queue_report_make(struct queue *queue, const struct queue_message *message, struct file *body,
                           const struct queue_reported *list, size_t n, bool is_delay, struct arena *arena,
                           struct queue_report *out) MUST_CHECK;

#endif
