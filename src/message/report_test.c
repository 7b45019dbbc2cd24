/* Reports, read and written. */
#include "message/testing.h"

#include "message/corpus_testing.h"
#include "message/decode.h"
#include "message/report.h"
#include "message/stream_parse.h"

#include "base/random.h"
#include "base/utf8.h"

#define HEAD "From: mailer@x\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
#define TEXT "--b\r\n\r\nSorry.\r\n"
#define STATUS "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
#define GLOBAL "--b\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"

static void put(struct buf *out, struct view v) {
    if (v.p == NULL)
        buf_put_byte(out, '-');
    else
        buf_put(out, v);
}

/* "mta|envid|arrival|final,original,ACTION,status,remote,diagnostic,attempt,retry|...|returned type" in seconds. */
static void show_status(struct buf *out, const struct delivery_status *status) {
    static const char actions[] = {
        [DSN_FAILED] = 'F', [DSN_DELAYED] = 'D', [DSN_DELIVERED] = 'O', [DSN_RELAYED] = 'R', [DSN_EXPANDED] = 'E'};
    put(out, status->reporting_mta);
    buf_put_byte(out, '|');
    put(out, status->envelope_id);
    buf_put_byte(out, '|');
    buf_put_i64(out, status->arrival_us / 1000000);
    buf_put_byte(out, '|');
    for (size_t i = 0; i < status->recipient_count; i++) {
        const struct dsn_recipient *r = &status->recipients[i];
        assert_true(utf8_is_valid(r->final) && utf8_is_valid(r->diagnostic));
        buf_put(out, r->final);
        buf_put_byte(out, ',');
        buf_put(out, r->original);
        buf_put_byte(out, ',');
        buf_put_byte(out, (uint8_t)actions[r->action]);
        buf_put_byte(out, ',');
        buf_put(out, r->status);
        buf_put_byte(out, ',');
        buf_put(out, r->remote_mta);
        buf_put_byte(out, ',');
        buf_put(out, r->diagnostic);
        buf_put_byte(out, ',');
        buf_put_i64(out, r->last_attempt_us / 1000000);
        buf_put_byte(out, ',');
        buf_put_i64(out, r->retry_until_us / 1000000);
        buf_put_byte(out, '|');
    }
    buf_put(out, status->returned == NULL ? VIEW("-") : status->returned->subtype);
}

/* From memory, or as a stream. */
static void read_and_show(struct view bytes, bool is_stream, struct buf *out) {
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message message;
    struct message_source_memory source;
    struct delivery_status status;
    message_source_memory_init(&source, bytes);
    if (is_stream)
        assert_int_equal(message_parse_source(arena, &source.source, &message), ERR_OK);
    else
        assert_int_equal(message_parse(arena, bytes, &message), ERR_OK);
    enum err err = delivery_status_read(arena, &message, &status);
    if (err == ERR_OK)
        show_status(out, &status);
    else
        buf_put_str(out, err_name(err));
    arena_free(arena);
}

