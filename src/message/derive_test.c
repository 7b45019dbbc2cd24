/* What lists of messages show, worked out from whole messages. */
#include "message/testing.h"

#include "message/derive.h"

#include "message/corpus_testing.h"

#include "base/utf8.h"

#include <string.h>

static struct charset_table charsets;

static void put_addresses(struct buf *out, const char *name, const struct derived_address *list, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s ", name);
        if (list[i].has_name)
            buf_printf(out, "\"%.*s\" ", VIEW_FMT(list[i].name));
        buf_printf(out, "<%.*s>\n", VIEW_FMT(list[i].email));
    }
}

static void put_ids(struct buf *out, const char *name, const struct derived_id *list, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        buf_printf(out, "%s %.*s\n", name, VIEW_FMT(list[i].id));
}

/* One line a value. */
static void put_fields(struct buf *out, const struct derived_fields *f) {
    static const char dispositions[] = "nia";
    put_addresses(out, "from", f->from, f->from_n);
    put_addresses(out, "sender", f->sender, f->sender_n);
    put_addresses(out, "reply-to", f->reply_to, f->reply_to_n);
    put_addresses(out, "to", f->to, f->to_n);
    put_addresses(out, "cc", f->cc, f->cc_n);
    put_addresses(out, "bcc", f->bcc, f->bcc_n);
    if (f->has_subject)
        buf_printf(out, "subject [%.*s]\n", VIEW_FMT(f->subject));
    if (f->date.n > 0)
        buf_printf(out, "date %.*s\n", VIEW_FMT(f->date));
    put_ids(out, "message-id", f->message_id, f->message_id_n);
    put_ids(out, "in-reply-to", f->in_reply_to, f->in_reply_to_n);
    put_ids(out, "references", f->references, f->references_n);
    for (uint32_t i = 0; i < f->attachments_n; i++) {
        const struct derived_attachment *a = &f->attachments[i];
        buf_printf(out, "%.*s %.*s %c [%.*s] [%.*s] %llu\n", VIEW_FMT(a->section), VIEW_FMT(a->type),
                   dispositions[a->disposition], VIEW_FMT(a->name), VIEW_FMT(a->content_id),
                   (unsigned long long)a->size);
    }
    if (f->has_attachment)
        buf_put_str(out, "has attachment\n");
}

/* Derives, and checks that the record fits its own limits and comes back equal. */
static void derive(struct arena *arena, struct view bytes, struct derived_fields *out) {
    struct message message;
    struct derived_fields again;
    struct buf wire;
    buf_init(&wire, 64 * 1024 * 1024);
    assert_int_equal(message_parse(arena, bytes, &message), ERR_OK);
    assert_int_equal(derive_fields(arena, &charsets, &message, out), ERR_OK);
    assert_int_equal(record_encode(&derived_fields_record, out, &wire), ERR_OK);
    assert_int_equal(record_decode(&derived_fields_record, buf_view(&wire), arena, &again), ERR_OK);
    assert_true(record_equal(&derived_fields_record, out, &again));
    buf_fini(&wire);
}

#define MULTI "Content-Type: multipart/mixed; boundary=b\n\n"

