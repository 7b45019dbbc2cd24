/*
 * Runs every session script of scripts/ against the real engine over a stream
 * pair on a virtual loop: with the input sent whole, octet by octet, and split
 * at random; and once more with the session saved and restored between commands
 * wherever that can be. The lines of a script:
 *
 *   # text           a comment
 *   @name value      a setting, see settings()
 *   C: text          the client sends text and CRLF; lines in a row go out together
 *   C| text          the same without CRLF
 *   T: seconds       the client waits
 *   S: text          this reply line comes next, exactly
 *   S: (end)         the server ends the session
 *   C: (end)         the client leaves
 *   C: (stop)        the role wants to end
 *   = text           what the role saw, in order; when a script has one such line, all are given
 *
 * Each script names the section it is about; together they cover RFC5321-3.3,
 * RFC5321-3.8, RFC5321-4.1.1.1 to RFC5321-4.1.1.11, RFC5321-4.1.4, RFC5321-4.5.2, RFC5321-4.5.3,
 * RFC1870-6.1, RFC1870-6.3, RFC2033-4.2, RFC2034-4, RFC2920-3.1, RFC3207-4.2, RFC4616-2,
 * RFC4954-4, RFC4954-5, RFC4954-6, RFC6152-3 and RFC6409-4.3; RFC2033-4.3, RFC3030-2, RFC3030-3,
 * RFC3461-4.1 to RFC3461-4.4, RFC6531-3.3 to RFC6531-3.5, RFC6531-3.7.4.2, RFC6533-3, RFC4865-4.2, RFC4865-5.2.2,
 * RFC2852-3, RFC2852-4, RFC6710-4.1, RFC6710-7, RFC9422-4.1 to RFC9422-4.3, RFC3865-2.1 to RFC3865-2.4,
 * RFC8689-2, RFC7504-3 and RFC7504-4.
 *
 * Escapes in C and S lines: \r \n \0 \\ \xNN, and {text*N} is text N times.
 */
#include "base/reader.h"
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPTS SOURCE_DIR "/src/smtp/scripts"
#define TEXT_MAX ((size_t)16 * 1024 * 1024)
#define PAIR_CAPACITY 65536
#define SPLIT_PAUSE_US 10                /* lets the server take what was sent */
#define EPOCH_SHIFT (1000000 * US_PER_S) /* times before 1970 are rounded like others */

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
    struct smtp_server_params params;
    struct smtp_server_ops ops;
    struct smtp_session_facts facts;
    bool stopping, only_whole, spool_fails, saving;
    size_t saves;
    uint64_t budget, held;
    struct buf trace, expected_trace;
    bool has_expected_trace;
    int open_transactions;
    enum err result;
    bool server_done;
    char failure[1024];
};

/* ---- the role ---- */

static void trace(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void trace(struct play *p, const char *format, ...) {
    char line[1200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buf_put(&p->trace, view_of(line, MIN((size_t)n, sizeof(line) - 1)));
    buf_put_byte(&p->trace, '\n');
}

/* Puts v with escapes as scripts write them; long texts by their size only. */
static void put_escaped(struct buf *out, struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c == '\r')
            buf_put_str(out, "\\r");
        else if (c == '\n')
            buf_put_str(out, "\\n");
        else if (c == 0)
            buf_put_str(out, "\\0");
        else if (c == '\\')
            buf_put_str(out, "\\\\");
        else if (c < 32 || c > 126)
            buf_printf(out, "\\x%02x", c);
        else
            buf_put_byte(out, c);
    }
}

static enum err role_auth(void *ctx, struct smtp_session *session, struct view user, struct view password,
                          struct smtp_reply *reply) {
    struct play *p = ctx;
    (void)session;
    trace(p, "auth %.*s", VIEW_FMT(user));
    if (view_eq(password, VIEW("later")))
        return ERR_TEMPORARY;
    if (view_eq(password, VIEW("expired"))) {
        *reply = (struct smtp_reply){534, VIEW("5.7.9"), VIEW("Password has expired")};
        return ERR_DENIED;
    }
    if (view_eq(user, VIEW("alias")))
        return smtp_session_set_authenticated(session, VIEW("real@example.org"));
    return view_eq(password, VIEW("secret")) ? ERR_OK : ERR_DENIED;
}

