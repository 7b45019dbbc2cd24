/* The composer: what is written reads back equal, in lines that are short, in the smallest safe encoding. */
#include "message/testing.h"

#include "message/builder_testing.h"
#include "message/encode.h"

#include <stdlib.h>

/* Seeds of the property test; VEREDUS_SEEDS asks for more. */
#define SEEDS 3000

/*
 * RFC5322-2.1.1, RFC5322-3.2.4, RFC5322-3.4, RFC5322-3.6, RFC2045-6.7, RFC2045-6.8, RFC2046-5.1.1, RFC2047-2,
 * RFC2047-5, RFC2047-6.2, RFC2183-2.3, RFC2231-3, RFC2231-4, RFC6532-3.2, RFC6854-2.1, RFC1847-2.1: random trees come
 * back equal.
 */
static void test_random_trees(void **state) {
    (void)state;
    const char *more = getenv("VEREDUS_SEEDS");
    uint64_t count = SEEDS;
    if (more != NULL)
        assert_int_equal(view_to_u64(view_cstr(more), UINT64_MAX, &count), ERR_OK);
    struct arena *arena = arena_new("test", 64 * 1024 * 1024);
    assert_non_null(arena);
    for (uint64_t seed = 0; seed < count; seed++) {
        struct random_seeded random;
        struct buf written;
        random_seeded_init(&random, seed);
        buf_init(&written, 64 * 1024 * 1024);
        struct choices choices = {.random = &random.random, .arena = arena};
        const char *error = round_trip(&choices, &written);
        if (error != NULL) {
            fail_msg("seed %llu: %s, in\n%.*s", (unsigned long long)seed, error, VIEW_FMT(buf_view(&written)));
        }
        buf_fini(&written);
        arena_clear(arena);
    }
    arena_free(arena);
}

/* -- Exactly what is written ------------------------------------------------------------------------- */

#define WHEN_US (INT64_C(1795556963) * 1000000) /* Tue, 24 Nov 2026 21:49:23 +0000 */

struct fixture {
    struct arena *arena;
    struct builder *b;
    struct round_sink sink;
};

static void setup(struct fixture *f, bool is_utf8, bool allow_8bit) {
    struct builder_options options = {
        .is_utf8 = is_utf8, .allow_8bit = allow_8bit, .wall_us = WHEN_US, .host = VIEW("example.org")};
    memcpy(options.seed, round_seed, sizeof(round_seed));
    f->arena = arena_new("test", 16 * 1024 * 1024);
    f->b = builder_new(f->arena, &options);
    assert_non_null(f->b);
    f->sink = (struct round_sink){.sink = {round_write}};
    buf_init(&f->sink.out, 16 * 1024 * 1024);
}

static void teardown(struct fixture *f) {
    buf_fini(&f->sink.out);
    arena_free(f->arena);
}

