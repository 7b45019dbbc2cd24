/* Sizes and batches: large messages, results that must fit a packet, paging, quota, equal bodies, clean-up, one opener. */
#include "store/sqlite/store_testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct view filled(struct fixture *f, size_t size, uint64_t seed, bool is_text) {
    uint8_t *p = arena_alloc(f->arena, size);
    struct random_seeded random;
    random_seeded_init(&random, seed);
    random_fill(&random.random, p, size);
    for (size_t i = 0; is_text && i < size; i++)
        p[i] = i % 64 == 63 ? '\n' : (uint8_t)('a' + p[i] % 16);
    return view_of(p, size);
}

static enum err append_file(struct fixture *f, struct view prefix, struct view body, uint32_t *uid) {
    struct file *file;
    assert_int_equal(file_new_memory("mail", &file), ERR_OK);
    assert_int_equal(file_write(file, body, 0), ERR_OK);
    struct message_append_args args = {.mailbox = mailbox_id(f, VIEW("INBOX")), .prefix = prefix};
    struct message_append_result result;
    enum err err = account_do_message_append(f->account, &args, file, f->arena, &result);
    file_unref(file);
    if (err == ERR_OK)
        *uid = result.uid;
    return err;
}

/* Around each border between inline and file, byte for byte. */
static void bodies_of_every_size(struct fixture *f) {
    static const size_t sizes[] = {0, 1, 511, 512, 4096, 65536, 65537, 262143, 262144, 262145, 1000000, 3333333};
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int is_text = 0; is_text < 2; is_text++) {
            struct view prefix = VIEW("Return-Path: <>\r\n"), body = filled(f, sizes[i], i, is_text);
            struct buf found;
            uint32_t uid;
            assert_int_equal(append_file(f, prefix, body, &uid), ERR_OK);
            struct message_item item = fetch_one(f, inbox, uid, ITEM_SIZE | ITEM_IDS);
            assert_int_equal(item.size, prefix.n + sizes[i]);
            buf_init(&found, 4000000);
            read_body(f, item.blob, ACCOUNT_READ_MAX, &found);
            assert_view(view_sub(buf_view(&found), 0, prefix.n), prefix);
            assert_view(view_skip(buf_view(&found), prefix.n), body);
            buf_fini(&found);
        }
    fixture_reopen(f);
    verify_ok(f->store);
}

static enum err count_name(void *ctx, struct view name) {
    (void)name;
    ++*(size_t *)ctx;
    return ERR_OK;
}
struct tree {
    struct disk *disk;
    size_t files;
};
static enum err count_directory(void *ctx, struct view name) {
    struct tree *tree = ctx;
    char path[40];
    (void)snprintf(path, sizeof(path), "blobs/%.*s", VIEW_FMT(name));
    return disk_list(tree->disk, path, count_name, &tree->files);
}
static size_t blob_files(struct fixture *f) {
    struct tree tree = {f->disk, 0};
    enum err err = disk_list(f->disk, "blobs", count_directory, &tree);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    return tree.files;
}

static uint64_t maintain_all(struct fixture *f) {
    struct maintain_args args = {0};
    struct maintain_result result;
    uint64_t removed = 0;
    do {
        assert_int_equal(account_do_maintain(f->account, &args, NULL, f->arena, &result), ERR_OK);
        removed += result.removed;
    } while (result.more);
    return removed;
}

