/* Trace fields, header fields, delivery reports. */
#include "message/testing.h"

#include "message/address.h"
#include "message/compose.h"
#include "message/header.h"
#include "message/structure_testing.h"
#include "message/trace.h"
#include "message/words.h"

#include "base/utf8.h"

#define WHEN_US (INT64_C(1795556963) * 1000000) /* Tue, 24 Nov 2026 21:49:23 +0000 */

/* Every line is ended by CRLF, has no other CR or LF or NUL, and at most `max` octets. */
static void assert_lines(struct view v, size_t max) {
    size_t length = 0;
    assert_true(view_ends(v, VIEW("\r\n")));
    for (size_t i = 0; i < v.n; i++) {
        assert_int_not_equal(v.p[i], 0);
        if (v.p[i] == '\r') {
            assert_true(i + 1 < v.n && v.p[i + 1] == '\n');
            if (length > max)
                fail_msg("a line of %zu octets", length);
            length = 0;
            i++;
        } else {
            assert_int_not_equal(v.p[i], '\n');
            length++;
        }
    }
}

/* RFC5321-4.4 trace fields, RFC5321-4.1.3 address literals. */
static void test_received(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 65536);
    struct trace_received r = {
        .helo = VIEW("client.example.org"),
        .host = VIEW("mail.example.org"),
        .address = VIEW("2001:db8::1"),
        .by = VIEW("mx.example.com"),
        .is_esmtp = true,
        .is_tls = true,
        .is_authenticated = true,
        .tls = VIEW("TLSv1.3 TLS_AES_256_GCM_SHA384"),
        .id = VIEW("abc123"),
        .recipient = VIEW("user@example.com"),
        .wall_us = WHEN_US,
    };
    trace_put_received(&buf, &r);
    assert_view(buf_view(&buf), "Received: from client.example.org (mail.example.org [IPv6:2001:db8::1])\r\n"
                                "\tby mx.example.com with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384) id abc123\r\n"
                                "\tfor <user@example.com>; Tue, 24 Nov 2026 21:49:23 +0000\r\n");
    /* A peer's text cannot make a line or leave its clause. */
    r.helo = VIEW("x\r\nEvil: 1\r\n (a) <b>;\0");
    r.recipient = VIEW("a\r\n@b");
    r.host = VIEW_NONE;
    r.address = VIEW("192.0.2.1");
    r.tls = VIEW("(x\r\n)");
    buf_clear(&buf);
    trace_put_received(&buf, &r);
    assert_lines(buf_view(&buf), 998);
    assert_int_equal(header_count(buf_view(&buf), VIEW("Received")), 1);
    assert_int_equal(header_count(buf_view(&buf), VIEW("Evil")), 0);
    assert_true(view_find(buf_view(&buf), VIEW("([192.0.2.1])")) > 0);
    buf_fini(&buf);
}

/* RFC3848-1 and RFC6531-4.3: the keywords of "with". */
static void test_protocols(void **state) {
    (void)state;
    static const struct {
        bool esmtp, lmtp, tls, auth, utf8;
        const char *name;
    } table[] = {
        {false, false, false, false, false, "SMTP"},   {true, false, false, false, false, "ESMTP"},
        {true, false, true, false, false, "ESMTPS"},   {true, false, false, true, false, "ESMTPA"},
        {true, false, true, true, false, "ESMTPSA"},   {false, true, true, true, false, "LMTPSA"},
        {false, true, false, false, false, "LMTP"},    {true, false, true, true, true, "UTF8SMTPSA"},
        {false, true, true, false, true, "UTF8LMTPS"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct trace_received r = {.is_esmtp = table[i].esmtp,
                                   .is_lmtp = table[i].lmtp,
                                   .is_tls = table[i].tls,
                                   .is_authenticated = table[i].auth,
                                   .is_utf8 = table[i].utf8};
        assert_view(trace_protocol(&r), table[i].name);
    }
}

/* RFC5321-4.4 Return-Path; RFC5321-6.3 loops. */
static void test_paths_and_hops(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 65536);
    trace_put_return_path(&buf, VIEW_NONE);
    trace_put_return_path(&buf, VIEW("a@b\r\nX: y"));
    trace_put_delivered_to(&buf, VIEW("c@d"));
    assert_view(buf_view(&buf), "Return-Path: <>\r\nReturn-Path: <a@b??X: y>\r\nDelivered-To: c@d\r\n");
    /* RFC9228-4 */
    assert_true(trace_has_delivered_to(buf_view(&buf), VIEW("C@D")));
    assert_true(trace_has_delivered_to(VIEW("Delivered-To: x@y\r\ndelivered-to:\r\n <c@d> \r\n"), VIEW("c@d")));
    assert_false(trace_has_delivered_to(VIEW("Delivered-To: x@y\r\nX-Delivered-To: c@d\r\n\r\nDelivered-To: c@d\r\n"),
                                        VIEW("c@d")));
    assert_false(trace_has_delivered_to(buf_view(&buf), VIEW("a@b")));
    assert_int_equal(trace_hops(buf_view(&buf)), 0);
    for (int i = 0; i < 3; i++)
        buf_put_str(&buf, "received: x\r\n");
    assert_int_equal(trace_hops(buf_view(&buf)), 3);
    for (int i = 0; i < 500; i++)
        buf_put_str(&buf, "Received: x\r\n");
    assert_int_equal(trace_hops(buf_view(&buf)), TRACE_HOPS_MAX + 1);
    buf_fini(&buf);
}

