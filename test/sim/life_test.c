/*
 * Ends of roles that clients must not suffer from: a mailbox that leaves in the
 * middle of a delivery, a directory that forgets its logins, a server that stops.
 */
#include "sim/sim.h"

#include "store/account_channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost"};

#define MESSAGE VIEW("From: <sender@example.net>\r\nSubject: life\r\n\r\nbody")

/* A client that has said EHLO; on the submission port also logged in. */
static void smtp_open(struct sim *sim, uint16_t port, struct sim_client *client) {
    unsigned code = 0;
    assert_int_equal(sim_connect(sim, port, port == SIM_SUBMISSIONS_PORT, client), ERR_OK);
    assert_int_equal(sim_smtp(client, NULL, &code), ERR_OK);
    assert_int_equal(code, 220);
    assert_int_equal(sim_smtp(client, "EHLO client.example.net", &code), ERR_OK);
    assert_int_equal(code, 250);
    if (port == SIM_SUBMISSIONS_PORT) { /* \0user@localhost\0veredus */
        assert_int_equal(sim_smtp(client, "AUTH PLAIN AHVzZXJAbG9jYWxob3N0AHZlcmVkdXM=", &code), ERR_OK);
        assert_int_equal(code, 235);
    }
}

/* ---- a mailbox that leaves while it is asked ---- */

struct leaver {
    struct channel_tap tap;
    struct sim *sim;
    unsigned message, left; /* the mailbox leaves once a message at most */
    bool asked, stop, ended;
    struct waitq changed;
};

static bool see_packet(struct channel_tap *tap, const char *channel, uint16_t code, bool is_reply, int64_t *delay_us) {
    struct leaver *leaver = (struct leaver *)tap;
    (void)channel;
    (void)delay_us;
    if (!is_reply && (code == ACCOUNT_MESSAGE_BASE + ACCOUNT_OP_deliver_check ||
                      code == ACCOUNT_MESSAGE_BASE + ACCOUNT_OP_deliver_commit)) {
        leaver->asked = true;
        waitq_wake_all(&leaver->changed);
    }
    return true;
}

/* The mailbox ends a few turns after it was asked something: in the middle of answering, with luck. */
static void leave_again_and_again(void *arg) {
    struct leaver *leaver = arg;
    struct sim *sim = leaver->sim;
    while (!leaver->stop) {
        (void)!waitq_wait(&leaver->changed, US_NEVER);
        if (!leaver->asked || leaver->left == leaver->message || random_below(&sim->random.random, 2) != 0)
            continue;
        leaver->asked = false;
        leaver->left = leaver->message;
        for (uint64_t turns = random_below(&sim->random.random, 12); turns > 0; turns--)
            (void)!co_yield ();
        struct role_env *mailbox = sim_role_env(sim, ROLE_MAILBOX, 0);
        if (mailbox && mailbox->life && mailbox->state)
            role_leave(mailbox);
    }
    leaver->ended = true;
    waitq_wake_all(&leaver->changed);
}

#define LEAVE_MESSAGES 30

static void story_leave(struct sim *sim, void *arg) {
    (void)arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client client;
    smtp_open(sim, SIM_SMTP_PORT, &client);
    struct leaver leaver = {.tap.packet = see_packet, .sim = sim};
    loop_set_channel_tap(sim->loop, &leaver.tap);
    assert_int_equal(co_spawn(sim->loop, NULL, "leaver", leave_again_and_again, &leaver, NULL), ERR_OK);
    for (unsigned i = 0; i < LEAVE_MESSAGES; i++) {
        unsigned code = 0;
        leaver.message = i + 1;
        assert_int_equal(sim_smtp_send(&client, "sender@example.net", &ACCOUNTS[0], 1, MESSAGE, &code), ERR_OK);
        if (code != 250)
            fail_msg("seed %llu: message %u was answered %u", (unsigned long long)sim->seed, i, code);
    }
    leaver.stop = true;
    waitq_wake_all(&leaver.changed);
    while (!leaver.ended)
        assert_int_equal(waitq_wait(&leaver.changed, US_NEVER), ERR_OK);
    loop_set_channel_tap(sim->loop, NULL);
    sim_close(&client);
    (void)!co_sleep(1200 * US_PER_S);
    sim_stop(sim);
}

