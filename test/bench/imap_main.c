/*
 * bench_imap: opens many IMAP connections, logs in, selects INBOX, begins IDLE,
 * and holds them all until its standard input ends (or a number of seconds), so
 * that another program can weigh the server. Prints one line of JSON when all
 * are held, and one at the end. With --no-login it only reads each greeting,
 * which serves for SMTP as well.
 */
#include "bench/bench.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECTIONS_MAX 100000
#define ERRORS_MAX 1000 /* then no more are opened */

enum imap_step { STEP_GREETING, STEP_LOGIN, STEP_SELECT, STEP_IDLE, STEP_HELD, STEP_DONE, STEP_LOGOUT };

struct client {
    struct bench_conn conn;
    struct run *run;
    uint64_t number;
    enum imap_step step;
    int64_t opened_us, asked_us;
};

struct run {
    uint64_t port, connections, window, users, seconds, hold;
    struct view user, password;
    bool is_plain, no_login, no_select, no_idle, logins_only, holds_seconds;
    struct bench_net *net;
    struct client *all;
    uint64_t next, opening, held, finished, errors, lost;
    struct bench_samples greeting, login, whole; /* to the greeting; LOGIN to its reply; to being held */
    struct buf work, first_error;
};

static void count_error(struct client *c, struct view why) {
    struct run *run = c->run;
    if (run->errors++ == 0) {
        buf_printf(&run->first_error, "connection %llu, step %d: ", (unsigned long long)c->number, (int)c->step);
        buf_put(&run->first_error, view_sub(why, 0, 300));
    }
}

static void send_work(struct client *c) {
    c->asked_us = bench_now_us();
    bench_conn_put(&c->conn, buf_view(&c->run->work));
    buf_clear(&c->run->work);
}

static void send_login(struct client *c) {
    struct run *run = c->run;
    c->step = STEP_LOGIN;
    buf_put_str(&run->work, "a LOGIN \"");
    bench_put_pattern(&run->work, run->user, run->users > 0 ? c->number % run->users : 0);
    buf_printf(&run->work, "\" \"%.*s\"\r\n", VIEW_FMT(run->password));
    send_work(c);
}

/* The connection is as it should be while it is held. */
static void is_held(struct client *c) {
    struct run *run = c->run;
    bench_samples_add(&run->whole, bench_now_us() - c->opened_us);
    run->opening--;
    run->held++;
    c->step = STEP_HELD;
    if (run->logins_only) {
        c->step = STEP_LOGOUT;
        buf_put_str(&run->work, "z LOGOUT\r\n");
        send_work(c);
    }
}

static void logged_in(struct client *c) {
    struct run *run = c->run;
    bench_samples_add(&run->login, bench_now_us() - c->asked_us);
    if (run->logins_only || run->no_select) {
        is_held(c);
        return;
    }
    c->step = STEP_SELECT;
    buf_put_str(&run->work, "a SELECT INBOX\r\n");
    send_work(c);
}

static void selected(struct client *c) {
    if (c->run->no_idle) {
        is_held(c);
        return;
    }
    c->step = STEP_IDLE;
    buf_put_str(&c->run->work, "a IDLE\r\n");
    send_work(c);
}

static void on_line(struct bench_conn *conn, struct view line) {
    struct client *c = conn->user;
    struct run *run = c->run;
    if (c->step == STEP_GREETING && (view_starts(line, VIEW("* OK")) || view_starts(line, VIEW("220 ")))) {
        bench_samples_add(&run->greeting, bench_now_us() - c->opened_us);
        if (run->no_login)
            is_held(c);
        else
            send_login(c);
        return;
    }
    if (c->step == STEP_IDLE && view_starts(line, VIEW("+"))) {
        is_held(c);
        return;
    }
    if (view_starts(line, VIEW("* ")) && !view_starts(line, VIEW("* BYE")))
        return;
    if (view_starts(line, VIEW("a OK")) && c->step == STEP_LOGIN) {
        logged_in(c);
        return;
    }
    if (view_starts(line, VIEW("a OK")) && c->step == STEP_SELECT) {
        selected(c);
        return;
    }
    if (c->step == STEP_LOGOUT || c->step == STEP_DONE)
        return;
    count_error(c, line);
    if (c->step != STEP_HELD)
        run->opening--;
    else
        run->lost++;
    c->step = STEP_DONE;
    run->finished++;
    bench_conn_close(conn);
}

static void on_opened(struct bench_conn *conn) {
    (void)conn; /* the server speaks first */
}

static void on_closed(struct bench_conn *conn, const char *why) {
    struct client *c = conn->user;
    if (c->step != STEP_LOGOUT) {
        count_error(c, view_cstr(why));
        if (c->step == STEP_HELD)
            c->run->lost++;
        else
            c->run->opening--;
    }
    c->step = STEP_DONE;
    c->run->finished++;
}

static const struct bench_conn_ops ops = {.opened = on_opened, .line = on_line, .closed = on_closed};

static void open_more(struct run *run) {
    /* One that logs out still counts here, so that connections do not pile up. */
    while (run->next < run->connections && run->errors < ERRORS_MAX &&
           (run->logins_only ? run->next - run->finished : run->opening) < run->window) {
        struct client *c = &run->all[run->next];
        c->run = run;
        c->number = run->next++;
        c->conn.user = c;
        c->opened_us = bench_now_us();
        run->opening++;
        bench_conn_open(run->net, &c->conn);
    }
}

