/*
 * Channels between processes: a peer that breaks the rules, one for each case,
 * closes only its own channel and leaves no descriptor and no memory behind; a
 * peer in another process answers, and dies in the middle of a call.
 */
#include "loop/channel_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define R_number(F, S) F(S, U64, n)
RECORD_DECLARE(number);
RECORD_DEFINE(number);

static const struct message_type type_add = {2, "add", &number_record, &number_record, 1, 0};
static const struct message_type type_note = {4, "note", &number_record, NULL, 1, 0};
static const struct message_type type_wait = {5, "wait", &number_record, &number_record, 0, 0};
static const struct message_type type_die = {6, "die", &number_record, &number_record, 0, 0};

static enum err do_add(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    ((struct number *)reply)->n = ((const struct number *)call->request)->n + 1;
    return ERR_OK;
}

static enum err do_note(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)call;
    (void)reply;
    (void)handles;
    return ERR_OK;
}

static enum err do_wait(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)call;
    (void)reply;
    (void)handles;
    return co_sleep(US_NEVER / 2);
}

static enum err do_die(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)call;
    (void)reply;
    (void)handles;
    (void)kill(getpid(), SIGKILL);
    return ERR_BUG;
}

static const struct channel_handler handlers[] = {
    {&type_add, do_add},
    {&type_note, do_note},
    {&type_wait, do_wait},
    {&type_die, do_die},
};

/* Descriptors open in this process. */
static int count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    int n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* ---- a world: a channel under test with a raw socket as its peer, and a good one beside it ---- */

struct world {
    struct loop *loop;
    struct co_group *group;
    struct channel *channel, *good, *good_peer;
    int raw;
    enum err why;
    unsigned closed;
    void (*scenario)(struct world *w);
};

static void on_closed(void *ctx, enum err why) {
    struct world *w = ctx;
    w->closed++;
    w->why = why;
}

static void run_scenario(void *arg) {
    struct world *w = arg;
    w->scenario(w);
    struct number request = {1}, sum = {0};
    assert_int_equal(channel_call(w->good_peer, &type_add, &request, NULL, 0, US_NEVER, NULL, &sum, NULL), ERR_OK);
    assert_int_equal(sum.n, 2); /* the reader lives on */
    if (w->raw >= 0)
        close(w->raw);
    channel_free(w->channel);
    channel_free(w->good);
    channel_free(w->good_peer);
    co_group_end(w->group);
    loop_stop(w->loop);
}

static void start(struct world *w, struct channel *channel) {
    assert_int_equal(channel_start(channel, "test", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
}

static void run_world(void (*scenario)(struct world *w)) {
    int before = count_fds();
    struct world w = {.loop = loop_new(NULL), .scenario = scenario};
    int fds[2];
    w.group = co_group_new(w.loop);
    assert_int_equal(channel_socketpair(fds), ERR_OK);
    assert_int_equal(channel_new_fd(w.loop, fds[0], &w.channel), ERR_OK);
    w.raw = fds[1];
    assert_int_equal(channel_socketpair(fds), ERR_OK);
    assert_int_equal(channel_new_fd(w.loop, fds[0], &w.good), ERR_OK);
    assert_int_equal(channel_new_fd(w.loop, fds[1], &w.good_peer), ERR_OK);
    channel_on_close(w.channel, on_closed, &w);
    start(&w, w.channel);
    start(&w, w.good);
    start(&w, w.good_peer);
    assert_int_equal(co_spawn(w.loop, NULL, "scenario", run_scenario, &w, NULL), ERR_OK);
    loop_run(w.loop);
    loop_free(w.loop);
    assert_int_equal(count_fds(), before);
}

static void settle(void) {
    for (int i = 0; i < 20; i++)
        assert_int_equal(co_yield (), ERR_OK);
}

/* Sends octets with descriptors as a peer that keeps to no rule. */
static void raw_send(struct world *w, struct view octets, const int *fds, size_t n) {
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(16 * sizeof(int))];
    } control = {.octets = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)octets.p, .iov_len = octets.n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n > 0) {
        message.msg_control = control.octets;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    assert_int_equal(sendmsg(w->raw, &message, MSG_NOSIGNAL), (ssize_t)octets.n);
}

static void send_packet(struct world *w, struct packet packet, struct view record, const int *fds, size_t n) {
    struct buf out;
    buf_init(&out, 2 * CHANNEL_PACKET_MAX);
    packet_put_header(&packet, &out);
    buf_put(&out, record);
    assert_int_equal(buf_err(&out), ERR_OK);
    raw_send(w, buf_view(&out), fds, n);
    buf_fini(&out);
}