static void test_table(void **state) {
    (void)state;
    static const struct {
        const char *message, *text;
    } table[] = {
        {"", ""},
        {"no header at all", ""},
        {"From: a@x\nSubject:\n\n", "from <a@x>\nsubject []\n"},
        {"From: \"A, B\" <a@x>\nSender: s@x\nReply-To: r@x, q@x\nTo: t@x\nCc: c@x\nBcc: b@x\n\n",
         "from \"A, B\" <a@x>\nsender <s@x>\nreply-to <r@x>\nreply-to <q@x>\nto <t@x>\ncc <c@x>\nbcc <b@x>\n"},
        {"To: g: a@x, =?utf-8?q?B=C3=A9?= <b@x>;, c@x, none:;\n\n",
         "to <a@x>\nto \"B\xc3\xa9\" <b@x>\nto <c@x>\n"}, /* RFC8621-4.1.2.3: groups are flattened */
        {"to: old@x\nTO: new@x\nSubject: one\nsubject: two\n\n",
         "to <new@x>\nsubject [two]\n"}, /* RFC8621-4.1.3: the last */
        {"Subject: =?iso-8859-1?q?caf=E9?=\n =?iso-8859-1?q?_two?=  and\n\tmore \n\n",
         "subject [caf\xc3\xa9 two  and\tmore ]\n"},
        {"Subject: raw \xe9 \xc3\xa9\n\n", "subject [raw \xc3\xa9 \xc3\x83\xc2\xa9]\n"},
        {"Date: Fri, 21 Nov 1997 09:55:06 -0600 (x)\nMessage-ID: <a@x>\nIn-Reply-To: <b@x> <c@x>\n"
         "References: <d@x>\n <e@x>\n\n",
         "date 1997-11-21T09:55:06-06:00\nmessage-id a@x\nin-reply-to b@x\nin-reply-to c@x\nreferences d@x\n"
         "references e@x\n"},
        {"Date: someday\nMessage-ID: none\nFrom:\n\n", ""},
        /* Attachments: what stands in them, and their numbers. */
        {MULTI "--b\n\ntext\n--b\nContent-Type: Application/PDF; name=in-type.pdf\n"
               "Content-Disposition: attachment; filename*=utf-8''a%C3%A9.pdf\nContent-Transfer-Encoding: base64\n"
               "Content-ID:  <cid@x> \n\naGVs\nbG8=\n--b--",
         "2 application/pdf a [a\xc3\xa9.pdf] [cid@x] 5\nhas attachment\n"},
        {MULTI
         "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nplain\n--c\nContent-Type: text/html\n\nh\n"
         "--c--\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n" MULTI
         "--b\nContent-Type: image/png\n\nx\n--b\nContent-Type: text/plain; name=z\n"
         "Content-Disposition: attachment\n\nabc",
         NULL}, /* only that it holds together: the boundaries are the same */
        {MULTI
         "--b\n\ntext\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n"
         "Content-Type: application/x; name=\"=?utf-8?q?x=C3=A9?=\"\n\n1\n--c\nContent-Type: application/y\n"
         "Content-Disposition: X-unknown\n\n22\n--c--\n--b\nContent-Type: message/rfc822\n\nSubject: s\n\nx\n--b--",
         "2.1 application/x n [x\xc3\xa9] [] 1\n2.2 application/y a [] [] 2\n3 message/rfc822 n [] [] 13\nhas "
         "attachment\n"},
        {"Content-Type: application/zip\nContent-Disposition: attachment; filename=all.zip\n\nPK",
         "1 application/zip a [all.zip] [] 2\nhas attachment\n"},
    };
    struct arena *arena = arena_new("test", 64 * 1024 * 1024);
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct derived_fields fields;
        buf_clear(&out);
        arena_clear(arena);
        derive(arena, view_cstr(table[i].message), &fields);
        put_fields(&out, &fields);
        if (table[i].text != NULL && !view_eq(buf_view(&out), view_cstr(table[i].text)))
            fail_msg("case %u:\ngot:\n%.*sexpected:\n%s", (unsigned)i, (int)out.n, (const char *)out.p, table[i].text);
    }
    buf_fini(&out);
    arena_free(arena);
}

/* Every list and value at its limit and over it: cut, or left out where half of it would be another. */
static void test_limits(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 64 * 1024 * 1024);
    struct derived_fields f;
    struct buf m;
    buf_init(&m, 64 * 1024 * 1024);
    for (unsigned n = DERIVED_ADDRESSES_MAX - 1; n <= DERIVED_ADDRESSES_MAX + 1; n++) {
        buf_clear(&m);
        arena_clear(arena);
        buf_put_str(&m, "To: x@x");
        for (unsigned i = 1; i < n; i++)
            buf_printf(&m, ",\n N%u <a%u@x>", i, i);
        buf_put_str(&m, "\nReferences:");
        for (unsigned i = 0; i < DERIVED_IDS_MAX + 1; i++)
            buf_printf(&m, "\n <%u@x>", i);
        buf_put_str(&m, "\n\n");
        derive(arena, buf_view(&m), &f);
        assert_int_equal(f.to_n, MIN(n, (unsigned)DERIVED_ADDRESSES_MAX));
        assert_view(f.to[498].email, "a498@x");
        assert_int_equal(f.references_n, DERIVED_IDS_MAX);
    }
    /* A subject of three-octet characters and two of ASCII: cut before the one that does not fit. */
    buf_clear(&m);
    arena_clear(arena);
    buf_put_str(&m, "Subject: aa");
    for (unsigned i = 0; i < 10000; i++)
        buf_put_str(&m, i % 20 == 0 ? "\n \xe2\x82\xac" : "\xe2\x82\xac");
    buf_put_str(&m, "\nFrom: ");
    for (unsigned i = 0; i < 5000; i++)
        buf_put_byte(&m, 'n');
    buf_put_str(&m, " <f@x>\nTo: ");
    for (unsigned i = 0; i < 1001; i++)
        buf_put_byte(&m, 'l');
    buf_put_str(&m, "@x, short@x\nMessage-ID: <");
    for (unsigned i = 0; i < 2000; i++)
        buf_put_byte(&m, 'i');
    buf_put_str(&m, ">\nDate: 1 Jan 2020 00:00:00 +0000 (");
    for (unsigned i = 0; i < 2000; i++)
        buf_put_byte(&m, 'd');
    buf_put_str(&m, ")\n\n");
    derive(arena, buf_view(&m), &f);
    assert_true(f.subject.n > 8192 - 4 && f.subject.n <= 8192);
    assert_true(utf8_is_valid(f.subject));
    assert_true(f.from[0].name.n >= 1000 && f.from[0].name.n <= 2000);
    assert_view(f.from[0].email, "f@x");
    assert_int_equal(f.to_n, 1);
    assert_view(f.to[0].email, "short@x");
    assert_int_equal(f.message_id_n, 0);
    assert_int_equal(f.date.n, 0);
    /* More fields than are looked at: the first of them count. */
    buf_clear(&m);
    arena_clear(arena);
    buf_put_str(&m, "Subject: first\n");
    for (unsigned i = 0; i < MESSAGE_HEADER_FIELDS_MAX - 1; i++)
        buf_put_str(&m, "X: y\n");
    buf_put_str(&m, "Subject: too late\n\n");
    derive(arena, buf_view(&m), &f);
    assert_view(f.subject, "first");
    /* More attachments than are listed are counted. */
    buf_clear(&m);
    arena_clear(arena);
    buf_put_str(&m, MULTI);
    for (unsigned i = 0; i < DERIVED_ATTACHMENTS_MAX + 50; i++)
        buf_put_str(&m, "--b\nContent-Type: image/png\nContent-Disposition: attachment\n\nx\n");
    derive(arena, buf_view(&m), &f);
    assert_int_equal(f.attachments_n, DERIVED_ATTACHMENTS_MAX);
    assert_int_equal(f.attachment_count, DERIVED_ATTACHMENTS_MAX + 50);
    assert_view(f.attachments[DERIVED_ATTACHMENTS_MAX - 1].section, "200");
    buf_fini(&m);
    arena_free(arena);
}

