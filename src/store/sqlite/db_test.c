/* Schemas: making, migrating step by step, refusing what is newer, older than can be lifted, or not ours. */
#include "store/sqlite/db.h"
#include "store/sqlite/store_testing.h"

/* An artificial version 0 and what became of it. */
static const struct db_schema version_0 = {.application_id = 77,
                                           .version = 0,
                                           .oldest = 0,
                                           .create = "CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT);"};
static const struct db_migration steps[] = {
    {"ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 5; CREATE TABLE other(id INTEGER PRIMARY KEY);"},
    {"UPDATE thing SET size=size+length(name); INSERT INTO other VALUES(9);"},
};
static const struct db_schema version_2 = {.application_id = 77,
                                           .version = 2,
                                           .oldest = 0,
                                           .create =
                                               "CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT, size INTEGER);",
                                           .migrations = steps};
static const struct db_schema lifts_only_1 = {
    .application_id = 77, .version = 2, .oldest = 1, .create = "", .migrations = steps};
static const struct db_schema foreign = {
    .application_id = 78, .version = 2, .oldest = 0, .create = "", .migrations = steps};
static const struct db_schema broken = {
    .application_id = 77,
    .version = 1,
    .oldest = 0,
    .create = "",
    .migrations = (const struct db_migration[]){{"CREATE TABLE extra(id); CREATE TABLE thing(id);"}}};

static enum err fill(void *ctx, struct db *db) {
    (void)ctx;
    return db_run(db, "INSERT INTO thing(id, name) VALUES(1, 'abc')", "");
}

struct setup {
    struct disk *disk;
    struct virtual_clock clock;
    struct random_seeded random;
};

static enum err open_db(struct setup *s, const struct db_schema *schema, struct db **db) {
    return db_open(s->disk, "x.db", &s->clock.clock, &s->random.random, schema, fill, NULL, db);
}

static void migrates(void **state) {
    (void)state;
    struct setup s = {.disk = disk_sim_new()};
    struct db *db;
    int64_t value;
    virtual_clock_init(&s.clock, TEST_WALL_US);
    random_seeded_init(&s.random, 1);
    assert_int_equal(open_db(&s, &version_0, &db), ERR_OK);
    db_close(db);
    assert_int_equal(open_db(&s, &foreign, &db), ERR_PERMANENT);
    assert_int_equal(open_db(&s, &lifts_only_1, &db), ERR_PERMANENT);
    /* A step that fails leaves all as it was. */
    assert_int_not_equal(open_db(&s, &broken, &db), ERR_OK);
    assert_int_equal(open_db(&s, &version_0, &db), ERR_OK);
    assert_int_equal(db_get(db, &value, "SELECT count(*) FROM sqlite_schema", ""), ERR_OK);
    assert_int_equal(value, 1);
    db_close(db);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(open_db(&s, &version_2, &db), ERR_OK);
        assert_int_equal(db_get(db, &value, "SELECT size FROM thing WHERE id=1", ""), ERR_OK);
        assert_int_equal(value, 8);
        assert_int_equal(db_get(db, &value, "SELECT count(*) FROM other", ""), ERR_OK);
        assert_int_equal(value, 1);
        db_close(db);
    }
    /* Newer than this program: refused, untouched. */
    assert_int_equal(open_db(&s, &version_0, &db), ERR_PERMANENT);
    disk_free(s.disk);
}

/* The power goes at each operation of a migration: it is done, or not at all, step by step; and then it goes on. */
static void power_cut_in_migration(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct setup s = {.disk = disk_sim_new()};
        struct db *db;
        int64_t value;
        virtual_clock_init(&s.clock, TEST_WALL_US);
        random_seeded_init(&s.random, n);
        assert_int_equal(open_db(&s, &version_0, &db), ERR_OK);
        db_close(db);
        disk_sim_fail_at(s.disk, n, ERR_IO);
        enum err err = open_db(&s, &version_2, &db);
        struct disk *found = disk_sim_power_cut(s.disk, &s.random.random);
        disk_sim_dead(s.disk, true);
        if (err == ERR_OK)
            db_close(db);
        disk_free(s.disk);
        s.disk = found;
        assert_int_equal(open_db(&s, &version_2, &db), ERR_OK);
        assert_int_equal(db_get(db, &value, "SELECT size FROM thing WHERE id=1", ""), ERR_OK);
        assert_int_equal(value, 8);
        db_close(db);
        disk_free(s.disk);
        if (err == ERR_OK) {
            assert_true(n > 10);
            return;
        }
    }
}

/* The settings that a new database gets, and that opening it again costs no sync. */
static void settings(void **state) {
    (void)state;
    static const struct {
        const char *sql;
        int64_t want;
    } want[] = {{"PRAGMA page_size", 2048},
                {"PRAGMA auto_vacuum", 2},
                {"PRAGMA synchronous", 2},
                {"PRAGMA wal_autocheckpoint", 0}};
    struct setup s = {.disk = disk_sim_new()};
    struct db *db;
    int64_t value;
    virtual_clock_init(&s.clock, TEST_WALL_US);
    random_seeded_init(&s.random, 1);
    assert_int_equal(open_db(&s, &version_0, &db), ERR_OK);
    db_close(db);
    uint64_t before = disk_sim_syncs(s.disk);
    assert_int_equal(open_db(&s, &version_0, &db), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(db_get(db, &value, want[i].sql, ""), ERR_OK);
        assert_int_equal(value, want[i].want);
    }
    db_close(db);
    assert_int_equal(disk_sim_syncs(s.disk), before);
    disk_free(s.disk);
}

static void damage_is_refused(void **state) {
    (void)state;
    struct fixture f;
    struct file *file;
    struct account *account;
    fixture_open(&f, disk_sim_new());
    fixture_disconnect(&f);
    assert_int_equal(disk_open(f.disk, "account.db", DISK_READ | DISK_WRITE, &file), ERR_OK);
    assert_int_equal(file_write(file, VIEW("this is no database, whatever its name says"), 0), ERR_OK);
    file_unref(file);
    assert_int_equal(sqlite_account_open(&f.params, &account), ERR_PERMANENT);
    fixture_fini(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(settings), cmocka_unit_test(migrates),
                                       cmocka_unit_test(power_cut_in_migration), cmocka_unit_test(damage_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
