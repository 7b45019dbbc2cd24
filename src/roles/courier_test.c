/*
 * The courier role on a simulated network: a table instead of the resolver, and
 * small SMTP servers that do what their script says.
 */
#include "roles/courier.h"
#include "roles/role_testing.h"

#include "dns/name.h"
#include "loop/net_sim.h"

#define PORT 2525
#define BODY "Subject: hi\r\n\r\nHello\r\n"
#define SERVERS_MAX 4

/* ---- names ---- */

struct entry {
    const char *name;
    uint16_t type;
    int preference; /* MX; else -1 */
    const char *text;
    enum dns_status status;
};

static const struct entry zone[] = {
    {"one.test", DNS_MX, 10, "mx1.test", DNS_OK},      {"two.test", DNS_MX, 20, "mx1.test", DNS_OK},
    {"two.test", DNS_MX, 10, "mx2.test", DNS_OK},      {"null.test", DNS_MX, 0, ".", DNS_OK},
    {"implicit.test", DNS_A, -1, "192.0.2.1", DNS_OK}, {"implicit.test", DNS_MX, -1, NULL, DNS_NODATA},
    {"bare.test", DNS_MX, -1, NULL, DNS_NODATA},       {"bare.test", DNS_A, -1, NULL, DNS_NODATA},
    {"bare.test", DNS_AAAA, -1, NULL, DNS_NODATA},     {"silent.test", DNS_MX, -1, NULL, DNS_TEMPORARY},
    {"lost.test", DNS_MX, 10, "gone.test", DNS_OK},    {"gone.test", DNS_A, -1, NULL, DNS_TEMPORARY},
    {"own.test", DNS_MX, 10, "mail.own.test", DNS_OK}, {"own.test", DNS_MX, 20, "mx1.test", DNS_OK},
    {"backup.test", DNS_MX, 10, "mx1.test", DNS_OK},   {"backup.test", DNS_MX, 20, "mail.own.test", DNS_OK},
    {"local.test", DNS_MX, 10, "loop.test", DNS_OK},   {"loop.test", DNS_A, -1, "127.0.0.1", DNS_OK},
    {"private.test", DNS_MX, 10, "ten.test", DNS_OK},  {"ten.test", DNS_A, -1, "10.1.2.3", DNS_OK},
    {"mx1.test", DNS_A, -1, "192.0.2.1", DNS_OK},      {"mx2.test", DNS_A, -1, "192.0.2.2", DNS_OK},
};

static enum err answer_dns(void *ctx, struct call *call, void *reply,
                           struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)reply_handles;
    const struct dns_question *question = call->request;
    struct dns_answer *answer = reply;
    bool exists = false, has_type = false;
    answer->canonical = question->name;
    answer->data = ARENA_ARRAY(call->arena, ARRAY_LEN(zone), struct dns_rdata);
    for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
        if (!view_eq(view_cstr(zone[i].name), question->name))
            continue;
        exists = true;
        if (zone[i].type != question->type)
            continue;
        has_type = true;
        answer->status = (uint8_t)zone[i].status;
        if (zone[i].status != DNS_OK)
            continue;
        struct buf data;
        struct netaddr a;
        buf_init(&data, 300);
        if (zone[i].preference >= 0) {
            buf_put_be16(&data, (uint16_t)zone[i].preference);
            assert_int_equal(dns_name_to_wire(view_cstr(zone[i].text), &data), ERR_OK);
        } else {
            assert_int_equal(netaddr_parse(view_cstr(zone[i].text), 0, &a), ERR_OK);
            buf_put(&data, view_of(a.ip, a.family == 4 ? 4 : 16));
        }
        assert_int_equal(arena_view(call->arena, buf_view(&data), &answer->data[answer->data_n++].data), ERR_OK);
        buf_fini(&data);
    }
    if (!has_type)
        answer->status = exists ? DNS_NODATA : DNS_NXDOMAIN;
    return ERR_OK;
}
static const struct channel_handler dns_handlers[] = {{&message_dns_lookup, answer_dns}};

