/* mbox, read and written. */
#include "message/testing.h"

#include "message/mbox_testing.h"

#include "base/random.h"

#include <string.h>

#define F1 "From a@b Thu Nov 24 18:22:48 1986\n"
#define F2 "From c@d Thu Nov 24 18:22:49 1986\n"
#define M1 "{a@b,533240568;"
#define M2 "{c@d,533240569;"

/* RFC4155-A and its dialects; "" for MBOX_AUTO's verdict where it is not looked at. */
static const struct {
    enum mbox_dialect dialect;
    const char *file, *shown; /* NULL: ERR_SYNTAX */
    enum mbox_dialect found;
} cases[] = {
    {MBOX_AUTO, "", "", MBOX_AUTO},
    {MBOX_AUTO, "\n\r\n", "", MBOX_AUTO},
    {MBOX_AUTO, "Subject: x\n\nno mbox\n", NULL, MBOX_AUTO},
    {MBOX_AUTO, "Fro", NULL, MBOX_AUTO},
    {MBOX_AUTO, "from a@b Thu Nov 24 18:22:48 1986\n", NULL, MBOX_AUTO},
    {MBOX_AUTO, "\xef\xbb\xbf" F1 "S: x\n\nb\n\n", M1 "S: x\n\nb\n}", MBOX_RD},
    {MBOX_AUTO, "\n\n" F1 "S: x\n\nb\n\n", M1 "S: x\n\nb\n}", MBOX_RD},
    {MBOX_AUTO, F1, M1 "}", MBOX_RD},
    {MBOX_AUTO, "From a@b Thu Nov 24 18:22:48 1986", M1 "}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\nb\n\n" F2 "S: y\n\nc\n\n", M1 "S: x\n\nb\n}" M2 "S: y\n\nc\n}", MBOX_RD},
    /* no final newline, no final empty line, several of them */
    {MBOX_AUTO, F1 "S: x\n\nb", M1 "S: x\n\nb}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\nb\n", M1 "S: x\n\nb\n}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\nb\n\n\n" F2 "S: y\n\nc\n\n\n", M1 "S: x\n\nb\n\n}" M2 "S: y\n\nc\n\n}", MBOX_RD},
    /* header only, empty messages */
    {MBOX_AUTO, F1 "S: x\n\n" F2 "S: y\n\n\n", M1 "S: x\n}" M2 "S: y\n\n}", MBOX_RD},
    {MBOX_AUTO, F1 "\n" F2 "\n", M1 "}" M2 "}", MBOX_RD},
    /* CRLF */
    {MBOX_AUTO,
     "From a@b Thu Nov 24 18:22:48 1986\r\nS: x\r\n\r\n>From b\r\n\r\nFrom c@d Thu Nov 24 18:22:49 1986\r\nS: "
     "y\r\n\r\nc\r\n",
     M1 "S: x\r\n\r\nFrom b\r\n}" M2 "S: y\r\n\r\nc\r\n}", MBOX_RD},
    /* "From " lines that begin no message */
    {MBOX_AUTO, F1 "S: x\n\nFrom here to there\n\nFrom here to there\n\nFrom May 23 2007 on\n",
     M1 "S: x\n\nFrom here to there\n\nFrom here to there\n\nFrom May 23 2007 on\n}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\nfrom a@b Thu Nov 24 18:22:48 1986\n\nFrom\n\nFrom: x\n",
     M1 "S: x\n\nfrom a@b Thu Nov 24 18:22:48 1986\n\nFrom\n\nFrom: x\n}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\ntext\nFrom a@b at 10:30 on 1 May 2007 he said\nmore\n",
     M1 "S: x\n\ntext\nFrom a@b at 10:30 on 1 May 2007 he said\nmore\n}", MBOX_RD},
    /* no empty line before, but a field after it */
    {MBOX_AUTO, F1 "S: x\n\nb\n" F2 "S: y\n\nc\n", M1 "S: x\n\nb\n}" M2 "S: y\n\nc\n}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n" F2 "S: y\n\nc\n", M1 "S: x\n}" M2 "S: y\n\nc\n}", MBOX_RD},
    /* lines without a date */
    {MBOX_AUTO, F1 "S: x\n\nb\n\nFrom \nS: y\n\nc\n", M1 "S: x\n\nb\n}{,0;S: y\n\nc\n}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\nb\n\nFrom c@d\nS: y\n\nc\n", M1 "S: x\n\nb\n}{c@d,0;S: y\n\nc\n}", MBOX_RD},
    {MBOX_AUTO, F1 "S: x\n\nb\n\nFrom c@d\n>From c@d remote\nS: y\n\n",
     M1 "S: x\n\nb\n}{c@d,0;From c@d remote\nS: y\n}", MBOX_RD},
    /* "From " lines of other programs */
    {MBOX_AUTO, "From - Thu Nov 24 18:22:48 1986\n\n", "{-,533240568;}", MBOX_RD},
    {MBOX_AUTO, "From 123@xxx Thu Nov 24 19:22:48 +0100 1986\n\n", "{123@xxx,533240568;}", MBOX_RD},
    {MBOX_AUTO, "From a@b Thu Nov 24 18:22 1986 remote from host\n\n", "{a@b,533240520;}", MBOX_RD},
    {MBOX_AUTO, "From \"a b\"@c Thu Nov 24 18:22:48 1986\n\n", "{\"a b\"@c,533240568;}", MBOX_RD},
    {MBOX_AUTO, "From a@b Thu Nov 24 18:22:48 GMT 1986\n\n", M1 "}", MBOX_RD},
    {MBOX_AUTO, "From a@b  Thu, 24 Nov 1986 18:22:48 +0000\n\n", M1 "}", MBOX_RD},
    {MBOX_AUTO, "From Thu Nov 24 18:22:48 1986\n\n", "{,533240568;}", MBOX_RD},
    /* quoting */
    {MBOX_RD, F1 "S: x\n\n>From a\n>>From b\n>>>From c\n>from\n>From\n>>\n>From",
     M1 "S: x\n\nFrom a\n>From b\n>>From c\n>from\n>From\n>>\n>From}", MBOX_RD},
    {MBOX_O, F1 "S: x\n\n>From a\n>>From b\n>>>From c\n", M1 "S: x\n\nFrom a\n>>From b\n>>>From c\n}", MBOX_O},
    {MBOX_CL2, F1 "S: x\n\n>From a\n>>From b\n", M1 "S: x\n\n>From a\n>>From b\n}", MBOX_CL2},
    {MBOX_CL, F1 "S: x\n\n>From a\n>>From b\n", M1 "S: x\n\nFrom a\n>>From b\n}", MBOX_CL},
    {MBOX_AUTO, F1 "S: x\n\n>>From a\n>From \n", M1 "S: x\n\n>From a\nFrom \n}", MBOX_RD},
    /* Content-Length that is true: the "From " lines it covers are content */
    {MBOX_AUTO, F1 "Content-Length: 45\nS: x\n\nb\n\nFrom x@y Thu Nov 24 18:22:49 1986\nA: bcde\n\n" F2 "S: y\n\nc\n",
     M1 "Content-Length: 45\nS: x\n\nb\n\nFrom x@y Thu Nov 24 18:22:49 1986\nA: bcde\n}" M2 "S: y\n\nc\n}", MBOX_CL2},
    {MBOX_CL2, F1 "content-length:36\n\n" F2 "A\n\n" F2 "\n", M1 "content-length:36\n\n" F2 "A\n}" M2 "}", MBOX_CL2},
    {MBOX_AUTO, F1 "Content-Length: 36\n\n" F2 "A\n", M1 "Content-Length: 36\n\n" F2 "A\n}", MBOX_CL2},
    {MBOX_AUTO, F1 "Content-Length: 2\n\nb\n\n" F2 "S: y\n\nc\n", M1 "Content-Length: 2\n\nb\n}" M2 "S: y\n\nc\n}",
     MBOX_CL},
    {MBOX_AUTO, F1 "Content-Length: 3\n\nb\n\n" F2 "S: y\n\nc\n", M1 "Content-Length: 3\n\nb\n}" M2 "S: y\n\nc\n}",
     MBOX_CL},
    {MBOX_AUTO, F1 "Content-Length: 0\n\n\n" F2 "S: y\n\n", M1 "Content-Length: 0\n\n}" M2 "S: y\n}", MBOX_CL},
    /* that lies: too short, too long, to the middle of another, absurd, beyond the end */
    {MBOX_AUTO, F1 "Content-Length: 1\n\nbbb\n\n" F2 "S: y\n\nc\n", M1 "Content-Length: 1\n\nbbb\n}" M2 "S: y\n\nc\n}",
     MBOX_RD},
    {MBOX_AUTO, F1 "Content-Length: 40\n\nb\n\n" F2 "S: y\n\nc\n", M1 "Content-Length: 40\n\nb\n}" M2 "S: y\n\nc\n}",
     MBOX_RD},
    {MBOX_CL2, F1 "Content-Length: 40\n\nb\n\n" F2 "S: y\n\nc\n", M1 "Content-Length: 40\n\nb\n}" M2 "S: y\n\nc\n}",
     MBOX_CL2},
    {MBOX_CL, F1 "Content-Length: 4000\n\nb\n\n" F2 "S: y\n\nc\n", M1 "Content-Length: 4000\n\nb\n}" M2 "S: y\n\nc\n}",
     MBOX_CL},
    {MBOX_AUTO, F1 "Content-Length: 99999999999999999999\n\nb\n\n" F2 "\n",
     M1 "Content-Length: 99999999999999999999\n\nb\n}" M2 "}", MBOX_RD},
    {MBOX_AUTO, F1 "Content-Length: 9223372036854775807\n\nb\n\n" F2 "\n",
     M1 "Content-Length: 9223372036854775807\n\nb\n}" M2 "}", MBOX_RD},
    {MBOX_AUTO, F1 "Content-Length: -1\n\nb\n\n" F2 "\n", M1 "Content-Length: -1\n\nb\n}" M2 "}", MBOX_RD},
    /* A message of somebody else in a file without lengths cannot swallow those behind it. */
    {MBOX_AUTO, F1 "S: x\n\nb\n\n" F2 "Content-Length: 44\n\nb\n\n" F1 "S: y\n\n\n\n" F2 "\n",
     M1 "S: x\n\nb\n}" M2 "Content-Length: 44\n\nb\n}" M1 "S: y\n\n\n}" M2 "}", MBOX_RD},
    {MBOX_RD, F1 "Content-Length: 36\n\n" F2 "A\n", M1 "Content-Length: 36\n}" M2 "A\n}", MBOX_RD},
};

