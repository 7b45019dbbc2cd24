/*
 * A message of 150 MB is delivered, appended, read and checked in memory bounded by a constant: the process's own high-water
 * mark is what is measured, on a real disk.
 */
#include "store/blob_source.h"
#include "store/sqlite/store_testing.h"

#include "message/derive.h"
#include "message/search.h"
#include "message/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE_SIZE ((uint64_t)150 * 1024 * 1024)
#define ODD_SIZE ((uint64_t)60 * 1024 * 1024)
/* What an operation may add to the high-water mark: arenas, windows, the database's cache, and under the sanitizer their
 * shadow and the memory that it holds back. Far below the message. */
#define GROWTH_MAX_KB (40 * 1024)

/* The sanitizer's own: what was freed is kept aside for a while, else up to 256 MB. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=4";
}

/* The high-water mark of resident memory, in KiB; reset puts it down to what is resident now. */
static long high_water_kb(bool reset) {
    char line[200];
    uint64_t kb = 0;
    if (reset) {
        FILE *clear = fopen("/proc/self/clear_refs", "w");
        assert_non_null(clear);
        assert_true(fputs("5", clear) >= 0);
        assert_int_equal(fclose(clear), 0);
    }
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0) { /* "VmHWM:      1234 kB" */
            struct view number, unit;
            (void)view_split(view_trim(view_cstr(line + 6)), ' ', &number, &unit);
            assert_int_equal(view_to_u64(number, INT32_MAX, &kb), ERR_OK);
        }
    assert_int_equal(fclose(status), 0);
    assert_true(kb > 0);
    return (long)kb;
}

/* A nameless file in the working directory: head, `line` until it is `size` long, tail. */
static struct file *large_file(const char *head, const char *line, const char *tail, uint64_t size) {
    static char piece[64 * 1024];
    struct view one = view_cstr(line);
    size_t n = 0;
    int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    struct file *file = file_new_fd(fd);
    uint64_t at = view_cstr(head).n;
    for (; n + one.n <= sizeof(piece); n += one.n)
        memcpy(piece + n, one.p, one.n);
    assert_int_equal(file_write(file, view_cstr(head), 0), ERR_OK);
    for (; at < size; at += n)
        assert_int_equal(file_write(file, view_of(piece, n), at), ERR_OK);
    assert_int_equal(file_write(file, view_cstr(tail), at), ERR_OK);
    return file;
}

/* A text, and an attachment in base64 that fills it up. */
#define USUAL_HEAD                                                                               \
    "From: a@example.org\r\nSubject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" \
    "--b\r\n\r\nThe text.\r\n--b\r\nContent-Type: application/zip; name=a.zip\r\n"               \
    "Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n"
#define USUAL_LINE "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"
#define USUAL_TAIL "\r\n--b\r\n\r\nThe end.\r\n--b--\r\n"

static void check_growth(const char *what, long before_kb) {
    long growth_kb = high_water_kb(false) - before_kb;
    print_message("%s: %ld KiB more\n", what, growth_kb);
    if (growth_kb > GROWTH_MAX_KB)
        fail_msg("%s: memory grew by %ld KiB", what, growth_kb);
}

static void append_large(struct fixture *f, struct file *file, bool deliver) {
    if (deliver) {
        uint8_t id[DELIVERY_ID_SIZE] = {1};
        struct deliver_commit_args args = {
            .id = view_of(id, sizeof(id)), .recipient = VIEW("b@example.org"), .prefix = VIEW("Received: x\r\n")};
        struct deliver_commit_result result;
        assert_int_equal(account_do_deliver_commit(f->account, &args, file, f->arena, &result), ERR_OK);
    } else {
        struct message_append_args args = {.mailbox = mailbox_id(f, VIEW("INBOX"))};
        struct message_append_result result;
        assert_int_equal(account_do_message_append(f->account, &args, file, f->arena, &result), ERR_OK);
    }
}

static void check_item(struct fixture *f, const struct message_item *item) {
    struct derived_fields fields;
    assert_int_equal(record_decode(&derived_fields_record, item->fields, f->arena, &fields), ERR_OK);
    assert_view(fields.subject, VIEW("large"));
    assert_int_equal(fields.attachments_n, 1);
    assert_view(fields.attachments[0].name, VIEW("a.zip"));
    assert_true(fields.attachments[0].size > LARGE_SIZE / 100 * 72 && fields.attachments[0].size < LARGE_SIZE / 4 * 3);
    assert_int_equal(item->has_attachment, ATTACHMENT_YES);
    assert_view(item->preview, VIEW("The text."));
    assert_true(item->size > LARGE_SIZE && item->part_index.n > 0 && item->bodystructure.n > 0);
}

