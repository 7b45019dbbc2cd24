/* The simulated house: a spawner whose processes are coroutines, and a resolver that answers from nothing. */
#include "sim/sim.h"

#include "base/map.h"
#include "sasl/scram.h"
#include "store/sqlite/sqlite_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_STUCK_US (3600 * US_PER_S) /* of virtual time */

struct sim_role {
    struct sim *sim;
    struct role_env env;
    const struct role_def *def;
    struct random_seeded random;
    struct channel *channel; /* the role's end */
    uint64_t account;
    bool killed, done;
    void (*exited)(void *ctx, int status);
    void *ctx;
    struct sim_role *next;
};

/* ---- the resolver of a world without names ---- */

static enum err answer_nothing(void *ctx, struct call *call, void *reply,
                               struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)call;
    (void)reply_handles;
    struct dns_answer *answer = reply;
    answer->status = DNS_NXDOMAIN;
    return ERR_OK;
}
static const struct channel_handler resolver_handlers[] = {{&message_dns_lookup, answer_nothing},
                                                           {&message_dns_lookup_edge, answer_nothing}};

struct sim_resolver {
    struct channel *channels[16];
    size_t n;
};
static enum err resolver_start(struct role_env *env, struct buf *why) {
    (void)why;
    env->state = calloc(1, sizeof(struct sim_resolver));
    return env->state ? ERR_OK : ERR_NO_MEMORY;
}
static void resolver_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    (void)offer;
    struct sim_resolver *r = env->state;
    if (r->n == ARRAY_LEN(r->channels) ||
        channel_start(channel, "sim", resolver_handlers, ARRAY_LEN(resolver_handlers), r, env->group) != ERR_OK) {
        channel_free(channel);
        return;
    }
    r->channels[r->n++] = channel;
}
static void resolver_stop(struct role_env *env) {
    struct sim_resolver *r = env->state;
    for (size_t i = 0; i < r->n; i++)
        channel_free(r->channels[i]);
    free(r);
    env->state = NULL;
}
static const struct role_def sim_resolver = {
    .role = ROLE_RESOLVER, .start = resolver_start, .offer = resolver_offer, .stop = resolver_stop};

/* ---- processes that are coroutines ---- */

static void ensure_dir(struct disk *disk, const char *path, const char *parent) {
    enum err err = disk_mkdir(disk, path);
    if (err == ERR_OK)
        err = disk_sync_dir(disk, parent);
    if (err != ERR_OK && err != ERR_EXISTS)
        fprintf(stderr, "sim: mkdir %s: %s\n", path, err_name(err));
}

static struct disk *role_disk(struct sim *sim, const struct spawn_request *request) {
    char path[64] = "";
    if (request->role == ROLE_MAILBOX) {
        char name[ACCOUNT_DIRECTORY_NAME_SIZE];
        account_directory_name(request->account, name);
        ensure_dir(sim->disk, "accounts", ".");
        (void)snprintf(path, sizeof(path), "accounts/%s", name);
        ensure_dir(sim->disk, path, "accounts");
    } else if (request->role == ROLE_DIRECTORY || request->role == ROLE_QUEUE) {
        (void)snprintf(path, sizeof(path), "%s", role_name(request->role));
        ensure_dir(sim->disk, path, ".");
    } else if (request->role == ROLE_EDGE) {
        (void)snprintf(path, sizeof(path), "spool");
        ensure_dir(sim->disk, path, ".");
    } else {
        return NULL;
    }
    struct disk *out;
    return disk_sub(sim->disk, path, &out) == ERR_OK ? out : NULL;
}

static void sim_role_body(void *arg) {
    struct sim_role *role = arg;
    struct sim *sim = role->sim;
    if (!role->killed)
        role_run(role->def, &role->env, role->channel);
    else
        channel_free(role->channel);
    if (role->def->unprepare)
        role->def->unprepare(&role->env);
    if (role->env.disk)
        disk_free(role->env.disk);
    for (struct sim_role **at = &sim->roles; *at; at = &(*at)->next)
        if (*at == role) {
            *at = role->next;
            break;
        }
    role->done = true;
    if (role->exited)
        role->exited(role->ctx, role->killed ? -9 : 0);
    free(role);
}

