/*
 * The queue role's neighbours, played by its tests: an edge that submits,
 * couriers that answer from a script, mailboxes that remember what they got, a
 * directory that knows a few senders.
 */
#ifndef ROLES_QUEUE_TESTING_H
#define ROLES_QUEUE_TESTING_H

#include "roles/queue.h"
#include "roles/role_testing.h"

#include "base/disk_sim.h"
#include "store/account_channel.h"

#define ATTEMPTS_MAX 500
#define DELIVERIES_MAX 100
#define MAILBOXES_MAX 200
#define LIFE_US (24 * 3600 * US_PER_S)
#define RETRY_US (60 * US_PER_S)

struct seen_attempt {
    int64_t at_us; /* since the start of the test */
    char domain[64], first[64], sender[64];
    unsigned recipients;
};

struct seen_delivery {
    uint64_t account;
    uint8_t id[MESSAGE_ID_SIZE];
    char recipient[64], sender[64];
    struct buf text; /* prefix and body */
};

struct world;
/* What a courier says of one recipient; returns false: it hangs until w->is_released. */
typedef void world_courier_fn(struct world *w, struct view recipient, struct attempt_outcome *outcome);

struct fake_mailbox {
    struct account account; /* first */
    struct world *w;
    uint64_t number;
    struct account_server server;
};

struct world {
    struct stage *stage;
    struct disk *disk;
    struct lodger queue;
    struct role_configure config;
    struct channel *edge, *directory, *couriers[4];
    struct channel_handler mailbox_handlers[ACCOUNT_HANDLERS];
    size_t mailbox_handlers_n;
    struct fake_mailbox mailboxes[MAILBOXES_MAX];
    size_t mailboxes_n;
    struct arena *arena;
    int64_t start_us;

    world_courier_fn *courier;
    bool hangs; /* attempts wait for the gate */
    struct waitq gate;
    unsigned under_way, under_way_most;
    struct seen_attempt attempts[ATTEMPTS_MAX];
    size_t attempts_n;

    enum verdict verdict;
    bool no_mailbox;     /* the supervisor knows no such account */
    bool mailbox_full;   /* commits fail */
    bool directory_away; /* ERR_AGAIN */
    enum err relay;      /* what directory says of remote targets */
    unsigned relay_asked;
    struct relay_check relay_last; /* numbers only, and the first address below */
    char relay_first[64], relay_sender[64];
    struct seen_delivery deliveries[DELIVERIES_MAX];
    size_t deliveries_n;
    unsigned doubled; /* commits of what was there */
};

/* ---- couriers ---- */

static inline void copy_text(char *to, size_t room, struct view v) {
    v = view_sub(v, 0, room - 1);
    if (v.n)
        memcpy(to, v.p, v.n);
    to[v.n] = 0;
}

static inline enum err world_attempt(void *ctx, struct call *call, void *reply,
                                     struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct world *w = ctx;
    const struct attempt *attempt = call->request;
    struct attempt_result *result = reply;
    assert_int_equal(call->handles[0].kind, HANDLE_FILE);
    assert_true(w->attempts_n < ATTEMPTS_MAX);
    struct seen_attempt *seen = &w->attempts[w->attempts_n++];
    seen->at_us = loop_now_us(w->stage->loop) - w->start_us;
    seen->recipients = attempt->recipients_n;
    copy_text(seen->domain, sizeof(seen->domain), attempt->domain);
    copy_text(seen->first, sizeof(seen->first), attempt->recipients[0].address);
    copy_text(seen->sender, sizeof(seen->sender), attempt->sender);
    w->under_way++;
    w->under_way_most = MAX(w->under_way_most, w->under_way);
    while (w->hangs) {
        enum err err = waitq_wait(&w->gate, US_NEVER);
        if (err != ERR_OK) {
            w->under_way--;
            return err;
        }
    }
    w->under_way--;
    result->outcomes = ARENA_ARRAY(call->arena, attempt->recipients_n, struct attempt_outcome);
    result->outcomes_n = attempt->recipients_n;
    for (uint32_t i = 0; i < attempt->recipients_n; i++) {
        result->outcomes[i] = (struct attempt_outcome){
            .reply = 250, .status = VIEW("2.0.0"), .text = VIEW("taken"), .host = VIEW("mx.remote.test")};
        if (w->courier)
            w->courier(w, attempt->recipients[i].address, &result->outcomes[i]);
    }
    return ERR_OK;
}
static const struct channel_handler world_courier_handlers[] = {{&message_attempt, world_attempt}};

static inline void world_add_courier(struct world *w, uint32_t index) {
    if (w->couriers[index])
        channel_free(w->couriers[index]);
    w->couriers[index] =
        lodger_connect(&w->queue, ROLE_COURIER, index, world_courier_handlers, ARRAY_LEN(world_courier_handlers), w);
}

static inline void world_release(struct world *w) {
    w->hangs = false;
    waitq_wake_all(&w->gate);
}

/* ---- directory: me@local.test is account 7, away@remote.test is remote, all others nobody ---- */

