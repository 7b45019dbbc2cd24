/*
 * Random operations on the store and on a model of a few arrays: after each the
 * two must tell the same. Beside it a client that only ever asks
 * mailbox_changes, as an IMAP session does, must come to the same picture.
 */
#include "store/sqlite/store_testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOXES 6
#define MESSAGES 400
#define KEYWORDS 3 /* bits above the flags in model_message.flags */

static const char *const keyword_names[KEYWORDS] = {"$Forwarded", "Work", "later"};

struct model_message {
    uint32_t uid;
    uint32_t flags;
};
struct model_box {
    bool is_there;
    uint64_t id;
    char name[20];
    uint32_t uidvalidity, uidnext;
    struct model_message messages[MESSAGES];
    size_t n;
    /* what the client knows */
    uint64_t known_modseq;
    struct model_message known[MESSAGES];
    size_t known_n;
};
struct model {
    struct fixture *f;
    struct random_seeded random;
    struct model_box boxes[BOXES];
    uint32_t last_uidvalidity;
    unsigned serial;
};

static uint32_t pick(struct model *m, uint32_t bound) {
    return (uint32_t)random_below(&m->random.random, bound);
}

static uint32_t item_flags(const struct message_item *item) {
    uint32_t flags = item->flags;
    for (uint32_t i = 0; i < item->keywords_n; i++)
        for (size_t k = 0; k < KEYWORDS; k++)
            if (view_eq(item->keywords[i].name, view_cstr(keyword_names[k])))
                flags |= 32u << k;
    return flags;
}

static uint32_t list_keywords(uint32_t flags, struct keyword list[KEYWORDS]) {
    uint32_t n = 0;
    for (size_t k = 0; k < KEYWORDS; k++)
        if (flags & (32u << k))
            list[n++].name = view_cstr(keyword_names[k]);
    return n;
}

/* ---- comparing ---- */

static void set_known(struct model_box *box, uint32_t uid, uint32_t flags) {
    size_t at = 0;
    while (at < box->known_n && box->known[at].uid < uid)
        at++;
    if (at == box->known_n || box->known[at].uid != uid) {
        memmove(&box->known[at + 1], &box->known[at], (box->known_n - at) * sizeof(box->known[0]));
        box->known_n++;
    }
    box->known[at] = (struct model_message){uid, flags};
}

static void forget_known(struct model_box *box, struct uid_range range) {
    size_t kept = 0;
    for (size_t i = 0; i < box->known_n; i++)
        if (box->known[i].uid < range.first || box->known[i].uid > range.last)
            box->known[kept++] = box->known[i];
    box->known_n = kept;
}

static void follow_changes(struct model *m, struct model_box *box) {
    struct mailbox_changes_args args = {.mailbox = box->id, .since_modseq = box->known_modseq};
    struct mailbox_changes_result result;
    do {
        assert_int_equal(account_do_mailbox_changes(m->f->account, &args, NULL, m->f->arena, &result), ERR_OK);
        assert_false(result.full);
        for (uint32_t i = 0; i < result.changed_n; i++)
            set_known(box, result.changed[i].uid, item_flags(&result.changed[i]));
        for (uint32_t i = 0; i < result.vanished_n; i++)
            forget_known(box, result.vanished[i]);
        args.since_modseq = result.until_modseq;
    } while (result.more);
    box->known_modseq = args.since_modseq;
    assert_int_equal(box->known_n, box->n);
    for (size_t i = 0; i < box->n; i++) {
        assert_int_equal(box->known[i].uid, box->messages[i].uid);
        assert_int_equal(box->known[i].flags, box->messages[i].flags);
    }
}

