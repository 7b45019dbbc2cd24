/*
 * An edge that has been taken over: it speaks valid IPC and wants what is not
 * its to have. It gets ERR_DENIED, a broken channel, or nothing, and nobody else
 * notices. (DESIGN.md section 2, "Identity".)
 */
#include "sim/sim.h"

#include "roles/doors.h"
#include "sasl/scram.h"
#include "store/account_channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost", "boss@ours.example"};

/* The hostile edge: it only keeps its channels; the test's story uses them. */
struct hostile {
    struct role_env *env;
    struct role_peer directory, queue;
};

static enum err hostile_start(struct role_env *env, struct buf *why) {
    (void)why;
    struct hostile *h = calloc(1, sizeof(*h));
    if (!h)
        return ERR_NO_MEMORY;
    h->env = env;
    env->state = h;
    return ERR_OK;
}

static void hostile_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct hostile *h = env->state;
    struct role_peer *peer = offer->peer == ROLE_DIRECTORY ? &h->directory
                             : offer->peer == ROLE_QUEUE   ? &h->queue
                                                           : NULL;
    if (!peer || channel_start(channel, "hostile", NULL, 0, h, env->group) != ERR_OK) {
        channel_free(channel);
        return;
    }
    role_peer_set(peer, channel);
}

static void hostile_stop(struct role_env *env) {
    struct hostile *h = env->state;
    role_peer_fini(&h->directory);
    role_peer_fini(&h->queue);
    free(h);
    env->state = NULL;
}

static void hostile_listen(struct role_env *env, const struct listener_offer *offer, struct listener *listener) {
    (void)env;
    (void)offer;
    listener_free(listener);
}

static const struct role_def hostile_edge = {
    .role = ROLE_EDGE, .start = hostile_start, .offer = hostile_offer, .listen = hostile_listen, .stop = hostile_stop};

/* ---- helpers ---- */

static enum err ask(struct channel *channel, const struct message_type *type, const void *request, struct arena *arena,
                    void *reply, struct handle handles[CHANNEL_HANDLES_MAX], struct loop *loop) {
    return channel_call(channel, type, request, NULL, 0, loop_now_us(loop) + ROLE_CALL_US, arena, reply, handles);
}

static enum err login(struct sim *sim, struct channel *directory, enum protocol protocol, const char *user,
                      const char *password, struct arena *arena, struct auth_challenge *challenge,
                      struct auth_result *result) {
    struct auth_start start = {.user = view_cstr(user),
                               .client_nonce = VIEW("hostilenonce"),
                               .hash = SCRAM_SHA256,
                               .protocol = (uint8_t)protocol};
    TRY(netaddr_parse(VIEW("127.0.0.1"), 1, &start.peer));
    TRY(ask(directory, &message_auth_start, &start, arena, challenge, NULL, sim->loop));
    struct buf first, final, message;
    buf_init(&first, 1000);
    buf_init(&final, 1000);
    buf_init(&message, 4000);
    scram_put_client_first_bare(&first, start.user, start.client_nonce);
    scram_put_client_final_bare(&final, VIEW("n,,"), challenge->nonce);
    buf_put(&message, buf_view(&first));
    buf_put_byte(&message, ',');
    scram_put_server_first(&message, challenge->nonce, challenge->salt, challenge->iterations);
    buf_put_byte(&message, ',');
    buf_put(&message, buf_view(&final));
    struct scram_derivation d;
    uint8_t proof[SCRAM_KEY_MAX], signature[SCRAM_KEY_MAX];
    TRY(scram_derivation_init(&d, SCRAM_SHA256, view_cstr(password), challenge->salt, challenge->iterations));
    while (!scram_derivation_step(&d, 1000))
        ;
    TRY(scram_client_proof(SCRAM_SHA256, view_of(d.result, 32), buf_view(&message), proof, signature));
    scram_derivation_fini(&d);
    struct auth_proof request = {.session = challenge->session,
                                 .client_first_bare = buf_view(&first),
                                 .client_final_bare = buf_view(&final),
                                 .proof = view_of(proof, 32)};
    enum err err = ask(directory, &message_auth_proof, &request, arena, result, NULL, sim->loop);
    buf_fini(&first);
    buf_fini(&final);
    buf_fini(&message);
    return err;
}