static inline enum err world_recipient(void *ctx, struct call *call, void *reply,
                                       struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct world *w = ctx;
    const struct recipient_lookup *lookup = call->request;
    struct recipient_result *result = reply;
    if (w->directory_away)
        return ERR_AGAIN;
    bool is_local = view_eq(lookup->address, VIEW("me@local.test"));
    if (!is_local && !view_ends(lookup->address, VIEW("@remote.test"))) {
        result->reply = 550;
        return ERR_OK;
    }
    result->targets = ARENA_NEW(call->arena, struct recipient_target);
    result->targets_n = 1;
    result->targets[0] = (struct recipient_target){
        .kind = is_local ? RECIPIENT_LOCAL : RECIPIENT_REMOTE, .account = is_local ? 7 : 0, .address = lookup->address};
    return ERR_OK;
}
static inline enum err world_relay(void *ctx, struct call *call, void *reply,
                                   struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct world *w = ctx;
    const struct relay_check *check = call->request;
    assert_true(check->addresses_n > 0);
    w->relay_asked++;
    w->relay_last =
        (struct relay_check){.edge = check->edge, .session = check->session, .addresses_n = check->addresses_n};
    copy_text(w->relay_first, sizeof(w->relay_first), check->addresses[0].address);
    copy_text(w->relay_sender, sizeof(w->relay_sender), check->sender);
    return w->relay;
}
static const struct channel_handler world_directory_handlers[] = {{&message_recipient_lookup_queue, world_recipient},
                                                                  {&message_relay_check, world_relay}};

/* ---- mailboxes ---- */

static inline void world_deliver(struct fake_mailbox *m, const struct deliver_commit_args *args, struct file *file,
                                 struct deliver_commit_result *result) {
    struct world *w = m->w;
    for (size_t i = 0; i < w->deliveries_n; i++)
        if (view_eq(view_of(w->deliveries[i].id, MESSAGE_ID_SIZE), args->id) &&
            view_eq(view_cstr(w->deliveries[i].recipient), args->recipient)) {
            result->duplicate = true;
            w->doubled++;
            return;
        }
    assert_true(w->deliveries_n < DELIVERIES_MAX);
    struct seen_delivery *d = &w->deliveries[w->deliveries_n++];
    assert_int_equal(args->id.n, MESSAGE_ID_SIZE);
    memcpy(d->id, args->id.p, MESSAGE_ID_SIZE);
    d->account = m->number;
    copy_text(d->recipient, sizeof(d->recipient), args->recipient);
    copy_text(d->sender, sizeof(d->sender), args->sender);
    buf_init(&d->text, 1024 * 1024);
    buf_put(&d->text, args->prefix);
    buf_put(&d->text, args->body);
    uint64_t size = 0;
    if (file)
        assert_int_equal(file_size(file, &size), ERR_OK);
    if (size) {
        size_t got;
        assert_int_equal(file_read(file, buf_room(&d->text, size), size, 0, &got), ERR_OK);
        buf_added(&d->text, got);
    }
}

static inline enum err mailbox_call(struct account *account, const struct account_op_type *op, const void *args,
                                    struct file *file, struct arena *arena, void *result) {
    (void)arena;
    struct fake_mailbox *m = (struct fake_mailbox *)account;
    if (op->op == ACCOUNT_OP_deliver_check) {
        struct deliver_check_result *check = result;
        *check = (struct deliver_check_result){.verdict = (uint8_t)m->w->verdict};
        if (m->w->verdict == VERDICT_REJECT)
            *check = (struct deliver_check_result){
                .verdict = VERDICT_REJECT, .status = VIEW("5.2.2"), .text = VIEW("over quota")};
        return ERR_OK;
    }
    assert_int_equal(op->op, ACCOUNT_OP_deliver_commit);
    if (m->w->mailbox_full)
        return ERR_FULL;
    world_deliver(m, args, file, result);
    return ERR_OK;
}

static inline void mailbox_nothing(struct account *account, struct account_watcher *watcher) {
    (void)account;
    (void)watcher;
}
static inline void mailbox_free(struct account *account) {
    (void)account;
}
static const struct account_ops fake_mailbox_ops = {mailbox_call, mailbox_nothing, mailbox_nothing, mailbox_free};

static inline enum err world_mailbox(void *ctx, struct call *call, void *reply,
                                     struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    struct world *w = ctx;
    if (w->no_mailbox)
        return ERR_NOT_FOUND;
    assert_true(w->mailboxes_n < MAILBOXES_MAX);
    struct fake_mailbox *m = &w->mailboxes[w->mailboxes_n++];
    struct channel *far;
    *m = (struct fake_mailbox){
        .account.ops = &fake_mailbox_ops, .w = w, .number = ((const struct mailbox_request *)call->request)->account};
    m->server.account = &m->account;
    m->server.rights = RIGHT_DELIVER;
    TRY(channel_new_pair(w->stage->loop, &m->server.channel, &far));
    TRY(channel_start(m->server.channel, "mailbox", w->mailbox_handlers, w->mailbox_handlers_n, &m->server, NULL));
    account_server_start(&m->server);
    reply_handles[0] = HANDLE_OF_CHANNEL(far);
    return ERR_OK;
}
static const struct channel_handler world_supervisor_handlers[] = {{&message_mailbox_request_queue, world_mailbox}};