/* Equal octets are kept once, stay readable for a while after the last message, and then go. */
static void equal_bodies(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    struct view large = filled(f, 400000, 5, false), small = filled(f, 3000, 6, true);
    uint32_t uid;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(append_file(f, VIEW_NONE, large, &uid), ERR_OK);
        append(f, inbox, 0, small);
    }
    assert_int_equal(blob_files(f), 1);
    struct message_item a = fetch_one(f, inbox, 1, ITEM_IDS), b = fetch_one(f, inbox, 5, ITEM_IDS);
    assert_int_equal(a.blob, b.blob);
    assert_true(a.email != b.email);
    assert_int_equal(fetch_one(f, inbox, 2, ITEM_IDS).blob, fetch_one(f, inbox, 6, ITEM_IDS).blob);
    struct message_expunge_args args = {.mailbox = inbox, .any = true};
    struct message_expunge_result result;
    assert_int_equal(account_do_message_expunge(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(maintain_all(f), 0);
    struct buf body;
    buf_init(&body, 1000000);
    read_body(f, a.blob, ACCOUNT_READ_MAX, &body);
    assert_view(buf_view(&body), large);
    buf_fini(&body);
    virtual_clock_advance(&f->clock, 2 * 3600 * US_PER_S);
    assert_int_equal(maintain_all(f), 2);
    assert_int_equal(blob_files(f), 0);
    struct blob_read_args read = {.blob = a.blob, .length = 10};
    struct blob_read_result bytes;
    assert_int_equal(account_do_blob_read(f->account, &read, NULL, f->arena, &bytes), ERR_NOT_FOUND);
}

static void delivery_memory_ends(struct fixture *f) {
    struct deliver_commit_args args = {
        .id = VIEW("0123456789abcdef"), .recipient = VIEW("b@x"), .body = VIEW("Subject: a\r\n\r\n")};
    struct deliver_commit_result result;
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &result), ERR_OK);
    virtual_clock_advance(&f->clock, DELIVERY_MEMORY_US - US_PER_S);
    assert_int_equal(maintain_all(f), 0);
    virtual_clock_advance(&f->clock, 2 * US_PER_S);
    assert_int_equal(maintain_all(f), 1);
}

/* A file without a row, as a crash leaves it, goes; one with a row stays. */
static void orphaned_files(struct fixture *f) {
    uint32_t uid;
    struct file *file;
    assert_int_equal(append_file(f, VIEW_NONE, filled(f, 400000, 5, false), &uid), ERR_OK);
    enum err err = disk_mkdir(f->disk, "blobs/0a");
    assert_true(err == ERR_OK || err == ERR_EXISTS);
    assert_int_equal(
        disk_open(f->disk, "blobs/0a/0a000000000000000000000000000000", DISK_READ | DISK_WRITE | DISK_CREATE, &file),
        ERR_OK);
    file_unref(file);
    assert_int_equal(blob_files(f), 2);
    assert_int_equal(maintain_all(f), 1);
    assert_int_equal(blob_files(f), 1);
}

/* Results stop where they must and go on where they stopped; through the channel each must fit a packet. */
static void batches(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    struct buf big;
    buf_init(&big, 60000);
    buf_put_str(&big, "Subject: x\r\nTo: ");
    while (big.n < 12000)
        buf_printf(&big, "user%u@example.org,\r\n ", (unsigned)big.n);
    buf_put_str(&big, "last@example.org\r\n\r\n");
    for (int i = 0; i < 40; i++)
        append(f, inbox, 0, buf_view(&big));
    buf_fini(&big);
    for (int i = 0; i < 1200; i++)
        append(f, inbox, 0, VIEW("Subject: y\r\n\r\nsmall\r\n"));
    struct message_fetch_args args = {.mailbox = inbox, .items = ITEM_FLAGS | ITEM_ENVELOPE | ITEM_BODYSTRUCTURE};
    struct message_fetch_result result;
    uint32_t seen = 0, calls = 0;
    do {
        assert_int_equal(account_do_message_fetch(f->account, &args, NULL, f->arena, &result), ERR_OK);
        for (uint32_t i = 0; i < result.messages_n; i++)
            assert_int_equal(result.messages[i].uid, ++seen);
        calls++;
        args.from_uid = result.next_uid;
    } while (args.from_uid != 0);
    assert_int_equal(seen, 1240);
    assert_true(calls > 5);
    /* Changes in pages: each once, in order of modseq. */
    struct mailbox_changes_args asked = {.mailbox = inbox};
    struct mailbox_changes_result changes;
    uint64_t last = 0;
    seen = 0;
    do {
        assert_int_equal(account_do_mailbox_changes(f->account, &asked, NULL, f->arena, &changes), ERR_OK);
        for (uint32_t i = 0; i < changes.changed_n; i++) {
            assert_true(changes.changed[i].modseq > last);
            last = changes.changed[i].modseq;
            seen++;
        }
        asked.since_modseq = changes.until_modseq;
    } while (changes.more);
    assert_int_equal(seen, 1240);
    assert_int_equal(asked.since_modseq, mailbox_of(f, inbox).highest_modseq);
    /* A STORE over more than a batch says so; the rest is in the changes. */
    struct uid_range all = {1, UINT32_MAX};
    struct message_store_args store = {
        .mailbox = inbox, .ranges = &all, .ranges_n = 1, .mode = STORE_ADD, .flags = FLAG_SEEN | FLAG_DELETED};
    struct message_store_result stored;
    assert_int_equal(account_do_message_store(f->account, &store, NULL, f->arena, &stored), ERR_OK);
    assert_true(stored.too_many);
    assert_int_equal(mailbox_of(f, inbox).unseen, 0);
    seen = 0;
    do {
        assert_int_equal(account_do_mailbox_changes(f->account, &asked, NULL, f->arena, &changes), ERR_OK);
        seen += changes.changed_n;
        asked.since_modseq = changes.until_modseq;
    } while (changes.more);
    assert_int_equal(seen, 1240);
    /* Every second one goes: gaps, so the removals are ranges of their own. */
    struct uid_range odd[620];
    for (uint32_t i = 0; i < ARRAY_LEN(odd); i++)
        odd[i] = (struct uid_range){2 * i + 1, 2 * i + 1};
    struct message_expunge_args expunge = {.mailbox = inbox, .ranges = odd, .ranges_n = ARRAY_LEN(odd)};
    struct message_expunge_result expunged;
    assert_int_equal(account_do_message_expunge(f->account, &expunge, NULL, f->arena, &expunged), ERR_OK);
    assert_int_equal(expunged.expunged_n, 620);
    assert_false(expunged.more);
    assert_int_equal(account_do_mailbox_changes(f->account, &asked, NULL, f->arena, &changes), ERR_OK);
    assert_int_equal(changes.vanished_n, 620);
    assert_int_equal(changes.changed_n, 0);
}

