/* The MIME parser: the conformance corpus, positions, limits, malformed structure. */
#include "message/testing.h"

#include "message/corpus_shapes.h"
#include "message/corpus_testing.h"
#include "message/stream_testing.h"
#include "message/structure_testing.h"

struct seen {
    size_t matched;
    bool failed;
};

static void check_file(const char *name, struct view bytes, void *arg) {
    struct seen *seen = arg;
    const char *error = check_message(bytes);
    if (error != NULL) {
        print_error("%s: %s\n", name, error);
        seen->failed = true;
    }
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf shape;
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    assert_false(m.degraded);
    buf_init(&shape, 65536);
    shape_put(&shape, m.root);
    for (size_t i = 0; i < ARRAY_LEN(corpus_shapes); i++) {
        const struct corpus_shape *row = &corpus_shapes[i];
        if (!view_eq(view_cstr(row->name), view_cstr(name)))
            continue;
        seen->matched++;
        if (!view_eq(buf_view(&shape), view_cstr(row->shape))) {
            print_error("%s: got %.*s\nexpected %s\n", name, VIEW_FMT(buf_view(&shape)), row->shape);
            seen->failed = true;
        }
        assert_true((row->hint == NULL) == (row->reason == NULL));
    }
    buf_fini(&shape);
    arena_free(arena);
}

static void test_corpus(void **state) {
    (void)state;
    struct seen seen = {0, false};
    size_t count = corpus_each("", check_file, &seen);
    if (count == 0) /* the corpus is not here */
        skip();
    print_message("%zu messages\n", count);
    assert_false(seen.failed);
    assert_int_equal(count, ARRAY_LEN(corpus_shapes));
    assert_int_equal(seen.matched, count);
}

/* Every prefix of a message must keep the invariants, too. */
static void check_prefixes(const char *name, struct view bytes, void *arg) {
    bool *failed = arg;
    if (bytes.n > 4000)
        return;
    for (size_t n = 0; n < bytes.n; n += n < 600 ? 1 : 37) {
        const char *error = check_message(view_sub(bytes, 0, n));
        if (error != NULL) {
            print_error("%s, %zu octets: %s\n", name, n, error);
            *failed = true;
            return;
        }
    }
}

static void test_corpus_prefixes(void **state) {
    (void)state;
    bool failed = false;
    size_t count = corpus_each("dovecot-malformed", check_prefixes, &failed);
    if (count == 0)
        skip();
    assert_true(count > 20);
    assert_true(corpus_each("enmime/low-quality", check_prefixes, &failed) > 5);
    assert_false(failed);
}

/* RFC2046-5.1.1 boundaries, RFC2046-5.1.5 digests, RFC2046-5.2.1 embedded messages, RFC2045-5.2 the default type, RFC2231-3
 * boundaries in pieces. */
