/* The simulated disk: what a power cut keeps and loses, faults, death, locks; and that a missing sync is noticed. */
#include "base/disk_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define OK(call) assert_int_equal((call), ERR_OK)

static struct file *make(struct disk *disk, const char *path) {
    struct file *file;
    OK(disk_open(disk, path, DISK_WRITE | DISK_CREATE, &file));
    return file;
}

static bool is_there(struct disk *disk, const char *path) {
    bool there;
    OK(disk_exists(disk, path, &there));
    return there;
}

static bool holds(struct disk *disk, const char *path, struct view content) {
    struct buf buf;
    buf_init(&buf, 1 << 20);
    enum err err = disk_read_all(disk, path, 1 << 20, &buf);
    bool same = err == ERR_OK && view_eq(buf_view(&buf), content);
    buf_fini(&buf);
    return same;
}

static void only_the_synced_survives(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    OK(disk_mkdir(disk, "d"));
    OK(disk_sync_dir(disk, "."));
    struct file *both = make(disk, "d/both"), *content = make(disk, "d/late");
    OK(file_write(both, VIEW("one"), 0));
    OK(file_sync(both, true));
    OK(disk_sync_dir(disk, "d"));
    OK(file_write(both, VIEW("TWO"), 0));
    struct file *nameless = make(disk, "d/nameless");
    OK(file_write(nameless, VIEW("x"), 0));
    OK(file_sync(nameless, false));
    OK(file_write(content, VIEW("y"), 0));
    assert_true(holds(disk, "d/both", VIEW("TWO")));

    struct disk *after = disk_sim_power_cut(disk, NULL);
    assert_true(holds(after, "d/both", VIEW("one")));
    assert_true(holds(after, "d/late", VIEW("")));
    assert_false(is_there(after, "d/nameless"));
    assert_true(is_there(disk, "d/nameless")); /* the disk itself goes on */
    disk_free(after);
    file_unref(both);
    file_unref(content);
    file_unref(nameless);
    disk_free(disk);
}

static void names_need_their_directory_synced(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new(), *after;
    file_unref(make(disk, "a"));
    file_unref(make(disk, "b"));
    OK(disk_sync_dir(disk, "."));
    OK(disk_rename(disk, "a", "c"));
    OK(disk_remove(disk, "b"));
    after = disk_sim_power_cut(disk, NULL);
    assert_true(is_there(after, "a") && is_there(after, "b") && !is_there(after, "c"));
    disk_free(after);
    OK(disk_sync_dir(disk, "."));
    after = disk_sim_power_cut(disk, NULL);
    assert_true(!is_there(after, "a") && !is_there(after, "b") && is_there(after, "c"));
    disk_free(after);
    /* A synced name in a directory without a synced name is gone with it. */
    OK(disk_mkdir(disk, "d"));
    file_unref(make(disk, "d/x"));
    OK(disk_sync_dir(disk, "d"));
    after = disk_sim_power_cut(disk, NULL);
    assert_false(is_there(after, "d"));
    disk_free(after);
    disk_free(disk);
}

static void unsynced_sectors_are_kept_or_lost(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    struct file *file = make(disk, "f");
    uint8_t old[DISK_SIM_SECTOR * 3], new[DISK_SIM_SECTOR * 3], found[DISK_SIM_SECTOR * 3];
    memset(old, 'o', sizeof(old));
    memset(new, 'n', sizeof(new));
    OK(file_write(file, view_of(old, sizeof(old)), 0));
    OK(file_sync(file, true));
    OK(disk_sync_dir(disk, "."));
    /* Not aligned: the parts are cut at the sectors of the file, not of the write. */
    OK(file_write(file, view_of(new, sizeof(new) - 200), 100));
    bool seen[8] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct random_seeded rs;
        random_seeded_init(&rs, seed);
        struct disk *after = disk_sim_power_cut(disk, &rs.random);
        struct file *there;
        size_t got;
        OK(disk_open(after, "f", DISK_READ, &there));
        OK(file_read(there, found, sizeof(found), 0, &got));
        assert_int_equal(got, sizeof(found));
        unsigned pattern = 0;
        for (size_t s = 0; s < 3; s++) {
            size_t from = s == 0 ? 100 : s * DISK_SIM_SECTOR;
            size_t to = s == 2 ? sizeof(found) - 100 : (s + 1) * DISK_SIM_SECTOR;
            for (size_t i = from; i < to; i++)
                assert_int_equal(found[i], found[from]);
            pattern |= found[from] == 'n' ? 1u << s : 0;
        }
        assert_int_equal(found[0], 'o');
        assert_int_equal(found[sizeof(found) - 1], 'o');
        seen[pattern] = true;
        file_unref(there);
        disk_free(after);
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_true(seen[i]);
    file_unref(file);
    disk_free(disk);
}

