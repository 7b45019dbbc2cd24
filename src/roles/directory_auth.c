/* Logins: SCRAM proofs are checked here and nowhere else; passwords never come here (DESIGN.md, "Passwords"). */
#include "roles/directory.h"

#include "store/directory.h"

#include <stdlib.h>
#include <string.h>

struct network_failures {
    unsigned count;
    int64_t last_us;
};

static bool is_throttled(const struct directory *d, const struct netaddr *peer) {
    return d->env->config->throttle_loopback || !netaddr_is_loopback(peer);
}

/* How long this network must wait: nothing for the first failures, then twice as long each time. */
static int64_t network_delay(struct directory *d, const struct netaddr *network) {
    const struct network_failures *failures = map_get(d->networks, netaddr_key(network));
    if (!failures || failures->count < DIRECTORY_FAILURES_FREE)
        return 0;
    unsigned doublings = MIN(failures->count - DIRECTORY_FAILURES_FREE, 10u);
    return MIN(DIRECTORY_DELAY_FIRST_US << doublings, DIRECTORY_DELAY_MAX_US);
}

static void network_failed(struct directory *d, const struct netaddr *network) {
    struct network_failures *failures = map_get(d->networks, netaddr_key(network));
    if (!failures) {
        failures = calloc(1, sizeof(*failures));
        if (failures && map_put(d->networks, netaddr_key(network), failures) != ERR_OK) {
            free(failures); /* the table is full of others: this one is not slowed down until the next clean-up */
            failures = NULL;
        }
    }
    if (failures) {
        failures->count++;
        failures->last_us = loop_now_us(d->env->loop);
    }
}

static void session_free(struct directory *d, struct auth_session *session) {
    if (map_remove_u64(d->sessions, session->id))
        session->peer->sessions--;
    wipe(&session->keys, sizeof(session->keys));
    arena_free(session->arena);
    free(session);
}

struct auth_session *directory_session(struct directory *d, struct directory_peer *peer, uint64_t id) {
    struct auth_session *session = id ? map_get_u64(d->sessions, id) : NULL;
    return session && session->peer == peer && session->proven ? session : NULL;
}

void directory_sessions_drop(struct directory *d, struct directory_peer *peer) {
    size_t cursor = 0;
    struct view key;
    void *value;
    while (map_next(d->sessions, &cursor, &key, &value)) {
        struct auth_session *session = value;
        if (session->peer == peer)
            session_free(d, session);
    }
}

uint64_t directory_auth_cleanup(struct directory *d) {
    uint64_t removed = 0;
    size_t cursor = 0;
    struct view key;
    void *value;
    int64_t now_us = loop_now_us(d->env->loop);
    d->cleaned_us = now_us;
    while (map_next(d->sessions, &cursor, &key, &value)) {
        struct auth_session *session = value;
        if (!session->proven && now_us - session->started_us > DIRECTORY_LOGIN_US) {
            session_free(d, session);
            removed++;
        }
    }
    cursor = 0;
    while (map_next(d->networks, &cursor, &key, &value)) {
        struct network_failures *failures = value;
        if (now_us - failures->last_us > DIRECTORY_FAILURES_FORGET_US) {
            (void)map_remove(d->networks, key);
            free(failures);
            removed++;
        }
    }
    return removed;
}

void directory_auth_fini(struct directory *d) {
    size_t cursor = 0;
    struct view key;
    void *value;
    while (d->sessions && map_next(d->sessions, &cursor, &key, &value))
        session_free(d, value);
    map_free(d->sessions);
    cursor = 0;
    while (d->networks && map_next(d->networks, &cursor, &key, &value))
        free(value);
    map_free(d->networks);
}