static const struct {
    const char *message, *shape;
    const char *bodies; /* bodies of the leaves in order, each in "<>" */
} cases[] = {
    {"", "text/plain", "<>"},
    {"\r\n", "text/plain", "<>"},
    {"Subject: x", "text/plain", "<>"},
    {"Subject: x\r\n\r\nbody\r\n", "text/plain", "<body\r\n>"},
    {"Subject: x\n\nbody", "text/plain", "<body>"},
    /* Only CR in the whole message: it ends lines. */
    {"Content-Type: text/html\r\rbody\r", "text/html", "<body\r>"},
    /* A lone CR beside LF is data. */
    {"Content-Type: text/html\r X: y\n\nbo\rdy\n", "text/html", "<bo\rdy\n>"},
    {"no header\nat all\n", "text/plain", "<no header\nat all\n>"},
    {"garbage\nContent-Type: text/html\n\nx", "text/html", "<x>"},
    {"From me@example.org Mon Jan 1\nContent-Type: text/html\n\nx", "text/html", "<x>"},
    {">From me\nContent-Type: text/html\n\nx", "text/html", "<x>"},
    {"Content-Type : text/html\n\nx", "text/html", "<x>"},
    {"Content-Type:\n text/html\n\nx", "text/html", "<x>"},
    {"Content-Type: TEXT/Html; charset=utf-8\n\nx", "text/html", "<x>"},
    {"Content-Type: nonsense\n\nx", "text/plain", "<x>"},
    {"Content-Type: nonsense\nContent-Type: text/html\n\nx", "text/html", "<x>"},
    {"Content-Type: multipart/mixed\n\nx", "text/plain", "<x>"},
    {"Content-Type: multipart/mixed; boundary=\"\"\n\n--\nx", "text/plain", "<--\nx>"},
    /* The boundary is not named: it is the line before the first content field. */
    {"Content-Type: multipart/mixed\r\n\r\npre\r\n--b\r\nContent-Type: text/html\r\n\r\none\r\n--b \r\n\r\ntwo\r\n--b--"
     "\r\n",
     "multipart/mixed(text/html text/plain)", "<one><two>"},
    {"Content-Type: multipart/mixed; boundary=\n\n--a\n--b\t\ncontent-type: text/html\n\n--a\n--b--\n",
     "multipart/mixed(text/html)", "<--a>"},
    {"Content-Type: multipart/mixed\n\n-- \nContent-Type: text/html\n\none\n", "text/plain",
     "<-- \nContent-Type: text/html\n\none\n>"},
    {"Content-Type: multipart/mixed\n\n--b\nSubject: x\n\n--b", "text/plain", "<--b\nSubject: x\n\n--b>"},
    {"Content-Type: multipart/mixed\n\n--b\n\nContent-Type: text/html\n", "text/plain",
     "<--b\n\nContent-Type: text/html\n>"},
    {"Content-Type: multipart/mixed\n\n--b c\nContent-Type: text/html\n", "text/plain",
     "<--b c\nContent-Type: text/html\n>"},
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed\n\n--c\nContent-Type: "
     "text/html\n\none\n--c--\n--b\n\ntwo\n--b--",
     "multipart/mixed(multipart/mixed(text/html) text/plain)", "<one><two>"},
    {"Content-Type: multipart/mixed\r\r--b\rContent-Type: multipart/mixed\r\r--c\rContent-Type: text/html\r\rx\r--c--\r"
     "--b--\r",
     "multipart/mixed(multipart/mixed(text/html))", "<x>"},
    {"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\n\ntwo\n--b--\nepilogue\n--b\n\nno\n",
     "multipart/mixed(text/plain text/plain)", "<one><two>"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\r\n--b  \t\r\n\r\n--b-- \r\n",
     "multipart/mixed(text/plain text/plain)", "<one\r\n><>"},
    /* Not delimiters: other case, more text, a space in front. */
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\r\n\r\none\r\n--b--\r", "multipart/mixed(text/plain)",
     "<one>"},
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--B\n--bb\n --b\n--b-\n--b--x\n--b--\n",
     "multipart/mixed(text/plain)", "<one\n--B\n--bb\n --b\n--b-\n--b--x>"},
    {"Content-Type: multipart/mixed; boundary*0=a; boundary*1=\"b \"\n\n--ab\n\nx\n--ab--",
     "multipart/mixed(text/plain)", "<x>"},
    {"Content-Type: multipart/mixed; boundary*=us-ascii''a%62\n\n--ab\n\nx\n--ab--", "multipart/mixed(text/plain)",
     "<x>"},
    {"Content-Type: multipart/mixed; boundary=b\n--b\nContent-Type: text/html\n--b\n\ntwo",
     "multipart/mixed(text/html text/plain)", "<><two>"},
    {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\none\n--b\nContent-Type: "
     "text/plain\n\ntwo\n--b--",
     "multipart/digest(message/rfc822[text/plain] text/plain)", "<one><two>"},
    {"Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
     "message/rfc822[multipart/mixed(text/plain)]", "<x>"},
    {"Content-Type: message/rfc822\n\n", "message/rfc822[text/plain]", "<>"},
    {"Content-Type: message/global\n\nSubject: x\n\ny", "message/global[text/plain]", "<y>"},
    /* RFC2046-5.2.2, RFC2046-5.2.3, RFC2046-5.2.4: the other message types are no messages that can be read here. */
    {"Content-Type: message/partial\n\nSubject: x\n\ny", "message/partial", "<Subject: x\n\ny>"},
    {"Content-Type: message/external-body; access-type=local-file; name=\"/etc/motd\"\n\nContent-Type: "
     "text/html\nContent-ID: <a@b>\n\nphantom",
     "message/external-body", "<Content-Type: text/html\nContent-ID: <a@b>\n\nphantom>"},
    {"Content-Type: message/odd\n\nSubject: x\n\ny", "message/odd", "<Subject: x\n\ny>"},
    /* RFC2046-5.1.4, RFC2046-5.1.6, RFC2046-5.1.7: every multipart has its parts, also one that nobody knows; only in a digest
     * they are messages (RFC2046-5.1.5). */
    {"Content-Type: multipart/parallel; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--",
     "multipart/parallel(text/plain text/plain)", "<one><two>"},
    {"Content-Type: multipart/odd; boundary=b\n\n--b\n\none\n--b\nContent-Type: multipart/DIGEST; boundary=c\n\n"
     "--c\nX: y\n\nSubject: x\n\ntwo\n--c--\n--b--",
     "multipart/odd(text/plain multipart/digest(message/rfc822[text/plain]))", "<one><two>"},
    /* RFC2046-4.5.3, RFC2046-6: types that nobody knows stay what they say. */
    {"Content-Type: odd/odd\n\nx", "odd/odd", "<x>"},
    /* An outer boundary ends everything inside, an embedded message too. */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed;"
     " boundary=c\n\n--c\n\nx\n--b\n\ny\n--c\nz\n",
     "multipart/mixed(message/rfc822[multipart/mixed(text/plain)] text/plain)", "<x><y\n--c\nz\n>"},
    /* The empty line is missing: what follows the last field is the text, when the entity ends so. */
    {"Content-Type: text/html\nSubject: x\nHello,\n this is text\n", "text/html", "<Hello,\n this is text\n>"},
    {"Subject: x\nbroken\nContent-Type: text/html\n", "text/html", "<>"},
    {"Subject: x\nbroken\nContent-Type: text/html\n\nbody", "text/html", "<body>"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\none\r\ntwo\r\n--b\r\nX: y\r\n"
     "three\r\n--b--\r\n",
     "multipart/mixed(text/html text/plain)", "<one\r\ntwo><three>"},
    {"Content-Type: text/html\nSubj", "text/html", "<>"},
    {"Content-Type: message/rfc822\nhello\nworld", "message/rfc822[text/plain]", "<hello\nworld>"},
    {"Content-Type: text/html\rone\rtwo\r", "text/html", "<one\rtwo\r>"},
    /* Repeated: one boundary for two multiparts; the inner one takes delimiters until it is closed. */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n"
     "--b\n\ntwo\n--b--\n--b\n\nthree\n--b--\n",
     "multipart/mixed(multipart/alternative(text/plain text/plain) text/plain)", "<one><two><three>"},
    /* Closed twice, and a part after that. */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b--\n--b\n\nno\n",
     "multipart/mixed(text/plain)", "<one>"},
    /* Nested wrongly: the outer part is closed inside the inner one, whose delimiters then are no more. */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; "
     "boundary=c\n\n--c\n\none\n--b--\n"
     "--c\n\nno\n--c--\n",
     "multipart/mixed(multipart/mixed(text/plain))", "<one>"},
    /* The delimiter of the inner part comes before the inner part. */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--c\n--b\nContent-Type: multipart/mixed; "
     "boundary=c\n\n--c--\n"
     "--b--\n",
     "multipart/mixed(text/plain text/plain)", "<--c><--c-->"},
    /* The last boundary is cut off. */
    {"Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\none\r\n--", "multipart/mixed(text/plain)",
     "<one\r\n-->"},
    /* RFC2045-6.4: a multipart in base64 is none, unless it is not in base64. */
    {"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\nContent-Type: "
     "text/html\n\nx\n--b--\n",
     "multipart/mixed(text/html)", "<x>"},
    {"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\nLS1iCgp4Ci0tYi0tCg==\n",
     "text/plain", "<LS1iCgp4Ci0tYi0tCg==\n>"},
    {"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: quoted-printable\n\n--b\n\na=3Db\n--b--\n",
     "multipart/mixed(text/plain)", "<a=3Db>"},
    /* The same for messages: base64 and quoted-printable are to be decoded, a message that is none of it is read. */
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKeQo=\n", "message/rfc822",
     "<U3ViamVjdDogeAoKeQo=\n>"},
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nSubject: a=3Db\n\ny\n",
     "message/rfc822", "<Subject: a=3Db\n\ny\n>"},
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nContent-Type: text/html\n\nx",
     "message/rfc822[text/html]", "<x>"},
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: x\n\ny", "message/rfc822[text/plain]",
     "<y>"},
    {"Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKeQo=\n", "message/global",
     "<U3ViamVjdDogeAoKeQo=\n>"},
    /* A byte order mark in front of the first field. */
    {"\xef\xbb\xbf"
     "Content-Type: text/html\n\nx",
     "text/html", "<x>"},
};

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view bytes = view_cstr(cases[i].message);
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message m;
        struct buf out;
        const char *error = check_message(bytes);
        if (error == NULL)
            error = check_streams(bytes, i + 1);
        if (error != NULL)
            fail_msg("case %zu: %s", i, error);
        assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
        buf_init(&out, 65536);
        shape_put(&out, m.root);
        assert_view(buf_view(&out), cases[i].shape);
        buf_clear(&out);
        for (const struct mime_part *p = m.root; p != NULL; p = message_part_next(p)) {
            if (p->is_multipart || p->is_message)
                continue;
            buf_put_byte(&out, '<');
            buf_put(&out, message_part_body(&m, p));
            buf_put_byte(&out, '>');
        }
        assert_view(buf_view(&out), cases[i].bodies);
        buf_fini(&out);
        arena_free(arena);
    }
}