/* RFC2046-5.1.1 and the fields that are always there: a whole message, octet for octet. */
static void test_whole_message(void **state) {
    (void)state;
    static const struct address from = {.name = VIEW_INIT("J\xc3\xb6rg Doe"),
                                        .mailbox = VIEW_INIT("joe"),
                                        .host = VIEW_INIT("b\xc3\xbc"
                                                          "cher.example")};
    static const struct view ids[] = {VIEW_INIT("a@x"), VIEW_INIT("b@x")};
    struct fixture f;
    setup(&f, false, false);
    assert_int_equal(builder_addresses(f.b, VIEW("From"), &from, 1), ERR_OK);
    assert_int_equal(builder_text(f.b, VIEW("Subject"),
                                  VIEW("Gr\xc3\xbc\xc3\x9f"
                                       "e an alle")),
                     ERR_OK);
    assert_int_equal(builder_date(f.b, VIEW("Date"), WHEN_US, -330), ERR_OK);
    assert_int_equal(builder_ids(f.b, VIEW("Message-ID"), ids, 1), ERR_OK);
    assert_int_equal(builder_ids(f.b, VIEW("References"), ids, 2), ERR_OK);
    assert_int_equal(builder_structured(f.b, VIEW("List-Id"), VIEW("  x\t<x.example.org>\r\n")), ERR_OK);
    struct builder_part *mixed = builder_multipart(f.b, VIEW("mixed"));
    struct builder_part *text = builder_leaf(f.b, VIEW("text/plain"), VIEW("caf\xc3\xa9\n"));
    struct builder_part *file = builder_leaf(f.b, VIEW("application/octet-stream"), VIEW("\0\1\2\3"));
    assert_int_equal(builder_param(text, VIEW("format"), VIEW("flowed")), ERR_OK);
    assert_int_equal(builder_disposition(file, VIEW("attachment"), VIEW("na\xc3\xafve \"file\".bin")), ERR_OK);
    assert_int_equal(builder_content_id(file, VIEW("part@x")), ERR_OK);
    assert_int_equal(builder_description(file, VIEW("four octets")), ERR_OK);
    assert_int_equal(builder_language(file, VIEW("de-CH")), ERR_OK);
    assert_int_equal(builder_part_structured(file, VIEW("Content-Location"), VIEW("four.bin")), ERR_OK);
    assert_int_equal(builder_add(mixed, text), ERR_OK);
    assert_int_equal(builder_add(mixed, file), ERR_OK);
    assert_int_equal(builder_write(f.b, mixed, &f.sink.sink), ERR_OK);
    assert_view(buf_view(&f.sink.out),
                "From: =?utf-8?b?SsO2cmc=?= Doe <joe@xn--bcher-kva.example>\r\n"
                "Subject: =?utf-8?b?R3LDvMOfZQ==?= an alle\r\n"
                "Date: Tue, 24 Nov 2026 16:19:23 -0530\r\n"
                "Message-ID: <a@x>\r\n"
                "References: <a@x> <b@x>\r\n"
                "List-Id: x <x.example.org>\r\n"
                "MIME-Version: 1.0\r\n"
                "Content-Type: multipart/mixed;\r\n"
                " boundary=\"=_05b58595e5f5c5d52535051565754554a_0000\"\r\n"
                "\r\n"
                "--=_05b58595e5f5c5d52535051565754554a_0000\r\n"
                "Content-Type: text/plain; charset=utf-8; format=flowed\r\n"
                "Content-Transfer-Encoding: quoted-printable\r\n"
                "\r\n"
                "caf=C3=A9\r\n"
                "\r\n"
                "--=_05b58595e5f5c5d52535051565754554a_0000\r\n"
                "Content-Type: application/octet-stream\r\n"
                "Content-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment; filename*=utf-8''na%C3%AFve%20%22file%22.bin\r\n"
                "Content-ID: <part@x>\r\n"
                "Content-Description: four octets\r\n"
                "Content-Language: de-CH\r\n"
                "Content-Location: four.bin\r\n"
                "\r\n"
                "AAECAw==\r\n"
                "--=_05b58595e5f5c5d52535051565754554a_0000--\r\n");
    teardown(&f);
}