static void compare_box(struct model *m, struct model_box *box) {
    struct mailbox mailbox = mailbox_of(m->f, box->id);
    uint32_t unseen = 0, deleted = 0, first_unseen = 0, first_seq = 0;
    for (size_t i = 0; i < box->n; i++) {
        deleted += (box->messages[i].flags & FLAG_DELETED) != 0;
        if ((box->messages[i].flags & FLAG_SEEN) != 0)
            continue;
        unseen++;
        if (first_unseen == 0) {
            first_unseen = box->messages[i].uid;
            first_seq = (uint32_t)i + 1;
        }
    }
    assert_view(mailbox.name, view_cstr(box->name));
    assert_int_equal(mailbox.uidvalidity, box->uidvalidity);
    assert_int_equal(mailbox.uidnext, box->uidnext);
    assert_int_equal(mailbox.exists, box->n);
    assert_int_equal(mailbox.unseen, unseen);
    assert_int_equal(mailbox.deleted, deleted);
    struct mailbox_open_args open_args = {.id = box->id};
    struct mailbox_open_result open;
    assert_int_equal(account_do_mailbox_open(m->f->account, &open_args, NULL, m->f->arena, &open), ERR_OK);
    assert_int_equal(open.first_unseen_uid, first_unseen);
    assert_int_equal(open.first_unseen_seq, first_seq);
    uint32_t in_use = 0;
    for (size_t i = 0; i < box->n; i++)
        in_use |= box->messages[i].flags >> 5;
    assert_int_equal(open.keywords_n, __builtin_popcount(in_use));
    struct uid_map_args map_args = {.mailbox = box->id};
    struct uid_map_result map;
    size_t at = 0;
    assert_int_equal(account_do_uid_map(m->f->account, &map_args, NULL, m->f->arena, &map), ERR_OK);
    for (uint32_t i = 0; i < map.ranges_n; i++)
        for (uint32_t uid = map.ranges[i].first; uid <= map.ranges[i].last; uid++) {
            assert_true(at < box->n);
            assert_int_equal(box->messages[at++].uid, uid);
        }
    assert_int_equal(at, box->n);
    follow_changes(m, box);
}

/* ---- operations on both ---- */

static struct model_box *any_box(struct model *m) {
    struct model_box *box;
    do
        box = &m->boxes[pick(m, BOXES)];
    while (!box->is_there);
    return box;
}

static void do_create(struct model *m) {
    size_t at = pick(m, BOXES);
    struct model_box *box = &m->boxes[at];
    char name[20];
    uint64_t id;
    (void)snprintf(name, sizeof(name), "box%zu", at);
    if (box->is_there)
        return;
    *box = (struct model_box){.is_there = true};
    (void)snprintf(box->name, sizeof(box->name), "%s", name);
    assert_int_equal(try_create(m->f, view_cstr(name), &id), ERR_OK);
    struct mailbox mailbox = mailbox_of(m->f, id);
    assert_true(mailbox.uidvalidity > m->last_uidvalidity);
    m->last_uidvalidity = box->uidvalidity = mailbox.uidvalidity;
    box->id = id;
    box->uidnext = 1;
}

static void do_delete(struct model *m) {
    struct model_box *box = any_box(m);
    struct mailbox_delete_args args = {box->id};
    struct nothing nothing;
    bool is_inbox = box == &m->boxes[0];
    assert_int_equal(account_do_mailbox_delete(m->f->account, &args, NULL, m->f->arena, &nothing),
                     is_inbox ? ERR_DENIED : ERR_OK);
    box->is_there = is_inbox;
}

static void do_rename(struct model *m) {
    struct model_box *box = any_box(m);
    if (box == &m->boxes[0])
        return;
    char name[20];
    (void)snprintf(name, sizeof(name), "%s%u", pick(m, 2) ? "r" : "deep/", m->serial++);
    struct mailbox_rename_args args = {.id = box->id, .name = view_cstr(name)};
    struct nothing nothing;
    assert_int_equal(account_do_mailbox_rename(m->f->account, &args, NULL, m->f->arena, &nothing), ERR_OK);
    memcpy(box->name, name, sizeof(name));
}