static void the_seed_decides(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    char name[3] = "a0";
    unsigned there = 0;
    for (; name[1] <= '9'; name[1]++)
        file_unref(make(disk, name));
    for (uint64_t seed = 0; seed < 50; seed++) {
        unsigned patterns[2] = {0, 0};
        for (int turn = 0; turn < 2; turn++) {
            struct random_seeded rs;
            random_seeded_init(&rs, seed);
            struct disk *after = disk_sim_power_cut(disk, &rs.random);
            for (unsigned i = 0; i < 10; i++) {
                name[1] = (char)('0' + i);
                patterns[turn] |= is_there(after, name) ? 1u << i : 0;
            }
            disk_free(after);
        }
        assert_int_equal(patterns[0], patterns[1]);
        there |= patterns[0] != 0 && patterns[0] != 1023;
    }
    assert_true(there);
    disk_free(disk);
}

static void a_rename_is_one_thing(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    struct file *file = make(disk, "new");
    OK(file_write(file, VIEW("x"), 0));
    OK(file_sync(file, false));
    file_unref(file);
    OK(disk_sync_dir(disk, "."));
    OK(disk_rename(disk, "new", "name"));
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct random_seeded rs;
        random_seeded_init(&rs, seed);
        struct disk *after = disk_sim_power_cut(disk, &rs.random);
        assert_true(is_there(after, "new") != is_there(after, "name"));
        assert_true(holds(after, is_there(after, "new") ? "new" : "name", VIEW("x")));
        disk_free(after);
    }
    disk_free(disk);
}

/* Replaces a file twice; true when after a power cut right after the second success the new content is there. */
static bool replacement_is_durable(uint64_t skip, uint64_t seed, uint64_t *syncs) {
    struct disk *disk = disk_sim_new();
    OK(disk_replace(disk, "f", VIEW("old")));
    uint64_t before = disk_sim_syncs(disk);
    disk_sim_skip_sync(disk, skip);
    OK(disk_replace(disk, "f", VIEW("new")));
    *syncs = disk_sim_syncs(disk) - before;
    struct random_seeded rs;
    random_seeded_init(&rs, seed);
    struct disk *after = disk_sim_power_cut(disk, &rs.random);
    bool durable = holds(after, "f", VIEW("new"));
    disk_free(after);
    disk_free(disk);
    return durable;
}

static void every_missing_sync_is_noticed(void **state) {
    (void)state;
    uint64_t syncs = 0;
    for (uint64_t seed = 0; seed < 32; seed++)
        assert_true(replacement_is_durable(0, seed, &syncs));
    assert_int_equal(syncs, 2);
    for (uint64_t skip = 1; skip <= syncs; skip++) {
        unsigned lost = 0;
        uint64_t ignored;
        for (uint64_t seed = 0; seed < 32; seed++)
            lost += !replacement_is_durable(skip, seed, &ignored);
        assert_true(lost > 0);
    }
}

