/*
 * What a login submits is signed: the copy that is stored holds against the
 * records that `domain records` prints. What the login may not write as goes
 * unsigned; without directory nothing goes.
 */
#include "sim/sim.h"

#include "dkim/testing.h"
#include "dkim/verify.h"
#include "message/header.h"
#include "store/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 65536
#define LETTER_MAX (1 << 20)
#define DOMAINS 1005 /* some more than DIRECTORY_SIGNERS_MAX of roles/directory.h */
#define ANNA "AUTH PLAIN AGFubmFAbG9jYWxob3N0AHZlcmVkdXM=" /* anna@localhost, SIM_PASSWORD */

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost"};

struct story {
    struct dkim_crypto *crypto;
    struct arena *arena;
    struct buf records; /* the reply of domain.records */
    struct table_dns dns;
    struct buf letter; /* as it is stored */
    bool finished;
};

/* ---- what the tests share ---- */

static void ask_control(struct sim *sim, const char *request, struct buf *out) {
    struct stream *ours, *theirs;
    int64_t deadline_us = loop_now_us(sim->loop) + ROLE_CALL_US;
    assert_int_equal(stream_new_pair(sim->loop, RECORDS_MAX, &ours, &theirs), ERR_OK);
    supervisor_control(sim->supervisor, theirs, 0, 1);
    assert_int_equal(stream_write(ours, view_cstr(request), deadline_us), ERR_OK);
    while (view_find_byte(buf_view(out), '\n') < 0) {
        uint8_t piece[4096];
        size_t n = 0;
        assert_int_equal(stream_read(ours, piece, sizeof(piece), deadline_us, &n), ERR_OK);
        buf_put(out, view_of(piece, n));
        assert_int_equal(buf_err(out), ERR_OK);
    }
    stream_free(ours);
}

/* The strings of a zone line inside JSON, joined. */
static struct view join_strings(struct story *s, struct view line) {
    struct buf text;
    struct view joined, piece;
    buf_init(&text, RECORDS_MAX);
    ssize_t at;
    while ((at = view_find(line, VIEW("\\\""))) >= 0) {
        line = view_skip(line, (size_t)at + 2);
        at = view_find(line, VIEW("\\\""));
        assert_true(at >= 0);
        piece = view_sub(line, 0, (size_t)at);
        assert_true(piece.n <= DKIM_TXT_PIECE);
        buf_put(&text, piece);
        line = view_skip(line, (size_t)at + 2);
    }
    assert_int_equal(arena_view(s->arena, buf_view(&text), &joined), ERR_OK);
    buf_fini(&text);
    return joined;
}

/* Every line of the domain becomes a record of the table. */
static void learn_records(struct sim *sim, struct story *s) {
    buf_clear(&s->records);
    ask_control(sim, "{\"id\":1,\"op\":\"domain.records\",\"domain\":\"localhost\"}\n", &s->records);
    struct view rest = buf_view(&s->records), mark = VIEW("\"record\":\"");
    for (ssize_t at; (at = view_find(rest, mark)) >= 0;) {
        rest = view_skip(rest, (size_t)at + mark.n);
        ssize_t end = view_find(rest, VIEW("\",\"host\"")), type = view_find(rest, VIEW(". IN TXT "));
        assert_true(end > 0);
        if (type > 0 && type < end)
            table_add(&s->dns, view_sub(rest, 0, (size_t)type), join_strings(s, view_sub(rest, 0, (size_t)end)));
    }
}

static void open_submission(struct sim *sim, struct sim_client *client) {
    unsigned code = 0;
    assert_int_equal(sim_connect(sim, SIM_SUBMISSIONS_PORT, true, client), ERR_OK);
    assert_int_equal(sim_smtp(client, NULL, &code), ERR_OK);
    assert_int_equal(sim_smtp(client, "EHLO client.example.net", &code), ERR_OK);
    assert_int_equal(sim_smtp(client, ANNA, &code), ERR_OK);
    assert_int_equal(code, 235);
}