static enum err sim_spawn(struct spawner *spawner, const struct spawn_request *request, struct channel **channel,
                          struct spawned **out) {
    struct sim *sim = (struct sim *)((uint8_t *)spawner - offsetof(struct sim, spawner));
    struct sim_role *role = calloc(1, sizeof(*role));
    role->sim = sim;
    role->account = request->account;
    role->def = request->role == ROLE_RESOLVER ? &sim_resolver : role_defs[request->role];
    if (request->role == ROLE_EDGE && request->index == 1 && sim->override_edge)
        role->def = sim->override_edge;
    random_seeded_init(&role->random, random_u64(&sim->random.random));
    role->env = (struct role_env){
        .role = request->role,
        .index = request->index,
        .loop = sim->loop,
        .random = &role->random.random,
        .disk = role_disk(sim, request),
        .net = sim->net,
        .simulated = true,
    };
    log_child(&role->env.log, &sim->log, LF_TEXT("role", role_name(request->role)));
    struct buf why;
    buf_init(&why, 1000);
    enum err err = role->def->prepare ? role->def->prepare(&role->env, &why) : ERR_OK;
    buf_fini(&why);
    struct channel *mine;
    if (err == ERR_OK)
        err = channel_new_pair(sim->loop, &mine, &role->channel);
    if (err == ERR_OK)
        err = co_spawn(sim->loop, NULL, role_name(request->role), sim_role_body, role, NULL);
    if (err != ERR_OK) {
        free(role);
        return err;
    }
    role->next = sim->roles;
    sim->roles = role;
    *channel = mine;
    *out = (struct spawned *)role;
    return ERR_OK;
}

/* As SIGKILL: nothing it does from now on reaches the disk, and everybody sees its channels break. What unwinds is only memory. */
static void role_kill(struct sim_role *role) {
    if (role->killed || role->done)
        return;
    role->killed = true;
    if (role->env.disk)
        disk_sim_dead(role->env.disk, true);
    if (role->env.life)
        role_leave(&role->env);
}

static void sim_spawner_kill(struct spawner *spawner, struct spawned *spawned) {
    (void)spawner;
    role_kill((struct sim_role *)spawned);
}

static void sim_on_exit(struct spawner *spawner, struct spawned *spawned, void (*exited)(void *ctx, int status),
                        void *ctx) {
    (void)spawner;
    struct sim_role *role = (struct sim_role *)spawned;
    role->exited = exited;
    role->ctx = ctx;
}

static void sim_mailbox_crashed(struct spawner *spawner) {
    (void)spawner; /* there is no template */
}

static enum err sim_pair(struct spawner *spawner, struct channel **a, struct channel **b) {
    struct sim *sim = (struct sim *)((uint8_t *)spawner - offsetof(struct sim, spawner));
    return channel_new_pair(sim->loop, a, b);
}

static enum err sim_listener(struct spawner *spawner, size_t index, uint32_t edge, struct listener **out) {
    struct sim *sim = (struct sim *)((uint8_t *)spawner - offsetof(struct sim, spawner));
    if (edge != 0) /* one simulated address has one listener */
        return ERR_EXISTS;
    return net_listen(sim->net, &sim->config.listeners[index].address, out);
}

bool sim_kill(struct sim *sim, enum role role, uint64_t account) {
    for (struct sim_role *r = sim->roles; r; r = r->next)
        if (r->env.role == role && !r->killed && (account == 0 || r->account == account)) {
            role_kill(r);
            sim->kills++;
            return true;
        }
    return false;
}

struct role_env *sim_role_env(struct sim *sim, enum role role, uint32_t index) {
    for (struct sim_role *r = sim->roles; r; r = r->next)
        if (r->env.role == role && r->env.index == index && !r->killed)
            return &r->env;
    return NULL;
}

void sim_kill_any(struct sim *sim) {
    struct sim_role *alive[64];
    size_t n = 0;
    for (struct sim_role *r = sim->roles; r && n < ARRAY_LEN(alive); r = r->next)
        if (!r->killed)
            alive[n++] = r;
    if (n) {
        struct sim_role *victim = alive[random_below(&sim->random.random, n)];
        if (sim->verbose)
            fprintf(stderr, "sim: %lld kill %s\n", (long long)loop_now_us(sim->loop), role_name(victim->env.role));
        role_kill(victim);
        sim->kills++;
    }
}

/* ---- the house ---- */

static void sink_write(struct log_sink *sink, enum log_level level, struct view line) {
    struct sim *sim = (struct sim *)((uint8_t *)sink - offsetof(struct sim, sink));
    uint8_t key[16] = {0};
    memcpy(key, &sim->story, sizeof(sim->story));
    sim->story = siphash(key, line);
    if (sim->verbose || (level >= LOG_ERROR && !sim->quiet))
        fprintf(stderr, "%.*s\n", VIEW_FMT(line));
}

