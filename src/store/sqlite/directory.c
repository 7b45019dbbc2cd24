/* The directory's tables: domains, accounts, addresses, verifiers, keys. One transaction and one fsync a change. */
#include "store/directory.h"

#include "store/sqlite/db.h"

#include <stdio.h>
#include <stdlib.h>

/* Ids are never used again (AUTOINCREMENT). Addresses and domains compare without ASCII case: mail for Bob@ is bob's. */
#define ALIAS_TARGET_INDEX "CREATE INDEX alias_target_address ON alias_target(address);"
static const char schema_sql[] =
    "CREATE TABLE domain(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE COLLATE NOCASE, created_us "
    "INTEGER NOT NULL);"
    "CREATE TABLE account(id INTEGER PRIMARY KEY AUTOINCREMENT, directory TEXT NOT NULL UNIQUE, domain INTEGER NOT NULL"
    " REFERENCES domain(id), address TEXT NOT NULL UNIQUE COLLATE NOCASE, disabled INTEGER NOT NULL, quota_octets "
    "INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL);"
    "CREATE INDEX account_domain ON account(domain);"
    "CREATE TABLE alias(id INTEGER PRIMARY KEY AUTOINCREMENT, domain INTEGER NOT NULL REFERENCES domain(id),"
    " address TEXT NOT NULL UNIQUE COLLATE NOCASE, created_us INTEGER NOT NULL);"
    "CREATE INDEX alias_domain ON alias(domain);"
    "CREATE TABLE alias_target(alias INTEGER NOT NULL REFERENCES alias(id), position INTEGER NOT NULL, address TEXT "
    "NOT NULL,"
    " PRIMARY KEY(alias, position)) WITHOUT ROWID;" ALIAS_TARGET_INDEX
    "CREATE TABLE verifier(account INTEGER NOT NULL REFERENCES account(id), mechanism INTEGER NOT NULL, iterations "
    "INTEGER NOT NULL,"
    " salt BLOB NOT NULL, stored_key BLOB NOT NULL, server_key BLOB NOT NULL, PRIMARY KEY(account, mechanism)) WITHOUT "
    "ROWID;"
    "CREATE TABLE domain_key(domain INTEGER NOT NULL REFERENCES domain(id), selector TEXT NOT NULL COLLATE NOCASE,"
    " algorithm TEXT NOT NULL, key BLOB NOT NULL, created_us INTEGER NOT NULL, PRIMARY KEY(domain, selector)) WITHOUT "
    "ROWID;";

static const struct db_migration migrations[] = {
    {ALIAS_TARGET_INDEX}, /* 1 to 2 */
};

static const struct db_schema directory_schema = {
    .application_id = 0x56724469, /* "VrDi" */
    .version = 2,
    .oldest = 1,
    .create = schema_sql,
    .migrations = migrations,
};

struct directory_store {
    struct db *db;
    struct file *lock;
    struct clock *clock;
    struct random *random;
};

enum err directory_store_open(struct disk *disk, struct clock *clock, struct random *random,
                              struct directory_store **out) {
    struct directory_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return ERR_NO_MEMORY;
    store->clock = clock;
    store->random = random;
    enum err err = disk_open(disk, "directory.lock", DISK_READ | DISK_WRITE | DISK_CREATE, &store->lock);
    if (err == ERR_OK)
        err = file_lock(store->lock, true);
    if (err == ERR_OK)
        err = db_open(disk, "directory.db", clock, random, &directory_schema, NULL, NULL, &store->db);
    if (err != ERR_OK) {
        directory_store_close(store);
        return err;
    }
    *out = store;
    return ERR_OK;
}

void directory_store_close(struct directory_store *store) {
    if (store == NULL)
        return;
    db_close(store->db);
    file_unref(store->lock);
    free(store);
}

/* Ends a change: commits it, or undoes it. */
static enum err finish(struct directory_store *store, enum err err) {
    if (err != ERR_OK) {
        db_rollback(store->db);
        return err;
    }
    err = db_commit(store->db);
    (void)db_checkpoint(store->db, DB_CHECKPOINT_PAGES);
    return err;
}

