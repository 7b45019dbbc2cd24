/*
 * From schema 1 on: a database with messages, made by the schema's text as it was, is opened by this program. Nothing is
 * lost, readers live without what is not there yet, maintain adds it step by step, and the power may go at any moment.
 */
#include "store/sqlite/schema_1_testing.h"
#include "store/sqlite/store_testing.h"

#include "message/derive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MAX 1000000
#define MESSAGES 120 /* more than two steps of maintain */

/* ---- an account as schema 1 had it ---- */

static struct view mail_of(struct fixture *f, size_t number) {
    struct view out = VIEW_NONE;
    size_t large = number == 17 ? 300000 : 10;
    char *filler = arena_alloc(f->arena, large + 1);
    memset(filler, 'x', large);
    assert_int_equal(
        arena_printf(f->arena, &out,
                     "From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\r\nTo: a@example.org, g: b@example.org;\r\n"
                     "Subject: mail %zu\r\nMessage-ID: <%zu@x>\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
                     "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                     "--b\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>number</b> %zu\r\n"
                     "--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\n\r\n%s\r\n"
                     "--b--\r\n",
                     number, number, number, filler),
        ERR_OK);
    return out;
}

static void fill(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX")), archive = mailbox_id(f, VIEW("Archive"));
    struct uid_range range = {2, 5};
    struct keyword keyword = {VIEW("$Work")};
    for (size_t i = 0; i < MESSAGES; i++) {
        struct view body = mail_of(f, i);
        struct message_append_args args = {.mailbox = i % 3 == 0 ? archive : inbox, .flags = i % 2 ? FLAG_SEEN : 0};
        struct message_append_result result;
        struct file *file;
        assert_int_equal(file_new_memory("mail", &file), ERR_OK);
        assert_int_equal(file_write(file, body, 0), ERR_OK);
        assert_int_equal(account_do_message_append(f->account, &args, file, f->arena, &result), ERR_OK);
        file_unref(file);
    }
    struct message_copy_args copy = {.mailbox = inbox, .ranges = &range, .ranges_n = 1, .target = archive};
    struct message_copy_result copied;
    assert_int_equal(account_do_message_copy(f->account, &copy, NULL, f->arena, &copied), ERR_OK);
    struct message_store_args store = {.mailbox = inbox,
                                       .ranges = &range,
                                       .ranges_n = 1,
                                       .mode = STORE_ADD,
                                       .flags = FLAG_FLAGGED,
                                       .keywords = &keyword,
                                       .keywords_n = 1};
    struct message_store_result stored;
    assert_int_equal(account_do_message_store(f->account, &store, NULL, f->arena, &stored), ERR_OK);
}

static sqlite3_stmt *statement(struct db *db, const char *sql) {
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(db_handle(db), sql, -1, &stmt, NULL), SQLITE_OK);
    return stmt;
}

/* All rows of a table, in the columns that the older one has. */
static void copy_table(struct db *from, struct db *to, const char *table) {
    char select[2000] = "SELECT ", insert[2000], sql[100];
    int n = 0, at = 7;
    (void)snprintf(sql, sizeof(sql), "PRAGMA table_info(%s)", table);
    sqlite3_stmt *columns = statement(to, sql);
    for (; sqlite3_step(columns) == SQLITE_ROW; n++)
        at += snprintf(select + at, sizeof(select) - (size_t)at, "%s%s", n > 0 ? "," : "",
                       (const char *)sqlite3_column_text(columns, 1));
    (void)sqlite3_finalize(columns);
    (void)snprintf(select + at, sizeof(select) - (size_t)at, " FROM %s", table);
    at = snprintf(insert, sizeof(insert), "INSERT INTO %s VALUES(?", table);
    for (int i = 1; i < n; i++)
        at += snprintf(insert + at, sizeof(insert) - (size_t)at, ",?");
    (void)snprintf(insert + at, sizeof(insert) - (size_t)at, ")");
    sqlite3_stmt *reader = statement(from, select), *writer = statement(to, insert);
    while (sqlite3_step(reader) == SQLITE_ROW) {
        for (int i = 0; i < n; i++)
            assert_int_equal(sqlite3_bind_value(writer, i + 1, sqlite3_column_value(reader, i)), SQLITE_OK);
        assert_int_equal(sqlite3_step(writer), SQLITE_DONE);
        assert_int_equal(sqlite3_reset(writer), SQLITE_OK);
    }
    (void)sqlite3_finalize(reader);
    (void)sqlite3_finalize(writer);
}