static void do_append(struct model *m) {
    struct model_box *box = any_box(m);
    struct keyword keywords[KEYWORDS];
    char text[80];
    if (box->n == MESSAGES - 1)
        return;
    /* Sometimes the same octets again. */
    int n = snprintf(text, sizeof(text), "Subject: %u\r\nMessage-ID: <%u@x>\r\n\r\ntext", pick(m, 20), pick(m, 20));
    uint32_t flags = pick(m, 32u << KEYWORDS);
    struct message_append_args args = {.mailbox = box->id,
                                       .flags = flags & FLAGS_ALL,
                                       .body = view_of(text, (size_t)n),
                                       .keywords = keywords,
                                       .keywords_n = list_keywords(flags, keywords)};
    struct message_append_result result;
    assert_int_equal(account_do_message_append(m->f->account, &args, NULL, m->f->arena, &result), ERR_OK);
    assert_int_equal(result.uid, box->uidnext);
    assert_int_equal(result.uidvalidity, box->uidvalidity);
    box->messages[box->n++] = (struct model_message){box->uidnext++, flags};
}

static struct uid_range any_range(struct model *m, const struct model_box *box) {
    uint32_t first = 1 + pick(m, box->uidnext + 2);
    return (struct uid_range){first, first + pick(m, 8)};
}

static bool is_in(struct uid_range range, uint32_t uid) {
    return uid >= range.first && uid <= range.last;
}

static void do_store(struct model *m) {
    struct model_box *box = any_box(m);
    struct uid_range range = any_range(m, box);
    struct keyword keywords[KEYWORDS];
    uint32_t flags = pick(m, 32u << KEYWORDS), mode = pick(m, 3), n = 0;
    struct message_store_args args = {.mailbox = box->id,
                                      .ranges = &range,
                                      .ranges_n = 1,
                                      .mode = (uint8_t)mode,
                                      .flags = flags & FLAGS_ALL,
                                      .keywords = keywords,
                                      .keywords_n = list_keywords(flags, keywords)};
    struct message_store_result result;
    assert_int_equal(account_do_message_store(m->f->account, &args, NULL, m->f->arena, &result), ERR_OK);
    for (size_t i = 0; i < box->n; i++) {
        struct model_message *message = &box->messages[i];
        if (!is_in(range, message->uid))
            continue;
        message->flags = mode == STORE_REPLACE ? flags
                         : mode == STORE_ADD   ? message->flags | flags
                                               : message->flags & ~flags;
        assert_int_equal(result.changed[n].uid, message->uid);
        assert_int_equal(item_flags(&result.changed[n]), message->flags);
        n++;
    }
    assert_int_equal(result.changed_n, n);
}

static void remove_range(struct model_box *box, struct uid_range range, uint32_t with_flag) {
    size_t kept = 0;
    for (size_t i = 0; i < box->n; i++)
        if (!is_in(range, box->messages[i].uid) || (box->messages[i].flags & with_flag) != with_flag)
            box->messages[kept++] = box->messages[i];
    box->n = kept;
}

static void do_copy(struct model *m, bool move) {
    struct model_box *from = any_box(m), *to = any_box(m);
    struct uid_range range = any_range(m, from);
    if (to->n + 10 > MESSAGES)
        return;
    struct message_copy_args args = {
        .mailbox = from->id, .ranges = &range, .ranges_n = 1, .target = to->id, .move = move};
    struct message_copy_result result;
    assert_int_equal(account_do_message_copy(m->f->account, &args, NULL, m->f->arena, &result), ERR_OK);
    struct model_message copies[10];
    size_t n = 0;
    for (size_t i = 0; i < from->n; i++)
        if (is_in(range, from->messages[i].uid))
            copies[n++] = (struct model_message){to->uidnext++, from->messages[i].flags};
    if (move)
        remove_range(from, range, 0);
    memcpy(&to->messages[to->n], copies, n * sizeof(copies[0]));
    to->n += n;
    assert_int_equal(result.uidvalidity, to->uidvalidity);
    uint32_t told = 0;
    for (uint32_t i = 0; i < result.to_n; i++)
        told += result.to[i].last - result.to[i].first + 1;
    assert_int_equal(told, n);
}