/* ---- SMTP servers ---- */

struct script {
    const char *ip;
    const char *greeting;  /* NULL: accepts and says nothing; "": closes at once */
    bool starttls;         /* offered; what follows is no TLS */
    const char *rcpt[3];   /* NULL: 250 */
    const char *after_dot; /* NULL: 250; "": closes */
};

struct server {
    struct stage *stage;
    struct script script;
    struct listener *listener;
    struct co_group *group;
    unsigned connections;
    struct buf data; /* of the last message */
};

static void say(struct stream *stream, const char *text) {
    (void)!stream_write(stream, view_cstr(text), US_NEVER);
    (void)!stream_write(stream, VIEW("\r\n"), US_NEVER);
}

static bool read_line(struct input *input, struct buf *line) {
    for (;;) {
        ssize_t end = view_find(input_pending(input), VIEW("\r\n"));
        if (end >= 0) {
            buf_clear(line);
            buf_put(line, view_sub(input_pending(input), 0, (size_t)end));
            input_consume(input, (size_t)end + 2);
            return true;
        }
        if (input_fill(input, US_NEVER) != ERR_OK)
            return false;
    }
}

static void serve(struct server *server, struct stream *stream) {
    const struct script *script = &server->script;
    struct input input;
    struct buf line;
    unsigned rcpt = 0;
    bool is_open = true;
    if (!script->greeting) {
        uint8_t octet;
        size_t got;
        (void)!stream_read(stream, &octet, 1, US_NEVER, &got);
        return;
    }
    if (script->greeting[0] == 0)
        return;
    input_init(&input, stream, 65536);
    buf_init(&line, 65536);
    say(stream, script->greeting);
    while (is_open && read_line(&input, &line)) {
        struct view v = buf_view(&line);
        if (view_starts(v, VIEW("EHLO"))) {
            say(stream, script->starttls ? "250-hi\r\n250 STARTTLS" : "250 hi");
        } else if (view_starts(v, VIEW("STARTTLS"))) {
            say(stream, "220 go");
            (void)!input_fill(&input, US_NEVER);
            say(stream, "this is no TLS at all, whatever was promised");
            is_open = false;
        } else if (view_starts(v, VIEW("RCPT"))) {
            const char *reply = rcpt < ARRAY_LEN(script->rcpt) ? script->rcpt[rcpt] : NULL;
            rcpt++;
            say(stream, reply ? reply : "250 2.1.5 fine");
        } else if (view_eq(v, VIEW("DATA"))) {
            say(stream, "354 go on");
            buf_clear(&server->data);
            while (read_line(&input, &line) && !view_eq(buf_view(&line), VIEW("."))) {
                buf_put(&server->data, buf_view(&line));
                buf_put(&server->data, VIEW("\r\n"));
            }
            is_open = !script->after_dot || script->after_dot[0];
            if (is_open)
                say(stream, script->after_dot ? script->after_dot : "250 2.0.0 taken");
        } else if (view_eq(v, VIEW("QUIT"))) {
            say(stream, "221 bye");
            is_open = false;
        } else {
            say(stream, "250 ok");
        }
    }
    input_fini(&input);
    buf_fini(&line);
}

static void server_body(void *arg) {
    struct server *server = arg;
    struct stream *stream;
    while (listener_accept(server->listener, US_NEVER, &stream) == ERR_OK) {
        server->connections++;
        serve(server, stream);
        stream_free(stream);
    }
}

/* ---- cases ---- */

struct expected {
    uint16_t reply;
    const char *status, *host;
};

struct trial {
    const char *title;
    const char *domain;
    bool localserve;
    const char *hostname; /* NULL: mail.own.test */
    struct script servers[SERVERS_MAX];
    uint32_t recipients;         /* 0: one */
    struct expected expected[3]; /* reply 0: as the one before */
    unsigned connections[SERVERS_MAX];
    bool has_delivered; /* the body arrived somewhere */
};

