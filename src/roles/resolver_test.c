/*
 * The resolver role with the real libunbound on the machine's loop, asking a
 * small server of the test's own on loopback: answers, aliases, nothing there,
 * truncation to TCP, silence, and that none of it needs a call that confinement denies.
 */
#include "roles/role_testing.h"

#include "confine/confine.h"
#include "dns/name.h"
#include "dns/rdata.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKET_MAX 8192
#define TTL 300
#define CONFINED_UID 64124 /* nobody's */

/* ---- a DNS server ---- */

struct entry {
    const char *name;
    uint16_t type;
    const char *text; /* A: "1.2.3.4", MX: "10 name", TXT: text, CNAME: name, big TXT: "*2000" */
};
static const struct entry zone[] = {
    {"example.test", DNS_MX, "10 mx1.example.test"},
    {"example.test", DNS_MX, "20 mx2.example.test"},
    {"example.test", DNS_TXT, "v=spf1 -all"},
    {"mx1.example.test", DNS_A, "192.0.2.1"},
    {"mx1.example.test", DNS_AAAA, "2001:db8::1"},
    {"alias.example.test", DNS_CNAME, "mx1.example.test"},
    {"null.example.test", DNS_MX, "0 ."},
    {"big.example.test", DNS_TXT, "*2000"},
    {"unescaped.localhost", DNS_A, "127.0.0.1"},
};

struct server {
    struct loop *loop;
    int fd;
    struct watch *watch;
    struct listener *listener;
    uint16_t port;
    bool is_silent;
    unsigned udp, tcp;
    struct co_group *group;
};

static void put_name(struct buf *out, const char *name) {
    assert_int_equal(dns_name_to_wire(view_cstr(name), out), ERR_OK);
}

static void put_rdata(struct buf *out, const struct entry *e) {
    struct netaddr a;
    struct view text = view_cstr(e->text);
    switch (e->type) {
    case DNS_A:
    case DNS_AAAA:
        assert_int_equal(netaddr_parse(text, 0, &a), ERR_OK);
        buf_put(out, view_of(a.ip, a.family == 4 ? 4 : 16));
        break;
    case DNS_MX: {
        struct view preference, host;
        uint32_t n;
        assert_true(view_split(text, ' ', &preference, &host));
        assert_int_equal(view_to_u32(preference, 65535, &n), ERR_OK);
        buf_put_be16(out, (uint16_t)n);
        assert_int_equal(dns_name_to_wire(host, out), ERR_OK);
        break;
    }
    case DNS_TXT:
        for (uint32_t n = 0, all = 1;
             text.p[0] == '*' && view_to_u32(view_skip(text, 1), 5000, &all) == ERR_OK && n < all; n += 200) {
            buf_put_byte(out, 200);
            for (int i = 0; i < 200; i++)
                buf_put_byte(out, 'x');
        }
        if (text.p[0] != '*') {
            buf_put_byte(out, (uint8_t)text.n);
            buf_put(out, text);
        }
        break;
    default:
        put_name(out, e->text);
    }
}

static void put_answer(struct buf *out, const struct entry *e) {
    struct buf data;
    buf_init(&data, PACKET_MAX);
    put_rdata(&data, e);
    put_name(out, e->name);
    buf_put_be16(out, e->type);
    buf_put_be16(out, 1);
    buf_put_be32(out, TTL);
    buf_put_be16(out, (uint16_t)data.n);
    buf_put(out, buf_view(&data));
    buf_fini(&data);
}

/* RFC2308-3: how long it may be remembered that there is nothing. */
static void put_soa(struct buf *out) {
    put_name(out, "test");
    buf_put_be16(out, DNS_SOA);
    buf_put_be16(out, 1);
    buf_put_be32(out, TTL);
    buf_put_be16(out, 22);
    buf_put_be16(out, 0); /* two root names */
    for (int i = 0; i < 5; i++)
        buf_put_be32(out, TTL);
}

