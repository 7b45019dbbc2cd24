/*
 * The supervisor's decisions. What a process is, is the spawner's business; what
 * a peer says is nobody's here.
 */
#include "roles/supervisor.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define SUPERVISOR_ACCOUNTS_MAX 1000000     /* accounts that directory may announce */
#define SUPERVISOR_GRANTS_MAX 10000         /* unclaimed ones */
#define SUPERVISOR_START_US (30 * US_PER_S) /* a role that is not ready by then is killed and started again */
#define SUPERVISOR_EDGES_MAX 64
#define SUPERVISOR_LAST_WORDS_US (5 * US_PER_S) /* between a role's closed channel and its exit */
#define SUPERVISOR_LEAVE_US (30 * US_PER_S)     /* for a mailbox that was allowed to leave, or told to */
/* Requests of one role at a time: they wait for mailboxes, and a slow one must not hold up the others. */
#define SUPERVISOR_ASKED_MAX 512

/* Who talks to whom without being asked; both ends are offered as soon as both are ready. */
static const struct {
    enum role asks, serves;
} supervisor_pairs[] = {
    {ROLE_EDGE, ROLE_DIRECTORY},   {ROLE_EDGE, ROLE_QUEUE},           {ROLE_EDGE, ROLE_RESOLVER},
    {ROLE_QUEUE, ROLE_COURIER},    {ROLE_QUEUE, ROLE_DIRECTORY},      {ROLE_COURIER, ROLE_RESOLVER},
    {ROLE_POSTMASTER, ROLE_QUEUE}, {ROLE_POSTMASTER, ROLE_DIRECTORY},
};

enum slot_state { SLOT_DOWN, SLOT_STARTING, SLOT_READY, SLOT_LEAVING };

/* A place for one process of a role, through all its lives. */
struct slot {
    struct supervisor *supervisor;
    enum role role;
    uint32_t index;
    uint64_t account; /* mailbox */
    enum slot_state state;
    struct spawned *spawned;
    struct channel *channel;
    bool exited, broken, misbehaved;
    bool left;         /* was leaving in this life; its end is no crash */
    unsigned failures; /* starts in a row that did not become ready */
    uint64_t offers;   /* channels offered in this life */
    unsigned waiters;  /* coroutines that wait for a mailbox */
    int64_t backoff_us;
    struct waitq changed;
    char title[400], name[64];
};

struct known_account {
    uint64_t quota_octets;
    struct view address; /* malloc'ed behind the struct */
};

struct pending_grant {
    struct grant grant;
    struct arena *arena;
    uint32_t edge;
};

struct supervisor {
    struct supervisor_params params;
    struct log log;
    struct co_group *group;    /* slots' coroutines */
    struct co_group *handlers; /* requests of roles */
    struct slot **fixed;
    size_t fixed_n;
    struct map *mailboxes; /* account -> struct slot */
    struct map *accounts;  /* account -> struct known_account */
    struct map *grants;    /* id -> struct pending_grant */
    int64_t grants_checked_us;
    struct waitq changed; /* any slot */
    bool stopping, seeded;
    struct buf why; /* of the first failed start */
};

/* ---- handing out channels ---- */

static void slot_set(struct slot *slot, enum slot_state state) {
    slot->left |= state == SLOT_LEAVING;
    slot->state = state;
    waitq_wake_all(&slot->changed);
    waitq_wake_all(&slot->supervisor->changed);
}

/* Offers one end to the slot; *other (may be NULL for a fixed pair's second end) is what the peer gets. */
static enum err slot_offer(struct slot *slot, struct channel *channel, enum role peer, uint32_t peer_index,
                           enum channel_purpose purpose, const struct grant *grant) {
    struct channel_offer offer = {.peer = (uint8_t)peer, .index = peer_index, .purpose = (uint8_t)purpose};
    if (grant)
        offer.grant = *grant;
    struct handle handle = HANDLE_OF_CHANNEL(channel);
    TRY(channel_send(slot->channel, &message_channel_offer, &offer, &handle, 1));
    slot->offers++; /* only what it will see: a mailbox that never counts as many could never leave */
    return ERR_OK;
}