static void every_failure_leaves_old_or_new(void **state) {
    (void)state;
    static const enum err kinds[] = {ERR_IO, ERR_FULL};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        unsigned failures = 0;
        for (uint64_t n = 1;; n++) {
            struct disk *disk = disk_sim_new();
            OK(disk_replace(disk, "f", VIEW("old")));
            disk_sim_fail_at(disk, n, kinds[k]);
            enum err err = disk_replace(disk, "f", VIEW("new"));
            disk_sim_fail_at(disk, 0, ERR_OK);
            for (uint64_t seed = 0; seed < 16; seed++) {
                struct random_seeded rs;
                random_seeded_init(&rs, seed);
                struct disk *after = disk_sim_power_cut(disk, &rs.random);
                assert_true(holds(after, "f", VIEW("new")) || (err != ERR_OK && holds(after, "f", VIEW("old"))));
                disk_free(after);
            }
            /* It is no worse off than before: the next one works. */
            OK(disk_replace(disk, "f", VIEW("next")));
            assert_true(holds(disk, "f", VIEW("next")));
            disk_free(disk);
            if (err == ERR_OK)
                break;
            assert_int_equal(err, kinds[k]);
            failures++;
        }
        assert_true(failures >= (kinds[k] == ERR_FULL ? 2 : 5));
    }
}

static void a_failed_sync_does_not_come_true_later(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    struct file *file = make(disk, "f");
    OK(file_write(file, VIEW("1"), 0));
    OK(disk_sync_dir(disk, "."));
    disk_sim_fail_at(disk, 1, ERR_IO);
    assert_int_equal(file_sync(file, false), ERR_IO);
    OK(file_write(file, VIEW("2"), 1));
    OK(file_sync(file, false));
    assert_true(holds(disk, "f", VIEW("12")));
    struct disk *after = disk_sim_power_cut(disk, NULL);
    assert_true(holds(after, "f",
                      VIEW("\0"
                           "2")));
    disk_free(after);
    file_unref(file);
    disk_free(disk);
}

static void a_failed_write_is_torn(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    struct file *file = make(disk, "f");
    uint8_t octets[DISK_SIM_SECTOR * 4] = {0};
    uint64_t size;
    disk_sim_fail_at(disk, 1, ERR_FULL);
    assert_int_equal(file_write(file, view_of(octets, sizeof(octets)), 0), ERR_FULL);
    OK(file_size(file, &size));
    assert_int_equal(size, DISK_SIM_SECTOR * 2);
    file_unref(file);
    disk_free(disk);
}

static void a_full_disk(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    struct file *file = make(disk, "f"), *other;
    uint64_t bytes;
    OK(file_write(file, VIEW("abc"), 0));
    disk_sim_full(disk, true);
    assert_int_equal(file_write(file, VIEW("d"), 3), ERR_FULL);
    assert_int_equal(file_truncate(file, 4), ERR_FULL);
    assert_int_equal(disk_mkdir(disk, "d"), ERR_FULL);
    assert_int_equal(disk_open(disk, "g", DISK_WRITE | DISK_CREATE, &other), ERR_FULL);
    assert_int_equal(disk_open(disk, ".", DISK_WRITE | DISK_TEMPORARY, &other), ERR_FULL);
    OK(disk_free_bytes(disk, &bytes));
    assert_int_equal(bytes, 0);
    OK(file_write(file, VIEW("X"), 1));
    OK(file_truncate(file, 2));
    OK(disk_rename(disk, "f", "h"));
    assert_true(holds(disk, "h", VIEW("aX")));
    OK(disk_remove(disk, "h"));
    disk_sim_full(disk, false);
    OK(disk_mkdir(disk, "d"));
    file_unref(file);
    disk_free(disk);
}