#define EIGHT VIEW("\0\0\0\0\0\0\0\1")
static struct packet request_of(uint16_t code, uint64_t id) {
    return (struct packet){.kind = PACKET_REQUEST, .code = code, .id = id, .remaining_us = PACKET_NEVER};
}

/* Reads one packet of the channel's from the raw end; false when there is none now. */
static bool raw_receive(struct world *w, struct packet *packet) {
    static uint8_t octets[CHANNEL_PACKET_MAX];
    ssize_t n = recv(w->raw, octets, sizeof(octets), MSG_DONTWAIT);
    return n > 0 && packet_parse(view_of(octets, (size_t)n), packet) == ERR_OK;
}

static void assert_broken(struct world *w) {
    settle();
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->why, ERR_SYNTAX);
    assert_false(channel_is_open(w->channel));
    char octet;
    ssize_t n;
    while ((n = recv(w->raw, &octet, 1, MSG_DONTWAIT)) > 0)
        continue;
    assert_true(n == 0 || errno == ECONNRESET); /* the peer sees the end */
}

/* ---- one rule each ---- */

static void bad_version(struct world *w) {
    raw_send(w, VIEW("\2\1\0\2aaaaaaaa"), NULL, 0);
    assert_broken(w);
}

static void truncated_header(struct world *w) {
    raw_send(w, VIEW("\1\1\0\2\0\0\0"), NULL, 0);
    assert_broken(w);
}

static void unknown_code(struct world *w) {
    send_packet(w, request_of(77, 1), EIGHT, NULL, 0);
    assert_broken(w);
}

static void request_of_a_one_way(struct world *w) {
    send_packet(w, request_of(4, 1), EIGHT, NULL, 0);
    assert_broken(w);
}

static void one_way_of_a_request(struct world *w) {
    send_packet(w, (struct packet){.kind = PACKET_ONE_WAY, .code = 2}, EIGHT, NULL, 0);
    assert_broken(w);
}

static void truncated_record(struct world *w) {
    send_packet(w, request_of(2, 1), VIEW("\0\0\0\0\0\0\0"), NULL, 0);
    assert_broken(w);
}

static void left_over(struct world *w) {
    send_packet(w, request_of(2, 1), VIEW("\0\0\0\0\0\0\0\1\0"), NULL, 0);
    assert_broken(w);
}

static void id_used_twice(struct world *w) {
    send_packet(w, request_of(2, 1), EIGHT, NULL, 0);
    settle();
    struct packet reply;
    assert_true(raw_receive(w, &reply));
    assert_int_equal(reply.kind, PACKET_REPLY);
    assert_int_equal(reply.id, 1);
    send_packet(w, request_of(2, 1), EIGHT, NULL, 0);
    assert_broken(w);
}

static void reply_never_asked_for(struct world *w) {
    send_packet(w, (struct packet){.kind = PACKET_REPLY, .code = 2, .id = 1}, EIGHT, NULL, 0);
    assert_broken(w);
}

static void cancel_never_asked_for(struct world *w) {
    send_packet(w, (struct packet){.kind = PACKET_CANCEL, .id = 1}, VIEW_NONE, NULL, 0);
    assert_broken(w);
}

static void too_large(struct world *w) {
    static uint8_t octets[CHANNEL_PACKET_MAX + 100];
    raw_send(w, view_of(octets, sizeof(octets)), NULL, 0);
    assert_broken(w);
}

static int open_file(void) {
    struct file *file;
    assert_int_equal(file_new_memory("test", &file), ERR_OK);
    int fd = dup(file_fd(file));
    file_unref(file);
    return fd;
}

/* Descriptors that the packet does not announce, announces in vain, or that are more than the type or the channel takes. */
static void send_files(struct world *w, size_t announced, size_t sent) {
    int fds[16], file = open_file();
    struct packet packet = request_of(2, 1);
    packet.handles_n = announced;
    for (size_t i = 0; i < announced; i++)
        packet.kinds[i] = HANDLE_FILE;
    for (size_t i = 0; i < sent; i++)
        fds[i] = file;
    send_packet(w, packet, EIGHT, fds, sent);
    close(file);
    assert_broken(w);
}

static void surplus_descriptor(struct world *w) {
    send_files(w, 0, 1);
}

