/*
 * The queue role: life, what others ask of it, and the group commit. A submit is
 * answered when it is on disk; all that wait together share one fsync.
 */
#include "roles/queue.h"

#include <stdlib.h>

#define PEERS_MAX 256

int64_t queue_wall_us(const struct queue *queue) {
    return loop_wall_us(queue->env->loop);
}

/* ---- group commit ---- */

static void finish_changes(struct queue_change *change) {
    while (change) {
        struct queue_change *next = change->next; /* its owner may be gone once it is woken */
        change->is_done = true;
        waitq_wake_all(&change->done);
        change = next;
    }
}

static enum err commit_one(struct queue *queue, struct queue_change *change) {
    TRY(queue_store_begin(queue->store));
    enum err err = change->run(queue, change->arg);
    if (err == ERR_OK)
        return queue_store_commit(queue->store);
    queue_store_rollback(queue->store);
    return err;
}

static enum err run_all(struct queue *queue, struct queue_change *change) {
    for (; change; change = change->next)
        TRY(change->run(queue, change->arg));
    return ERR_OK;
}

struct batch {
    struct queue *queue;
    struct queue_change *first;
};

static void commit_batch(void *arg) {
    struct batch *batch = arg;
    struct queue *queue = batch->queue;
    enum err err = queue_store_begin(queue->store);
    if (err == ERR_OK) {
        err = run_all(queue, batch->first);
        if (err == ERR_OK) {
            err = queue_store_commit(queue->store);
        } else {
            /* One of them cannot be done: each alone, so that it fails alone. */
            queue_store_rollback(queue->store);
            for (struct queue_change *change = batch->first; change; change = change->next)
                change->err = commit_one(queue, change);
            return;
        }
    }
    for (struct queue_change *change = batch->first; change; change = change->next)
        change->err = err;
}

static void commit_body(void *arg) {
    struct queue *queue = arg;
    for (;;) {
        while (!queue->changes_first)
            if (waitq_wait(&queue->changed, US_NEVER) != ERR_OK)
                return;
        if (co_yield () != ERR_OK) /* those that arrived in the same turn come along */
            return;
        struct batch batch = {queue, queue->changes_first};
        queue->changes_first = queue->changes_last = NULL;
        if (!batch.first) /* who wanted it was cancelled */
            continue;
        co_on_main(commit_batch, &batch);
        finish_changes(batch.first);
    }
}

/* Takes a change that was not begun out of the line. */
static void withdraw(struct queue *queue, struct queue_change *change) {
    struct queue_change *before = NULL;
    for (struct queue_change *at = queue->changes_first; at; before = at, at = at->next) {
        if (at != change)
            continue;
        if (before)
            before->next = at->next;
        else
            queue->changes_first = at->next;
        if (queue->changes_last == at)
            queue->changes_last = before;
        return;
    }
}

enum err queue_commit(struct queue *queue, enum err (*run)(struct queue *queue, void *arg), void *arg) {
    struct queue_change change = {.run = run, .arg = arg};
    if (queue->changes_last)
        queue->changes_last->next = &change;
    else
        queue->changes_first = &change;
    queue->changes_last = &change;
    waitq_wake_one(&queue->changed);
    while (!change.is_done) {
        enum err err = waitq_wait(&change.done, US_NEVER);
        if (err != ERR_OK && !change.is_done) {
            withdraw(queue, &change);
            return err;
        }
    }
    return change.err;
}

/* ---- submits ---- */

struct submit {
    struct queue_message message;
    struct view body;
    struct file *file;
    struct queue_recipient *recipients;
    size_t n;
};

static enum err run_submit(struct queue *queue, void *arg) {
    struct submit *submit = arg;
    return queue_store_add(queue->store, &submit->message, submit->body, submit->file, submit->recipients, submit->n);
}

static enum err check_size(const struct queue *queue, const struct queue_submit *request, struct file *file) {
    uint64_t size = request->body.n, max = queue->env->config->message_size_max;
    if (file) {
        if (request->body.n)
            return ERR_SYNTAX;
        TRY(file_size(file, &size));
    }
    return max && size > max ? ERR_LIMIT : ERR_OK;
}

/* Mail leaves the house only with directory's word for it; `edge` is what the supervisor said of the channel, all else is the asker's claim.
 * ERR_DENIED, or ERR_AGAIN when directory cannot say now. */