struct cuts {
    struct random_seeded random;
};

static size_t random_cut(void *arg, size_t left) {
    (void)left;
    return 1 + (size_t)random_below(&((struct cuts *)arg)->random.random, 40);
}

static void test_cases(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (uint64_t run = 0; run < 12; run++) {
            struct arena *arena = arena_new("test", 8 * 1024 * 1024);
            struct cuts cuts;
            enum mbox_dialect found;
            buf_clear(&out);
            random_seeded_init(&cuts.random, run);
            enum err err = mbox_show(arena, cases[i].dialect, view_cstr(cases[i].file),
                                     run == 0   ? mbox_whole
                                     : run == 1 ? mbox_bytewise
                                                : random_cut,
                                     &cuts, &out, &found);
            assert_int_equal(err, cases[i].shown == NULL ? ERR_SYNTAX : ERR_OK);
            assert_view(buf_view(&out), cases[i].shown == NULL ? "" : cases[i].shown);
            if (found != cases[i].found)
                fail_msg("case %zu: dialect %d", i, (int)found);
            arena_free(arena);
        }
    }
    buf_fini(&out);
}

static const char *const words[] = {"From ",
                                    ">",
                                    "\n",
                                    "\r\n",
                                    "\n\n",
                                    "From a@b Thu Nov 24 18:22:48 1986\n",
                                    "Subject: x\n",
                                    "a",
                                    " ",
                                    "Fro",
                                    "F",
                                    ">From ",
                                    "\r",
                                    "Content-Length: 5\n",
                                    "\n>>From x"};