/* The stored verifier, or a stable made-up one: the two cannot be told apart (RFC5802-9). */
static enum err session_verifier(struct directory *d, struct auth_session *session, struct view user) {
    struct account_row row;
    enum err err = directory_account_get(d->store, user, session->arena, &row);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    if (err == ERR_OK) {
        struct scram_verifier *verifiers;
        size_t n;
        TRY(directory_account_verifiers(d->store, row.id, session->arena, &verifiers, &n));
        for (size_t i = 0; i < n; i++) {
            const struct scram_verifier *v = &verifiers[i];
            size_t size = scram_key_size(session->hash);
            if (v->mechanism != session->hash || v->stored_key.n != size || v->server_key.n != size)
                continue;
            memcpy(session->keys.stored_key, v->stored_key.p, size);
            memcpy(session->keys.server_key, v->server_key.p, size);
            session->salt = v->salt;
            session->iterations = v->iterations;
            session->exists = !row.disabled;
            session->account = row.id;
            session->address = row.address;
            return ERR_OK;
        }
    }
    uint8_t *salt = arena_alloc(session->arena, SCRAM_SALT_SIZE);
    if (!salt)
        return ERR_NO_MEMORY;
    TRY(scram_fake_salt(view_of(d->secret, sizeof(d->secret)), user, salt));
    session->salt = view_of(salt, SCRAM_SALT_SIZE);
    session->iterations = SCRAM_ITERATIONS_DEFAULT;
    random_fill(d->env->random, &session->keys, sizeof(session->keys));
    return ERR_OK;
}

static enum err session_begin(struct directory *d, const struct auth_start *start, struct auth_session *session) {
    struct view whole, local, domain;
    enum err err = directory_normalise(start->user, session->arena, &whole, &local, &domain);
    if (err == ERR_SYNTAX) /* no address: like any other unknown user */
        err = arena_view(session->arena, start->user, &whole);
    TRY(err);
    uint8_t nonce[SCRAM_NONCE_SIZE];
    scram_make_nonce(d->env->random, nonce);
    uint8_t *both = arena_alloc(session->arena, start->client_nonce.n + sizeof(nonce));
    if (!both)
        return ERR_NO_MEMORY;
    memcpy(both, start->client_nonce.p, start->client_nonce.n);
    memcpy(both + start->client_nonce.n, nonce, sizeof(nonce));
    session->nonce = view_of(both, start->client_nonce.n + sizeof(nonce));
    return session_verifier(d, session, whole);
}

enum err directory_handle_auth_start(void *ctx, struct call *call, void *reply,
                                     struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct directory_peer *peer = ctx;
    struct directory *d = peer->directory;
    const struct auth_start *start = call->request;
    if (scram_key_size((enum scram_hash)start->hash) == 0 || start->client_nonce.n == 0 ||
        start->protocol >= PROTOCOL_COUNT)
        return ERR_SYNTAX;
    bool is_full = map_count(d->sessions) >= DIRECTORY_SESSIONS_MAX || peer->sessions >= DIRECTORY_SESSIONS_PER_PEER;
    if (is_full && loop_now_us(d->env->loop) >= d->cleaned_us + DIRECTORY_CLEAN_US)
        (void)directory_auth_cleanup(d);
    if (map_count(d->sessions) >= DIRECTORY_SESSIONS_MAX || peer->sessions >= DIRECTORY_SESSIONS_PER_PEER)
        return ERR_AGAIN;
    struct auth_session *session = calloc(1, sizeof(*session));
    if (!session)
        return ERR_NO_MEMORY;
    session->id = ++d->next_session;
    session->peer = peer;
    session->hash = (enum scram_hash)start->hash;
    session->protocol = (enum protocol)start->protocol;
    session->network = netaddr_network(&start->peer);
    session->throttled = is_throttled(d, &start->peer);
    session->started_us = loop_now_us(d->env->loop);
    session->arena = arena_new("auth", 16384);
    enum err err = session->arena ? session_begin(d, start, session) : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = map_put_u64(d->sessions, session->id, session);
    if (err == ERR_OK)
        peer->sessions++;
    if (err != ERR_OK) {
        session_free(d, session);
        return err;
    }
    struct auth_challenge *challenge = reply;
    *challenge = (struct auth_challenge){
        .session = session->id,
        .salt = session->salt,
        .nonce = session->nonce,
        .iterations = session->iterations,
        .delay_us = session->throttled ? network_delay(d, &session->network) : 0,
    };
    /* the reply's views must outlive the session, which another call may end */
    TRY(arena_view(call->arena, session->salt, &challenge->salt));
    return arena_view(call->arena, session->nonce, &challenge->nonce);
}