static void add_listener(struct sim *sim, uint16_t port, enum config_protocol protocol, bool tls) {
    struct config_listener *l = &sim->config.listeners[sim->config.listeners_n++];
    *l = (struct config_listener){.protocol = protocol, .implicit_tls = tls};
    if (netaddr_parse(VIEW("127.0.0.1"), port, &l->address) != ERR_OK)
        abort();
}

static void add_seed(struct sim *sim, const char *address) {
    uint8_t *salt = arena_alloc(sim->arena, SCRAM_SALT_SIZE);
    struct scram_keys *keys = ARENA_NEW(sim->arena, struct scram_keys);
    struct scram_verifier *verifier = ARENA_NEW(sim->arena, struct scram_verifier);
    const uint32_t iterations = 16; /* the proof is the same, the test is faster */
    if (scram_make_keys(SCRAM_SHA256, VIEW(SIM_PASSWORD), view_of(salt, SCRAM_SALT_SIZE), iterations, keys) != ERR_OK)
        abort();
    *verifier = (struct scram_verifier){.mechanism = SCRAM_SHA256,
                                        .iterations = iterations,
                                        .salt = view_of(salt, SCRAM_SALT_SIZE),
                                        .stored_key = view_of(keys->stored_key, 32),
                                        .server_key = view_of(keys->server_key, 32)};
    sim->seeds[sim->seeds_n++] =
        (struct seed_account){.address = view_cstr(address), .verifiers = verifier, .verifiers_n = 1};
}

void sim_init(struct sim *sim, uint64_t seed, struct disk *disk, const char *const *accounts, size_t n) {
    memset(sim, 0, sizeof(*sim));
    sim->seed = seed;
    sim->verbose = getenv("SIM_VERBOSE") != NULL;
    sim->arena = arena_new("sim", 4 << 20);
    virtual_clock_init(&sim->clock, SIM_WALL_US);
    random_seeded_init(&sim->random, seed);
    sim->sink = (struct log_sink){.write = sink_write, .least = LOG_DEBUG};
    log_init(&sim->log, &sim->sink, &sim->clock.clock);
    sim->loop = loop_new_virtual(&sim->clock, &sim->random.random, &sim->log);
    sim->disk = disk ? disk : disk_sim_new();
    sim->net = net_new_sim(sim->loop, &sim->random.random);
    config_defaults(&sim->config);
    sim->config.hostname = VIEW("localhost");
    sim->config.localserve = true;
    sim->config.dns = (struct netaddr){.family = 4, .ip = {127, 0, 0, 1}, .port = 53}; /* so that mail is checked */
    sim->config.edges = 1;
    sim->config.listeners_n = 0;
    add_listener(sim, SIM_SMTP_PORT, CONFIG_SMTP, false);
    add_listener(sim, SIM_SUBMISSIONS_PORT, CONFIG_SUBMISSION, true);
    add_listener(sim, SIM_IMAPS_PORT, CONFIG_IMAP, true);
    sim->spawner =
        (struct spawner){sim_spawn, sim_spawner_kill, sim_on_exit, sim_mailbox_crashed, sim_pair, sim_listener};
    sim->seeds = ARENA_ARRAY(sim->arena, n, struct seed_account);
    for (size_t i = 0; i < n; i++)
        add_seed(sim, accounts[i]);
    if (!sim->loop || !sim->net || tls_library_new(&sim->library) != ERR_OK ||
        tls_client_new(sim->library, &sim->tls) != ERR_OK)
        abort();
}