static void a_dead_role_touches_nothing(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new(), *role, *inner, *other;
    OK(disk_mkdir(disk, "d"));
    OK(disk_mkdir(disk, "d/e"));
    OK(disk_sub(disk, "d", &role));
    OK(disk_sub(role, "e", &inner));
    OK(disk_sub(disk, "d", &other));
    struct file *file = make(role, "f"), *deep = make(inner, "g"), *passed, *second;
    OK(file_write(file, VIEW("abc"), 0));
    OK(file_lock(file, true));
    OK(file_dup(file, &passed));
    OK(disk_open(other, "f", DISK_WRITE, &second));
    assert_int_equal(file_lock(second, true), ERR_AGAIN);
    disk_sim_dead(role, true);
    bool there;
    assert_int_equal(file_write(file, VIEW("x"), 0), ERR_IO);
    assert_int_equal(file_sync(file, true), ERR_IO);
    assert_int_equal(file_write(deep, VIEW("x"), 0), ERR_IO);
    assert_int_equal(disk_exists(role, "f", &there), ERR_IO);
    assert_int_equal(disk_exists(inner, "g", &there), ERR_IO);
    OK(file_lock(second, true)); /* the dead one's lock is gone */
    assert_true(holds(other, "f", VIEW("abc")));
    uint8_t octet;
    size_t got;
    OK(file_read(passed, &octet, 1, 2, &got)); /* what was passed on lives */
    assert_int_equal(octet, 'c');
    disk_sim_dead(disk, true);
    assert_int_equal(file_read(passed, &octet, 1, 2, &got), ERR_IO);
    assert_int_equal(disk_exists(other, "f", &there), ERR_IO);
    /* In any order: the storage lives as long as someone holds a part of it. */
    disk_free(disk);
    disk_free(role);
    disk_free(inner);
    file_unref(file);
    file_unref(second);
    disk_free(other);
    file_unref(passed);
    file_unref(deep);
}

static void locks_belong_to_the_open_file(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new();
    struct file *a = make(disk, "f"), *b = make(disk, "f"), *a2;
    OK(file_lock(a, false));
    OK(file_lock(b, false));
    assert_int_equal(file_lock(b, true), ERR_AGAIN);
    file_unref(file_ref(a));
    OK(file_dup(a, &a2));
    file_unref(a);
    assert_int_equal(file_lock(b, true), ERR_AGAIN); /* the duplicate still holds it */
    file_unref(a2);
    OK(file_lock(b, true));
    file_unref(b);
    disk_free(disk);
}

static void nameless_files_and_links(void **state) {
    (void)state;
    struct disk *disk = disk_sim_new(), *after;
    struct file *file;
    OK(disk_open(disk, ".", DISK_WRITE | DISK_TEMPORARY, &file));
    OK(file_write(file, VIEW("spool"), 0));
    OK(file_sync(file, false));
    OK(disk_mkdir(disk, "q"));
    OK(disk_sync_dir(disk, "."));
    OK(file_link(file, disk, "q/1"));
    assert_int_equal(file_link(file, disk, "q/1"), ERR_EXISTS);
    after = disk_sim_power_cut(disk, NULL);
    assert_false(is_there(after, "q/1"));
    disk_free(after);
    OK(disk_sync_dir(disk, "q"));
    OK(file_link(file, disk, "q/2"));
    OK(disk_sync_dir(disk, "q"));
    after = disk_sim_power_cut(disk, NULL);
    assert_true(holds(after, "q/1", VIEW("spool")));
    /* Two names are still one file. */
    struct file *one;
    OK(disk_open(after, "q/1", DISK_WRITE, &one));
    OK(file_write(one, VIEW("S"), 0));
    assert_true(holds(after, "q/2", VIEW("Spool")));
    file_unref(one);
    disk_free(after);
    file_unref(file);
    disk_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_synced_survives),
        cmocka_unit_test(names_need_their_directory_synced),
        cmocka_unit_test(unsynced_sectors_are_kept_or_lost),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(a_rename_is_one_thing),
        cmocka_unit_test(every_missing_sync_is_noticed),
        cmocka_unit_test(every_failure_leaves_old_or_new),
        cmocka_unit_test(a_failed_sync_does_not_come_true_later),
        cmocka_unit_test(a_failed_write_is_torn),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_dead_role_touches_nothing),
        cmocka_unit_test(locks_belong_to_the_open_file),
        cmocka_unit_test(nameless_files_and_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
