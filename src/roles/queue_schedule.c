/*
 * The schedule: which recipients are due, and whose turn it is. Recipients that
 * are due stand in the line of their destination; destinations take turns. The
 * store is asked only when something is known to be due there that is not in
 * memory.
 */
#include "roles/queue.h"

#include <stdlib.h>
#include <string.h>

#define LOAD_STEP 500 /* recipients read beyond those that are in memory already */
#define LOAD_BUDGET \
    (16 * 1024 * 1024) /* octets: QUEUE_READY_MAX + LOAD_STEP rows of at most 2 KB, twice while they grow */
#define LOAD_PACE_US (1 * US_PER_S)    /* between two readings for the clock's sake: retries come in bunches */
#define LOAD_AGAIN_US (60 * US_PER_S)  /* after a reading that failed */
#define SLEEP_MAX_US (3600 * US_PER_S) /* the wall clock may be set */
#define KEY_MAX 260

int64_t queue_retry_after_us(const struct queue *queue, uint32_t attempts) {
    int64_t after_us = queue->retry_us;
    for (uint32_t i = 1; i < attempts && after_us < QUEUE_RETRY_MAX_US; i++)
        after_us *= 2;
    after_us = MIN(after_us, QUEUE_RETRY_MAX_US);
    /* What failed together should not come together again. */
    return after_us + (int64_t)random_below(queue->env->random, (uint64_t)after_us / 10 + 1);
}

/* ---- destinations ---- */

/* RFC5321-2.4: the part after the last "@", without case. */
static struct view put_key(const struct queue_recipient *r, uint8_t key[KEY_MAX]) {
    if (r->kind == QUEUE_LOCAL) {
        key[0] = 'L';
        memcpy(key + 1, &r->account, sizeof(r->account));
        return view_of(key, 1 + sizeof(r->account));
    }
    ssize_t at = view_rfind_byte(r->address, '@');
    struct view domain = at < 0 ? VIEW_NONE : view_skip(r->address, (size_t)at + 1);
    domain = view_sub(domain, 0, KEY_MAX - 1);
    key[0] = 'R';
    for (size_t i = 0; i < domain.n; i++)
        key[1 + i] = ascii_lower(domain.p[i]);
    return view_of(key, 1 + domain.n);
}

static struct queue_destination *destination_of(struct queue *queue, const struct queue_recipient *r) {
    uint8_t bytes[KEY_MAX];
    struct view key = put_key(r, bytes);
    struct queue_destination *d = map_get(queue->destinations, key);
    if (d)
        return d;
    d = calloc(1, sizeof(*d) + key.n);
    if (!d)
        return NULL;
    uint8_t *kept = (uint8_t *)(d + 1);
    memcpy(kept, key.p, key.n);
    *d = (struct queue_destination){
        .queue = queue, .kind = (enum queue_kind)r->kind, .account = r->account, .key = view_of(kept, key.n)};
    if (d->kind == QUEUE_REMOTE)
        d->domain = view_skip(d->key, 1);
    if (map_put(queue->destinations, d->key, d) != ERR_OK) {
        free(d);
        return NULL;
    }
    return d;
}

static void drop_if_empty(struct queue_destination *d) {
    if (d->first || d->jobs || d->is_runnable)
        return;
    (void)map_remove(d->queue->destinations, d->key);
    free(d);
}

static void push_if_runnable(struct queue_destination *d) {
    struct queue *queue = d->queue;
    unsigned most = d->kind == QUEUE_LOCAL ? QUEUE_LOCAL_JOBS : QUEUE_REMOTE_JOBS;
    if (d->is_runnable || !d->first || d->jobs >= most)
        return;
    d->is_runnable = true;
    d->next = NULL;
    if (queue->runnable_last)
        queue->runnable_last->next = d;
    else
        queue->runnable_first = d;
    queue->runnable_last = d;
}

