/* The files and mails that aggregate reports come in: gzip, zip, bombs, and which attachment it is. */
#include "dmarc/aggregate.h"

#include "inflate/inflate.h"
#include "message/bodies.h"
#include "message/testing.h"

#include <string.h>
#include <zlib.h>

#define XML                                                                                                  \
    "<feedback><policy_published><domain>s.example</domain><p>none</p></policy_published><record/><record/>" \
    "</feedback>"

#define MADE_MAX (INFLATE_RATIO_FROM + 128 * 1024) /* of a bomb: the ratio is looked at now and then */

static struct arena *arena;
static struct buf file, xml;

static int setup(void **state) {
    (void)state;
    buf_init(&file, 64 << 20);
    buf_init(&xml, AGGREGATE_XML_MAX);
    arena = arena_new("test", AGGREGATE_ARENA_BUDGET + MESSAGE_ARENA_BUDGET);
    return arena == NULL;
}

static int teardown(void **state) {
    (void)state;
    buf_fini(&file);
    buf_fini(&xml);
    arena_free(arena);
    return 0;
}

static enum err unpack(struct view v) {
    buf_clear(&xml);
    return aggregate_unpack(v, &xml);
}

/* ---- gzip */

static enum err put_gzip(struct buf *out, struct view octets) {
    buf_put_gzip(out, octets);
    return buf_err(out);
}

static void test_gzip(void **state) {
    (void)state;
    static const char *const contents[] = {"", "x", XML};
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        struct view content = view_cstr(contents[i]);
        buf_clear(&file);
        assert_int_equal(put_gzip(&file, content), ERR_OK);
        assert_int_equal(unpack(buf_view(&file)), ERR_OK);
        assert_view(buf_view(&xml), contents[i]);
        size_t n = file.n;
        for (size_t cut = 3; cut < n; cut++)
            assert_int_equal(unpack(view_sub(buf_view(&file), 0, cut)), ERR_SYNTAX);
        file.p[n - 5] ^= 1; /* the checksum */
        assert_int_equal(unpack(buf_view(&file)), ERR_SYNTAX);
        file.p[n - 5] ^= 1;
        buf_put_str(&file, "\r\n"); /* what mail adds */
        assert_int_equal(unpack(buf_view(&file)), ERR_OK);
        buf_clear(&file);
        assert_int_equal(put_gzip(&file, content), ERR_OK);
        assert_int_equal(put_gzip(&file, VIEW("2")), ERR_OK); /* RFC1952-2.2: a second member */
        assert_int_equal(unpack(buf_view(&file)), ERR_OK);
        assert_int_equal(xml.n, content.n + 1);
    }
    assert_int_equal(unpack(VIEW(XML)), ERR_OK);
    assert_view(buf_view(&xml), XML);
    assert_int_equal(unpack(VIEW("")), ERR_OK);
    assert_int_equal(unpack(VIEW("\x1F")), ERR_OK);
    assert_int_equal(unpack(VIEW("\x1F\x8B\x08")), ERR_SYNTAX);
}

/* n octets that compress well, but are no bomb: about 20 times. */
static void put_dull(struct buf *buf, size_t n) {
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        buf_put_byte(buf, i % 64 < 3 ? (uint8_t)(x >> 24) : 'a');
    }
}

static void test_bombs(void **state) {
    (void)state;
    struct buf content;
    buf_init(&content, 64 << 20);
    /* The ratio counts from INFLATE_RATIO_FROM. */
    uint8_t *room = buf_room(&content, 3 << 20);
    assert_non_null(room);
    memset(room, ' ', 3 << 20);
    buf_added(&content, 3 << 20);
    buf_clear(&file);
    assert_int_equal(put_gzip(&file, view_sub(buf_view(&content), 0, INFLATE_RATIO_FROM)), ERR_OK);
    assert_int_equal(unpack(buf_view(&file)), ERR_OK);
    buf_clear(&file);
    assert_int_equal(put_gzip(&file, buf_view(&content)), ERR_OK);
    assert_true(file.n < 4000);
    assert_int_equal(unpack(buf_view(&file)), ERR_LIMIT);
    assert_true(xml.n <= MADE_MAX);
    /* Many members that are each below it. */
    buf_clear(&file);
    for (int i = 0; i < 1000 && file.n < AGGREGATE_PACKED_MAX - 2000; i++)
        assert_int_equal(put_gzip(&file, view_sub(buf_view(&content), 0, 100000)), ERR_OK);
    assert_int_equal(unpack(buf_view(&file)), ERR_LIMIT);
    assert_true(xml.n <= AGGREGATE_XML_MAX);
    /* AGGREGATE_XML_MAX, at a ratio that is fine. */
    buf_clear(&content);
    put_dull(&content, AGGREGATE_XML_MAX);
    buf_clear(&file);
    assert_int_equal(put_gzip(&file, buf_view(&content)), ERR_OK);
    assert_true(file.n < AGGREGATE_PACKED_MAX);
    assert_int_equal(unpack(buf_view(&file)), ERR_OK);
    buf_put_byte(&content, 'x');
    buf_clear(&file);
    assert_int_equal(put_gzip(&file, buf_view(&content)), ERR_OK);
    assert_int_equal(unpack(buf_view(&file)), ERR_LIMIT);
    assert_int_equal(unpack(buf_view(&content)), ERR_LIMIT); /* and as it is */
    /* AGGREGATE_PACKED_MAX */
    buf_clear(&file);
    buf_put_str(&file, "\x1F\x8B\x08");
    while (file.n <= AGGREGATE_PACKED_MAX)
        buf_put_byte(&file, 0);
    assert_int_equal(unpack(buf_view(&file)), ERR_LIMIT);
    memcpy(file.p, "PK\3\4", 4);
    assert_int_equal(unpack(buf_view(&file)), ERR_LIMIT);
    buf_fini(&content);
}

