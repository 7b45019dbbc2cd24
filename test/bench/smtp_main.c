/*
 * bench_smtp: N sessions deliver M messages of S octets to a server on this
 * machine; one line of JSON says how fast and with which errors.
 */
#include "bench/bench.h"

#include <stdlib.h>

#define SESSIONS_MAX 20000
#define ERRORS_MAX 100            /* then the run is over: the server refuses, and more of the same tells nothing */
#define FINISH_US (30 * US_PER_S) /* after the time is up: for the messages on their way */

enum smtp_step { STEP_GREETING, STEP_EHLO, STEP_AUTH, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BODY, STEP_QUIT };
static const int wanted_codes[] = {[STEP_GREETING] = 220, [STEP_EHLO] = 250, [STEP_AUTH] = 235, [STEP_MAIL] = 250,
                                   [STEP_RCPT] = 250,     [STEP_DATA] = 354, [STEP_BODY] = 250, [STEP_QUIT] = 221};

struct session {
    struct bench_conn conn;
    struct run *run;
    enum smtp_step step;
    bool is_busy; /* has a message */
    uint64_t message, rcpts_left, sent_here;
    int64_t started_us, dot_us;
};

struct run {
    uint64_t port, sessions, messages, size, seconds, to_count, rcpts, per_session;
    struct view to, from, user, password;
    bool is_tls, no_pipelining;
    struct bench_net *net;
    struct session *all;
    uint64_t open, next_message, next_to, accepted, errors;
    int64_t first_us, last_us, stop_us;
    struct random_seeded random;
    struct bench_samples whole, commit; /* MAIL to the final reply; the final dot to it */
    struct buf work, first_error;
};

static void session_open(struct session *s) {
    s->step = STEP_GREETING;
    s->sent_here = 0;
    s->run->open++;
    bench_conn_open(s->run->net, &s->conn);
}

static bool is_over(const struct run *run) {
    return run->next_message >= run->messages || run->errors >= ERRORS_MAX || bench_now_us() >= run->stop_us;
}

static void count_error(struct session *s, struct view why) {
    struct run *run = s->run;
    if (run->errors++ == 0) {
        buf_printf(&run->first_error, "step %d: ", (int)s->step);
        buf_put(&run->first_error, view_sub(why, 0, 300));
    }
    s->is_busy = false;
}

static void put_rcpt(struct run *run, struct buf *out) {
    buf_put_str(out, "RCPT TO:<");
    bench_put_pattern(out, run->to, run->to_count > 0 ? run->next_to++ % run->to_count : 0);
    buf_put_str(out, ">\r\n");
}

static void send_work(struct session *s) {
    bench_conn_put(&s->conn, buf_view(&s->run->work));
    buf_clear(&s->run->work);
}

static void next_message(struct session *s) {
    struct run *run = s->run;
    struct buf *out = &run->work;
    if (is_over(run)) {
        s->step = STEP_QUIT;
        bench_conn_put(&s->conn, VIEW("QUIT\r\n"));
        return;
    }
    s->is_busy = true;
    s->message = run->next_message++;
    s->rcpts_left = run->rcpts;
    s->started_us = bench_now_us();
    if (run->first_us == 0)
        run->first_us = s->started_us;
    s->step = STEP_MAIL;
    buf_printf(out, "MAIL FROM:<%.*s>\r\n", VIEW_FMT(run->from));
    if (!run->no_pipelining) { /* RFC2920-3.1: DATA is the last of a group */
        for (uint64_t i = 0; i < run->rcpts; i++)
            put_rcpt(run, out);
        buf_put_str(out, "DATA\r\n");
    }
    send_work(s);
}

static void send_body(struct session *s) {
    struct buf *out = &s->run->work;
    bench_put_message(out, &s->run->random.random, s->message, s->run->size);
    buf_put_str(out, ".\r\n");
    s->dot_us = bench_now_us();
    send_work(s);
}