static struct hostile *hostile_of(struct sim *sim) {
    struct role_env *env = sim_role_env(sim, ROLE_EDGE, 1);
    return env ? env->state : NULL;
}

/* Asks for the keys and for a signature; both must end alike. */
static enum err sign(struct sim *sim, struct channel *directory, uint64_t session, const char *author,
                     const char *selector, struct arena *arena) {
    static const uint8_t digest[32] = {1};
    struct dkim_keys keys = {.session = session, .address = view_cstr(author)};
    struct dkim_keys_result found = {0};
    struct dkim_sign_request request = {.session = session,
                                        .address = view_cstr(author),
                                        .selector = view_cstr(selector),
                                        .digest = view_of(digest, sizeof(digest))};
    struct dkim_sign_result result = {0};
    enum err first = ask(directory, &message_dkim_keys, &keys, arena, &found, NULL, sim->loop),
             second = ask(directory, &message_dkim_sign, &request, arena, &result, NULL, sim->loop);
    assert_int_equal(found.keys_n > 0, first == ERR_OK);
    assert_int_equal(result.signature.n, second == ERR_OK ? 64 : 0); /* Ed25519 */
    assert_int_equal(first, second);
    return second;
}

/* Signatures: of an author that a login of this edge may write as, and of nobody else. */
static void sign_things(struct sim *sim, struct channel *directory, uint64_t session, struct arena *arena) {
    assert_int_equal(sign(sim, directory, session, "user@localhost", "ed1", arena), ERR_OK);
    assert_int_equal(sign(sim, directory, session, "User@LOCALHOST", "ed1", arena), ERR_OK);
    static const char *const foreign[] = {"anna@localhost",
                                          "boss@ours.example",
                                          "user@ours.example",
                                          "nobody@localhost",
                                          "user@foreign.example",
                                          "user@example.net",
                                          "user@localhost.net",
                                          "@localhost",
                                          "localhost",
                                          "user@",
                                          ""};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        assert_int_equal(sign(sim, directory, session, foreign[i], "ed1", arena), ERR_DENIED);
    for (uint64_t other = session - 5; other < session + 5; other++)
        if (other != session)
            assert_int_equal(sign(sim, directory, other, "user@localhost", "ed1", arena), ERR_NOT_FOUND);
    assert_int_equal(sign(sim, directory, 0, "user@localhost", "ed1", arena), ERR_NOT_FOUND);
    assert_int_equal(sign(sim, directory, 0, "", "ed1", arena), ERR_NOT_FOUND);
    /* A key that is not there; what is no digest. */
    struct dkim_sign_request odd = {.session = session,
                                    .address = VIEW("user@localhost"),
                                    .selector = VIEW("ed2"),
                                    .digest = VIEW("12345678901234567890123456789012")};
    struct dkim_sign_result result;
    assert_int_equal(ask(directory, &message_dkim_sign, &odd, arena, &result, NULL, sim->loop), ERR_NOT_FOUND);
    odd.selector = VIEW("ed1");
    odd.digest = VIEW("short");
    assert_int_equal(ask(directory, &message_dkim_sign, &odd, arena, &result, NULL, sim->loop), ERR_DENIED);
}

/* ---- letting mail out ---- */

#define MEMBER "member@elsewhere.example"
#define VICTIM "victim@example.com"

static const struct queue_target LOCAL = {
    .kind = RECIPIENT_LOCAL, .account = 2, .address = VIEW_INIT("anna@localhost")};