/* What the writer writes reads back equal (RFC4155-A, mboxrd), whatever the messages are and however they are cut. */
static void test_round_trip(void **state) {
    (void)state;
    struct buf file, expected, got, message;
    buf_init(&file, 1 << 20);
    buf_init(&expected, 1 << 20);
    buf_init(&got, 1 << 20);
    buf_init(&message, 1 << 16);
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct cuts cuts;
        struct random *random = &cuts.random.random;
        random_seeded_init(&cuts.random, seed);
        buf_clear(&file);
        buf_clear(&expected);
        buf_clear(&got);
        size_t count = (size_t)random_below(random, 6);
        for (size_t m = 0; m < count; m++) {
            struct mbox_writer writer;
            buf_clear(&message);
            for (size_t n = (size_t)random_below(random, 30); n > 0; n--)
                buf_put_str(&message, words[random_below(random, ARRAY_LEN(words))]);
            /* a last line without line end gets one; CRLF becomes LF */
            if (message.n > 0 && message.p[message.n - 1] != '\n')
                buf_put_byte(&message, '\n');
            buf_put_str(&expected, "{s@x,");
            buf_put_i64(&expected, (int64_t)seed * 100000);
            buf_put_byte(&expected, ';');
            for (size_t i = 0; i < message.n; i++)
                if (message.p[i] != '\r' || message.p[i + 1] != '\n')
                    buf_put_byte(&expected, message.p[i]);
            buf_put_byte(&expected, '}');
            mbox_put_from(&file, &writer, VIEW("s@x"), (int64_t)seed * 100000 * 1000000 + 7);
            struct view rest = buf_view(&message);
            while (rest.n > 0) {
                size_t n = random_cut(&cuts, rest.n);
                mbox_put_octets(&file, &writer, view_sub(rest, 0, n));
                rest = view_skip(rest, n);
            }
            mbox_put_end(&file, &writer);
        }
        struct arena *arena = arena_new("test", 8 * 1024 * 1024);
        assert_int_equal(mbox_show(arena, MBOX_RD, buf_view(&file), random_cut, &cuts, &got, NULL), ERR_OK);
        arena_free(arena);
        if (!view_eq(buf_view(&got), buf_view(&expected)))
            fail_msg("seed %llu\nfile: %.*s\ngot: %.*s", (unsigned long long)seed, VIEW_FMT(buf_view(&file)),
                     VIEW_FMT(buf_view(&got)));
    }
    buf_fini(&file);
    buf_fini(&expected);
    buf_fini(&got);
    buf_fini(&message);
}