/* Its end fails requests with "again", and the edge asks the next one: no sender hears of it. */
static void test_leaving_mailbox(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct sim sim;
        sim_init(&sim, seed, NULL, ACCOUNTS, 1);
        net_sim_set_latency(sim.net, 100, 5 * US_PER_MS);
        assert_true(sim_run(&sim, story_leave, NULL));
        struct disk *disk = sim_fini(&sim);
        assert_int_equal(sim_count_messages(disk, 1, VIEW("Subject: life")), LEAVE_MESSAGES);
        disk_free(disk);
    }
}

/* ---- a directory that forgot its logins ---- */

static void story_forgotten_login(struct sim *sim, void *arg) {
    const char *command = arg;
    unsigned code = 0;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client client;
    smtp_open(sim, SIM_SUBMISSIONS_PORT, &client);
    if (command) {
        assert_int_equal(sim_smtp(&client, "MAIL FROM:<user@localhost>", &code), ERR_OK);
        assert_int_equal(code, 250);
    }
    assert_true(sim_kill(sim, ROLE_DIRECTORY, 0));
    (void)!co_sleep(20 * US_PER_S); /* the next one is there */
    assert_int_equal(sim_smtp(&client, command ? command : "MAIL FROM:<user@localhost>", &code), ERR_OK);
    if (code < 400 || code > 499)
        fail_msg("a lost login was answered %u", code);
    sim_close(&client);
    smtp_open(sim, SIM_SUBMISSIONS_PORT, &client); /* a new login is fine at once */
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<user@localhost>", &code), ERR_OK);
    assert_int_equal(code, 250);
    sim_close(&client);
    sim_stop(sim);
}

/* The client may say it again later; a 5xx would make it give the message back to its author. */
static void test_forgotten_login(void **state) {
    (void)state;
    char relay[] = "RCPT TO:<somebody@example.com>";
    for (int i = 0; i < 2; i++) {
        struct sim sim;
        sim_init(&sim, 3, NULL, ACCOUNTS, 1);
        sim.config.relay = true;
        assert_true(sim_run(&sim, story_forgotten_login, i ? relay : NULL));
        disk_free(sim_fini(&sim));
    }
}

/* ---- budgets ---- */

#define SIZE_MAX_OCTETS (2u << 20)
#define SIZE_HELD 1500000

static void story_size(struct sim *sim, void *arg) {
    (void)arg;
    unsigned code = 0;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client holder, client;
    smtp_open(sim, SIM_SMTP_PORT, &holder);
    smtp_open(sim, SIM_SMTP_PORT, &client);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<a@example.net> SIZE=1000000", &code), ERR_OK);
    assert_int_equal(code, 250);
    assert_int_equal(sim_smtp(&client, "RSET", &code), ERR_OK);
    assert_int_equal(sim_smtp(&holder, "MAIL FROM:<a@example.net>", &code), ERR_OK);
    assert_int_equal(sim_smtp(&holder, "RCPT TO:<user@localhost>", &code), ERR_OK);
    assert_int_equal(sim_smtp(&holder, "DATA", &code), ERR_OK);
    assert_int_equal(code, 354);
    struct view line = VIEW("a line of a message that takes its time, and room in the spool meanwhile\r\n");
    for (size_t sent = 0; sent < SIZE_HELD; sent += line.n)
        assert_int_equal(sim_write(&holder, line), ERR_OK);
    assert_int_equal(co_sleep(US_PER_S), ERR_OK);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<a@example.net> SIZE=1000000", &code), ERR_OK);
    assert_int_equal(code, sim->config.edges == 1 ? 250 : 452);
    assert_int_equal(sim_smtp(&client, "RSET", &code), ERR_OK);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<a@example.net> SIZE=1000", &code), ERR_OK);
    assert_int_equal(code, 250);
    sim_close(&holder);
    assert_int_equal(co_sleep(US_PER_S), ERR_OK);
    assert_int_equal(sim_smtp(&client, "RSET", &code), ERR_OK);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<a@example.net> SIZE=1000000", &code), ERR_OK);
    assert_int_equal(code, 250);
    sim_close(&client);
    sim_stop(sim);
}

/* What cannot be spooled now is refused before it is sent. Two edges share one budget. */
static void test_declared_size(void **state) {
    (void)state;
    for (uint32_t edges = 1; edges <= 2; edges++) {
        struct sim sim;
        sim_init(&sim, 4, NULL, ACCOUNTS, 1);
        sim.config.edges = edges;
        sim.config.spool_budget = 2 * SIZE_MAX_OCTETS;
        sim.config.message_size_max = SIZE_MAX_OCTETS;
        assert_true(sim_run(&sim, story_size, NULL));
        disk_free(sim_fini(&sim));
    }
}