#define HI "220 hi ESMTP"
static const struct trial trials[] = {
    {"to the exchanger", "one.test", .servers = {{.ip = "192.0.2.1", .greeting = HI}},
     .expected = {{250, "2.0.0", "mx1.test"}}, .connections = {1}, .has_delivered = true},
    {"the best exchanger first", "two.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI}, {.ip = "192.0.2.2", .greeting = HI}},
     .expected = {{250, "2.0.0", "mx2.test"}}, .connections = {0, 1}, .has_delivered = true},
    {"the next one when it refuses connections", "two.test", .servers = {{.ip = "192.0.2.1", .greeting = HI}},
     .expected = {{250, "2.0.0", "mx1.test"}}, .connections = {1}, .has_delivered = true},
    {"the next one when it closes at once", "two.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI}, {.ip = "192.0.2.2", .greeting = ""}},
     .expected = {{250, "2.0.0", "mx1.test"}}, .connections = {1, 1}, .has_delivered = true},
    {"the next one when it is silent", "two.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI}, {.ip = "192.0.2.2", .greeting = NULL}},
     .expected = {{250, "2.0.0", "mx1.test"}}, .connections = {1, 1}, .has_delivered = true},
    {"the next one when it has no time", "two.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI}, {.ip = "192.0.2.2", .greeting = "421 4.3.2 later"}},
     .expected = {{250, "2.0.0", "mx1.test"}}, .connections = {1, 1}, .has_delivered = true},
    {"a refusal is final", "two.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI}, {.ip = "192.0.2.2", .greeting = HI, .rcpt = {"550 5.1.1 who?"}}},
     .expected = {{550, "5.1.1", "mx2.test"}}, .connections = {0, 1}},
    {"each recipient has its own", "one.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI, .rcpt = {NULL, "550 5.1.1 who?", "450 4.2.1 later"}}},
     .recipients = 3, .expected = {{250, "2.0.0", "mx1.test"}, {550, "5.1.1", "mx1.test"}, {450, "4.2.1", "mx1.test"}},
     .connections = {1}, .has_delivered = true},
    {"nobody answers", "one.test", .expected = {{451, "4.4.1", "mx1.test"}}},
    {"lost after the dot: not to the next one", "two.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI}, {.ip = "192.0.2.2", .greeting = HI, .after_dot = ""}},
     .expected = {{451, "4.4.1", "mx2.test"}}, .connections = {0, 1}, .has_delivered = true},
    {"TLS that fails: once more without", "one.test",
     .servers = {{.ip = "192.0.2.1", .greeting = HI, .starttls = true}}, .expected = {{250, "2.0.0", "mx1.test"}},
     .connections = {2}, .has_delivered = true},
    /* RFC5321-5.1 */
    {"no MX: the domain's address", "implicit.test", .servers = {{.ip = "192.0.2.1", .greeting = HI}},
     .expected = {{250, "2.0.0", "implicit.test"}}, .connections = {1}, .has_delivered = true},
    {"neither MX nor address", "bare.test", .expected = {{550, "5.4.4", "bare.test"}}},
    {"no such domain", "nothing.test", .expected = {{550, "5.1.2", ""}}},
    {"no name at all", "a..test", .expected = {{550, "5.1.2", ""}}},
    /* RFC7505-4.2 */
    {"the null MX", "null.test", .expected = {{556, "5.1.10", ""}}},
    {"MX unknown for now", "silent.test", .expected = {{451, "4.4.3", ""}}},
    {"the exchanger's address unknown for now", "lost.test", .expected = {{451, "4.4.3", "gone.test"}}},
    {"we are the best exchanger", "own.test", .expected = {{550, "5.4.6", ""}}},
    {"we are the backup", "backup.test", .servers = {{.ip = "192.0.2.1", .greeting = HI}},
     .expected = {{250, "2.0.0", "mx1.test"}}, .connections = {1}, .has_delivered = true},
    {"loopback", "local.test", .servers = {{.ip = "127.0.0.1", .greeting = HI}},
     .expected = {{550, "5.4.4", "loop.test"}}},
    {"loopback for a developer", "local.test", .localserve = true, .servers = {{.ip = "127.0.0.1", .greeting = HI}},
     .expected = {{250, "2.0.0", "loop.test"}}, .connections = {1}, .has_delivered = true},
    {"private", "private.test", .localserve = true, .servers = {{.ip = "10.1.2.3", .greeting = HI}},
     .expected = {{550, "5.4.4", "ten.test"}}},
    {"a literal", "[192.0.2.1]", .servers = {{.ip = "192.0.2.1", .greeting = HI}},
     .expected = {{250, "2.0.0", "192.0.2.1"}}, .connections = {1}, .has_delivered = true},
    {"a literal on loopback", "[127.0.0.1]", .expected = {{550, "5.4.4", "127.0.0.1"}}},
    {"a literal that is none", "[what]", .expected = {{553, "5.1.2", ""}}},
};