/* Any file, cut anywhere, tells the same; with much memory and with little. */
static void test_any_cut(void **state) {
    (void)state;
    struct buf file, whole, cut;
    buf_init(&file, 1 << 20);
    buf_init(&whole, 1 << 20);
    buf_init(&cut, 1 << 20);
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct cuts cuts;
        struct random *random = &cuts.random.random;
        random_seeded_init(&cuts.random, seed);
        enum mbox_dialect dialect = (enum mbox_dialect)random_below(random, 5), found[3];
        size_t budget = random_below(random, 2) == 0 ? 16 * 1024 : 8 * 1024 * 1024;
        buf_clear(&file);
        buf_put_str(&file, F1);
        for (size_t n = (size_t)random_below(random, 40); n > 0; n--) {
            if (random_below(random, 10) == 0)
                buf_printf(&file, "\nContent-Length: %d\n\n", (int)random_below(random, 300));
            buf_put_str(&file, words[random_below(random, ARRAY_LEN(words))]);
        }
        for (int run = 0; run < 3; run++) {
            struct arena *arena = arena_new("test", budget);
            struct buf *out = run == 0 ? &whole : &cut;
            buf_clear(out);
            assert_int_equal(mbox_show(arena, dialect, buf_view(&file),
                                       run == 0   ? mbox_whole
                                       : run == 1 ? mbox_bytewise
                                                  : random_cut,
                                       &cuts, out, &found[run]),
                             ERR_OK);
            if (run > 0 && (!view_eq(buf_view(&whole), buf_view(&cut)) || found[0] != found[run]))
                fail_msg("seed %llu\n%.*s\nwhole: %.*s\ncut: %.*s", (unsigned long long)seed, VIEW_FMT(buf_view(&file)),
                         VIEW_FMT(buf_view(&whole)), VIEW_FMT(buf_view(&cut)));
            arena_free(arena);
        }
    }
    buf_fini(&file);
    buf_fini(&whole);
    buf_fini(&cut);
}

struct counts {
    size_t messages;
    uint64_t octets;
    size_t fail_at; /* 0: never */
};

static enum err count_begin(void *arg, const struct mbox_message *message) {
    (void)message;
    struct counts *counts = arg;
    counts->messages++;
    return counts->messages == counts->fail_at ? ERR_FULL : ERR_OK;
}