static void body_done(struct session *s) {
    struct run *run = s->run;
    run->last_us = bench_now_us();
    run->accepted++;
    bench_samples_add(&run->whole, run->last_us - s->started_us);
    bench_samples_add(&run->commit, run->last_us - s->dot_us);
    s->is_busy = false;
    if (run->per_session == 0 || ++s->sent_here < run->per_session || is_over(run)) {
        next_message(s);
        return;
    }
    bench_conn_close(&s->conn);
    run->open--;
    session_open(s);
}

static void authenticate(struct session *s) {
    struct run *run = s->run;
    struct buf plain;
    buf_init(&plain, 2000);
    buf_put_byte(&plain, 0);
    buf_put(&plain, run->user);
    buf_put_byte(&plain, 0);
    buf_put(&plain, run->password);
    buf_put_str(&run->work, "AUTH PLAIN ");
    buf_put_base64(&run->work, buf_view(&plain));
    buf_put_str(&run->work, "\r\n");
    buf_fini(&plain);
    s->step = STEP_AUTH;
    send_work(s);
}

/* The reply to the step's command was as wanted. */
static void step_done(struct session *s) {
    struct run *run = s->run;
    switch (s->step) {
    case STEP_GREETING:
        s->step = STEP_EHLO;
        bench_conn_put(&s->conn, VIEW("EHLO load.example\r\n"));
        break;
    case STEP_EHLO:
        if (run->user.n > 0)
            authenticate(s);
        else
            next_message(s);
        break;
    case STEP_AUTH:
        next_message(s);
        break;
    case STEP_MAIL:
        s->step = STEP_RCPT;
        if (run->no_pipelining) {
            put_rcpt(run, &run->work);
            send_work(s);
        }
        break;
    case STEP_RCPT:
        if (--s->rcpts_left == 0)
            s->step = STEP_DATA;
        if (!run->no_pipelining)
            break;
        if (s->rcpts_left > 0)
            put_rcpt(run, &run->work);
        else
            buf_put_str(&run->work, "DATA\r\n");
        send_work(s);
        break;
    case STEP_DATA:
        s->step = STEP_BODY;
        send_body(s);
        break;
    case STEP_BODY:
        body_done(s);
        break;
    case STEP_QUIT:
        bench_conn_close(&s->conn);
        run->open--;
        break;
    }
}

/* A session that met an error begins anew, until there were too many. */
static void again(struct session *s) {
    s->run->open--;
    if (!is_over(s->run))
        session_open(s);
}

static void on_line(struct bench_conn *conn, struct view line) {
    struct session *s = conn->user;
    uint32_t code;
    if (line.n >= 4 && line.p[3] == '-') /* RFC5321-4.2.1: more lines of this reply follow */
        return;
    if (view_to_u32(view_sub(line, 0, 3), 999, &code) == ERR_OK && (int)code == wanted_codes[s->step]) {
        step_done(s);
        return;
    }
    count_error(s, line);
    bench_conn_close(conn);
    again(s);
}

static void on_opened(struct bench_conn *conn) {
    (void)conn; /* the server speaks first */
}

static void on_closed(struct bench_conn *conn, const char *why) {
    struct session *s = conn->user;
    if (s->step != STEP_QUIT)
        count_error(s, view_cstr(why));
    again(s);
}

static const struct bench_conn_ops ops = {.opened = on_opened, .line = on_line, .closed = on_closed};

static void report(struct run *run, bool is_complete) {
    struct buf out;
    buf_init(&out, 100000);
    int64_t took_us = MAX(run->last_us - run->first_us, (int64_t)1);
    buf_printf(&out,
               "{\"bench\":\"smtp\",\"sessions\":%llu,\"size\":%llu,\"rcpts\":%llu,\"pipelining\":%s,\"accepted\":%llu,"
               "\"errors\":%llu,"
               "\"complete\":%s,\"seconds\":%.3f,\"messages_per_second\":%.1f,\"message_us\":",
               (unsigned long long)run->sessions, (unsigned long long)run->size, (unsigned long long)run->rcpts,
               run->no_pipelining ? "false" : "true", (unsigned long long)run->accepted,
               (unsigned long long)run->errors, is_complete ? "true" : "false", (double)took_us / 1e6,
               (double)run->accepted * 1e6 / (double)took_us);
    bench_put_samples(&out, &run->whole);
    buf_put_str(&out, ",\"commit_us\":");
    bench_put_samples(&out, &run->commit);
    buf_put_str(&out, ",\"first_error\":");
    bench_put_text(&out, buf_view(&run->first_error));
    buf_put_byte(&out, '}');
    bench_print(&out);
    buf_fini(&out);
}