static void check(const struct trial *trial, const struct attempt_result *result) {
    struct expected want = trial->expected[0];
    for (uint32_t i = 0; i < result->outcomes_n; i++) {
        const struct attempt_outcome *o = &result->outcomes[i];
        if (trial->expected[i].reply)
            want = trial->expected[i];
        if (o->reply != want.reply || !view_eq(o->status, view_cstr(want.status)) ||
            !view_eq(o->host, view_cstr(want.host)))
            fail_msg("%s: got %u %.*s at \"%.*s\": %.*s", trial->title, o->reply, VIEW_FMT(o->status),
                     VIEW_FMT(o->host), VIEW_FMT(o->text));
    }
}

static void scenario(struct stage *stage) {
    const struct trial *trial = stage->ctx;
    struct net *net = net_new_sim(stage->loop, &stage->random.random);
    struct server servers[SERVERS_MAX] = {0};
    struct lodger lodger = {.env = {.net = net, .simulated = true}};
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(role_courier.prepare(&lodger.env, &why), ERR_OK);
    size_t n = 0;
    for (; n < SERVERS_MAX && trial->servers[n].ip; n++) {
        struct server *server = &servers[n];
        struct netaddr at;
        *server = (struct server){.stage = stage, .script = trial->servers[n], .group = co_group_new(stage->loop)};
        buf_init(&server->data, 65536);
        assert_int_equal(netaddr_parse(view_cstr(trial->servers[n].ip), PORT, &at), ERR_OK);
        assert_int_equal(net_listen(net, &at, &server->listener), ERR_OK);
        assert_int_equal(co_spawn(stage->loop, server->group, "server", server_body, server, NULL), ERR_OK);
    }
    struct role_configure config = {.hostname = view_cstr(trial->hostname ? trial->hostname : "mail.own.test"),
                                    .relay_port = PORT,
                                    .localserve = trial->localserve};
    lodger_start(&lodger, stage, &role_courier, config, NULL, 0, NULL);
    struct channel *dns = lodger_connect(&lodger, ROLE_RESOLVER, 0, dns_handlers, ARRAY_LEN(dns_handlers), NULL);
    struct channel *queue = lodger_connect(&lodger, ROLE_QUEUE, 0, NULL, 0, NULL);

    struct file *body;
    assert_int_equal(file_new_memory("body", &body), ERR_OK);
    assert_int_equal(file_write(body, VIEW(BODY), 0), ERR_OK);
    struct attempt_recipient recipients[] = {{VIEW_INIT("a@x.test")}, {VIEW_INIT("b@x.test")}, {VIEW_INIT("c@x.test")}};
    struct attempt attempt = {
        .domain = view_cstr(trial->domain),
        .sender = VIEW("me@own.test"),
        .prefix = VIEW("Received: from here\r\n"),
        .recipients = recipients,
        .recipients_n = trial->recipients ? trial->recipients : 1,
    };
    attempt.size = attempt.prefix.n + VIEW(BODY).n;
    struct handle handle = HANDLE_OF_FILE(body);
    struct arena *arena = arena_new("test", 1024 * 1024);
    struct attempt_result result;
    assert_int_equal(channel_call(queue, &message_attempt, &attempt, &handle, 1,
                                  loop_now_us(stage->loop) + 2 * COURIER_ATTEMPT_US, arena, &result, NULL),
                     ERR_OK);
    assert_int_equal(result.outcomes_n, attempt.recipients_n);
    check(trial, &result);
    bool has_delivered = false;
    for (size_t i = 0; i < n; i++) {
        if (servers[i].connections != trial->connections[i])
            fail_msg("%s: %u connections to server %zu", trial->title, servers[i].connections, i);
        has_delivered = has_delivered || view_eq(buf_view(&servers[i].data), VIEW("Received: from here\r\n" BODY));
    }
    if (has_delivered != trial->has_delivered)
        fail_msg("%s: the message %s", trial->title, has_delivered ? "arrived" : "did not arrive");
    arena_free(arena);
    lodger_stop(&lodger);
    channel_free(dns);
    channel_free(queue);
    for (size_t i = 0; i < n; i++) {
        co_group_end(servers[i].group);
        listener_free(servers[i].listener);
        buf_fini(&servers[i].data);
    }
    role_courier.unprepare(&lodger.env);
    net_free(net);
    buf_fini(&why);
}

