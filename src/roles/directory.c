/*
 * The directory role: domains, accounts, verifiers, keys. It talks only to other
 * roles, and to the command line through connections the supervisor hands over.
 */
#include "roles/directory.h"

#include "dkim/crypto.h"
#include "store/directory.h"

#include <stdlib.h>
#include <string.h>

#define DIRECTORY_LIST_BUDGET (256 * 1024 * 1024) /* octets of a list of all accounts: a million of 200 */
#define ANNOUNCE_BATCH 200

/* ---- what others ask ---- */

static enum err handle_tls_chains(void *ctx, struct call *call, void *reply,
                                  struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct directory *d = ((struct directory_peer *)ctx)->directory;
    struct tls_chains *chains = reply;
    chains->chains = ARENA_ARRAY(call->arena, d->keys_n, struct tls_chain);
    if (!chains->chains)
        return ERR_NO_MEMORY;
    chains->chains_n = (uint32_t)d->keys_n;
    for (size_t i = 0; i < d->keys_n; i++)
        chains->chains[i] = (struct tls_chain){.key = d->keys[i].id, .certificates = buf_view(&d->keys[i].chain)};
    return ERR_OK;
}

static enum err handle_tls_sign(void *ctx, struct call *call, void *reply,
                                struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct directory *d = ((struct directory_peer *)ctx)->directory;
    const struct tls_sign *sign = call->request;
    struct tls_signature *result = reply;
    for (size_t i = 0; i < d->keys_n; i++) {
        if (d->keys[i].id != sign->key)
            continue;
        struct buf signature;
        buf_init(&signature, 1024);
        enum err err = tls_key_sign(d->keys[i].key, sign->scheme, sign->tbs, &signature);
        if (err == ERR_OK)
            err = arena_view(call->arena, buf_view(&signature), &result->signature);
        buf_fini(&signature);
        return err;
    }
    return ERR_NOT_FOUND;
}

static enum err handle_cleanup(void *ctx, struct call *call, void *reply,
                               struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply_handles;
    struct cleanup_result *result = reply;
    result->removed = directory_auth_cleanup(((struct directory_peer *)ctx)->directory);
    return ERR_OK;
}

static enum err handle_seed(void *ctx, struct call *call, void *reply,
                            struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct directory *d = ((struct role_env *)ctx)->state;
    const struct seed_account *seed = call->request;
    struct view whole, local, domain;
    TRY(directory_normalise(seed->address, call->arena, &whole, &local, &domain));
    TRY(directory_ensure_domain(d, domain));
    struct account_row row;
    enum err err = directory_account_get(d->store, whole, call->arena, &row);
    if (err == ERR_NOT_FOUND)
        err = directory_account_add(d->store, whole, call->arena, &row);
    TRY(err);
    TRY(directory_account_set_verifiers(d->store, row.id, seed->verifiers, seed->verifiers_n));
    return directory_announce(d, row.id, whole, row.quota_octets, false);
}

struct control_connection {
    struct directory *d;
    struct stream *stream;
    uint32_t uid;
};

static void control_body(void *arg) {
    struct control_connection *connection = arg;
    directory_control(connection->d, connection->stream, connection->uid);
    free(connection);
}

static enum err handle_control(void *ctx, struct call *call, void *reply,
                               struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct role_env *env = ctx;
    const struct control_offer *offer = call->request;
    if (call->handles[0].kind != HANDLE_STREAM)
        return ERR_SYNTAX;
    struct control_connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return ERR_NO_MEMORY;
    *connection = (struct control_connection){.d = env->state, .stream = call->handles[0].stream, .uid = offer->uid};
    enum err err = co_spawn(env->loop, env->group, "control", control_body, connection, NULL);
    if (err == ERR_OK)
        call->handles[0].kind = HANDLE_NONE;
    else
        free(connection);
    return err;
}

static const struct channel_handler edge_handlers[] = {
    {&message_auth_start, directory_handle_auth_start},
    {&message_auth_proof, directory_handle_auth_proof},
    {&message_auth_end, directory_handle_auth_end},
    {&message_sender_check, directory_handle_sender},
    {&message_recipient_lookup, directory_handle_recipient},
    {&message_tls_chains, handle_tls_chains},
    {&message_tls_sign, handle_tls_sign},
    {&message_dkim_keys, directory_handle_dkim_keys},
    {&message_dkim_sign, directory_handle_dkim_sign},
};
static const struct channel_handler queue_handlers[] = {{&message_recipient_lookup_queue, directory_handle_recipient},
                                                        {&message_relay_check, directory_handle_relay}};