/* RFC3464-2.2, RFC3464-2.3 fields, RFC6522-3 parts, RFC6533-3 addresses, RFC6533-4.1, and what other programs write. */
static void test_delivery_status(void **state) {
    (void)state;
    static const struct {
        const char *message, *shown;
    } cases[] = {
        {HEAD TEXT STATUS "Reporting-MTA: dns; mx.example (a comment)\r\nOriginal-Envelope-Id: QQ314159\r\n"
                          "Arrival-Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nX-Queue: 1\r\n\r\n"
                          "Original-Recipient: rfc822;a@b\r\nFinal-Recipient: rfc822; c@d\r\nAction: failed\r\n"
                          "Status: 5.1.1 (no such user)\r\nRemote-MTA: dns; mail.d\r\n"
                          "Diagnostic-Code: smtp; 550 5.1.1\r\n  no (such) user; sorry\r\n"
                          "Last-Attempt-Date: Fri, 21 Nov 1997 09:55:07 -0600\r\n"
                          "Will-Retry-Until: Fri, 21 Nov 1997 09:55:08 -0600\r\n\r\n"
                          "Final-Recipient: rfc822;e@f\r\nAction: Delayed\r\nStatus: 4.4.7\r\n"
                          "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n",
         "mx.example|QQ314159|880127706|c@d,a@b,F,5.1.1,mail.d,550 5.1.1  no (such) user; sorry,880127707,880127708|"
         "e@f,,D,4.4.7,,,0,0|rfc822"},
        /* every action (RFC3464-2.3.3) */
        {HEAD TEXT STATUS
         "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;a@b\r\nAction: delivered\r\nStatus: 2.0.0\r\n"
         "\r\nFinal-Recipient: rfc822;c@d\r\nAction: relayed (x)\r\nStatus: 2.0.0\r\n"
         "\r\nFinal-Recipient: rfc822;e@f\r\nAction: EXPANDED\r\nStatus: 2.0.0\r\n--b--\r\n",
         "m|-|0|a@b,,O,2.0.0,,,0,0|c@d,,R,2.0.0,,,0,0|e@f,,E,2.0.0,,,0,0|-"},
        /* internationalized */
        {HEAD TEXT GLOBAL "Reporting-MTA: dns; m\r\n\r\nOriginal-Recipient: utf-8;\\x{E9}\\x{2B}x@\\x{1F600}\r\n"
                          "Final-Recipient: UTF-8; p\xc3\xa9@x\r\nAction: failed\r\nStatus: 5.1.1\r\n"
                          "--b\r\nContent-Type: message/global-headers\r\n\r\nSubject: \xc3\xa9\r\n--b--\r\n",
         "m|-|0|p\xc3\xa9@x,\xc3\xa9+x@\xf0\x9f\x98\x80,F,5.1.1,,,0,0|global-headers"},
        {HEAD TEXT STATUS
         "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: utf-8;\\x{D800}\\x{}\\x{1}\\x{110000}\\x{E9@x\r\n--b--\r\n",
         "m|-|0|\\x{D800}\\x{}\\x{1}\\x{110000}\\x{E9@x,,F,,,,0,0|-"},
        {HEAD TEXT STATUS "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;\\x{E9}@x\r\n--b--\r\n",
         "m|-|0|\\x{E9}@x,,F,,,,0,0|-"},
        /* octets that are no UTF-8 */
        {HEAD TEXT STATUS
         "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;a@b\r\nDiagnostic-Code: smtp; 550 \xe9\r\n--b--\r\n",
         "m|-|0|a@b,,F,,,550 \xef\xbf\xbd,0,0|-"},
        /* no types, angle brackets, other order, no action, status only in the diagnostic */
        {HEAD TEXT STATUS "Reporting-MTA: mx.example\r\n\r\nStatus: 4.2.2\r\nFinal-Recipient: <a@b>\r\n\r\n"
                          "Diagnostic-Code: 550 5.7.1 Denied; go away\r\nFinal-Recipient: c@d (Joe)\r\nRemote-MTA: m "
                          "(1.2.3.4)\r\n--b--\r\n",
         "mx.example|-|0|a@b,,D,4.2.2,,,0,0|c@d,,F,5.7.1,m,550 5.7.1 Denied; go away,0,0|-"},
        {HEAD TEXT STATUS "Reporting-MTA: dns; m\r\n\r\nOriginal-Recipient: rfc822;a@b\r\nAction: nonsense\r\nStatus: "
                          "2.1.5\r\n--b--\r\n",
         "m|-|0|a@b,a@b,O,2.1.5,,,0,0|-"},
        {HEAD TEXT STATUS "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;a@b\r\nStatus: 5\r\n--b--\r\n",
         "m|-|0|a@b,,F,,,,0,0|-"},
        {HEAD TEXT STATUS "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;a@b\r\n"
                          "Diagnostic-Code: smtp; 550 from 15.2.3.4 and 4.3.2.1, 5.1.1\r\n--b--\r\n",
         "m|-|0|a@b,,F,5.1.1,,550 from 15.2.3.4 and 4.3.2.1, 5.1.1,0,0|-"},
        /* no empty lines between groups, or too many */
        {HEAD TEXT STATUS "Reporting-MTA: dns; m\r\nFinal-Recipient: rfc822;a@b\r\nAction: failed\r\nStatus: 5.0.0\r\n"
                          "Final-Recipient: rfc822;c@d\r\nAction: delayed\r\nStatus: 4.0.0\r\n--b--\r\n",
         "m|-|0|a@b,,F,5.0.0,,,0,0|c@d,,D,4.0.0,,,0,0|-"},
        {HEAD TEXT STATUS
         "\r\n\r\nReporting-MTA: dns; m\r\n\r\n\r\n\r\nOriginal-Recipient: rfc822;a@b\r\nFinal-Recipient: "
         "rfc822;a@b\r\n"
         "Action: failed\r\nOriginal-Recipient: rfc822;c@d\r\nFinal-Recipient: rfc822;c@d\r\n\r\n\r\n--b--\r\n",
         "m|-|0|a@b,a@b,F,,,,0,0|c@d,c@d,F,,,,0,0|-"},
        /* not said to be a report; base64; alone */
        {"Content-Type: multipart/mixed; boundary=b\r\n\r\n" TEXT STATUS
         "Final-Recipient: rfc822;a@b\r\nAction: failed\r\n--b--\r\n",
         "-|-|0|a@b,,F,,,,0,0|-"},
        {"Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n"
         "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7YUBiCg==\r\n",
         "-|-|0|a@b,,F,,,,0,0|-"},
        /* a first status part of prose; what is returned stands before the status */
        {HEAD STATUS "This is prose.\r\n" STATUS
                     "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;a@b\r\n--b--\r\n",
         "m|-|0|a@b,,F,,,,0,0|-"},
        {HEAD "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n" STATUS
              "Reporting-MTA: dns; m\r\n--b--\r\n",
         "m|-|0|rfc822-headers"},
        /* none: ordinary mail, prose, a report inside of an attached message */
        {"Subject: x\r\n\r\ny\r\n", "not-found"},
        {HEAD TEXT "--b--\r\n", "not-found"},
        {HEAD STATUS "This is prose.\r\n--b--\r\n", "not-found"},
        {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n" HEAD TEXT STATUS
         "Reporting-MTA: dns; m\r\n--b--\r\n--a--\r\n",
         "not-found"},
    };
    struct buf out;
    buf_init(&out, 10000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int is_stream = 0; is_stream < 2; is_stream++) {
            buf_clear(&out);
            read_and_show(view_cstr(cases[i].message), is_stream, &out);
            assert_view(buf_view(&out), cases[i].shown);
        }
    }
    buf_fini(&out);
}

