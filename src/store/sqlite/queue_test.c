/* The queue's store: schedule, bodies of every size, transactions, power cuts, full disks. */
#include "store/queue_store.h"
#include "store/sqlite/store_testing.h"

#include <stdlib.h>
#include <string.h>

struct setup {
    struct disk *disk;
    struct virtual_clock clock;
    struct arena *arena;
    struct queue_store *store;
};

static void begin(struct setup *s) {
    *s = (struct setup){.disk = disk_sim_new(), .arena = arena_new("test", 1 << 26)};
    virtual_clock_init(&s->clock, TEST_WALL_US);
    assert_int_equal(queue_store_open(s->disk, &s->clock.clock, &s->store), ERR_OK);
}

static void power_cut(struct setup *s) {
    struct disk *found = disk_sim_power_cut(s->disk, NULL);
    disk_sim_dead(s->disk, true);
    queue_store_close(s->store);
    disk_free(s->disk);
    s->disk = found;
    assert_int_equal(queue_store_open(s->disk, &s->clock.clock, &s->store), ERR_OK);
}

static void end(struct setup *s) {
    queue_store_close(s->store);
    disk_free(s->disk);
    arena_free(s->arena);
}

static enum err add(struct setup *s, struct view body, struct file *file, int64_t next_us, uint64_t *message,
                    uint64_t ids[2]) {
    struct queue_message m = {
        .delivery_id = VIEW("0123456789abcdef"), .sender = VIEW("a@b"), .prefix = VIEW("P: 1\r\n")};
    struct queue_recipient r[2] = {{.address = VIEW("x@y"), .next_us = next_us, .expires_us = next_us + 5},
                                   {.address = VIEW("z@y"), .kind = QUEUE_LOCAL, .account = 7, .next_us = next_us + 1}};
    enum err err = queue_store_add(s->store, &m, body, file, r, 2);
    if (err == ERR_OK) {
        *message = m.id;
        ids[0] = r[0].id;
        ids[1] = r[1].id;
    }
    return err;
}

static void check_body(struct setup *s, uint64_t message, struct view want) {
    struct file *file;
    uint64_t size;
    size_t got;
    assert_int_equal(queue_store_body(s->store, message, &file), ERR_OK);
    assert_int_equal(file_size(file, &size), ERR_OK);
    assert_int_equal(size, want.n);
    uint8_t *p = malloc(want.n + 1);
    assert_int_equal(file_read(file, p, want.n + 1, 0, &got), ERR_OK);
    assert_view(view_of(p, got), want);
    assert_int_not_equal(file_write(file, VIEW("x"), 0), ERR_OK);
    free(p);
    file_unref(file);
}

static void schedule(void **state) {
    (void)state;
    struct setup s;
    uint64_t message, second, ids[2], more[2];
    struct queue_recipient *due, one;
    size_t n;
    int64_t next;
    begin(&s);
    assert_int_equal(queue_store_next(s.store, &next), ERR_OK);
    assert_int_equal(next, US_NEVER);
    assert_int_equal(add(&s, VIEW("body"), NULL, 1000, &message, ids), ERR_OK);
    assert_int_equal(add(&s, VIEW("other"), NULL, 10, &second, more), ERR_OK);
    power_cut(&s);
    assert_int_equal(queue_store_next(s.store, &next), ERR_OK);
    assert_int_equal(next, 10);
    assert_int_equal(queue_store_due(s.store, 1000, 10, s.arena, &due, &n), ERR_OK);
    assert_int_equal(n, 3);
    assert_int_equal(due[0].id, more[0]);
    assert_int_equal(due[2].id, ids[0]);
    assert_view(due[2].address, VIEW("x@y"));
    assert_int_equal(queue_store_due(s.store, 1000, 1, s.arena, &due, &n), ERR_OK);
    assert_int_equal(n, 1);
    check_body(&s, message, VIEW("body"));
    struct queue_message m;
    assert_int_equal(queue_store_message(s.store, message, s.arena, &m), ERR_OK);
    assert_int_equal(m.size, 10);
    assert_view(m.prefix, VIEW("P: 1\r\n"));
    /* A message goes with its last unfinished recipient. */
    assert_int_equal(queue_store_get(s.store, ids[0], s.arena, &one), ERR_OK);
    one.state = QUEUE_DONE;
    one.attempts = 3;
    one.last_text = VIEW("250 ok");
    assert_int_equal(queue_store_update(s.store, &one), ERR_OK);
    assert_int_equal(queue_store_get(s.store, ids[0], s.arena, &one), ERR_OK);
    assert_int_equal(one.attempts, 3);
    assert_int_equal(queue_store_remove(s.store, ids[1]), ERR_OK);
    assert_int_equal(queue_store_get(s.store, ids[0], s.arena, &one), ERR_NOT_FOUND);
    assert_int_equal(queue_store_message(s.store, message, s.arena, &m), ERR_NOT_FOUND);
    assert_int_equal(queue_store_remove(s.store, ids[1]), ERR_NOT_FOUND);
    assert_int_equal(queue_store_list(s.store, 0, 10, s.arena, &due, &n), ERR_OK);
    assert_int_equal(n, 2);
    end(&s);
}