/* What is written reads back equal, in lines that are short where the words allow it. */
/* RFC5322-2.1.1 line lengths, RFC2047-2 and RFC2047-5 encoded words. */
static void test_text_round_trip(void **state) {
    (void)state;
    static const struct {
        struct view text;
        size_t line;
    } table[] = {
        {VIEW_INIT("short"), 78},
        {VIEW_INIT(""), 78},
        {VIEW_INIT("a long subject that has so many words in it that it must be folded over more than one line of the "
                   "header"),
         78},
        {VIEW_INIT(
             "two  spaces   three    four  in a text that is long enough to be folded somewhere, perhaps even here"),
         78},
        {VIEW_INIT("caf\xc3\xa9"), 78},
        {VIEW_INIT("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
                   "\xe2\x82\xac\xe2\x82\xac"
                   "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
                   "\xe2\x82\xac\xe2\x82\xac"),
         78},
        {VIEW_INIT("looks =?utf-8?q?like?= a word"), 78},
        {VIEW_INIT("averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword and more"),
         998},
    };
    struct buf buf, back;
    buf_init(&buf, 65536);
    buf_init(&back, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
            struct header_field f;
            buf_clear(&buf);
            buf_clear(&back);
            compose_put_text(&buf, VIEW("Subject"), table[i].text, is_utf8 != 0);
            assert_lines(buf_view(&buf), table[i].line);
            assert_true(header_find(buf_view(&buf), VIEW("Subject"), &f));
            assert_int_equal(f.raw.n, buf.n);
            words_decode(NULL, f.value, &back);
            assert_true(view_eq(buf_view(&back), table[i].text));
        }
    }
    /* A word that no line can hold, controls, and white space at the ends. */
    struct buf big;
    buf_init(&big, 65536);
    for (int i = 0; i < 5000; i++)
        buf_put_byte(&big, (uint8_t)('a' + i % 26));
    buf_clear(&buf);
    buf_clear(&back);
    compose_put_text(&buf, VIEW("Subject"), buf_view(&big), false);
    assert_lines(buf_view(&buf), 78);
    words_decode(NULL, view_skip(buf_view(&buf), 9), &back);
    assert_true(view_eq(buf_view(&back), buf_view(&big)));
    buf_clear(&buf);
    compose_put_structured(&buf, VIEW("X"), buf_view(&big));
    assert_lines(buf_view(&buf), 998);
    buf_clear(&buf);
    compose_put_text(&buf, VIEW("X"), VIEW("a\r\nEvil: b\0c"), true);
    assert_lines(buf_view(&buf), 78);
    assert_int_equal(header_count(buf_view(&buf), VIEW("Evil")), 0);
    buf_fini(&big);
    buf_fini(&buf);
    buf_fini(&back);
}

static void test_mailboxes(void **state) {
    (void)state;
    static const struct {
        const char *display, *address, *mailbox, *host;
    } table[] = {
        {"", "a@b", "a", "b"},
        {"Joe Doe", "joe@example.org", "joe", "example.org"},
        {"Doe, \"J\\", "joe@example.org", "joe", "example.org"},
        {"J\xc3\xb6rg", "j@x", "j", "x"},
        {"a very long name of somebody who has many names, and all of them are written here",
         "long.local.part@example.org", "long.local.part", "example.org"},
        {"x", "john doe@example.org", "john doe", "example.org"},
        {"x", "a\"b@example.org", "a\"b", "example.org"},
        {"x@y", "a@b", "a", "b"},
    };
    struct buf buf, name;
    buf_init(&buf, 65536);
    buf_init(&name, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct address_list list;
        struct header_field f;
        buf_clear(&buf);
        buf_clear(&name);
        compose_put_mailbox(&buf, VIEW("To"), view_cstr(table[i].display), view_cstr(table[i].address), false);
        assert_lines(buf_view(&buf), 998);
        assert_true(header_find(buf_view(&buf), VIEW("To"), &f));
        address_parse(arena, f.value, &list);
        assert_int_equal(list.count, 1);
        words_decode(NULL, list.list[0].name, &name);
        assert_view(buf_view(&name), table[i].display);
        assert_view(list.list[0].mailbox, table[i].mailbox);
        assert_view(list.list[0].host, table[i].host);
        arena_free(arena);
    }
    buf_fini(&buf);
    buf_fini(&name);
}

static const struct dsn_recipient recipients[] = {
    {.final = VIEW_INIT("nobody@example.net"),
     .original = VIEW_INIT("alias@example.net"),
     .action = DSN_FAILED,
     .status = VIEW_INIT("5.1.1"),
     .remote_mta = VIEW_INIT("mx.example.net"),
     .diagnostic = VIEW_INIT(
         "550-5.1.1 no\r\n550 5.1.1 such\0 \xe9 user, and here the text goes on and on for a while, over the line"),
     .last_attempt_us = WHEN_US},
    {.final = VIEW_INIT("gr\xc3\xbc\xc3\x9f@example.net"), .action = DSN_DELAYED, .retry_until_us = WHEN_US},
};