static enum err role_starttls(void *ctx, struct smtp_session *session, struct stream *plain, struct stream **out,
                              struct smtp_session_facts *facts) {
    struct play *p = ctx;
    (void)session;
    trace(p, "starttls");
    facts->tls = true;
    plain->encrypted = true;
    *out = plain;
    return ERR_OK;
}

/* Policy by local part. */
static void by_name(struct view local, struct smtp_reply *reply) {
    if (view_eq(local, VIEW("no")))
        *reply = (struct smtp_reply){550, VIEW("5.1.1"), VIEW("No such mailbox")};
    else if (view_eq(local, VIEW("later")))
        *reply = (struct smtp_reply){450, VIEW("4.2.1"), VIEW("Not now")};
    else if (view_eq(local, VIEW("lines")))
        *reply = (struct smtp_reply){550, VIEW("5.7.1"), VIEW("First\nSecond\x01\nThird")};
    else if (view_eq(local, VIEW("away")))
        *reply = (struct smtp_reply){421, VIEW("4.7.0"), VIEW("Go away")};
    else if (view_eq(local, VIEW("elsewhere")))
        *reply = (struct smtp_reply){251, VIEW("2.1.5"), VIEW("Will forward")};
    else if (view_eq(local, VIEW("nullmx")))
        *reply = (struct smtp_reply){556, VIEW("5.1.10"), VIEW("Domain does not take mail")};
    else if (view_eq(local, VIEW("bug")))
        *reply = (struct smtp_reply){354, VIEW_NONE, VIEW("no")};
}

/* What is not said is not shown. */
static void put_mail_parameters(const struct smtp_transaction *t, struct buf *out) {
    static const char *const rets[] = {"", " ret full", " ret hdrs"};
    buf_put_str(out, t->binary ? " binary" : "");
    buf_put_str(out, t->smtputf8 ? " smtputf8" : "");
    buf_put_str(out, t->requiretls ? " requiretls" : "");
    buf_put_str(out, rets[t->ret]);
    if (t->envid.n > 0)
        buf_printf(out, " envid %.*s", VIEW_FMT(t->envid));
    if (t->hold.n > 0)
        buf_printf(out, " hold %.*s until %lld", VIEW_FMT(t->hold), (long long)(t->hold_until_us / US_PER_S));
    if (t->has_by)
        buf_printf(out, " by %lld %s%s",
                   (long long)((t->deliver_by_us + EPOCH_SHIFT) / US_PER_S - EPOCH_SHIFT / US_PER_S),
                   t->by_return ? "return" : "notify", t->by_trace ? " trace" : "");
    if (t->has_priority)
        buf_printf(out, " priority %d", t->priority);
    if (t->solicit.n > 0)
        buf_printf(out, " solicit %.*s", VIEW_FMT(t->solicit));
}

static void role_mail(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    struct play *p = ctx;
    p->open_transactions++;
    struct view who = smtp_session_facts(session)->authenticated;
    struct buf more;
    buf_init(&more, 4096);
    put_mail_parameters(t, &more);
    trace(p, "mail <%.*s> size %llu eightbit %d%s%.*s%.*s", VIEW_FMT(t->sender.whole),
          (unsigned long long)t->declared_size, t->eightbit, who.n > 0 ? " as " : "", VIEW_FMT(who),
          VIEW_FMT(buf_view(&more)));
    buf_fini(&more);
    if (view_eq(t->sender.local, VIEW("lower")))
        t->priority = -3;
    by_name(t->sender.local, reply);
}

static void role_rcpt(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                      struct smtp_reply *reply) {
    struct play *p = ctx;
    (void)session;
    (void)t;
    trace(p, "rcpt <%.*s>%s%.*s%s%s%s%s", VIEW_FMT(r->address), r->orcpt.n > 0 ? " orcpt " : "", VIEW_FMT(r->orcpt),
          r->notify & SMTP_NOTIFY_NEVER ? " never" : "", r->notify & SMTP_NOTIFY_SUCCESS ? " success" : "",
          r->notify & SMTP_NOTIFY_FAILURE ? " failure" : "", r->notify & SMTP_NOTIFY_DELAY ? " delay" : "");
    assert_true(view_starts(r->address, r->local) && view_ends(r->address, r->domain));
    by_name(r->local, reply);
}