static const struct queue_target TO_VICTIM = {.kind = RECIPIENT_REMOTE, .address = VIEW_INIT(VICTIM)};
static const struct queue_target TO_MEMBER = {.kind = RECIPIENT_REMOTE, .address = VIEW_INIT(MEMBER)};

/* What the queue gives to couriers. */
struct counter {
    struct channel_tap tap;
    unsigned attempts;
};

static bool count_packet(struct channel_tap *tap, const char *channel, uint16_t code, bool is_reply,
                         int64_t *delay_us) {
    (void)channel;
    (void)delay_us;
    ((struct counter *)tap)->attempts += code == message_attempt.code && !is_reply;
    return true;
}

static enum err submit(struct sim *sim, struct hostile *h, uint64_t session, const char *sender,
                       const struct queue_target *targets, uint32_t n) {
    uint8_t id[MESSAGE_ID_SIZE];
    random_fill(&sim->random.random, id, sizeof(id));
    struct queue_target copy[4];
    memcpy(copy, targets, n * sizeof(*targets));
    struct queue_submit request = {.delivery_id = view_of(id, sizeof(id)),
                                   .session = session,
                                   .sender = view_cstr(sender),
                                   .body = VIEW("Subject: relayed\r\n\r\nrelayed\r\n"),
                                   .targets = copy,
                                   .targets_n = n};
    struct queue_submit_result result;
    return channel_call(h->queue.channel, &message_queue_submit, &request, NULL, 0,
                        loop_now_us(sim->loop) + ROLE_MAILBOX_CALL_US, NULL, &result, NULL);
}

static void add_alias(struct sim *sim) {
    struct stream *ours, *theirs;
    uint8_t reply[1000];
    size_t n = 0;
    int64_t deadline_us = loop_now_us(sim->loop) + ROLE_CALL_US;
    assert_int_equal(stream_new_pair(sim->loop, 10000, &ours, &theirs), ERR_OK);
    supervisor_control(sim->supervisor, theirs, 0, 1);
    assert_int_equal(
        stream_write(ours,
                     VIEW("{\"id\":1,\"op\":\"alias.add\",\"address\":\"list@localhost\",\"targets\":[\"" MEMBER
                          "\",\"user@localhost\"]}\n"),
                     deadline_us),
        ERR_OK);
    assert_int_equal(stream_read(ours, reply, sizeof(reply), deadline_us, &n), ERR_OK);
    assert_true(view_find(view_of(reply, n), VIEW("\"ok\":true")) >= 0);
    stream_free(ours);
}

/* A client that logged in at the honest edge, and what it may send. */
static void honest_submission(struct sim *sim, struct sim_client *client) {
    unsigned code = 0;
    assert_int_equal(sim_connect(sim, SIM_SUBMISSIONS_PORT, true, client), ERR_OK);
    assert_int_equal(sim_smtp(client, NULL, &code), ERR_OK);
    assert_int_equal(sim_smtp(client, "EHLO client.example.net", &code), ERR_OK);
    assert_int_equal(code, 250);
    assert_int_equal(sim_smtp(client, "AUTH PLAIN AGFubmFAbG9jYWxob3N0AHZlcmVkdXM=", &code),
                     ERR_OK); /* anna@localhost, SIM_PASSWORD */
    assert_int_equal(code, 235);
    static const char *const to[] = {VICTIM};
    assert_int_equal(sim_smtp_send(client, "anna@localhost", to, 1, VIEW("Subject: honest\r\n\r\nhonest\r\n"), &code),
                     ERR_OK);
    assert_int_equal(code, 250);
}