/* RFC2045-5.1, RFC2045-6, RFC2045-7, RFC2045-8, RFC2183-2, RFC1864-2, RFC3282-2, RFC2557-4.2. */
static void test_fields(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct view bytes = VIEW("Content-Type: Image/PNG; name=\"a \\\"b\\\".png\"\r\n"
                             "Content-Transfer-Encoding: (fast) BASE64\r\n"
                             "Content-ID: <x@y>\r\n"
                             "Content-Description: two\r\n words\r\n"
                             "Content-Disposition: Attachment;\r\n\tfilename=b.png; size=12\r\n"
                             "Content-Language: de, en (English), fr-CA\r\n"
                             "Content-Location: http://example.org/\r\n"
                             "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n"
                             "Content-Type: text/plain\r\n"
                             "\r\nAAAA\r\n");
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    const struct mime_part *p = m.root;
    assert_view(p->type, "Image");
    assert_view(p->subtype, "PNG");
    assert_view(mime_params_get(&p->params, VIEW("NAME")), "a \"b\".png");
    assert_int_equal(p->encoding, MIME_ENCODING_BASE64);
    assert_view(p->encoding_text, "BASE64");
    assert_view(p->id, "<x@y>");
    assert_view(p->description, "two words");
    assert_view(p->disposition, "Attachment");
    assert_int_equal(p->disposition_params.count, 2);
    assert_view(mime_params_get(&p->disposition_params, VIEW("filename")), "b.png");
    assert_int_equal(p->language_count, 3);
    assert_view(p->languages[2], "fr-CA");
    assert_view(p->location, "http://example.org/");
    assert_view(p->md5, "Q2hlY2sgSW50ZWdyaXR5IQ==");
    assert_int_equal(p->lines, 1);
    assert_int_equal(p->header_lines, 12);
    assert_false(m.has_nul);
    arena_free(arena);
}