static void many_mailboxes(struct fixture *f) {
    char name[ACCOUNT_NAME_MAX];
    uint64_t id;
    for (unsigned i = 0; i < 300; i++) {
        memset(name, 'n', sizeof(name));
        (void)snprintf(name, 10, "%05u", i);
        name[5] = '-';
        memset(name + 6, 'n', sizeof(name) - 6);
        assert_int_equal(try_create(f, view_of(name, sizeof(name)), &id), ERR_OK);
    }
    struct mailbox_list_args args = {0};
    struct mailbox_list_result result;
    unsigned seen = 0, calls = 0;
    do {
        assert_int_equal(account_do_mailbox_list(f->account, &args, NULL, f->arena, &result), ERR_OK);
        seen += result.mailboxes_n;
        calls++;
        args.after_name = result.mailboxes[result.mailboxes_n - 1].name;
    } while (result.more);
    assert_int_equal(seen, 306);
    assert_true(calls > 2);
}

static void size_and_quota(struct fixture *f) {
    struct deliver_check_args check = {.recipient = VIEW("b@x"), .size = 50000001};
    struct deliver_check_result verdict;
    assert_int_equal(account_do_deliver_check(f->account, &check, NULL, f->arena, &verdict), ERR_OK);
    assert_int_equal(verdict.verdict, VERDICT_REJECT);
    assert_view(verdict.status, VIEW("5.3.4"));
    f->params.quota_octets = 5000;
    f->params.size_max = 4000;
    fixture_reopen(f);
    uint32_t uid;
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    assert_int_equal(append_file(f, VIEW_NONE, filled(f, 20000, 1, false), &uid), ERR_LIMIT);
    append(f, inbox, 0, filled(f, 3000, 1, false));
    check.size = 3000;
    assert_int_equal(account_do_deliver_check(f->account, &check, NULL, f->arena, &verdict), ERR_OK);
    assert_int_equal(verdict.verdict, VERDICT_REJECT);
    assert_view(verdict.status, VIEW("5.2.2"));
    assert_int_equal(try_append(f, inbox, 0, filled(f, 3000, 2, false), &uid), ERR_FULL);
    struct uid_range range = {1, 1};
    struct message_copy_args copy = {
        .mailbox = inbox, .ranges = &range, .ranges_n = 1, .target = mailbox_id(f, VIEW("Sent"))};
    struct message_copy_result copied;
    assert_int_equal(account_do_message_copy(f->account, &copy, NULL, f->arena, &copied), ERR_FULL);
    copy.move = true;
    assert_int_equal(account_do_message_copy(f->account, &copy, NULL, f->arena, &copied), ERR_OK);
    check.size = 100;
    assert_int_equal(account_do_deliver_check(f->account, &check, NULL, f->arena, &verdict), ERR_OK);
    assert_int_equal(verdict.verdict, VERDICT_ACCEPT);
}