static void relay_story(struct sim *sim, void *arg) {
    bool *finished = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct hostile *h = hostile_of(sim);
    while (!h->directory.channel)
        assert_int_equal(waitq_wait(&h->directory.arrived, US_NEVER), ERR_OK);
    while (!h->queue.channel)
        assert_int_equal(waitq_wait(&h->queue.arrived, US_NEVER), ERR_OK);
    struct arena *arena = arena_new("hostile", 1 << 20);
    struct auth_challenge own;
    struct auth_result result;
    struct sim_client honest;
    unsigned code = 0;
    add_alias(sim);
    honest_submission(sim, &honest);
    assert_int_equal(co_sleep(10 * US_PER_S), ERR_OK);
    struct counter out = {.tap = {count_packet}};
    loop_set_channel_tap(sim->loop, &out.tap);

    /* Without a login: no way out, neither alone nor hidden among others, whatever the kind calls itself. */
    const struct queue_target mixed[] = {LOCAL, TO_MEMBER, TO_VICTIM},
                              odd[] = {{.kind = 200, .address = VIEW_INIT(VICTIM)}},
                              ours[] = {{.kind = RECIPIENT_REMOTE, .address = VIEW_INIT("user@localhost")}},
                              shape[] = {{.kind = RECIPIENT_REMOTE, .address = VIEW_INIT("no domain")}},
                              other_case[] = {
                                  {.kind = RECIPIENT_REMOTE, .address = VIEW_INIT("Member@elsewhere.example")}};
    assert_int_equal(submit(sim, h, 0, "user@localhost", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "user@localhost", mixed, 3), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "user@localhost", odd, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "user@localhost", ours, 1), ERR_DENIED); /* a member, and not remote */
    assert_int_equal(submit(sim, h, 0, "user@localhost", shape, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "user@localhost", other_case, 1), ERR_DENIED);
    assert_int_equal(co_sleep(10 * US_PER_S), ERR_OK);
    assert_int_equal(out.attempts, 0);
    /* What MX mail may cause: a member of an alias of ours, and a local delivery. */
    assert_int_equal(submit(sim, h, 0, "", mixed, 2), ERR_OK);
    assert_int_equal(co_sleep(10 * US_PER_S), ERR_OK);
    assert_int_equal(out.attempts, 1);

    /* Its own login: as itself, not as another, and not after the end. */
    assert_int_equal(
        login(sim, h->directory.channel, PROTOCOL_SUBMISSION, "user@localhost", "guess", arena, &own, &result),
        ERR_DENIED);
    assert_int_equal(submit(sim, h, own.session, "user@localhost", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(
        login(sim, h->directory.channel, PROTOCOL_SUBMISSION, "user@localhost", SIM_PASSWORD, arena, &own, &result),
        ERR_OK);
    assert_int_equal(submit(sim, h, own.session, "anna@localhost", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, own.session, "anybody@example.net", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, own.session, "anna@localhost", &TO_MEMBER, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, own.session, "user@localhost", ours, 1), ERR_DENIED);
    assert_int_equal(co_sleep(10 * US_PER_S), ERR_OK);
    assert_int_equal(out.attempts, 1);
    assert_int_equal(submit(sim, h, own.session, "user@localhost", mixed, 3), ERR_OK);
    assert_int_equal(co_sleep(10 * US_PER_S), ERR_OK);
    assert_int_equal(out.attempts, 3);
    /* Logins of others, the honest client's among them. */
    for (uint64_t other = own.session - 5; other < own.session + 5; other++)
        if (other != own.session)
            assert_int_equal(submit(sim, h, other, "anna@localhost", &TO_VICTIM, 1), ERR_DENIED);
    struct auth_end end = {.session = own.session};
    assert_int_equal(channel_send(h->directory.channel, &message_auth_end, &end, NULL, 0), ERR_OK);
    assert_int_equal(co_sleep(US_PER_S), ERR_OK);
    assert_int_equal(submit(sim, h, own.session, "user@localhost", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(out.attempts, 3);
    /* The honest client's login is as good as before. */
    static const char *const again[] = {VICTIM, "list@localhost"};
    assert_int_equal(
        sim_smtp_send(&honest, "anna@localhost", again, 2, VIEW("Subject: honest\r\n\r\nhonest\r\n"), &code), ERR_OK);
    assert_int_equal(code, 250);
    assert_int_equal(co_sleep(10 * US_PER_S), ERR_OK);
    assert_int_equal(out.attempts, 5);
    loop_set_channel_tap(sim->loop, NULL);
    sim_close(&honest);
    arena_free(arena);
    sim_stop(sim);
    *finished = true;
}

static void test_hostile_relay(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct sim sim;
        bool finished = false;
        sim_init(&sim, seed, NULL, ACCOUNTS, 2);
        sim.config.edges = 2;
        sim.override_edge = &hostile_edge;
        assert_true(sim_run(&sim, relay_story, &finished));
        assert_true(finished);
        struct disk *disk = sim_fini(&sim);
        assert_int_equal(sim_count_messages(disk, 2, VIEW("relayed")), 2); /* nothing went with what was denied */
        disk_free(disk);
    }
}

/* With relaying switched off nothing leaves, not even a member or a login's mail. */
static void no_relay_story(struct sim *sim, void *arg) {
    bool *finished = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct hostile *h = hostile_of(sim);
    while (!h->directory.channel)
        assert_int_equal(waitq_wait(&h->directory.arrived, US_NEVER), ERR_OK);
    while (!h->queue.channel)
        assert_int_equal(waitq_wait(&h->queue.arrived, US_NEVER), ERR_OK);
    struct arena *arena = arena_new("hostile", 1 << 20);
    struct auth_challenge own;
    struct auth_result result;
    add_alias(sim);
    assert_int_equal(
        login(sim, h->directory.channel, PROTOCOL_SUBMISSION, "user@localhost", SIM_PASSWORD, arena, &own, &result),
        ERR_OK);
    assert_int_equal(submit(sim, h, own.session, "user@localhost", &TO_VICTIM, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "user@localhost", &TO_MEMBER, 1), ERR_DENIED);
    assert_int_equal(submit(sim, h, 0, "user@localhost", &LOCAL, 1), ERR_OK);
    arena_free(arena);
    sim_stop(sim);
    *finished = true;
}

static void test_no_relay(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8;
         seed++) { /* the stop comes at some moment of the delivery's start: nothing of it is used after its end */
        struct sim sim;
        bool finished = false;
        sim_init(&sim, seed, NULL, ACCOUNTS, 2);
        sim.config.edges = 2;
        sim.config.relay = false;
        sim.override_edge = &hostile_edge;
        assert_true(sim_run(&sim, no_relay_story, &finished));
        assert_true(finished);
        disk_free(sim_fini(&sim));
    }
}

/* ---- doors ---- */

struct commit {
    struct hostile *h;
    struct account *door;
    unsigned *running, *begun;
    uint64_t number;
};

static void commit_one(void *arg) {
    struct commit *c = arg;
    struct arena *arena = arena_new("commit", 65536);
    uint8_t id[MESSAGE_ID_SIZE] = {1};
    memcpy(id + 1, &c->number, sizeof(c->number));
    struct deliver_commit_args args = {.id = view_of(id, sizeof(id)),
                                       .recipient = VIEW("anna@localhost"),
                                       .body = VIEW("Subject: in between\r\n\r\n")};
    struct deliver_commit_result result;
    (*c->begun)++;
    (void)!account_do_deliver_commit(c->door, &args, NULL, arena, &result);
    arena_free(arena);
    (*c->running)--;
    free(c);
}

static enum err door_channel(struct sim *sim, struct hostile *h, struct channel **out) {
    struct mailbox_request request = {.account = 2};
    struct nothing nothing;
    struct handle handles[CHANNEL_HANDLES_MAX] = {0};
    struct arena *arena = arena_new("door", 4096);
    enum err err = ask(h->env->supervisor, &message_mailbox_request, &request, arena, &nothing, handles, sim->loop);
    arena_free(arena);
    if (err == ERR_OK)
        *out = handles[0].channel;
    return err;
}

struct knocker {
    struct sim *sim;
    struct hostile *h;
    bool stop;
    unsigned running;
};

/* Each new door makes the mailbox look at those that have closed. */
static void knock(void *arg) {
    struct knocker *k = arg;
    struct channel *channel;
    while (!k->stop) {
        bool is_open = door_channel(k->sim, k->h, &channel) == ERR_OK;
        (void)!co_sleep((int64_t)random_below(&k->sim->random.random, 3));
        if (is_open)
            channel_free(channel);
    }
    k->running--;
}

#define DOOR_KNOCKERS 4
#define DOOR_ROUNDS 60
#define DOOR_COMMITS 8
#define DOORS_KEPT 40

/* Doors that close in the middle of deliveries, and more doors than anybody needs. */
static void slam_doors(struct sim *sim, struct hostile *h) {
    uint64_t number = 0;
    unsigned running = 0;
    struct channel *channel, *kept[DOORS_KEPT];
    struct knocker knocker = {.sim = sim, .h = h};
    for (unsigned i = 0; i < DOOR_KNOCKERS; i++, knocker.running++)
        assert_int_equal(co_spawn(sim->loop, NULL, "knocker", knock, &knocker, NULL), ERR_OK);
    for (unsigned round = 0; round < DOOR_ROUNDS; round++) {
        struct account *door;
        unsigned begun = 0;
        assert_int_equal(door_channel(sim, h, &channel), ERR_OK);
        assert_int_equal(account_new_channel(channel, "slammed", ROLE_CALL_US, &door), ERR_OK);
        for (unsigned i = 0; i < DOOR_COMMITS; i++) {
            struct commit *c = malloc(sizeof(*c));
            *c = (struct commit){h, door, &running, &begun, ++number};
            running++;
            assert_int_equal(co_spawn(sim->loop, NULL, "commit", commit_one, c, NULL), ERR_OK);
        }
        while (begun < DOOR_COMMITS)
            assert_int_equal(co_sleep(1), ERR_OK);
        for (uint64_t turns = random_below(&sim->random.random, 20); turns > 0; turns--)
            assert_int_equal(co_yield (), ERR_OK);
        account_free(door); /* calls over it fail with "again" */
        while (running)
            assert_int_equal(co_sleep(1), ERR_OK);
    }
    knocker.stop = true;
    while (knocker.running)
        assert_int_equal(co_sleep(1), ERR_OK);
    for (unsigned i = 0; i < DOORS_KEPT; i++) {
        assert_int_equal(door_channel(sim, h, &kept[i]), ERR_OK);
        assert_int_equal(channel_start(kept[i], "kept", NULL, 0, NULL, NULL), ERR_OK);
    }
    assert_int_equal(co_sleep(US_PER_S), ERR_OK);
    unsigned open = 0;
    for (unsigned i = 0; i < DOORS_KEPT; i++) {
        open += channel_is_open(kept[i]);
        channel_free(kept[i]);
    }
    assert_in_range(open, 1, 8);
}

/* ---- logins ---- */

/* Logins that are begun and never ended, as many as it can get: they end somewhere, and others still log in. */
static void hoard_logins(struct sim *sim, struct channel *directory) {
    struct auth_start start = {.user = VIEW("nobody"),
                               .client_nonce = VIEW("hostilenonce"),
                               .hash = SCRAM_SHA256,
                               .protocol = PROTOCOL_SUBMISSION};
    assert_int_equal(netaddr_parse(VIEW("127.0.0.1"), 1, &start.peer), ERR_OK);
    struct arena *arena = arena_new("hoard", 65536);
    enum err err = ERR_OK;
    unsigned n = 0;
    while (err == ERR_OK && n < 60000) {
        struct auth_challenge challenge;
        err = ask(directory, &message_auth_start, &start, arena, &challenge, NULL, sim->loop);
        arena_clear(arena);
        n += err == ERR_OK;
    }
    arena_free(arena);
    assert_int_equal(err, ERR_AGAIN);
    struct sim_client honest;
    assert_int_equal(sim_imap_login(sim, "anna@localhost", &honest), ERR_OK);
    sim_close(&honest);
}

/* ---- the story ---- */

static void story(struct sim *sim, void *arg) {
    bool *finished = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct hostile *h = hostile_of(sim);
    assert_non_null(h);
    while (!h->directory.channel)
        assert_int_equal(waitq_wait(&h->directory.arrived, US_NEVER), ERR_OK);
    struct channel *directory = h->directory.channel, *supervisor = h->env->supervisor;
    struct arena *arena = arena_new("hostile", 1 << 20);
    struct nothing nothing;
    struct handle handles[CHANNEL_HANDLES_MAX];
    struct auth_challenge challenge;
    struct auth_result result;

    /* No grant, no session: neither a guessed one, nor one that another edge was given. */
    struct session_claim claim = {.grant = VIEW("0123456789abcdef")};
    assert_int_equal(ask(supervisor, &message_session_claim, &claim, arena, &nothing, handles, sim->loop), ERR_DENIED);
    struct sim_client honest;
    assert_int_equal(sim_imap_login(sim, "anna@localhost", &honest), ERR_OK);

    /* A wrong proof is wrong; the session it was for is gone. */
    assert_int_equal(login(sim, directory, PROTOCOL_IMAP, "anna@localhost", "guess", arena, &challenge, &result),
                     ERR_DENIED);
    struct auth_proof again = {.session = challenge.session, .proof = VIEW("x")};
    assert_int_equal(ask(directory, &message_auth_proof, &again, arena, &result, NULL, sim->loop), ERR_DENIED);

    /* Its own user's right password gives a grant for that account, once. */
    assert_int_equal(login(sim, directory, PROTOCOL_IMAP, "user@localhost", SIM_PASSWORD, arena, &challenge, &result),
                     ERR_OK);
    assert_int_equal(result.account, 1);
    claim.grant = result.grant;
    assert_int_equal(ask(supervisor, &message_session_claim, &claim, arena, &nothing, handles, sim->loop), ERR_OK);
    assert_int_equal(handles[0].kind, HANDLE_CHANNEL);
    handle_close(&handles[0]);
    assert_int_equal(ask(supervisor, &message_session_claim, &claim, arena, &nothing, handles, sim->loop), ERR_DENIED);

    /* Sessions of others, by number: may not send, may not relay. */
    for (uint64_t other = challenge.session - 5; other < challenge.session + 5; other++) {
        struct sender_check check = {.session = other, .address = VIEW("anna@localhost")};
        assert_int_equal(ask(directory, &message_sender_check, &check, arena, &nothing, NULL, sim->loop),
                         ERR_NOT_FOUND);
        struct recipient_lookup lookup = {.session = other, .address = VIEW("victim@example.com")};
        struct recipient_result route;
        assert_int_equal(ask(directory, &message_recipient_lookup, &lookup, arena, &route, NULL, sim->loop),
                         ERR_NOT_FOUND);
    }
    /* Logged in for submission: as itself, not as another. */
    assert_int_equal(
        login(sim, directory, PROTOCOL_SUBMISSION, "user@localhost", SIM_PASSWORD, arena, &challenge, &result), ERR_OK);
    assert_int_equal(result.grant.n, 0);
    struct sender_check check = {.session = challenge.session, .address = VIEW("user@localhost")};
    assert_int_equal(ask(directory, &message_sender_check, &check, arena, &nothing, NULL, sim->loop), ERR_OK);
    check.address = VIEW("anna@localhost");
    assert_int_equal(ask(directory, &message_sender_check, &check, arena, &nothing, NULL, sim->loop), ERR_DENIED);
    sign_things(sim, directory, challenge.session, arena);

    /* No mailbox for an account that nobody announced. */
    struct mailbox_request request = {.account = 4711};
    assert_int_equal(ask(supervisor, &message_mailbox_request, &request, arena, &nothing, handles, sim->loop),
                     ERR_NOT_FOUND);

    /* A door delivers and cannot read, list, change or open a session. */
    request.account = 2;
    assert_int_equal(ask(supervisor, &message_mailbox_request, &request, arena, &nothing, handles, sim->loop), ERR_OK);
    struct account *door;
    assert_int_equal(account_new_channel(handles[0].channel, "door", ROLE_CALL_US, &door), ERR_OK);
    struct mailbox_list_args list = {0};
    struct mailbox_list_result listed;
    assert_int_equal(account_do_mailbox_list(door, &list, NULL, arena, &listed), ERR_DENIED);
    struct message_fetch_args fetch = {.mailbox = 1, .items = ITEM_FLAGS};
    struct message_fetch_result fetched;
    assert_int_equal(account_do_message_fetch(door, &fetch, NULL, arena, &fetched), ERR_DENIED);
    struct blob_read_args blob = {.blob = 1, .length = 1000};
    struct blob_read_result octets;
    assert_int_equal(account_do_blob_read(door, &blob, NULL, arena, &octets), ERR_DENIED);
    struct message_expunge_args expunge = {.mailbox = 1, .any = true};
    struct message_expunge_result expunged;
    assert_int_equal(account_do_message_expunge(door, &expunge, NULL, arena, &expunged), ERR_DENIED);
    struct mailbox_delete_args delete = {.id = 2};
    assert_int_equal(account_do_mailbox_delete(door, &delete, NULL, arena, &nothing), ERR_DENIED);
    struct deliver_check_args ok = {.recipient = VIEW("anna@localhost"), .size = 10};
    struct deliver_check_result verdict;
    assert_int_equal(account_do_deliver_check(door, &ok, NULL, arena, &verdict), ERR_OK);
    account_free(door);
    assert_int_equal(ask(supervisor, &message_mailbox_request, &request, arena, &nothing, handles, sim->loop), ERR_OK);
    struct channel *raw = handles[0].channel;
    assert_int_equal(channel_start(raw, "raw", NULL, 0, NULL, NULL), ERR_OK);
    struct session_open open = {.protocol = PROTOCOL_IMAP};
    assert_int_not_equal(ask(raw, &message_session_open, &open, arena, &nothing, NULL, sim->loop), ERR_OK);
    channel_free(raw);

    slam_doors(sim, h);

    hoard_logins(sim, directory);

    /* What only others may say: a grant of its own making breaks its channel, not the supervisor. */
    struct grant forged = {
        .id = VIEW("fedcba9876543210"), .account = 2, .edge = 1, .rights = ~0u, .expires_us = INT64_MAX};
    assert_int_not_equal(ask(supervisor, &message_grant, &forged, arena, &nothing, NULL, sim->loop), ERR_OK);

    /* Everybody else is well. */
    bool fine = false;
    assert_int_equal(sim_imap(&honest, "SELECT INBOX", NULL, &fine), ERR_OK);
    assert_true(fine);
    sim_close(&honest);
    arena_free(arena);
    sim_stop(sim);
    *finished = true;
}

static void test_hostile_edge(void **state) {
    (void)state;
    struct sim sim;
    bool finished = false;
    sim_init(&sim, 5, NULL, ACCOUNTS, 3);
    sim.config.edges = 2;
    sim.override_edge = &hostile_edge;
    assert_true(sim_run(&sim, story, &finished));
    assert_true(finished);
    disk_free(sim_fini(&sim));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile_edge), cmocka_unit_test(test_hostile_relay),
                                       cmocka_unit_test(test_no_relay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