static enum err role_spool(void *ctx, struct smtp_session *session, struct file **out) {
    struct play *p = ctx;
    (void)session;
    trace(p, "spool");
    return p->spool_fails ? ERR_FULL : file_new_memory("spool", out);
}

static enum err role_account(void *ctx, struct smtp_session *session, uint64_t octets) {
    struct play *p = ctx;
    (void)session;
    if (p->budget != 0 && octets > p->budget)
        return ERR_FULL;
    p->held = octets;
    return ERR_OK;
}

static uint64_t fnv(uint64_t h, struct view v) {
    for (size_t i = 0; i < v.n; i++)
        h = (h ^ v.p[i]) * UINT64_C(1099511628211);
    return h;
}

static void role_data(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    struct play *p = ctx;
    (void)session;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (t->body_file != NULL) {
        uint64_t size;
        assert_int_equal(file_size(t->body_file, &size), ERR_OK);
        assert_int_equal(size, t->body_size);
        size_t got;
        uint8_t *to = buf_room(&text, (size_t)size);
        assert_int_equal(file_read(t->body_file, to, (size_t)size, 0, &got), ERR_OK);
        assert_int_equal(got, size);
        buf_added(&text, got);
    } else {
        buf_put(&text, t->body);
    }
    assert_int_equal(text.n, t->body_size);
    if (text.n <= 300) {
        struct buf line;
        buf_init(&line, TEXT_MAX);
        put_escaped(&line, buf_view(&text));
        trace(p, "data eightbit %d%s %.*s", t->eightbit, t->bare ? " bare" : "", VIEW_FMT(buf_view(&line)));
        buf_fini(&line);
    } else {
        trace(p, "data eightbit %d%s of %zu octets, %016llx", t->eightbit, t->bare ? " bare" : "", text.n,
              (unsigned long long)fnv(UINT64_C(14695981039346656037), buf_view(&text)));
    }
    buf_fini(&text);
    *reply = (struct smtp_reply){250, VIEW("2.0.0"), VIEW("Accepted")};
    for (size_t i = 0; i < t->recipients_n; i++) {
        struct smtp_recipient *r = &t->recipients[i];
        r->result = *reply;
        if (view_eq(r->local, VIEW("full")))
            r->result = (struct smtp_reply){452, VIEW("4.2.2"), VIEW("Mailbox is full")};
        else if (view_eq(r->local, VIEW("silent")))
            r->result = *reply = (struct smtp_reply){0};
        else if (view_eq(r->local, VIEW("spam")))
            r->result = *reply = (struct smtp_reply){550, VIEW("5.7.1"), VIEW("Not wanted")};
    }
}

static void role_end(void *ctx, struct smtp_session *session, struct smtp_transaction *t) {
    struct play *p = ctx;
    (void)session;
    (void)t;
    trace(p, "end");
    p->open_transactions--;
}

static void role_event(void *ctx, struct smtp_session *session, const char *event, struct view detail) {
    (void)ctx;
    (void)session;
    assert_true(event[0] != 0);
    assert_true(detail.n <= SMTP_AUTH_LINE_MAX);
}

/* ---- reading scripts ---- */

static uint64_t number(struct view v) {
    uint64_t n;
    assert_int_equal(view_to_u64(v, INT64_MAX, &n), ERR_OK);
    return n;
}