static void index_text(struct fixture *f, const struct message_item *item) {
    struct buf text;
    buf_init(&text, TEXT_INDEX_MAX);
    assert_int_equal(blob_index_text_put(f->account, item->blob, item->size, NULL, &text), ERR_OK);
    assert_true(view_find(buf_view(&text), VIEW("The end.")) >= 0);
    buf_fini(&text);
}

static void large(struct fixture *f) {
    struct file *file = large_file(USUAL_HEAD, USUAL_LINE, USUAL_TAIL, LARGE_SIZE);
    long before_kb = high_water_kb(true);
    append_large(f, file, true);
    check_growth("delivery", before_kb);
    append_large(f, file, false);
    check_growth("append", before_kb);
    file_unref(file);
    struct message_item item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), 1, 1023);
    check_item(f, &item);
    index_text(f, &item);
    check_growth("text for the index", before_kb);
    verify_ok(f->store);
    check_growth("verify", before_kb);
}

/* Searches and reads a message as sessions do. */
static void read_large(struct fixture *f, const struct message_item *item) {
    struct blob_source source;
    struct message message;
    struct buf work;
    struct arena *chunk = arena_new("chunk", BLOB_SOURCE_ARENA), *parts = arena_new("parts", MESSAGE_ARENA_BUDGET);
    buf_init(&work, 1000);
    blob_source_init(&source, f->account, item->blob, item->size, chunk);
    assert_int_equal(message_parse_source(parts, &source.source, &message), ERR_OK);
    assert_false(search_body(NULL, &message, VIEW("is not there"), &work));
    assert_int_equal(buf_err(&work), ERR_OK);
    buf_fini(&work);
    arena_free(chunk);
    arena_free(parts);
}

/* What is large in other ways. */
static void odd_shapes(struct fixture *f) {
    static const struct {
        const char *name, *head, *line, *tail;
    } shapes[] = {
        {"a header without end", "Subject: large\r\n", "X-Field: and its value\r\n", ""},
        {"one field", "Subject: large\r\nTo: a@example.org", ",\r\n =?utf-8?q?name?= <a@example.org>", ""},
        {"one line", "Subject: large\r\n\r\n", "x", ""},
        {"line ends", "", "\r\n", ""},
        {"more parts than are looked at", "Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
         "--b\r\nContent-Type: text/plain; name=x\r\n\r\ntext\r\n", "--b--\r\n"},
        {"messages in messages", "", "Content-Type: message/rfc822\r\n\r\n", ""},
        {"text", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
         "=C3=A9t=C3=A9 =\r\n", ""},
        {"HTML in base64", "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n",
         "PHA+PGI+d29yZHMgPC9iPjwvcD48cD48Yj53b3JkcyA8L2I+PC9w\r\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct file *file = large_file(shapes[i].head, shapes[i].line, shapes[i].tail, ODD_SIZE);
        long before_kb = high_water_kb(true);
        append_large(f, file, false);
        file_unref(file);
        struct message_item item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), (uint32_t)i + 1, 1023);
        assert_true(item.size >= ODD_SIZE);
        read_large(f, &item);
        struct buf text;
        buf_init(&text, TEXT_INDEX_MAX);
        assert_int_equal(blob_index_text_put(f->account, item.blob, item.size, NULL, &text), ERR_OK);
        buf_fini(&text);
        check_growth(shapes[i].name, before_kb);
    }
}

static void on_a_real_disk(void **state, void (*body)(struct fixture *f)) {
    struct fixture f;
    fixture_init(&f, WAY_DIRECT, test_folder_disk(*state));
    f.params.size_max = 2 * LARGE_SIZE;
    assert_int_equal(fixture_connect(&f), ERR_OK);
    body(&f);
    fixture_close(&f);
}

static void in_constant_memory(void **state) {
    on_a_real_disk(state, large);
}

static void odd_ones_too(void **state) {
    on_a_real_disk(state, odd_shapes);
}

