/*
 * Runs every script of client_scripts/ against the real client engine over a
 * stream pair on a virtual loop: with the server's octets sent whole, octet by
 * octet, and split at random. The lines of a script:
 *
 *   # text           a comment
 *   @name value      a setting: sender, rcpt (each adds one; notify and orcpt say more of the last one), prefix, body, tls,
 *                    require-tls, tls-fails, smtputf8, eightbit, binary, lmtp, requiretls, ret, envid, by, by-return, priority,
 *                    solicit, messages (how many, one after the other), probe (before each but the first),
 *                    only-whole (what is early depends on the split)
 *   S: text          the server sends text and CRLF; lines in a row go out together
 *   S| text          the same without CRLF
 *   S: (end)         the server leaves
 *   C: text          this line comes next from the client, exactly, with CRLF
 *   C: (end)         the client leaves
 *   C: (skip) N      N octets come, whatever they are
 *   T: seconds       the server waits
 *   = text           the results: one "reply status text" a recipient, with "(session)" when the
 *                    server refused before MAIL, and in brackets why we did; or "err name"; then "dot" if the final dot went out
 *
 * Each script names the section it is about; together they cover RFC5321-3.2, RFC5321-3.8,
 * RFC5321-4.2.1, RFC5321-4.5.2, RFC5321-4.5.3.2, RFC1870-5, RFC2034-4, RFC2920-3.1, RFC3207-4.2,
 * RFC6152-3, RFC2033-4.1, RFC2033-4.2, RFC3030-2, RFC3030-3, RFC3461-4.1 to RFC3461-4.4, RFC3461-5.2.2, RFC6531-3.2,
 * RFC6531-3.4, RFC6533-3, RFC2852-3, RFC2852-4, RFC2852-4.1.4.1, RFC2852-4.1.4.2, RFC6710-3, RFC3865-2.3, RFC8689-4.2.1 and RFC9422-4.1 to RFC9422-4.3.
 *
 * Escapes in S, C, prefix and body: \r \n \0 \\ \xNN, and {text*N} is text N times.
 */
#include "base/reader.h"
#include "smtp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPTS SOURCE_DIR "/src/smtp/client_scripts"
#define TEXT_MAX ((size_t)16 * 1024 * 1024)
#define PAIR_CAPACITY 65536
#define SPLIT_PAUSE_US 10 /* lets the client take what was sent */
#define RECIPIENTS_MAX 300
#define ARENA_BUDGET ((size_t)1024 * 1024)

enum split { SPLIT_WHOLE, SPLIT_BYTES, SPLIT_RANDOM };
static const char *const split_names[] = {"whole", "byte by byte", "at random"};

struct play {
    const char *name;
    enum split split;
    struct view script;
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct stream *client, *server;
    struct smtp_client_params params;
    struct smtp_envelope envelope;
    struct view recipients[RECIPIENTS_MAX];
    struct smtp_recipient_options options[RECIPIENTS_MAX];
    uint64_t messages;
    bool probe;
    struct buf prefix, body;
    bool tls_fails, sent_dot, only_whole;
    struct arena *arena;
    struct buf expected, results;
    char failure[1024];
};

static void put_escaped(struct buf *out, struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c < 32 || c > 126)
            buf_printf(out, "\\x%02x", c);
        else
            buf_put_byte(out, c);
    }
}

static void went_wrong(struct play *p, const char *what, struct view expected, struct view got) {
    if (p->failure[0] != 0)
        return;
    struct buf text;
    buf_init(&text, sizeof(p->failure) - 1);
    buf_printf(&text, "%s: expected \"", what);
    put_escaped(&text, view_sub(expected, 0, 300));
    buf_put_str(&text, "\" got \"");
    put_escaped(&text, view_sub(got, 0, 300));
    buf_put_str(&text, "\"");
    memcpy(p->failure, text.p, text.n);
    p->failure[text.n] = 0;
    buf_fini(&text);
}

static uint64_t number(struct view v) {
    uint64_t n;
    assert_int_equal(view_to_u64(v, INT64_MAX, &n), ERR_OK);
    return n;
}

static void unescape(struct view v, struct buf *out) {
    struct reader r = reader_of(v);
    while (!reader_at_end(&r)) {
        int c = reader_byte(&r);
        if (c == '{') {
            struct view body = reader_until(&r, '}');
            ssize_t star = view_rfind_byte(body, '*');
            assert_true(star > 0);
            assert_true(reader_expect(&r, '}'));
            for (uint64_t n = number(view_skip(body, (size_t)star + 1)); n > 0; n--)
                unescape(view_sub(body, 0, (size_t)star), out);
        } else if (c == '\\') {
            c = reader_byte(&r);
            if (c == 'x')
                assert_int_equal(hex_decode(reader_take(&r, 2), out), ERR_OK);
            else
                buf_put_byte(out, (uint8_t)(c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? 0 : c));
        } else {
            buf_put_byte(out, (uint8_t)c);
        }
    }
}