/* Without a resolver nothing is said about the domain: the attempt itself fails, and the queue comes again soon. */
static void scenario_no_resolver(struct stage *stage) {
    struct net *net = net_new_sim(stage->loop, &stage->random.random);
    struct lodger lodger = {.env = {.net = net, .simulated = true}};
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(role_courier.prepare(&lodger.env, &why), ERR_OK);
    lodger_start(&lodger, stage, &role_courier, (struct role_configure){.hostname = VIEW("mail.own.test")}, NULL, 0,
                 NULL);
    struct channel *queue = lodger_connect(&lodger, ROLE_QUEUE, 0, NULL, 0, NULL);
    struct file *body;
    assert_int_equal(file_new_memory("body", &body), ERR_OK);
    struct attempt_recipient recipient = {VIEW("a@one.test")};
    struct attempt attempt = {.domain = VIEW("one.test"), .recipients = &recipient, .recipients_n = 1};
    struct handle handle = HANDLE_OF_FILE(body);
    struct attempt_result result;
    struct arena *arena = arena_new("test", 65536);
    assert_int_equal(channel_call(queue, &message_attempt, &attempt, &handle, 1,
                                  loop_now_us(stage->loop) + COURIER_ATTEMPT_US, arena, &result, NULL),
                     ERR_AGAIN);
    arena_free(arena);
    lodger_stop(&lodger);
    channel_free(queue);
    role_courier.unprepare(&lodger.env);
    net_free(net);
    buf_fini(&why);
}

static void test_no_resolver(void **state) {
    (void)state;
    stage_play(false, 1, scenario_no_resolver, NULL);
}

static void test_trials(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(trials); i++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            stage_play(false, seed, scenario, (void *)(uintptr_t)&trials[i]);
}

static void test_addresses(void **state) {
    (void)state;
    static const struct {
        const char *ip;
        bool public, developer;
    } cases[] = {
        {"192.0.2.1", true, true},     {"127.0.0.1", false, true},        {"127.9.9.9", false, true},
        {"::1", false, true},          {"10.0.0.1", false, false},        {"0.0.0.0", false, false},
        {"169.254.1.1", false, false}, {"fe80::1", false, false},         {"2001:db8::1", true, true},
        {"fd00::1", false, false},     {"::ffff:127.0.0.1", false, true}, {"::", false, false},
        {"172.16.0.1", false, false},  {"192.168.0.1", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netaddr a;
        assert_int_equal(netaddr_parse(view_cstr(cases[i].ip), 25, &a), ERR_OK);
        assert_int_equal(courier_may_connect(&a, false), cases[i].public);
        assert_int_equal(courier_may_connect(&a, true), cases[i].developer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trials),
        cmocka_unit_test(test_no_resolver),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