static void one_opener(struct fixture *f) {
    struct account *second;
    assert_int_equal(sqlite_account_open(&f->params, &second), ERR_AGAIN);
    fixture_reopen(f);
}

/* The same email twice in a mailbox: two messages, one email. */
static void email_twice(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    append(f, inbox, 0, VIEW("Subject: y\r\n\r\nsmall\r\n"));
    struct uid_range range = {1, 1};
    struct message_copy_args copy = {.mailbox = inbox, .ranges = &range, .ranges_n = 1, .target = inbox};
    struct message_copy_result copied;
    assert_int_equal(account_do_message_copy(f->account, &copy, NULL, f->arena, &copied), ERR_OK);
    assert_int_equal(fetch_one(f, inbox, 1, ITEM_IDS).email, fetch_one(f, inbox, 2, ITEM_IDS).email);
    verify_ok(f->store);
    copy.move = true;
    assert_int_equal(account_do_message_copy(f->account, &copy, NULL, f->arena, &copied), ERR_OK);
    assert_int_equal(mailbox_of(f, inbox).exists, 2);
    assert_int_equal(fetch_one(f, inbox, 3, ITEM_IDS).email, fetch_one(f, inbox, 2, ITEM_IDS).email);
}

static void threads(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    append(f, inbox, 0, VIEW("Message-ID: <1@x>\r\nSubject: plan\r\n\r\n"));
    append(f, inbox, 0, VIEW("Message-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\nSubject: Re: plan\r\n\r\n"));
    append(f, inbox, 0, VIEW("Message-ID: <4@x>\r\nIn-Reply-To: <2@x>\r\nSubject: RE: Plan\r\n\r\n"));
    append(f, inbox, 0, VIEW("Message-ID: <5@x>\r\nIn-Reply-To: <2@x>\r\nSubject: other\r\n\r\n"));
    append(f, inbox, 0, VIEW("Subject: plan\r\n\r\n"));
    uint64_t first = fetch_one(f, inbox, 1, ITEM_IDS).thread;
    assert_int_equal(fetch_one(f, inbox, 2, ITEM_IDS).thread, first);
    assert_int_equal(fetch_one(f, inbox, 3, ITEM_IDS).thread, first);
    assert_true(fetch_one(f, inbox, 4, ITEM_IDS).thread != first); /* RFC8621-3: the subject differs */
    assert_true(fetch_one(f, inbox, 5, ITEM_IDS).thread != first);
}

/* What was removed gives its room on the disk back. */
static void shrinks(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX")), before, after;
    struct file *file;
    for (uint64_t i = 0; i < 400; i++)
        append(f, inbox, 0, filled(f, 40000, i, false));
    fixture_reopen(f);
    assert_int_equal(disk_open(f->disk, "account.db", DISK_READ, &file), ERR_OK);
    assert_int_equal(file_size(file, &before), ERR_OK);
    assert_true(before > 400 * 40000);
    struct message_expunge_args args = {.mailbox = inbox, .any = true};
    struct message_expunge_result result;
    assert_int_equal(account_do_message_expunge(f->account, &args, NULL, f->arena, &result), ERR_OK);
    virtual_clock_advance(&f->clock, 2 * 3600 * US_PER_S);
    assert_int_equal(maintain_all(f), 400);
    fixture_reopen(f);
    assert_int_equal(file_size(file, &after), ERR_OK);
    file_unref(file);
    assert_true(after < before / 2);
}

/* ---- on a real disk: nameless files, links, mappings, locks ---- */