static void missing_descriptor(struct world *w) {
    send_files(w, 1, 0);
}

static void more_handles_than_the_type_takes(struct world *w) {
    send_files(w, 2, 2);
}

static void more_descriptors_than_a_packet_takes(struct world *w) {
    send_files(w, 4, 5);
}

static void many_more_descriptors(struct world *w) {
    send_files(w, 1, 16);
}

/* We have no descriptor left: the handle is lost, so the channel is. */
static void too_few_descriptors(struct world *w) {
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    int file = open_file(), lowest = dup(file);
    close(lowest);
    few.rlim_cur = (rlim_t)lowest;
    struct packet packet = request_of(2, 1);
    packet.handles_n = 1;
    packet.kinds[0] = HANDLE_FILE;
    send_packet(w, packet, EIGHT, &file, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    settle();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(file);
    assert_broken(w);
}

/* A kind that the descriptor is not. */
static void send_wrong(struct world *w, enum handle_kind kind, int fd) {
    struct packet packet = request_of(2, 1);
    packet.handles_n = 1;
    packet.kinds[0] = kind;
    send_packet(w, packet, EIGHT, &fd, 1);
    close(fd);
    assert_broken(w);
}

static void pipe_as_a_file(struct world *w) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    send_wrong(w, HANDLE_FILE, fds[0]);
}

static void file_as_a_stream(struct world *w) {
    send_wrong(w, HANDLE_STREAM, open_file());
}

static void stream_as_a_channel(struct world *w) {
    send_wrong(w, HANDLE_CHANNEL, socket(AF_UNIX, SOCK_STREAM, 0));
}

static void channel_as_a_listener(struct world *w) {
    send_wrong(w, HANDLE_LISTENER, socket(AF_UNIX, SOCK_SEQPACKET, 0));
}

static void descriptors_without_octets(struct world *w) {
    int file = open_file();
    raw_send(w, VIEW_NONE, &file, 1);
    close(file);
    settle();
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->why, ERR_CLOSED);
}

/* ---- floods: bounded, and the loop lives on ---- */

/* More requests at once than one side may have outstanding, and nobody reads the replies. */
static void too_many_requests(struct world *w) {
    for (uint64_t id = 1; id <= CHANNEL_PENDING_MAX + 1 && w->closed == 0; id++) {
        struct packet packet = request_of(5, id);
        struct buf out;
        buf_init(&out, 100);
        packet_put_header(&packet, &out);
        buf_put(&out, EIGHT);
        while (send(w->raw, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN && w->closed == 0) {
            assert_true(w->channel->running_n <= CHANNEL_HANDLERS_MAX);
            assert_true(w->channel->backlog_n <= CHANNEL_BACKLOG_MAX);
            if (w->channel->is_paused)
                break;
            assert_int_equal(co_yield (), ERR_OK);
        }
        buf_fini(&out);
    }
    settle();
    assert_int_equal(w->channel->unanswered, CHANNEL_PENDING_MAX); /* one more than that was the end */
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->why, ERR_SYNTAX);
}

/* One that asks and asks and never reads an answer. */
static void never_reads(struct world *w) {
    uint64_t id = 0;
    for (int idle = 0; idle < 100;) {
        struct packet packet = request_of(2, id + 1);
        struct buf out;
        buf_init(&out, 100);
        packet_put_header(&packet, &out);
        buf_put(&out, EIGHT);
        if (w->closed == 0 && send(w->raw, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
            id++;
            idle = 0;
        } else {
            idle++;
            assert_int_equal(co_yield (), ERR_OK);
        }
        buf_fini(&out);
        assert_true(w->channel->out_n <= CHANNEL_QUEUE_MAX + CHANNEL_HANDLERS_MAX);
        assert_true(w->channel->unanswered <= CHANNEL_PENDING_MAX);
        assert_true(id < 100000);
    }
    assert_true(id > CHANNEL_QUEUE_MAX);
}

static void requests_of_a_dead_peer(struct world *w) {
    for (uint64_t id = 1; id <= 200; id++) {
        int file = open_file();
        struct packet packet = request_of(id % 2 ? 5 : 2, id);
        packet.handles_n = id % 2 ? 0 : 1;
        packet.kinds[0] = HANDLE_FILE;
        send_packet(w, packet, EIGHT, &file, packet.handles_n);
        close(file);
        if (id % 50 == 0)
            settle();
    }
    close(w->raw);
    w->raw = -1;
    settle();
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->why, ERR_CLOSED);
    assert_int_equal(w->channel->running_n, 0);
}