static int64_t now_us(struct directory_store *store) {
    return store->clock->wall_us(store->clock);
}

/* ---- growing lists in an arena ---- */

struct rows {
    void *p;
    size_t n, cap, size;
};

static void *add_row(struct rows *rows, struct arena *arena) {
    if (rows->n == rows->cap) {
        size_t cap = rows->cap == 0 ? 8 : rows->cap * 2;
        void *p = arena_grow(arena, rows->p, rows->cap, cap, rows->size);
        if (p == NULL)
            return NULL;
        rows->p = p;
        rows->cap = cap;
    }
    return (uint8_t *)rows->p + rows->n++ * rows->size;
}

/* Steps a statement to its end, reading each row with `read`. */
static enum err collect(struct directory_store *store, sqlite3_stmt *stmt, struct arena *arena, struct rows *rows,
                        enum err (*read)(sqlite3_stmt *stmt, struct arena *arena, void *out)) {
    for (;;) {
        bool is_row;
        TRY(db_next(store->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        void *row = add_row(rows, arena);
        enum err err = row == NULL ? ERR_NO_MEMORY : read(stmt, arena, row);
        if (err != ERR_OK) {
            db_done(stmt);
            return err;
        }
    }
}

/* The first row, ERR_NOT_FOUND without one. */
static enum err read_one(struct directory_store *store, sqlite3_stmt *stmt, struct arena *arena, void *out,
                         enum err (*read)(sqlite3_stmt *stmt, struct arena *arena, void *out)) {
    bool is_row;
    TRY(db_next(store->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    enum err err = read(stmt, arena, out);
    db_done(stmt);
    return err;
}

/* ---- domains ---- */

static enum err find_domain(struct directory_store *store, struct view name, int64_t *id) {
    return db_get(store->db, id, "SELECT id FROM domain WHERE name=?", "t", name);
}

/* The domain of an address. ERR_SYNTAX, ERR_NOT_FOUND. */
static enum err domain_of(struct directory_store *store, struct view address, int64_t *id) {
    ssize_t at = view_rfind_byte(address, '@');
    if (at <= 0 || address.n > DIRECTORY_ADDRESS_MAX)
        return ERR_SYNTAX;
    return find_domain(store, view_skip(address, (size_t)at + 1), id);
}

static enum err read_domain(sqlite3_stmt *stmt, struct arena *arena, void *out) {
    struct domain_row *row = out;
    *row = (struct domain_row){.id = column_u64(stmt, 0), .created_us = column_i64(stmt, 2)};
    return arena_view(arena, column_view(stmt, 1), &row->name);
}

enum err directory_domain_add(struct directory_store *store, struct view name, uint64_t *id) {
    int64_t found;
    if (name.n == 0 || name.n > 255)
        return ERR_SYNTAX;
    enum err err = find_domain(store, name, &found);
    if (err != ERR_NOT_FOUND)
        return err == ERR_OK ? ERR_EXISTS : err;
    TRY(db_begin(store->db));
    err = db_get(store->db, &found, "INSERT INTO domain(name, created_us) VALUES(?, ?) RETURNING id", "ti", name,
                 now_us(store));
    TRY(finish(store, err));
    *id = (uint64_t)found;
    return ERR_OK;
}

enum err directory_domain_remove(struct directory_store *store, struct view name) {
    int64_t id, used;
    TRY(find_domain(store, name, &id));
    TRY(db_get(store->db, &used,
               "SELECT EXISTS(SELECT 1 FROM account WHERE domain=?1) OR EXISTS(SELECT 1 FROM alias WHERE domain=?1)",
               "i", id));
    if (used)
        return ERR_DENIED;
    TRY(db_begin(store->db));
    enum err err = db_run(store->db, "DELETE FROM domain_key WHERE domain=?", "i", id);
    if (err == ERR_OK)
        err = db_run(store->db, "DELETE FROM domain WHERE id=?", "i", id);
    return finish(store, err);
}

enum err directory_domain_get(struct directory_store *store, struct view name, struct arena *arena,
                              struct domain_row *out) {
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, "SELECT id, name, created_us FROM domain WHERE name=?", "t", name));
    return read_one(store, stmt, arena, out, read_domain);
}

enum err directory_domain_list(struct directory_store *store, struct arena *arena, struct domain_row **rows,
                               size_t *n) {
    struct rows list = {.size = sizeof(struct domain_row)};
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, "SELECT id, name, created_us FROM domain ORDER BY name", ""));
    TRY(collect(store, stmt, arena, &list, read_domain));
    *rows = list.p;
    *n = list.n;
    return ERR_OK;
}

