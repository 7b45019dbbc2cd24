/* The tree of a stream equals the tree of the whole message, however it is cut; its memory is bounded by a constant. */
#include "message/testing.h"

#include "message/corpus_testing.h"
#include "message/stream_testing.h"
#include "message/structure_testing.h"

/* -- Equal for all cuts -------------------------------------------------------------------------------- */

static void check_file(const char *name, struct view bytes, void *arg) {
    bool *failed = arg;
    const char *error = check_streams(bytes, bytes.n);
    if (error != NULL) {
        print_error("%s: %s\n", name, error);
        *failed = true;
    }
}

static void test_corpus(void **state) {
    (void)state;
    bool failed = false;
    if (corpus_each("", check_file, &failed) == 0)
        skip();
    assert_false(failed);
}

/* Fragments whose joints matter; messages of them are made at random. */
static const struct view fragments[] = {
    VIEW_INIT("\n"),
    VIEW_INIT("\r\n"),
    VIEW_INIT("\r"),
    VIEW_INIT("\n\n"),
    VIEW_INIT("\r\n\r\n"),
    VIEW_INIT("--"),
    VIEW_INIT("--b"),
    VIEW_INIT("\n--b\n"),
    VIEW_INIT("\r\n--b\r\n"),
    VIEW_INIT("\r\n--b--\r\n"),
    VIEW_INIT("\n--c\n"),
    VIEW_INIT("\n--c--"),
    VIEW_INIT("--b \t "),
    VIEW_INIT(" "),
    VIEW_INIT("-"),
    VIEW_INIT("x"),
    VIEW_INIT("\0"),
    VIEW_INIT("Content-Type: multipart/mixed; boundary=b\r\n"),
    VIEW_INIT("Content-Type: multipart/digest; boundary=\"c\"\n"),
    VIEW_INIT("Content-Type: multipart/mixed; boundary*0=b\n"),
    VIEW_INIT("Content-Type: multipart/mixed\n"),
    VIEW_INIT("Content-Type: message/rfc822\n"),
    VIEW_INIT("Content-Type: message/rfc822\r\n\r\n"),
    VIEW_INIT("Content-Type: text/html; charset=\"a\\b\"\n"),
    VIEW_INIT("Content-Type: nonsense; a=b\n"),
    VIEW_INIT("Content-Transfer-Encoding: base64\n"),
    VIEW_INIT("Content-Transfer-Encoding: quoted-printable\r\n"),
    VIEW_INIT("Content-Description: a\n b\n"),
    VIEW_INIT("Content-Language: de, en\n"),
    VIEW_INIT("From x\n"),
    VIEW_INIT("Subject: y\n"),
    VIEW_INIT("no field\n"),
    VIEW_INIT("A line of text that is as long as those of mail mostly are, and then some more of it.\r\n"),
    VIEW_INIT("VGhlIGJvZHkgb2YgYSBwYXJ0IGluIGJhc2U2NCwgd2l0aCBsaW5lcyBvZiA3NiBvY3RldHMuLi4\r\n"),
};

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 3;
}

static void put_random_message(struct buf *out, uint64_t *random) {
    size_t count = next_random(random) % 40;
    for (size_t i = 0; i < count; i++) {
        size_t kind = next_random(random) % (ARRAY_LEN(fragments) + 2);
        if (kind < ARRAY_LEN(fragments)) {
            buf_put(out, fragments[kind]);
            continue;
        }
        /* Around the limits of a line that is looked at, and of a block of skip_lines(). */
        size_t n = kind == ARRAY_LEN(fragments) ? MESSAGE_LINE_LOOK - 10 + next_random(random) % 20
                                                : next_random(random) % 150;
        uint8_t octet = next_random(random) % 3 == 0 ? ' ' : 'y';
        for (size_t k = 0; k < n; k++)
            buf_put_byte(out, octet);
    }
}

