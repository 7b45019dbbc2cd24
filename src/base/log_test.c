/* The log: the form of lines, escaping of what peers send, cutting, inheritance, lost lines. */
#include "base/log.h"

#include "base/random.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct memory_sink {
    struct log_sink sink;
    struct buf lines;
};

static void memory_write(struct log_sink *sink, enum log_level level, struct view line) {
    struct buf *lines = &((struct memory_sink *)sink)->lines;
    (void)level;
    buf_put(lines, line);
    buf_put_byte(lines, '\n');
}

struct fixture {
    struct memory_sink sink;
    struct virtual_clock clock;
    struct log log;
};

static void begin(struct fixture *f) {
    *f = (struct fixture){.sink.sink = {memory_write, LOG_INFO}};
    buf_init(&f->sink.lines, 1 << 20);
    virtual_clock_init(&f->clock, INT64_C(1795555763123456));
    log_init(&f->log, &f->sink.sink, &f->clock.clock);
}

#define assert_lines(f, text)                                \
    do {                                                     \
        buf_put_byte(&(f).sink.lines, 0);                    \
        assert_string_equal((char *)(f).sink.lines.p, text); \
        buf_clear(&(f).sink.lines);                          \
    } while (0)
#define TIME "2026-11-24T21:29:23.123456Z "

static void lines_have_fields(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct log conn, transaction;
    log_child(&conn, &f.log, LF_TEXT("role", "edge"));
    log_child(&transaction, &conn, LF_U64("conn", 12));
    log_plain(&f.log, LOG_WARN, "start");
    log_event(&transaction, LOG_INFO, "smtp.mail", LF_VIEW("from", VIEW("a@b")), LF_U64("size", UINT64_MAX),
              LF_I64("delta", -5), LF_ERR(ERR_LIMIT), LF_TEXT("why", "two words"));
    log_event(&transaction, LOG_DEBUG, "not.shown", LF_U64("x", 1));
    log_event(&conn, LOG_ERROR, "e", LF_VIEW("empty", VIEW_NONE), LF_TEXT("null", NULL), LF_VIEW("eq", VIEW("a=b")),
              ((struct log_field){.key = "err", .kind = LOG_FIELD_ERR, .u64 = ERR_IO}));
    assert_lines(f, TIME "warn start\n" TIME
                         "info smtp.mail role=edge conn=12 from=a@b size=18446744073709551615 delta=-5 err=limit "
                         "why=\"two words\"\n" TIME "error e role=edge empty=\"\" null=\"\" eq=\"a=b\" err=io\n");
    buf_fini(&f.sink.lines);
}