/* ---- a store that cannot be opened ---- */

struct failing {
    struct log_sink sink;
    unsigned starts, remedies;
};

static void count_failures(struct log_sink *sink, enum log_level level, struct view line) {
    struct failing *f = (struct failing *)sink;
    if (view_find(line, VIEW("role.start.failed")) >= 0)
        f->starts++;
    if (view_find(line, VIEW("veredus verify")) >= 0)
        f->remedies++;
    (void)level;
}

static void story_damaged(struct sim *sim, void *arg) {
    struct failing *f = arg;
    unsigned code = 0;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client smtp, imap, other;
    int64_t until_us = loop_now_us(sim->loop) + 60 * US_PER_S;
    smtp_open(sim, SIM_SMTP_PORT, &smtp);
    while (loop_now_us(sim->loop) < until_us) {
        bool ok = false;
        struct buf out;
        buf_init(&out, 10000);
        assert_int_equal(sim_connect(sim, SIM_IMAPS_PORT, true, &imap), ERR_OK);
        assert_int_equal(sim_imap(&imap, NULL, NULL, &ok), ERR_OK);
        assert_int_equal(sim_imap(&imap, "LOGIN user@localhost " SIM_PASSWORD, &out, &ok), ERR_OK);
        assert_false(ok);
        assert_true(view_find(buf_view(&out), VIEW("x NO [UNAVAILABLE]")) >= 0);
        buf_fini(&out);
        sim_close(&imap);
        assert_int_equal(sim_smtp_send(&smtp, "sender@example.net", &ACCOUNTS[0], 1, MESSAGE, &code), ERR_OK);
        assert_int_equal(code, 451);
    }
    assert_int_equal(sim_imap_login(sim, "anna@localhost", &other), ERR_OK); /* only its owner suffers */
    sim_close(&other);
    sim_close(&smtp);
    sim_stop(sim);
    print_message("%u failed starts in a minute\n", f->starts);
    assert_true(f->remedies > 0);
    assert_in_range(f->starts, 2, 60);
}

/* Clients are told to come again, the log says what to do, and nobody turns in circles. */
static void test_damaged_account(void **state) {
    (void)state;
    struct sim sim;
    sim_init(&sim, 8, NULL, ACCOUNTS, 2);
    struct failing failing = {.sink = {.write = count_failures, .least = LOG_WARN}};
    char name[ACCOUNT_DIRECTORY_NAME_SIZE], path[64];
    account_directory_name(1, name);
    (void)snprintf(path, sizeof(path), "accounts/%s", name);
    struct disk *account;
    struct file *file;
    assert_int_equal(disk_mkdir(sim.disk, "accounts"), ERR_OK);
    assert_int_equal(disk_mkdir(sim.disk, path), ERR_OK);
    assert_int_equal(disk_sub(sim.disk, path, &account), ERR_OK);
    assert_int_equal(disk_open(account, "account.db", DISK_WRITE | DISK_CREATE, &file), ERR_OK);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(file_write(file, VIEW("this was a database once, before somebody wrote over it; "), i * 57),
                         ERR_OK);
    file_unref(file);
    disk_free(account);
    log_init(&sim.log, &failing.sink, &sim.clock.clock);
    assert_true(sim_run(&sim, story_damaged, &failing));
    disk_free(sim_fini(&sim));
}

/* ---- the command line's changes ---- */

/* One request to directory; its answer must hold `expected`. */
static void control(struct sim *sim, struct view request, const char *expected) {
    struct stream *ours, *theirs;
    struct input input;
    assert_int_equal(stream_new_pair(sim->loop, 256 * 1024, &ours, &theirs), ERR_OK);
    input_init(&input, ours, 1 << 20);
    supervisor_control(sim->supervisor, theirs, 0, 1);
    int64_t deadline_us = loop_now_us(sim->loop) + 60 * US_PER_S;
    assert_int_equal(stream_write(ours, request, deadline_us), ERR_OK);
    while (view_find_byte(input_pending(&input), '\n') < 0)
        assert_int_equal(input_fill(&input, deadline_us), ERR_OK);
    if (view_find(input_pending(&input), view_cstr(expected)) < 0)
        fail_msg("%.*s", VIEW_FMT(input_pending(&input)));
    input_fini(&input);
    stream_free(ours);
}

static void expect_line(struct sim_client *client, const char *start) {
    struct view line;
    assert_int_equal(sim_read_line(client, &line), ERR_OK);
    if (!view_starts(line, view_cstr(start)))
        fail_msg("expected %s, got %.*s", start, VIEW_FMT(line));
}