/* A request that waits behind others can be cancelled; each is answered once. */
static void cancel_in_the_backlog(struct world *w) {
    for (uint64_t id = 1; id <= CHANNEL_HANDLERS_MAX + 2; id++)
        send_packet(w, request_of(5, id), EIGHT, NULL, 0);
    settle();
    assert_int_equal(w->channel->running_n, CHANNEL_HANDLERS_MAX);
    assert_int_equal(w->channel->backlog_n, 2);
    send_packet(w, (struct packet){.kind = PACKET_CANCEL, .id = CHANNEL_HANDLERS_MAX + 1}, VIEW_NONE, NULL, 0);
    settle();
    struct packet reply;
    assert_true(raw_receive(w, &reply));
    assert_int_equal(reply.id, CHANNEL_HANDLERS_MAX + 1);
    assert_int_equal(reply.err, ERR_CANCELED);
    assert_int_equal(w->channel->backlog_n, 1);
    send_packet(w, (struct packet){.kind = PACKET_CANCEL, .id = 1}, VIEW_NONE, NULL, 0);
    send_packet(w, (struct packet){.kind = PACKET_CANCEL, .id = 1}, VIEW_NONE, NULL, 0);
    settle();
    assert_true(raw_receive(w, &reply));
    assert_int_equal(reply.id, 1);
    assert_int_equal(reply.err, ERR_CANCELED);
    assert_false(raw_receive(w, &reply));
    assert_int_equal(w->channel->running_n, CHANNEL_HANDLERS_MAX); /* the one that waited */
    assert_int_equal(w->channel->backlog_n, 0);
    assert_int_equal(w->channel->unanswered, CHANNEL_HANDLERS_MAX);
    assert_true(channel_is_open(w->channel));
}

static void expired_on_arrival(struct world *w) {
    struct packet packet = request_of(5, 1), reply;
    packet.remaining_us = 0;
    send_packet(w, packet, EIGHT, NULL, 0);
    settle();
    assert_true(raw_receive(w, &reply));
    assert_int_equal(reply.err, ERR_TIMEOUT);
}

/* Nobody takes our messages: they are refused when the queue is full, and a waiting call ends at its deadline. */
static void our_queue_is_bounded(struct world *w) {
    struct number n = {1};
    enum err err;
    do
        err = channel_send(w->channel, &type_note, &n, NULL, 0);
    while (err == ERR_OK);
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(w->channel->out_n, CHANNEL_QUEUE_MAX);
    err = channel_call(w->channel, &type_add, &n, NULL, 0, loop_now_us(w->loop) + 1000, NULL, &n, NULL);
    assert_int_equal(err, ERR_TIMEOUT);
    assert_int_equal(w->channel->out_n, CHANNEL_QUEUE_MAX);
    /* Room comes when the peer reads. */
    struct packet packet;
    while (raw_receive(w, &packet))
        continue;
    settle();
    assert_true(w->channel->out_n < CHANNEL_QUEUE_MAX);
    assert_int_equal(channel_send(w->channel, &type_note, &n, NULL, 0), ERR_OK);
}

#define BROKEN(name)                        \
    static void test_##name(void **state) { \
        (void)state;                        \
        run_world(name);                    \
    }
BROKEN(bad_version)
BROKEN(truncated_header)
BROKEN(unknown_code)
BROKEN(request_of_a_one_way)
BROKEN(one_way_of_a_request)
BROKEN(truncated_record)
BROKEN(left_over)
BROKEN(id_used_twice)
BROKEN(reply_never_asked_for)
BROKEN(cancel_never_asked_for)
BROKEN(too_large)
BROKEN(surplus_descriptor)
BROKEN(missing_descriptor)
BROKEN(more_handles_than_the_type_takes)
BROKEN(more_descriptors_than_a_packet_takes)
BROKEN(many_more_descriptors)
BROKEN(too_few_descriptors)
BROKEN(pipe_as_a_file)
BROKEN(file_as_a_stream)
BROKEN(stream_as_a_channel)
BROKEN(channel_as_a_listener)
BROKEN(descriptors_without_octets)
BROKEN(too_many_requests)
BROKEN(never_reads)
BROKEN(requests_of_a_dead_peer)
BROKEN(cancel_in_the_backlog)
BROKEN(expired_on_arrival)
BROKEN(our_queue_is_bounded)