/* ---- reading scripts ---- */

static enum err start_tls(void *ctx, struct stream *plain, struct stream **out) {
    struct play *p = ctx;
    if (p->tls_fails)
        return ERR_DENIED;
    plain->encrypted = true;
    *out = plain;
    return ERR_OK;
}

/* Settings of the extensions. */
static bool setting_more(struct play *p, struct view name, struct view value) {
    struct smtp_envelope *e = &p->envelope;
    struct smtp_recipient_options *last = &p->options[MAX(e->recipients_n, 1) - 1];
    if (view_eq(name, VIEW("binary")))
        e->binary = true;
    else if (view_eq(name, VIEW("lmtp")))
        p->params.lmtp = true;
    else if (view_eq(name, VIEW("requiretls")))
        e->requiretls = true;
    else if (view_eq(name, VIEW("ret")))
        e->ret = (uint8_t)number(value);
    else if (view_eq(name, VIEW("envid")))
        e->envid = value;
    else if (view_eq(name, VIEW("solicit")))
        e->solicit = value;
    else if (view_eq(name, VIEW("notify")))
        last->notify = (uint8_t)number(value);
    else if (view_eq(name, VIEW("orcpt")))
        last->orcpt = value;
    else if (view_eq(name, VIEW("by"))) {
        e->has_by = true;
        e->by_s = (int64_t)number(value);
    } else if (view_eq(name, VIEW("by-return")))
        e->by_return = true;
    else if (view_eq(name, VIEW("priority"))) {
        e->has_priority = true;
        e->priority = (int8_t)number(value);
    } else if (view_eq(name, VIEW("messages")))
        p->messages = number(value);
    else if (view_eq(name, VIEW("probe")))
        p->probe = true;
    else
        return false;
    return true;
}

static bool setting(struct play *p, struct view line) {
    struct view name, value;
    (void)view_split(view_skip(line, 1), ' ', &name, &value);
    if (view_eq(name, VIEW("sender")))
        p->envelope.sender = value;
    else if (view_eq(name, VIEW("rcpt")) && p->envelope.recipients_n < RECIPIENTS_MAX)
        p->recipients[p->envelope.recipients_n++] = value;
    else if (view_eq(name, VIEW("prefix")))
        unescape(value, &p->prefix);
    else if (view_eq(name, VIEW("body")))
        unescape(value, &p->body);
    else if (view_eq(name, VIEW("tls")))
        p->params.starttls = start_tls;
    else if (view_eq(name, VIEW("tls-fails")))
        p->tls_fails = true;
    else if (view_eq(name, VIEW("only-whole")))
        p->only_whole = true;
    else if (view_eq(name, VIEW("require-tls")))
        p->params.require_tls = true;
    else if (view_eq(name, VIEW("smtputf8")))
        p->envelope.smtputf8 = true;
    else if (view_eq(name, VIEW("eightbit")))
        p->envelope.eightbit = true;
    else
        return setting_more(p, name, value);
    return true;
}

static bool settings(struct play *p) {
    struct view rest = p->script, line;
    while (view_split(rest, '\n', &line, &rest)) {
        if (view_starts(line, VIEW("@")) && !setting(p, line))
            return false;
        if (view_starts(line, VIEW("= "))) {
            buf_put(&p->expected, view_skip(line, 2));
            buf_put_byte(&p->expected, '\n');
        }
    }
    return rest.n == 0;
}

/* ---- the server ---- */

static enum err send_some(struct play *p, struct view v) {
    while (v.n > 0) {
        size_t n = p->split == SPLIT_WHOLE   ? v.n
                   : p->split == SPLIT_BYTES ? 1
                                             : 1 + random_below(&p->random.random, 40);
        struct view piece = view_sub(v, 0, n);
        TRY(stream_write(p->server, piece, US_NEVER));
        v = view_skip(v, piece.n);
        if (p->split != SPLIT_WHOLE)
            TRY(co_sleep(SPLIT_PAUSE_US));
    }
    return ERR_OK;
}

/* Takes n octets, or up to and with the next LF (n 0), into got. */
static enum err take(struct play *p, struct input *input, size_t n, struct buf *got) {
    for (;;) {
        struct view pending = input_pending(input);
        ssize_t lf = view_find_byte(pending, '\n');
        size_t have = n > 0 ? MIN(n, pending.n) : lf >= 0 ? (size_t)lf + 1 : 0;
        buf_put(got, view_sub(pending, 0, have));
        input_consume(input, have);
        if (n > 0 ? (n -= have) == 0 : have > 0)
            return ERR_OK;
        TRY(input_fill(input, loop_now_us(p->loop) + 86400 * US_PER_S));
    }
}