enum err sim_start(struct sim *sim) {
    struct supervisor_params params = {
        .loop = sim->loop,
        .random = &sim->random.random,
        .log = &sim->log,
        .config = &sim->config,
        .spawner = &sim->spawner,
        .seeds = sim->seeds,
        .seeds_n = sim->seeds_n,
    };
    TRY(supervisor_new(&params, &sim->supervisor));
    struct buf why;
    buf_init(&why, 1000);
    enum err err = supervisor_start(sim->supervisor, &why);
    if (err != ERR_OK)
        fprintf(stderr, "sim: start: %s: %.*s\n", err_name(err), VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    return err;
}

void sim_stop(struct sim *sim) {
    if (!sim->supervisor)
        return;
    supervisor_stop(sim->supervisor, 20 * US_PER_S);
    supervisor_free(sim->supervisor);
    sim->supervisor = NULL;
}

struct disk *sim_fini(struct sim *sim) {
    tls_client_free(sim->tls);
    tls_library_free(sim->library);
    net_free(sim->net);
    loop_free(sim->loop);
    arena_free(sim->arena);
    return sim->disk;
}

struct sim_story {
    struct sim *sim;
    void (*body)(struct sim *sim, void *arg);
    void *arg;
    bool done;
};
static void story_body(void *arg) {
    struct sim_story *story = arg;
    story->body(story->sim, story->arg);
    story->done = true;
}
static bool story_done(void *ctx) {
    return ((struct sim_story *)ctx)->done;
}
bool sim_run(struct sim *sim, void (*body)(struct sim *sim, void *arg), void *arg) {
    struct sim_story story = {.sim = sim, .body = body, .arg = arg};
    if (co_spawn(sim->loop, NULL, "story", story_body, &story, NULL) != ERR_OK)
        return false;
    bool finished = loop_run_until(sim->loop, story_done, &story, sim->clock.mono_us + SIM_STUCK_US);
    if (!finished)
        fprintf(stderr, "sim: stuck; seed %llu\n", (unsigned long long)sim->seed);
    else
        loop_run(sim->loop); /* what is still unwinding */
    return finished;
}

/* ---- clients ---- */

enum err sim_connect(struct sim *sim, uint16_t port, bool tls, struct sim_client *client) {
    struct netaddr address;
    TRY(netaddr_parse(VIEW("127.0.0.1"), port, &address));
    struct stream *stream;
    int64_t deadline_us = loop_now_us(sim->loop) + 30 * US_PER_S;
    TRY(net_connect(sim->net, &address, NULL, deadline_us, &stream));
    if (tls) {
        struct stream *secure;
        struct tls_facts facts;
        enum err err = tls_connect(sim->tls, stream, "localhost", NULL, deadline_us, &secure, &facts);
        if (err != ERR_OK) {
            stream_free(stream);
            return err;
        }
        stream = secure;
    }
    *client = (struct sim_client){.sim = sim, .stream = stream};
    input_init(&client->input, stream, 1 << 20);
    return ERR_OK;
}

void sim_close(struct sim_client *client) {
    if (!client->stream)
        return;
    stream_shutdown(client->stream);
    input_fini(&client->input);
    stream_free(client->stream);
    client->stream = NULL;
}

enum err sim_read_line(struct sim_client *client, struct view *line) {
    for (;;) {
        struct view pending = input_pending(&client->input);
        ssize_t at = view_find(pending, VIEW("\r\n"));
        if (at >= 0) {
            *line = view_sub(pending, 0, (size_t)at);
            input_consume(&client->input, (size_t)at + 2);
            return ERR_OK;
        }
        TRY(input_fill(&client->input, loop_now_us(client->sim->loop) + 120 * US_PER_S));
    }
}

enum err sim_write(struct sim_client *client, struct view v) {
    return stream_write(client->stream, v, loop_now_us(client->sim->loop) + 60 * US_PER_S);
}

enum err sim_smtp(struct sim_client *client, const char *command, unsigned *code) {
    if (command) {
        TRY(sim_write(client, view_cstr(command)));
        TRY(sim_write(client, VIEW("\r\n")));
    }
    for (;;) {
        struct view line;
        TRY(sim_read_line(client, &line));
        uint32_t number;
        TRY(view_to_u32(view_sub(line, 0, 3), 999, &number));
        *code = number;
        if (line.n < 4 || line.p[3] != '-')
            return ERR_OK;
    }
}

enum err sim_smtp_open(struct sim *sim, struct sim_client *client) {
    unsigned code = 0;
    TRY(sim_connect(sim, SIM_SMTP_PORT, false, client));
    enum err err = sim_smtp(client, NULL, &code);
    if (err == ERR_OK && code == 220)
        err = sim_smtp(client, "EHLO client.example.net", &code);
    if (err == ERR_OK && code != 250)
        err = ERR_TEMPORARY;
    if (err != ERR_OK)
        sim_close(client);
    return err;
}

enum err sim_smtp_send(struct sim_client *client, const char *from, const char *const *to, size_t n,
                       struct view message, unsigned *code) {
    char line[500];
    (void)snprintf(line, sizeof(line), "MAIL FROM:<%s>", from);
    TRY(sim_smtp(client, line, code));
    if (*code != 250)
        return ERR_OK;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(line, sizeof(line), "RCPT TO:<%s>", to[i]);
        TRY(sim_smtp(client, line, code));
        if (*code != 250)
            return sim_smtp(client, "RSET", &(unsigned){0});
    }
    TRY(sim_smtp(client, "DATA", code));
    if (*code != 354)
        return ERR_OK;
    TRY(sim_write(client, message));
    return sim_smtp(client, "\r\n.", code);
}