static enum err check_relay(struct queue *queue, uint32_t edge, struct call *call) {
    const struct queue_submit *request = call->request;
    struct relay_check check = {.edge = edge, .session = request->session, .sender = request->sender};
    check.addresses = ARENA_ARRAY(call->arena, request->targets_n, struct relay_address);
    if (!check.addresses)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < request->targets_n; i++)
        if (request->targets[i].kind != RECIPIENT_LOCAL)
            check.addresses[check.addresses_n++].address = request->targets[i].address;
    if (check.addresses_n == 0)
        return ERR_OK;
    struct nothing nothing;
    int64_t deadline_us = MIN(call->deadline_us, loop_now_us(queue->env->loop) + ROLE_CALL_US);
    enum err err = role_peer_call(&queue->directory, &message_relay_check, &check, NULL, 0, deadline_us, call->arena,
                                  &nothing, NULL);
    if (err == ERR_DENIED)
        log_event(&queue->env->log, LOG_WARN, "queue.denied", LF_U64("edge", edge), LF_VIEW("from", request->sender),
                  LF_U64("recipients", check.addresses_n));
    return err == ERR_OK || err == ERR_DENIED || err == ERR_CANCELED ? err : ERR_AGAIN;
}

static enum err handle_submit(void *ctx, struct call *call, void *reply,
                              struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    /* The peer is read before the first wait: it goes when its channel does, and this handler may outlive that. */
    const struct queue_peer *peer = ctx;
    struct queue *queue = peer->queue;
    uint32_t edge = peer->index;
    struct queue_submit_result *result = reply;
    const struct queue_submit *request = call->request;
    struct file *file = call->handles[0].kind == HANDLE_FILE ? call->handles[0].file : NULL;
    if (request->delivery_id.n != MESSAGE_ID_SIZE || request->targets_n == 0 ||
        (!file && call->handles[0].kind != HANDLE_NONE))
        return ERR_SYNTAX;
    TRY(check_size(queue, request, file));
    for (uint32_t i = 0; i < request->targets_n; i++) {
        const struct queue_target *target = &request->targets[i];
        if (target->address.n == 0 || (target->kind == RECIPIENT_LOCAL && target->account == 0))
            return ERR_SYNTAX;
    }
    TRY(check_relay(queue, edge, call));
    int64_t now_us = queue_wall_us(queue);
    struct submit submit = {
        .message = {.delivery_id = request->delivery_id,
                    .sender = request->sender,
                    .created_us = now_us,
                    .flags = request->flags,
                    .prefix = request->prefix},
        .body = request->body,
        .file = file,
        .recipients = ARENA_ARRAY(call->arena, request->targets_n, struct queue_recipient),
        .n = request->targets_n,
    };
    if (!submit.recipients)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < submit.n; i++) {
        const struct queue_target *target = &request->targets[i];
        bool is_local = target->kind == RECIPIENT_LOCAL;
        submit.recipients[i] = (struct queue_recipient){
            .address = target->address,
            .kind = is_local ? QUEUE_LOCAL : QUEUE_REMOTE,
            .account = is_local ? target->account : 0,
            .state = QUEUE_WAITING,
            .next_us = now_us,
            .expires_us = now_us + queue->lifetime_us,
            .orcpt = target->orcpt,
            .notify = (uint8_t)(target->notify & QUEUE_NOTIFY_ASKED),
        };
    }
    enum err err = queue_commit(queue, run_submit, &submit);
    if (err != ERR_OK) {
        log_event(&queue->env->log, LOG_ERROR, "queue.submit", LF_ERR(err));
        return err;
    }
    for (size_t i = 0; i < submit.n; i++)
        queue_schedule_add(queue, &submit.recipients[i]);
    result->message = submit.message.id;
    log_event(&queue->env->log, LOG_INFO, "queue.message", LF_U64("message", submit.message.id),
              LF_VIEW("from", request->sender), LF_U64("recipients", submit.n), LF_U64("size", submit.message.size));
    return ERR_OK;
}

/* ---- clean-up ---- */

static void peer_free(struct queue_peer *peer) {
    channel_free(peer->channel);
    free(peer);
}

static uint64_t drop_closed(struct queue *queue) {
    uint64_t dropped = 0;
    for (size_t i = queue->peers.n; i-- > 0;) {
        struct queue_peer *peer = *VEC_AT(&queue->peers, struct queue_peer *, i);
        if (channel_is_open(peer->channel))
            continue;
        peer_free(peer);
        vec_remove(&queue->peers, i, 1);
        dropped++;
    }
    return dropped;
}

static enum err handle_cleanup(void *ctx, struct call *call, void *reply,
                               struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply_handles;
    struct queue *queue = ((struct queue_peer *)ctx)->queue;
    struct cleanup_result *result = reply;
    result->removed = drop_closed(queue);
    queue_schedule_at(queue, queue_wall_us(queue)); /* whatever a step of the wall clock made wrong is right again */
    return ERR_OK;
}