static void submit(struct sim *sim, struct view message) {
    static const char *const to[] = {"user@localhost"};
    struct sim_client client;
    unsigned code = 0;
    open_submission(sim, &client);
    assert_int_equal(sim_smtp_send(&client, "anna@localhost", to, 1, message, &code), ERR_OK);
    assert_int_equal(code, 250);
    sim_close(&client);
}

/* The newest message of user@localhost, octet for octet. */
static void read_newest(struct sim *sim, struct story *s) {
    struct sim_client imap;
    struct buf said;
    bool ok = false;
    buf_init(&said, LETTER_MAX);
    assert_int_equal(sim_imap_login(sim, "user@localhost", &imap), ERR_OK);
    assert_int_equal(sim_imap(&imap, "EXAMINE INBOX", NULL, &ok), ERR_OK);
    assert_int_equal(sim_imap(&imap, "FETCH * BODY.PEEK[]", &said, &ok), ERR_OK);
    assert_true(ok);
    struct view head, rest, number, line;
    uint32_t size;
    assert_true(view_split(buf_view(&said), '{', &head, &rest));
    assert_true(view_split(rest, '}', &number, &rest));
    assert_int_equal(view_to_u32(number, LETTER_MAX, &size), ERR_OK);
    rest = view_skip(rest, 1);
    buf_clear(&s->letter);
    while (s->letter.n < size && view_split(rest, '\n', &line, &rest)) {
        buf_put(&s->letter, line);
        buf_put(&s->letter, VIEW("\r\n"));
    }
    assert_true(s->letter.n >= size);
    buf_fini(&said);
    sim_close(&imap);
}

static size_t count(const struct story *s, struct view name) {
    return header_count(buf_view(&s->letter), name);
}

/* How many signatures hold; none may be there that does not. */
static size_t good_signatures(struct sim *sim, struct story *s, struct dkim_report *report) {
    struct dkim_input *input;
    assert_int_equal(dkim_input_new(s->crypto, &input), ERR_OK);
    assert_int_equal(dkim_input_feed(input, buf_view(&s->letter)), ERR_OK);
    assert_int_equal(dkim_input_end(input), ERR_OK);
    assert_int_equal(dkim_verify(input, &s->dns.client, loop_wall_us(sim->loop), NULL, s->arena, report), ERR_OK);
    size_t good = 0;
    for (size_t i = 0; i < report->n; i++) {
        if (report->verdicts[i].result != DKIM_PASS)
            fail_msg("signature %zu: %.*s", i, VIEW_FMT(report->verdicts[i].why));
        good++;
    }
    dkim_input_free(input);
    return good;
}

static void story_init(struct story *s) {
    *s = (struct story){.arena = arena_new("story", 64 << 20)};
    assert_non_null(s->arena);
    assert_int_equal(dkim_crypto_new(&s->crypto), ERR_OK);
    buf_init(&s->records, RECORDS_MAX);
    buf_init(&s->letter, LETTER_MAX);
    table_init(&s->dns);
}

static void story_fini(struct story *s) {
    buf_fini(&s->records);
    buf_fini(&s->letter);
    dkim_crypto_free(s->crypto);
    arena_free(s->arena);
}

/* ---- with both keys ---- */

static void first_life(struct sim *sim, void *arg) {
    (void)arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    sim_stop(sim);
}