static void test_no_bytes(void **state) {
    (void)state;
    assert_null(check_message(VIEW_NONE));
}

/* A NUL is data in headers and bodies, and is told. */
static void test_nul(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct view bytes = VIEW("Content-Type: text/html; a=\"\0\"\nContent-ID: a\0b\nS\0: x\n\n\0body\0\n");
    assert_null(check_message(bytes));
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    assert_true(m.has_nul);
    assert_true(view_eq(m.root->id, VIEW("a\0b")));
    assert_true(view_eq(mime_params_get(&m.root->params, VIEW("a")), VIEW("\0")));
    assert_true(view_eq(message_part_body(&m, m.root), VIEW("\0body\0\n")));
    arena_free(arena);
}

/* RFC1847-2.1: what was signed are the octets of the first part from after its delimiter to the line end before the next
 * one, which is not among them; nothing may be added, dropped or changed, whatever it is. */
static void test_signed(void **state) {
    (void)state;
    static const char *const signed_parts[] = {
        "Content-Type: text/plain\r\n\r\nHello  \r\n-- \r\nAnn\r\n",
        "Content-Type: text/plain\r\n\r\n",
        "\r\n\r\n\r\n",
        "no header\r\nat all",
        "Content-Type: text/plain\r\nwithout an empty line",
        "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\nepilogue\r\n",
        "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--",
        "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n",
        "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--",
        "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nnot closed\r\n",
        "Content-Type: message/rfc822\r\n\r\nSubject: x \r\n\r\n\ty\rz\n\r\n",
        "Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(signed_parts); i++) {
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message m;
        struct view text;
        assert_int_equal(
            arena_printf(arena, &text,
                         "MIME-Version: 1.0\r\nContent-Type: multipart/signed; micalg=pgp-sha256;\r\n"
                         " protocol=\"application/pgp-signature\"; boundary=s\r\n\r\npreamble\r\n--s\r\n%s\r\n"
                         "--s\r\nContent-Type: application/pgp-signature\r\n\r\nsignature\r\n--s--\r\n",
                         signed_parts[i]),
            ERR_OK);
        assert_null(check_message(text));
        assert_int_equal(message_parse(arena, text, &m), ERR_OK);
        assert_int_equal(m.root->child_count, 2);
        assert_view(message_part_all(&m, m.root->first_child), signed_parts[i]);
        assert_view(message_part_body(&m, m.root->last_child), "signature");
        /* RFC1847-2.2: the control part and the encrypted one of multipart/encrypted are kept in the same way. */
        assert_view(message_part_all(&m, m.root->last_child),
                    "Content-Type: application/pgp-signature\r\n\r\nsignature");
        arena_free(arena);
    }
}