/* The response to a query, without the length of TCP. */
static void respond(struct view query, bool is_tcp, struct buf *out) {
    struct reader r = reader_of(query);
    struct buf name, answers;
    buf_init(&name, 255);
    buf_init(&answers, PACKET_MAX);
    uint16_t id = reader_be16(&r);
    (void)reader_take(&r, 10);
    assert_int_equal(dns_name_read(&r, &name), ERR_OK);
    uint16_t type = reader_be16(&r);
    (void)reader_be16(&r);
    struct view question = view_sub(query, 12, r.at - 12), wanted = buf_view(&name);
    uint16_t n = 0;
    bool exists = false;
    for (int turn = 0; turn < 2; turn++) {
        struct view next = wanted;
        for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
            if (!view_eq(view_cstr(zone[i].name), wanted))
                continue;
            exists = true;
            if (zone[i].type != type && zone[i].type != DNS_CNAME)
                continue;
            put_answer(&answers, &zone[i]);
            n++;
            if (zone[i].type == DNS_CNAME && type != DNS_CNAME)
                next = view_cstr(zone[i].text);
        }
        if (view_eq(next, wanted))
            break;
        wanted = next;
    }
    bool is_cut = !is_tcp && answers.n > 1000;
    buf_put_be16(out, id);
    buf_put_be16(out, (uint16_t)(0x8580u | (is_cut ? 0x0200u : 0) | (exists ? 0 : 3u)));
    buf_put_be16(out, 1);
    buf_put_be16(out, is_cut ? 0 : n);
    buf_put_be16(out, n == 0); /* authority */
    buf_put_be16(out, 0);
    buf_put(out, question);
    if (!is_cut)
        buf_put(out, buf_view(&answers));
    if (n == 0)
        put_soa(out);
    buf_fini(&name);
    buf_fini(&answers);
}

static void udp_body(void *arg) {
    struct server *server = arg;
    for (;;) {
        uint8_t query[PACKET_MAX];
        struct sockaddr_storage from;
        socklen_t from_n = sizeof(from);
        ssize_t n = recvfrom(server->fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_n);
        if (n < 0) {
            if (watch_wait(server->watch, WATCH_READ, US_NEVER) != ERR_OK)
                return;
            continue;
        }
        server->udp++;
        if (server->is_silent)
            continue;
        struct buf out;
        buf_init(&out, PACKET_MAX);
        respond(view_of(query, (size_t)n), false, &out);
        (void)!sendto(server->fd, out.p, out.n, 0, (struct sockaddr *)&from, from_n);
        buf_fini(&out);
    }
}

static void tcp_body(void *arg) {
    struct server *server = arg;
    struct stream *stream;
    while (listener_accept(server->listener, US_NEVER, &stream) == ERR_OK) {
        struct input input;
        input_init(&input, stream, PACKET_MAX);
        enum err err = ERR_OK;
        while (err == ERR_OK) {
            struct view in = input_pending(&input);
            size_t n = in.n >= 2 ? (size_t)(in.p[0] << 8 | in.p[1]) : 0;
            if (in.n < 2 || in.n < n + 2) {
                err = input_fill(&input, US_NEVER);
                continue;
            }
            server->tcp++;
            struct buf out, framed;
            buf_init(&out, PACKET_MAX);
            buf_init(&framed, PACKET_MAX + 2);
            respond(view_sub(in, 2, n), true, &out);
            buf_put_be16(&framed, (uint16_t)out.n);
            buf_put(&framed, buf_view(&out));
            err = stream_write(stream, buf_view(&framed), US_NEVER);
            buf_fini(&out);
            buf_fini(&framed);
            input_consume(&input, n + 2);
        }
        input_fini(&input);
        stream_free(stream);
    }
}

static void server_start(struct server *server, struct loop *loop, struct net *net) {
    server->loop = loop;
    server->listener = NULL;
    /* A port that is free for UDP may be somebody's for TCP. */
    for (int turn = 0; turn < 100 && server->listener == NULL; turn++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof(at);
        server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(server->fd >= 0);
        assert_int_equal(bind(server->fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &n), 0);
        server->port = ntohs(at.sin_port);
        struct netaddr local = {.family = 4, .ip = {127, 0, 0, 1}, .port = server->port};
        if (net_listen(net, &local, &server->listener) != ERR_OK)
            (void)close(server->fd);
    }
    assert_non_null(server->listener);
    assert_int_equal(watch_new(loop, server->fd, &server->watch), ERR_OK);
    server->group = co_group_new(loop);
    assert_int_equal(co_spawn(loop, server->group, "dns.udp", udp_body, server, NULL), ERR_OK);
    assert_int_equal(co_spawn(loop, server->group, "dns.tcp", tcp_body, server, NULL), ERR_OK);
}

static void server_stop(struct server *server) {
    co_group_end(server->group);
    watch_free(server->watch);
    (void)close(server->fd);
    listener_free(server->listener);
}

/* ---- the scenario ---- */

static void ask(struct channel *channel, struct loop *loop, const char *name, uint16_t type, int64_t within_us,
                struct arena *arena, struct dns_answer *answer) {
    struct dns_question question = {.name = view_cstr(name), .type = type};
    arena_clear(arena);
    assert_int_equal(channel_call(channel, &message_dns_lookup, &question, NULL, 0, loop_now_us(loop) + within_us,
                                  arena, answer, NULL),
                     ERR_OK);
}