static void do_expunge(struct model *m) {
    struct model_box *box = any_box(m);
    struct uid_range range = any_range(m, box), all = {1, UINT32_MAX};
    bool is_all = pick(m, 4) == 0, any = !is_all && pick(m, 3) == 0;
    struct message_expunge_args args = {.mailbox = box->id, .ranges = &range, .ranges_n = is_all ? 0 : 1, .any = any};
    struct message_expunge_result result;
    assert_int_equal(account_do_message_expunge(m->f->account, &args, NULL, m->f->arena, &result), ERR_OK);
    remove_range(box, is_all ? all : range, any ? 0 : FLAG_DELETED);
}

static void run(struct fixture *f, unsigned steps, uint64_t seed) {
    static struct model m;
    m = (struct model){.f = f};
    random_seeded_init(&m.random, seed);
    struct mailbox inbox = mailbox_of(f, mailbox_id(f, VIEW("INBOX")));
    m.boxes[0] = (struct model_box){
        .is_there = true, .id = inbox.id, .name = "INBOX", .uidvalidity = inbox.uidvalidity, .uidnext = 1};
    m.last_uidvalidity = mailbox_of(f, mailbox_id(f, VIEW("Trash"))).uidvalidity;
    for (unsigned i = 0; i < steps; i++) {
        switch (pick(&m, 16)) {
        case 0:
        case 1:
            do_create(&m);
            break;
        case 2:
            if (pick(&m, 3) == 0)
                do_delete(&m);
            break;
        case 3:
            do_rename(&m);
            break;
        case 4:
        case 5:
        case 6:
            do_store(&m);
            break;
        case 7:
            do_copy(&m, false);
            break;
        case 8:
            do_copy(&m, true);
            break;
        case 9:
            do_expunge(&m);
            break;
        case 10:
            if (pick(&m, 10) == 0)
                fixture_reopen(f);
            break;
        default:
            do_append(&m);
        }
        for (size_t b = 0; b < BOXES; b++)
            if (m.boxes[b].is_there && (i % 8 == 0 || pick(&m, 3) == 0))
                compare_box(&m, &m.boxes[b]);
        if (i % 100 == 0)
            verify_ok(f->store);
        if (i % 16 == 0)
            arena_clear(f->arena);
    }
}

static void few_steps(struct fixture *f) {
    run(f, 300, 5 + (uint64_t)f->way);
}
static void many_steps(struct fixture *f) {
    run(f, 1500, 100);
}

/* ---- several at once ---- */

/* Workers on coroutines of their own do as they like with the same mailboxes while followers keep up by changes alone: at the
 * end every follower sees what is there. */
#define WORKERS 5
#define WORKER_STEPS 60

struct crowd {
    struct fixture *f;
    uint64_t boxes[2];
    unsigned left;
    struct waitq done;
};
struct worker {
    struct crowd *crowd;
    struct random_seeded random;
};