static struct queue_destination *pop_runnable(struct queue *queue) {
    struct queue_destination *d = queue->runnable_first;
    queue->runnable_first = d->next;
    if (!queue->runnable_first)
        queue->runnable_last = NULL;
    d->is_runnable = false;
    return d;
}

/* False without memory. */
static bool take_in(struct queue *queue, const struct queue_recipient *r) {
    if (map_get_u64(queue->items, r->id))
        return true;
    struct queue_destination *d = destination_of(queue, r);
    struct queue_item *item = d ? calloc(1, sizeof(*item)) : NULL;
    if (item && map_put_u64(queue->items, r->id, item) != ERR_OK) {
        free(item);
        item = NULL;
    }
    if (!item) {
        if (d)
            drop_if_empty(d);
        return false;
    }
    item->id = r->id;
    item->message = r->message;
    if (d->last)
        d->last->next = item;
    else
        d->first = item;
    d->last = item;
    push_if_runnable(d);
    return true;
}

void queue_schedule_wake(struct queue *queue) {
    queue->is_woken = true;
    waitq_wake_all(&queue->wake);
}

void queue_schedule_at(struct queue *queue, int64_t wall_us) {
    if (wall_us >= queue->next_load_us)
        return;
    queue->next_load_us = wall_us;
    queue_schedule_wake(queue);
}

void queue_schedule_add(struct queue *queue, const struct queue_recipient *r) {
    if (r->next_us > queue_wall_us(queue)) {
        queue_schedule_at(queue, r->next_us);
        return;
    }
    if (map_count(queue->items) >= QUEUE_READY_MAX || !take_in(queue, r))
        queue->more_due = true;
    queue_schedule_wake(queue);
}

/* ---- from the store ---- */

struct load {
    struct queue *queue;
    struct arena *arena;
    size_t max, n;
    struct queue_recipient *rows;
    enum err err;
};

static void read_rows(void *arg) {
    struct load *load = arg;
    load->err = queue_store_due(load->queue->store, US_NEVER, load->max, load->arena, &load->rows, &load->n);
}

/* Those due and not in memory come in; the first of the others says when to look again. */
static void load_due(struct queue *queue) {
    int64_t now_us = queue_wall_us(queue);
    struct load load = {.queue = queue,
                        .arena = arena_new("queue.due", LOAD_BUDGET),
                        .max = map_count(queue->items) + LOAD_STEP,
                        .err = ERR_NO_MEMORY};
    if (load.arena)
        co_on_main(read_rows, &load);
    queue->loaded_us = now_us;
    queue->more_due = load.err == ERR_OK && load.n == load.max;
    queue->next_load_us = load.err == ERR_OK ? US_NEVER : now_us + LOAD_AGAIN_US;
    if (load.err != ERR_OK)
        log_event(&queue->env->log, LOG_ERROR, "queue.due", LF_ERR(load.err));
    for (size_t i = 0; load.err == ERR_OK && i < load.n; i++) {
        if (load.rows[i].next_us > now_us) {
            if (map_get_u64(queue->items, load.rows[i].id))
                continue; /* the clock was set back under a recipient that is under way */
            queue->next_load_us = load.rows[i].next_us;
            queue->more_due = false;
            break;
        }
        if (map_count(queue->items) >= QUEUE_READY_MAX || !take_in(queue, &load.rows[i])) {
            queue->more_due = true;
            break;
        }
    }
    arena_free(load.arena);
}

/* ---- jobs ---- */

static void job_end(struct queue_job *job) {
    struct queue *queue = job->queue;
    while (job->items) {
        struct queue_item *item = job->items;
        job->items = item->next;
        (void)map_remove_u64(queue->items, item->id);
        free(item);
    }
    queue->jobs--;
    job->destination->jobs--;
    push_if_runnable(job->destination);
    drop_if_empty(job->destination);
    free(job);
    queue_schedule_wake(queue);
}

static void job_body(void *arg) {
    struct queue_job *job = arg;
    queue_attempt(job);
    job_end(job);
}