static void pair_slots(struct supervisor *s, struct slot *a, struct slot *b) {
    struct channel *at_a, *at_b;
    if (s->params.spawner->pair(s->params.spawner, &at_a, &at_b) != ERR_OK) {
        log_event(&s->log, LOG_ERROR, "supervisor.pair", LF_TEXT("a", a->name), LF_TEXT("b", b->name));
        return;
    }
    enum err err_a = slot_offer(a, at_a, b->role, b->index, CHANNEL_PEER, NULL);
    enum err err_b = slot_offer(b, at_b, a->role, a->index, CHANNEL_PEER, NULL);
    if (err_a != ERR_OK || err_b != ERR_OK)
        log_event(&s->log, LOG_WARN, "supervisor.offer", LF_TEXT("a", a->name), LF_TEXT("b", b->name));
}

static void slot_pair_with_all(struct slot *slot) {
    struct supervisor *s = slot->supervisor;
    for (size_t i = 0; i < ARRAY_LEN(supervisor_pairs); i++)
        for (size_t j = 0; j < s->fixed_n; j++) {
            struct slot *other = s->fixed[j];
            if (other == slot || other->state != SLOT_READY)
                continue;
            if (supervisor_pairs[i].asks == slot->role && supervisor_pairs[i].serves == other->role)
                pair_slots(s, slot, other);
            else if (supervisor_pairs[i].asks == other->role && supervisor_pairs[i].serves == slot->role)
                pair_slots(s, other, slot);
        }
}

static void edge_give_listeners(struct slot *slot) {
    struct supervisor *s = slot->supervisor;
    const struct config *config = s->params.config;
    for (size_t i = 0; i < config->listeners_n; i++) {
        static const enum protocol protocols[] = {
            [CONFIG_SMTP] = PROTOCOL_SMTP, [CONFIG_SUBMISSION] = PROTOCOL_SUBMISSION,
            [CONFIG_IMAP] = PROTOCOL_IMAP, [CONFIG_MANAGESIEVE] = PROTOCOL_MANAGESIEVE,
            [CONFIG_HTTP] = PROTOCOL_HTTP, [CONFIG_LMTP] = PROTOCOL_LMTP,
        };
        const struct config_listener *l = &config->listeners[i];
        struct listener *listener;
        enum err err = s->params.spawner->listener(s->params.spawner, i, slot->index, &listener);
        if (err != ERR_OK) {
            if (err != ERR_EXISTS) /* the simulation's: another edge has it */
                log_event(&s->log, LOG_ERROR, "supervisor.listener", LF_U64("index", i), LF_ERR(err));
            continue;
        }
        struct listener_offer offer = {.protocol = (uint8_t)protocols[l->protocol],
                                       .implicit_tls = l->implicit_tls,
                                       .proxy = l->proxy,
                                       .plain_login = l->plain_login};
        struct handle handle = HANDLE_OF_LISTENER(listener);
        if (channel_send(slot->channel, &message_listener_offer, &offer, &handle, 1) != ERR_OK)
            log_event(&s->log, LOG_ERROR, "supervisor.listener", LF_U64("index", i));
    }
}

/* ---- what roles ask ---- */

static struct slot *mailbox_slot(struct supervisor *s, uint64_t account);