/* The reports of the corpus: recipients, actions and statuses as a person reads them. */
static const struct {
    const char *name, *shown; /* "final ACTION status;..." */
} corpus[] = {
    {"enmime/dsn/delayed_dsn.raw", "thomas@de-montfort.ac.uk D 4.0.0;"},
    {"enmime/dsn/dsn_with_multipart_alternative.raw", "non-existing@example.com F 5.1.10;"},
    {"enmime/dsn/multi_recipient_dsn.raw",
     "arathib@vnet.ibm.com F 5.0.0;johnh@hpnjld.njd.hp.com D 4.0.0;wsnell@sdcc13.ucsd.edu F 5.0.0;"},
    {"enmime/dsn/simple_dsn.raw", "louisl@larry.slip.umd.edu F 4.0.0;"},
    {"enmime/dsn/simple_dsn_with_html.raw", "louisl@larry.slip.umd.edu F 4.0.0;"},
    {"ruby-mail/mime_emails/raw_email_with_mimepart_without_content_type.eml",
     "larose.julie@courrier.uqam.ca D 4.5.0;"},
    {"ruby-mail/multipart_report_emails/multi_address_bounce1.eml",
     "bbbbvhvbbvkjbhfbvbvjhb@gmail.com F 5.1.1;bscdbcjhasbcjhbdscbhbsdhcbj@gmail.com F 5.1.1;"
     "egyfefsdvsfvvhjsd@gmail.com F 5.1.1;kfhejkfbsjkjsbhds@gmail.com F "
     "5.1.1;qfvhgsvhgsduiohncdhcvhsdfvsfygusd@gmail.com F 5.1.1;"},
    {"ruby-mail/multipart_report_emails/multi_address_bounce2.eml",
     "bbbbvhvbbvkjbhfbvbvjhb@gmail.com F 5.1.1;bscdbcjhasbcjhbdscbhbsdhcbj@gmail.com F 5.1.1;"
     "egyfefsdvsfvvhjsd@gmail.com F 5.1.1;kfhejkfbsjkjsbhds@gmail.com F "
     "5.1.1;qfvhgsvhgsduiohncdhcvhsdfvsfygusd@gmail.com F 5.1.1;"},
    {"ruby-mail/multipart_report_emails/multipart_report_multiple_status.eml", "u@ci.com F 5.3.0;"},
    {"ruby-mail/multipart_report_emails/report_422.eml", "fraser@oooooooo.com.au D 4.2.2;"},
    {"ruby-mail/multipart_report_emails/report_530.eml", "edwin@zzzzzzz.com F 5.3.0;"},
};