/* address: outlives the session, which may end while we wait for the supervisor. */
static enum err make_grant(struct directory *d, const struct auth_session *session, struct view address,
                           struct arena *arena, struct view *id) {
    uint8_t *random_id = arena_alloc(arena, MESSAGE_ID_SIZE);
    if (!random_id)
        return ERR_NO_MEMORY;
    random_fill(d->env->random, random_id, MESSAGE_ID_SIZE);
    struct grant grant = {
        .id = view_of(random_id, MESSAGE_ID_SIZE),
        .account = session->account,
        .address = address,
        .protocol = (uint8_t)session->protocol,
        .rights = RIGHT_READ | RIGHT_WRITE | RIGHT_ADMIN,
        .credential = VIEW("password"),
        .edge = session->peer->index,
        .expires_us = loop_wall_us(d->env->loop) + GRANT_LIFE_US,
    };
    struct nothing nothing;
    TRY(channel_call(d->env->supervisor, &message_grant, &grant, NULL, 0, loop_now_us(d->env->loop) + ROLE_CALL_US,
                     arena, &nothing, NULL));
    *id = grant.id;
    return ERR_OK;
}

/* RFC5802-5.1: the nonce in client-final must be the whole nonce of this exchange. */
static bool final_has_nonce(struct view final_bare, struct view nonce) {
    ssize_t at = view_find(final_bare, VIEW(",r="));
    return at >= 0 && view_eq(view_skip(final_bare, (size_t)at + 3), nonce);
}

enum err directory_handle_auth_proof(void *ctx, struct call *call, void *reply,
                                     struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct directory_peer *peer = ctx;
    struct directory *d = peer->directory;
    const struct auth_proof *proof = call->request;
    struct auth_result *result = reply;
    struct auth_session *session = map_get_u64(d->sessions, proof->session);
    if (!session || session->peer != peer || session->proven)
        return ERR_DENIED;
    struct buf message;
    buf_init(&message, 4096);
    buf_put(&message, proof->client_first_bare);
    buf_put_byte(&message, ',');
    scram_put_server_first(&message, session->nonce, session->salt, session->iterations);
    buf_put_byte(&message, ',');
    buf_put(&message, proof->client_final_bare);
    uint8_t *signature = arena_alloc(call->arena, SCRAM_KEY_MAX);
    enum err err = signature ? buf_err(&message) : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = scram_check_proof(session->hash, &session->keys, buf_view(&message), proof->proof, signature);
    buf_fini(&message);
    if (err == ERR_OK && (!session->exists || !final_has_nonce(proof->client_final_bare, session->nonce)))
        err = ERR_DENIED;
    if (err != ERR_OK) {
        if (err == ERR_DENIED && session->throttled)
            network_failed(d, &session->network);
        log_event(&d->env->log, LOG_INFO, "login.failed", LF_TEXT("protocol", protocol_name(session->protocol)),
                  LF_ERR(err));
        session_free(d, session);
        return err;
    }
    session->proven = true;
    result->account = session->account;
    result->server_signature = view_of(signature, scram_key_size(session->hash));
    TRY(arena_view(call->arena, session->address, &result->address));
    log_event(&d->env->log, LOG_INFO, "login", LF_TEXT("protocol", protocol_name(session->protocol)),
              LF_VIEW("account", session->address));
    if (session->protocol != PROTOCOL_SUBMISSION) {
        /* A mailbox session lives by its grant; nothing is left to ask here. */
        uint64_t id = session->id;
        err = make_grant(d, session, result->address, call->arena, &result->grant);
        session = map_get_u64(d->sessions, id); /* the edge may have gone meanwhile */
        if (session)
            session_free(d, session);
    }
    return err;
}

enum err directory_handle_auth_end(void *ctx, struct call *call, void *reply,
                                   struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct directory_peer *peer = ctx;
    const struct auth_end *end = call->request;
    struct auth_session *session = map_get_u64(peer->directory->sessions, end->session);
    if (session && session->peer == peer)
        session_free(peer->directory, session);
    return ERR_OK;
}