/* RFC6522-3 and RFC6522-4 the container, RFC3464-2.2 and RFC3464-2.3 the fields, RFC6533-3 addresses, RFC3834-5. */
static void test_dsn(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct dsn dsn = {
            .from = VIEW("postmaster@example.com"),
            .to = VIEW("sender@example.com"),
            .host = VIEW("mx.example.com"),
            .envelope_id = VIEW("QQ314159"),
            .arrival_us = WHEN_US,
            .wall_us = WHEN_US,
            .recipients = recipients,
            .recipient_count = 2,
            .header = VIEW("Subject: caf\xc3\xa9\nX: a\r\nY: b\rc\0d\r\n\r\n"),
            .body = kind & 1 ? VIEW("body\n") : VIEW_NONE,
            .is_utf8 = kind >= 2,
        };
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct buf buf, shape;
        struct message m;
        struct header_field f;
        buf_init(&buf, 1 << 20);
        buf_init(&shape, 4096);
        assert_int_equal(dsn_put(&buf, &dsn), ERR_OK);
        assert_lines(buf_view(&buf), 998);
        /* RFC6533-5: a report on a message whose headers come back only is 7bit, unless SMTPUTF8 was there. */
        assert_int_equal(utf8_is_ascii(buf_view(&buf)), kind == 0);
        const char *error = check_message(buf_view(&buf));
        if (error != NULL)
            fail_msg("%s", error);
        assert_int_equal(message_parse(arena, buf_view(&buf), &m), ERR_OK);
        assert_false(m.degraded);
        assert_true(mime_part_is(m.root, VIEW("multipart"), VIEW("report")));
        assert_view(mime_params_get(&m.root->params, VIEW("report-type")), "delivery-status");
        assert_true(header_find(message_part_header(&m, m.root), VIEW("Auto-Submitted"), &f));
        assert_view(view_trim(f.value), "auto-replied");
        assert_int_equal(m.root->child_count, 3);
        const struct mime_part *status = m.root->first_child->next, *returned = status->next;
        assert_view(status->subtype, kind >= 2 ? "global-delivery-status" : "delivery-status");
        static const char *const types[] = {"rfc822-headers", "rfc822", "global-headers", "global"};
        assert_view(returned->subtype, types[kind]);
        assert_int_equal(returned->is_message, kind & 1);
        if (kind & 1) {
            assert_view(message_part_body(&m, returned->embedded), "body\r\n");
            assert_true(header_find(message_part_header(&m, returned->embedded), VIEW("Y"), &f));
        }
        struct view fields = message_part_body(&m, status);
        assert_true(header_find(fields, VIEW("Reporting-MTA"), &f));
        assert_view(view_trim(f.value), "dns; mx.example.com");
        ssize_t group = view_find(fields, VIEW("\r\n\r\n"));
        assert_true(group > 0);
        fields = view_skip(fields, (size_t)group + 4);
        static const struct {
            struct view name;
            const char *value;
        } expected[] = {
            {VIEW_INIT("Original-Recipient"), "rfc822;alias@example.net"},
            {VIEW_INIT("Final-Recipient"), "rfc822;nobody@example.net"},
            {VIEW_INIT("Action"), "failed"},
            {VIEW_INIT("Status"), "5.1.1"},
            {VIEW_INIT("Remote-MTA"), "dns; mx.example.net"},
            {VIEW_INIT("Diagnostic-Code"),
             "smtp; 550-5.1.1 no 550 5.1.1 such ? user, and here the text goes on and on for a while, over the line"},
            {VIEW_INIT("Last-Attempt-Date"), "Tue, 24 Nov 2026 21:49:23 +0000"},
        };
        for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
            struct view value;
            assert_true(header_find(fields, expected[i].name, &f));
            assert_int_equal(header_unfold(arena, f.value, &value), ERR_OK);
            assert_view(value, expected[i].value);
        }
        fields = view_skip(fields, (size_t)view_find(fields, VIEW("\r\n\r\n")) + 4);
        assert_true(header_find(fields, VIEW("Final-Recipient"), &f));
        assert_view(view_trim(f.value),
                    kind >= 2 ? "utf-8;gr\xc3\xbc\xc3\x9f@example.net" : "utf-8;gr\\x{FC}\\x{DF}@example.net");
        assert_true(header_find(fields, VIEW("Status"), &f));
        assert_view(view_trim(f.value), "4.0.0");
        assert_true(header_find(fields, VIEW("Will-Retry-Until"), &f));
        buf_fini(&buf);
        buf_fini(&shape);
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_received),        cmocka_unit_test(test_protocols), cmocka_unit_test(test_paths_and_hops),
        cmocka_unit_test(test_text_round_trip), cmocka_unit_test(test_mailboxes), cmocka_unit_test(test_dsn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