/* The first of the line, and for a domain all others of the same message. */
static void take_items(struct queue_destination *d, struct queue_job *job) {
    size_t most = d->kind == QUEUE_LOCAL ? 1 : QUEUE_ATTEMPT_RECIPIENTS;
    uint64_t message = d->first->message;
    struct queue_item **tail = &job->items, *kept = NULL;
    for (struct queue_item **at = &d->first; *at && job->n < most;) {
        struct queue_item *item = *at;
        if (item->message != message) {
            kept = item;
            at = &item->next;
            continue;
        }
        *at = item->next;
        item->next = NULL;
        *tail = item;
        tail = &item->next;
        job->n++;
        if (d->last == item)
            d->last = kept;
    }
}

static void give_back(struct queue_destination *d, struct queue_job *job) {
    struct queue_item *last = job->items;
    while (last->next)
        last = last->next;
    last->next = d->first;
    d->first = job->items;
    if (!d->last)
        d->last = last;
    free(job);
}

static bool start_job(struct queue *queue) {
    struct queue_destination *d = pop_runnable(queue);
    struct queue_job *job = calloc(1, sizeof(*job));
    if (!job) {
        push_if_runnable(d);
        return false;
    }
    job->queue = queue;
    job->destination = d;
    take_items(d, job);
    if (co_spawn(queue->env->loop, queue->env->group, "queue.attempt", job_body, job, NULL) != ERR_OK) {
        give_back(d, job);
        push_if_runnable(d);
        return false;
    }
    queue->jobs++;
    d->jobs++;
    push_if_runnable(d);
    return true;
}

static void schedule_body(void *arg) {
    struct queue *queue = arg;
    struct loop *loop = queue->env->loop;
    for (;;) {
        int64_t now_us = queue_wall_us(queue), wait_us = SLEEP_MAX_US;
        bool has_room = map_count(queue->items) < QUEUE_READY_MAX / 2;
        queue->is_woken = false;
        if ((queue->more_due && has_room) ||
            (queue->next_load_us <= now_us && now_us >= queue->loaded_us + LOAD_PACE_US) || now_us < queue->loaded_us)
            load_due(queue);
        bool started = true;
        while (started && queue->runnable_first && queue->jobs < QUEUE_JOBS_MAX)
            started = start_job(queue);
        if (!started)
            wait_us = LOAD_PACE_US; /* no memory: again soon */
        if (queue->next_load_us != US_NEVER)
            wait_us = MIN(wait_us, MAX(queue->next_load_us, queue->loaded_us + LOAD_PACE_US) - now_us);
        if (queue->is_woken)
            continue;
        enum err err = waitq_wait(&queue->wake, loop_now_us(loop) + MAX(wait_us, (int64_t)0));
        if (err != ERR_OK && err != ERR_TIMEOUT)
            return;
    }
}

/* ---- life ---- */

enum err queue_schedule_init(struct queue *queue) {
    uint8_t seed[16];
    random_fill(queue->env->random, seed, sizeof(seed));
    queue->destinations = map_new(seed, QUEUE_READY_MAX + QUEUE_JOBS_MAX + 1);
    queue->items = map_new(seed, QUEUE_READY_MAX + 1);
    if (!queue->destinations || !queue->items)
        return ERR_NO_MEMORY;
    queue->next_load_us = 0; /* what an earlier life left */
    queue->loaded_us = INT64_MIN / 2;
    return co_spawn(queue->env->loop, queue->env->group, "queue.schedule", schedule_body, queue, NULL);
}

void queue_schedule_fini(struct queue *queue) {
    size_t cursor = 0;
    struct view key;
    void *value;
    while (queue->destinations && map_next(queue->destinations, &cursor, &key, &value)) {
        struct queue_destination *d = value;
        while (d->first) {
            struct queue_item *item = d->first;
            d->first = item->next;
            free(item);
        }
        (void)map_remove(queue->destinations, d->key);
        free(d);
    }
    map_free(queue->destinations);
    map_free(queue->items);
}