static enum err copy_all(void *ctx, struct db *to) {
    struct db *from = ctx;
    sqlite3_stmt *tables = statement(to, "SELECT name FROM sqlite_schema WHERE type='table'");
    assert_int_equal(sqlite3_exec(db_handle(to), "PRAGMA defer_foreign_keys=ON", NULL, NULL, NULL), SQLITE_OK);
    while (sqlite3_step(tables) == SQLITE_ROW)
        copy_table(from, to, (const char *)sqlite3_column_text(tables, 0));
    (void)sqlite3_finalize(tables);
    /* What schema 1 knew of mail in HTML. */
    return db_run(to, "UPDATE email_text SET preview=NULL", "");
}

/* The account's database becomes one of schema 1. */
static void downgrade(struct fixture *f) {
    struct db *from, *to;
    fixture_disconnect(f);
    assert_int_equal(
        db_open(f->disk, ACCOUNT_DATABASE, &f->clock.clock, &f->random.random, &account_schema, NULL, NULL, &from),
        ERR_OK);
    assert_int_equal(db_open(f->disk, "old.db", &f->clock.clock, &f->random.random, &schema_1, copy_all, from, &to),
                     ERR_OK);
    db_close(to);
    db_close(from);
    /* The logs are empty by now, but not yet on the disk. */
    assert_int_equal(disk_remove(f->disk, ACCOUNT_DATABASE "-wal"), ERR_OK);
    assert_int_equal(disk_remove(f->disk, "old.db-wal"), ERR_OK);
    assert_int_equal(disk_rename(f->disk, "old.db", ACCOUNT_DATABASE), ERR_OK);
    assert_int_equal(disk_sync_dir(f->disk, "."), ERR_OK);
}

/* A disk with such an account. */
static struct disk *old_disk(void) {
    struct fixture f;
    fixture_open(&f, disk_sim_new());
    fill(&f);
    downgrade(&f);
    struct disk *disk = disk_sim_power_cut(f.disk, NULL);
    fixture_fini(&f);
    return disk;
}

/* ---- what must not change, as text ---- */

static void put_mailbox(struct fixture *f, struct view name, struct buf *out) {
    struct message_fetch_args args = {.mailbox = mailbox_id(f, name),
                                      .items = ITEM_FLAGS | ITEM_DATES | ITEM_SIZE | ITEM_ENVELOPE | ITEM_BODY |
                                               ITEM_BODYSTRUCTURE | ITEM_INDEX | ITEM_IDS};
    struct mailbox mailbox = mailbox_of(f, args.mailbox);
    record_print(&mailbox_record, &mailbox, out);
    do {
        struct message_fetch_result result;
        assert_int_equal(account_do_message_fetch(f->account, &args, NULL, f->arena, &result), ERR_OK);
        for (uint32_t i = 0; i < result.messages_n; i++) {
            struct buf body;
            buf_init(&body, 1000000);
            record_print(&message_item_record, &result.messages[i], out);
            read_body(f, result.messages[i].blob, ACCOUNT_READ_MAX, &body);
            uint64_t sum = body.n;
            for (size_t k = 0; k < body.n; k++)
                sum = (sum ^ body.p[k]) * 1099511628211u;
            buf_printf(out, " %llx\n", (unsigned long long)sum);
            buf_fini(&body);
        }
        args.from_uid = result.next_uid;
    } while (args.from_uid != 0);
}

static void put_state(struct fixture *f, struct buf *out) {
    struct account_info_args args = {0};
    struct account_info_result info;
    buf_clear(out);
    assert_int_equal(account_do_account_info(f->account, &args, NULL, f->arena, &info), ERR_OK);
    record_print(&account_info_result_record, &info, out);
    put_mailbox(f, VIEW("INBOX"), out);
    put_mailbox(f, VIEW("Archive"), out);
    assert_int_equal(buf_err(out), ERR_OK);
}