/* ---- zip */

static void put_le(struct buf *buf, uint64_t value, size_t n) {
    for (size_t i = 0; i < n; i++)
        buf_put_byte(buf, (uint8_t)(i < 8 ? value >> (8 * i) : 0));
}

struct zip {
    const char *folder, *name, *comment;
    uint16_t method, flags;
    bool bad_crc, bad_size, bad_place, no_members;
};

static void put_local(struct buf *buf, const char *name, uint16_t method, uint16_t flags, struct view data) {
    buf_put_str(buf, "PK\3\4");
    put_le(buf, 20, 2);
    put_le(buf, flags, 2);
    put_le(buf, method, 2);
    put_le(buf, 0, 16); /* time, and sizes that stand only in the directory */
    put_le(buf, view_cstr(name).n, 2);
    put_le(buf, 0, 2);
    buf_put_str(buf, name);
    buf_put(buf, data);
}

static void put_central(struct buf *buf, const char *name, const struct zip *zip, uint32_t crc, struct view data,
                        size_t at) {
    buf_put_str(buf, "PK\1\2");
    put_le(buf, 20, 2);
    put_le(buf, 20, 2);
    put_le(buf, zip->flags, 2);
    put_le(buf, zip->method, 2);
    put_le(buf, 0, 4);
    put_le(buf, zip->bad_crc ? crc ^ 1 : crc, 4);
    put_le(buf, zip->bad_size ? data.n + 1000 : data.n, 4);
    put_le(buf, 4000000000u, 4); /* a claim that is not believed */
    put_le(buf, view_cstr(name).n, 2);
    put_le(buf, 0, 12);
    put_le(buf, zip->bad_place ? at + 1 : at, 4);
    buf_put_str(buf, name);
}

static void put_zip(struct buf *out, const struct zip *zip, struct view content) {
    struct buf data;
    buf_init(&data, 64 << 20);
    if (zip->method == 8) { /* what gzip has between header and trailer */
        assert_int_equal(put_gzip(&data, content), ERR_OK);
        buf_consume(&data, 10);
        data.n -= 8;
    } else {
        buf_put(&data, content);
    }
    uint32_t crc = (uint32_t)crc32(0, content.p, (uInt)content.n);
    struct zip folder = {.method = 0};
    if (zip->folder != NULL)
        put_local(out, zip->folder, 0, 0, VIEW_NONE);
    size_t at = out->n;
    put_local(out, zip->name, zip->method, zip->flags, buf_view(&data));
    size_t directory = out->n;
    if (zip->folder != NULL)
        put_central(out, zip->folder, &folder, 0, VIEW_NONE, 0);
    put_central(out, zip->name, zip, crc, buf_view(&data), at);
    size_t size = out->n - directory;
    buf_put_str(out, "PK\5\6");
    put_le(out, 0, 4);
    put_le(out, zip->no_members ? 0 : 1u + (zip->folder != NULL), 2);
    put_le(out, zip->no_members ? 0 : 1u + (zip->folder != NULL), 2);
    put_le(out, size, 4);
    put_le(out, directory, 4);
    put_le(out, zip->comment == NULL ? 0 : view_cstr(zip->comment).n, 2);
    buf_put_str(out, zip->comment == NULL ? "" : zip->comment);
    buf_fini(&data);
}