/* ---- accounts ---- */

#define ACCOUNT_COLUMNS "SELECT id, directory, address, disabled, quota_octets, created_us FROM account"

static enum err read_account(sqlite3_stmt *stmt, struct arena *arena, void *out) {
    struct account_row *row = out;
    *row = (struct account_row){.id = column_u64(stmt, 0),
                                .disabled = column_i64(stmt, 3) != 0,
                                .quota_octets = column_u64(stmt, 4),
                                .created_us = column_i64(stmt, 5)};
    TRY(arena_view(arena, column_view(stmt, 1), &row->directory));
    return arena_view(arena, column_view(stmt, 2), &row->address);
}

static enum err is_address_free(struct directory_store *store, struct view address) {
    int64_t taken;
    TRY(db_get(store->db, &taken,
               "SELECT EXISTS(SELECT 1 FROM account WHERE address=?1) OR EXISTS(SELECT 1 FROM alias WHERE address=?1)",
               "t", address));
    return taken ? ERR_EXISTS : ERR_OK;
}

enum err directory_account_add(struct directory_store *store, struct view address, struct arena *arena,
                               struct account_row *out) {
    int64_t domain, id;
    char directory[20];
    TRY(domain_of(store, address, &domain));
    TRY(is_address_free(store, address));
    /* Random, so that the name of a removed account's directory never comes again. */
    (void)snprintf(directory, sizeof(directory), "%016llx", (unsigned long long)random_u64(store->random));
    TRY(db_begin(store->db));
    enum err err = db_get(
        store->db, &id,
        "INSERT INTO account(directory, domain, address, disabled, quota_octets, created_us) VALUES(?, ?, ?, 0, 0, ?)"
        " RETURNING id",
        "titi", view_cstr(directory), domain, address, now_us(store));
    TRY(finish(store, err));
    return directory_account_get_id(store, (uint64_t)id, arena, out);
}

static enum err account_exists(struct directory_store *store, uint64_t id) {
    int64_t found;
    return db_get(store->db, &found, "SELECT 1 FROM account WHERE id=?", "i", id);
}

enum err directory_account_remove(struct directory_store *store, uint64_t id) {
    TRY(account_exists(store, id));
    TRY(db_begin(store->db));
    enum err err = db_run(store->db, "DELETE FROM verifier WHERE account=?", "i", id);
    if (err == ERR_OK)
        err = db_run(store->db, "DELETE FROM account WHERE id=?", "i", id);
    return finish(store, err);
}

enum err directory_account_get(struct directory_store *store, struct view address, struct arena *arena,
                               struct account_row *out) {
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, ACCOUNT_COLUMNS " WHERE address=?", "t", address));
    return read_one(store, stmt, arena, out, read_account);
}

enum err directory_account_get_id(struct directory_store *store, uint64_t id, struct arena *arena,
                                  struct account_row *out) {
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, ACCOUNT_COLUMNS " WHERE id=?", "i", id));
    return read_one(store, stmt, arena, out, read_account);
}

enum err directory_account_list(struct directory_store *store, struct arena *arena, struct account_row **rows,
                                size_t *n) {
    struct rows list = {.size = sizeof(struct account_row)};
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, ACCOUNT_COLUMNS " ORDER BY address", ""));
    TRY(collect(store, stmt, arena, &list, read_account));
    *rows = list.p;
    *n = list.n;
    return ERR_OK;
}