/* A ready mailbox of an account that directory announced, waiting for its start. */
static enum err mailbox_acquire(struct supervisor *s, uint64_t account, int64_t deadline_us, struct slot **out) {
    if (!map_get_u64(s->accounts, account))
        return ERR_NOT_FOUND;
    if (s->stopping)
        return ERR_AGAIN;
    struct slot *slot = mailbox_slot(s, account);
    if (!slot)
        return ERR_AGAIN;
    slot->waiters++;
    unsigned failures = slot->failures;
    enum err err = ERR_OK;
    while (slot->state != SLOT_READY && err == ERR_OK) {
        err = waitq_wait(&slot->changed, deadline_us);
        if (err == ERR_OK && (slot->failures > failures || s->stopping))
            err = ERR_AGAIN;
    }
    slot->waiters--;
    if (s->stopping) /* the slot waits for us before it goes; at other times a waker would cut its pause short */
        waitq_wake_all(&slot->changed);
    if (err == ERR_OK)
        *out = slot;
    return err;
}

static enum err mailbox_channel(struct slot *mailbox, struct slot *asker, enum channel_purpose purpose,
                                const struct grant *grant, struct handle *out) {
    struct supervisor *s = mailbox->supervisor;
    struct channel *mine, *theirs;
    TRY(s->params.spawner->pair(s->params.spawner, &mine, &theirs));
    enum err err = slot_offer(mailbox, mine, asker->role, asker->index, purpose, grant);
    if (err != ERR_OK) {
        channel_free(theirs);
        return ERR_AGAIN;
    }
    *out = HANDLE_OF_CHANNEL(theirs);
    return ERR_OK;
}

static enum err handle_mailbox_request(void *ctx, struct call *call, void *reply,
                                       struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    struct slot *asker = ctx;
    const struct mailbox_request *request = call->request;
    struct slot *mailbox;
    TRY(mailbox_acquire(asker->supervisor, request->account, call->deadline_us, &mailbox));
    return mailbox_channel(mailbox, asker, CHANNEL_DELIVERY, NULL, &reply_handles[0]);
}

static void grant_free(struct supervisor *s, struct pending_grant *pending) {
    (void)map_remove(s->grants, pending->grant.id);
    arena_free(pending->arena);
    free(pending);
}

static void grants_expire(struct supervisor *s) {
    size_t cursor = 0;
    struct view key;
    void *value;
    int64_t now_us = loop_wall_us(s->params.loop);
    s->grants_checked_us = loop_now_us(s->params.loop);
    while (map_next(s->grants, &cursor, &key, &value)) {
        struct pending_grant *pending = value;
        if (pending->grant.expires_us < now_us)
            grant_free(s, pending);
    }
}

static enum err handle_grant(void *ctx, struct call *call, void *reply,
                             struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct slot *asker = ctx;
    struct supervisor *s = asker->supervisor;
    const struct grant *grant = call->request;
    if (grant->id.n != MESSAGE_ID_SIZE || map_get(s->grants, grant->id))
        return ERR_SYNTAX;
    if (map_count(s->grants) >= SUPERVISOR_GRANTS_MAX ||
        loop_now_us(s->params.loop) >= s->grants_checked_us + GRANT_LIFE_US)
        grants_expire(s);
    struct pending_grant *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return ERR_NO_MEMORY;
    pending->arena = arena_new("grant", 4096);
    enum err err = pending->arena ? record_copy(&grant_record, grant, pending->arena, &pending->grant) : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = map_put(s->grants, pending->grant.id, pending);
    if (err != ERR_OK) {
        arena_free(pending->arena);
        free(pending);
    }
    return err;
}

/* An edge that is gone takes its grants along: the next one with its number never heard of them. */
static void grants_drop(struct supervisor *s, uint32_t edge) {
    size_t cursor = 0;
    struct view key;
    void *value;
    while (map_next(s->grants, &cursor, &key, &value)) {
        struct pending_grant *pending = value;
        if (pending->grant.edge == edge)
            grant_free(s, pending);
    }
}