/* Fields that are too long to be kept are absent, and has_attachment is known all the same. */
static void long_fields(struct fixture *f) {
    struct buf text;
    buf_init(&text, 1000000);
    buf_put_str(&text, "Subject: x\r\nTo: first@example.org");
    for (int i = 0; i < DERIVED_ADDRESSES_MAX; i++)
        buf_printf(&text, ",\r\n \"%0150d\" <%d@example.org>", i, i);
    buf_put_str(&text, "\r\nContent-Disposition: attachment; filename=x\r\nContent-Type: application/x\r\n\r\nx\r\n");
    struct file *file;
    assert_int_equal(file_new_memory("mail", &file), ERR_OK);
    assert_int_equal(file_write(file, buf_view(&text), 0), ERR_OK);
    append_large(f, file, true);
    file_unref(file);
    uint32_t uid = mailbox_of(f, mailbox_id(f, VIEW("INBOX"))).uidnext - 1;
    struct message_item item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), uid, ITEM_FIELDS);
    assert_int_equal(item.fields.n, 0);
    assert_int_equal(item.has_attachment, ATTACHMENT_YES);
    buf_fini(&text);
    uid = append(f, mailbox_id(f, VIEW("INBOX")), 0, VIEW("Subject: y\r\n\r\nz\r\n"));
    item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), uid, ITEM_FIELDS);
    assert_true(item.fields.n > 0);
    assert_int_equal(item.has_attachment, ATTACHMENT_NO);
    item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), uid, ITEM_PREVIEW); /* what was not asked for does not come */
    assert_int_equal(item.fields.n, 0);
}

/* Reading in windows gives what was stored, at every border of a window, in process and through a channel. */
static void windows(struct fixture *f) {
    static const size_t sizes[] = {1, 65535, 65536, 65537, 131072, 300001};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct blob_source source;
        struct message_append_args args = {.mailbox = mailbox_id(f, VIEW("INBOX"))};
        struct message_append_result result;
        struct file *file;
        uint8_t *body = arena_alloc(f->arena, sizes[i]), *read = arena_alloc(f->arena, sizes[i] + 100);
        random_fill(&f->random.random, body, sizes[i]);
        assert_int_equal(file_new_memory("mail", &file), ERR_OK);
        assert_int_equal(file_write(file, view_of(body, sizes[i]), 0), ERR_OK);
        assert_int_equal(account_do_message_append(f->account, &args, file, f->arena, &result), ERR_OK);
        file_unref(file);
        struct message_item item = fetch_one(f, args.mailbox, result.uid, ITEM_IDS);
        struct arena *chunk = arena_new("chunk", BLOB_SOURCE_ARENA);
        blob_source_init(&source, f->account, item.blob, sizes[i], chunk);
        size_t got;
        for (size_t from = 0; from < sizes[i]; from += sizes[i] / 5 + 1) {
            assert_int_equal(source.source.read(&source.source, from, read, sizes[i] + 100, &got), ERR_OK);
            assert_view(view_of(read, got), view_of(body + from, sizes[i] - from));
        }
        assert_int_equal(source.source.read(&source.source, sizes[i], read, 10, &got), ERR_OK);
        assert_int_equal(got, 0);
        /* One that is shorter than was said, or is not there. */
        blob_source_init(&source, f->account, item.blob, sizes[i] + 1, chunk);
        assert_int_equal(source.source.read(&source.source, 0, read, sizes[i] + 1, &got), ERR_PERMANENT);
        blob_source_init(&source, f->account, 999999, 10, chunk);
        assert_int_equal(source.source.read(&source.source, 0, read, 10, &got), ERR_NOT_FOUND);
        arena_free(chunk);
    }
}

/* What the index holds, the same in process and through a channel; more than the buf takes is said. */
static void text_for_the_index(struct fixture *f) {
    struct buf text;
    buf_init(&text, 1000);
    uint32_t uid = append(f, mailbox_id(f, VIEW("INBOX")), 0,
                          VIEW("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain words\r\n"
                               "--b\r\nContent-Type: text/html\r\n\r\n<p>more <b>words</b>\r\n--b--\r\n"));
    struct message_item item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), uid, ITEM_IDS | ITEM_SIZE);
    assert_int_equal(blob_index_text_put(f->account, item.blob, item.size, NULL, &text), ERR_OK);
    assert_true(view_find(buf_view(&text), VIEW("plain words")) >= 0);
    assert_true(view_find(buf_view(&text), VIEW("more words")) >= 0);
    assert_int_equal(blob_index_text_put(f->account, 999999, 100, NULL, &text), ERR_NOT_FOUND);
    buf_fini(&text);
}

static void each_way(void **state) {
    (void)state;
    for (int way = WAY_DIRECT; way <= WAY_CHANNEL; way++) {
        fixture_run((enum way)way, windows);
        fixture_run((enum way)way, long_fields);
        fixture_run((enum way)way, text_for_the_index);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_constant_memory, test_folder_make, test_folder_remove),
        cmocka_unit_test_setup_teardown(odd_ones_too, test_folder_make, test_folder_remove),
        cmocka_unit_test(each_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