/* Names and types that are no UTF-8, and long: the record holds UTF-8 within its limits. */
static void test_bad_octets(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 64 * 1024 * 1024);
    struct derived_fields f;
    struct buf m;
    buf_init(&m, 1024 * 1024);
    buf_put_str(&m, MULTI "--b\nContent-Disposition: attachment; filename=\"");
    for (unsigned i = 0; i < 3000; i++)
        buf_put_byte(&m, 0xe9);
    buf_put_str(&m, ".txt\"\nContent-ID: <\xe9>\nContent-Type: x/");
    for (unsigned i = 0; i < 300; i++)
        buf_put_byte(&m, 'y');
    buf_put_str(&m, "\n\nz\n--b--");
    derive(arena, buf_view(&m), &f);
    assert_int_equal(f.attachments_n, 1);
    assert_true(utf8_is_valid(f.attachments[0].name) && f.attachments[0].name.n > 1000);
    assert_view(f.attachments[0].content_id, "\xef\xbf\xbd");
    assert_int_equal(f.attachments[0].type.n, 200);
    buf_fini(&m);
    arena_free(arena);
}

/* An arena that is too small is said, at every size. */
static void test_small_arenas(void **state) {
    (void)state;
    static const char text[] = "From: a <a@x>\nTo: b@x\nSubject: x\nReferences: <a@x> <b@x>\n" MULTI
                               "--b\nContent-Disposition: attachment; filename=x\n\nx\n--b--";
    struct arena *parts = arena_new("parts", 1024 * 1024);
    struct message message;
    unsigned full = 0, good = 0;
    assert_int_equal(message_parse(parts, view_cstr(text), &message), ERR_OK);
    for (size_t budget = 0; budget < 65536; budget = budget * 5 / 4 + 16) {
        struct arena *arena = arena_new("test", budget);
        struct derived_fields f;
        enum err err = derive_fields(arena, NULL, &message, &f);
        assert_true(err == ERR_OK || err == ERR_LIMIT);
        full += err != ERR_OK;
        good += err == ERR_OK;
        arena_free(arena);
    }
    assert_true(full > 2 && good > 2);
    arena_free(parts);
}

static void derive_one(const char *name, struct view bytes, void *arg) {
    struct arena *arena = arg;
    struct derived_fields fields;
    (void)name;
    arena_clear(arena);
    derive(arena, bytes, &fields);
}

static void test_corpus(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 64 * 1024 * 1024);
    size_t n = corpus_each("", derive_one, arena);
    arena_free(arena);
    if (n == 0)
        skip();
    print_message("%zu messages\n", n);
}

static int setup(void **state) {
    (void)state;
    return charset_prepare(&charsets) == ERR_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    charset_fini(&charsets);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_limits), cmocka_unit_test(test_bad_octets),
        cmocka_unit_test(test_small_arenas), cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