/* RFC6532-3.2: raw where the recipient takes it. RFC2045-6: 8bit where it may travel. */
static void test_raw_message(void **state) {
    (void)state;
    static const struct address to[] = {
        {.kind = ADDRESS_GROUP_START, .mailbox = VIEW_INIT("Freunde, alle")},
        {.name = VIEW_INIT("J\xc3\xb6rg"),
         .mailbox = VIEW_INIT("j\xc3\xb6rg"),
         .host = VIEW_INIT("b\xc3\xbc"
                           "cher.example")},
        {.mailbox = VIEW_INIT("a b"), .host = VIEW_INIT("[192.0.2.1]")},
        {.kind = ADDRESS_GROUP_END},
        {.kind = ADDRESS_GROUP_START, .mailbox = VIEW_INIT("Undisclosed recipients")},
        {.kind = ADDRESS_GROUP_END},
        {.mailbox = VIEW_INIT("c"), .host = VIEW_INIT("d")},
    };
    struct fixture f;
    setup(&f, true, true);
    assert_int_equal(builder_addresses(f.b, VIEW("To"), to, ARRAY_LEN(to)), ERR_OK);
    assert_int_equal(builder_addresses(f.b, VIEW("Cc"), to, 0), ERR_OK);
    assert_int_equal(builder_text(f.b, VIEW("Subject"),
                                  VIEW("Gr\xc3\xbc\xc3\x9f"
                                       "e")),
                     ERR_OK);
    struct builder_part *text = builder_leaf(f.b, VIEW("text/plain"), VIEW("caf\xc3\xa9\r"));
    assert_int_equal(builder_disposition(text, VIEW("inline"), VIEW("\xc3\xa9.txt")), ERR_OK);
    assert_int_equal(builder_write(f.b, text, &f.sink.sink), ERR_OK);
    assert_view(buf_view(&f.sink.out), "Date: Tue, 24 Nov 2026 21:49:23 +0000\r\n"
                                       "To: \"Freunde, alle\": J\xc3\xb6rg <j\xc3\xb6rg@b\xc3\xbc"
                                       "cher.example>, \"a b\"@[192.0.2.1];,\r\n"
                                       " Undisclosed recipients:;, c@d\r\n"
                                       "Subject: Gr\xc3\xbc\xc3\x9f"
                                       "e\r\n"
                                       "Message-ID: <0102030405060708090a0b0c0d0e0f10@example.org>\r\n"
                                       "MIME-Version: 1.0\r\n"
                                       "Content-Type: text/plain; charset=utf-8\r\n"
                                       "Content-Transfer-Encoding: 8bit\r\n"
                                       "Content-Disposition: inline; filename=\"\xc3\xa9.txt\"\r\n"
                                       "\r\n"
                                       "caf\xc3\xa9\r\n");
    teardown(&f);
}

/* RFC2231-3, RFC2231-4, RFC2045-5.1: each form only where it is needed, and one form only. */
static void test_parameters(void **state) {
    (void)state;
    static const struct {
        struct view value;
        const char *plain, *raw;
    } table[] = {
        {VIEW_INIT("a.txt"), " attachment; filename=a.txt", NULL},
        {VIEW_INIT("a b.txt"), " attachment; filename=\"a b.txt\"", NULL},
        {VIEW_INIT("a\"b.txt"), " attachment; filename=\"a\\\"b.txt\"", NULL},
        {VIEW_INIT("a\\b.txt"), " attachment; filename*=utf-8''a%5Cb.txt", NULL},
        {VIEW_INIT(" a"), " attachment; filename*=utf-8''%20a", NULL},
        {VIEW_INIT("=?utf-8?q?a?="), " attachment; filename*=utf-8''%3D%3Futf-8%3Fq%3Fa%3F%3D", NULL},
        {VIEW_INIT("a\r\nX: b"), " attachment; filename=\"a  X: b\"", NULL},
        {VIEW_INIT("\xe2\x82\xac.txt"), " attachment; filename*=utf-8''%E2%82%AC.txt",
         " attachment; filename=\"\xe2\x82\xac.txt\""},
        {VIEW_INIT("a name of a file that is so long that one line of the header is not enough for it.txt"),
         " attachment;\r\n"
         " filename*0=\"a name of a file that is so long that one line of the header is\";\r\n"
         " filename*1=\" not enough for it.txt\"",
         NULL},
        /* A character is never in two pieces. */
        {VIEW_INIT("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"),
         " attachment;\r\n"
         " filename*0*=utf-8''%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC;\r\n"
         " filename*1*=%E2%82%AC%E2%82%AC",
         " attachment; filename=\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
         "\xe2\x82\xac\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
            struct fixture f;
            struct header_field field;
            setup(&f, is_utf8 != 0, false);
            struct builder_part *part = builder_leaf(f.b, VIEW("text/plain"), VIEW("x"));
            assert_int_equal(builder_disposition(part, VIEW("attachment"), table[i].value), ERR_OK);
            assert_int_equal(builder_write(f.b, part, &f.sink.sink), ERR_OK);
            assert_true(header_find(buf_view(&f.sink.out), VIEW("Content-Disposition"), &field));
            assert_view(field.value, is_utf8 != 0 && table[i].raw != NULL ? table[i].raw : table[i].plain);
            teardown(&f);
        }
    }
}

