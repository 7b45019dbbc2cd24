/* The directory's store: every call, its refusals, and what a new opening finds. */
#include "store/directory.h"
#include "store/sqlite/db.h"
#include "store/sqlite/store_testing.h"

struct setup {
    struct disk *disk;
    struct virtual_clock clock;
    struct random_seeded random;
    struct arena *arena;
    struct directory_store *store;
};

static void open_store(struct setup *s) {
    assert_int_equal(directory_store_open(s->disk, &s->clock.clock, &s->random.random, &s->store), ERR_OK);
}

static void begin(struct setup *s) {
    *s = (struct setup){.disk = disk_sim_new(), .arena = arena_new("test", 1 << 24)};
    virtual_clock_init(&s->clock, TEST_WALL_US);
    random_seeded_init(&s->random, 3);
    open_store(s);
}

/* Whatever was answered with ERR_OK survives a power cut. */
static void power_cut(struct setup *s) {
    struct disk *found = disk_sim_power_cut(s->disk, NULL);
    disk_sim_dead(s->disk, true);
    directory_store_close(s->store);
    disk_free(s->disk);
    s->disk = found;
    open_store(s);
}

static void end(struct setup *s) {
    directory_store_close(s->store);
    disk_free(s->disk);
    arena_free(s->arena);
}

static void domains_and_accounts(void **state) {
    (void)state;
    struct setup s;
    uint64_t id, other;
    struct account_row row, again;
    begin(&s);
    assert_int_equal(directory_domain_add(s.store, VIEW("example.org"), &id), ERR_OK);
    assert_int_equal(directory_domain_add(s.store, VIEW("EXAMPLE.org"), &other), ERR_EXISTS);
    assert_int_equal(directory_account_add(s.store, VIEW("bob@example.net"), s.arena, &row), ERR_NOT_FOUND);
    assert_int_equal(directory_account_add(s.store, VIEW("bob"), s.arena, &row), ERR_SYNTAX);
    assert_int_equal(directory_account_add(s.store, VIEW("bob@example.org"), s.arena, &row), ERR_OK);
    assert_int_equal(directory_account_add(s.store, VIEW("Bob@Example.org"), s.arena, &again), ERR_EXISTS);
    power_cut(&s);
    assert_int_equal(directory_account_get(s.store, VIEW("BOB@example.org"), s.arena, &again), ERR_OK);
    assert_true(record_equal(&account_row_record, &row, &again));
    assert_int_equal(directory_account_set_disabled(s.store, row.id, true), ERR_OK);
    assert_int_equal(directory_account_get_id(s.store, row.id, s.arena, &again), ERR_OK);
    assert_true(again.disabled);
    assert_int_equal(directory_account_set_disabled(s.store, 99, true), ERR_NOT_FOUND);
    assert_int_equal(directory_domain_remove(s.store, VIEW("example.org")), ERR_DENIED);
    assert_int_equal(directory_account_remove(s.store, row.id), ERR_OK);
    assert_int_equal(directory_account_remove(s.store, row.id), ERR_NOT_FOUND);
    assert_int_equal(directory_account_add(s.store, VIEW("bob@example.org"), s.arena, &again), ERR_OK);
    assert_true(again.id > row.id);
    assert_false(view_eq(again.directory, row.directory));
    assert_int_equal(directory_account_remove(s.store, again.id), ERR_OK);
    assert_int_equal(directory_domain_remove(s.store, VIEW("example.org")), ERR_OK);
    struct domain_row *rows;
    size_t n = 9;
    assert_int_equal(directory_domain_list(s.store, s.arena, &rows, &n), ERR_OK);
    assert_int_equal(n, 0);
    end(&s);
}