static void check_corpus(const char *name, struct view bytes, void *arg) {
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message message;
    struct delivery_status status;
    struct mdn mdn;
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(message_parse(arena, bytes, &message), ERR_OK);
    assert_int_equal(mdn_read(arena, &message, &mdn), ERR_NOT_FOUND);
    if (delivery_status_read(arena, &message, &status) == ERR_OK)
        for (size_t i = 0; i < status.recipient_count; i++) {
            const struct dsn_recipient *r = &status.recipients[i];
            buf_printf(&out, "%.*s %c %.*s;", VIEW_FMT(r->final),
                       r->action == DSN_FAILED    ? 'F'
                       : r->action == DSN_DELAYED ? 'D'
                                                  : '?',
                       VIEW_FMT(r->status));
        }
    const char *expected = "";
    for (size_t i = 0; i < ARRAY_LEN(corpus); i++)
        if (view_eq(view_cstr(name), view_cstr(corpus[i].name))) {
            expected = corpus[i].shown;
            ++*(size_t *)arg;
        }
    if (!view_eq(buf_view(&out), view_cstr(expected)))
        fail_msg("%s: %.*s", name, VIEW_FMT(buf_view(&out)));
    buf_fini(&out);
    arena_free(arena);
}

static void test_corpus(void **state) {
    (void)state;
    size_t reports = 0;
    if (corpus_each("", check_corpus, &reports) == 0)
        skip();
    assert_int_equal(reports, ARRAY_LEN(corpus));
}

/* What dsn_put() writes is read back equal. */
static struct view pick(struct random *random, const struct view *list, size_t count) {
    return list[random_below(random, count)];
}