/* A grant opens one session channel, once, for the edge it was made for, while it lives. */
static enum err handle_session_claim(void *ctx, struct call *call, void *reply,
                                     struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    struct slot *asker = ctx;
    struct supervisor *s = asker->supervisor;
    const struct session_claim *claim = call->request;
    struct pending_grant *pending = map_get(s->grants, claim->grant);
    if (!pending || pending->grant.edge != asker->index) {
        log_event(&s->log, LOG_WARN, "supervisor.claim.denied", LF_U64("edge", asker->index));
        return ERR_DENIED;
    }
    (void)map_remove(s->grants, claim->grant);
    enum err err = ERR_DENIED;
    struct slot *mailbox;
    if (pending->grant.expires_us >= loop_wall_us(s->params.loop)) {
        err = mailbox_acquire(s, pending->grant.account, call->deadline_us, &mailbox);
        if (err == ERR_OK)
            err = mailbox_channel(mailbox, asker, CHANNEL_SESSION, &pending->grant, &reply_handles[0]);
    }
    arena_free(pending->arena);
    free(pending);
    return err;
}

static enum err handle_leave(void *ctx, struct call *call, void *reply,
                             struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct slot *slot = ctx;
    const struct leave_args *args = call->request;
    struct leave_result *result = reply;
    result->may_leave = slot->state == SLOT_READY && args->offers_seen == slot->offers && slot->waiters == 0;
    if (result->may_leave)
        slot_set(slot, SLOT_LEAVING);
    return ERR_OK;
}

static void slot_ask_stop(struct slot *slot);

/* The account is no more: its sessions end now, not when their clients like. */
static void mailbox_close(struct supervisor *s, uint64_t account) {
    struct slot *slot = map_get_u64(s->mailboxes, account);
    if (!slot || slot->state != SLOT_READY)
        return;
    slot_set(slot, SLOT_LEAVING);
    slot_ask_stop(slot);
}

static enum err handle_accounts_known(void *ctx, struct call *call, void *reply,
                                      struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct slot *asker = ctx;
    struct supervisor *s = asker->supervisor;
    const struct accounts_known *known = call->request;
    for (uint32_t i = 0; i < known->accounts_n; i++) {
        const struct account_known *account = &known->accounts[i];
        free(map_remove_u64(s->accounts, account->account));
        if (account->gone) {
            mailbox_close(s, account->account);
            continue;
        }
        struct known_account *copy = calloc(1, sizeof(*copy) + account->address.n);
        if (!copy)
            return ERR_NO_MEMORY;
        copy->quota_octets = account->quota_octets;
        uint8_t *text = (uint8_t *)(copy + 1);
        for (size_t j = 0; j < account->address.n; j++)
            text[j] = account->address.p[j];
        copy->address = view_of(text, account->address.n);
        enum err err = map_put_u64(s->accounts, account->account, copy);
        if (err != ERR_OK) {
            free(copy);
            return err;
        }
    }
    return ERR_OK;
}

/* Which questions a role may ask the supervisor at all. */
static const struct channel_handler edge_handlers[] = {{&message_session_claim, handle_session_claim},
                                                       {&message_mailbox_request, handle_mailbox_request}};
static const struct channel_handler queue_handlers[] = {{&message_mailbox_request_queue, handle_mailbox_request}};
static const struct channel_handler directory_handlers[] = {{&message_grant, handle_grant},
                                                            {&message_accounts_known, handle_accounts_known}};
static const struct channel_handler mailbox_handlers[] = {{&message_leave, handle_leave}};
static const struct {
    const struct channel_handler *handlers;
    size_t n;
} role_handlers[ROLE_COUNT] = {
    [ROLE_EDGE] = {edge_handlers, ARRAY_LEN(edge_handlers)},
    [ROLE_QUEUE] = {queue_handlers, ARRAY_LEN(queue_handlers)},
    [ROLE_DIRECTORY] = {directory_handlers, ARRAY_LEN(directory_handlers)},
    [ROLE_MAILBOX] = {mailbox_handlers, ARRAY_LEN(mailbox_handlers)},
};

/* ---- the life of a slot ---- */