static void test_zip(void **state) {
    (void)state;
    static const struct {
        struct zip zip;
        enum err err;
    } cases[] = {
        {{.name = "a.xml", .method = 8}, ERR_OK},
        {{.name = "a.xml", .method = 0}, ERR_OK},
        {{.name = "a.xml", .method = 8, .flags = 8}, ERR_OK}, /* sizes after the data */
        {{.name = "", .method = 8}, ERR_OK},
        {{.name = "a.xml", .method = 8, .comment = "a comment with PK\5\6 in it and more of it"}, ERR_SYNTAX},
        {{.name = "a.xml", .method = 8, .comment = "a comment"}, ERR_OK},
        {{.folder = "reports/", .name = "reports/a.xml", .method = 8}, ERR_OK},
        {{.name = "reports/", .method = 0}, ERR_SYNTAX},
        {{.name = "a.xml", .method = 8, .flags = 1}, ERR_SYNTAX}, /* encrypted */
        {{.name = "a.xml", .method = 12}, ERR_SYNTAX},
        {{.name = "a.xml", .method = 8, .bad_crc = true}, ERR_SYNTAX},
        {{.name = "a.xml", .method = 0, .bad_size = true}, ERR_SYNTAX},
        {{.name = "a.xml", .method = 8, .bad_place = true}, ERR_SYNTAX},
        {{.name = "a.xml", .method = 8, .no_members = true}, ERR_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&file);
        put_zip(&file, &cases[i].zip, VIEW(XML));
        assert_int_equal(unpack(buf_view(&file)), cases[i].err);
        if (cases[i].err != ERR_OK)
            continue;
        assert_view(buf_view(&xml), XML);
        if (cases[i].zip.comment != NULL)
            continue;
        for (size_t cut = 4; cut < file.n; cut++)
            assert_int_equal(unpack(view_sub(buf_view(&file), 0, cut)), ERR_SYNTAX);
        for (size_t at = 4; at < file.n && cases[i].zip.folder == NULL;
             at++) { /* every octet otherwise: refused or the same, but a folder's name may become a file's */
            file.p[at] ^= 0xFF;
            enum err err = unpack(buf_view(&file));
            assert_true(err == ERR_SYNTAX || (err == ERR_OK && view_eq(buf_view(&xml), VIEW(XML))));
            file.p[at] ^= 0xFF;
        }
    }
    struct buf content;
    buf_init(&content, 64 << 20);
    for (size_t i = 0; i < 3 << 20; i++)
        buf_put_byte(&content, ' ');
    buf_clear(&file);
    put_zip(&file, &(struct zip){.name = "a.xml", .method = 8}, buf_view(&content));
    assert_int_equal(unpack(buf_view(&file)), ERR_LIMIT); /* INFLATE_RATIO_MAX */
    assert_true(xml.n <= MADE_MAX);
    buf_fini(&content);
}

/* ---- mails */

static void put_part(struct buf *buf, const char *type, const char *name, struct view content) {
    buf_printf(buf, "--b\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", type);
    if (*name != 0)
        buf_printf(buf, "Content-Disposition: attachment; filename=\"%s\"\r\n", name);
    buf_put_str(buf, "\r\n");
    buf_put_base64(buf, content);
    buf_put_str(buf, "\r\n");
}