static void test_dsn_round_trip(void **state) {
    (void)state;
    static const struct view addresses[] = {
        VIEW_INIT("a@b.example"),
        VIEW_INIT("\"a b\"@c"),
        VIEW_INIT("p\xc3\xa9ter+x=y@\xc3\xa9.example"),
        VIEW_INIT("x@[IPv6:2001:db8::1]"),
        VIEW_INIT("a(b)c@d"),
        VIEW_INIT("\xf0\x9f\x98\x80\\@x"),
        VIEW_INIT("very.long.local.part.of.an.address.that.does.not.fit.into.a.line@very.long.domain.example"),
        VIEW_INIT("a;b@c"),
    };
    static const struct view statuses[] = {VIEW_INIT("5.1.1"), VIEW_INIT("4.4.7"), VIEW_INIT("2.0.0"),
                                           VIEW_INIT("5.7.509")};
    static const struct view diagnostics[] = {
        VIEW_INIT(""),
        VIEW_INIT("550 5.1.1 <a@b>: no such user (here); try elsewhere"),
        VIEW_INIT("x; y"),
        VIEW_INIT(
            "421 a long answer that goes over several lines of text because the server has very much to say about it"),
    };
    static const struct view hosts[] = {VIEW_INIT(""), VIEW_INIT("mx.example"), VIEW_INIT("[192.0.2.1]")};
    struct buf made;
    buf_init(&made, 1 << 20);
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct random_seeded rs;
        random_seeded_init(&rs, seed);
        struct random *random = &rs.random;
        struct dsn_recipient recipients[5];
        size_t count = 1 + (size_t)random_below(random, ARRAY_LEN(recipients));
        for (size_t i = 0; i < count; i++)
            recipients[i] = (struct dsn_recipient){
                .final = pick(random, addresses, ARRAY_LEN(addresses)),
                .original = random_below(random, 2) ? pick(random, addresses, ARRAY_LEN(addresses)) : VIEW(""),
                .action = (enum dsn_action)random_below(random, 5),
                .status = pick(random, statuses, ARRAY_LEN(statuses)),
                .remote_mta = pick(random, hosts, ARRAY_LEN(hosts)),
                .diagnostic = pick(random, diagnostics, ARRAY_LEN(diagnostics)),
                .last_attempt_us = (int64_t)random_below(random, 2000000000) * 1000000,
            };
        struct dsn dsn = {
            .from = VIEW("postmaster@here.example"),
            .to = VIEW("sender@x"),
            .host = VIEW("here.example"),
            .envelope_id = random_below(random, 2) ? VIEW("QQ314159") : VIEW(""),
            .arrival_us = (int64_t)random_below(random, 2000000000) * 1000000,
            .wall_us = INT64_C(1795556963) * 1000000,
            .recipients = recipients,
            .recipient_count = count,
            .header = VIEW("Subject: x\r\n\r\n"),
            .body = random_below(random, 2) ? VIEW("body\r\n") : VIEW_NONE,
            .is_utf8 = random_below(random, 2),
        };
        random_fill(random, dsn.random, sizeof(dsn.random));
        buf_clear(&made);
        assert_int_equal(dsn_put(&made, &dsn), ERR_OK);

        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message message;
        struct delivery_status status;
        assert_int_equal(message_parse(arena, buf_view(&made), &message), ERR_OK);
        assert_int_equal(delivery_status_read(arena, &message, &status), ERR_OK);
        assert_view(status.reporting_mta, "here.example");
        assert_true(view_eq(status.envelope_id, dsn.envelope_id));
        assert_true(status.arrival_us == dsn.arrival_us);
        assert_int_equal(status.recipient_count, count);
        assert_non_null(status.returned);
        assert_int_equal(status.returned->is_message, dsn.body.p != NULL);
        for (size_t i = 0; i < count; i++) {
            const struct dsn_recipient *got = &status.recipients[i], *sent = &recipients[i];
            bool same = view_eq(got->final, sent->final) && view_eq(got->original, sent->original) &&
                        got->action == sent->action && view_eq(got->status, sent->status) &&
                        view_eq(got->remote_mta, sent->remote_mta) && view_eq(got->diagnostic, sent->diagnostic) &&
                        got->last_attempt_us == sent->last_attempt_us;
            if (!same)
                fail_msg("seed %llu, recipient %zu (%.*s):\n%.*s", (unsigned long long)seed, i, VIEW_FMT(got->final),
                         VIEW_FMT(buf_view(&made)));
        }
        arena_free(arena);
    }
    buf_fini(&made);
}