static enum err count_octets(void *arg, struct view octets) {
    ((struct counts *)arg)->octets += octets.n;
    return ERR_OK;
}

static enum err count_end(void *arg) {
    (void)arg;
    return ERR_OK;
}

/* Files that would be slow to a careless reader, in small memory (the test's time limit would show it), and an overlong
 * "From " line; a callback's error ends the reading and stays. */
static void test_limits(void **state) {
    (void)state;
    static const char *const pieces[] = {"\n" F1 "Content-Length: 1040000\n\n",
                                         "\n" F1 "Content-Length: 90\n\nx\n",
                                         ">",
                                         "\n",
                                         "\r",
                                         "\r\n",
                                         "F",
                                         "From ",
                                         "\n\nFrom ",
                                         "From x 10:10 1 May 2000\n",
                                         "\n>From x\n",
                                         "Content-Length: 3\n"};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct counts counts = {0};
        struct mbox_events events = {count_begin, count_octets, count_end, &counts};
        struct arena *arena = arena_new("test", i % 2 == 0 ? 8 * 1024 * 1024 : 20 * 1024);
        struct mbox_reader *reader = mbox_reader_new(arena, MBOX_AUTO, &events);
        struct buf file;
        buf_init(&file, 1 << 16);
        while (file.n < 60000)
            buf_put_str(&file, pieces[i]);
        assert_int_equal(mbox_reader_feed(reader, VIEW(F1)), ERR_OK);
        for (int k = 0; k < 100; k++)
            assert_int_equal(mbox_reader_feed(reader, buf_view(&file)), ERR_OK);
        assert_int_equal(mbox_reader_end(reader), ERR_OK);
        assert_true(counts.messages > 0);
        buf_fini(&file);
        arena_free(arena);
    }
    struct buf file;
    buf_init(&file, 1 << 16);
    buf_put_str(&file, F1 "S: x\n\n");
    for (int n = 0; n < 2; n++) {
        /* MBOX_FROM_MAX is the longest one, with its line end. */
        struct counts counts = {.fail_at = n == 0 ? 2 : 0};
        struct mbox_events events = {count_begin, count_octets, count_end, &counts};
        struct arena *arena = arena_new("test", 20 * 1024);
        struct mbox_reader *reader = mbox_reader_new(arena, MBOX_AUTO, &events);
        buf_put_str(&file, "\nFrom ");
        for (int k = 0; k < (n == 0 ? MBOX_FROM_MAX - 30 : MBOX_FROM_MAX); k++)
            buf_put_byte(&file, 'x');
        buf_put_str(&file, " Thu Nov 24 18:22:48 1986\n");
        assert_int_equal(mbox_reader_feed(reader, buf_view(&file)), n == 0 ? ERR_FULL : ERR_OK);
        assert_int_equal(counts.messages, 2);
        assert_int_equal(mbox_reader_feed(reader, VIEW("x")), n == 0 ? ERR_FULL : ERR_OK);
        assert_int_equal(mbox_reader_end(reader), n == 0 ? ERR_FULL : ERR_OK);
        arena_free(arena);
    }
    buf_fini(&file);
    struct arena *small = arena_new("test", 1000);
    assert_null(mbox_reader_new(small, MBOX_AUTO, &(struct mbox_events){0}));
    arena_free(small);
}

/* RFC4155-A: the "From " line; nothing of the sender can break it. */
static void test_from_line(void **state) {
    (void)state;
    struct buf buf;
    struct mbox_writer writer;
    buf_init(&buf, 4000);
    mbox_put_from(&buf, &writer, VIEW("a@b"), INT64_C(533240568) * 1000000);
    assert_view(buf_view(&buf), "From a@b Mon Nov 24 18:22:48 1986\n");
    buf_clear(&buf);
    mbox_put_from(&buf, &writer, VIEW(""), -1);
    assert_view(buf_view(&buf), "From MAILER-DAEMON Wed Dec 31 23:59:59 1969\n");
    buf_clear(&buf);
    mbox_put_from(&buf, &writer, VIEW("\"a b\nc\"@d"), 0);
    assert_view(buf_view(&buf), "From _a_b_c_@d Thu Jan  1 00:00:00 1970\n");
    buf_fini(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),  cmocka_unit_test(test_round_trip), cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_from_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