static void expect_line(struct play *p, struct input *input, struct view text) {
    struct buf want, got;
    buf_init(&want, TEXT_MAX);
    buf_init(&got, TEXT_MAX);
    size_t skip = view_starts(text, VIEW("(skip) ")) ? (size_t)number(view_skip(text, 7)) : 0;
    bool want_end = view_eq(text, VIEW("(end)"));
    enum err err = take(p, input, skip, &got);
    if (want_end) {
        if (err != ERR_CLOSED)
            went_wrong(p, "client", text, buf_view(&got));
    } else if (err != ERR_OK) {
        went_wrong(p, "client", text, view_cstr(err_name(err)));
    } else if (skip == 0) {
        unescape(text, &want);
        buf_put_str(&want, "\r\n");
        if (!view_eq(buf_view(&want), buf_view(&got)))
            went_wrong(p, "client", buf_view(&want), buf_view(&got));
    }
    buf_fini(&want);
    buf_fini(&got);
}

static void server_line(struct play *p, struct view line, struct buf *out, struct input *input) {
    struct view text = view_skip(line, 3);
    bool is_end = view_eq(text, VIEW("(end)"));
    if (line.p[0] == 'S' && !is_end) {
        unescape(text, out);
        if (line.p[1] == ':')
            buf_put_str(out, "\r\n");
        return;
    }
    assert_int_equal(buf_err(out), ERR_OK);
    (void)!send_some(p, buf_view(out)); /* a client that left is noticed by what it should have said */
    buf_clear(out);
    if (line.p[0] == 'C')
        expect_line(p, input, text);
    else if (line.p[0] == 'T')
        (void)!co_sleep((int64_t)number(text) * US_PER_S);
    else
        stream_shutdown(p->server);
}

static void server_body(void *arg) {
    struct play *p = arg;
    struct buf out;
    struct input input;
    buf_init(&out, TEXT_MAX);
    input_init(&input, p->server, TEXT_MAX);
    struct view rest = p->script, line;
    while (view_split(rest, '\n', &line, &rest) && p->failure[0] == 0) {
        bool is_ours = view_starts(line, VIEW("C: ")) || view_starts(line, VIEW("S| ")) ||
                       view_starts(line, VIEW("S: ")) || view_starts(line, VIEW("T: "));
        if (is_ours)
            server_line(p, line, &out, &input);
        else if (line.n > 0 && line.p[0] != '#' && line.p[0] != '@' && !view_starts(line, VIEW("= ")))
            went_wrong(p, "line of the script", VIEW("one of the kinds"), line);
    }
    (void)!send_some(p, buf_view(&out));
    input_fini(&input);
    buf_fini(&out);
    stream_free(p->server);
    p->server = NULL;
}

static void put_outcome(struct play *p, const struct smtp_outcome *outcome) {
    static const char *const whys[] = {"",          " [address]",  " [size]",       " [tls]",       " [eightbit]",
                                       " [binary]", " [smtputf8]", " [requiretls]", " [deliverby]", " [limit]",
                                       " [lost]"};
    buf_printf(&p->results, "%u ", outcome->reply);
    buf_put(&p->results, outcome->status);
    buf_put_byte(&p->results, ' ');
    put_escaped(&p->results, outcome->text);
    buf_put_str(&p->results, outcome->is_of_session ? " (session)" : "");
    buf_put_str(&p->results, whys[outcome->why]);
    buf_put_str(&p->results, outcome->is_relayed_without_dsn ? " relayed-without-dsn" : "");
    buf_put_str(&p->results, outcome->is_relayed_without_by ? " relayed-without-by" : "");
    buf_put_str(&p->results, "\n");
}

static void put_results(struct play *p, enum err err, const struct smtp_outcome *outcomes) {
    if (err != ERR_OK)
        buf_printf(&p->results, "err %s\n", err_name(err));
    for (size_t i = 0; err == ERR_OK && i < p->envelope.recipients_n; i++)
        put_outcome(p, &outcomes[i]);
    if (p->sent_dot)
        buf_put_str(&p->results, "dot\n");
}

static void send_messages(struct play *p, struct smtp_outcome *outcomes) {
    struct smtp_client *client = smtp_client_new(&p->params, &p->client);
    assert_non_null(client);
    for (uint64_t i = 0; i < p->messages; i++) {
        enum err err = i > 0 && p->probe ? smtp_client_probe(client) : ERR_OK;
        if (err != ERR_OK) {
            buf_printf(&p->results, "probe %s\n", err_name(err));
            break;
        }
        bool may_send = smtp_client_may_send(client);
        err = smtp_client_transact(client, &p->envelope, p->arena, outcomes, &p->sent_dot);
        assert_true(may_send || err == ERR_LIMIT);
        put_results(p, err, outcomes);
    }
    smtp_client_free(client);
}