/* Only what the role needs: DESIGN section 2, "must never have". */
static void slot_snapshot(const struct slot *slot, struct role_configure *out) {
    const struct supervisor *s = slot->supervisor;
    const struct config *c = s->params.config;
    *out = (struct role_configure){
        .role = (uint8_t)slot->role,
        .index = slot->index,
        .hostname = c->hostname,
        .log_level = (uint8_t)c->log_level,
        .localserve = c->localserve,
        .throttle_loopback = c->throttle_loopback,
    };
    switch (slot->role) {
    case ROLE_RESOLVER:
        out->dns = c->dns;
        out->trust_anchor = s->params.trust_anchor;
        break;
    case ROLE_DIRECTORY:
        out->certificate = s->params.certificate_pem;
        out->private_key = s->params.key_pem;
        out->quota_octets = c->quota_octets;
        out->relay = c->relay;
        out->login_attempts_max = c->login_attempts_max;
        break;
    case ROLE_EDGE:
        out->message_size_max = c->message_size_max;
        out->recipients_max = c->recipients_max;
        out->connections_max = c->connections_max;
        out->connections_per_network = c->connections_per_network;
        /* All edges together keep to the budget; each has room for one message at least. */
        out->spool_budget = MAX(c->spool_budget / MAX(c->edges, 1u), c->message_size_max);
        out->login_attempts_max = c->login_attempts_max;
        out->relay = c->relay;
        /* localserve without --dns has no names to ask for. */
        out->check_mail = !c->localserve || c->dns.family != 0;
        break;
    case ROLE_MAILBOX: {
        const struct known_account *known = map_get_u64(s->accounts, slot->account);
        out->account = slot->account;
        out->message_size_max = c->message_size_max;
        if (known) {
            out->account_address = known->address;
            out->quota_octets = known->quota_octets ? known->quota_octets : c->quota_octets;
        }
        break;
    }
    case ROLE_QUEUE:
        out->queue_lifetime_us = (uint64_t)c->queue_lifetime_us;
        out->queue_retry_us = (uint64_t)c->queue_retry_us;
        out->message_size_max = c->message_size_max;
        out->relay = c->relay;
        break;
    case ROLE_COURIER:
        out->relay_port = c->relay_port;
        out->relay = c->relay;
        break;
    default:
        break;
    }
}

static void slot_exited(void *ctx, int status) {
    struct slot *slot = ctx;
    slot->exited = true;
    enum log_level level = slot->left || slot->supervisor->stopping ? LOG_DEBUG : LOG_WARN;
    log_event(&slot->supervisor->log, level, "role.exit", LF_TEXT("name", slot->name), LF_I64("status", status));
    waitq_wake_all(&slot->changed);
}

static void slot_channel_closed(void *ctx, enum err why) {
    struct slot *slot = ctx;
    slot->broken = true;
    slot->misbehaved = why == ERR_SYNTAX;
    if (slot->misbehaved)
        log_event(&slot->supervisor->log, LOG_ERROR, "role.protocol", LF_TEXT("name", slot->name));
    waitq_wake_all(&slot->changed);
}

static enum err seed_accounts(struct slot *directory) {
    struct supervisor *s = directory->supervisor;
    if (s->seeded)
        return ERR_OK;
    struct arena *arena = arena_new("seed", 4096);
    enum err err = arena ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; err == ERR_OK && i < s->params.seeds_n; i++) {
        struct nothing reply;
        err = channel_call(directory->channel, &message_seed_account, &s->params.seeds[i], NULL, 0,
                           loop_now_us(s->params.loop) + SUPERVISOR_START_US, arena, &reply, NULL);
        arena_clear(arena);
    }
    arena_free(arena);
    s->seeded = err == ERR_OK;
    return err;
}