static enum err read_mail(struct buf *mail, struct aggregate_report *out) {
    struct message message;
    buf_put_str(mail, "--b--\r\n");
    arena_clear(arena);
    assert_int_equal(message_parse(arena, buf_view(mail), &message), ERR_OK);
    return aggregate_read_message(arena, &message, out);
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n"

static void test_mails(void **state) {
    (void)state;
    struct buf mail, packed;
    struct aggregate_report report;
    buf_init(&mail, 64 << 20);
    buf_init(&packed, 1 << 20);
    assert_int_equal(put_gzip(&packed, VIEW(XML)), ERR_OK);
    static const struct {
        const char *type, *name;
        bool is_packed, is_found;
    } cases[] = {
        /* RFC9990-3.5.2 */
        {"application/gzip", "r!s!1!2.xml.gz", true, true},
        {"application/gzip", "", true, true},
        {"text/xml", "", false, true},
        {"Text/XML; charset=utf-8", "r!s!1!2.xml", false, true},
        /* and what else is sent */
        {"application/xml", "", false, true},
        {"application/x-gzip", "", true, true},
        {"application/octet-stream", "r!s!1!2.xml.gz", true, true},
        {"application/octet-stream", "R!S!1!2.XML.GZ", true, true},
        {"application/octet-stream; name=\"r!s!1!2.xml\"", "", false, true},
        {"application/gzip", "r!s!1!2.xml.gz", false, true}, /* said to be packed, and is not */
        {"text/plain", "r!s!1!2.xml", false, true},
        {"application/octet-stream", "report.bin", true, false},
        {"text/plain", "", false, false},
        {"image/gzip", "", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&mail);
        buf_put_str(&mail, MIXED);
        put_part(&mail, cases[i].type, cases[i].name, cases[i].is_packed ? buf_view(&packed) : VIEW(XML));
        assert_int_equal(read_mail(&mail, &report), cases[i].is_found ? ERR_OK : ERR_NOT_FOUND);
        if (cases[i].is_found)
            assert_int_equal(report.rows_n, 2);
    }
    /* The whole mail is the report. */
    buf_clear(&mail);
    buf_put_str(&mail, "Content-Type: text/xml\r\n\r\n" XML);
    assert_int_equal(read_mail(&mail, &report), ERR_OK);
    /* One that cannot be read does not hide one that can; alone it says why. */
    buf_clear(&mail);
    buf_put_str(&mail, MIXED);
    put_part(&mail, "application/gzip", "logo.gz", VIEW("no gzip"));
    assert_int_equal(read_mail(&mail, &report), ERR_SYNTAX);
    buf_clear(&mail);
    buf_put_str(&mail, MIXED);
    put_part(&mail, "application/gzip", "logo.gz", VIEW("no gzip"));
    put_part(&mail, "application/octet-stream", "a.xml", VIEW(XML));
    assert_int_equal(read_mail(&mail, &report), ERR_OK);
    /* AGGREGATE_FILES_MAX */
    for (size_t n = AGGREGATE_FILES_MAX - 1; n <= AGGREGATE_FILES_MAX; n++) {
        buf_clear(&mail);
        buf_put_str(&mail, MIXED);
        for (size_t i = 0; i < n; i++)
            put_part(&mail, "text/xml", "", VIEW("<x/>"));
        put_part(&mail, "text/xml", "", VIEW(XML));
        assert_int_equal(read_mail(&mail, &report), n < AGGREGATE_FILES_MAX ? ERR_OK : ERR_SYNTAX);
    }
    buf_fini(&mail);
    buf_fini(&packed);
}

/* RFC9990-3.5.2: the mail we send is one that we find the report in. */
static void test_mail_written(void **state) {
    (void)state;
    struct aggregate_row row = {
        .source = {.family = 4, .ip = {192, 0, 2, 1}},
        .count = 7,
        .disposition = AGGREGATE_DISPOSITION_NONE,
        .dkim = AGGREGATE_ALIGNED_PASS,
        .spf = AGGREGATE_ALIGNED_FAIL,
        .header_from = VIEW("s.example"),
    };
    struct aggregate_report report = {
        .org_name = VIEW("Receiver"),
        .email = VIEW("dmarc@r.example"),
        .report_id = VIEW("1700000000-s.example@r.example"),
        .begin_s = 1700000000,
        .end_s = 1700086399,
        .domain = VIEW("s.example"),
        .p = AGGREGATE_POLICY_REJECT,
        .rows = &row,
        .rows_n = 1,
    };
    struct aggregate_mail mail = {
        .from = VIEW("dmarc@r.example"),
        .to = VIEW("reports@s.example"),
        .receiver = VIEW("r.example"),
        .unique_id = VIEW("1"),
        .options = {.host = VIEW("r.example"), .wall_us = 1700090000000000},
    };
    struct message message;
    struct aggregate_report again;
    struct buf name;
    arena_clear(arena);
    buf_clear(&file);
    assert_int_equal(aggregate_put_mail(arena, &file, &mail, &report), ERR_OK);
    assert_true(view_find(buf_view(&file), VIEW("\r\nSubject: Report Domain: s.example Submitter: r.example")) > 0);
    assert_int_equal(message_parse(arena, buf_view(&file), &message), ERR_OK);
    const struct mime_part *part = message.root->last_child;
    assert_true(mime_part_is(part, VIEW("application"), VIEW("gzip")));
    assert_view(part->disposition, "attachment");
    buf_init(&name, 1000);
    mime_part_put_name(&name, NULL, part);
    assert_view(buf_view(&name), "r.example!s.example!1700000000!1700086399!1.xml.gz");
    buf_fini(&name);
    assert_int_equal(aggregate_read_message(arena, &message, &again), ERR_OK);
    assert_view(again.report_id, "1700000000-s.example@r.example");
    assert_int_equal(again.rows_n, 1);
    assert_int_equal(again.rows[0].count, 7);
    mail.to = VIEW("");
    assert_int_equal(aggregate_put_mail(arena, &file, &mail, &report), ERR_SYNTAX);
    mail.to = mail.from;
    mail.receiver = VIEW("r!example");
    assert_int_equal(aggregate_put_mail(arena, &file, &mail, &report), ERR_SYNTAX);
    mail.receiver = VIEW("r.example");
    report.rows_n = 0;
    assert_int_equal(aggregate_put_mail(arena, &file, &mail, &report), ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip),  cmocka_unit_test(test_bombs),        cmocka_unit_test(test_zip),
        cmocka_unit_test(test_mails), cmocka_unit_test(test_mail_written),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