static void test_generated(void **state) {
    (void)state;
    uint64_t random = 20261125;
    struct buf bytes;
    buf_init(&bytes, 1 << 24);
    for (size_t i = 0; i < 4000; i++) {
        buf_clear(&bytes);
        uint64_t seed = random;
        put_random_message(&bytes, &random);
        assert_int_equal(buf_err(&bytes), ERR_OK);
        const char *error = check_streams(buf_view(&bytes), i + 1);
        if (error == NULL)
            error = check_message(buf_view(&bytes));
        if (error != NULL)
            fail_msg("message %zu (seed %llu): %s", i, (unsigned long long)seed, error);
    }
    buf_fini(&bytes);
}

static void put_repeated(struct buf *out, uint8_t octet, size_t n) {
    uint8_t *room = buf_room(out, n);
    if (room == NULL)
        return;
    memset(room, octet, n);
    buf_added(out, n);
}

/* Messages over every limit. */
static void test_limits(void **state) {
    (void)state;
    struct buf bytes;
    buf_init(&bytes, 1 << 26);
    for (size_t kind = 0; kind < 12; kind++) {
        buf_clear(&bytes);
        switch (kind) {
        case 0: /* one header of more than is looked at, its type at the end */
            put_repeated(&bytes, 'x', MESSAGE_HEADER_MAX);
            buf_put_str(&bytes, ": y\nContent-Type: text/html\n\nbody\n");
            break;
        case 1: /* a field too many */
            for (size_t i = 0; i <= MESSAGE_HEADER_FIELDS_MAX; i++)
                buf_put_str(&bytes, "X: y\r\n");
            buf_put_str(&bytes, "Content-Type: text/html\r\n\r\nbody\r\n");
            break;
        case 2: /* more headers together than are kept */
            buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
            for (size_t i = 0; i < 30; i++) {
                buf_put_str(&bytes, "--b\nContent-Type: text/html\nX: ");
                put_repeated(&bytes, 'y', MESSAGE_HEADERS_MAX / 20);
                buf_put_str(&bytes, "\n\nbody\n");
            }
            break;
        case 3: /* more fields than are kept: parameters are larger in memory than in the header */
            buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
            for (size_t i = 0; i < 900; i++) {
                buf_put_str(&bytes, "--b\nContent-Type: text/html");
                for (size_t k = 0; k < 100; k++)
                    buf_printf(&bytes, ";%zu=", k);
                buf_put_str(&bytes, "\nContent-Disposition: inline");
                for (size_t k = 0; k < 100; k++)
                    buf_printf(&bytes, ";%zu=", k);
                buf_put_str(&bytes, "\n\nbody\n");
            }
            break;
        case 4: /* too many parts */
            buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
            for (size_t i = 0; i < MESSAGE_PARTS_MAX + 100; i++)
                buf_put_str(&bytes, "--b\n\nx\n");
            break;
        case 5: /* too deep */
            for (size_t i = 0; i < MESSAGE_DEPTH_MAX + 10; i++)
                buf_printf(&bytes, "Content-Type: multipart/mixed; boundary=b%zu\n\n--b%zu\n", i, i);
            break;
        case 6: /* message in message */
            for (size_t i = 0; i < MESSAGE_DEPTH_MAX + 10; i++)
                buf_put_str(&bytes, "Content-Type: message/rfc822\n\n");
            break;
        case 7: /* a delimiter with more white space than is looked at, and one with as much */
            buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\n\n--b");
            put_repeated(&bytes, ' ', MESSAGE_LINE_LOOK);
            buf_put_str(&bytes, "\n\nno\n--b");
            put_repeated(&bytes, ' ', MESSAGE_LINE_LOOK - 3);
            buf_put_str(&bytes, "\r\n\r\nyes\r\n--b--");
            break;
        case 8: /* the first line is longer than the window that decides about line ends */
            put_repeated(&bytes, 'x', MESSAGE_FIRST_WINDOW - 2);
            buf_put_str(&bytes, "\r\r\n\r\rbody\n");
            break;
        case 9: /* CR ends lines, LF comes late */
            buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\r\r--b\r\r");
            put_repeated(&bytes, 'x', MESSAGE_FIRST_WINDOW);
            buf_put_str(&bytes, "\n--b\n\r--b--\r");
            break;
        case 10: /* white space alone, and a name without end */
            put_repeated(&bytes, ' ', 3 * MESSAGE_LINE_LOOK);
            put_repeated(&bytes, 'x', 3 * MESSAGE_LINE_LOOK);
            buf_put_str(&bytes, ":\nContent-Type: text/html\n\n");
            break;
        case 11: /* a boundary that is too long */
            buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=");
            put_repeated(&bytes, 'x', 1001);
            buf_put_str(&bytes, "\n\n--");
            put_repeated(&bytes, 'x', 1001);
            buf_put_str(&bytes, "\n\n");
            break;
        }
        assert_int_equal(buf_err(&bytes), ERR_OK);
        const char *error = check_streams(buf_view(&bytes), kind + 1);
        if (error == NULL)
            error = check_message(buf_view(&bytes));
        if (error != NULL)
            fail_msg("kind %zu: %s", kind, error);
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message m;
        assert_int_equal(message_parse(arena, buf_view(&bytes), &m), ERR_OK);
        assert_int_equal(m.degraded, kind <= 6);
        if (kind == 2) {
            /* The first parts are read, those after the limit are opaque, and none is lost. */
            assert_int_equal(m.root->child_count, 30);
            assert_view(m.root->first_child->subtype, "html");
            assert_view(m.root->last_child->subtype, "octet-stream");
            assert_int_equal(m.root->last_child->header.n, 0);
        }
        if (kind == 7) {
            assert_int_equal(m.root->child_count, 1);
            assert_true(view_eq(message_part_body(&m, m.root->first_child), VIEW("yes")));
        }
        arena_free(arena);
    }
    buf_fini(&bytes);
}