static const struct channel_handler edge_handlers[] = {{&message_queue_submit, handle_submit}};
static const struct channel_handler postmaster_handlers[] = {{&message_cleanup_queue, handle_cleanup}};

/* ---- life ---- */

static void open_store(void *arg) {
    struct queue *queue = arg;
    queue->open_err = queue_store_open(queue->env->disk, loop_clock(queue->env->loop), &queue->store);
}

static void close_store(void *arg) {
    struct queue *queue = arg;
    queue_store_close(queue->store);
}

static enum err queue_start(struct role_env *env, struct buf *why) {
    struct queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return ERR_NO_MEMORY;
    env->state = queue;
    queue->env = env;
    queue->peers = VEC_OF(struct queue_peer *, PEERS_MAX);
    queue->retry_us = env->config->queue_retry_us
                          ? (int64_t)MIN(env->config->queue_retry_us, (uint64_t)QUEUE_RETRY_MAX_US)
                          : QUEUE_RETRY_DEFAULT_US;
    queue->lifetime_us = env->config->queue_lifetime_us
                             ? (int64_t)MIN(env->config->queue_lifetime_us, (uint64_t)QUEUE_LIFETIME_MAX_US)
                             : QUEUE_LIFETIME_DEFAULT_US;
    co_on_main(open_store, queue);
    if (queue->open_err != ERR_OK) {
        buf_put_str(why, queue->open_err == ERR_AGAIN
                             ? "another process has queue.db"
                             : "queue.db cannot be opened: is the directory writable and is there space?");
        return queue->open_err;
    }
    TRY(doors_init(&queue->doors, env, &message_mailbox_request_queue));
    TRY(queue_schedule_init(queue));
    return co_spawn(env->loop, env->group, "queue.commit", commit_body, queue, NULL);
}

static struct queue_courier *courier_slot(struct queue *queue, uint32_t index) {
    struct queue_courier *unused = NULL;
    for (size_t i = 0; i < QUEUE_COURIERS_MAX; i++) {
        struct queue_courier *courier = &queue->couriers[i];
        if (courier->is_used && courier->index == index)
            return courier;
        if (!courier->is_used && !unused)
            unused = courier;
    }
    return unused;
}

/* Edges and postmaster, who ask us; each brings its own peer to the handlers. */
static void serve_peer(struct queue *queue, const struct channel_offer *offer, struct channel *channel,
                       const struct channel_handler *handler) {
    (void)drop_closed(queue);
    struct queue_peer *peer = calloc(1, sizeof(*peer));
    struct queue_peer **slot = peer ? vec_add(&queue->peers) : NULL;
    if (!slot) {
        channel_free(channel);
        free(peer);
        return;
    }
    *slot = peer;
    *peer = (struct queue_peer){.queue = queue, .channel = channel, .index = offer->index};
    if (channel_start(channel, role_name((enum role)offer->peer), handler, 1, peer, queue->env->group) != ERR_OK) {
        peer_free(peer);
        queue->peers.n--;
    }
}

static void queue_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct queue *queue = env->state;
    if (offer->peer == ROLE_EDGE || offer->peer == ROLE_POSTMASTER) {
        serve_peer(queue, offer, channel, offer->peer == ROLE_EDGE ? edge_handlers : postmaster_handlers);
        return;
    }
    struct queue_courier *courier = offer->peer == ROLE_COURIER ? courier_slot(queue, offer->index) : NULL;
    bool is_known = courier || offer->peer == ROLE_DIRECTORY;
    if (!is_known || channel_start(channel, role_name((enum role)offer->peer), NULL, 0, queue, env->group) != ERR_OK) {
        channel_free(channel);
        return;
    }
    if (courier) {
        courier->is_used = true;
        courier->index = offer->index;
        role_peer_set(&courier->peer, channel);
        waitq_wake_all(&queue->courier_arrived);
    } else {
        role_peer_set(&queue->directory, channel);
    }
}

static void queue_stop(struct role_env *env) {
    struct queue *queue = env->state;
    for (size_t i = 0; i < queue->peers.n; i++)
        peer_free(*VEC_AT(&queue->peers, struct queue_peer *, i));
    vec_fini(&queue->peers);
    for (size_t i = 0; i < QUEUE_COURIERS_MAX; i++)
        role_peer_fini(&queue->couriers[i].peer);
    role_peer_fini(&queue->directory);
    doors_fini(&queue->doors);
    queue_schedule_fini(queue);
    co_on_main(close_store, queue);
    free(queue);
    env->state = NULL;
}

const struct role_def role_queue = {
    .role = ROLE_QUEUE,
    .start = queue_start,
    .offer = queue_offer,
    .stop = queue_stop,
};