/* From nothing to ready. */
static enum err slot_bring_up(struct slot *slot) {
    struct supervisor *s = slot->supervisor;
    struct spawner *spawner = s->params.spawner;
    struct spawn_request request = {
        .role = slot->role, .index = slot->index, .account = slot->account, .title = view_cstr(slot->title)};
    slot->exited = slot->broken = slot->misbehaved = slot->left = false;
    slot->offers = 0;
    enum err started = spawner->start(spawner, &request, &slot->channel, &slot->spawned);
    if (slot->spawned) /* also after an error: its end is awaited */
        spawner->on_exit(spawner, slot->spawned, slot_exited, slot);
    TRY(started);
    TRY(channel_start(slot->channel, slot->name, role_handlers[slot->role].handlers, role_handlers[slot->role].n, slot,
                      s->handlers));
    channel_set_handlers_max(slot->channel, SUPERVISOR_ASKED_MAX);
    channel_on_close(slot->channel, slot_channel_closed, slot);
    struct role_configure snapshot;
    slot_snapshot(slot, &snapshot);
    struct arena *arena = arena_new("configure", 4096);
    if (!arena)
        return ERR_NO_MEMORY;
    struct nothing reply;
    enum err err = channel_call(slot->channel, &message_role_configure, &snapshot, NULL, 0,
                                loop_now_us(s->params.loop) + SUPERVISOR_START_US, arena, &reply, NULL);
    arena_free(arena);
    if (err == ERR_OK && slot->role == ROLE_DIRECTORY)
        err = seed_accounts(slot);
    return err;
}

static void slot_take_down(struct slot *slot) {
    struct spawner *spawner = slot->supervisor->params.spawner;
    if (slot->spawned) {
        /* A role that ends by itself closes its channel a moment before it is gone. */
        int64_t deadline_us = loop_now_us(slot->supervisor->params.loop) + SUPERVISOR_LAST_WORDS_US;
        while (!slot->exited && slot->broken && !slot->misbehaved && waitq_wait(&slot->changed, deadline_us) == ERR_OK)
            ;
        if (!slot->exited)
            spawner->kill(spawner, slot->spawned);
        while (!slot->exited)
            (void)!waitq_wait(&slot->changed, US_NEVER);
        slot->spawned = NULL;
    }
    if (slot->channel)
        channel_free(slot->channel);
    slot->channel = NULL;
}

static void slot_free(struct slot *slot) {
    free(slot);
}

/* Until it ends; one that said it would end has a time for it. */
static void slot_live(struct slot *slot) {
    struct loop *loop = slot->supervisor->params.loop;
    int64_t deadline_us = US_NEVER;
    while (!slot->exited && !slot->broken && waitq_wait(&slot->changed, deadline_us) == ERR_OK)
        if (slot->state == SLOT_LEAVING && deadline_us == US_NEVER)
            deadline_us = loop_now_us(loop) + SUPERVISOR_LEAVE_US;
}

static void slot_main(void *arg) {
    struct slot *slot = arg;
    struct supervisor *s = slot->supervisor;
    while (!s->stopping) {
        int64_t started_us = loop_now_us(s->params.loop);
        slot_set(slot, SLOT_STARTING);
        enum err err = slot_bring_up(slot);
        if (err == ERR_OK) {
            slot->failures = 0;
            slot_set(slot, SLOT_READY);
            slot_pair_with_all(slot);
            if (slot->role == ROLE_EDGE)
                edge_give_listeners(slot);
            slot_live(slot);
        } else {
            slot->failures++;
            log_event(&s->log, LOG_ERROR, "role.start.failed", LF_TEXT("name", slot->name), LF_ERR(err));
            if (s->why.n == 0)
                buf_printf(&s->why, "%s did not start (%s); the lines above say why", slot->name, err_name(err));
        }
        if (slot->role == ROLE_EDGE)
            grants_drop(s, slot->index);
        /* One that said why it cannot start has not crashed. */
        if (slot->role == ROLE_MAILBOX && !slot->left && !s->stopping && (slot->broken || slot->exited))
            s->params.spawner->mailbox_crashed(s->params.spawner);
        slot_set(slot, SLOT_DOWN);
        slot_take_down(slot);
        if (s->stopping)
            break;
        bool steady = slot->left || loop_now_us(s->params.loop) - started_us >= SUPERVISOR_STEADY_US;
        slot->backoff_us =
            steady ? 0 : MIN(MAX(slot->backoff_us * 2, SUPERVISOR_BACKOFF_FIRST_US), SUPERVISOR_BACKOFF_MAX_US);
        if (slot->backoff_us) /* a stop ends the wait */
            (void)!waitq_wait(&slot->changed, loop_now_us(s->params.loop) + slot->backoff_us);
        if (slot->role == ROLE_MAILBOX && slot->waiters == 0) {
            (void)map_remove_u64(s->mailboxes, slot->account);
            slot_free(slot);
            return;
        }
    }
    slot_set(slot, SLOT_DOWN);
    if (slot->role == ROLE_MAILBOX) {
        while (slot->waiters) /* they were woken, and still look at it when they run */
            (void)!waitq_wait(&slot->changed, US_NEVER);
        (void)map_remove_u64(s->mailboxes, slot->account);
        slot_free(slot);
    }
}