/* -- Memory -------------------------------------------------------------------------------------------- */

/* A message of any size that is made as it is read: a beginning, a filler again and again, an end. */
struct filler_source {
    struct message_source source;
    struct view start, filler;
};

static enum err read_filler(struct message_source *base, uint64_t offset, void *p, size_t n, size_t *got) {
    const struct filler_source *source = (const struct filler_source *)base;
    uint8_t *to = p;
    size_t done = 0;
    while (done < n && offset < base->size) {
        struct view from = source->start;
        if (offset < from.n)
            from = view_skip(from, (size_t)offset);
        else
            from = view_skip(source->filler, (size_t)((offset - from.n) % source->filler.n));
        size_t part = MIN(MIN(from.n, n - done), (size_t)MIN(base->size - offset, (uint64_t)SIZE_MAX));
        memcpy(to + done, from.p, part);
        done += part;
        offset += part;
    }
    *got = done;
    return ERR_OK;
}

/* Under a sanitizer octets are dear. */
#if defined(VEREDUS_SANITIZE)
#define HUGE_SIZE ((uint64_t)150 * 1000 * 1000)
#else
#define HUGE_SIZE ((uint64_t)1500 * 1000 * 1000)
#endif

static void test_memory(void **state) {
    (void)state;
    static const struct {
        struct view start, filler;
        size_t parts;
        bool is_degraded;
    } table[] = {
        /* an ordinary large attachment */
        {VIEW_INIT(
             "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: image/png\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\n"),
         VIEW_INIT("VGhlIGJvZHkgb2YgYSBwYXJ0IGluIGJhc2U2NCwgd2l0aCBsaW5lcyBvZiA3NiBvY3RldHMuLi4\r\n"), 3, false},
        /* one header, one field, one line */
        {VIEW_INIT("A: b\r\n"), VIEW_INIT("Content-Type: text/html; a=b; c=d; e=\"\\f\"\r\n"), 1, true},
        {VIEW_INIT("A: b\r\n"), VIEW_INIT(" folded\r\n"), 1, true},
        {VIEW_INIT("A: "), VIEW_INIT("x"), 1, true},
        {VIEW_INIT("A: b\r\n\r\n"), VIEW_INIT("x"), 1, false},
        {VIEW_INIT("\r"), VIEW_INIT("-"), 1, false},
        {VIEW_INIT(""), VIEW_INIT("\n"), 1, false},
        /* boundaries */
        {VIEW_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n"), VIEW_INIT("--b\r\n"), MESSAGE_PARTS_MAX, true},
        {VIEW_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n"),
         VIEW_INIT("--b\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n"), MESSAGE_PARTS_MAX, true},
        {VIEW_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n"),
         VIEW_INIT("--b\r\nContent-Type: a/b; c=\"\\d\"; e=\"\\f\"; g=\"\\h\"; i=j; k=l\r\nContent-ID: a\r\n b\r\n"
                   "Content-Language: a,b,c,d,e,f\r\nContent-Disposition: a; b=\"\\c\"; d=\"\\e\"; f=\"\\g\"\r\n"),
         MESSAGE_PARTS_MAX, true},
        {VIEW_INIT("Content-Type: multipart/mixed; boundary=b\r\n"), VIEW_INIT("--x\r\n"), 1, true},
        {VIEW_INIT("Content-Type: message/rfc822\r\n\r\n"), VIEW_INIT("Content-Type: message/rfc822\r\n\r\n"),
         MESSAGE_DEPTH_MAX, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        /* Repeated, so that reading it costs little. */
        struct buf filler;
        buf_init(&filler, 1 << 20);
        while (filler.n < MESSAGE_WINDOW)
            buf_put(&filler, table[i].filler);
        struct filler_source source = {{HUGE_SIZE, read_filler}, table[i].start, buf_view(&filler)};
        struct arena *arena = arena_new("stream", MESSAGE_ARENA_BUDGET);
        struct message m;
        assert_int_equal(message_parse_source(arena, &source.source, &m), ERR_OK);
        if (m.root->header_size + m.root->body_size != HUGE_SIZE || m.part_count != table[i].parts ||
            m.degraded != table[i].is_degraded)
            fail_msg("message %zu: %zu parts, degraded %d", i, m.part_count, m.degraded);
        print_message("message %zu: %zu octets of memory\n", i, arena_used(arena));
        /* Not the budget ended it, but the limits. */
        assert_true(arena_used(arena) < (size_t)MESSAGE_ARENA_BUDGET * 9 / 10);
        if (!table[i].is_degraded)
            assert_true(arena_used(arena) < 100 * 1024);
        arena_free(arena);
        buf_fini(&filler);
    }
}

static enum err read_error(struct message_source *source, uint64_t offset, void *p, size_t n, size_t *got) {
    (void)source;
    if (offset >= 100)
        return ERR_IO;
    memset(p, 'x', MIN(n, (size_t)100));
    *got = MIN(n, (size_t)100);
    return ERR_OK;
}

/* The errors of a source come out everywhere, and a source that ends early is one. */
static void test_source_errors(void **state) {
    (void)state;
    struct message_source broken = {1000, read_error};
    struct arena *arena = arena_new("stream", MESSAGE_ARENA_BUDGET);
    struct message m;
    assert_int_equal(message_parse_source(arena, &broken, &m), ERR_IO);

    struct message_parser *parser = message_parser_new(arena);
    assert_non_null(parser);
    message_parser_feed(parser, VIEW("\n0123456789"));
    struct message_source_memory source;
    message_source_memory_init(&source, VIEW("\n01234"));
    assert_int_equal(message_parser_end(parser, &source.source, &m), ERR_OK);
    struct buf scratch;
    struct view got = VIEW_NONE;
    buf_init(&scratch, MESSAGE_WINDOW);
    assert_int_equal(message_body_read(&m, m.root, 2, 3, &scratch, &got), ERR_OK);
    assert_view(got, "234");
    assert_int_equal(message_body_read(&m, m.root, 0, 100, &scratch, &got), ERR_NOT_FOUND);
    assert_int_equal(message_body_read(&m, m.root, 10, 100, &scratch, &got), ERR_OK);
    assert_int_equal(got.n, 0);
    m.source = NULL;
    assert_int_equal(message_body_read(&m, m.root, 0, 1, &scratch, &got), ERR_NOT_FOUND);
    buf_fini(&scratch);
    arena_free(arena);

    for (size_t budget = 0; budget < 40000; budget += 500) {
        arena = arena_new("small", budget);
        parser = message_parser_new(arena);
        if (parser != NULL) {
            struct view text = VIEW("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: y\n\nz\n--b--\n");
            message_parser_feed(parser, text);
            assert_int_equal(message_parser_end(parser, NULL, &m), ERR_OK);
            assert_int_equal(m.root->header_size + m.root->body_size, text.n);
        }
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus), cmocka_unit_test(test_generated),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_source_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
