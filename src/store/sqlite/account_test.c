/* The operations of an account, one behaviour a test. */
#include "store/sqlite/store_testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct view mail =
    VIEW_INIT("From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: Hello\r\nMessage-ID: <1@example.org>\r\n"
              "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nFirst  line,\r\nsecond line.\r\n");

static void standard_mailboxes(struct fixture *f) {
    struct mailbox_list_args args = {0};
    struct mailbox_list_result result;
    static const struct {
        const char *name;
        enum special_use use;
    } want[] = {{"Archive", USE_ARCHIVE}, {"Drafts", USE_DRAFTS}, {"INBOX", USE_NONE},
                {"Junk", USE_JUNK},       {"Sent", USE_SENT},     {"Trash", USE_TRASH}};
    assert_int_equal(account_do_mailbox_list(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(result.mailboxes_n, ARRAY_LEN(want));
    assert_false(result.more);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_view(result.mailboxes[i].name, view_cstr(want[i].name));
        assert_int_equal(result.mailboxes[i].use, want[i].use);
        assert_true(result.mailboxes[i].subscribed);
        assert_int_equal(result.mailboxes[i].uidnext, 1);
    }
    assert_int_equal(mailbox_id(f, VIEW("inBox")), mailbox_id(f, VIEW("INBOX")));
    assert_int_equal(mailbox_id(f, VIEW("sent")), 0);
}

static void append_and_fetch(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    struct keyword keywords[] = {{VIEW("$Later")}, {VIEW("alpha")}, {VIEW("$LATER")}};
    struct message_append_args args = {.mailbox = inbox,
                                       .flags = FLAG_FLAGGED,
                                       .keywords = keywords,
                                       .keywords_n = 3,
                                       .internal_us = 12345,
                                       .prefix = VIEW("X-Trace: a\r\n"),
                                       .body = mail};
    struct message_append_result result;
    assert_int_equal(account_do_message_append(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(result.uid, 1);
    struct message_item item = fetch_one(f, inbox, 1, UINT32_MAX);
    assert_int_equal(item.flags, FLAG_FLAGGED);
    assert_int_equal(item.keywords_n, 2);
    assert_view(item.keywords[0].name, VIEW("$Later"));
    assert_view(item.keywords[1].name, VIEW("alpha"));
    assert_int_equal(item.internal_us, 12345);
    assert_int_equal(item.saved_us, TEST_WALL_US);
    assert_int_equal(item.sent_us, INT64_C(1795514400) * US_PER_S);
    assert_int_equal(item.size, mail.n + 12);
    assert_int_equal(item.email, result.email);
    assert_view(item.preview, VIEW("First line, second line."));
    assert_true(view_starts(
        item.envelope, VIEW("(\"Tue, 24 Nov 2026 10:00:00 +0000\" \"Hello\" ((\"Ann\" NIL \"ann\" \"example.org\"))")));
    assert_true(view_starts(item.bodystructure, VIEW("(\"text\" \"plain\"")) ||
                view_starts(item.bodystructure, VIEW("(\"TEXT\" \"PLAIN\"")));
    assert_true(item.body.n > 0 && item.body.n < item.bodystructure.n);
    assert_true(item.part_index.n > 0);
    struct buf body;
    buf_init(&body, 10000);
    read_body(f, item.blob, 7, &body);
    assert_view(view_sub(buf_view(&body), 0, 12), VIEW("X-Trace: a\r\n"));
    assert_view(view_skip(buf_view(&body), 12), mail);
    buf_fini(&body);
    struct mailbox mailbox = mailbox_of(f, inbox);
    assert_int_equal(mailbox.exists, 1);
    assert_int_equal(mailbox.unseen, 1);
    assert_int_equal(mailbox.octets, mail.n + 12);
    assert_int_equal(mailbox.highest_modseq, item.modseq);
    uint32_t uid;
    assert_int_equal(try_append(f, 999, 0, mail, &uid), ERR_NOT_FOUND);
}

static void flags(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    for (int i = 0; i < 3; i++)
        append(f, inbox, 0, mail);
    struct uid_range range = {2, 99};
    struct keyword keyword = {VIEW("Work")};
    struct message_store_args args = {.mailbox = inbox,
                                      .ranges = &range,
                                      .ranges_n = 1,
                                      .mode = STORE_ADD,
                                      .flags = FLAG_SEEN | FLAG_DELETED,
                                      .keywords = &keyword,
                                      .keywords_n = 1};
    struct message_store_result result;
    uint64_t before = mailbox_of(f, inbox).highest_modseq;
    assert_int_equal(account_do_message_store(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(result.changed_n, 2);
    assert_int_equal(result.changed[0].uid, 2);
    assert_int_equal(result.changed[0].flags, FLAG_SEEN | FLAG_DELETED);
    assert_true(result.changed[0].modseq > before);
    struct mailbox mailbox = mailbox_of(f, inbox);
    assert_int_equal(mailbox.unseen, 1);
    assert_int_equal(mailbox.deleted, 2);
    /* The same again changes nothing and keeps modseqs. */
    uint64_t modseq = result.changed[1].modseq;
    assert_int_equal(account_do_message_store(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(result.changed[1].modseq, modseq);
    /* RFC7162-3.1.3: the condition refuses those modified later. */
    range = (struct uid_range){1, 3};
    args.mode = STORE_REPLACE;
    args.flags = 0;
    args.keywords_n = 0;
    args.conditional = true;
    args.unchanged_since = before;
    assert_int_equal(account_do_message_store(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(result.changed_n, 1);
    assert_int_equal(result.refused_n, 1);
    assert_int_equal(result.refused[0].first, 2);
    assert_int_equal(result.refused[0].last, 3);
    args.conditional = false;
    args.mode = STORE_REMOVE;
    keyword.name = VIEW("wORK");
    args.keywords_n = 1;
    assert_int_equal(account_do_message_store(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(fetch_one(f, inbox, 3, ITEM_FLAGS).keywords_n, 0);
    keyword.name = VIEW("a b");
    assert_int_equal(account_do_message_store(f->account, &args, NULL, f->arena, &result), ERR_SYNTAX);
}

static void copy_move_expunge(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX")), archive = mailbox_id(f, VIEW("Archive"));
    for (uint32_t i = 0; i < 5; i++)
        append(f, inbox, i % 2 ? FLAG_SEEN : 0, mail);
    struct uid_range ranges[] = {{4, 5}, {1, 2}};
    struct message_copy_args args = {.mailbox = inbox, .ranges = ranges, .ranges_n = 2, .target = archive};
    struct message_copy_result copied;
    assert_int_equal(account_do_message_copy(f->account, &args, NULL, f->arena, &copied), ERR_OK);
    assert_int_equal(copied.from_n, 2);
    assert_int_equal(copied.from[0].first, 1);
    assert_int_equal(copied.to_n, 1);
    assert_int_equal(copied.to[0].last, 4);
    assert_int_equal(fetch_one(f, archive, 2, ITEM_IDS).email, fetch_one(f, inbox, 2, ITEM_IDS).email);
    assert_int_equal(fetch_one(f, archive, 2, ITEM_FLAGS).flags, FLAG_SEEN);
    verify_ok(f->store);
    args.move = true;
    ranges[0] = (struct uid_range){3, 3};
    args.ranges_n = 1;
    uint64_t since = mailbox_of(f, inbox).highest_modseq;
    assert_int_equal(account_do_message_copy(f->account, &args, NULL, f->arena, &copied), ERR_OK);
    assert_int_equal(copied.to[0].first, 5);
    struct mailbox_changes_args asked = {.mailbox = inbox, .since_modseq = since};
    struct mailbox_changes_result changes;
    assert_int_equal(account_do_mailbox_changes(f->account, &asked, NULL, f->arena, &changes), ERR_OK);
    assert_int_equal(changes.changed_n, 0);
    assert_int_equal(changes.vanished_n, 1);
    assert_int_equal(changes.vanished[0].first, 3);
    args.target = 12345;
    assert_int_equal(account_do_message_copy(f->account, &args, NULL, f->arena, &copied), ERR_NOT_FOUND);
    /* EXPUNGE takes what has \Deleted; `any` all. */
    ranges[0] = (struct uid_range){1, 1};
    struct message_store_args store = {
        .mailbox = inbox, .ranges = ranges, .ranges_n = 1, .mode = STORE_ADD, .flags = FLAG_DELETED};
    struct message_store_result stored;
    assert_int_equal(account_do_message_store(f->account, &store, NULL, f->arena, &stored), ERR_OK);
    struct message_expunge_args expunge = {.mailbox = inbox};
    struct message_expunge_result expunged;
    assert_int_equal(account_do_message_expunge(f->account, &expunge, NULL, f->arena, &expunged), ERR_OK);
    assert_int_equal(expunged.expunged_n, 1);
    assert_int_equal(expunged.expunged[0].first, 1);
    struct uid_map_args map_args = {.mailbox = inbox};
    struct uid_map_result map;
    assert_int_equal(account_do_uid_map(f->account, &map_args, NULL, f->arena, &map), ERR_OK);
    assert_int_equal(map.ranges_n, 2);
    assert_int_equal(map.ranges[0].first, 2);
    assert_int_equal(map.ranges[0].last, 2);
    assert_int_equal(map.ranges[1].first, 4);
    expunge.any = true;
    assert_int_equal(account_do_message_expunge(f->account, &expunge, NULL, f->arena, &expunged), ERR_OK);
    assert_int_equal(mailbox_of(f, inbox).exists, 0);
    assert_int_equal(mailbox_of(f, archive).exists, 5);
}

static void delivery_is_idempotent(struct fixture *f) {
    struct deliver_commit_args args = {
        .id = VIEW("0123456789abcdef"), .recipient = VIEW("bob@example.net"), .sender = VIEW("a@b"), .body = mail};
    struct deliver_commit_result first, second;
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &first), ERR_OK);
    assert_false(first.duplicate);
    fixture_reopen(f);
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &second), ERR_OK);
    assert_true(second.duplicate);
    assert_int_equal(first.email, second.email);
    args.recipient = VIEW("eve@example.net");
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &second), ERR_OK);
    assert_false(second.duplicate);
    assert_int_equal(mailbox_of(f, mailbox_id(f, VIEW("INBOX"))).exists, 2);
    args.id = VIEW("fedcba9876543210");
    args.junk = true;
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &first), ERR_OK);
    assert_int_equal(mailbox_of(f, mailbox_id(f, VIEW("Junk"))).exists, 1);
    /* Without such a mailbox it goes where all mail goes. */
    struct mailbox_delete_args remove = {.id = mailbox_id(f, VIEW("Junk"))};
    struct nothing nothing;
    assert_int_equal(account_do_mailbox_delete(f->account, &remove, NULL, f->arena, &nothing), ERR_OK);
    args.id = VIEW("fedcba9876543211");
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &first), ERR_OK);
    assert_int_equal(mailbox_of(f, mailbox_id(f, VIEW("INBOX"))).exists, 3);
    args.id = VIEW("short");
    assert_int_equal(account_do_deliver_commit(f->account, &args, NULL, f->arena, &second), ERR_SYNTAX);
}

static void names(struct fixture *f) {
    uint64_t id;
    static const struct {
        const char *name;
        enum err err;
    } cases[] = {
        {"", ERR_SYNTAX},
        {"/", ERR_SYNTAX},
        {"/a", ERR_SYNTAX},
        {"a//b", ERR_SYNTAX},
        {"a\x01", ERR_SYNTAX},
        {"\xff", ERR_SYNTAX},
        {"inbox", ERR_EXISTS},
        {"Sent", ERR_EXISTS},
        {"sent", ERR_OK},
        {"x/y/z", ERR_OK},
        {"x/y", ERR_EXISTS},
        {"inbox/sub", ERR_OK},
        {"INBOX/sub", ERR_EXISTS},
        {"m\xc3\xbcll", ERR_OK},
        {"tail/", ERR_OK},
        {"tail", ERR_EXISTS},
        {"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", ERR_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(try_create(f, view_cstr(cases[i].name), &id), cases[i].err);
}

static void uidvalidity_is_never_used_again(struct fixture *f) {
    uint64_t id;
    uint32_t last = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(try_create(f, VIEW("again"), &id), ERR_OK);
        struct mailbox mailbox = mailbox_of(f, id);
        assert_true(mailbox.uidvalidity > last);
        last = mailbox.uidvalidity;
        append(f, id, 0, mail);
        struct mailbox_delete_args args = {id};
        struct nothing nothing;
        assert_int_equal(account_do_mailbox_delete(f->account, &args, NULL, f->arena, &nothing), ERR_OK);
        assert_int_equal(account_do_mailbox_delete(f->account, &args, NULL, f->arena, &nothing), ERR_NOT_FOUND);
        if (i == 1)
            fixture_reopen(f);
    }
    struct account_info_args args = {0};
    struct account_info_result info;
    assert_int_equal(account_do_account_info(f->account, &args, NULL, f->arena, &info), ERR_OK);
    assert_int_equal(info.messages, 0);
    assert_int_equal(info.octets, 0);
}

static void rename_and_delete(struct fixture *f) {
    uint64_t a, b, c, inbox = mailbox_id(f, VIEW("INBOX"));
    struct nothing nothing;
    assert_int_equal(try_create(f, VIEW("a/b"), &b), ERR_OK);
    assert_int_equal(try_create(f, VIEW("a0"), &c), ERR_OK);
    a = mailbox_id(f, VIEW("a"));
    struct mailbox before = mailbox_of(f, b);
    struct mailbox_delete_args remove = {a};
    assert_int_equal(account_do_mailbox_delete(f->account, &remove, NULL, f->arena, &nothing), ERR_DENIED);
    remove.id = inbox;
    assert_int_equal(account_do_mailbox_delete(f->account, &remove, NULL, f->arena, &nothing), ERR_DENIED);
    struct mailbox_rename_args args = {.id = a, .name = VIEW("a/b/c")};
    assert_int_equal(account_do_mailbox_rename(f->account, &args, NULL, f->arena, &nothing), ERR_DENIED);
    args.name = VIEW("a0");
    assert_int_equal(account_do_mailbox_rename(f->account, &args, NULL, f->arena, &nothing), ERR_EXISTS);
    args.name = VIEW("new/place");
    assert_int_equal(account_do_mailbox_rename(f->account, &args, NULL, f->arena, &nothing), ERR_OK);
    struct mailbox after = mailbox_of(f, b);
    assert_view(after.name, VIEW("new/place/b"));
    assert_int_equal(after.uidvalidity, before.uidvalidity);
    assert_int_equal(mailbox_id(f, VIEW("a")), 0);
    assert_int_not_equal(mailbox_id(f, VIEW("new")), 0);
    assert_view(mailbox_of(f, c).name, VIEW("a0"));
    /* RFC3501-6.3.5: INBOX gives its messages away and stays. */
    append(f, inbox, 0, mail);
    append(f, inbox, FLAG_SEEN, mail);
    args = (struct mailbox_rename_args){.id = inbox, .name = VIEW("old-mail")};
    assert_int_equal(account_do_mailbox_rename(f->account, &args, NULL, f->arena, &nothing), ERR_OK);
    assert_int_equal(mailbox_of(f, inbox).exists, 0);
    assert_int_equal(mailbox_of(f, mailbox_id(f, VIEW("old-mail"))).exists, 2);
}

static void subscriptions_outlive_mailboxes(struct fixture *f) {
    struct nothing nothing;
    struct subscribe_args args = {.name = VIEW("gone"), .on = true};
    struct subscription_list_args list_args = {.after_name = VIEW("Trash")};
    struct subscription_list_result list;
    assert_int_equal(account_do_subscribe(f->account, &args, NULL, f->arena, &nothing), ERR_OK);
    assert_int_equal(account_do_subscription_list(f->account, &list_args, NULL, f->arena, &list), ERR_OK);
    assert_int_equal(list.names_n, 1);
    assert_view(list.names[0].name, VIEW("gone"));
    args.on = false;
    assert_int_equal(account_do_subscribe(f->account, &args, NULL, f->arena, &nothing), ERR_OK);
    assert_int_equal(account_do_subscription_list(f->account, &list_args, NULL, f->arena, &list), ERR_OK);
    assert_int_equal(list.names_n, 0);
}

static void recent_is_claimed_once(struct fixture *f) {
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    append(f, inbox, FLAG_SEEN, mail);
    append(f, inbox, 0, mail);
    struct mailbox_open_args args = {.id = inbox, .claim_recent = false};
    struct mailbox_open_result open;
    assert_int_equal(account_do_mailbox_open(f->account, &args, NULL, f->arena, &open), ERR_OK);
    assert_int_equal(open.mailbox.recent, 2);
    assert_int_equal(open.first_unseen_uid, 2);
    assert_int_equal(open.first_unseen_seq, 2);
    args.claim_recent = true;
    assert_int_equal(account_do_mailbox_open(f->account, &args, NULL, f->arena, &open), ERR_OK);
    assert_int_equal(open.recent_from, 1);
    append(f, inbox, 0, mail);
    assert_int_equal(account_do_mailbox_open(f->account, &args, NULL, f->arena, &open), ERR_OK);
    assert_int_equal(open.recent_from, 3);
    assert_int_equal(open.mailbox.recent, 1);
    assert_int_equal(account_do_mailbox_open(f->account, &args, NULL, f->arena, &open), ERR_OK);
    assert_int_equal(open.mailbox.recent, 0);
}

struct test_case {
    const char *name;
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
        BODY(standard_mailboxes),
        BODY(append_and_fetch),
        BODY(flags),
        BODY(copy_move_expunge),
        BODY(delivery_is_idempotent),
        BODY(names),
        BODY(uidvalidity_is_never_used_again),
        BODY(rename_and_delete),
        BODY(subscriptions_outlive_mailboxes),
        BODY(recent_is_claimed_once),
    };
    static const char *const ways[] = {"direct", "loop", "channel"};
    struct test_case cases[ARRAY_LEN(bodies) * ARRAY_LEN(ways)];
    struct CMUnitTest tests[ARRAY_LEN(cases)];
    char names_of[ARRAY_LEN(cases)][80];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cases[i] = (struct test_case){bodies[i / 3].name, bodies[i / 3].body, (enum way)(i % 3)};
        (void)snprintf(names_of[i], sizeof(names_of[i]), "%s/%s", cases[i].name, ways[i % 3]);
        tests[i] = (struct CMUnitTest){names_of[i], run_case, NULL, NULL, &cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