int main(int argc, char **argv) {
    struct run run = {.port = 1025,
                      .sessions = 1,
                      .messages = 1000,
                      .size = 10240,
                      .seconds = 60,
                      .rcpts = 1,
                      .to = VIEW_INIT("user@localhost"),
                      .from = VIEW_INIT("bench@load.example")};
    const struct bench_option options[] = {
        {"--port", BENCH_NUMBER, &run.port, 65535, "of the server on 127.0.0.1 (1025)"},
        {"--tls", BENCH_FLAG, &run.is_tls, 0, "TLS from the first octet"},
        {"--user", BENCH_TEXT, &run.user, 0, "AUTH PLAIN with this name"},
        {"--password", BENCH_TEXT, &run.password, 0, "and this password"},
        {"--sessions", BENCH_NUMBER, &run.sessions, SESSIONS_MAX, "at a time (1)"},
        {"--messages", BENCH_NUMBER, &run.messages, 10000000, "in all (1000)"},
        {"--per-session", BENCH_NUMBER, &run.per_session, 1000000, "messages of one connection; 0: no end (0)"},
        {"--size", BENCH_NUMBER, &run.size, BENCH_OUT_MAX / 2, "octets of a message (10240)"},
        {"--rcpts", BENCH_NUMBER, &run.rcpts, 1000, "recipients of a message (1)"},
        {"--from", BENCH_TEXT, &run.from, 0, "the sender"},
        {"--to", BENCH_TEXT, &run.to, 0, "the recipient; each % is a number (user@localhost)"},
        {"--to-count", BENCH_NUMBER, &run.to_count, 10000000, "numbers for the %, in turn from 0"},
        {"--no-pipelining", BENCH_FLAG, &run.no_pipelining, 0, "wait for each reply"},
        {"--seconds", BENCH_NUMBER, &run.seconds, 3600, "then no new message begins (60)"},
    };
    bench_options(argc, argv, options, ARRAY_LEN(options));
    if (run.sessions == 0 || run.rcpts == 0)
        bench_die("--sessions and --rcpts", "at least 1");
    bench_raise_descriptors(run.sessions + 50);
    random_seeded_init(&run.random, (uint64_t)bench_now_us());
    bench_samples_init(&run.whole);
    bench_samples_init(&run.commit);
    buf_init(&run.work, BENCH_OUT_MAX);
    buf_init(&run.first_error, 1000);
    run.net = bench_net_new(run.port, run.is_tls, &ops);
    run.all = calloc(run.sessions, sizeof(*run.all));
    if (run.all == NULL)
        bench_die("memory", "out");
    run.stop_us = bench_now_us() + (int64_t)run.seconds * US_PER_S;
    for (uint64_t i = 0; i < run.sessions; i++) {
        run.all[i].run = &run;
        run.all[i].conn.user = &run.all[i];
        session_open(&run.all[i]);
    }
    while (run.open > 0 && bench_now_us() < run.stop_us + FINISH_US)
        bench_net_turn(run.net, 100);
    report(&run, run.open == 0 && run.accepted == run.messages);
    for (uint64_t i = 0; i < run.sessions; i++)
        bench_conn_close(&run.all[i].conn);
    bench_net_free(run.net);
    free(run.all);
    bench_samples_fini(&run.whole);
    bench_samples_fini(&run.commit);
    buf_fini(&run.work);
    buf_fini(&run.first_error);
    return run.errors > 0;
}