static struct slot *slot_new(struct supervisor *s, enum role role, uint32_t index, uint64_t account) {
    struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->supervisor = s;
    slot->role = role;
    slot->index = index;
    slot->account = account;
    if (role == ROLE_MAILBOX) {
        const struct known_account *known = map_get_u64(s->accounts, account);
        (void)snprintf(slot->name, sizeof(slot->name), "mailbox %llu", (unsigned long long)account);
        struct view address = known ? known->address : VIEW_NONE;
        (void)snprintf(slot->title, sizeof(slot->title), "mailbox %.*s", VIEW_FMT(address));
    } else {
        (void)snprintf(slot->name, sizeof(slot->name), role == ROLE_EDGE || role == ROLE_COURIER ? "%s %u" : "%s",
                       role_name(role), index);
        (void)snprintf(slot->title, sizeof(slot->title), "%s", role_name(role));
    }
    if (co_spawn(s->params.loop, s->group, "supervisor.slot", slot_main, slot, NULL) != ERR_OK) {
        free(slot);
        return NULL;
    }
    return slot;
}

static struct slot *mailbox_slot(struct supervisor *s, uint64_t account) {
    struct slot *slot = map_get_u64(s->mailboxes, account);
    if (slot)
        return slot;
    if (map_count(s->mailboxes) >= SUPERVISOR_MAILBOXES_MAX)
        return NULL;
    slot = slot_new(s, ROLE_MAILBOX, 0, account);
    if (slot && map_put_u64(s->mailboxes, account, slot) != ERR_OK)
        BUG("a mailbox's slot must be in the map"); /* the limit was checked; without memory nothing can go on */
    return slot;
}

/* ---- the whole ---- */

enum err supervisor_new(const struct supervisor_params *params, struct supervisor **out) {
    struct supervisor *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NO_MEMORY;
    s->params = *params;
    log_child(&s->log, params->log, LF_TEXT("role", "supervisor"));
    buf_init(&s->why, 1000);
    uint8_t seed[16];
    random_fill(params->random, seed, sizeof(seed));
    s->group = co_group_new(params->loop);
    s->handlers = co_group_new(params->loop);
    s->mailboxes = map_new(seed, SUPERVISOR_MAILBOXES_MAX);
    s->accounts = map_new(seed, SUPERVISOR_ACCOUNTS_MAX);
    s->grants = map_new(seed, SUPERVISOR_GRANTS_MAX);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    s->fixed = calloc(SUPERVISOR_EDGES_MAX + ROLE_COUNT, sizeof(*s->fixed));
    if (!s->group || !s->handlers || !s->mailboxes || !s->accounts || !s->grants || !s->fixed) {
        supervisor_free(s);
        return ERR_NO_MEMORY;
    }
    *out = s;
    return ERR_OK;
}