static size_t body_files(struct setup *s);
static enum err count_name(void *ctx, struct view name) {
    (void)name;
    ++*(size_t *)ctx;
    return ERR_OK;
}
static size_t body_files(struct setup *s) {
    size_t n = 0;
    enum err err = disk_list(s->disk, "bodies", count_name, &n);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    return n;
}

static void large_bodies(void **state) {
    (void)state;
    struct setup s;
    uint64_t message, ids[2];
    struct file *file;
    size_t size = 2 * QUEUE_INLINE_MAX + 77;
    uint8_t *p = malloc(size);
    memset(p, 'x', size);
    p[size - 1] = 0;
    begin(&s);
    assert_int_equal(file_new_memory("body", &file), ERR_OK);
    assert_int_equal(file_write(file, view_of(p, size), 0), ERR_OK);
    assert_int_equal(add(&s, VIEW_NONE, file, 5, &message, ids), ERR_OK);
    file_unref(file);
    power_cut(&s);
    check_body(&s, message, view_of(p, size));
    assert_int_equal(body_files(&s), 1);
    /* Rolled back: neither row nor file. */
    uint64_t other, more[2];
    assert_int_equal(queue_store_begin(s.store), ERR_OK);
    assert_int_equal(add(&s, view_of(p, size), NULL, 5, &other, more), ERR_OK);
    assert_int_equal(body_files(&s), 2);
    queue_store_rollback(s.store);
    assert_int_equal(body_files(&s), 1);
    /* Removed only after the commit. */
    assert_int_equal(queue_store_begin(s.store), ERR_OK);
    assert_int_equal(queue_store_remove(s.store, ids[0]), ERR_OK);
    assert_int_equal(queue_store_remove(s.store, ids[1]), ERR_OK);
    assert_int_equal(body_files(&s), 1);
    assert_int_equal(queue_store_commit(s.store), ERR_OK);
    assert_int_equal(body_files(&s), 0);
    free(p);
    end(&s);
}

/* One transaction, one fsync; a bad member does not harm the others. */
static void batches(void **state) {
    (void)state;
    struct setup s;
    uint64_t message, ids[2];
    struct queue_recipient *due;
    size_t n;
    begin(&s);
    assert_int_equal(add(&s, VIEW("warm"), NULL, 1, &message, ids), ERR_OK);
    uint64_t before = disk_sim_syncs(s.disk);
    assert_int_equal(queue_store_begin(s.store), ERR_OK);
    assert_int_equal(queue_store_begin(s.store), ERR_BUG);
    for (int i = 0; i < 20; i++)
        assert_int_equal(add(&s, VIEW("b"), NULL, 1, &message, ids), ERR_OK);
    assert_int_equal(queue_store_remove(s.store, 12345), ERR_NOT_FOUND);
    assert_int_equal(queue_store_commit(s.store), ERR_OK);
    assert_int_equal(disk_sim_syncs(s.disk) - before, 1);
    power_cut(&s);
    assert_int_equal(queue_store_due(s.store, 100, 1000, s.arena, &due, &n), ERR_OK);
    assert_int_equal(n, 42);
    end(&s);
}

static void full_disk(void **state) {
    (void)state;
    struct setup s;
    uint64_t message, ids[2];
    size_t size = 400000;
    uint8_t *p = calloc(1, size);
    begin(&s);
    disk_sim_full(s.disk, true);
    assert_int_equal(add(&s, view_of(p, size), NULL, 1, &message, ids), ERR_FULL);
    assert_int_equal(add(&s, VIEW("small"), NULL, 1, &message, ids), ERR_FULL);
    disk_sim_full(s.disk, false);
    assert_int_equal(add(&s, VIEW("small"), NULL, 1, &message, ids), ERR_OK);
    power_cut(&s);
    check_body(&s, message, VIEW("small"));
    assert_int_equal(body_files(&s), 0);
    free(p);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedule), cmocka_unit_test(large_bodies),
                                       cmocka_unit_test(batches), cmocka_unit_test(full_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