/* RFC1847-2.1: an entity is written alone, signed, and stands in the message octet for octet. */
static void test_signed(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, false, true);
    struct builder_part *mixed = builder_multipart(f.b, VIEW("mixed"));
    assert_int_equal(
        builder_add(mixed, builder_leaf(f.b, VIEW("text/plain"), VIEW("From caf\xc3\xa9 to the next bar \n.\n"))),
        ERR_OK);
    assert_int_equal(builder_write_entity(f.b, mixed, &f.sink.sink), ERR_OK);
    struct view entity;
    assert_int_equal(arena_view(f.arena, buf_view(&f.sink.out), &entity), ERR_OK);
    assert_view(entity, "Content-Type: multipart/mixed;\r\n boundary=\"=_05b58595e5f5c5d52535051565754554a_0000\"\r\n"
                        "\r\n"
                        "--=_05b58595e5f5c5d52535051565754554a_0000\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n"
                        "\r\n"
                        "From=20caf=C3=A9 to the next bar=20\r\n=2E\r\n"
                        "\r\n"
                        "--=_05b58595e5f5c5d52535051565754554a_0000--\r\n");
    buf_clear(&f.sink.out);

    struct message_source_memory source;
    message_source_memory_init(&source, entity);
    struct builder_part *outer = builder_multipart(f.b, VIEW("signed"));
    assert_int_equal(builder_add(outer, builder_entity(f.b, &source.source)), ERR_OK);
    assert_int_equal(builder_write(f.b, outer, &f.sink.sink), ERR_SYNTAX); /* one part is not enough */
    assert_int_equal(builder_add(outer, builder_leaf(f.b, VIEW("application/pgp-signature"), VIEW("sig\r\n"))), ERR_OK);
    assert_int_equal(builder_write(f.b, outer, &f.sink.sink), ERR_OK);
    struct message m;
    assert_int_equal(message_parse(f.arena, buf_view(&f.sink.out), &m), ERR_OK);
    assert_true(mime_part_is(m.root, VIEW("multipart"), VIEW("signed")));
    assert_true(view_eq(message_part_all(&m, m.root->first_child), entity));
    /* The entity's boundary was there already: the message has another one. */
    assert_view(mime_params_get(&m.root->params, VIEW("boundary")), "=_15b58595e5f5c5d52535051565754554a_0000");
    buf_clear(&f.sink.out);

    /* What was signed as 8bit cannot travel. */
    message_source_memory_init(&source, VIEW("Content-Type: text/plain\r\n\r\n\xc3\xa9\r\n"));
    assert_int_equal(builder_write(f.b, outer, &f.sink.sink), ERR_SYNTAX);
    assert_int_equal(f.sink.out.n, 0);
    teardown(&f);
}