enum err supervisor_start(struct supervisor *s, struct buf *why) {
    static const enum role roles[] = {ROLE_DIRECTORY, ROLE_RESOLVER,   ROLE_QUEUE,
                                      ROLE_COURIER,   ROLE_POSTMASTER, ROLE_EDGE};
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        uint32_t count = roles[i] == ROLE_EDGE ? MIN(MAX(s->params.config->edges, 1u), SUPERVISOR_EDGES_MAX) : 1;
        for (uint32_t index = 0; index < count; index++) {
            struct slot *slot = slot_new(s, roles[i], index, 0);
            if (!slot)
                return ERR_NO_MEMORY;
            s->fixed[s->fixed_n++] = slot;
        }
    }
    for (;;) {
        size_t ready = 0;
        for (size_t i = 0; i < s->fixed_n; i++) {
            if (s->fixed[i]->failures) {
                buf_put(why, buf_view(&s->why));
                return ERR_TEMPORARY;
            }
            ready += s->fixed[i]->state == SLOT_READY;
        }
        if (ready == s->fixed_n)
            return ERR_OK;
        TRY(waitq_wait(&s->changed, US_NEVER));
    }
}

static void each_slot(struct supervisor *s, void (*visit)(struct slot *slot)) {
    for (size_t i = 0; i < s->fixed_n; i++)
        visit(s->fixed[i]);
    size_t cursor = 0;
    struct view key;
    void *value;
    while (map_next(s->mailboxes, &cursor, &key, &value))
        visit(value);
}

static void slot_ask_stop(struct slot *slot) {
    struct nothing nothing = {0};
    if (slot->channel && channel_is_open(slot->channel))
        (void)!channel_send(slot->channel, &message_role_stop, &nothing, NULL, 0);
    waitq_wake_all(&slot->changed);
}

static void slot_kill(struct slot *slot) {
    if (slot->spawned && !slot->exited)
        slot->supervisor->params.spawner->kill(slot->supervisor->params.spawner, slot->spawned);
}

/* A slot's coroutine must not kill on its way out what was asked to stop: it waits for `exited` or this deadline. */
void supervisor_stop(struct supervisor *s, int64_t grace_us) {
    s->stopping = true;
    each_slot(s, slot_ask_stop);
    int64_t deadline_us = loop_now_us(s->params.loop) + grace_us;
    if (co_group_wait(s->group, deadline_us) == ERR_OK)
        return;
    each_slot(s, slot_kill);
    (void)!co_group_wait(s->group, US_NEVER);
}

void supervisor_free(struct supervisor *s) {
    if (!s)
        return;
    size_t cursor = 0;
    struct view key;
    void *value;
    if (s->handlers) {
        co_group_cancel(s->handlers);
        if (co_group_count(s->handlers) == 0 || (co_current() && co_group_wait(s->handlers, US_NEVER) == ERR_OK))
            co_group_free(s->handlers);
    }
    if (s->group)
        co_group_free(s->group);
    for (size_t i = 0; s->fixed && i < s->fixed_n; i++)
        slot_free(s->fixed[i]);
    free(s->fixed);
    map_free(s->mailboxes);
    while (s->accounts && map_next(s->accounts, &cursor, &key, &value))
        free(value);
    map_free(s->accounts);
    cursor = 0;
    while (s->grants && map_next(s->grants, &cursor, &key, &value)) {
        struct pending_grant *pending = value;
        arena_free(pending->arena);
        free(pending);
    }
    map_free(s->grants);
    buf_fini(&s->why);
    free(s);
}

void supervisor_control(struct supervisor *s, struct stream *stream, uint32_t uid, uint32_t pid) {
    for (size_t i = 0; i < s->fixed_n; i++) {
        struct slot *slot = s->fixed[i];
        if (slot->role != ROLE_DIRECTORY || slot->state != SLOT_READY)
            continue;
        struct control_offer offer = {.uid = uid, .pid = pid};
        struct handle handle = HANDLE_OF_STREAM(stream);
        (void)!channel_send(slot->channel, &message_control_offer, &offer, &handle, 1);
        return;
    }
    stream_free(stream);
}