static void escaping(void **state) {
    (void)state;
    static const struct {
        struct view in;
        const char *out;
    } cases[] = {
        {VIEW_INIT("plain"), "plain"},
        {VIEW_INIT("a\r\n2026 error forged"), "a\\x0d\\x0a2026 error forged"},
        {VIEW_INIT("nul\0tab\t"), "nul\\x00tab\\x09"},
        {VIEW_INIT("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f"},
        {VIEW_INIT("\"quotes\" 'too' \\"), "\\x22quotes\\x22 \\x27too\\x27 \\x5c"},
        {VIEW_INIT("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"},
        {VIEW_INIT("\xc3(\xff\xed\xa0\x80"), "\\xc3(\\xff\\xed\\xa0\\x80"},
        {VIEW_INIT("\xc2\x9b"
                   "31m"),
         "\\xc2\\x9b31m"}, /* C1: CSI */
        {VIEW_INIT("\xe2\x80\xae"
                   "cod.exe"),
         "\\xe2\\x80\\xaecod.exe"},                     /* right-to-left override */
        {VIEW_INIT("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"}, /* line separator */
        {VIEW_INIT("0123456789abcdefX"), "0123456789abcdef..."},
        {VIEW_INIT("0123456789abcde\xc3\xbc"), "0123456789abcde..."},
    };
    struct buf buf;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&buf);
        buf_put_escaped(&buf, cases[i].in, i < ARRAY_LEN(cases) - 2 ? 100 : 16);
        buf_put_byte(&buf, 0);
        assert_string_equal((char *)buf.p, cases[i].out);
    }
    buf_fini(&buf);
}

static void no_octets_of_a_peer_break_a_line(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct random_seeded rs;
    random_seeded_init(&rs, 9);
    for (int i = 0; i < 3000; i++) {
        uint8_t octets[600];
        size_t n = random_below(&rs.random, sizeof(octets) + 1);
        random_fill(&rs.random, octets, n);
        struct log child = f.log;
        for (int k = 0; k < 4; k++)
            log_child(&child, &child, LF_VIEW("peer", view_of(octets, n)));
        log_event(&child, LOG_INFO, "e", LF_VIEW("a", view_of(octets, n)), LF_VIEW("b", view_of(octets, n)),
                  LF_VIEW("c", view_of(octets, n)), LF_VIEW("d", view_of(octets, n)), LF_VIEW("e", view_of(octets, n)));
        struct view line = buf_view(&f.sink.lines);
        assert_true(line.n < PIPE_BUF + 1);
        assert_int_equal(view_find_byte(line, '\n'), (ssize_t)line.n - 1);
        assert_true(utf8_is_valid(line));
        for (size_t k = 0; k + 1 < line.n; k++)
            assert_true(line.p[k] >= 0x20 && line.p[k] != 0x7f);
        buf_clear(&f.sink.lines);
    }
    buf_fini(&f.sink.lines);
}

static void what_has_no_room_is_left_out_whole(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint8_t zeros[256] = {0};
    struct view v = view_of(zeros, sizeof(zeros)); /* 1024 octets when escaped */
    log_event(&f.log, LOG_INFO, "e", LF_VIEW("a", v), LF_VIEW("b", v), LF_VIEW("c", v), LF_VIEW("d", v),
              LF_U64("small", 7));
    struct view line = buf_view(&f.sink.lines);
    assert_true(view_find(line, VIEW(" c=")) > 0);
    assert_int_equal(view_find(line, VIEW(" d=")), -1);
    assert_true(view_ends(line, VIEW(" small=7 trimmed=1\n")));
    buf_clear(&f.sink.lines);
    /* So in an inherited context. */
    struct log child;
    log_child(&child, &f.log, LF_U64("kept", 1));
    log_child(&child, &child, LF_VIEW("big", v));
    log_child(&child, &child, LF_U64("last", 2));
    log_plain(&child, LOG_INFO, "e");
    assert_lines(f, TIME "info e kept=1 last=2\n");
    buf_fini(&f.sink.lines);
}

static void a_full_pipe_loses_whole_lines_and_says_so(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0); /* a blocking one: the sink must not need O_NONBLOCK */
    struct virtual_clock clock;
    virtual_clock_init(&clock, INT64_C(1795555763123456));
    struct log_sink_fd sink;
    struct log log;
    log_sink_fd_init(&sink, fds[1], LOG_INFO);
    log_init(&log, &sink.sink, &clock.clock);
    uint64_t count = 0;
    while (sink.lost == 0 && count < 100000)
        log_event(&log, LOG_INFO, "fill", LF_U64("n", count++));
    log_plain(&log, LOG_INFO, "lost.too");
    assert_int_equal(sink.lost, 2);
    struct buf all;
    buf_init(&all, 1 << 24);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    for (int turn = 0; turn < 2; turn++) {
        ssize_t n;
        while ((n = read(fds[0], buf_room(&all, 65536), 65536)) > 0)
            buf_added(&all, (size_t)n);
        log_plain(&log, LOG_INFO, "again");
    }
    struct view line, rest = buf_view(&all);
    for (uint64_t i = 0; i < count - 1; i++) {
        assert_true(view_split(rest, '\n', &line, &rest));
        assert_true(view_starts(line, VIEW(TIME "info fill n=")));
    }
    assert_true(view_eq(rest, VIEW(TIME "warn log.lost count=2\n" TIME "info again\n")));
    assert_int_equal(sink.lost, 0);
    buf_fini(&all);
    (void)close(fds[0]);
    (void)close(fds[1]);
    sink.fd = -1;
    log_plain(&log, LOG_INFO, "nowhere");
    assert_int_equal(sink.lost, 1);
    log_init(&log, log_sink_null(), &clock.clock);
    log_plain(&log, LOG_ERROR, "nowhere");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_fields),
        cmocka_unit_test(escaping),
        cmocka_unit_test(no_octets_of_a_peer_break_a_line),
        cmocka_unit_test(what_has_no_room_is_left_out_whole),
        cmocka_unit_test(a_full_pipe_loses_whole_lines_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
