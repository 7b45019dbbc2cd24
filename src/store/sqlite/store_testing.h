/* What the store's tests share: an account on a simulated disk, with or without a channel between, and short calls. */
#ifndef STORE_SQLITE_STORE_TESTING_H
#define STORE_SQLITE_STORE_TESTING_H

#include "base/disk_sim.h"
#include "store/sqlite/sqlite_account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEST_WALL_US (INT64_C(1795557600) * US_PER_S) /* 24 November 2026 */

struct fixture {
    struct disk *disk;
    struct virtual_clock clock;
    struct random_seeded random;
    struct sqlite_account_params params;
    struct account *account; /* the one under test */
    struct arena *arena;
};

static inline void fixture_params(struct fixture *f) {
    virtual_clock_init(&f->clock, TEST_WALL_US);
    random_seeded_init(&f->random, 7);
    f->arena = arena_new("test", (size_t)256 * 1024 * 1024);
    f->params = (struct sqlite_account_params){.disk = f->disk, .clock = &f->clock.clock, .random = &f->random.random, .size_max = 50000000};
}

static inline void fixture_open(struct fixture *f, struct disk *disk) {
    *f = (struct fixture){.disk = disk};
    fixture_params(f);
    assert_int_equal(sqlite_account_open(&f->params, &f->account), ERR_OK);
}

static inline void fixture_reopen(struct fixture *f) {
    account_free(f->account);
    f->account = NULL;
    assert_int_equal(sqlite_account_open(&f->params, &f->account), ERR_OK);
}

static inline void fixture_close(struct fixture *f) {
    account_free(f->account);
    arena_free(f->arena);
    disk_free(f->disk);
}

/* Fails the test with the problems when verify finds any. */
static inline void verify_ok(struct account *account) {
    struct buf problems;
    unsigned n = 0;
    buf_init(&problems, 100000);
    assert_int_equal(sqlite_account_verify(account, &problems, &n), ERR_OK);
    if (n > 0)
        fail_msg("%u problems: %.*s", n, (int)problems.n, (const char *)problems.p);
    buf_fini(&problems);
}

static inline uint64_t mailbox_id(struct fixture *f, struct view name) {
    struct mailbox_get_args args = {.name = name};
    struct mailbox mailbox;
    if (account_do_mailbox_get(f->account, &args, NULL, f->arena, &mailbox) != ERR_OK)
        return 0;
    return mailbox.id;
}

static inline struct mailbox mailbox_of(struct fixture *f, uint64_t id) {
    struct mailbox_get_args args = {.id = id};
    struct mailbox mailbox;
    assert_int_equal(account_do_mailbox_get(f->account, &args, NULL, f->arena, &mailbox), ERR_OK);
    return mailbox;
}

static inline enum err try_create(struct fixture *f, struct view name, uint64_t *id) {
    struct mailbox_create_args args = {.name = name};
    struct mailbox mailbox;
    enum err err = account_do_mailbox_create(f->account, &args, NULL, f->arena, &mailbox);
    if (err == ERR_OK)
        *id = mailbox.id;
    return err;
}

static inline enum err try_append(struct fixture *f, uint64_t mailbox, uint32_t flags, struct view body, uint32_t *uid) {
    struct message_append_args args = {.mailbox = mailbox, .flags = flags, .body = body};
    struct message_append_result result;
    enum err err = account_do_message_append(f->account, &args, NULL, f->arena, &result);
    if (err == ERR_OK)
        *uid = result.uid;
    return err;
}

static inline uint32_t append(struct fixture *f, uint64_t mailbox, uint32_t flags, struct view body) {
    uint32_t uid = 0;
    assert_int_equal(try_append(f, mailbox, flags, body, &uid), ERR_OK);
    return uid;
}

static inline struct message_item fetch_one(struct fixture *f, uint64_t mailbox, uint32_t uid, uint32_t items) {
    struct uid_range range = {uid, uid};
    struct message_fetch_args args = {.mailbox = mailbox, .ranges = &range, .ranges_n = 1, .items = items};
    struct message_fetch_result result;
    assert_int_equal(account_do_message_fetch(f->account, &args, NULL, f->arena, &result), ERR_OK);
    assert_int_equal(result.messages_n, 1);
    return result.messages[0];
}

/* The whole body in pieces of `step`. */
static inline void read_body(struct fixture *f, uint64_t blob, uint32_t step, struct buf *out) {
    for (;;) {
        struct blob_read_args args = {.blob = blob, .offset = out->n, .length = step};
        struct blob_read_result result;
        assert_int_equal(account_do_blob_read(f->account, &args, NULL, f->arena, &result), ERR_OK);
        if (result.bytes.n == 0)
            return;
        buf_put(out, result.bytes);
        assert_int_equal(buf_err(out), ERR_OK);
    }
}

static inline void assert_view(struct view got, struct view want) {
    assert_int_equal(got.n, want.n);
    if (want.n > 0)
        assert_memory_equal(got.p, want.p, want.n);
}

#endif
