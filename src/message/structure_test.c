/* ENVELOPE, BODY, BODYSTRUCTURE and sections, octet for octet. */
#include "message/testing.h"

#include "message/stream_parse.h"
#include "message/structure_testing.h"

/* RFC3501-4.3, RFC3501-9: string and nstring. */
static void test_strings(void **state) {
    (void)state;
    static const struct {
        struct view text;
        const char *expected;
    } table[] = {
        {VIEW_INIT(""), "\"\""},
        {VIEW_INIT("plain text"), "\"plain text\""},
        {VIEW_INIT("a \"b\" \\c"), "\"a \\\"b\\\" \\\\c\""},
        {VIEW_INIT("caf\xc3\xa9"), "{5}\r\ncaf\xc3\xa9"},
        {VIEW_INIT("a\r\nb"), "{4}\r\na\r\nb"},
        {VIEW_INIT("tab\there"), "{8}\r\ntab\there"},
        {VIEW_INIT("a\0b"), "\"a?b\""},
        {VIEW_INIT("\xff\0\""), "{3}\r\n\xff?\""},
    };
    struct buf buf;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_clear(&buf);
        imap_put_string(&buf, table[i].text);
        assert_view(buf_view(&buf), table[i].expected);
    }
    buf_clear(&buf);
    imap_put_nstring(&buf, VIEW_NONE);
    assert_view(buf_view(&buf), "NIL");
    buf_fini(&buf);
}

/* RFC3501-7.4.2 ENVELOPE, RFC5322-4.5.3 repeated destinations. */
static const struct {
    const char *header, *expected;
} envelopes[] = {
    {"", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
    /* RFC3501-8: the example of the sample connection. */
    {"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
     "From: Terry Gray <gray@cac.washington.edu>\r\n"
     "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
     "To: imap@cac.washington.edu\r\n"
     "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
     "Message-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n",
     "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
     "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
     "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) "
     "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
     "\"<B27397-0100000@cac.washington.edu>\")"},
    /* Present but empty: a string is empty, a list NIL, Sender and Reply-To default. */
    {"Date:\r\nSubject: \r\nFrom: a@b\r\nSender:\r\nReply-To: c@d\r\nTo: \r\nIn-Reply-To:\r\nMessage-ID:\r\n\r\n",
     "(\"\" \"\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) NIL NIL NIL \"\" \"\")"},
    {"Subject: =?utf-8?q?caf=C3=A9?=\r\n and\r\n\tmore\r\nTo: team: a@b, C <c@d>;, e@f\r\n\r\n",
     "(NIL \"=?utf-8?q?caf=C3=A9?= and\tmore\" NIL NIL NIL ((NIL NIL \"team\" NIL)(NIL NIL \"a\" \"b\")(\"C\" NIL "
     "\"c\" "
     "\"d\")(NIL NIL NIL NIL)(NIL NIL \"e\" \"f\")) NIL NIL NIL NIL)"},
    /* Repeated fields: the first, except destinations, which are joined. */
    {"Subject: one\nSubject: two\nFrom: a@b\nFrom: c@d\nTo: e@f\nTo: g@h\n\n",
     "(NIL \"one\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"e\" \"f\")"
     "(NIL NIL \"g\" \"h\")) NIL NIL NIL NIL)"},
    {"From: <@x,@y:a@b>\nSubject: 8bit \xe9\n\n", "(NIL {6}\r\n8bit \xe9 ((NIL \"@x,@y\" \"a\" \"b\")) ((NIL \"@x,@y\" "
                                                  "\"a\" \"b\")) ((NIL \"@x,@y\" \"a\" \"b\")) NIL "
                                                  "NIL NIL NIL NIL)"},
};

static void test_envelopes(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 65536);
    for (size_t i = 0; i < ARRAY_LEN(envelopes); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct view expected = view_cstr(envelopes[i].expected);
        buf_clear(&buf);
        structure_put_envelope(&buf, arena, view_cstr(envelopes[i].header));
        /* The tab in a subject makes it a literal. */
        if (i == 3) {
            struct reader r = reader_of(buf_view(&buf));
            assert_true(check_envelope(&r));
            assert_true(view_find(buf_view(&buf), VIEW("{30}\r\n=?utf-8?q?caf=C3=A9?= and\tmore")) > 0);
            assert_true(view_ends(buf_view(&buf), view_skip(expected, 41)));
        } else {
            assert_view(buf_view(&buf), envelopes[i].expected);
        }
        arena_free(arena);
    }
    buf_fini(&buf);
}