/* ---- another process ---- */

#define ROUND_TRIPS 20000
#define CALLERS 32

static void stop_loop(void *ctx, enum err why) {
    (void)why;
    loop_stop(ctx);
}

/* The child: serves until its peer is gone. */
static _Noreturn void serve(int fd) {
    struct loop *loop = loop_new(NULL);
    struct channel *channel;
    if (loop == NULL || channel_new_fd(loop, fd, &channel) != ERR_OK)
        _exit(1);
    channel_on_close(channel, stop_loop, loop);
    if (channel_start(channel, "child", handlers, ARRAY_LEN(handlers), NULL, NULL) != ERR_OK)
        _exit(1);
    loop_run(loop);
    channel_free(channel);
    _exit(0);
}

struct parent {
    struct loop *loop;
    struct channel *channel;
    int callers;
    uint64_t left;
    enum err died;
    double one_s, many_s;
};

static double seconds(struct loop *loop) {
    struct clock *clock = loop_clock(loop);
    return (double)clock->mono_us(clock) / (double)US_PER_S;
}

static void call_often(void *arg) {
    struct parent *p = arg;
    while (p->left > 0) {
        struct number n = {p->left--}, sum = {0};
        assert_int_equal(channel_call(p->channel, &type_add, &n, NULL, 0, US_NEVER, NULL, &sum, NULL), ERR_OK);
        assert_int_equal(sum.n, n.n + 1);
    }
}

static void run_parent(void *arg) {
    struct parent *p = arg;
    p->left = ROUND_TRIPS;
    double start_s = seconds(p->loop);
    call_often(p);
    p->one_s = seconds(p->loop) - start_s;

    struct co_group *group = co_group_new(p->loop);
    p->left = ROUND_TRIPS;
    start_s = seconds(p->loop);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(co_spawn(p->loop, group, "caller", call_often, p, NULL), ERR_OK);
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    p->many_s = seconds(p->loop) - start_s;
    co_group_free(group);

    struct number n = {0};
    p->died = channel_call(p->channel, &type_die, &n, NULL, 0, US_NEVER, NULL, &n, NULL);
    channel_free(p->channel);
    loop_stop(p->loop);
}

static void another_process(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(channel_socketpair(fds), ERR_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        serve(fds[1]);
    }
    close(fds[1]);
    struct parent p = {.loop = loop_new(NULL)};
    assert_int_equal(channel_new_fd(p.loop, fds[0], &p.channel), ERR_OK);
    assert_int_equal(channel_start(p.channel, "parent", NULL, 0, NULL, NULL), ERR_OK);
    assert_int_equal(co_spawn(p.loop, NULL, "parent", run_parent, &p, NULL), ERR_OK);
    loop_run(p.loop);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(p.died, ERR_AGAIN);
    loop_free(p.loop);
    print_message("round trips a second: %.0f one by one, %.0f with %d callers\n", ROUND_TRIPS / p.one_s,
                  ROUND_TRIPS / p.many_s, CALLERS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_version),
        cmocka_unit_test(test_truncated_header),
        cmocka_unit_test(test_unknown_code),
        cmocka_unit_test(test_request_of_a_one_way),
        cmocka_unit_test(test_one_way_of_a_request),
        cmocka_unit_test(test_truncated_record),
        cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_id_used_twice),
        cmocka_unit_test(test_reply_never_asked_for),
        cmocka_unit_test(test_cancel_never_asked_for),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_surplus_descriptor),
        cmocka_unit_test(test_missing_descriptor),
        cmocka_unit_test(test_more_handles_than_the_type_takes),
        cmocka_unit_test(test_more_descriptors_than_a_packet_takes),
        cmocka_unit_test(test_many_more_descriptors),
        cmocka_unit_test(test_too_few_descriptors),
        cmocka_unit_test(test_pipe_as_a_file),
        cmocka_unit_test(test_file_as_a_stream),
        cmocka_unit_test(test_stream_as_a_channel),
        cmocka_unit_test(test_channel_as_a_listener),
        cmocka_unit_test(test_descriptors_without_octets),
        cmocka_unit_test(test_too_many_requests),
        cmocka_unit_test(test_never_reads),
        cmocka_unit_test(test_requests_of_a_dead_peer),
        cmocka_unit_test(test_cancel_in_the_backlog),
        cmocka_unit_test(test_expired_on_arrival),
        cmocka_unit_test(test_our_queue_is_bounded),
        cmocka_unit_test(another_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