/* ---- life ---- */

/* The queue starts (again) on the world's disk, with its neighbours. */
static inline void world_wake(struct world *w) {
    w->queue = (struct lodger){.env = {.disk = w->disk, .simulated = true}};
    lodger_start(&w->queue, w->stage, &role_queue, w->config, world_supervisor_handlers,
                 ARRAY_LEN(world_supervisor_handlers), w);
    w->edge = lodger_connect(&w->queue, ROLE_EDGE, 0, NULL, 0, NULL);
    w->directory =
        lodger_connect(&w->queue, ROLE_DIRECTORY, 0, world_directory_handlers, ARRAY_LEN(world_directory_handlers), w);
    world_add_courier(w, 0);
}

static inline void world_sleep(struct world *w) {
    lodger_stop(&w->queue);
    channel_free(w->edge);
    channel_free(w->directory);
    w->edge = w->directory = NULL;
    for (size_t i = 0; i < ARRAY_LEN(w->couriers); i++) {
        channel_free(w->couriers[i]);
        w->couriers[i] = NULL;
    }
    for (size_t i = 0; i < w->mailboxes_n; i++) {
        account_server_stop(&w->mailboxes[i].server);
        channel_free(w->mailboxes[i].server.channel);
    }
    w->mailboxes_n = 0;
}

/* As if the process were killed: what it does from now on reaches no disk. */
static inline void world_kill(struct world *w, bool with_power) {
    struct disk *found = with_power ? disk_sim_power_cut(w->disk, &w->stage->random.random) : NULL;
    disk_sim_dead(w->disk, true);
    world_sleep(w);
    if (found) {
        disk_free(w->disk);
        w->disk = found;
    } else {
        disk_sim_dead(w->disk, false);
    }
}

static inline struct world *world_new(struct stage *stage) {
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->stage = stage;
    w->disk = disk_sim_new();
    w->arena = arena_new("world", 1024 * 1024);
    w->start_us = loop_now_us(stage->loop);
    w->mailbox_handlers_n = account_server_handlers(w->mailbox_handlers);
    w->config = (struct role_configure){
        .hostname = VIEW("mail.local.test"), .relay = true, .queue_lifetime_us = LIFE_US, .queue_retry_us = RETRY_US};
    world_wake(w);
    return w;
}

static inline void world_free(struct world *w) {
    if (w->edge)
        world_sleep(w);
    for (size_t i = 0; i < w->deliveries_n; i++)
        buf_fini(&w->deliveries[i].text);
    disk_free(w->disk);
    arena_free(w->arena);
    free(w);
}

/* ---- the edge ---- */

static inline struct queue_target world_local(uint64_t account, struct view address) {
    return (struct queue_target){.kind = RECIPIENT_LOCAL, .account = account, .address = address};
}
static inline struct queue_target world_remote(struct view address) {
    return (struct queue_target){.kind = RECIPIENT_REMOTE, .address = address};
}

#define WORLD_PREFIX "Received: from there by here\r\n"
#define WORLD_BODY "Subject: the subject\r\nFrom: me@local.test\r\n\r\nThe text\r\n"

static inline enum err world_submit_id(struct world *w, uint8_t id, struct view sender, struct queue_target *targets,
                                       uint32_t n) {
    uint8_t ids[MESSAGE_ID_SIZE];
    memset(ids, id, sizeof(ids));
    struct queue_submit submit = {.delivery_id = view_of(ids, sizeof(ids)),
                                  .sender = sender,
                                  .size = VIEW(WORLD_BODY).n,
                                  .prefix = VIEW(WORLD_PREFIX),
                                  .body = VIEW(WORLD_BODY),
                                  .targets = targets,
                                  .targets_n = n};
    struct queue_submit_result result;
    return channel_call(w->edge, &message_queue_submit, &submit, NULL, 0, loop_now_us(w->stage->loop) + ROLE_CALL_US,
                        NULL, &result, NULL);
}

static inline enum err world_submit(struct world *w, struct view sender, struct queue_target target) {
    return world_submit_id(w, 1, sender, &target, 1);
}

static inline void world_pause(int64_t us) {
    assert_int_equal(co_sleep(us), ERR_OK);
}

/* What is in the store of a queue that sleeps. */
static inline size_t world_stored(struct world *w) {
    struct queue_store *store;
    struct queue_recipient *rows;
    size_t n;
    arena_clear(w->arena);
    assert_int_equal(queue_store_open(w->disk, loop_clock(w->stage->loop), &store), ERR_OK);
    assert_int_equal(queue_store_list(store, 0, 1000, w->arena, &rows, &n), ERR_OK);
    queue_store_close(store);
    return n;
}

static inline bool text_has(const struct seen_delivery *d, const char *what) {
    return view_find(buf_view(&d->text), view_cstr(what)) >= 0;
}

#endif