/* The simulated house makes no RSA keys by itself: how long that takes is chance. */
static void add_rsa_key(struct disk *disk) {
    struct virtual_clock clock;
    struct random_seeded random;
    struct directory_store *store;
    struct disk *sub;
    struct buf der;
    virtual_clock_init(&clock, SIM_WALL_US);
    random_seeded_init(&random, 7);
    buf_init_secret(&der, 8192);
    assert_int_equal(tls_make_key(VIEW("rsa"), &der), ERR_OK);
    assert_int_equal(disk_sub(disk, "directory", &sub), ERR_OK);
    assert_int_equal(directory_store_open(sub, &clock.clock, &random.random, &store), ERR_OK);
    struct domain_key row = {
        .domain = VIEW("localhost"), .selector = VIEW("rsa1"), .algorithm = VIEW("rsa"), .key = buf_view(&der)};
    assert_int_equal(directory_key_add(store, &row), ERR_OK);
    directory_store_close(store);
    disk_free(sub);
    buf_fini(&der);
}

/* RFC6409-8.5, RFC8463-3: by both keys. */
static void check_signed(struct sim *sim, struct story *s, struct view message) {
    struct dkim_report report;
    submit(sim, message);
    read_newest(sim, s);
    assert_int_equal(good_signatures(sim, s, &report), 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(view_eq(report.verdicts[i].signature.domain, VIEW("localhost")));
    assert_int_not_equal(report.verdicts[0].signature.algorithm, report.verdicts[1].signature.algorithm);
    /* Our fields are below Received, in their order; the message itself is as it came. */
    struct view letter = buf_view(&s->letter);
    ssize_t received = view_find(letter, VIEW("\r\nReceived: ")),
            signature = view_find(letter, VIEW("\r\nDKIM-Signature: ")), body = view_find(letter, message);
    assert_true(received > 0 && signature > received && body > signature);
    assert_int_equal(count(s, VIEW("Date")), 1);
    assert_int_equal(count(s, VIEW("Message-ID")), 1);
}

static void story_signed(struct sim *sim, void *arg) {
    struct story *s = arg;
    struct dkim_report report;
    assert_int_equal(sim_start(sim), ERR_OK);
    learn_records(sim, s);
    assert_int_equal(s->dns.n, 4); /* SPF, two keys, DMARC */
    assert_true(view_find(buf_view(&s->records), VIEW("_dmarc.localhost. IN TXT \\\"v=DMARC1; p=")) >= 0);
    check_signed(sim, s, VIEW("From: anna@localhost\r\nSubject: short\r\n\r\nHello\r\n"));
    check_signed(
        sim, s,
        VIEW("From: =?utf-8?q?A?= <Anna@LOCALHOST>\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <x@y>\r\n"
             "Subject: whole\r\n\r\nHello \t \r\n\r\n\r\n"));
    struct buf large;
    buf_init(&large, LETTER_MAX);
    buf_put(&large, VIEW("From: anna@localhost\r\nX-Long: "));
    for (unsigned i = 0; i < 3000; i++) /* the header alone is longer than what is read of the file at once */
        buf_put(&large, VIEW("words that fill a line of this header\r\n "));
    buf_put(&large, VIEW("\r\nmessage-id: <large@localhost>\r\n\r\n"));
    for (unsigned i = 0; i < 8000; i++)
        buf_put(&large, VIEW("a line of a message that travels as a file\r\n"));
    check_signed(sim, s, buf_view(&large));
    buf_fini(&large);
    /* One octet more, and they do not hold: the test can fail. */
    buf_put(&s->letter, VIEW("!\r\n"));
    struct dkim_input *input;
    assert_int_equal(dkim_input_new(s->crypto, &input), ERR_OK);
    assert_int_equal(dkim_input_feed(input, buf_view(&s->letter)), ERR_OK);
    assert_int_equal(dkim_input_end(input), ERR_OK);
    assert_int_equal(dkim_verify(input, &s->dns.client, loop_wall_us(sim->loop), NULL, s->arena, &report), ERR_OK);
    assert_int_equal(report.result, DKIM_FAIL);
    dkim_input_free(input);
    sim_stop(sim);
    s->finished = true;
}

static void test_signed(void **state) {
    (void)state;
    struct sim sim;
    struct story s;
    story_init(&s);
    sim_init(&sim, 1, NULL, ACCOUNTS, 2);
    assert_true(sim_run(&sim, first_life, NULL));
    struct disk *disk = sim_fini(&sim);
    add_rsa_key(disk);
    sim_init(&sim, 2, disk, ACCOUNTS, 2);
    assert_true(sim_run(&sim, story_signed, &s));
    assert_true(s.finished);
    disk_free(sim_fini(&sim));
    story_fini(&s);
}

/* ---- whose author it is ---- */

static const struct {
    const char *from; /* the field, or nothing */
    size_t signatures;
} authors[] = {
    {"From: anna@localhost\r\n", 1},
    {"From: Anna <team@localhost>\r\n", 1},          /* an alias that leads to her */
    {"From: anna@localhost, team@localhost\r\n", 1}, /* RFC5322-3.6.2: two authors, one domain */
    {"From: Friends:anna@localhost;\r\n", 1},        /* RFC6854 */
    {"From: user@localhost\r\n", 0},                 /* another account of her domain */
    {"From: anna@localhost, user@localhost\r\n", 0}, /* what she may not write stands beside what she may */
    {"From: anna@localhost\r\nFrom: user@localhost\r\n", 0},
    {"From: anna@elsewhere.example\r\n", 0},
    {"From: anna\r\n", 0},
    {"From: @localhost\r\n", 0},
    {"From: anna@[127.0.0.1]\r\n", 0},
    {"From: \"anna@localhost\" <x@elsewhere.example>\r\n", 0},
    {"From:\r\n", 0},
    {"Sender: anna@localhost\r\n", 0},
    {"From: a@localhost, b@localhost, c@localhost, d@localhost, e@localhost\r\n", 0},
};

static void story_authors(struct sim *sim, void *arg) {
    struct story *s = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct buf reply;
    buf_init(&reply, RECORDS_MAX);
    ask_control(sim,
                "{\"id\":1,\"op\":\"alias.add\",\"address\":\"team@localhost\",\"targets\":[\"anna@localhost\"]}\n",
                &reply);
    buf_fini(&reply);
    learn_records(sim, s);
    for (size_t i = 0; i < ARRAY_LEN(authors); i++) {
        char message[500];
        struct dkim_report report;
        int n = snprintf(message, sizeof(message), "%sSubject: case %zu\r\n\r\nHello\r\n", authors[i].from, i);
        submit(sim, view_of(message, (size_t)n));
        read_newest(sim, s);
        if (good_signatures(sim, s, &report) != authors[i].signatures)
            fail_msg("case %zu: %zu signatures", i, report.n);
        assert_int_equal(count(s, VIEW("Date")), 1);       /* RFC6409-8.2, signed or not */
        assert_int_equal(count(s, VIEW("Message-ID")), 1); /* RFC6409-8.3 */
    }
    /* A header for which no signature has room. */
    struct buf odd;
    buf_init(&odd, LETTER_MAX);
    buf_put(&odd, VIEW("From: anna@localhost\r\n"));
    for (unsigned i = 0; i < 200; i++) {
        buf_put(&odd, VIEW("List-Unsubscribe-Post: x\r\n"));
        if (i != 10 && i != 199) /* a few are fine */
            continue;
        struct buf whole;
        struct dkim_report report;
        buf_init(&whole, LETTER_MAX);
        buf_put(&whole, buf_view(&odd));
        buf_put(&whole, VIEW("Subject: odd\r\n\r\nHello\r\n"));
        submit(sim, buf_view(&whole));
        read_newest(sim, s);
        assert_int_equal(good_signatures(sim, s, &report), i == 10 ? 1 : 0);
        assert_int_equal(count(s, VIEW("Date")), 1);
        buf_fini(&whole);
    }
    buf_fini(&odd);
    /* One that is longer than any we look at: nothing is added, for it may be in the rest. */
    buf_init(&odd, LETTER_MAX);
    buf_put(&odd, VIEW("From: anna@localhost\r\n"));
    for (unsigned i = 0; i < 14000; i++)
        buf_put(&odd, VIEW("X-Long: a field of a very long header.\r\n"));
    assert_true(odd.n > DKIM_HEADER_MAX);
    buf_put(&odd, VIEW("Message-ID: <late@localhost>\r\n\r\nHello\r\n"));
    submit(sim, buf_view(&odd));
    read_newest(sim, s);
    assert_int_equal(count(s, VIEW("DKIM-Signature")), 0);
    assert_int_equal(count(s, VIEW("Message-ID")), 1);
    buf_fini(&odd);
    /* Mail from outside is not ours to sign, and gets no fields. */
    struct sim_client smtp;
    static const char *const to[] = {"user@localhost"};
    unsigned code = 0;
    struct dkim_report report;
    assert_int_equal(sim_smtp_open(sim, &smtp), ERR_OK);
    assert_int_equal(sim_smtp_send(&smtp, "anna@localhost", to, 1,
                                   VIEW("From: anna@localhost\r\nSubject: forged\r\n\r\nHello\r\n"), &code),
                     ERR_OK);
    assert_int_equal(code, 250);
    sim_close(&smtp);
    read_newest(sim, s);
    assert_int_equal(good_signatures(sim, s, &report), 0);
    assert_int_equal(count(s, VIEW("Message-ID")), 0);
    sim_stop(sim);
    s->finished = true;
}

static void test_authors(void **state) {
    (void)state;
    struct sim sim;
    struct story s;
    story_init(&s);
    sim_init(&sim, 3, NULL, ACCOUNTS, 2);
    assert_true(sim_run(&sim, story_authors, &s));
    assert_true(s.finished);
    disk_free(sim_fini(&sim));
    story_fini(&s);
}

/* ---- keys that change ---- */

/* A domain that is removed and made again has another key under the same name: what was loaded before is not used. */
static void story_new_key(struct sim *sim, void *arg) {
    struct story *s = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct buf before, after, reply;
    buf_init(&before, RECORDS_MAX);
    buf_init(&after, RECORDS_MAX);
    buf_init(&reply, RECORDS_MAX);
    static const char *const add = "{\"id\":1,\"op\":\"domain.add\",\"domain\":\"example.org\"}\n",
                             *const records = "{\"id\":1,\"op\":\"domain.records\",\"domain\":\"example.org\"}\n",
                             *const removal = "{\"id\":1,\"op\":\"domain.remove\",\"domain\":\"example.org\"}\n";
    ask_control(sim, add, &reply);
    ask_control(sim, records, &before);
    buf_clear(&reply);
    ask_control(sim, records, &reply);
    assert_true(view_eq(buf_view(&before), buf_view(&reply)));
    assert_true(view_find(buf_view(&before), VIEW("ed1._domainkey.example.org. IN TXT \\\"v=DKIM1; k=ed25519; p=")) >=
                0);
    buf_clear(&reply);
    ask_control(sim, removal, &reply);
    buf_clear(&reply);
    ask_control(sim, records, &reply);
    assert_true(view_find(buf_view(&reply), VIEW("there is no domain")) >= 0);
    ask_control(sim, add, &reply);
    ask_control(sim, records, &after);
    assert_int_equal(before.n, after.n);
    assert_false(view_eq(buf_view(&before), buf_view(&after)));
    buf_fini(&before);
    buf_fini(&after);
    buf_fini(&reply);
    sim_stop(sim);
    s->finished = true;
}

static void test_new_key(void **state) {
    (void)state;
    struct sim sim;
    struct story s;
    story_init(&s);
    sim_init(&sim, 4, NULL, ACCOUNTS, 2);
    assert_true(sim_run(&sim, story_new_key, &s));
    assert_true(s.finished);
    disk_free(sim_fini(&sim));
    story_fini(&s);
}

/* More domains than directory keeps keys of: the first one's are loaded again, and are the same. */
static void story_many_domains(struct sim *sim, void *arg) {
    struct story *s = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct buf first, reply;
    buf_init(&first, RECORDS_MAX);
    buf_init(&reply, RECORDS_MAX);
    for (unsigned i = 0; i <= DOMAINS; i++) {
        char add[200], records[200];
        (void)snprintf(add, sizeof(add), "{\"id\":1,\"op\":\"domain.add\",\"domain\":\"d%u.example\"}\n", i % DOMAINS);
        (void)snprintf(records, sizeof(records), "{\"id\":1,\"op\":\"domain.records\",\"domain\":\"d%u.example\"}\n",
                       i % DOMAINS);
        buf_clear(&reply);
        if (i < DOMAINS)
            ask_control(sim, add, &reply);
        buf_clear(&reply);
        ask_control(sim, records, i == 0 ? &first : &reply);
        assert_true(view_find(buf_view(i == 0 ? &first : &reply), VIEW("v=DKIM1; k=ed25519; p=")) >= 0);
    }
    assert_true(view_eq(buf_view(&first), buf_view(&reply)));
    buf_fini(&first);
    buf_fini(&reply);
    sim_stop(sim);
    s->finished = true;
}

static void test_many_domains(void **state) {
    (void)state;
    struct sim sim;
    struct story s;
    story_init(&s);
    sim_init(&sim, 6, NULL, ACCOUNTS, 2);
    assert_true(sim_run(&sim, story_many_domains, &s));
    assert_true(s.finished);
    disk_free(sim_fini(&sim));
    story_fini(&s);
}

/* ---- without directory ---- */

/* It dies while the message comes: the login is gone with it. 451, and nothing unsigned is stored. */
static void story_away(struct sim *sim, void *arg) {
    struct story *s = arg;
    struct sim_client client;
    unsigned code = 0;
    assert_int_equal(sim_start(sim), ERR_OK);
    open_submission(sim, &client);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<anna@localhost>", &code), ERR_OK);
    assert_int_equal(sim_smtp(&client, "RCPT TO:<user@localhost>", &code), ERR_OK);
    assert_int_equal(code, 250);
    assert_int_equal(sim_smtp(&client, "DATA", &code), ERR_OK);
    assert_int_equal(code, 354);
    assert_int_equal(sim_write(&client, VIEW("From: anna@localhost\r\nSubject: away\r\n\r\nHello\r\n")), ERR_OK);
    assert_true(sim_kill(sim, ROLE_DIRECTORY, 0));
    assert_int_equal(sim_smtp(&client, ".", &code), ERR_OK);
    assert_int_equal(code, 451);
    assert_int_equal(sim_smtp(&client, "MAIL FROM:<anna@localhost>", &code), ERR_OK);
    assert_int_equal(code, 421);
    sim_close(&client);
    submit(sim, VIEW("From: anna@localhost\r\nSubject: back again\r\n\r\nHello\r\n"));
    sim_stop(sim);
    s->finished = true;
}

static void test_away(void **state) {
    (void)state;
    struct sim sim;
    struct story s;
    story_init(&s);
    sim_init(&sim, 5, NULL, ACCOUNTS, 2);
    assert_true(sim_run(&sim, story_away, &s));
    assert_true(s.finished);
    struct disk *disk = sim_fini(&sim);
    assert_int_equal(sim_count_messages(disk, 1, VIEW("Subject: away")), 0);
    assert_int_equal(sim_count_messages(disk, 1, VIEW("Subject: back again")), 1);
    assert_int_equal(sim_count_messages(disk, 1, VIEW("DKIM-Signature:")), 1);
    disk_free(disk);
    story_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed),       cmocka_unit_test(test_authors), cmocka_unit_test(test_new_key),
        cmocka_unit_test(test_many_domains), cmocka_unit_test(test_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