static void client_body(void *arg) {
    struct play *p = arg;
    struct smtp_outcome outcomes[RECIPIENTS_MAX];
    if (p->messages > 0)
        send_messages(p, outcomes);
    else
        put_results(p, smtp_client_send(&p->params, &p->client, &p->envelope, p->arena, outcomes, &p->sent_dot),
                    outcomes);
    stream_free(p->client);
    p->client = NULL;
}

/* ---- one play ---- */

static void play(const char *name, struct view script, enum split split, uint64_t seed) {
    struct play *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->name = name;
    p->split = split;
    p->script = script;
    p->params = (struct smtp_client_params){.hostname = VIEW("client.example"), .ctx = p};
    p->envelope =
        (struct smtp_envelope){.sender = VIEW("a@example.com"), .recipients = p->recipients, .options = p->options};
    p->arena = arena_new("outcomes", ARENA_BUDGET);
    assert_non_null(p->arena);
    buf_init(&p->prefix, TEXT_MAX);
    buf_init(&p->body, TEXT_MAX);
    buf_init(&p->expected, TEXT_MAX);
    buf_init(&p->results, TEXT_MAX);
    virtual_clock_init(&p->clock, 0);
    random_seeded_init(&p->random, seed);
    if (!settings(p))
        went_wrong(p, "script", VIEW("known settings and a last newline"), VIEW_NONE);
    if (p->envelope.recipients_n == 0)
        p->recipients[p->envelope.recipients_n++] = VIEW("b@example.org");
    p->envelope.prefix = buf_view(&p->prefix);
    p->envelope.size = p->prefix.n + p->body.n;
    assert_int_equal(file_new_memory("body", &p->envelope.body), ERR_OK);
    assert_int_equal(file_write(p->envelope.body, buf_view(&p->body), 0), ERR_OK);
    if (p->failure[0] == 0 && !(p->only_whole && split != SPLIT_WHOLE)) {
        p->loop = loop_new_virtual(&p->clock, &p->random.random, NULL);
        assert_non_null(p->loop);
        assert_int_equal(stream_new_pair(p->loop, PAIR_CAPACITY, &p->client, &p->server), ERR_OK);
        assert_int_equal(co_spawn(p->loop, NULL, "client", client_body, p, NULL), ERR_OK);
        assert_int_equal(co_spawn(p->loop, NULL, "server", server_body, p, NULL), ERR_OK);
        loop_run(p->loop);
        if (!view_eq(buf_view(&p->expected), buf_view(&p->results)))
            went_wrong(p, "results", buf_view(&p->expected), buf_view(&p->results));
        loop_free(p->loop);
    }
    if (p->failure[0] != 0)
        fail_msg("%s, input %s, seed %llu: %s", p->name, split_names[split], (unsigned long long)seed, p->failure);
    file_unref(p->envelope.body);
    buf_fini(&p->prefix);
    buf_fini(&p->body);
    buf_fini(&p->expected);
    buf_fini(&p->results);
    arena_free(p->arena);
    free(p);
}

#define RANDOM_RUNS 8

static void test_script(void **state) {
    const char *name = *state;
    char path[512];
    snprintf(path, sizeof(path), SCRIPTS "/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (;;) {
        uint8_t *to = buf_room(&text, 65536);
        assert_non_null(to);
        size_t n = fread(to, 1, 65536, f);
        buf_added(&text, n);
        if (n == 0)
            break;
    }
    fclose(f);
    play(name, buf_view(&text), SPLIT_WHOLE, 0);
    play(name, buf_view(&text), SPLIT_BYTES, 0);
    for (uint64_t seed = 1; seed <= RANDOM_RUNS; seed++)
        play(name, buf_view(&text), SPLIT_RANDOM, seed);
    buf_fini(&text);
}

#define SCRIPTS_MAX 500

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void) {
    static char *names[SCRIPTS_MAX];
    size_t n = 0;
    DIR *dir = opendir(SCRIPTS);
    if (dir == NULL)
        return 1;
    for (struct dirent *e; (e = readdir(dir)) != NULL && n < SCRIPTS_MAX;)
        if (view_ends(view_cstr(e->d_name), VIEW(".txt")))
            names[n++] = strdup(e->d_name);
    closedir(dir);
    if (n == 0)
        return 1;
    qsort(names, n, sizeof(names[0]), by_text);
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    if (tests == NULL)
        return 1;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){names[i], test_script, NULL, NULL, names[i]};
    int failed = _cmocka_run_group_tests("smtp client scripts", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(tests);
    return failed;
}