static void verifiers_aliases_keys(void **state) {
    (void)state;
    struct setup s;
    uint64_t id;
    struct account_row row;
    struct scram_verifier verifiers[] = {
        {.mechanism = 1,
         .iterations = 4096,
         .salt = VIEW("s\0lt"),
         .stored_key = VIEW("stored"),
         .server_key = VIEW("server")},
        {.mechanism = 0, .iterations = 9, .salt = VIEW("a"), .stored_key = VIEW("b"), .server_key = VIEW("c")}};
    struct scram_verifier *found;
    size_t n;
    begin(&s);
    assert_int_equal(directory_domain_add(s.store, VIEW("example.org"), &id), ERR_OK);
    assert_int_equal(directory_account_add(s.store, VIEW("bob@example.org"), s.arena, &row), ERR_OK);
    assert_int_equal(directory_account_set_verifiers(s.store, row.id, verifiers, 2), ERR_OK);
    power_cut(&s);
    assert_int_equal(directory_account_verifiers(s.store, row.id, s.arena, &found, &n), ERR_OK);
    assert_int_equal(n, 2);
    assert_true(record_equal(&scram_verifier_record, &found[1], &verifiers[0]));
    assert_int_equal(directory_account_set_verifiers(s.store, row.id, verifiers, 1), ERR_OK);
    assert_int_equal(directory_account_verifiers(s.store, row.id, s.arena, &found, &n), ERR_OK);
    assert_int_equal(n, 1);
    struct alias_target targets[] = {{VIEW("bob@example.org")}, {VIEW("x@elsewhere.example")}};
    struct alias_row alias, *aliases;
    assert_int_equal(directory_alias_add(s.store, VIEW("bob@example.org"), targets, 2), ERR_EXISTS);
    assert_int_equal(directory_alias_add(s.store, VIEW("info@example.org"), targets, 0), ERR_SYNTAX);
    assert_int_equal(directory_alias_add(s.store, VIEW("info@example.org"), targets, 2), ERR_OK);
    assert_int_equal(directory_account_add(s.store, VIEW("info@example.org"), s.arena, &row), ERR_EXISTS);
    power_cut(&s);
    assert_int_equal(directory_alias_get(s.store, VIEW("INFO@example.org"), s.arena, &alias), ERR_OK);
    assert_int_equal(alias.targets_n, 2);
    assert_view(alias.targets[1].address, targets[1].address);
    assert_int_equal(directory_alias_list(s.store, s.arena, &aliases, &n), ERR_OK);
    assert_int_equal(n, 1);
    bool is_member = false;
    assert_int_equal(directory_alias_has_target(s.store, VIEW("x@elsewhere.example"), &is_member), ERR_OK);
    assert_true(is_member);
    const struct view others[] = {VIEW("X@elsewhere.example"), VIEW("x@elsewhere.exampl"), VIEW("info@example.org"),
                                  VIEW_NONE, VIEW("x@elsewhere.example\0")};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(directory_alias_has_target(s.store, others[i], &is_member), ERR_OK);
        assert_false(is_member);
    }
    assert_int_equal(directory_alias_remove(s.store, VIEW("info@example.org")), ERR_OK);
    assert_int_equal(directory_alias_has_target(s.store, VIEW("x@elsewhere.example"), &is_member), ERR_OK);
    assert_false(is_member);
    assert_int_equal(directory_alias_remove(s.store, VIEW("info@example.org")), ERR_NOT_FOUND);
    struct domain_key key = {VIEW("example.org"), VIEW("s1"), VIEW("ed25519"), VIEW("\x30\x00")}, *keys;
    assert_int_equal(directory_key_add(s.store, &key), ERR_OK);
    assert_int_equal(directory_key_add(s.store, &key), ERR_EXISTS);
    power_cut(&s);
    assert_int_equal(directory_key_list(s.store, VIEW("example.org"), s.arena, &keys, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_true(record_equal(&domain_key_record, &keys[0], &key));
    end(&s);
}

/* A directory.db of version 1, before members were looked up by their address: lifted, and nothing lost. */
static void from_version_1(void **state) {
    (void)state;
    static const struct db_schema first = {
        .application_id = 0x56724469,
        .version = 1,
        .oldest = 1,
        .create = "CREATE TABLE alias_target(alias INTEGER NOT NULL, position INTEGER NOT NULL, address TEXT NOT NULL,"
                  " PRIMARY KEY(alias, position)) WITHOUT ROWID;"
                  "INSERT INTO alias_target VALUES(1, 0, 'x@elsewhere.example');"};
    struct setup s = {.disk = disk_sim_new(), .arena = arena_new("test", 1 << 24)};
    virtual_clock_init(&s.clock, TEST_WALL_US);
    random_seeded_init(&s.random, 3);
    struct db *db;
    int64_t n;
    bool found = false;
    assert_int_equal(db_open(s.disk, "directory.db", &s.clock.clock, &s.random.random, &first, NULL, NULL, &db),
                     ERR_OK);
    db_close(db);
    open_store(&s);
    assert_int_equal(directory_alias_has_target(s.store, VIEW("x@elsewhere.example"), &found), ERR_OK);
    assert_true(found);
    power_cut(&s);
    directory_store_close(s.store);
    struct db_schema second = first;
    assert_int_equal(db_open(s.disk, "directory.db", &s.clock.clock, &s.random.random, &second, NULL, NULL, &db),
                     ERR_PERMANENT); /* newer than that program */
    second.version = 2;
    assert_int_equal(db_open(s.disk, "directory.db", &s.clock.clock, &s.random.random, &second, NULL, NULL, &db),
                     ERR_OK);
    assert_int_equal(
        db_get(db, &n, "SELECT count(*) FROM sqlite_master WHERE type='index' AND name='alias_target_address'", ""),
        ERR_OK);
    assert_int_equal(n, 1);
    db_close(db);
    open_store(&s);
    end(&s);
}

static void one_opener(void **state) {
    (void)state;
    struct setup s;
    struct directory_store *second;
    begin(&s);
    assert_int_equal(directory_store_open(s.disk, &s.clock.clock, &s.random.random, &second), ERR_AGAIN);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(domains_and_accounts), cmocka_unit_test(verifiers_aliases_keys),
                                       cmocka_unit_test(from_version_1), cmocka_unit_test(one_opener)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