static enum err maintain_all(struct fixture *f) {
    struct maintain_args args = {0};
    struct maintain_result result = {.more = true};
    while (result.more)
        TRY(account_do_maintain(f->account, &args, NULL, f->arena, &result));
    return ERR_OK;
}

static size_t count_fields(struct fixture *f, struct view mailbox) {
    struct message_fetch_args args = {.mailbox = mailbox_id(f, mailbox), .items = ITEM_FIELDS | ITEM_PREVIEW};
    size_t n = 0;
    do {
        struct message_fetch_result result;
        assert_int_equal(account_do_message_fetch(f->account, &args, NULL, f->arena, &result), ERR_OK);
        for (uint32_t i = 0; i < result.messages_n; i++) {
            const struct message_item *item = &result.messages[i];
            assert_int_equal(item->has_attachment, item->fields.n > 0 ? ATTACHMENT_YES : ATTACHMENT_UNKNOWN);
            assert_int_equal(item->preview.n > 0, item->fields.n > 0);
            n += item->fields.n > 0;
        }
        args.from_uid = result.next_uid;
    } while (args.from_uid != 0);
    return n;
}

static void check_one(struct fixture *f) {
    struct message_item item = fetch_one(f, mailbox_id(f, VIEW("INBOX")), 1, ITEM_FIELDS | ITEM_PREVIEW);
    struct derived_fields fields;
    assert_int_equal(record_decode(&derived_fields_record, item.fields, f->arena, &fields), ERR_OK);
    assert_view(fields.subject, VIEW("mail 1"));
    assert_int_equal(fields.from_n, 1);
    assert_view(fields.from[0].name, VIEW("Zo\xc3\xab"));
    assert_int_equal(fields.to_n, 2);
    assert_view(fields.to[1].email, VIEW("b@example.org"));
    assert_view(fields.date, VIEW("1997-11-21T09:55:06-06:00"));
    assert_int_equal(fields.attachments_n, 1);
    assert_view(fields.attachments[0].section, VIEW("2"));
    assert_view(fields.attachments[0].type, VIEW("application/pdf"));
    assert_view(fields.attachments[0].name, VIEW("a.pdf"));
    assert_int_equal(fields.attachments[0].size, 10);
    assert_view(item.preview, VIEW("Hello number 1"));
}

/* ---- tests ---- */