/* RFC8098-3.2: fields and dispositions, RFC6533-5 the global form. */
static void test_mdn(void **state) {
    (void)state;
#define MDN(fields)                                                                                 \
    "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n" TEXT \
    "--b\r\nContent-Type: message/disposition-notification\r\n\r\n" fields                          \
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n--b--\r\n"
    static const struct {
        const char *message, *shown; /* ua|final|original|id|aSD e|error|returned, "-": none */
    } cases[] = {
        /* RFC8098-9's example */
        {MDN("Reporting-UA: joes-pc.cs.example.com; Foomail 97.1\r\nOriginal-Recipient: "
             "rfc822;Joe_Recipient@example.com\r\n"
             "Final-Recipient: rfc822;Joe_Recipient@example.com\r\n"
             "Original-Message-ID: <199509192301.23456@example.org>\r\n"
             "Disposition: manual-action/MDN-sent-manually; displayed\r\n"),
         "joes-pc.cs.example.com; Foomail 97.1|Joe_Recipient@example.com|Joe_Recipient@example.com|"
         "199509192301.23456@example.org|mm0.|-|rfc822"},
        {MDN("Final-Recipient: rfc822;a@b\r\nDisposition: Automatic-Action / MDN-sent-automatically ; Processed/Error, "
             "x\r\nError: no\r\n  good\r\n"),
         "-|a@b|-|-|aa3e|no  good|rfc822"},
        {MDN("Final-Recipient: rfc822;a@b\r\nDisposition: automatic-action/MDN-sent-manually; deleted\r\n"),
         "-|a@b|-|-|am1.|-|rfc822"},
        {MDN("Final-Recipient: rfc822;a@b\r\nDisposition: manual-action/MDN-sent-automatically;dispatched (x)\r\n"),
         "-|a@b|-|-|ma2.|-|rfc822"},
        {MDN("Final-Recipient: utf-8;\\x{E9}@b\r\nDisposition: displayed\r\n"), "-|\xc3\xa9@b|-|-|mm0.|-|rfc822"},
        {MDN("Disposition: manual-action/MDN-sent-manually; failed\r\n"), "-|-|-|-|mm3e|-|rfc822"},
        {MDN("\r\nDisposition: manual-action/MDN-sent-manually; denied\r\n"), "-|-|-|-|mm3.|-|rfc822"},
        {MDN("Final-Recipient: rfc822;a@b\r\n"), "not-found"},
        {MDN("Final-Recipient: rfc822;a@b\r\nDisposition: manual-action/MDN-sent-manually; eaten\r\n"), "not-found"},
        {"Subject: x\r\n\r\nDisposition: displayed\r\n", "not-found"},
    };
    struct buf out;
    buf_init(&out, 10000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message message;
        struct mdn mdn;
        assert_int_equal(message_parse(arena, view_cstr(cases[i].message), &message), ERR_OK);
        enum err err = mdn_read(arena, &message, &mdn);
        buf_clear(&out);
        if (err != ERR_OK) {
            buf_put_str(&out, err_name(err));
        } else {
            struct view texts[] = {mdn.reporting_ua, mdn.final, mdn.original, mdn.original_message_id};
            for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
                put(&out, texts[k]);
                buf_put_byte(&out, '|');
            }
            buf_printf(&out, "%c%c%d%c|", mdn.automatic ? 'a' : 'm', mdn.sent_automatically ? 'a' : 'm',
                       (int)mdn.disposition, mdn.has_error ? 'e' : '.');
            put(&out, mdn.error);
            buf_put_byte(&out, '|');
            put(&out, mdn.returned == NULL ? VIEW_NONE : mdn.returned->subtype);
        }
        assert_view(buf_view(&out), cases[i].shown);
        arena_free(arena);
    }
    buf_fini(&out);
}

static void assert_same(struct view got, struct view sent, struct view made) {
    if (!view_eq(got, sent) || (sent.n > 0) != (got.p != NULL))
        fail_msg("got \"%.*s\"\nsent \"%.*s\"\n%.*s", VIEW_FMT(got), VIEW_FMT(sent), VIEW_FMT(made));
}