static const char *const nested = "From: user@domain.org\r\n"
                                  "Date: Sat, 24 Mar 2007 23:00:00 +0200\r\n"
                                  "Mime-Version: 1.0\r\n"
                                  "Content-Type: multipart/mixed; boundary=\"foo bar\"\r\n"
                                  "\r\n"
                                  "Root MIME prologue\r\n"
                                  "\r\n"
                                  "--foo bar\r\n"
                                  "Content-Type: text/x-myown; charset=us-ascii\r\n"
                                  "\r\n"
                                  "hello\r\n"
                                  "\r\n"
                                  "--foo bar\r\n"
                                  "Content-Type: message/rfc822\r\n"
                                  "\r\n"
                                  "From: sub@domain.org\r\n"
                                  "Subject: submsg\r\n"
                                  "Content-Type: multipart/alternative; boundary=\"sub1\"\r\n"
                                  "\r\n"
                                  "Sub MIME prologue\r\n"
                                  "--sub1\r\n"
                                  "Content-Type: text/html\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n"
                                  "Content-Disposition: inline; filename=x.html\r\n"
                                  "Content-Language: en, de\r\n"
                                  "\r\n"
                                  "<p>Hello world</p>\r\n"
                                  "\r\n"
                                  "--sub1\r\n"
                                  "\r\n"
                                  "Hello another world\r\n"
                                  "\r\n"
                                  "--sub1--\r\n"
                                  "Sub MIME epilogue\r\n"
                                  "\r\n"
                                  "--foo bar--\r\n"
                                  "Root MIME epilogue\r\n";

/* RFC3501-7.4.2: BODY and BODYSTRUCTURE. */
static void test_bodystructure(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf buf;
    buf_init(&buf, 65536);
    assert_int_equal(message_parse(arena, view_cstr(nested), &m), ERR_OK);
    structure_put_body(&buf, arena, &m, true);
    assert_view(
        buf_view(&buf),
        "((\"text\" \"x-myown\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 7 1 NIL NIL NIL NIL)"
        "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 338 (NIL \"submsg\" ((NIL NIL \"sub\" \"domain.org\")) "
        "((NIL NIL \"sub\" \"domain.org\")) ((NIL NIL \"sub\" \"domain.org\")) NIL NIL NIL NIL NIL) "
        "((\"text\" \"html\" NIL NIL NIL \"8BIT\" 20 1 NIL (\"inline\" (\"filename\" \"x.html\")) (\"en\" \"de\") NIL)"
        "(\"text\" \"plain\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 21 1 NIL NIL NIL NIL) "
        "\"alternative\" (\"boundary\" \"sub1\") NIL NIL NIL) 19 NIL NIL NIL NIL) "
        "\"mixed\" (\"boundary\" \"foo bar\") NIL NIL NIL)");
    buf_clear(&buf);
    structure_put_body(&buf, arena, &m, false);
    assert_view(
        buf_view(&buf),
        "((\"text\" \"x-myown\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 7 1)"
        "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 338 (NIL \"submsg\" ((NIL NIL \"sub\" \"domain.org\")) "
        "((NIL NIL \"sub\" \"domain.org\")) ((NIL NIL \"sub\" \"domain.org\")) NIL NIL NIL NIL NIL) "
        "((\"text\" \"html\" NIL NIL NIL \"8BIT\" 20 1)"
        "(\"text\" \"plain\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 21 1) \"alternative\") 19) \"mixed\")");
    buf_fini(&buf);
    arena_free(arena);
}