static void story_removed(struct sim *sim, void *arg) {
    (void)arg;
    unsigned code = 0;
    bool ok = false;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client smtp, imap, other;
    smtp_open(sim, SIM_SMTP_PORT, &smtp);
    assert_int_equal(sim_imap_login(sim, "anna@localhost", &imap), ERR_OK);
    assert_int_equal(sim_imap_login(sim, "user@localhost", &other), ERR_OK);
    assert_int_equal(sim_smtp(&smtp, "MAIL FROM:<a@example.net>", &code), ERR_OK);
    assert_int_equal(sim_smtp(&smtp, "RCPT TO:<anna@localhost>", &code), ERR_OK);
    assert_int_equal(code, 250);
    control(sim, VIEW("{\"id\":1,\"op\":\"account.remove\",\"address\":\"anna@localhost\"}\n"), "\"ok\":true");
    expect_line(&imap, "* BYE");
    assert_int_equal(sim_smtp(&smtp, "DATA", &code), ERR_OK); /* promised before: it is gone all the same */
    assert_int_equal(sim_smtp(&smtp, "Subject: too late\r\n\r\n.", &code), ERR_OK);
    assert_int_equal(code, 550);
    assert_int_equal(sim_imap(&other, "SELECT INBOX", NULL, &ok), ERR_OK);
    assert_true(ok);
    sim_close(&smtp);
    sim_close(&imap);
    sim_close(&other);
    sim_stop(sim);
}

/* Who is removed is out, at once. */
static void test_removed_account(void **state) {
    (void)state;
    struct sim sim;
    sim_init(&sim, 6, NULL, ACCOUNTS, 2);
    assert_true(sim_run(&sim, story_removed, NULL));
    disk_free(sim_fini(&sim));
}

#define LIST_PARTS 2
#define LIST_MEMBERS 600 /* of each part: together more than MESSAGE_RECIPIENTS_MAX */

static void story_long_list(struct sim *sim, void *arg) {
    (void)arg;
    unsigned code = 0;
    struct buf request;
    buf_init(&request, 60000);
    assert_int_equal(sim_start(sim), ERR_OK);
    for (unsigned part = 0; part < LIST_PARTS; part++) {
        buf_clear(&request);
        buf_printf(&request, "{\"id\":1,\"op\":\"alias.add\",\"address\":\"part%u@localhost\",\"targets\":[", part);
        for (unsigned i = 0; i < LIST_MEMBERS; i++)
            buf_printf(&request, "%s\"m%u-%u@example.com\"", i ? "," : "", part, i);
        buf_put_str(&request, "]}\n");
        control(sim, buf_view(&request), "\"ok\":true");
    }
    control(sim,
            VIEW("{\"id\":1,\"op\":\"alias.add\",\"address\":\"all@localhost\",\"targets\":[\"part0@localhost\","
                 "\"part1@localhost\"]}\n"),
            "\"ok\":true");
    struct sim_client client;
    smtp_open(sim, SIM_SMTP_PORT, &client);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<a@example.net>", &code), ERR_OK);
    assert_int_equal(sim_smtp(&client, "RCPT TO:<part0@localhost>", &code), ERR_OK);
    assert_int_equal(code, 250);
    assert_int_equal(sim_smtp(&client, "RCPT TO:<all@localhost>", &code), ERR_OK);
    assert_int_equal(code, 550);
    sim_close(&client);
    buf_fini(&request);
    sim_stop(sim);
}

/* A list that is too long is refused: accepted for a part of its members, the others would lose mail in silence. */
static void test_long_list(void **state) {
    (void)state;
    struct sim sim;
    sim_init(&sim, 7, NULL, ACCOUNTS, 1);
    sim.config.relay = true;
    assert_true(sim_run(&sim, story_long_list, NULL));
    disk_free(sim_fini(&sim));
}

/* ---- slow mailboxes ---- */

#define SLOW_ACCOUNTS 28
#define SLOW_COMMIT_US (25 * US_PER_S)    /* below the idle time after which a mailbox leaves */
#define SLOW_PATIENCE_US (600 * US_PER_S) /* RFC5321-4.5.3.2.6: then the client gives up, and sends it all again */

static bool slow_commit(struct channel_tap *tap, const char *channel, uint16_t code, bool is_reply, int64_t *delay_us) {
    (void)tap;
    (void)channel;
    if (!is_reply && code == ACCOUNT_MESSAGE_BASE + ACCOUNT_OP_deliver_commit)
        *delay_us = SLOW_COMMIT_US;
    return true;
}