static void test_mdn_round_trip(void **state) {
    (void)state;
    static const struct view addresses[] = {VIEW_INIT("a@b.example"), VIEW_INIT("\"a b\"@c"),
                                            VIEW_INIT("p\xc3\xa9ter+x=y@\xc3\xa9.example"),
                                            VIEW_INIT("\xf0\x9f\x98\x80\\@x")};
    static const struct view texts[] = {
        VIEW_INIT(""), VIEW_INIT("plain"), VIEW_INIT("with spaces; and (signs)"),
        VIEW_INIT("a text that is so long that it does not fit into one line of a header as it is")};
    static const struct view ids[] = {VIEW_INIT(""), VIEW_INIT("1@b.example"), VIEW_INIT("a.b$c@[192.0.2.1]")};
    static const struct view headers[] = {VIEW_INIT("Subject: x\r\n"), VIEW_INIT("Subject: \xc3\xa9\r\nTo: a@b\r\n")};
    struct buf made;
    buf_init(&made, 1 << 20);
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct random_seeded rs;
        random_seeded_init(&rs, seed);
        struct random *random = &rs.random;
        struct mdn_request r = {
            .from = VIEW("a@b.example"),
            .to = VIEW("c@d.example"),
            .subject = random_below(random, 2) ? VIEW("J\xc3\xb6rg\r\nX: y") : VIEW(""),
            .host = VIEW("b.example"),
            .wall_us = INT64_C(1795556963) * 1000000,
            .header = random_below(random, 3) == 0 ? VIEW_NONE : pick(random, headers, ARRAY_LEN(headers)),
            .is_utf8 = random_below(random, 2),
            .mdn =
                {
                    .reporting_ua = pick(random, texts, ARRAY_LEN(texts)),
                    .final = pick(random, addresses, ARRAY_LEN(addresses)),
                    .original = random_below(random, 2) ? pick(random, addresses, ARRAY_LEN(addresses)) : VIEW(""),
                    .original_message_id = pick(random, ids, ARRAY_LEN(ids)),
                    .automatic = random_below(random, 2),
                    .sent_automatically = random_below(random, 2),
                    .disposition = (enum mdn_disposition)random_below(random, 4),
                    .has_error = random_below(random, 2),
                    .error = pick(random, texts, ARRAY_LEN(texts)),
                },
        };
        random_fill(random, r.random, sizeof(r.random));
        buf_clear(&made);
        assert_int_equal(mdn_put(&made, &r), ERR_OK);
        struct view bytes = buf_view(&made);
        /* RFC6533-5: without SMTPUTF8 all of it is 7bit; RFC8098-3: it asks for none itself. */
        assert_true(r.is_utf8 || utf8_is_ascii(bytes));
        assert_true(view_find(bytes, VIEW("Disposition-Notification-To")) < 0 && view_find(bytes, VIEW("\nX: y")) < 0);

        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message message;
        struct mdn mdn;
        assert_int_equal(message_parse(arena, bytes, &message), ERR_OK);
        assert_int_equal(mdn_read(arena, &message, &mdn), ERR_OK);
        assert_same(mdn.reporting_ua, r.mdn.reporting_ua, bytes);
        assert_same(mdn.final, r.mdn.final, bytes);
        assert_same(mdn.original, r.mdn.original, bytes);
        assert_same(mdn.original_message_id, r.mdn.original_message_id, bytes);
        assert_same(mdn.error, r.mdn.error, bytes);
        assert_true(mdn.automatic == r.mdn.automatic && mdn.sent_automatically == r.mdn.sent_automatically);
        assert_true(mdn.disposition == r.mdn.disposition && mdn.has_error == r.mdn.has_error);
        assert_int_equal(mdn.returned != NULL, r.header.p != NULL);
        if (mdn.returned != NULL) {
            struct buf body;
            buf_init(&body, 1 << 16);
            decode_put_body(&body, &message, mdn.returned);
            /* The line end before the boundary is its own. */
            if (!view_eq(view_trim(r.header), view_trim(buf_view(&body))))
                fail_msg("%.*s\n%.*s", VIEW_FMT(buf_view(&body)), VIEW_FMT(bytes));
            buf_fini(&body);
        }
        struct delivery_status status;
        assert_int_equal(delivery_status_read(arena, &message, &status), ERR_NOT_FOUND);
        assert_false(mdn_may_answer(arena, message_part_header(&message, message.root)));
        arena_free(arena);
    }
    buf_fini(&made);
}