/* RFC3501-6.4.5: BODY[section]. */
static void test_sections(void **state) {
    (void)state;
    static const struct {
        const char *section;
        const char *expected; /* NULL: not found */
    } table[] = {
        {"1", "hello\r\n"},
        {"1.MIME", "Content-Type: text/x-myown; charset=us-ascii\r\n\r\n"},
        {"1.1", NULL},
        {"1.TEXT", NULL},
        {"2.HEADER",
         "From: sub@domain.org\r\nSubject: submsg\r\nContent-Type: multipart/alternative; boundary=\"sub1\"\r\n\r\n"},
        {"2.mime", "Content-Type: message/rfc822\r\n\r\n"},
        {"2.1", "<p>Hello world</p>\r\n"},
        {"2.2", "Hello another world\r\n"},
        {"2.2.MIME", "\r\n"},
        {"2.3", NULL},
        {"3", NULL},
        {"2.1.HEADER", NULL},
    };
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf built;
    struct section section;
    struct view out;
    buf_init(&built, 65536);
    assert_int_equal(message_parse(arena, view_cstr(nested), &m), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_int_equal(section_parse(view_cstr(table[i].section), &section), ERR_OK);
        enum err err = message_section(&m, &section, &built, &out);
        assert_int_equal(err, table[i].expected == NULL ? ERR_NOT_FOUND : ERR_OK);
        if (table[i].expected != NULL)
            assert_view(out, table[i].expected);
    }
    assert_int_equal(section_parse(VIEW(""), &section), ERR_OK);
    assert_int_equal(message_section(&m, &section, &built, &out), ERR_OK);
    assert_view(out, nested);
    assert_int_equal(section_parse(VIEW("TEXT"), &section), ERR_OK);
    assert_int_equal(message_section(&m, &section, &built, &out), ERR_OK);
    assert_true(view_starts(out, VIEW("Root MIME prologue")) && view_ends(out, VIEW("Root MIME epilogue\r\n")));
    assert_int_equal(section_parse(VIEW("2.TEXT"), &section), ERR_OK);
    assert_int_equal(message_section(&m, &section, &built, &out), ERR_OK);
    assert_true(view_starts(out, VIEW("Sub MIME prologue")) && view_ends(out, VIEW("Sub MIME epilogue\r\n")));

    static const struct view names[] = {VIEW_INIT("DATE"), VIEW_INIT("from")};
    section = (struct section){.text = SECTION_HEADER_FIELDS, .names = names, .name_count = 2};
    assert_int_equal(message_section(&m, &section, &built, &out), ERR_OK);
    assert_view(out, "From: user@domain.org\r\nDate: Sat, 24 Mar 2007 23:00:00 +0200\r\n\r\n");
    section.text = SECTION_HEADER_FIELDS_NOT;
    assert_int_equal(message_section(&m, &section, &built, &out), ERR_OK);
    assert_view(out, "Mime-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"foo bar\"\r\n\r\n");
    section = (struct section){.path = {2}, .depth = 1, .text = SECTION_HEADER_FIELDS, .names = names, .name_count = 2};
    assert_int_equal(message_section(&m, &section, &built, &out), ERR_OK);
    assert_view(out, "From: sub@domain.org\r\n\r\n");
    buf_fini(&built);
    arena_free(arena);
}

/* RFC3501-6.4.5: a message that is no multipart has a part 1, its body. */
static void test_single_part(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct view bytes = VIEW("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: x\n\ny");
    uint32_t path[] = {1, 1, 1, 1};
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    assert_ptr_equal(message_part_at(&m, path, 0), m.root);
    assert_ptr_equal(message_part_at(&m, path, 1), m.root);
    assert_ptr_equal(message_part_at(&m, path, 2), m.root->embedded);
    assert_ptr_equal(message_part_at(&m, path, 3), m.root->embedded->embedded);
    assert_null(message_part_at(&m, path, 4));
    path[0] = 2;
    assert_null(message_part_at(&m, path, 1));
    arena_free(arena);
}

/* RFC2045-6.4: a message/rfc822 part in base64 is not read inside. RFC3501-9 has no message/rfc822 without envelope, so it
 * is octets to IMAP; the tree still knows its type. */
static void test_encoded_message(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf out;
    struct view bytes =
        VIEW("Content-Type: message/rfc822; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdA==");
    buf_init(&out, 65536);
    assert_null(check_message(bytes));
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    assert_view(m.root->type, "message");
    structure_put_body(&out, arena, &m, false);
    assert_view(buf_view(&out), "(\"application\" \"octet-stream\" (\"name\" \"a\") NIL NIL \"BASE64\" 12)");
    buf_fini(&out);
    arena_free(arena);
}