static const struct channel_handler postmaster_handlers[] = {{&message_cleanup_directory, handle_cleanup}};
static const struct channel_handler supervisor_handlers[] = {{&message_seed_account, handle_seed},
                                                             {&message_control_offer, handle_control}};

/* ---- accounts and domains ---- */

enum err directory_announce(struct directory *d, uint64_t account, struct view address, uint64_t quota_octets,
                            bool gone) {
    struct account_known known = {.account = account, .address = address, .quota_octets = quota_octets, .gone = gone};
    struct accounts_known all = {.accounts = &known, .accounts_n = 1};
    struct arena *arena = arena_new("announce", 4096);
    if (!arena)
        return ERR_NO_MEMORY;
    struct nothing nothing;
    enum err err = channel_call(d->env->supervisor, &message_accounts_known, &all, NULL, 0,
                                loop_now_us(d->env->loop) + ROLE_CALL_US, arena, &nothing, NULL);
    arena_free(arena);
    return err;
}

static enum err announce_all(struct directory *d) {
    struct arena *arena = arena_new("announce", DIRECTORY_LIST_BUDGET);
    if (!arena)
        return ERR_NO_MEMORY;
    struct account_row *rows;
    size_t n;
    enum err err = directory_account_list(d->store, arena, &rows, &n);
    for (size_t at = 0; err == ERR_OK && at < n; at += ANNOUNCE_BATCH) {
        struct account_known batch[ANNOUNCE_BATCH];
        struct accounts_known all = {.accounts = batch, .accounts_n = (uint32_t)MIN(n - at, (size_t)ANNOUNCE_BATCH)};
        for (uint32_t i = 0; i < all.accounts_n; i++)
            batch[i] = (struct account_known){
                .account = rows[at + i].id, .address = rows[at + i].address, .quota_octets = rows[at + i].quota_octets};
        struct nothing nothing;
        err = channel_call(d->env->supervisor, &message_accounts_known, &all, NULL, 0,
                           loop_now_us(d->env->loop) + ROLE_CALL_US, arena, &nothing, NULL);
    }
    arena_free(arena);
    return err;
}

static enum err add_domain_key(struct directory *d, struct view domain, struct view selector, struct view algorithm) {
    struct buf der;
    buf_init_secret(&der, 8192);
    enum err err = tls_make_key(algorithm, &der); /* yields */
    if (err == ERR_OK) {
        struct domain_key row = {.domain = domain, .selector = selector, .algorithm = algorithm, .key = buf_view(&der)};
        err = directory_key_add(d->store, &row);
    }
    directory_signer_forget(d, domain);
    buf_fini(&der);
    return err;
}

enum err directory_ensure_domain(struct directory *d, struct view name) {
    uint64_t id;
    enum err err = directory_domain_add(d->store, name, &id);
    if (err == ERR_EXISTS)
        return ERR_OK;
    TRY(err);
    return add_domain_key(d, name, VIEW("ed1"), VIEW("ed25519"));
}

/* RSA keys take a tenth of a second each: after the start, for each domain that has none. */
static void make_missing_keys(struct directory *d) {
    struct arena *arena = arena_new("keys", DIRECTORY_LIST_BUDGET);
    struct domain_row *domains;
    size_t n = 0;
    if (!arena || directory_domain_list(d->store, arena, &domains, &n) != ERR_OK)
        n = 0;
    for (size_t i = 0; i < n && co_yield () == ERR_OK; i++) {
        struct domain_key *keys;
        size_t keys_n;
        bool has_rsa = false;
        if (directory_key_list(d->store, domains[i].name, arena, &keys, &keys_n) != ERR_OK)
            break;
        for (size_t j = 0; j < keys_n; j++)
            has_rsa = has_rsa || view_eq(keys[j].algorithm, VIEW("rsa"));
        enum err err = has_rsa ? ERR_OK : add_domain_key(d, domains[i].name, VIEW("rsa1"), VIEW("rsa"));
        if (err != ERR_OK && err != ERR_CANCELED &&
            err != ERR_NOT_FOUND) /* the end of the role, or of the domain meanwhile */
            log_event(&d->env->log, LOG_ERROR, "domain.key", LF_VIEW("domain", domains[i].name), LF_ERR(err));
    }
    arena_free(arena);
}