static void story_slow(struct sim *sim, void *arg) {
    const char *const *accounts = arg;
    unsigned code = 0;
    struct channel_tap tap = {slow_commit};
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client client;
    smtp_open(sim, SIM_SMTP_PORT, &client);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<a@example.net>", &code), ERR_OK);
    for (unsigned i = 0; i < SLOW_ACCOUNTS; i++) {
        char line[100];
        (void)snprintf(line, sizeof(line), "RCPT TO:<%s>", accounts[i]);
        assert_int_equal(sim_smtp(&client, line, &code), ERR_OK);
        assert_int_equal(code, 250);
    }
    assert_int_equal(sim_smtp(&client, "DATA", &code), ERR_OK);
    loop_set_channel_tap(sim->loop, &tap);
    assert_int_equal(sim_write(&client, MESSAGE), ERR_OK);
    assert_int_equal(sim_write(&client, VIEW("\r\n.\r\n")), ERR_OK);
    assert_int_equal(input_fill(&client.input, loop_now_us(sim->loop) + SLOW_PATIENCE_US), ERR_OK);
    expect_line(&client, "250 ");
    loop_set_channel_tap(sim->loop, NULL);
    sim_close(&client);
    assert_int_equal(co_sleep(1800 * US_PER_S), ERR_OK);
    sim_stop(sim);
}

/* However long its mailboxes take, the client has its answer in time; the rest is the queue's. */
static void test_slow_mailboxes(void **state) {
    (void)state;
    char names[SLOW_ACCOUNTS][40];
    const char *accounts[SLOW_ACCOUNTS];
    for (unsigned i = 0; i < SLOW_ACCOUNTS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "slow%u@localhost", i);
        accounts[i] = names[i];
    }
    struct sim sim;
    sim_init(&sim, 10, NULL, accounts, SLOW_ACCOUNTS);
    assert_true(sim_run(&sim, story_slow, accounts));
    struct disk *disk = sim_fini(&sim);
    for (unsigned i = 0; i < SLOW_ACCOUNTS; i++)
        assert_int_equal(sim_count_messages(disk, i + 1, VIEW("Subject: life")), 1);
    disk_free(disk);
}

/* ---- clients that say nothing ---- */

#define SILENCE_S 60 /* EDGE_TLS_US */

static void story_silent(struct sim *sim, void *arg) {
    (void)arg;
    unsigned code = 0;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client headless, stalled, proxied;
    int64_t started_us = loop_now_us(sim->loop);
    assert_int_equal(sim_connect(sim, SIM_SMTP_PORT, false, &headless), ERR_OK); /* a proxy without its header */
    assert_int_equal(sim_connect(sim, SIM_IMAPS_PORT, false, &stalled), ERR_OK); /* and a handshake that never begins */
    assert_int_equal(sim_write(&headless, VIEW("PROXY TCP4 192.0.2.1")), ERR_OK);
    struct view line;
    assert_int_equal(sim_read_line(&headless, &line), ERR_CLOSED);
    assert_int_equal(sim_read_line(&stalled, &line), ERR_CLOSED);
    int64_t waited_us = loop_now_us(sim->loop) - started_us;
    assert_in_range(waited_us, (SILENCE_S - 1) * US_PER_S, (SILENCE_S + 5) * US_PER_S);
    assert_int_equal(sim_connect(sim, SIM_SMTP_PORT, false, &proxied), ERR_OK);
    assert_int_equal(sim_write(&proxied, VIEW("PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\r\n")), ERR_OK);
    assert_int_equal(sim_smtp(&proxied, NULL, &code), ERR_OK);
    assert_int_equal(code, 220);
    sim_close(&headless);
    sim_close(&stalled);
    sim_close(&proxied);
    sim_stop(sim);
}

static void test_silent_clients(void **state) {
    (void)state;
    struct sim sim;
    sim_init(&sim, 9, NULL, ACCOUNTS, 1);
    sim.config.listeners[0].proxy = true;
    assert_true(sim_run(&sim, story_silent, NULL));
    disk_free(sim_fini(&sim));
}

/* ---- a session on its way back ---- */

