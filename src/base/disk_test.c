/* The disk interface: the same steps on the machine's files and on the simulated disk must give the same. */
#include "base/disk_sim.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call) assert_int_equal((call), ERR_OK)

struct fixture {
    struct disk *disk;
    char path[64]; /* empty: simulated */
};

static int set_up_real(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    (void)snprintf(f->path, sizeof(f->path), "/tmp/disk_test.XXXXXX");
    if (mkdtemp(f->path) == NULL)
        return -1;
    f->disk = disk_new_fd(open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    *state = f;
    return 0;
}

static int set_up_simulated(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    f->disk = disk_sim_new();
    *state = f;
    return 0;
}

struct emptying {
    struct disk *disk;
    const char *path;
};

static enum err empty_each(void *ctx, struct view name) {
    const struct emptying *e = ctx;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%.*s", e->path, VIEW_FMT(name));
    if (disk_remove(e->disk, path) == ERR_OK)
        return ERR_OK;
    struct emptying inner = {e->disk, path};
    TRY(disk_list(e->disk, path, empty_each, &inner));
    return disk_remove(e->disk, path);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    struct emptying e = {f->disk, "."};
    int failed = disk_list(f->disk, ".", empty_each, &e) != ERR_OK;
    if (f->path[0] != '\0' && rmdir(f->path) != 0)
        failed = 1;
    disk_free(f->disk);
    free(f);
    return failed;
}

static bool holds(struct disk *disk, const char *path, struct view content) {
    struct buf buf;
    buf_init(&buf, 1 << 20);
    bool same = disk_read_all(disk, path, 1 << 20, &buf) == ERR_OK && view_eq(buf_view(&buf), content);
    buf_fini(&buf);
    return same;
}

static void files(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    struct file *file, *other;
    uint8_t octets[16];
    size_t got = 99;
    uint64_t size;
    assert_int_equal(disk_open(disk, "f", DISK_READ, &file), ERR_NOT_FOUND);
    assert_int_equal(disk_open(disk, "f", DISK_WRITE, &file), ERR_NOT_FOUND);
    assert_int_equal(disk_open(disk, "f", DISK_READ | DISK_CREATE, &file), ERR_BUG);
    OK(disk_open(disk, "f", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file));
    assert_int_equal(disk_open(disk, "f", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &other), ERR_EXISTS);
    OK(file_write(file, VIEW("abc"), 0));
    OK(file_write(file, VIEW("x\0y"), 5));
    OK(file_write(file, VIEW_NONE, 100));
    OK(file_size(file, &size));
    assert_int_equal(size, 8);
    OK(file_read(file, octets, sizeof(octets), 1, &got));
    assert_int_equal(got, 7);
    assert_memory_equal(octets, "bc\0\0x\0y", 7);
    OK(file_read(file, octets, sizeof(octets), 8, &got));
    assert_int_equal(got, 0);
    OK(file_read(file, octets, 2, 0, &got));
    assert_int_equal(got, 2);
    OK(file_truncate(file, 2));
    OK(file_truncate(file, 4));
    assert_true(holds(disk, "f", VIEW("ab\0\0")));
    OK(file_sync(file, true));
    OK(file_sync(file, false));
    assert_int_equal(disk->writes, 3);
    assert_int_equal(disk->written_bytes, 6);
    assert_int_equal(disk->syncs, 2);
    OK(disk_open(disk, "f", DISK_READ, &other));
    assert_int_equal(file_write(other, VIEW("z"), 0), ERR_BUG);
    file_unref(other);
    OK(disk_open(disk, "f", DISK_WRITE | DISK_TRUNCATE, &other));
    file_unref(other);
    OK(file_size(file, &size));
    assert_int_equal(size, 0);
    file_unref(file_ref(file));
    file_unref(file);
    file_unref(NULL);
}

static enum err collect(void *ctx, struct view name) {
    struct buf *names = ctx;
    if (view_eq(name, VIEW("stop")))
        return ERR_CANCELED;
    buf_put(names, name);
    buf_put_byte(names, ' ');
    return ERR_OK;
}

static void directories(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    struct disk *sub;
    struct file *file;
    bool there = true;
    OK(disk_exists(disk, "d", &there));
    assert_false(there);
    OK(disk_mkdir(disk, "d"));
    assert_int_equal(disk_mkdir(disk, "d"), ERR_EXISTS);
    assert_int_equal(disk_mkdir(disk, "x/y"), ERR_NOT_FOUND);
    OK(disk_mkdir(disk, "d/e"));
    OK(disk_exists(disk, "d/e", &there));
    assert_true(there);
    OK(disk_open(disk, "d/f", DISK_WRITE | DISK_CREATE, &file));
    file_unref(file);
    assert_int_equal(disk_remove(disk, "d"), ERR_EXISTS); /* not empty */
    assert_int_equal(disk_remove(disk, "nothing"), ERR_NOT_FOUND);
    assert_int_equal(disk_sub(disk, "nothing", &sub), ERR_NOT_FOUND);
    assert_int_equal(disk_sub(disk, "d/f", &sub), ERR_NOT_FOUND);
    OK(disk_sub(disk, "d", &sub));
    OK(disk_rename(sub, "f", "e/g"));
    assert_int_equal(disk_rename(sub, "f", "h"), ERR_NOT_FOUND);
    OK(disk_exists(disk, "d/e/g", &there));
    assert_true(there);
    OK(disk_sync_dir(sub, "."));
    OK(disk_sync_dir(disk, "d/e"));
    assert_int_equal(disk_sync_dir(disk, "d/e/g"), ERR_NOT_FOUND);

    struct buf names;
    buf_init(&names, 1000);
    OK(disk_list(sub, ".", collect, &names));
    assert_true(view_eq(buf_view(&names), VIEW("e ")));
    OK(disk_mkdir(sub, "stop"));
    assert_int_equal(disk_list(sub, ".", collect, &names), ERR_CANCELED);
    assert_int_equal(disk_list(sub, "nothing", collect, &names), ERR_NOT_FOUND);
    buf_fini(&names);
    uint64_t bytes;
    OK(disk_free_bytes(sub, &bytes));
    assert_true(bytes > 0);
    /* A file outlives the disk it was opened through. */
    OK(disk_open(sub, "e/g", DISK_WRITE, &file));
    disk_free(sub);
    OK(file_write(file, VIEW("late"), 0));
    file_unref(file);
    assert_true(holds(disk, "d/e/g", VIEW("late")));
}

static void paths_that_lead_out(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    static const char *const bad[] = {"", "/", "/etc/passwd", "..", "../x", "d/../..", "d/", "d/.."};
    OK(disk_mkdir(disk, "d"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct file *file;
        struct disk *sub;
        bool there;
        assert_int_equal(disk_open(disk, bad[i], DISK_READ, &file), ERR_BUG);
        assert_int_equal(disk_exists(disk, bad[i], &there), ERR_BUG);
        assert_int_equal(disk_remove(disk, bad[i]), ERR_BUG);
        assert_int_equal(disk_rename(disk, "d", bad[i]), ERR_BUG);
        assert_int_equal(disk_sub(disk, bad[i], &sub), ERR_BUG);
    }
    assert_int_equal(disk_remove(disk, "d"), ERR_OK);
}

static void whole_files(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    struct buf buf;
    bool there;
    buf_init(&buf, 100);
    OK(disk_mkdir(disk, "d"));
    uint64_t before = disk->syncs;
    OK(disk_replace(disk, "d/f", VIEW("one")));
    assert_int_equal(disk->syncs - before, 2); /* the file and its directory */
    OK(disk_replace(disk, "d/f", VIEW("two\0")));
    assert_true(holds(disk, "d/f", VIEW("two\0")));
    OK(disk_exists(disk, "d/f.new~", &there));
    assert_false(there);
    buf_put_str(&buf, "before ");
    OK(disk_read_all(disk, "d/f", 4, &buf));
    assert_true(view_eq(buf_view(&buf), VIEW("before two\0")));
    assert_int_equal(disk_read_all(disk, "d/f", 3, &buf), ERR_LIMIT);
    assert_int_equal(disk_read_all(disk, "nothing", 3, &buf), ERR_NOT_FOUND);
    assert_int_equal(disk_replace(disk, "x/f", VIEW("one")), ERR_NOT_FOUND);
    OK(disk_replace(disk, "top", VIEW("")));
    assert_true(holds(disk, "top", VIEW("")));
    buf_fini(&buf);
    buf_init(&buf, 2);
    assert_int_equal(disk_read_all(disk, "d/f", 100, &buf), ERR_LIMIT);
    buf_fini(&buf);
}

static void nameless_files(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    struct file *file, *again;
    struct buf names;
    OK(disk_open(disk, ".", DISK_WRITE | DISK_TEMPORARY | DISK_CREATE, &file));
    OK(file_write(file, VIEW("spool"), 0));
    buf_init(&names, 100);
    OK(disk_list(disk, ".", collect, &names));
    assert_int_equal(names.n, 0);
    buf_fini(&names);
    OK(file_link(file, disk, "f"));
    assert_true(holds(disk, "f", VIEW("spool")));
    assert_int_equal(file_link(file, disk, "f"), ERR_EXISTS);
    OK(file_write(file, VIEW("S"), 0)); /* it is that file still */
    assert_true(holds(disk, "f", VIEW("Spool")));
    OK(file_dup(file, &again));
    file_unref(file);
    OK(file_write(again, VIEW("P"), 1));
    assert_null(again->disk);
    file_unref(again);
    assert_true(holds(disk, "f", VIEW("SPool")));
}

static void locks(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    struct file *a, *b, *again;
    OK(disk_open(disk, "l", DISK_WRITE | DISK_CREATE, &a));
    OK(disk_open(disk, "l", DISK_WRITE, &b));
    OK(file_lock(a, true));
    OK(file_lock(a, true));
    assert_int_equal(file_lock(b, true), ERR_AGAIN);
    assert_int_equal(file_lock(b, false), ERR_AGAIN);
    OK(file_lock(a, false));
    OK(file_lock(b, false));
    assert_int_equal(file_lock(b, true), ERR_AGAIN);
    OK(file_dup(a, &again));
    file_unref(a);
    assert_int_equal(file_lock(b, true), ERR_AGAIN);
    file_unref(again);
    OK(file_lock(b, true));
    file_unref(b);
}

static void memory_and_descriptors(void **state) {
    (void)state;
    struct file *file, *same;
    uint8_t octets[8];
    size_t got;
    OK(file_new_memory("test", &file));
    OK(file_write(file, VIEW("memory"), 0));
    assert_true(file_fd(file) >= 0);
    same = file_new_fd(dup(file_fd(file)));
    file_unref(file);
    OK(file_read(same, octets, sizeof(octets), 0, &got));
    assert_int_equal(got, 6);
    assert_memory_equal(octets, "memory", 6);
    OK(file_sync(same, true));
    file_unref(same);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    file = file_new_fd(fds[0]);
    assert_int_not_equal(file_read(file, octets, 1, 0, &got), ERR_OK); /* not a file that can be read at an offset */
    file_unref(file);
    (void)close(fds[1]);
    disk_free(NULL);
}

/* A process without /proc and rights links by copying; a file in memory is on another file system and must, too. */
static void linking_across_file_systems(void **state) {
    struct disk *disk = ((struct fixture *)*state)->disk;
    struct file *file;
    uint8_t big[200000];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 31 >> 3);
    OK(file_new_memory("test", &file));
    OK(file_write(file, view_of(big, sizeof(big)), 0));
    OK(file_link(file, disk, "f"));
    assert_true(holds(disk, "f", view_of(big, sizeof(big))));
    big[0] = 'X';
    OK(file_write(file, VIEW("X"), 0));
    assert_true(holds(disk, "f", view_of(big, sizeof(big))));
    assert_int_equal(file_link(file, disk, "f"), ERR_EXISTS);
    file_unref(file);
    OK(file_new_memory("test", &file));
    assert_int_equal(file_link(file, disk, "f"), ERR_EXISTS);
    file_unref(file);
    bool there;
    OK(disk_exists(disk, "f.link~", &there));
    assert_false(there);
}

static void symbolic_links_are_not_followed(void **state) {
    struct fixture *f = *state;
    struct file *file;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/link", f->path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(disk_open(f->disk, "link", DISK_READ, &file), ERR_DENIED);
    (void)snprintf(path, sizeof(path), "%s/f", f->path);
    OK(disk_open(f->disk, "f", DISK_WRITE | DISK_CREATE, &file));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    file_unref(file);
}

/* What a directory tree is: every name in order, files with their content. */
static enum err collect_sorted(void *ctx, struct view name) {
    struct buf *names = ctx;
    BUG_IF(name.n != 1);
    buf_put(names, name);
    return ERR_OK;
}

static int by_octet(const void *a, const void *b) {
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static void describe(struct disk *disk, const char *path, struct buf *out) {
    struct buf names;
    buf_init(&names, 100);
    if (disk_list(disk, path, collect_sorted, &names) == ERR_OK) {
        buf_put_byte(out, '{');
        if (names.n > 0)
            qsort(names.p, names.n, 1, by_octet);
        for (size_t i = 0; i < names.n; i++) {
            char inner[64];
            (void)snprintf(inner, sizeof(inner), "%s/%c", path, names.p[i]);
            buf_put_byte(out, names.p[i]);
            describe(disk, inner, out);
        }
        buf_put_byte(out, '}');
    } else {
        buf_put_byte(out, '=');
        OK(disk_read_all(disk, path, 1000, out));
        buf_put_byte(out, ';');
    }
    buf_fini(&names);
}

static enum err one_step(struct disk *disk, unsigned kind, const char *a, const char *b, uint64_t number) {
    struct file *file;
    switch (kind) {
    case 0:
        return disk_mkdir(disk, a);
    case 1:
        return disk_remove(disk, a);
    case 2:
        return disk_rename(disk, a, b);
    case 3:
        return disk_replace(disk, a, VIEW("replaced"));
    case 4:
        TRY(disk_open(disk, ".", DISK_WRITE | DISK_TEMPORARY, &file));
        break;
    default:
        TRY(disk_open(disk, a,
                      DISK_WRITE | (kind == 5   ? DISK_CREATE
                                    : kind == 6 ? DISK_CREATE | DISK_EXCLUSIVE
                                                : 0),
                      &file));
    }
    enum err err = file_write(file, VIEW("text"), number % 50);
    if (err == ERR_OK && number % 7 == 0)
        err = file_truncate(file, number % 30);
    if (err == ERR_OK && kind == 4)
        err = file_link(file, disk, a);
    file_unref(file);
    return err;
}

/* The simulated disk is worth nothing unless it does what the real one does. */
static void the_same_steps_have_the_same_end(void **state) {
    struct disk *real = ((struct fixture *)*state)->disk, *simulated = disk_sim_new();
    struct random_seeded rs;
    random_seeded_init(&rs, 2);
    unsigned done = 0;
    for (unsigned step = 0; step < 1500; step++) {
        char paths[2][8];
        for (size_t i = 0; i < 2; i++) {
            char x = (char)('a' + random_below(&rs.random, 3)), y = (char)('a' + random_below(&rs.random, 3));
            (void)snprintf(paths[i], sizeof(paths[i]), random_below(&rs.random, 2) ? "%c" : "%c/%c", x, y);
        }
        unsigned kind = (unsigned)random_below(&rs.random, 8);
        uint64_t number = random_u64(&rs.random);
        enum err expected = one_step(real, kind, paths[0], paths[1], number);
        enum err found = one_step(simulated, kind, paths[0], paths[1], number);
        if (expected != found)
            fail_msg("step %u kind %u %s %s: %s, simulated %s", step, kind, paths[0], paths[1], err_name(expected),
                     err_name(found));
        done += expected == ERR_OK;
        struct buf a, b;
        buf_init(&a, 100000);
        buf_init(&b, 100000);
        describe(real, ".", &a);
        describe(simulated, ".", &b);
        assert_true(view_eq(buf_view(&a), buf_view(&b)));
        buf_fini(&a);
        buf_fini(&b);
    }
    assert_true(done > 200);
    disk_free(simulated);
}

int main(void) {
#define BOTH(test)                                                    \
    {#test " (real)", test, set_up_real, tear_down, NULL}, {          \
#test " (simulated)", test, set_up_simulated, tear_down, NULL \
    }
    const struct CMUnitTest tests[] = {
        BOTH(files),
        BOTH(directories),
        BOTH(paths_that_lead_out),
        BOTH(whole_files),
        BOTH(nameless_files),
        BOTH(locks),
        cmocka_unit_test(memory_and_descriptors),
        cmocka_unit_test_setup_teardown(linking_across_file_systems, set_up_real, tear_down),
        cmocka_unit_test_setup_teardown(the_same_steps_have_the_same_end, set_up_real, tear_down),
        cmocka_unit_test_setup_teardown(symbolic_links_are_not_followed, set_up_real, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