static void lifts(struct fixture *f) {
    struct buf before, after;
    buf_init(&before, STATE_MAX);
    buf_init(&after, STATE_MAX);
    fill(f);
    put_state(f, &before);
    downgrade(f);
    assert_int_equal(fixture_connect(f), ERR_OK);
    put_state(f, &after);
    assert_view(buf_view(&after), buf_view(&before));
    assert_int_equal(count_fields(f, VIEW("INBOX")), 0);
    /* New mail has all at once, and old mail step by step. */
    uint32_t uid = append(f, mailbox_id(f, VIEW("Trash")), 0, mail_of(f, 5000));
    assert_int_not_equal(fetch_one(f, mailbox_id(f, VIEW("Trash")), uid, ITEM_FIELDS).fields.n, 0);
    struct maintain_args args = {0};
    struct maintain_result result;
    assert_int_equal(account_do_maintain(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_true(result.more);
    size_t some = count_fields(f, VIEW("INBOX"));
    assert_true(some > 0 && some < MESSAGES / 2);
    fixture_reopen(f); /* it goes on where it was */
    assert_int_equal(count_fields(f, VIEW("INBOX")), some);
    assert_int_equal(maintain_all(f), ERR_OK);
    assert_int_equal(count_fields(f, VIEW("INBOX")), MESSAGES * 2 / 3);
    assert_int_equal(count_fields(f, VIEW("Archive")), MESSAGES / 3 + 4);
    check_one(f);
    buf_clear(&after);
    buf_clear(&before);
    put_mailbox(f, VIEW("INBOX"), &after); /* no modseq has moved */
    fixture_reopen(f);
    put_mailbox(f, VIEW("INBOX"), &before);
    assert_view(buf_view(&after), buf_view(&before));
    buf_fini(&before);
    buf_fini(&after);
}

static void lifts_each_way(void **state) {
    (void)state;
    fixture_run(WAY_DIRECT, lifts);
    fixture_run(WAY_LOOP, lifts);
    fixture_run(WAY_CHANNEL, lifts);
}

/* A new database and one that was lifted have the same tables and columns. */
static void ends_as_new(void **state) {
    (void)state;
    struct buf columns[2];
    for (int lifted = 0; lifted < 2; lifted++) {
        struct disk *disk = lifted ? old_disk() : disk_sim_new();
        struct fixture f;
        struct db *db;
        fixture_open(&f, disk);
        fixture_disconnect(&f);
        assert_int_equal(
            db_open(disk, ACCOUNT_DATABASE, &f.clock.clock, &f.random.random, &account_schema, NULL, NULL, &db),
            ERR_OK);
        sqlite3_stmt *stmt = statement(db, "SELECT m.name, i.name, i.type, i.\"notnull\", i.dflt_value, i.pk"
                                           " FROM sqlite_schema m JOIN pragma_table_info(m.name) i"
                                           " ORDER BY m.name, i.cid");
        buf_init(&columns[lifted], STATE_MAX);
        while (sqlite3_step(stmt) == SQLITE_ROW)
            for (int i = 0; i < 6; i++)
                buf_printf(&columns[lifted], "%s ", (const char *)sqlite3_column_text(stmt, i));
        (void)sqlite3_finalize(stmt);
        db_close(db);
        fixture_fini(&f);
    }
    assert_true(columns[0].n > 1000);
    assert_view(buf_view(&columns[1]), buf_view(&columns[0]));
    buf_fini(&columns[0]);
    buf_fini(&columns[1]);
}

/* Every operation of the disk fails once, from opening to the last step of maintain, and there the power goes. An ordinary
 * run takes a sample of those after the migration itself; VEREDUS_TEST_LONG takes every one. */
static void cut_in_every_operation(void **state) {
    (void)state;
    struct disk *old = old_disk();
    struct buf before, found;
    struct fixture f;
    unsigned cuts = 0, in_opening = 0, unnoticed = 0;
    uint64_t stride = getenv("VEREDUS_TEST_LONG") != NULL ? 1 : 13;
    buf_init(&before, STATE_MAX);
    buf_init(&found, STATE_MAX);
    fixture_open(&f, disk_sim_power_cut(old, NULL));
    assert_int_equal(maintain_all(&f), ERR_OK);
    uint64_t all = disk_sim_operations(f.disk);
    put_state(&f, &before);
    fixture_close(&f);
    for (uint64_t n = 1; n <= all; n += in_opening < cuts ? stride : 1) {
        struct random_seeded random;
        random_seeded_init(&random, n);
        fixture_init(&f, WAY_DIRECT, disk_sim_power_cut(old, NULL));
        disk_sim_fail_at(f.disk, n, ERR_IO);
        bool is_opened = fixture_connect(&f) == ERR_OK;
        /* A failing checkpoint is tried again later and is nobody's error. */
        unnoticed += is_opened && maintain_all(&f) == ERR_OK;
        struct disk *left = disk_sim_power_cut(f.disk, n % 2 == 0 ? NULL : &random.random);
        disk_sim_dead(f.disk, true);
        fixture_close(&f);
        cuts++;
        in_opening += !is_opened;
        fixture_open(&f, left);
        put_state(&f, &found);
        if (!view_eq(buf_view(&found), buf_view(&before)))
            fail_msg("operation %u failed: not what was there before", (unsigned)n);
        assert_int_equal(maintain_all(&f), ERR_OK);
        assert_int_equal(count_fields(&f, VIEW("INBOX")), MESSAGES * 2 / 3);
        verify_ok(f.store);
        fixture_close(&f);
    }
    print_message("%u power cuts in %u operations, %u of them while opening\n", cuts, (unsigned)all, in_opening);
    assert_true(in_opening > 10 && cuts > in_opening + 5 && unnoticed < cuts / 2);
    buf_fini(&before);
    buf_fini(&found);
    disk_free(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifts_each_way),
        cmocka_unit_test(ends_as_new),
        cmocka_unit_test(cut_in_every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