/* RFC8437: the mailbox drains what the edge had sent. Either of them dies in between. */
static void story_way_back(struct sim *sim, void *arg) {
    const enum role *victim = arg;
    bool ok = false;
    assert_int_equal(sim_start(sim), ERR_OK);
    for (unsigned round = 0; round < 10; round++) {
        struct sim_client imap;
        assert_int_equal(sim_imap_login(sim, "user@localhost", &imap), ERR_OK);
        assert_int_equal(sim_write(&imap, VIEW("x UNAUTHENTICATE\r\ny NOOP\r\n")), ERR_OK);
        for (uint64_t turns = random_below(&sim->random.random, 60); turns > 0; turns--)
            assert_int_equal(co_yield (), ERR_OK);
        assert_true(sim_kill(sim, *victim, 0));
        assert_int_equal(co_sleep(20 * US_PER_S), ERR_OK); /* longer than the mailbox waits for the rest */
        sim_close(&imap);
    }
    struct sim_client again;
    assert_int_equal(sim_imap_login(sim, "user@localhost", &again), ERR_OK);
    assert_int_equal(sim_imap(&again, "SELECT INBOX", NULL, &ok), ERR_OK);
    assert_true(ok);
    sim_close(&again);
    assert_int_equal(co_sleep(60 * US_PER_S), ERR_OK);
    assert_null(sim_role_env(sim, ROLE_MAILBOX, 0)); /* nothing kept it: it has left */
    sim_stop(sim);
}

static void test_way_back(void **state) {
    (void)state;
    enum role victims[] = {ROLE_EDGE, ROLE_MAILBOX};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim sim;
        sim_init(&sim, seed, NULL, ACCOUNTS, 1);
        assert_true(sim_run(&sim, story_way_back, &victims[seed % 2]));
        disk_free(sim_fini(&sim));
    }
}

/* ---- a server that stops ---- */

struct stopper {
    struct sim *sim;
    bool ended;
    struct waitq done;
};

static void stop_it(void *arg) {
    struct stopper *stopper = arg;
    sim_stop(stopper->sim);
    stopper->ended = true;
    waitq_wake_all(&stopper->done);
}

static void story_goodbye(struct sim *sim, void *arg) {
    (void)arg;
    bool ok = false;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client smtp, submission, greeted, idling, handshaking;
    smtp_open(sim, SIM_SMTP_PORT, &smtp);
    smtp_open(sim, SIM_SUBMISSIONS_PORT, &submission);
    assert_int_equal(sim_connect(sim, SIM_IMAPS_PORT, true, &greeted), ERR_OK);
    assert_int_equal(sim_imap(&greeted, NULL, NULL, &ok), ERR_OK);
    assert_int_equal(sim_imap_login(sim, "user@localhost", &idling), ERR_OK);
    assert_int_equal(sim_imap(&idling, "SELECT INBOX", NULL, &ok), ERR_OK);
    assert_int_equal(sim_write(&idling, VIEW("x IDLE\r\n")), ERR_OK);
    expect_line(&idling, "+ ");
    assert_int_equal(sim_connect(sim, SIM_IMAPS_PORT, false, &handshaking), ERR_OK); /* says nothing */
    int64_t started_us = loop_now_us(sim->loop);
    struct stopper stopper = {.sim = sim};
    assert_int_equal(co_spawn(sim->loop, NULL, "stopper", stop_it, &stopper, NULL), ERR_OK);
    expect_line(&smtp, "421 ");
    expect_line(&submission, "421 ");
    expect_line(&greeted, "* BYE");
    expect_line(&idling, "* BYE");
    while (!stopper.ended)
        assert_int_equal(waitq_wait(&stopper.done, US_NEVER), ERR_OK);
    assert_true(loop_now_us(sim->loop) - started_us <= 1 * US_PER_S);
    sim_close(&smtp);
    sim_close(&submission);
    sim_close(&greeted);
    sim_close(&idling);
    sim_close(&handshaking);
}

static void test_goodbye(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct sim sim;
        sim_init(&sim, seed, NULL, ACCOUNTS, 1);
        net_sim_set_latency(sim.net, 100, 5 * US_PER_MS);
        assert_true(sim_run(&sim, story_goodbye, NULL));
        disk_free(sim_fini(&sim));
    }
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaving_mailbox), cmocka_unit_test(test_forgotten_login),
        cmocka_unit_test(test_declared_size),   cmocka_unit_test(test_damaged_account),
        cmocka_unit_test(test_removed_account), cmocka_unit_test(test_long_list),
        cmocka_unit_test(test_slow_mailboxes),  cmocka_unit_test(test_silent_clients),
        cmocka_unit_test(test_way_back),        cmocka_unit_test(test_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