static void make_keys(void *arg) {
    struct directory *d = arg;
    while (d->keys_are_asked) {
        d->keys_are_asked = false;
        make_missing_keys(d);
    }
    d->makes_keys = false;
    waitq_wake_all(&d->keys_are_made);
}

void directory_complete_keys(struct directory *d) {
    if (d->env
            ->simulated) /* how long a prime is looked for comes from OpenSSL's own randomness: the story would not repeat */
        return;
    d->keys_are_asked = true;
    if (!d->makes_keys)
        d->makes_keys = co_spawn(d->env->loop, d->env->group, "domain.keys", make_keys, d, NULL) == ERR_OK;
}

enum err directory_await_keys(struct directory *d, int64_t deadline_us) {
    while (d->makes_keys)
        TRY(waitq_wait(&d->keys_are_made, deadline_us));
    return ERR_OK;
}

/* ---- TLS keys ---- */

static enum err add_tls_key(struct directory *d, struct view key_pem, struct view chain_pem) {
    if (d->keys_n >= DIRECTORY_KEYS_MAX)
        return ERR_LIMIT;
    struct directory_key *key = &d->keys[d->keys_n];
    TRY(tls_key_load(key_pem, &key->key));
    key->id = d->keys_n + 1;
    buf_init(&key->chain, TLS_CHAIN_MAX);
    buf_put(&key->chain, chain_pem);
    d->keys_n++; /* now it is freed with the others */
    TRY(buf_err(&key->chain));
    return tls_key_is_of(key->key, chain_pem) ? ERR_OK : ERR_SYNTAX;
}

/* A self-signed pair is made once and kept, so that clients that pinned it stay happy. */
static enum err load_own_key(struct directory *d) {
    struct buf key, chain;
    buf_init_secret(&key, 16384);
    buf_init(&chain, TLS_CHAIN_MAX);
    enum err err = disk_read_all(d->env->disk, "self-signed.key", 16384, &key);
    if (err == ERR_OK)
        err = disk_read_all(d->env->disk, "self-signed.crt", TLS_CHAIN_MAX, &chain);
    if (err == ERR_NOT_FOUND) {
        const struct view names[] = {d->env->config->hostname, VIEW("localhost")};
        size_t n = view_eq(names[0], names[1]) ? 1 : 2;
        buf_clear(&key);
        err = tls_make_self_signed(names, n, loop_wall_us(d->env->loop), &key, &chain);
        if (err == ERR_OK)
            err = disk_replace(d->env->disk, "self-signed.key", buf_view(&key));
        if (err == ERR_OK)
            err = disk_replace(d->env->disk, "self-signed.crt", buf_view(&chain));
    }
    if (err == ERR_OK)
        err = add_tls_key(d, buf_view(&key), buf_view(&chain));
    buf_fini(&key);
    buf_fini(&chain);
    return err;
}

static enum err load_secret(struct directory *d) {
    struct buf secret;
    buf_init_secret(&secret, DIRECTORY_SECRET_SIZE);
    enum err err = disk_read_all(d->env->disk, "secret", DIRECTORY_SECRET_SIZE, &secret);
    if (err == ERR_OK && secret.n == DIRECTORY_SECRET_SIZE) {
        memcpy(d->secret, secret.p, DIRECTORY_SECRET_SIZE);
    } else if (err == ERR_OK || err == ERR_NOT_FOUND) {
        random_fill(d->env->random, d->secret, DIRECTORY_SECRET_SIZE);
        err = disk_replace(d->env->disk, "secret", view_of(d->secret, DIRECTORY_SECRET_SIZE));
    }
    buf_fini(&secret);
    return err;
}

/* ---- life ---- */

static void directory_stop(struct role_env *env) {
    struct directory *d = env->state;
    directory_auth_fini(d);
    directory_signers_fini(d);
    while (d->peers) {
        struct directory_peer *peer = d->peers;
        d->peers = peer->next;
        channel_free(peer->channel);
        free(peer);
    }
    for (size_t i = 0; i < d->keys_n; i++) {
        tls_key_free(d->keys[i].key);
        buf_fini(&d->keys[i].chain);
    }
    if (d->store)
        directory_store_close(d->store);
    wipe(d->secret, sizeof(d->secret));
    free(d);
    env->state = NULL;
}

static enum err directory_prepare(struct role_env *env, struct buf *why) {
    struct dkim_crypto *crypto;
    enum err err = dkim_crypto_new(&crypto);
    if (err != ERR_OK)
        buf_put_str(why, "OpenSSL cannot be set up");
    else
        env->prepared = crypto;
    return err;
}