enum err sim_imap(struct sim_client *client, const char *command, struct buf *out, bool *ok) {
    if (command) {
        TRY(sim_write(client, VIEW("x ")));
        TRY(sim_write(client, view_cstr(command)));
        TRY(sim_write(client, VIEW("\r\n")));
    }
    for (;;) {
        struct view line;
        TRY(sim_read_line(client, &line));
        if (out) {
            buf_put(out, line);
            buf_put_byte(out, '\n');
        }
        if (!command || view_starts(line, VIEW("x "))) {
            *ok = view_starts(line, command ? VIEW("x OK") : VIEW("* OK"));
            return ERR_OK;
        }
    }
}

enum err sim_imap_login(struct sim *sim, const char *user, struct sim_client *client) {
    TRY(sim_connect(sim, SIM_IMAPS_PORT, true, client));
    bool ok = false;
    char line[400];
    (void)snprintf(line, sizeof(line), "LOGIN %s %s", user, SIM_PASSWORD);
    enum err err = sim_imap(client, NULL, NULL, &ok);
    if (err == ERR_OK && ok)
        err = sim_imap(client, line, NULL, &ok);
    if (err == ERR_OK && !ok)
        err = ERR_DENIED;
    if (err != ERR_OK)
        sim_close(client);
    return err;
}

/* ---- judging ---- */

static int count_in(struct account *account, struct view needle) {
    struct arena *arena = arena_new("judge", 64 << 20);
    struct mailbox_list_args list_args = {0};
    struct mailbox_list_result list;
    int count = 0;
    if (account_do_mailbox_list(account, &list_args, NULL, arena, &list) != ERR_OK)
        count = -1;
    for (uint32_t i = 0; count >= 0 && i < list.mailboxes_n; i++) {
        struct message_fetch_args args = {
            .mailbox = list.mailboxes[i].id, .items = ITEM_IDS | ITEM_SIZE, .from_uid = 1};
        do {
            struct message_fetch_result result;
            if (account_do_message_fetch(account, &args, NULL, arena, &result) != ERR_OK) {
                count = -1;
                break;
            }
            for (uint32_t j = 0; j < result.messages_n; j++) {
                struct blob_read_args read = {.blob = result.messages[j].blob, .length = ACCOUNT_READ_MAX};
                struct blob_read_result bytes;
                if (account_do_blob_read(account, &read, NULL, arena, &bytes) != ERR_OK) {
                    count = -1;
                    break;
                }
                count += view_find(bytes.bytes, needle) >= 0;
            }
            args.from_uid = result.next_uid;
        } while (count >= 0 && args.from_uid);
    }
    arena_free(arena);
    return count;
}

int sim_count_messages(struct disk *disk, uint64_t number, struct view needle) {
    char name[ACCOUNT_DIRECTORY_NAME_SIZE], path[64];
    account_directory_name(number, name);
    (void)snprintf(path, sizeof(path), "accounts/%s", name);
    struct disk *sub;
    bool there = false;
    if (disk_exists(disk, path, &there) != ERR_OK || !there || disk_sub(disk, path, &sub) != ERR_OK)
        return 0;
    struct virtual_clock clock;
    virtual_clock_init(&clock, SIM_WALL_US);
    struct random_seeded random;
    random_seeded_init(&random, 7);
    struct log log;
    log_init(&log, log_sink_null(), &clock.clock);
    struct sqlite_account_params params = {
        .disk = sub, .clock = &clock.clock, .random = &random.random, .log = &log, .size_max = 50 << 20};
    struct account *account;
    int count = -1;
    enum err err = sqlite_account_open(&params, &account);
    if (err == ERR_OK) {
        struct buf problems;
        buf_init(&problems, 10000);
        unsigned bad = 0;
        err = sqlite_account_verify(account, &problems, &bad);
        if (err == ERR_OK && bad == 0)
            count = count_in(account, needle);
        else
            fprintf(stderr, "sim: account %llu does not verify: %s\n%.*s\n", (unsigned long long)number, err_name(err),
                    VIEW_FMT(buf_view(&problems)));
        buf_fini(&problems);
        account_free(account);
    } else {
        fprintf(stderr, "sim: account %llu cannot be opened: %s\n", (unsigned long long)number, err_name(err));
    }
    disk_free(sub);
    return count;
}