static void on_a_real_disk(void **state) {
    static void (*const bodies[])(struct fixture * f) = {bodies_of_every_size, equal_bodies, one_opener,
                                                         orphaned_files};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        fixture_run_on(test_folder_disk(*state), WAY_DIRECT, bodies[i]);
        assert_int_equal(test_folder_clear(*state), ERR_OK);
    }
}

/* ---- who may what ---- */

/* An `edge` that holds a delivery channel may deliver and ask, and nothing else. */
static void rights_are_of_the_channel(struct fixture *f) {
    f->server.rights = RIGHT_DELIVER;
    struct deliver_commit_args args = {
        .id = VIEW("0123456789abcdef"), .recipient = VIEW("b@x"), .body = VIEW("Subject: a\r\n\r\n")};
    struct deliver_commit_result delivered;
    struct deliver_check_args check = {.recipient = VIEW("b@x"), .size = 10};
    struct deliver_check_result verdict;
    assert_int_equal(account_do_deliver_check(f->account, &check, NULL, f->arena, &verdict), ERR_OK);
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &delivered), ERR_OK);
    struct account_info_args info_args = {0};
    struct account_info_result info;
    struct mailbox_list_args list_args = {0};
    struct mailbox_list_result list;
    struct blob_read_args read = {.blob = 1, .length = 10};
    struct blob_read_result bytes;
    struct maintain_args maintain_args = {0};
    struct maintain_result maintained;
    uint32_t uid;
    uint64_t id;
    assert_int_equal(account_do_account_info(f->account, &info_args, NULL, f->arena, &info), ERR_DENIED);
    assert_int_equal(account_do_mailbox_list(f->account, &list_args, NULL, f->arena, &list), ERR_DENIED);
    assert_int_equal(account_do_blob_read(f->account, &read, NULL, f->arena, &bytes), ERR_DENIED);
    assert_int_equal(account_do_maintain(f->account, &maintain_args, NULL, f->arena, &maintained), ERR_DENIED);
    assert_int_equal(try_append(f, 1, 0, VIEW("x"), &uid), ERR_DENIED);
    f->server.rights = RIGHT_READ;
    assert_int_equal(try_append(f, 1, 0, VIEW("x"), &uid), ERR_DENIED);
    assert_int_equal(try_create(f, VIEW("new"), &id), ERR_DENIED);
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &delivered), ERR_DENIED);
    assert_int_equal(mailbox_of(f, mailbox_id(f, VIEW("INBOX"))).exists, 1);
}

static void rights(void **state) {
    (void)state;
    fixture_run(WAY_CHANNEL, rights_are_of_the_channel);
}

struct test_case {
    void (*body)(struct fixture *f);
    enum way way;
};
static void run_case(void **state) {
    struct test_case *c = *state;
    fixture_run(c->way, c->body);
}

int main(void) {
    static const struct {
        const char *name;
        void (*body)(struct fixture *f);
    } bodies[] = {
#define BODY(name) {#name, name}
        BODY(bodies_of_every_size),
        BODY(equal_bodies),
        BODY(delivery_memory_ends),
        BODY(orphaned_files),
        BODY(batches),
        BODY(many_mailboxes),
        BODY(size_and_quota),
        BODY(one_opener),
        BODY(email_twice),
        BODY(threads),
        BODY(shrinks),
    };
    static const char *const ways[] = {"direct", "loop", "channel"};
    struct test_case cases[ARRAY_LEN(bodies) * ARRAY_LEN(ways)];
    struct CMUnitTest tests[ARRAY_LEN(cases) + 2];
    char names[ARRAY_LEN(cases)][80];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cases[i] = (struct test_case){bodies[i / 3].body, (enum way)(i % 3)};
        (void)snprintf(names[i], sizeof(names[i]), "%s/%s", bodies[i / 3].name, ways[i % 3]);
        tests[i] = (struct CMUnitTest){names[i], run_case, NULL, NULL, &cases[i]};
    }
    tests[ARRAY_LEN(cases)] =
        (struct CMUnitTest){"on_a_real_disk", on_a_real_disk, test_folder_make, test_folder_remove, NULL};
    tests[ARRAY_LEN(cases) + 1] = (struct CMUnitTest){"rights", rights, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