static void directory_unprepare(struct role_env *env) {
    dkim_crypto_free(env->prepared);
    env->prepared = NULL;
}

static enum err directory_start(struct role_env *env, struct buf *why) {
    struct directory *d = calloc(1, sizeof(*d));
    if (!d)
        return ERR_NO_MEMORY;
    env->state = d;
    d->env = env;
    d->crypto = env->prepared;
    d->next_session = random_u64(env->random) >> 2; /* ids of an earlier life mean nothing */
    uint8_t seed[16];
    random_fill(env->random, seed, sizeof(seed));
    d->sessions = map_new(seed, DIRECTORY_SESSIONS_MAX);
    d->networks = map_new(seed, DIRECTORY_NETWORKS_MAX);
    d->signers = map_new(seed, DIRECTORY_SIGNERS_MAX);
    if (!d->sessions || !d->networks || !d->signers)
        return ERR_NO_MEMORY;
    enum err err = directory_store_open(env->disk, loop_clock(env->loop), env->random, &d->store);
    if (err != ERR_OK) {
        buf_put_str(why, err == ERR_AGAIN
                             ? "another process has directory.db"
                             : "directory.db cannot be opened: is the directory writable and is there space?");
        return err;
    }
    TRY(load_secret(d));
    const struct role_configure *config = env->config;
    err = config->certificate.n ? add_tls_key(d, config->private_key, config->certificate) : load_own_key(d);
    if (err != ERR_OK) {
        buf_put_str(why, config->certificate.n
                             ? "the configured certificate and private key cannot be read or do not belong together: "
                               "correct tls { certificate, key }, PEM files with an EC or RSA key"
                             : "the self-signed certificate cannot be made or read");
        return err;
    }
    TRY(announce_all(d));
    return ERR_OK;
}

static void peer_closed(void *ctx, enum err why) {
    struct directory_peer *peer = ctx;
    struct directory *d = peer->directory;
    if (why == ERR_SYNTAX)
        log_event(&d->env->log, LOG_ERROR, "peer.protocol", LF_TEXT("peer", role_name(peer->role)),
                  LF_U64("index", peer->index));
    directory_sessions_drop(d, peer);
}

/* What an earlier life of the same role left: its channel closed long before the supervisor started the next one. */
static void drop_earlier(struct directory *d, enum role role, uint32_t index) {
    for (struct directory_peer **at = &d->peers; *at;) {
        struct directory_peer *peer = *at;
        if (peer->role != role || peer->index != index || channel_is_open(peer->channel)) {
            at = &peer->next;
            continue;
        }
        *at = peer->next;
        directory_sessions_drop(d, peer); /* peer_closed may not have been called yet, and is not any more */
        channel_free(peer->channel);
        free(peer);
    }
}

static void directory_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct directory *d = env->state;
    drop_earlier(d, (enum role)offer->peer, offer->index);
    const struct channel_handler *handlers = NULL;
    size_t n = 0;
    switch ((enum role)offer->peer) {
    case ROLE_EDGE:
        handlers = edge_handlers;
        n = ARRAY_LEN(edge_handlers);
        break;
    case ROLE_QUEUE:
        handlers = queue_handlers;
        n = ARRAY_LEN(queue_handlers);
        break;
    case ROLE_POSTMASTER:
        handlers = postmaster_handlers;
        n = ARRAY_LEN(postmaster_handlers);
        break;
    default:
        break;
    }
    struct directory_peer *peer = handlers ? calloc(1, sizeof(*peer)) : NULL;
    if (!peer) {
        channel_free(channel);
        return;
    }
    *peer = (struct directory_peer){
        .directory = d, .role = (enum role)offer->peer, .index = offer->index, .channel = channel, .next = d->peers};
    if (channel_start(channel, role_name(peer->role), handlers, n, peer, env->group) != ERR_OK) {
        channel_free(channel);
        free(peer);
        return;
    }
    channel_on_close(channel, peer_closed, peer);
    d->peers = peer;
    if (peer->role == ROLE_POSTMASTER) /* the last to come: the start is over */
        directory_complete_keys(d);
}

const struct role_def role_directory = {
    .role = ROLE_DIRECTORY,
    .prepare = directory_prepare,
    .start = directory_start,
    .offer = directory_offer,
    .supervisor_handlers = supervisor_handlers,
    .supervisor_handlers_n = ARRAY_LEN(supervisor_handlers),
    .stop = directory_stop,
    .unprepare = directory_unprepare,
};
