/* Broken configurations and exactly what is said about them; whole ones and what they become. */
#include "config/config.h"
#include "config/values.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "veredus.conf" /* in the directory of the test, where the process stands */

struct world {
    char dir[64];
    struct arena *arena;
    struct buf problems;
    struct config config;
};

static void write_file(const char *name, struct view text) {
    FILE *f = fopen(name, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/veredus-config-XXXXXX");
    if (!mkdtemp(w->dir) || chdir(w->dir) != 0)
        return -1;
    w->arena = arena_new("test", 1 << 20);
    buf_init(&w->problems, 65536);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    static const char *const files[] = {NAME, "part.conf", "more.conf", "loop.conf", "a.pem", "dir"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        (void)remove(files[i]);
    (void)!chdir("/");
    int rc = rmdir(w->dir);
    arena_free(w->arena);
    buf_fini(&w->problems);
    free(w);
    return rc;
}

static enum err load(struct world *w, const char *text) {
    write_file(NAME, view_cstr(text));
    buf_clear(&w->problems);
    arena_clear(w->arena);
    enum err err = config_load(NAME, w->arena, &w->config, &w->problems);
    return err == ERR_OK ? config_check(&w->config, &w->problems) : err;
}

#define HEAD "hostname = \"m.example.org\"\ndata_dir = \"/tmp\"\n"
#define SMTP "listener { protocol = \"smtp\" address = \"0.0.0.0:25\" }\n"
#define GOOD HEAD SMTP

static const struct {
    const char *text, *problems;
} broken[] = {
    {"", NAME ":1: there is no hostname. Add: hostname = \"mail.example.org\".\n" NAME
              ":1: there is no data_dir. Add: data_dir = \"/var/lib/veredus\".\n" NAME
              ":1: there is no listener. Add: listener { protocol = \"smtp\" address = \"0.0.0.0:25\" }.\n"},
    {HEAD, NAME ":1: there is no listener. Add: listener { protocol = \"smtp\" address = \"0.0.0.0:25\" }.\n"},
    {GOOD "hostnam = \"x\"\n", NAME ":4: no such option 'hostnam'. Known here: hostname, data_dir, log_level, "
                                    "listener, tls, limits, dns, queue, users, include.\n"},
    {GOOD "log_level = \"info\"\ntls {\n", NAME ":5: the section that begins here never ends. Add its }.\n"},
    {GOOD "tls {\n  cert = \"/x\"\n}\n", NAME ":5: no such option 'cert'. Known here: certificate, key.\n"},
    /* lines are counted over comments of every kind, and text that only looks like one stays */
    {HEAD "# one\n// two\n/* three\n four # \" */ listener { # five\n protocol = smtp // six\n address = "
          "1.2.3.4#7\n}\n log_level = \"#//*\"\n/* open",
     NAME ":8: address: \"1.2.3.4\" is not an address with a port. Write IP:PORT, like 0.0.0.0:25 or [::]:25.\n" NAME
          ":10: log_level: \"#//*\" is not a log level. Write debug, info, warn or error.\n"},
    {GOOD "hostname \"x\"\n", NAME ":4: missing equal sign after option 'hostname'. Write NAME = VALUE, text in double "
                                   "quotes, sections as NAME { ... }.\n"},
    {GOOD "tls \"x\" {\n}\n", NAME ":4: missing opening brace for section 'tls'. Write NAME = VALUE, text in double "
                                   "quotes, sections as NAME { ... }.\n"},
    {GOOD "hostname = \"other.example\"\n",
     NAME ":4: hostname is set a second time (first at " NAME ":1). Keep one of the two.\n"},
    /* every wrong value is told in one run */
    {"hostname = \"a_b\"\ndata_dir = \"var\"\nlog_level = \"loud\"\n" SMTP, NAME
     ":1: hostname: \"a_b\" is not a host name. Write it like mail.example.org, international names as xn--...\n" NAME
     ":2: data_dir: \"var\" is not an absolute path. Write the whole path, beginning with /.\n" NAME
     ":3: log_level: \"loud\" is not a log level. Write debug, info, warn or error.\n"},
    {HEAD "listener {\n  protocol = \"pop3\"\n  address = \"0.0.0.0\"\n}\n",
     NAME ":4: protocol: \"pop3\" is not a protocol. Write smtp, submission, submissions, imap or imaps.\n" NAME
          ":5: address: \"0.0.0.0\" is not an address with a port. Write IP:PORT, like 0.0.0.0:25 or [::]:25.\n"},
    {GOOD "listener {\n  protocol = \"imap\"\n}\n",
     NAME ":5: this listener has no address. Add: address = \"0.0.0.0:25\" (with the port it needs).\n"},
    {GOOD "listener {\n  address = \"0.0.0.0:143\"\n  proxy = maybe\n}\n",
     NAME ":6: proxy: \"maybe\" is neither true nor false. Write true or false.\n" NAME
          ":5: this listener has no protocol. Add one of smtp, submission, submissions, imap, imaps.\n"},
    {GOOD "listener {\n}\n",
     NAME ":5: this listener has no protocol. Add one of smtp, submission, submissions, imap, imaps.\n" NAME
          ":5: this listener has no address. Add: address = \"0.0.0.0:25\" (with the port it needs).\n"},
    {GOOD SMTP, NAME ":4: port 25 is used by the listener in line 3 already. Give each its own.\n"},
    {HEAD "listener { protocol = \"smtp\" address = \"127.0.0.1:25\" }\nlistener { protocol = \"imap\" address = "
          "\"0.0.0.0:25\" }\n",
     NAME ":4: port 25 is used by the listener in line 3 already. Give each its own.\n"},
    {GOOD "limits {\n  message_size = \"9T\"\n  recipients = 5\n  connections = -1\n}\n",
     NAME ":5: message_size: \"9T\" is not a size within limits. Write octets, or a number with K, M or G, from 64K to "
          "4G.\n" NAME ":6: recipients: \"5\" is not a number within limits. Write a number from 100 to 1000.\n" NAME
          ":7: connections: \"-1\" is not a number within limits. Write a number from 1 to 50000.\n"},
    {GOOD "queue {\n  lifetime = 5\n  port = 0\n}\n",
     NAME ":5: lifetime: \"5\" is not a time within limits. Write a number with s, m, h or d, from 1h to 30d.\n" NAME
          ":6: port: \"0\" is not a number within limits. Write a number from 1 to 65535.\n"},
    {GOOD "dns { server = \"ns.example.org\" }\n",
     NAME ":4: server: \"ns.example.org\" is not an address. Write IP:PORT, like 127.0.0.1:53 or [::1]:53.\n"},
    {GOOD "include(\"missing.conf\")\n",
     NAME ":4: cannot include missing.conf: No such file or directory. Correct the name, or remove the line.\n"},
    {GOOD "include(\"/\")\n", NAME ":4: cannot include /: it is not a file. Correct the name, or remove the line.\n"},
    {GOOD "include(\"part.conf\")\n",
     "part.conf:2: log_level: \"x\" is not a log level. Write debug, info, warn or error.\n"},
    /* contradictions, and what the machine says */
    {GOOD "tls {\n  certificate = \"/nowhere/c.pem\"\n}\n",
     NAME ":5: tls has a certificate without a key. Set both, or none.\n" NAME
          ":5: cannot read the certificate /nowhere/c.pem: No such file or directory. Correct the path, or let this "
          "user read it.\n"},
    {GOOD "tls {\n  key = \"/tmp\"\n}\n", NAME ":5: tls has a key without a certificate. Set both, or none.\n" NAME
                                               ":5: the private key /tmp is not a file. Correct the path.\n"},
    {GOOD "dns {\n  trust_anchor = \"/nowhere/root.key\"\n}\n",
     NAME ":5: cannot read the trust anchor /nowhere/root.key: No such file or directory. Correct the path, or let "
          "this user read it.\n"},
    {"hostname = \"m.example\"\ndata_dir = \"/nowhere/at/all\"\n" SMTP,
     NAME ":2: data_dir /nowhere/at/all is not there and cannot be made. Make it, and give it to this user.\n"},
    {"hostname = \"m.example\"\ndata_dir = \"/etc/passwd\"\n" SMTP,
     NAME ":2: data_dir /etc/passwd is not a directory. Name another.\n"},
    {GOOD "users { account_first = 100000 }\n",
     NAME ":4: users has account_first without accounts. Set both, or none.\n"},
    {GOOD "users {\n  account_first = 1985999999\n  accounts = 5\n}\n",
     NAME ":5: the range of user ids holds 1986000000 to 1986000015, which the server's own processes use. Choose "
          "another account_first.\n"},
    {GOOD "users {\n  account_first = 4294967290\n  accounts = 9\n}\n",
     NAME ":6: the range of user ids ends above 4294967293. Use a lower account_first or fewer accounts.\n"},
    {GOOD "limits {\n  spool = \"1M\"\n}\n", NAME ":5: spool is smaller than message_size: a message that large would "
                                                  "never be taken. Raise spool or lower message_size.\n"},
    {GOOD "limits {\n  quota = \"1M\"\n}\n", NAME ":5: quota is smaller than message_size: a message that large would "
                                                  "never fit. Raise quota or lower message_size.\n"},
    {GOOD "limits {\n  connections = 10\n}\n",
     NAME ":0: connections_per_network is more than connections. Lower it.\n"},
    {GOOD "queue {\n  lifetime = 1h\n  retry = 2h\n}\n",
     NAME ":6: retry is longer than lifetime: mail would be returned before its second attempt. Lower retry.\n"},
    {GOOD "queue {\n  relay = false\n  port = 26\n}\n",
     NAME ":6: port is set, but relay is false and nothing leaves. Remove one of the two.\n"},
};

static void test_broken(void **state) {
    struct world *w = *state;
    write_file("part.conf", VIEW("\nlog_level = \"x\"\n"));
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        enum err err = load(w, broken[i].text);
        if (err != ERR_SYNTAX || !view_eq(buf_view(&w->problems), view_cstr(broken[i].problems)))
            fail_msg("%s\nsays (%s):\n%.*sand not:\n%s", broken[i].text, err_name(err),
                     VIEW_FMT(buf_view(&w->problems)), broken[i].problems);
    }
}

static void test_missing(void **state) {
    struct world *w = *state;
    assert_int_equal(config_load("missing", w->arena, &w->config, &w->problems), ERR_NOT_FOUND);
    assert_true(view_starts(buf_view(&w->problems), VIEW("missing:0: cannot read the configuration: No such file")));
    buf_clear(&w->problems);
    assert_int_equal(config_load("/", w->arena, &w->config, &w->problems), ERR_NOT_FOUND);
    assert_true(view_starts(buf_view(&w->problems), VIEW("/:0: cannot read the configuration: it is not a file.")));
}

static void test_values(void **state) {
    struct world *w = *state;
    write_file("a.pem", VIEW("x"));
    write_file("part.conf", VIEW("include(\"more.conf\")\n"));
    write_file("more.conf", VIEW("log_level = \"debug\"\n"));
    char text[2000];
    (void)snprintf(text, sizeof(text),
                   "hostname = \"Mail.Example.ORG\" # a comment\ndata_dir = \"%s\"\n"
                   "listener {\n protocol = submissions\n address = \"[2001:db8::1]:465\"\n proxy = yes\n}\n"
                   "listener { protocol = imap address = 192.0.2.1:143 }\n"
                   "tls { certificate = \"%s/a.pem\" key = \"%s/a.pem\" }\n"
                   "limits { message_size = 10M quota = 1G recipients = 100 connections = 600 connections_per_network "
                   "= 500 login_attempts = 3\n"
                   " spool = 20M edges = 2 throttle_loopback = no }\n"
                   "dns { server = \"192.0.2.53\" trust_anchor = \"%s/a.pem\" }\n"
                   "queue { relay = on port = 2525 lifetime = 2d retry = 90s }\n"
                   "users { account_first = 1900000000 accounts = 7 }\n"
                   "include(\"part.conf\")\n",
                   w->dir, w->dir, w->dir, w->dir);
    enum err err = load(w, text);
    if (err != ERR_OK)
        fail_msg("%.*s", VIEW_FMT(buf_view(&w->problems)));
    const struct config *c = &w->config;
    assert_true(view_eq(c->hostname, VIEW("mail.example.org")) && view_eq(c->data_dir, view_cstr(w->dir)));
    assert_int_equal(c->listeners_n, 2);
    assert_true(c->listeners[0].protocol == CONFIG_SUBMISSION && c->listeners[0].implicit_tls && c->listeners[0].proxy);
    assert_int_equal(c->listeners[0].address.family, 6);
    assert_int_equal(c->listeners[0].address.port, 465);
    assert_int_equal(c->listeners[0].line, 4);
    assert_true(c->listeners[1].protocol == CONFIG_IMAP && !c->listeners[1].implicit_tls && !c->listeners[1].proxy);
    assert_true(c->message_size_max == 10 << 20 && c->quota_octets == 1 << 30 && c->recipients_max == 100 &&
                c->connections_max == 600);
    assert_true(c->connections_per_network == 500 && c->login_attempts_max == 3 && c->spool_budget == 20 << 20 &&
                c->edges == 2);
    assert_false(c->throttle_loopback);
    assert_true(c->dns.family == 4 && c->dns.port == 53 && c->relay && c->relay_port == 2525);
    assert_true(c->queue_lifetime_us == INT64_C(172800) * US_PER_S && c->queue_retry_us == 90 * US_PER_S);
    assert_true(c->account_uid_first == 1900000000 && c->account_uids == 7 && c->log_level == LOG_DEBUG &&
                !c->localserve);
    assert_true(view_ends(c->tls_key_file, VIEW("/a.pem")) && view_ends(c->trust_anchor_file, VIEW("/a.pem")));
}

/* A file that includes itself must end with words, not with the process. */
static void test_include_loop(void **state) {
    struct world *w = *state;
    write_file("loop.conf", VIEW("include(\"loop.conf\")\n"));
    assert_int_equal(load(w, GOOD "include(\"loop.conf\")\n"), ERR_SYNTAX);
    assert_true(
        view_eq(buf_view(&w->problems), VIEW("loop.conf:1: cannot include loop.conf: it is part of the configuration "
                                             "already. Correct the name, or remove the line.\n")));
}

static void put_line_uncommented(struct buf *out, struct view line) {
    struct view trimmed = view_trim(line);
    /* "# name = value   # remark": a default; prose has no such shape */
    struct view name, value;
    bool is_default = view_starts(trimmed, VIEW("# ")) && view_split(view_skip(trimmed, 2), '=', &name, &value) &&
                      view_find_byte(view_trim(name), ' ') < 0;
    buf_put(out, is_default ? view_skip(trimmed, 2) : line);
    buf_put_byte(out, '\n');
}

static bool same_defaults(const struct config *a, const struct config *b) {
    return a->message_size_max == b->message_size_max && a->quota_octets == b->quota_octets &&
           a->recipients_max == b->recipients_max && a->connections_max == b->connections_max &&
           a->connections_per_network == b->connections_per_network && a->login_attempts_max == b->login_attempts_max &&
           a->spool_budget == b->spool_budget && a->edges == b->edges && a->queue_lifetime_us == b->queue_lifetime_us &&
           a->queue_retry_us == b->queue_retry_us && a->relay == b->relay && a->relay_port == b->relay_port &&
           a->throttle_loopback == b->throttle_loopback && a->log_level == b->log_level;
}

/* The example parses, says what it was asked to, and its commented defaults are the defaults. */
static void test_example(void **state) {
    struct world *w = *state;
    struct buf text, all;
    buf_init(&text, 65536);
    buf_init(&all, 65536);
    config_write_example(&text, VIEW("mail.example.org"), view_cstr(w->dir));
    buf_put_byte(&text, 0);
    assert_int_equal(buf_err(&text), ERR_OK);
    if (load(w, (const char *)text.p) != ERR_OK)
        fail_msg("%.*s", VIEW_FMT(buf_view(&w->problems)));
    assert_true(view_eq(w->config.hostname, VIEW("mail.example.org")) &&
                view_eq(w->config.data_dir, view_cstr(w->dir)));
    assert_int_equal(w->config.listeners_n, 5);
    struct config defaults;
    config_defaults(&defaults);
    assert_true(same_defaults(&w->config, &defaults));

    unsigned uncommented = 0;
    for (struct view rest = view_sub(buf_view(&text), 0, text.n - 1), line; rest.n;) {
        (void)view_split(rest, '\n', &line, &rest);
        size_t before = all.n;
        put_line_uncommented(&all, line);
        uncommented += all.n - before != line.n + 1;
    }
    buf_put_byte(&all, 0);
    assert_true(uncommented >= 20);
    write_file(NAME, view_sub(buf_view(&all), 0, all.n - 1));
    buf_clear(&w->problems);
    if (config_load(NAME, w->arena, &w->config, &w->problems) != ERR_OK)
        fail_msg("%.*s", VIEW_FMT(buf_view(&w->problems)));
    assert_true(same_defaults(&w->config, &defaults));
    buf_fini(&text);
    buf_fini(&all);
}

static void test_units(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t size, time_s; /* -1: refused */
    } cases[] = {{"0", 0, -1},
                 {"1", 1, -1},
                 {"1k", 1024, -1},
                 {"2M", 2 << 20, -1},
                 {"3G", INT64_C(3) << 30, -1},
                 {"", -1, -1},
                 {"M", -1, -1},
                 {"-1", -1, -1},
                 {"1 M", -1, -1},
                 {"1.5M", -1, -1},
                 {"1MM", -1, -1},
                 {"5s", -1, 5},
                 {"2m", 2 << 20, 120},
                 {"1h", -1, 3600},
                 {"1d", -1, 86400},
                 {"99999999999999999999", -1, -1},
                 {"18446744073709551615K", -1, -1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t size = 0;
        int64_t time_us = 0;
        enum err err = values_size(view_cstr(cases[i].text), &size);
        assert_int_equal(err == ERR_OK ? (int64_t)size : -1, cases[i].size);
        err = values_time(view_cstr(cases[i].text), &time_us);
        assert_int_equal(err == ERR_OK ? time_us / US_PER_S : -1, cases[i].time_s);
    }
}

/* Nothing of libconfuse's may stay behind: many loads, good and broken in turn, from one arena. */
static void test_again(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(load(w, i % 2 ? GOOD : GOOD "listener {\n bad = 1\n}\n"), i % 2 ? ERR_OK : ERR_SYNTAX);
        assert_true(i % 2 == 0 || w->config.listeners_n == 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_include_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_example, setup, teardown),
        cmocka_unit_test(test_units),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