static bool is_opened(const struct run *run) {
    bool all_begun = run->next == run->connections || run->errors >= ERRORS_MAX;
    return all_begun && run->opening == 0 && (!run->logins_only || run->finished == run->next);
}

static void report(struct run *run, const char *phase, int64_t took_us) {
    struct buf out;
    buf_init(&out, 100000);
    buf_printf(&out,
               "{\"bench\":\"imap\",\"phase\":\"%s\",\"connections\":%llu,\"held\":%llu,\"lost\":%llu,\"errors\":%llu,"
               "\"seconds\":%.3f,"
               "\"per_second\":%.1f,\"greeting_us\":",
               phase, (unsigned long long)run->connections, (unsigned long long)(run->held - run->lost),
               (unsigned long long)run->lost, (unsigned long long)run->errors, (double)took_us / 1e6,
               (double)run->held * 1e6 / (double)MAX(took_us, (int64_t)1));
    bench_put_samples(&out, &run->greeting);
    buf_put_str(&out, ",\"login_us\":");
    bench_put_samples(&out, &run->login);
    buf_put_str(&out, ",\"whole_us\":");
    bench_put_samples(&out, &run->whole);
    buf_put_str(&out, ",\"first_error\":");
    bench_put_text(&out, buf_view(&run->first_error));
    buf_put_byte(&out, '}');
    bench_print(&out);
    buf_fini(&out);
}

/* Whether whoever started us said (or closed) enough. */
static bool told_to_stop(void) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) != 0;
}

static void hold(struct run *run) {
    int64_t until_us = bench_now_us() + (int64_t)run->hold * US_PER_S;
    while (run->holds_seconds ? bench_now_us() < until_us : !told_to_stop())
        bench_net_turn(run->net, 100);
}

static void run_all(struct run *run) {
    int64_t start_us = bench_now_us(), stop_us = start_us + (int64_t)run->seconds * US_PER_S;
    while (!is_opened(run) && bench_now_us() < stop_us) {
        open_more(run);
        bench_net_turn(run->net, 100);
    }
    int64_t took_us = bench_now_us() - start_us;
    report(run, run->logins_only ? "logins" : "held", took_us);
    if (run->logins_only)
        return;
    hold(run);
    report(run, "end", took_us);
}

int main(int argc, char **argv) {
    struct run run = {.port = 1993,
                      .connections = 100,
                      .window = 16,
                      .seconds = 120,
                      .user = VIEW_INIT("user@localhost"),
                      .password = VIEW_INIT("veredus")};
    const struct bench_option options[] = {
        {"--port", BENCH_NUMBER, &run.port, 65535, "of the server on 127.0.0.1 (1993)"},
        {"--plain", BENCH_FLAG, &run.is_plain, 0, "no TLS"},
        {"--connections", BENCH_NUMBER, &run.connections, CONNECTIONS_MAX, "in all (100)"},
        {"--window", BENCH_NUMBER, &run.window, CONNECTIONS_MAX, "that are being opened at a time (16)"},
        {"--user", BENCH_TEXT, &run.user, 0, "the account; each % is a number (user@localhost)"},
        {"--users", BENCH_NUMBER, &run.users, 10000000, "numbers for the %, in turn from 0"},
        {"--password", BENCH_TEXT, &run.password, 0, "of every account (veredus)"},
        {"--no-login", BENCH_FLAG, &run.no_login, 0, "only read the greeting; the server may speak SMTP"},
        {"--no-select", BENCH_FLAG, &run.no_select, 0, "stay logged in, select nothing"},
        {"--no-idle", BENCH_FLAG, &run.no_idle, 0, "select INBOX, do not IDLE"},
        {"--logins-only", BENCH_FLAG, &run.logins_only, 0, "log out again at once, hold nothing"},
        {"--seconds", BENCH_NUMBER, &run.seconds, 3600, "for opening them all (120)"},
        {"--hold", BENCH_NUMBER, &run.hold, 3600,
         "seconds to hold; without it until standard input has something or ends"},
    };
    bench_options(argc, argv, options, ARRAY_LEN(options));
    run.holds_seconds = run.hold > 0;
    if (run.window == 0)
        bench_die("--window", "at least 1");
    bench_raise_descriptors(run.connections + 50);
    bench_samples_init(&run.greeting);
    bench_samples_init(&run.login);
    bench_samples_init(&run.whole);
    buf_init(&run.work, 10000);
    buf_init(&run.first_error, 1000);
    run.net = bench_net_new(run.port, !run.is_plain, &ops);
    run.all = calloc(run.connections + 1, sizeof(*run.all));
    if (run.all == NULL)
        bench_die("memory", "out");
    run_all(&run);
    for (uint64_t i = 0; i < run.next; i++)
        bench_conn_close(&run.all[i].conn);
    bench_net_free(run.net);
    free(run.all);
    bench_samples_fini(&run.greeting);
    bench_samples_fini(&run.login);
    bench_samples_fini(&run.whole);
    buf_fini(&run.work);
    buf_fini(&run.first_error);
    return run.errors > 0 || run.held < run.connections;
}