static enum err work_once(struct worker *w) {
    struct fixture *f = w->crowd->f;
    struct arena *arena = arena_new("worker", 1 << 22);
    uint64_t from = w->crowd->boxes[random_below(&w->random.random, 2)],
             to = w->crowd->boxes[random_below(&w->random.random, 2)];
    uint32_t first = 1 + (uint32_t)random_below(&w->random.random, 60);
    struct uid_range range = {first, first + (uint32_t)random_below(&w->random.random, 6)};
    enum err err = ERR_OK;
    switch (random_below(&w->random.random, 6)) {
    case 0: {
        struct message_store_args args = {.mailbox = from,
                                          .ranges = &range,
                                          .ranges_n = 1,
                                          .mode = (uint8_t)random_below(&w->random.random, 3),
                                          .flags = (uint32_t)random_below(&w->random.random, 32)};
        struct message_store_result result;
        err = account_do_message_store(f->account, &args, NULL, arena, &result);
        break;
    }
    case 1: {
        struct message_copy_args args = {.mailbox = from,
                                         .ranges = &range,
                                         .ranges_n = 1,
                                         .target = to,
                                         .move = random_below(&w->random.random, 2) == 0};
        struct message_copy_result result;
        err = account_do_message_copy(f->account, &args, NULL, arena, &result);
        break;
    }
    case 2: {
        struct message_expunge_args args = {
            .mailbox = from, .ranges = &range, .ranges_n = 1, .any = random_below(&w->random.random, 3) == 0};
        struct message_expunge_result result;
        err = account_do_message_expunge(f->account, &args, NULL, arena, &result);
        break;
    }
    default: {
        struct message_append_args args = {.mailbox = from,
                                           .flags = (uint32_t)random_below(&w->random.random, 32),
                                           .body = VIEW("Subject: x\r\n\r\nbody")};
        struct message_append_result result;
        err = account_do_message_append(f->account, &args, NULL, arena, &result);
    }
    }
    arena_free(arena);
    return err;
}

static void worker(void *arg) {
    struct worker *w = arg;
    for (unsigned i = 0; i < WORKER_STEPS; i++)
        assert_int_equal(work_once(w), ERR_OK);
    if (--w->crowd->left == 0)
        waitq_wake_all(&w->crowd->done);
}

static void read_all(struct fixture *f, struct model_box *box) {
    struct message_fetch_args args = {.mailbox = box->id, .items = ITEM_FLAGS};
    struct message_fetch_result result;
    box->n = 0;
    do {
        assert_int_equal(account_do_message_fetch(f->account, &args, NULL, f->arena, &result), ERR_OK);
        for (uint32_t i = 0; i < result.messages_n; i++)
            box->messages[box->n++] = (struct model_message){result.messages[i].uid, item_flags(&result.messages[i])};
        args.from_uid = result.next_uid;
    } while (args.from_uid != 0);
}

static void several_at_once(struct fixture *f) {
    static struct model m;
    static struct worker workers[WORKERS];
    struct crowd crowd = {
        .f = f, .boxes = {mailbox_id(f, VIEW("INBOX")), mailbox_id(f, VIEW("Archive"))}, .left = WORKERS};
    m = (struct model){.f = f};
    for (unsigned i = 0; i < 2; i++)
        m.boxes[i] = (struct model_box){.is_there = true, .id = crowd.boxes[i]};
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].crowd = &crowd;
        random_seeded_init(&workers[i].random, 40 + i);
        assert_int_equal(co_spawn(f->loop, NULL, "worker", worker, &workers[i], NULL), ERR_OK);
    }
    while (crowd.left > 0) {
        enum err err = waitq_wait(&crowd.done, loop_now_us(f->loop) + 1);
        assert_true(err == ERR_OK || err == ERR_TIMEOUT);
        /* Both pictures of one moment: in process no one else runs between two reads. */
        for (unsigned i = 0; i < 2 && f->way == WAY_LOOP; i++) {
            read_all(f, &m.boxes[i]);
            follow_changes(&m, &m.boxes[i]);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        read_all(f, &m.boxes[i]);
        follow_changes(&m, &m.boxes[i]);
        assert_true(m.boxes[i].n > 0);
    }
}

static void at_once(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, several_at_once);
    fixture_run(WAY_CHANNEL, several_at_once);
}

static void direct(void **state) {
    (void)state;
    fixture_run(WAY_DIRECT, many_steps);
    fixture_run(WAY_DIRECT, few_steps);
}
static void in_loop(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, few_steps);
}
static void through_channel(void **state) {
    (void)state;
    fixture_run(WAY_CHANNEL, few_steps);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(direct), cmocka_unit_test(in_loop),
                                       cmocka_unit_test(through_channel), cmocka_unit_test(at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