/* RFC2045-6.1 and how it is misspelled. */
static void test_encodings(void **state) {
    (void)state;
    static const struct {
        const char *value;
        enum mime_encoding encoding;
    } table[] = {
        {"7bit", MIME_ENCODING_7BIT},
        {"8BIT", MIME_ENCODING_8BIT},
        {"7-bit", MIME_ENCODING_7BIT},
        {"8bits", MIME_ENCODING_8BIT},
        {"binary", MIME_ENCODING_BINARY},
        {"quoted-printable;", MIME_ENCODING_QUOTED_PRINTABLE},
        {"\"base64\"", MIME_ENCODING_BASE64},
        {"quoted printable", MIME_ENCODING_QUOTED_PRINTABLE},
        {"", MIME_ENCODING_7BIT},
        {"x-uuencode", MIME_ENCODING_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct message m;
        struct view text;
        assert_int_equal(arena_printf(arena, &text, "Content-Transfer-Encoding: %s\n\n", table[i].value), ERR_OK);
        assert_int_equal(message_parse(arena, text, &m), ERR_OK);
        assert_int_equal(m.root->encoding, table[i].encoding);
        arena_free(arena);
    }
}

/* -- Limits ------------------------------------------------------------------------------------------ */

static void parse_big(struct buf *bytes, struct arena *arena, struct message *m) {
    assert_int_equal(buf_err(bytes), ERR_OK);
    const char *error = check_message(buf_view(bytes));
    if (error != NULL)
        fail_msg("%s", error);
    assert_int_equal(message_parse(arena, buf_view(bytes), m), ERR_OK);
}

static void test_parts_limit(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct buf bytes;
    struct message m;
    buf_init(&bytes, 1 << 24);
    buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
    for (int i = 0; i < MESSAGE_PARTS_MAX + 500; i++)
        buf_put_str(&bytes, "--b\n\nx\n");
    buf_put_str(&bytes, "--b--\n");
    parse_big(&bytes, arena, &m);
    assert_true(m.degraded);
    assert_int_equal(m.part_count, MESSAGE_PARTS_MAX);
    assert_int_equal(m.root->child_count, MESSAGE_PARTS_MAX - 1);
    assert_true(m.root->last_child->body_size > 3000);
    buf_fini(&bytes);
    arena_free(arena);
}

static void test_depth_limit(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct buf bytes;
        struct message m;
        buf_init(&bytes, 1 << 24);
        for (int i = 0; i < 200; i++) {
            if (kind == 0)
                buf_printf(&bytes, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
            else
                buf_put_str(&bytes, "Content-Type: message/rfc822\n\n");
        }
        buf_put_str(&bytes, "Content-Type: text/html\n\nx");
        parse_big(&bytes, arena, &m);
        assert_true(m.degraded);
        assert_int_equal(m.part_count, MESSAGE_DEPTH_MAX);
        const struct mime_part *p = m.root;
        while (message_part_next(p) != NULL)
            p = message_part_next(p);
        assert_view(p->type, "application");
        assert_view(p->subtype, "octet-stream");
        buf_fini(&bytes);
        arena_free(arena);
    }
}

static void test_header_limits(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct buf bytes;
    struct message m;
    buf_init(&bytes, 1 << 24);
    for (int i = 0; i < MESSAGE_HEADER_FIELDS_MAX; i++)
        buf_put_str(&bytes, "X: y\n");
    buf_put_str(&bytes, "Content-Type: text/html\n\nbody");
    parse_big(&bytes, arena, &m);
    assert_true(m.degraded);
    assert_view(m.root->subtype, "plain");
    assert_view(message_part_body(&m, m.root), "body");

    buf_clear(&bytes);
    buf_put_str(&bytes, "X: ");
    for (int i = 0; i < MESSAGE_HEADER_MAX; i++)
        buf_put_byte(&bytes, 'y');
    buf_put_str(&bytes, "\nContent-Type: text/html\n\nbody");
    parse_big(&bytes, arena, &m);
    assert_true(m.degraded);
    assert_view(m.root->subtype, "plain");
    assert_view(message_part_body(&m, m.root), "body");
    buf_fini(&bytes);
    arena_free(arena);
}

/* A small arena makes the result coarser and nothing else. */
static void test_small_arena(void **state) {
    (void)state;
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    buf_put_str(&bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
    for (int i = 0; i < 50; i++)
        buf_put_str(&bytes, "--b\nContent-Type: text/html; a=b; c=\"\\d\"\nContent-Description: a\n b\n\nx\n");
    size_t parsed = 0;
    for (size_t budget = 0; budget < 40000; budget += 97) {
        struct arena *arena = arena_new("small", budget);
        struct message m;
        assert_non_null(arena);
        enum err err = message_parse(arena, buf_view(&bytes), &m);
        if (err == ERR_OK) {
            parsed++;
            assert_null(check_tree(&m));
        } else {
            assert_int_equal(err, ERR_LIMIT);
            assert_int_equal(parsed, 0);
        }
        arena_free(arena);
    }
    assert_true(parsed > 0);
    buf_fini(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),        cmocka_unit_test(test_corpus_prefixes),
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_fields),
        cmocka_unit_test(test_encodings),     cmocka_unit_test(test_signed),
        cmocka_unit_test(test_no_bytes),      cmocka_unit_test(test_nul),
        cmocka_unit_test(test_parts_limit),   cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_header_limits), cmocka_unit_test(test_small_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