/* RFC8098-2.1 */
static void test_may_answer(void **state) {
    (void)state;
    static const struct {
        const char *header;
        bool may;
    } cases[] = {
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\n", true},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: Joe <a@B>\r\n", true},
        {"Return-Path: <\"a\"@b>\r\nDisposition-Notification-To: <a@b>\r\nAuto-Submitted: no\r\n", true},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b, Joe <a@b>\r\n", true},
        {"Return-Path: <A@b>\r\nDisposition-Notification-To: a@b\r\n", false},
        {"Return-Path: <a+x@b>\r\nDisposition-Notification-To: a@b\r\n", false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b, c@d\r\n", false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nDisposition-Notification-To: a@b\r\n", false},
        {"Return-Path: <a@b>\r\nReturn-Path: <c@d>\r\nDisposition-Notification-To: a@b\r\n", false},
        {"Return-Path: <>\r\nDisposition-Notification-To: a@b\r\n", false},
        {"Return-Path: <>\r\nDisposition-Notification-To: <>\r\n", false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a\r\n", false},
        {"Return-Path: <a@b>\r\n", false},
        {"Disposition-Notification-To: a@b\r\n", false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nContent-Type: multipart/report; boundary=x\r\n",
         false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nContent-Type: multipart/mixed; boundary=x\r\n",
         true},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nAuto-Submitted: auto-generated\r\n", false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nNewsgroups: comp.mail\r\n", false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nDisposition-Notification-Options: x=required,y\r\n",
         false},
        {"Return-Path: <a@b>\r\nDisposition-Notification-To: a@b\r\nDisposition-Notification-Options: x=optional,y\r\n",
         true},
        {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        if (mdn_may_answer(arena, view_cstr(cases[i].header)) != cases[i].may)
            fail_msg("%s", cases[i].header);
        arena_free(arena);
    }
}

static void test_limits(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 4 << 20);
    buf_put_str(&text, HEAD STATUS "Reporting-MTA: dns; m\r\n");
    for (int i = 0; i < REPORT_RECIPIENTS_MAX + 10; i++)
        buf_put_str(&text, "\r\nFinal-Recipient: rfc822;a@b\r\nAction: failed\r\n");
    for (int i = 0; i < 2; i++) {
        struct arena *arena = arena_new("test", i == 0 ? MESSAGE_ARENA_BUDGET : 40000);
        struct message message;
        struct delivery_status status;
        assert_int_equal(message_parse(arena, buf_view(&text), &message), ERR_OK);
        assert_int_equal(delivery_status_read(arena, &message, &status), i == 0 ? ERR_OK : ERR_LIMIT);
        if (i == 0)
            assert_int_equal(status.recipient_count, REPORT_RECIPIENTS_MAX);
        arena_free(arena);
    }
    /* A status part that is longer than what is looked at. */
    buf_clear(&text);
    buf_put_str(&text,
                HEAD STATUS "Reporting-MTA: dns; m\r\n\r\nFinal-Recipient: rfc822;a@b\r\nDiagnostic-Code: smtp; ");
    while (text.n < 2 * REPORT_STATUS_MAX)
        buf_put_str(&text, "\xff(((((((");
    struct arena *arena = arena_new("test", 4 * MESSAGE_ARENA_BUDGET);
    struct message message;
    struct delivery_status status;
    assert_int_equal(message_parse(arena, buf_view(&text), &message), ERR_OK);
    assert_int_equal(delivery_status_read(arena, &message, &status), ERR_OK);
    assert_int_equal(status.recipient_count, 1);
    arena_free(arena);
    buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivery_status), cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_dsn_round_trip),  cmocka_unit_test(test_mdn),
        cmocka_unit_test(test_mdn_round_trip),  cmocka_unit_test(test_may_answer),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