static void check_answers(struct channel *channel, struct loop *loop, struct server *server) {
    struct arena *arena = arena_new("test", 1024 * 1024);
    struct dns_answer a;
    struct dns_mx mx;
    struct netaddr ip;
    struct view text;

    ask(channel, loop, "example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_OK);
    assert_int_equal(a.security, DNS_INSECURE);
    assert_int_equal(a.data_n, 2);
    unsigned preferences = 0;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(dns_rdata_mx(a.data[i].data, arena, &mx), ERR_OK);
        assert_true(view_eq(mx.exchange, mx.preference == 10 ? VIEW("mx1.example.test") : VIEW("mx2.example.test")));
        preferences += mx.preference;
    }
    assert_int_equal(preferences, 30);
    assert_true(a.ttl > 0 && a.ttl <= TTL);

    ask(channel, loop, "MX1.Example.TEST.", DNS_A, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_OK);
    assert_int_equal(dns_rdata_a(a.data[0].data, &ip), ERR_OK);
    assert_int_equal(ip.ip[3], 1);

    ask(channel, loop, "alias.example.test", DNS_AAAA, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_OK);
    assert_true(view_eq(a.canonical, VIEW("mx1.example.test")));
    assert_int_equal(dns_rdata_aaaa(a.data[0].data, &ip), ERR_OK);

    ask(channel, loop, "example.test", DNS_TXT, ROLE_CALL_US, arena, &a);
    assert_int_equal(dns_rdata_txt(a.data[0].data, arena, &text), ERR_OK);
    assert_true(view_eq(text, VIEW("v=spf1 -all")));

    ask(channel, loop, "nobody.example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_NXDOMAIN);
    ask(channel, loop, "mx2.example.test", DNS_A, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_NXDOMAIN);
    ask(channel, loop, "mx1.example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_NODATA);

    ask(channel, loop, "null.example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(dns_rdata_mx(a.data[0].data, arena, &mx), ERR_OK);
    assert_true(view_eq(mx.exchange, VIEW(".")));

    /* RFC7766-5: a truncated answer is asked for again over TCP. */
    assert_int_equal(server->tcp, 0);
    ask(channel, loop, "big.example.test", DNS_TXT, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_OK);
    assert_int_equal(dns_rdata_txt(a.data[0].data, arena, &text), ERR_OK);
    assert_int_equal(text.n, 2000);
    assert_int_equal(server->tcp, 1);

    /* What was asked comes from the cache. */
    unsigned asked = server->udp;
    ask(channel, loop, "example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.data_n, 2);
    assert_int_equal(server->udp, asked);

    /* RFC2308-5: so does what is not there. */
    ask(channel, loop, "nobody.example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_NXDOMAIN);
    ask(channel, loop, "mx1.example.test", DNS_MX, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_NODATA);
    assert_int_equal(server->udp, asked);

    /* A name below one that the library serves by itself goes to the server that was named. */
    ask(channel, loop, "unescaped.localhost", DNS_A, ROLE_CALL_US, arena, &a);
    assert_int_equal(a.status, DNS_OK);

    /* Not everything can be asked. */
    struct dns_question any = {.name = VIEW("example.test"), .type = 255}, bad = {.name = VIEW("a..b"), .type = DNS_A};
    assert_int_equal(
        channel_call(channel, &message_dns_lookup, &any, NULL, 0, loop_now_us(loop) + ROLE_CALL_US, arena, &a, NULL),
        ERR_DENIED);
    assert_int_equal(
        channel_call(channel, &message_dns_lookup, &bad, NULL, 0, loop_now_us(loop) + ROLE_CALL_US, arena, &a, NULL),
        ERR_SYNTAX);

    /* A server that says nothing: an answer within the asker's time all the same. */
    server->is_silent = true;
    ask(channel, loop, "late.example.test", DNS_A, 2 * US_PER_S, arena, &a);
    assert_int_equal(a.status, DNS_TEMPORARY);
    arena_free(arena);
}

struct trial {
    struct role_env *prepared; /* made before confinement */
};

static void scenario(struct stage *stage) {
    struct trial *trial = stage->ctx;
    struct server server = {0};
    struct net *net = net_new(stage->loop);
    struct lodger lodger = {.env = *trial->prepared};
    server_start(&server, stage->loop, net);
    struct role_configure config = {.hostname = VIEW("mail.test"),
                                    .dns = {.family = 4, .ip = {127, 0, 0, 1}, .port = server.port}};
    lodger_start(&lodger, stage, &role_resolver, config, NULL, 0, NULL);
    struct channel *channel = lodger_connect(&lodger, ROLE_COURIER, 0, NULL, 0, NULL);
    check_answers(channel, stage->loop, &server);
    lodger_stop(&lodger);
    channel_free(channel);
    server_stop(&server);
    net_free(net);
    *trial->prepared = lodger.env;
}

static void prepare(struct role_env *env) {
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(role_resolver.prepare(env, &why), ERR_OK);
    buf_fini(&why);
}

static void test_forward(void **state) {
    (void)state;
    struct role_env env = {0};
    struct trial trial = {&env};
    prepare(&env);
    stage_play(true, 1, scenario, &trial);
    role_resolver.unprepare(&env);
}

struct asker {
    struct channel *channel;
    enum err err;
    bool is_done;
};

static void asker_body(void *arg) {
    struct asker *asker = arg;
    struct dns_question question = {.name = VIEW("example.test"), .type = DNS_A};
    struct dns_answer a;
    struct arena *arena = arena_new("test", 65536);
    asker->err = channel_call(asker->channel, &message_dns_lookup_edge, &question, NULL, 0,
                              loop_now_us(co_loop(co_current())) + ROLE_CALL_US, arena, &a, NULL);
    arena_free(arena);
    asker->is_done = true;
}

/* A question that no answer comes to, and then the end: nothing is left behind (the sanitizer looks). */
static void scenario_leave(struct stage *stage) {
    struct trial *trial = stage->ctx;
    struct server server = {.is_silent = true};
    struct net *net = net_new(stage->loop);
    struct lodger lodger = {.env = *trial->prepared};
    server_start(&server, stage->loop, net);
    struct role_configure config = {.hostname = VIEW("mail.test"),
                                    .dns = {.family = 4, .ip = {127, 0, 0, 1}, .port = server.port}};
    lodger_start(&lodger, stage, &role_resolver, config, NULL, 0, NULL);
    struct channel *channel = lodger_connect(&lodger, ROLE_EDGE, 0, NULL, 0, NULL);
    struct asker asker = {.channel = channel};
    assert_int_equal(co_spawn(stage->loop, NULL, "asker", asker_body, &asker, NULL), ERR_OK);
    while (server.udp == 0)
        assert_int_equal(co_sleep(US_PER_MS), ERR_OK);
    lodger_stop(&lodger);
    while (!asker.is_done)
        assert_int_equal(co_sleep(US_PER_MS), ERR_OK);
    assert_int_equal(asker.err, ERR_AGAIN);
    channel_free(channel);
    server_stop(&server);
    net_free(net);
    *trial->prepared = lodger.env;
}

static void test_leave(void **state) {
    (void)state;
    struct role_env env = {0};
    struct trial trial = {&env};
    prepare(&env);
    stage_play(true, 1, scenario_leave, &trial);
    role_resolver.unprepare(&env);
}

/* ---- confined ---- */

struct confined {
    int channel_fd;
};

static void confined_body(void *arg) {
    struct role_env *env = arg;
    struct channel *supervisor;
    if (channel_new_fd(env->loop, *(int *)env->life, &supervisor) != ERR_OK)
        _exit(3);
    role_run(&role_resolver, env, supervisor);
    loop_stop(env->loop);
}

/* The child: what process_role.c does, for this one role. */
static void confined_child(int channel_fd, int root_fd) {
    struct role_env env = {.role = ROLE_RESOLVER, .random = random_system(), .life = &channel_fd};
    struct buf why;
    buf_init(&why, 1000);
    struct log_sink sink = {log_nothing, LOG_ERROR};
    log_init(&env.log, &sink, clock_system());
    (void)setenv("TZ", "UTC", 1);
    if (role_resolver.prepare(&env, &why) != ERR_OK)
        _exit(1);
    int keep[] = {channel_fd, root_fd};
    enum confine_level level = confine_level_detect();
    struct confine_params params = {.level = level,
                                    .uid = CONFINED_UID,
                                    .gid = CONFINED_UID,
                                    .root_fd = root_fd,
                                    .spool_fd = -1,
                                    .keep = keep,
                                    .keep_n = ARRAY_LEN(keep)};
    if (confine_apply(ROLE_RESOLVER, &params, &why) != ERR_OK) {
        (void)!write(2, why.p, why.n);
        _exit(2);
    }
    env.loop = loop_new(NULL);
    if (co_spawn(env.loop, NULL, "resolver", confined_body, &env, NULL) != ERR_OK)
        _exit(3);
    loop_run(env.loop);
    role_resolver.unprepare(&env);
    _exit(0);
}

static void scenario_confined(struct stage *stage) {
    struct confined *confined = stage->ctx;
    struct server server = {0};
    struct net *net = net_new(stage->loop);
    struct channel *supervisor, *near, *far;
    int fds[2];
    server_start(&server, stage->loop, net);
    struct role_configure config = {.role = ROLE_RESOLVER,
                                    .hostname = VIEW("mail.test"),
                                    .dns = {.family = 4, .ip = {127, 0, 0, 1}, .port = server.port}};
    struct nothing nothing;
    assert_int_equal(channel_new_fd(stage->loop, confined->channel_fd, &supervisor), ERR_OK);
    assert_int_equal(channel_start(supervisor, "resolver", NULL, 0, NULL, NULL), ERR_OK);
    assert_int_equal(channel_call(supervisor, &message_role_configure, &config, NULL, 0,
                                  loop_now_us(stage->loop) + ROLE_CALL_US, NULL, &nothing, NULL),
                     ERR_OK);
    assert_int_equal(channel_socketpair(fds), 0);
    assert_int_equal(channel_new_fd(stage->loop, fds[0], &near), ERR_OK);
    assert_int_equal(channel_new_fd(stage->loop, fds[1], &far), ERR_OK);
    assert_int_equal(channel_start(near, "resolver", NULL, 0, NULL, NULL), ERR_OK);
    struct channel_offer offer = {.peer = ROLE_COURIER, .purpose = CHANNEL_PEER};
    struct handle handle = HANDLE_OF_CHANNEL(far);
    assert_int_equal(channel_send(supervisor, &message_channel_offer, &offer, &handle, 1), ERR_OK);
    check_answers(near, stage->loop, &server);
    assert_int_equal(channel_send(supervisor, &message_role_stop, &nothing, NULL, 0), ERR_OK);
    assert_int_equal(co_sleep(50 * US_PER_MS), ERR_OK);
    channel_free(near);
    channel_free(supervisor);
    server_stop(&server);
    net_free(net);
}

/* The same answers from inside confinement, and not one call denied on the way. */
static void test_confined(void **state) {
    (void)state;
    char root[] = "/tmp/veredus-resolver-XXXXXX", said[4096];
    int fds[2], out[2], status;
    assert_non_null(mkdtemp(root));
    assert_int_equal(chmod(root, 0555), 0);
    int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root_fd >= 0);
    assert_int_equal(channel_socketpair(fds), 0);
    assert_int_equal(pipe(out), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(out[1], 2);
        confined_child(fds[1], root_fd);
    }
    (void)close(fds[1]);
    (void)close(out[1]);
    struct confined confined = {fds[0]};
    stage_play(true, 1, scenario_confined, &confined);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ssize_t n = read(out[0], said, sizeof(said) - 1);
    assert_true(n >= 0);
    said[n] = 0;
    assert_string_equal(said, "");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(out[0]);
    (void)close(root_fd);
    (void)rmdir(root);
}

static void scenario_anchor(struct stage *stage) {
    struct trial *trial = stage->ctx;
    struct buf why;
    struct role_configure config = {.trust_anchor = VIEW("; a comment\nexample.test. nonsense here\n")};
    struct role_env *env = trial->prepared;
    buf_init(&why, 1000);
    env->loop = stage->loop;
    env->config = &config;
    assert_int_equal(role_resolver.start(env, &why), ERR_PERMANENT);
    assert_true(view_find(buf_view(&why), VIEW("trust anchor")) >= 0);
    role_resolver.stop(env);
    buf_fini(&why);
}

static void test_bad_anchor(void **state) {
    (void)state;
    struct role_env env = {0};
    struct trial trial = {&env};
    prepare(&env);
    stage_play(true, 1, scenario_anchor, &trial);
    role_resolver.unprepare(&env);
}

/* From the root: the library takes all settings and the root's anchors. (Nothing is asked: tests stay on loopback.) */
static void scenario_root(struct stage *stage) {
    struct trial *trial = stage->ctx;
    struct lodger lodger = {.env = *trial->prepared};
    lodger_start(&lodger, stage, &role_resolver, (struct role_configure){.hostname = VIEW("mail.test")}, NULL, 0, NULL);
    lodger_stop(&lodger);
    *trial->prepared = lodger.env;
}

static void test_root(void **state) {
    (void)state;
    struct role_env env = {0};
    struct trial trial = {&env};
    prepare(&env);
    stage_play(true, 1, scenario_root, &trial);
    role_resolver.unprepare(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward), cmocka_unit_test(test_leave),      cmocka_unit_test(test_confined),
        cmocka_unit_test(test_root),    cmocka_unit_test(test_bad_anchor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