enum err directory_account_set_disabled(struct directory_store *store, uint64_t id, bool disabled) {
    TRY(account_exists(store, id));
    TRY(db_begin(store->db));
    return finish(store, db_run(store->db, "UPDATE account SET disabled=? WHERE id=?", "ii", (int64_t)disabled, id));
}

static enum err replace_verifiers(struct directory_store *store, uint64_t id, const struct scram_verifier *verifiers,
                                  size_t n) {
    TRY(db_run(store->db, "DELETE FROM verifier WHERE account=?", "i", id));
    for (size_t i = 0; i < n; i++) {
        const struct scram_verifier *v = &verifiers[i];
        TRY(db_run(store->db,
                   "INSERT OR REPLACE INTO verifier(account, mechanism, iterations, salt, stored_key, server_key) "
                   "VALUES(?, ?, ?, ?, ?, ?)",
                   "iuuvvv", id, (uint32_t)v->mechanism, v->iterations, v->salt, v->stored_key, v->server_key));
    }
    return ERR_OK;
}

enum err directory_account_set_verifiers(struct directory_store *store, uint64_t id,
                                         const struct scram_verifier *verifiers, size_t n) {
    TRY(account_exists(store, id));
    TRY(db_begin(store->db));
    return finish(store, replace_verifiers(store, id, verifiers, n));
}

static enum err read_verifier(sqlite3_stmt *stmt, struct arena *arena, void *out) {
    struct scram_verifier *row = out;
    *row = (struct scram_verifier){.mechanism = (uint8_t)column_u32(stmt, 0), .iterations = column_u32(stmt, 1)};
    TRY(arena_view(arena, column_view(stmt, 2), &row->salt));
    TRY(arena_view(arena, column_view(stmt, 3), &row->stored_key));
    return arena_view(arena, column_view(stmt, 4), &row->server_key);
}

enum err directory_account_verifiers(struct directory_store *store, uint64_t id, struct arena *arena,
                                     struct scram_verifier **out, size_t *n) {
    struct rows list = {.size = sizeof(struct scram_verifier)};
    sqlite3_stmt *stmt;
    TRY(account_exists(store, id));
    TRY(db_query(
        store->db, &stmt,
        "SELECT mechanism, iterations, salt, stored_key, server_key FROM verifier WHERE account=? ORDER BY mechanism",
        "i", id));
    TRY(collect(store, stmt, arena, &list, read_verifier));
    *out = list.p;
    *n = list.n;
    return ERR_OK;
}

/* ---- aliases ---- */

static enum err insert_alias(struct directory_store *store, int64_t domain, struct view address,
                             const struct alias_target *targets, size_t n) {
    int64_t id;
    TRY(db_get(store->db, &id, "INSERT INTO alias(domain, address, created_us) VALUES(?, ?, ?) RETURNING id", "iti",
               domain, address, now_us(store)));
    for (size_t i = 0; i < n; i++)
        TRY(db_run(store->db, "INSERT INTO alias_target(alias, position, address) VALUES(?, ?, ?)", "iit", id,
                   (uint64_t)i, targets[i].address));
    return ERR_OK;
}

enum err directory_alias_add(struct directory_store *store, struct view address, const struct alias_target *targets,
                             size_t n) {
    int64_t domain;
    if (n == 0)
        return ERR_SYNTAX;
    if (n > DIRECTORY_TARGETS_MAX)
        return ERR_LIMIT;
    TRY(domain_of(store, address, &domain));
    TRY(is_address_free(store, address));
    TRY(db_begin(store->db));
    return finish(store, insert_alias(store, domain, address, targets, n));
}

enum err directory_alias_remove(struct directory_store *store, struct view address) {
    int64_t id;
    TRY(db_get(store->db, &id, "SELECT id FROM alias WHERE address=?", "t", address));
    TRY(db_begin(store->db));
    enum err err = db_run(store->db, "DELETE FROM alias_target WHERE alias=?", "i", id);
    if (err == ERR_OK)
        err = db_run(store->db, "DELETE FROM alias WHERE id=?", "i", id);
    return finish(store, err);
}