/* Every section of a stream is that of the message in memory. */
static void test_sections_of_stream(void **state) {
    (void)state;
    static const char *const sections[] = {"",       "HEADER", "TEXT",       "1",        "1.MIME", "2",     "2.HEADER",
                                           "2.TEXT", "2.1",    "2.1.HEADER", "2.2.MIME", "2.2",    "3.MIME"};
    static const struct view names[] = {VIEW_INIT("Subject"), VIEW_INIT("Content-Type")};
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message whole, stream;
    struct message_source_memory source;
    struct buf built, other, bytes;
    buf_init(&built, 1 << 24);
    buf_init(&other, 1 << 24);
    buf_init(&bytes, 1 << 24);
    for (int is_long = 0; is_long < 2; is_long++) {
        /* A header of more octets than are looked at is read from the source. */
        for (size_t i = 0; is_long == 1 && i < MESSAGE_HEADER_MAX / 8; i++)
            buf_put_str(&bytes, "X: abcd\r\n");
        buf_put_str(&bytes, nested);
        message_source_memory_init(&source, buf_view(&bytes));
        assert_int_equal(message_parse(arena, buf_view(&bytes), &whole), ERR_OK);
        assert_int_equal(message_parse_source(arena, &source.source, &stream), ERR_OK);
        for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
            for (enum section_text text = SECTION_ALL; text <= SECTION_MIME; text++) {
                struct section section;
                struct view expected = VIEW_NONE, got = VIEW_NONE;
                assert_int_equal(section_parse(view_cstr(sections[i]), &section), ERR_OK);
                if (text == SECTION_HEADER_FIELDS || text == SECTION_HEADER_FIELDS_NOT)
                    section.text = text;
                section.names = names;
                section.name_count = ARRAY_LEN(names);
                enum err err = message_section(&whole, &section, &built, &expected);
                assert_int_equal(message_section(&stream, &section, &other, &got), err);
                assert_true(view_eq(got, expected));
            }
        }
        buf_clear(&bytes);
    }
    buf_fini(&built);
    buf_fini(&other);
    buf_fini(&bytes);
    arena_free(arena);
}

static void test_section_syntax(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        uint32_t depth;
        enum section_text kind;
    } table[] = {
        {"", ERR_OK, 0, SECTION_ALL},
        {"1", ERR_OK, 1, SECTION_ALL},
        {"1.22.3", ERR_OK, 3, SECTION_ALL},
        {"header", ERR_OK, 0, SECTION_HEADER},
        {"4.TEXT", ERR_OK, 1, SECTION_TEXT},
        {"1.2.MIME", ERR_OK, 2, SECTION_MIME},
        {"MIME", ERR_SYNTAX, 0, 0},
        {"0", ERR_SYNTAX, 0, 0},
        {"1.", ERR_SYNTAX, 0, 0},
        {"1.0", ERR_SYNTAX, 0, 0},
        {"1TEXT", ERR_SYNTAX, 0, 0},
        {".TEXT", ERR_SYNTAX, 0, 0},
        {"1..2", ERR_SYNTAX, 0, 0},
        {"BODY", ERR_SYNTAX, 0, 0},
        {"99999999999", ERR_LIMIT, 0, 0},
    };
    struct section s;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_int_equal(section_parse(view_cstr(table[i].text), &s), table[i].err);
        if (table[i].err == ERR_OK) {
            assert_int_equal(s.depth, table[i].depth);
            assert_int_equal(s.text, table[i].kind);
        }
    }
}

/* A damaged index is refused, whatever the damage, and never leads out of the message. */
static void test_damaged_index(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf index;
    struct section section;
    struct message_range range;
    buf_init(&index, MESSAGE_INDEX_MAX);
    assert_int_equal(message_parse(arena, view_cstr(nested), &m), ERR_OK);
    message_index_put(&index, &m);
    assert_int_equal(index.n, 1 + m.part_count * MESSAGE_INDEX_ENTRY_SIZE);
    assert_int_equal(section_parse(VIEW("2.2.MIME"), &section), ERR_OK);
    assert_int_equal(message_index_section(buf_view(&index), m.bytes.n, &section, &range), ERR_OK);
    for (size_t n = 0; n < index.n; n++)
        if (message_index_section(view_sub(buf_view(&index), 0, n), m.bytes.n, &section, &range) == ERR_OK)
            assert_true(range.offset + range.size <= m.bytes.n);
    for (size_t i = 0; i < index.n * 8; i++) {
        index.p[i / 8] ^= (uint8_t)(1 << i % 8);
        if (message_index_section(buf_view(&index), m.bytes.n, &section, &range) == ERR_OK)
            assert_true(range.offset <= m.bytes.n && range.size <= m.bytes.n - range.offset);
        index.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(message_index_section(buf_view(&index), 10, &section, &range), ERR_SYNTAX);
    assert_int_equal(message_index_section(VIEW(""), 10, &section, &range), ERR_SYNTAX);
    buf_fini(&index);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),         cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_bodystructure),   cmocka_unit_test(test_sections),
        cmocka_unit_test(test_single_part),     cmocka_unit_test(test_section_syntax),
        cmocka_unit_test(test_encoded_message), cmocka_unit_test(test_sections_of_stream),
        cmocka_unit_test(test_damaged_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