static void unescape(struct view v, struct buf *out) {
    struct reader r = {v, 0, ERR_OK};
    while (!reader_at_end(&r)) {
        int c = reader_byte(&r);
        if (c == '{') {
            struct view body = reader_until(&r, '}'), text, count;
            ssize_t star = view_rfind_byte(body, '*');
            assert_true(star > 0);
            text = view_sub(body, 0, (size_t)star);
            count = view_skip(body, (size_t)star + 1);
            assert_true(reader_expect(&r, '}'));
            for (uint64_t n = number(count); n > 0; n--)
                unescape(text, out);
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

static unsigned offer(struct view name) {
    static const struct {
        struct view name;
        unsigned bit;
    } offers[] = {{VIEW_INIT("chunking"), SMTP_OFFER_CHUNKING},
                  {VIEW_INIT("binarymime"), SMTP_OFFER_BINARYMIME},
                  {VIEW_INIT("dsn"), SMTP_OFFER_DSN},
                  {VIEW_INIT("smtputf8"), SMTP_OFFER_SMTPUTF8},
                  {VIEW_INIT("futurerelease"), SMTP_OFFER_FUTURERELEASE},
                  {VIEW_INIT("deliverby"), SMTP_OFFER_DELIVERBY},
                  {VIEW_INIT("mt-priority"), SMTP_OFFER_MT_PRIORITY},
                  {VIEW_INIT("limits"), SMTP_OFFER_LIMITS},
                  {VIEW_INIT("no-soliciting"), SMTP_OFFER_NO_SOLICITING},
                  {VIEW_INIT("requiretls"), SMTP_OFFER_REQUIRETLS}};
    for (size_t i = 0; i < ARRAY_LEN(offers); i++)
        if (view_eq(offers[i].name, name))
            return offers[i].bit;
    return 0;
}

/* The settings of extensions. */
static bool setting_of_extension(struct play *p, struct view name, struct view value) {
    struct smtp_server_params *params = &p->params;
    if (view_eq(name, VIEW("offer")))
        params->extensions |= offer(value);
    else if (view_eq(name, VIEW("hold-max")))
        params->hold_max_s = (uint32_t)number(value);
    else if (view_eq(name, VIEW("by-min")))
        params->by_min_s = (uint32_t)number(value);
    else if (view_eq(name, VIEW("priority-policy")))
        params->priority_policy = value;
    else if (view_eq(name, VIEW("priority-trusted")))
        params->priority_trusted = true;
    else if (view_eq(name, VIEW("no-soliciting")))
        params->no_soliciting = value;
    else if (view_eq(name, VIEW("mails-max")))
        params->mails_max = (uint32_t)number(value);
    else if (view_eq(name, VIEW("domains-max")))
        params->recipient_domains_max = (uint32_t)number(value);
    else if (view_eq(name, VIEW("refuse")))
        params->refuse = (struct smtp_reply){(uint16_t)number(value), VIEW_NONE, VIEW("No mail here")};
    else
        return false;
    return !view_eq(name, VIEW("offer")) || offer(value) != 0;
}

static bool setting(struct play *p, struct view line) {
    struct view name, value;
    (void)view_split(view_skip(line, 1), ' ', &name, &value);
    if (view_eq(name, VIEW("kind")))
        p->params.kind = view_eq(value, VIEW("submission")) ? SMTP_KIND_SUBMISSION
                         : view_eq(value, VIEW("lmtp"))     ? SMTP_KIND_LMTP
                                                            : SMTP_KIND_MX;
    else if (view_eq(name, VIEW("size-max")))
        p->params.size_max = number(value);
    else if (view_eq(name, VIEW("recipients-max")))
        p->params.recipients_max = (uint32_t)number(value);
    else if (view_eq(name, VIEW("budget")))
        p->budget = number(value);
    else if (view_eq(name, VIEW("tls-available")))
        p->params.tls_available = true;
    else if (view_eq(name, VIEW("tls")))
        p->facts.tls = true;
    else if (view_eq(name, VIEW("spool-fails")))
        p->spool_fails = true;
    else if (view_eq(name, VIEW("only-whole")))
        p->only_whole = true; /* what comes behind STARTTLS is gone only if it came with it */
    else
        return setting_of_extension(p, name, value);
    return true;
}

static bool settings(struct play *p) {
    struct view rest = p->script, line;
    while (view_split(rest, '\n', &line, &rest)) {
        if (view_starts(line, VIEW("@")) && !setting(p, line))
            return false;
        if (view_starts(line, VIEW("= "))) {
            p->has_expected_trace = true;
            buf_put(&p->expected_trace, view_skip(line, 2));
            buf_put_byte(&p->expected_trace, '\n');
        }
    }
    return rest.n == 0;
}

/* ---- the client ---- */

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

static enum err send_some(struct play *p, struct view v) {
    while (v.n > 0) {
        size_t n = p->split == SPLIT_WHOLE   ? v.n
                   : p->split == SPLIT_BYTES ? 1
                                             : 1 + random_below(&p->random.random, 40);
        /* Long texts are not worth a switch per octet. */
        if (v.n > 20000 && p->split != SPLIT_WHOLE)
            n = 1000 + random_below(&p->random.random, 9000);
        struct view piece = view_sub(v, 0, n);
        TRY(stream_write(p->client, piece, US_NEVER));
        v = view_skip(v, piece.n);
        if (p->split != SPLIT_WHOLE)
            TRY(co_sleep(SPLIT_PAUSE_US));
    }
    return ERR_OK;
}

static void expect_line(struct play *p, struct input *input, struct view text) {
    struct buf want;
    buf_init(&want, TEXT_MAX);
    unescape(text, &want);
    bool want_end = view_eq(text, VIEW("(end)"));
    for (;;) {
        struct view pending = input_pending(input);
        ssize_t lf = view_find_byte(pending, '\n');
        if (lf >= 0) {
            struct view line = view_sub(pending, 0, (size_t)lf + 1);
            input_consume(input, line.n);
            if (!view_ends(line, VIEW("\r\n")))
                went_wrong(p, "line end", VIEW("CRLF"), line);
            if (line.n > SMTP_LINE_MAX)
                went_wrong(p, "line length", VIEW("at most 512"), line);
            line.n -= MIN(line.n, 2);
            if (want_end || !view_eq(line, buf_view(&want)))
                went_wrong(p, "reply", buf_view(&want), line);
            break;
        }
        /* Longer than any idle time of the server. */
        enum err err = input_fill(input, loop_now_us(p->loop) + 86400 * US_PER_S);
        if (err == ERR_OK)
            continue;
        if (!want_end || err != ERR_CLOSED)
            went_wrong(p, "reply", buf_view(&want), view_cstr(err_name(err)));
        break;
    }
    buf_fini(&want);
}

static void client_line(struct play *p, struct view line, struct buf *out, struct input *input) {
    struct view text = view_skip(line, 3);
    bool is_client = view_starts(line, VIEW("C"));
    bool is_act = is_client && view_starts(text, VIEW("("));
    if (is_client && !is_act) {
        unescape(text, out);
        if (line.p[1] == ':')
            buf_put_str(out, "\r\n");
        return;
    }
    assert_int_equal(buf_err(out), ERR_OK);
    /* A server that has left does not read; what it said before is still checked. */
    (void)!send_some(p, buf_view(out));
    buf_clear(out);
    if (view_starts(line, VIEW("S: "))) {
        expect_line(p, input, text);
    } else if (view_starts(line, VIEW("T: "))) {
        (void)!co_sleep((int64_t)number(text) * US_PER_S);
    } else if (view_eq(text, VIEW("(end)"))) {
        stream_shutdown(p->client);
    } else {
        assert_true(view_eq(text, VIEW("(stop)")));
        (void)!co_sleep(US_PER_S);
        p->stopping = true;
        stream_interrupt(p->server);
    }
}

static void client_body(void *arg) {
    struct play *p = arg;
    struct buf out;
    struct input input;
    buf_init(&out, TEXT_MAX);
    input_init(&input, p->client, TEXT_MAX);
    struct view rest = p->script, line;
    while (view_split(rest, '\n', &line, &rest) && p->failure[0] == 0) {
        bool is_ours = view_starts(line, VIEW("C: ")) || view_starts(line, VIEW("C| ")) ||
                       view_starts(line, VIEW("S: ")) || view_starts(line, VIEW("T: "));
        if (is_ours)
            client_line(p, line, &out, &input);
        else if (line.n > 0 && line.p[0] != '#' && line.p[0] != '@' && !view_starts(line, VIEW("= ")))
            went_wrong(p, "line of the script", VIEW("one of the kinds"), line);
    }
    (void)!send_some(p, buf_view(&out));
    input_fini(&input);
    buf_fini(&out);
    stream_shutdown(p->client);
}

static void server_body(void *arg) {
    struct play *p = arg;
    struct buf saved, restored;
    buf_init(&saved, TEXT_MAX);
    buf_init(&restored, TEXT_MAX);
    p->params.saved = &saved;
    while ((p->result = smtp_session_run(&p->params, &p->server, &p->facts)) == ERR_AGAIN) {
        p->saves++;
        buf_clear(&restored);
        buf_put(&restored, buf_view(&saved));
        buf_clear(&saved);
        p->params.restore = buf_view(&restored);
        p->facts = (struct smtp_session_facts){0};
    }
    buf_fini(&saved);
    buf_fini(&restored);
    stream_shutdown(p->server);
    p->server_done = true;
}

/* ---- one play ---- */

static size_t play(const char *name, struct view script, enum split split, uint64_t seed, bool saving) {
    struct play *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->name = name;
    p->split = split;
    p->saving = saving;
    p->script = script;
    p->ops = (struct smtp_server_ops){.auth = role_auth,
                                      .starttls = role_starttls,
                                      .mail = role_mail,
                                      .rcpt = role_rcpt,
                                      .spool = role_spool,
                                      .account_spool = role_account,
                                      .data = role_data,
                                      .transaction_end = role_end,
                                      .event = role_event};
    p->params = (struct smtp_server_params){.kind = SMTP_KIND_MX,
                                            .ops = &p->ops,
                                            .ctx = p,
                                            .hostname = VIEW("mx.example.org"),
                                            .size_max = 1000000,
                                            .recipients_max = 100,
                                            .auth_requires_tls = true,
                                            .idle_us = 300 * US_PER_S,
                                            .stopping = &p->stopping,
                                            .saving = &p->saving};
    buf_init(&p->trace, TEXT_MAX);
    buf_init(&p->expected_trace, TEXT_MAX);
    virtual_clock_init(&p->clock, 0);
    random_seeded_init(&p->random, seed);
    if (!settings(p))
        went_wrong(p, "script", VIEW("known settings and a last newline"), VIEW_NONE);
    if (p->failure[0] == 0 && !(p->only_whole && split != SPLIT_WHOLE)) {
        p->loop = loop_new_virtual(&p->clock, &p->random.random, NULL);
        assert_non_null(p->loop);
        assert_int_equal(stream_new_pair(p->loop, PAIR_CAPACITY, &p->client, &p->server), ERR_OK);
        assert_int_equal(co_spawn(p->loop, NULL, "server", server_body, p, NULL), ERR_OK);
        assert_int_equal(co_spawn(p->loop, NULL, "client", client_body, p, NULL), ERR_OK);
        loop_run(p->loop);
        if (p->failure[0] == 0 && !p->server_done)
            went_wrong(p, "session", VIEW("an end"), VIEW("none"));
        if (p->failure[0] == 0 && p->has_expected_trace && !view_eq(buf_view(&p->trace), buf_view(&p->expected_trace)))
            went_wrong(p, "role", buf_view(&p->expected_trace), buf_view(&p->trace));
        if (p->failure[0] == 0 && (p->open_transactions != 0 || p->held != 0))
            went_wrong(p, "session", VIEW("no transaction left, no spool held"), VIEW("some"));
        stream_free(p->client);
        stream_free(p->server);
        loop_free(p->loop);
    }
    if (p->failure[0] != 0)
        fail_msg("%s, input %s%s, seed %llu: %s", p->name, split_names[split], saving ? ", saved and restored" : "",
                 (unsigned long long)seed, p->failure);
    size_t saves = p->saves;
    buf_fini(&p->trace);
    buf_fini(&p->expected_trace);
    free(p);
    return saves;
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
    for (int saving = 0; saving < 2; saving++) {
        size_t saves = play(name, buf_view(&text), SPLIT_WHOLE, 0, saving);
        /* Where a command succeeded there was a boundary to save at. */
        assert_true(saving ? saves > 0 || view_find(buf_view(&text), VIEW("S: 250")) < 0 : saves == 0);
        (void)play(name, buf_view(&text), SPLIT_BYTES, 0, saving);
        for (uint64_t seed = 1; seed <= RANDOM_RUNS; seed++)
            (void)play(name, buf_view(&text), SPLIT_RANDOM, seed, saving);
    }
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
    int failed = _cmocka_run_group_tests("smtp scripts", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(tests);
    return failed;
}