static enum err read_alias(sqlite3_stmt *stmt, struct arena *arena, void *out) {
    struct alias_row *row = out;
    *row = (struct alias_row){.id = column_u64(stmt, 0)};
    return arena_view(arena, column_view(stmt, 1), &row->address);
}

static enum err read_target(sqlite3_stmt *stmt, struct arena *arena, void *out) {
    return arena_view(arena, column_view(stmt, 0), &((struct alias_target *)out)->address);
}

static enum err add_targets(struct directory_store *store, struct arena *arena, struct alias_row *row) {
    struct rows list = {.size = sizeof(struct alias_target)};
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, "SELECT address FROM alias_target WHERE alias=? ORDER BY position", "i", row->id));
    TRY(collect(store, stmt, arena, &list, read_target));
    row->targets = list.p;
    row->targets_n = (uint32_t)list.n;
    return ERR_OK;
}

enum err directory_alias_get(struct directory_store *store, struct view address, struct arena *arena,
                             struct alias_row *out) {
    sqlite3_stmt *stmt;
    struct alias_row row;
    TRY(db_query(store->db, &stmt, "SELECT id, address FROM alias WHERE address=?", "t", address));
    TRY(read_one(store, stmt, arena, &row, read_alias));
    TRY(add_targets(store, arena, &row));
    *out = row;
    return ERR_OK;
}

enum err directory_alias_has_target(struct directory_store *store, struct view address, bool *found) {
    int64_t is_there;
    TRY(db_get(store->db, &is_there, "SELECT EXISTS(SELECT 1 FROM alias_target WHERE address=?)", "t", address));
    *found = is_there != 0;
    return ERR_OK;
}

enum err directory_alias_list(struct directory_store *store, struct arena *arena, struct alias_row **rows, size_t *n) {
    struct rows list = {.size = sizeof(struct alias_row)};
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, "SELECT id, address FROM alias ORDER BY address", ""));
    TRY(collect(store, stmt, arena, &list, read_alias));
    for (size_t i = 0; i < list.n; i++)
        TRY(add_targets(store, arena, (struct alias_row *)list.p + i));
    *rows = list.p;
    *n = list.n;
    return ERR_OK;
}

/* ---- DKIM and other keys of a domain ---- */

enum err directory_key_add(struct directory_store *store, const struct domain_key *key) {
    int64_t domain, taken;
    TRY(find_domain(store, key->domain, &domain));
    TRY(db_get(store->db, &taken, "SELECT EXISTS(SELECT 1 FROM domain_key WHERE domain=? AND selector=?)", "it", domain,
               key->selector));
    if (taken)
        return ERR_EXISTS;
    TRY(db_begin(store->db));
    return finish(store,
                  db_run(store->db,
                         "INSERT INTO domain_key(domain, selector, algorithm, key, created_us) VALUES(?, ?, ?, ?, ?)",
                         "ittvi", domain, key->selector, key->algorithm, key->key, now_us(store)));
}

static enum err read_key(sqlite3_stmt *stmt, struct arena *arena, void *out) {
    struct domain_key *row = out;
    TRY(arena_view(arena, column_view(stmt, 0), &row->domain));
    TRY(arena_view(arena, column_view(stmt, 1), &row->selector));
    TRY(arena_view(arena, column_view(stmt, 2), &row->algorithm));
    return arena_view(arena, column_view(stmt, 3), &row->key);
}

enum err directory_key_list(struct directory_store *store, struct view domain, struct arena *arena,
                            struct domain_key **out, size_t *n) {
    struct rows list = {.size = sizeof(struct domain_key)};
    sqlite3_stmt *stmt;
    TRY(db_query(
        store->db, &stmt,
        "SELECT d.name, k.selector, k.algorithm, k.key FROM domain_key k JOIN domain d ON d.id=k.domain WHERE d.name=?"
        " ORDER BY k.selector",
        "t", domain));
    TRY(collect(store, stmt, arena, &list, read_key));
    *out = list.p;
    *n = list.n;
    return ERR_OK;
}
