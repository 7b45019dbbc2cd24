/* What the store's tests share: an account on a simulated disk, with or without a channel between, and short calls. */
#ifndef STORE_SQLITE_STORE_TESTING_H
#define STORE_SQLITE_STORE_TESTING_H

#include "base/disk_sim.h"
#include "loop/loop.h"
#include "store/account_channel.h"
#include "store/sqlite/sqlite_account.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_WALL_US (INT64_C(1795557600) * US_PER_S) /* 24 November 2026 */

/*
 * Every test of operations runs three ways: on the main stack without a loop; on a coroutine of a virtual loop, with the
 * write turn's queue between; and through a pair of channels in one process.
 */
enum way { WAY_DIRECT, WAY_LOOP, WAY_CHANNEL };

struct fixture {
    enum way way;
    struct disk *disk;
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct sqlite_account_params params;
    struct account *store;   /* the SQLite account */
    struct account *account; /* the one under test: the same, or the client of a channel */
    struct account_server server;
    struct channel_handler handlers[ACCOUNT_HANDLERS];
    struct arena *arena;
    void (*body)(struct fixture *f);
};

static inline enum err fixture_connect(struct fixture *f) {
    struct channel *client;
    TRY(sqlite_account_open(&f->params, &f->store));
    f->account = f->store;
    if (f->way != WAY_CHANNEL)
        return ERR_OK;
    f->server =
        (struct account_server){.account = f->store, .rights = RIGHT_READ | RIGHT_WRITE | RIGHT_ADMIN | RIGHT_DELIVER};
    TRY(channel_new_pair(f->loop, &client, &f->server.channel));
    TRY(channel_start(f->server.channel, "store", f->handlers, account_server_handlers(f->handlers), &f->server, NULL));
    account_server_start(&f->server);
    return account_new_channel(client, "client", 60 * US_PER_S, &f->account);
}

static inline void fixture_disconnect(struct fixture *f) {
    if (f->account != f->store)
        account_free(f->account);
    if (f->server.channel != NULL) {
        account_server_stop(&f->server);
        channel_free(f->server.channel);
        f->server.channel = NULL;
    }
    account_free(f->store);
    f->account = f->store = NULL;
}

static inline void fixture_reopen(struct fixture *f) {
    fixture_disconnect(f);
    assert_int_equal(fixture_connect(f), ERR_OK);
}

static inline void fixture_init(struct fixture *f, enum way way, struct disk *disk) {
    *f = (struct fixture){.way = way, .disk = disk};
    virtual_clock_init(&f->clock, TEST_WALL_US);
    random_seeded_init(&f->random, 7);
    f->arena = arena_new("test", (size_t)512 * 1024 * 1024);
    if (way != WAY_DIRECT)
        f->loop = loop_new_virtual(&f->clock, way == WAY_LOOP ? NULL : &f->random.random,
                                   NULL); /* first come, or in random order */
    f->params = (struct sqlite_account_params){
        .loop = f->loop, .disk = f->disk, .clock = &f->clock.clock, .random = &f->random.random, .size_max = 50000000};
}

static inline void fixture_fini(struct fixture *f) {
    if (f->loop != NULL)
        loop_free(f->loop);
    arena_free(f->arena);
    disk_free(f->disk);
}

/* For tests that are about the disk and use the direct way alone. */
static inline void fixture_open(struct fixture *f, struct disk *disk) {
    fixture_init(f, WAY_DIRECT, disk);
    assert_int_equal(fixture_connect(f), ERR_OK);
}

static inline void fixture_close(struct fixture *f) {
    fixture_disconnect(f);
    fixture_fini(f);
}

static inline void verify_ok(struct account *account);
static inline void fixture_body(void *arg) {
    struct fixture *f = arg;
    assert_int_equal(fixture_connect(f), ERR_OK);
    f->body(f);
    verify_ok(f->store);
    fixture_disconnect(f);
}

/* Takes the disk. */
static inline void fixture_run_on(struct disk *disk, enum way way, void (*body)(struct fixture *f)) {
    struct fixture f;
    fixture_init(&f, way, disk);
    f.body = body;
    if (way == WAY_DIRECT) {
        fixture_body(&f);
    } else {
        assert_int_equal(co_spawn(f.loop, NULL, "test", fixture_body, &f, NULL), ERR_OK);
        loop_run(f.loop);
        assert_null(f.store); /* else the body hangs */
    }
    fixture_fini(&f);
}

static inline void fixture_run(enum way way, void (*body)(struct fixture *f)) {
    fixture_run_on(disk_sim_new(), way, body);
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

static inline enum err try_append(struct fixture *f, uint64_t mailbox, uint32_t flags, struct view body,
                                  uint32_t *uid) {
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

/* ---- a folder on a real disk, below the working directory ---- */

/* Setup of a test: *state is the folder's path. */
static inline int test_folder_make(void **state) {
    char *path = strdup("store-test-XXXXXX");
    *state = path;
    return path == NULL || mkdtemp(path) == NULL ? -1 : 0;
}

static inline struct disk *test_folder_disk(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return disk_new_fd(fd);
}

static inline enum err test_folder_drop(void *ctx, struct view name) {
    struct disk *disk = ctx, *sub;
    char path[300];
    (void)snprintf(path, sizeof(path), "%.*s", VIEW_FMT(name));
    if (disk_sub(disk, path, &sub) == ERR_OK) {
        enum err err = disk_list(sub, ".", test_folder_drop, sub);
        disk_free(sub);
        TRY(err);
    }
    return disk_remove(disk, path);
}

static inline enum err test_folder_clear(const char *path) {
    struct disk *disk = test_folder_disk(path);
    enum err err = disk_list(disk, ".", test_folder_drop, disk);
    disk_free(disk);
    return err;
}

/* Teardown, which also comes when the test has failed. */
static inline int test_folder_remove(void **state) {
    char *path = *state;
    int result = test_folder_clear(path) == ERR_OK && rmdir(path) == 0 ? 0 : -1;
    free(path);
    return result;
}

#endif