/* RFC2046-5.2.1 and RFC6532-3.7: messages inside are kept, and encoded only as message/global. */
static void test_messages_inside(void **state) {
    (void)state;
    static const struct {
        struct view original;
        bool allow_8bit;
        const char *header;
    } table[] = {
        {VIEW_INIT("Subject: x\r\n\r\nbody\r\n"), false, "Content-Type: message/rfc822\r\n\r\n"},
        {VIEW_INIT("Subject: x\r\n\r\nb\xc3\xb6"
                   "dy\r\n"),
         true, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"},
        {VIEW_INIT("Subject: x\r\n\r\nb\xc3\xb6"
                   "dy\r\n"),
         false, "Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"},
        {VIEW_INIT("Subject: x\r\n\r\n\0\1\2\3\4\5\6\n\n\n\n\n\n\n\n"), true,
         "Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fixture f;
        struct message m;
        struct message_source_memory source;
        struct buf back;
        setup(&f, false, table[i].allow_8bit);
        buf_init(&back, 65536);
        message_source_memory_init(&source, table[i].original);
        struct builder_part *mixed = builder_multipart(f.b, VIEW("mixed"));
        assert_int_equal(builder_add(mixed, builder_message(f.b, &source.source)), ERR_OK);
        assert_int_equal(builder_write(f.b, mixed, &f.sink.sink), ERR_OK);
        assert_int_equal(message_parse(f.arena, buf_view(&f.sink.out), &m), ERR_OK);
        assert_view(message_part_header(&m, m.root->first_child), table[i].header);
        decode_put_body(&back, &m, m.root->first_child);
        assert_true(view_eq(buf_view(&back), table[i].original));
        buf_fini(&back);
        teardown(&f);
    }
}

/* -- What is refused --------------------------------------------------------------------------------- */

static void test_refused(void **state) {
    (void)state;
    static const struct {
        struct view local, host;
    } bad[] = {
        {VIEW_INIT("gr\xc3\xbc\xc3\x9f"), VIEW_INIT("example.org")},
        {VIEW_INIT(""), VIEW_INIT("example.org")},
        {VIEW_INIT("a"), VIEW_INIT("")},
        {VIEW_INIT("a\r\nX: b"), VIEW_INIT("example.org")},
        {VIEW_INIT("a"), VIEW_INIT("b c")},
        {VIEW_INIT("a"), VIEW_INIT("b>, <c@d")},
        {VIEW_INIT("a"), VIEW_INIT("[x]y]")},
        {VIEW_INIT("a"), VIEW_INIT(".org")},
        {VIEW_INIT("a"), VIEW_INIT("b\xff")},
        {VIEW_INIT("a\0b"), VIEW_INIT("example.org")},
        {VIEW_INIT("a"), VIEW_INIT("\xc3\xbc-.-\xe2\x99\xa5.-")},
    };
    struct fixture f;
    setup(&f, false, false);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct address a = {.mailbox = bad[i].local, .host = bad[i].host};
        if (builder_addresses(f.b, VIEW("To"), &a, 1) != ERR_SYNTAX)
            fail_msg("address %zu was taken", i);
    }
    struct address group[3] = {
        {.kind = ADDRESS_GROUP_START}, {.kind = ADDRESS_GROUP_START}, {.kind = ADDRESS_GROUP_END}};
    assert_int_equal(builder_addresses(f.b, VIEW("To"), group, 1), ERR_SYNTAX);
    assert_int_equal(builder_addresses(f.b, VIEW("To"), group, 3), ERR_SYNTAX);
    assert_int_equal(builder_addresses(f.b, VIEW("To"), group + 2, 1), ERR_SYNTAX);
    assert_int_equal(builder_addresses(f.b, VIEW("To"), group + 1, 2), ERR_OK);
    /* RFC5322-3.6: once is once; and what the tree writes is not the caller's. */
    assert_int_equal(builder_text(f.b, VIEW("to"), VIEW("x")), ERR_EXISTS);
    assert_int_equal(builder_text(f.b, VIEW("Comments"), VIEW("x")), ERR_OK);
    assert_int_equal(builder_text(f.b, VIEW("Comments"), VIEW("y")), ERR_OK);
    assert_int_equal(builder_text(f.b, VIEW("Content-Type"), VIEW("x")), ERR_EXISTS);
    assert_int_equal(builder_text(f.b, VIEW("mime-version"), VIEW("x")), ERR_EXISTS);
    assert_int_equal(builder_text(f.b, VIEW("X:"), VIEW("x")), ERR_SYNTAX);
    assert_int_equal(builder_text(f.b, VIEW(""), VIEW("x")), ERR_SYNTAX);
    assert_int_equal(builder_text(f.b, VIEW("X Y"), VIEW("x")), ERR_SYNTAX);
    assert_int_equal(builder_structured(f.b, VIEW("X"), VIEW("\xc3\xa9")), ERR_SYNTAX);
    assert_int_equal(builder_date(f.b, VIEW("Date"), INT64_C(-2300000000) * 1000000, 0), ERR_SYNTAX);
    assert_int_equal(builder_date(f.b, VIEW("Date"), WHEN_US, 99 * 60 + 60), ERR_SYNTAX);
    assert_int_equal(builder_ids(f.b, VIEW("References"), (struct view[]){VIEW_INIT("a> <b")}, 1), ERR_SYNTAX);
    assert_int_equal(builder_ids(f.b, VIEW("References"), (struct view[]){VIEW_INIT("")}, 1), ERR_SYNTAX);

    assert_null(builder_leaf(f.b, VIEW("text"), VIEW("x")));
    assert_null(builder_leaf(f.b, VIEW("multipart/mixed"), VIEW("x")));
    assert_null(builder_leaf(f.b, VIEW("text/plain; x=y"), VIEW("x")));
    assert_null(builder_multipart(f.b, VIEW("mixed/x")));
    struct builder_part *text = builder_leaf(f.b, VIEW("text/plain"), VIEW("x"));
    struct builder_part *outer = builder_multipart(f.b, VIEW("mixed")), *inner = builder_multipart(f.b, VIEW("mixed"));
    assert_int_equal(builder_param(text, VIEW("charset"), VIEW("latin1")), ERR_EXISTS);
    assert_int_equal(builder_param(text, VIEW("x*0"), VIEW("x")), ERR_SYNTAX);
    assert_int_equal(builder_param(text, VIEW("x y"), VIEW("x")), ERR_SYNTAX);
    assert_int_equal(builder_param(outer, VIEW("Boundary"), VIEW("x")), ERR_EXISTS);
    assert_int_equal(builder_content_id(text, VIEW("a b")), ERR_SYNTAX);
    assert_int_equal(builder_content_id(text, VIEW("a@b")), ERR_OK);
    assert_int_equal(builder_content_id(text, VIEW("a@b")), ERR_EXISTS);
    assert_int_equal(builder_language(text, VIEW("de\r\n")), ERR_SYNTAX);
    assert_int_equal(builder_disposition(text, VIEW("in line"), VIEW_NONE), ERR_SYNTAX);
    assert_int_equal(builder_part_text(text, VIEW("Content-Type"), VIEW("x")), ERR_EXISTS);
    assert_int_equal(builder_add(text, outer), ERR_SYNTAX);
    assert_int_equal(builder_add(outer, outer), ERR_EXISTS);
    assert_int_equal(builder_add(outer, inner), ERR_OK);
    assert_int_equal(builder_add(inner, outer), ERR_EXISTS);
    assert_int_equal(builder_add(outer, inner), ERR_EXISTS);
    assert_int_equal(builder_add(outer, text), ERR_OK);
    assert_int_equal(builder_write(f.b, outer, &f.sink.sink), ERR_SYNTAX); /* inner is empty */
    assert_int_equal(builder_write(f.b, text, &f.sink.sink), ERR_SYNTAX);  /* no root */
    assert_int_equal(f.sink.out.n, 0);
    teardown(&f);
}

/* Every budget of memory that is too small is said, and nothing half is kept. */
static void test_small_arenas(void **state) {
    (void)state;
    bool done = false;
    for (size_t budget = 0; !done; budget += 16) {
        struct arena *arena = arena_new("test", budget);
        struct choices choices = {.arena = arena,
                                  .octets = VIEW("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24")};
        assert_non_null(arena);
        done = round_trip(&choices, NULL) == NULL;
        assert_true(budget < 1024 * 1024);
        arena_free(arena);
    }
}

/* -- Large contents ---------------------------------------------------------------------------------- */

struct large_source {
    struct message_source source;
    uint64_t octets, largest_read, fail_at, seen;
    bool shrinks;
};

/* Octets that depend on their place only; 251 has no common divisor with windows and lines. */
static enum err read_large(struct message_source *source, uint64_t offset, void *p, size_t n, size_t *got) {
    struct large_source *s = (struct large_source *)source;
    uint64_t end = s->shrinks && s->seen > s->octets ? s->octets - 1 : s->octets;
    if (offset >= s->fail_at)
        return ERR_IO;
    *got = offset >= end ? 0 : (size_t)MIN(end - offset, (uint64_t)n);
    s->largest_read = MAX(s->largest_read, *got);
    s->seen += *got + (*got == 0);
    uint8_t *to = p;
    uint8_t value = (uint8_t)(offset % 251);
    for (size_t i = 0; i < *got; i++) {
        to[i] = value;
        value = (uint8_t)(value == 250 ? 0 : value + 1);
    }
    return ERR_OK;
}

struct counting_sink {
    struct builder_sink sink;
    uint64_t octets, largest, limit;
};

static enum err write_counted(struct builder_sink *sink, struct view octets) {
    struct counting_sink *s = (struct counting_sink *)sink;
    s->octets += octets.n;
    s->largest = MAX(s->largest, octets.n);
    return s->octets > s->limit ? ERR_FULL : ERR_OK;
}

/* 150 MB go through in windows: nothing larger is read, written or kept. */
static void test_large_source(void **state) {
    (void)state;
    struct fixture f;
    struct large_source large = {
        .source = {.size = 150000000, .read = read_large}, .octets = 150000000, .fail_at = UINT64_MAX};
    struct counting_sink sink = {.sink = {write_counted}, .limit = UINT64_MAX};
    setup(&f, false, false);
    struct builder_part *part = builder_leaf_source(f.b, VIEW("application/octet-stream"), &large.source);
    assert_int_equal(builder_write(f.b, part, &sink.sink), ERR_OK);
    uint64_t encoded = encode_base64_size(150000000);
    assert_true(sink.octets > encoded && sink.octets < encoded + 400);
    assert_true(large.largest_read <= MESSAGE_WINDOW);
    assert_true(sink.largest <= 2 * MESSAGE_WINDOW);
    assert_true(arena_used(f.arena) < 16 * 1024);
    teardown(&f);
}

/* Errors of sources and sinks come back as they are; a source that changes between the readings is seen. */
static void test_failures(void **state) {
    (void)state;
    for (uint64_t at = 0; at < 300000; at += 30000) {
        struct fixture f;
        struct large_source large = {.source = {.size = 200000, .read = read_large}, .octets = 200000, .fail_at = at};
        struct counting_sink sink = {.sink = {write_counted}, .limit = at};
        setup(&f, false, false);
        struct builder_part *part = builder_leaf_source(f.b, VIEW("image/png"), &large.source);
        assert_int_equal(builder_write(f.b, part, &sink.sink), at <= 200000 ? ERR_IO : ERR_FULL);
        if (at <= 200000)
            assert_int_equal(sink.octets, 0);
        large.fail_at = UINT64_MAX;
        assert_int_equal(builder_write(f.b, part, &sink.sink), at < 280000        ? ERR_FULL
                                                               : sink.octets > at ? ERR_FULL
                                                                                  : ERR_OK);
        teardown(&f);
    }
    struct fixture f;
    struct large_source large = {
        .source = {.size = 1000, .read = read_large}, .octets = 1000, .fail_at = UINT64_MAX, .shrinks = true};
    setup(&f, false, false);
    struct builder_part *part = builder_leaf_source(f.b, VIEW("image/png"), &large.source);
    assert_int_equal(builder_write(f.b, part, &f.sink.sink), ERR_IO);
    teardown(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_message), cmocka_unit_test(test_raw_message),     cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_signed),        cmocka_unit_test(test_messages_inside), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_small_arenas),  cmocka_unit_test(test_large_source),    cmocka_unit_test(test_failures),
        cmocka_unit_test(test_random_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
