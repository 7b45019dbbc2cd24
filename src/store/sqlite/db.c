/* One SQLite connection: opening, migrating, statements, transactions, checkpoints. */
#include "store/sqlite/db.h"

#include "base/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STATEMENTS_MAX 256 /* slots; the code has fewer statements */
#define VERIFY_LINES_MAX 100

struct statement {
    const char *sql;
    sqlite3_stmt *stmt;
};

struct db {
    sqlite3 *handle;
    struct vfs *vfs;
    int log_pages; /* in the write-ahead log, told by the hook at each commit */
    struct statement statements[STATEMENTS_MAX];
};

enum err db_error(struct db *db, int code) {
    enum err disk_error = vfs_take_error(db->vfs);
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_AGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_PERMANENT;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        return code == SQLITE_IOERR_NOMEM ? ERR_NO_MEMORY : disk_error != ERR_OK ? disk_error : ERR_IO;
    default:
        return ERR_BUG; /* a constraint, or misuse: our own SQL is wrong */
    }
}

/* ---- statements ---- */

static enum err find_statement(struct db *db, const char *sql, sqlite3_stmt **out) {
    size_t at = ((uintptr_t)sql / 8 * UINT64_C(0x9e3779b97f4a7c15) >> 40) % STATEMENTS_MAX;
    for (size_t i = 0; i < STATEMENTS_MAX; i++, at = (at + 1) % STATEMENTS_MAX) {
        struct statement *s = &db->statements[at];
        if (s->sql == sql) {
            *out = s->stmt;
            return ERR_OK;
        }
        if (s->sql != NULL)
            continue;
        sqlite3_stmt *stmt = NULL;
        int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
        if (code != SQLITE_OK)
            return db_error(db, code);
        *s = (struct statement){sql, stmt};
        *out = stmt;
        return ERR_OK;
    }
    return ERR_BUG;
}

static int bind_view(sqlite3_stmt *stmt, int at, struct view v, bool is_text) {
    if (v.n > INT_MAX)
        return SQLITE_TOOBIG;
    if (v.p == NULL && !is_text)
        return sqlite3_bind_null(stmt, at);
    const char *p = v.p == NULL ? "" : (const char *)v.p;
    return is_text ? sqlite3_bind_text(stmt, at, p, (int)v.n, SQLITE_STATIC)
                   : sqlite3_bind_blob(stmt, at, p, (int)v.n, SQLITE_STATIC);
}

static enum err query(struct db *db, sqlite3_stmt **out, const char *sql, const char *types, va_list args) {
    sqlite3_stmt *stmt;
    TRY(find_statement(db, sql, &stmt));
    /* A statement that is still stepped would give its user wrong rows. */
    BUG_IF(sqlite3_stmt_busy(stmt));
    int code = SQLITE_OK;
    for (int i = 1; *types != '\0' && code == SQLITE_OK; types++, i++) {
        switch (*types) {
        case 'i':
            code = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
            break;
        case 'u':
            code = sqlite3_bind_int64(stmt, i, (int64_t)va_arg(args, uint32_t));
            break;
        case 'v':
            code = bind_view(stmt, i, va_arg(args, struct view), false);
            break;
        case 't':
            code = bind_view(stmt, i, va_arg(args, struct view), true);
            break;
        case 'n':
            code = sqlite3_bind_null(stmt, i);
            break;
        default:
            return ERR_BUG;
        }
    }
    if (code != SQLITE_OK)
        return db_error(db, code);
    *out = stmt;
    return ERR_OK;
}

enum err db_query(struct db *db, sqlite3_stmt **out, const char *sql, const char *types, ...) {
    va_list args;
    va_start(args, types);
    enum err err = query(db, out, sql, types, args);
    va_end(args);
    return err;
}

enum err db_next(struct db *db, sqlite3_stmt *stmt, bool *is_row) {
    int code = sqlite3_step(stmt);
    *is_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        return ERR_OK;
    (void)sqlite3_reset(stmt);
    return code == SQLITE_DONE ? ERR_OK : db_error(db, code);
}

void db_done(sqlite3_stmt *stmt) {
    (void)sqlite3_reset(stmt);
}

enum err db_run(struct db *db, const char *sql, const char *types, ...) {
    sqlite3_stmt *stmt;
    va_list args;
    va_start(args, types);
    enum err err = query(db, &stmt, sql, types, args);
    va_end(args);
    if (err != ERR_OK)
        return err;
    int code = sqlite3_step(stmt);
    (void)sqlite3_reset(stmt);
    return code == SQLITE_ROW ? ERR_OK : db_error(db, code);
}

enum err db_get(struct db *db, int64_t *out, const char *sql, const char *types, ...) {
    sqlite3_stmt *stmt;
    va_list args;
    va_start(args, types);
    enum err err = query(db, &stmt, sql, types, args);
    va_end(args);
    if (err != ERR_OK)
        return err;
    bool is_row;
    TRY(db_next(db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    *out = column_i64(stmt, 0);
    db_done(stmt);
    return ERR_OK;
}

uint64_t db_changes(struct db *db) {
    return (uint64_t)sqlite3_changes(db->handle);
}

struct view column_view(sqlite3_stmt *stmt, int column) {
    const void *p = sqlite3_column_blob(stmt, column);
    return view_of(p, (size_t)sqlite3_column_bytes(stmt, column));
}

/* ---- transactions ---- */

enum err db_begin(struct db *db) {
    return db_run(db, "BEGIN IMMEDIATE", "");
}

enum err db_commit(struct db *db) {
    enum err err = db_run(db, "COMMIT", "");
    if (err != ERR_OK)
        db_rollback(db);
    return err;
}

void db_rollback(struct db *db) {
    if (sqlite3_get_autocommit(db->handle))
        return; /* SQLite did it itself, as it does after some errors */
    enum err err = db_run(db, "ROLLBACK", "");
    (void)err; /* it can only say that there is nothing to roll back */
    (void)vfs_take_error(db->vfs);
}

enum err db_savepoint(struct db *db) {
    return db_run(db, "SAVEPOINT member", "");
}

enum err db_release(struct db *db) {
    return db_run(db, "RELEASE member", "");
}

bool db_rollback_savepoint(struct db *db) {
    return !sqlite3_get_autocommit(db->handle) && db_run(db, "ROLLBACK TO member", "") == ERR_OK &&
           db_release(db) == ERR_OK;
}

static int note_log_pages(void *ctx, sqlite3 *handle, const char *name, int pages) {
    (void)handle;
    (void)name;
    ((struct db *)ctx)->log_pages = pages;
    return SQLITE_OK;
}

bool db_needs_checkpoint(const struct db *db, int least_pages) {
    return db->log_pages >= MAX(least_pages, 1);
}

bool db_checkpoint(struct db *db, int least_pages) {
    if (!db_needs_checkpoint(db, least_pages))
        return false;
    vfs_set_checkpointing(db->vfs, true);
    int in_log = 0, copied = 0;
    int code = sqlite3_wal_checkpoint_v2(db->handle, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    vfs_set_checkpointing(db->vfs, false);
    (void)vfs_take_error(db->vfs);
    /* A failed one is tried again after the next commit; nothing is lost by it. The next commit starts the log anew. */
    if (code == SQLITE_OK && in_log == copied)
        db->log_pages = 0;
    return code == SQLITE_OK;
}

/* ---- opening ---- */

static enum err exec(struct db *db, const char *sql) {
    return db_error(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static enum err pragma_get(struct db *db, const char *sql, int64_t *out) {
    return db_get(db, out, sql, "");
}

static enum err set_version(struct db *db, int32_t version) {
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", (int)version);
    return exec(db, sql);
}

static enum err create(struct db *db, const struct db_schema *schema, enum err (*made)(void *ctx, struct db *db),
                       void *ctx) {
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", (int)schema->application_id);
    TRY(db_begin(db));
    enum err err = exec(db, schema->create);
    if (err == ERR_OK)
        err = exec(db, sql);
    if (err == ERR_OK)
        err = set_version(db, schema->version);
    if (err == ERR_OK && made != NULL)
        err = made(ctx, db);
    if (err != ERR_OK) {
        db_rollback(db);
        return err;
    }
    return db_commit(db);
}

static enum err migrate(struct db *db, const struct db_schema *schema, int64_t version) {
    for (; version < schema->version; version++) {
        TRY(db_begin(db));
        enum err err = exec(db, schema->migrations[version - schema->oldest].sql);
        if (err == ERR_OK)
            err = set_version(db, (int32_t)version + 1);
        if (err != ERR_OK) {
            db_rollback(db);
            return err;
        }
        TRY(db_commit(db));
    }
    return ERR_OK;
}

/*
 * The settings of every connection; page_size and auto_vacuum take effect only in an empty database.
 *
 * Measured with 3,000 deliveries of 10 KB text, one commit each, release build (KB written a delivery, log and checkpoints
 * together; size of the database):
 *   page_size        1024: 33 KB, 11.0 MB   2048: 55 KB, 10.3 MB   4096: 103 KB, 15.7 MB   8192: 186 KB   16384: 373 KB
 *   at 2048: auto_vacuum NONE 55.4 KB, INCREMENTAL 57.8 KB; secure_delete OFF, FAST and ON 57.8 KB (deliveries delete
 *   nothing; removing the 3,000 again took 151, 60 and 102 ms, which is noise between the first two).
 * A commit's time is its fsync; what the page size decides is how many octets that fsync carries. 2048 halves them against
 * 4096 and keeps trees flat and bodies in half as many pieces as 1024. INCREMENTAL, because a mailbox that was emptied
 * should give its room back in small steps; FAST, because overwriting what is removed is free where the page is written anyway.
 */
static enum err configure(struct db *db) {
    /* Exclusive before anything reads the file: without it a log would ask for shared memory. */
    TRY(exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024;"
                 "PRAGMA secure_delete=FAST; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON"));
    /* Not in one that is made already: there it would be a write, and with it two fsyncs, at every opening. */
    int64_t tables;
    TRY(pragma_get(db, "SELECT count(*) FROM sqlite_schema", &tables));
    if (tables == 0)
        TRY(exec(db, "PRAGMA page_size=2048; PRAGMA auto_vacuum=INCREMENTAL"));
    TRY(exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                 "PRAGMA journal_size_limit=4194304"));
    int64_t synchronous;
    TRY(pragma_get(db, "PRAGMA synchronous", &synchronous));
    if (synchronous != 2)
        return ERR_BUG;
    (void)sqlite3_wal_hook(db->handle, note_log_pages, db);
    return ERR_OK;
}

static enum err open_schema(struct db *db, const struct db_schema *schema, enum err (*made)(void *ctx, struct db *db),
                            void *ctx) {
    int64_t version, application_id, tables;
    TRY(pragma_get(db, "PRAGMA user_version", &version));
    TRY(pragma_get(db, "PRAGMA application_id", &application_id));
    TRY(pragma_get(db, "SELECT count(*) FROM sqlite_schema", &tables));
    if (tables == 0)
        return create(db, schema, made, ctx);
    if (application_id != schema->application_id || version < schema->oldest || version > schema->version)
        return ERR_PERMANENT;
    return migrate(db, schema, version);
}

enum err db_open(struct disk *disk, const char *path, struct clock *clock, struct random *random,
                 const struct db_schema *schema, enum err (*made)(void *ctx, struct db *db), void *ctx,
                 struct db **out) {
    struct db *db = calloc(1, sizeof(*db));
    if (db == NULL)
        return ERR_NO_MEMORY;
    enum err err = vfs_new(disk, clock, random, &db->vfs);
    if (err != ERR_OK) {
        free(db);
        return err;
    }
    int code = sqlite3_open_v2(path, &db->handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               vfs_name(db->vfs));
    err = db_error(db, code);
    if (err == ERR_OK) /* no pool of small allocations: thousands of sleeping accounts would each keep theirs */
        err = db_error(db, sqlite3_db_config(db->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0));
    if (err == ERR_OK)
        err = configure(db);
    if (err == ERR_OK)
        err = open_schema(db, schema, made, ctx);
    if (err != ERR_OK) {
        db_close(db);
        return err;
    }
    *out = db;
    return ERR_OK;
}

void db_close(struct db *db) {
    if (db == NULL)
        return;
    for (size_t i = 0; i < STATEMENTS_MAX; i++)
        (void)sqlite3_finalize(db->statements[i].stmt);
    vfs_set_checkpointing(db->vfs, true); /* closing copies the log into the database */
    (void)sqlite3_close(db->handle);
    vfs_free(db->vfs);
    free(db);
}

struct vfs *db_vfs(struct db *db) {
    return db->vfs;
}

sqlite3 *db_handle(struct db *db) {
    return db->handle;
}

/* ---- giving room back ---- */

#define FREE_PAGES_KEPT 2048 /* 4 MiB that will be used again soon */
#define FREE_PAGES_STEP 512  /* moved in one step: some milliseconds */

enum err db_shrink(struct db *db, bool *more) {
    int64_t spare, all;
    sqlite3_stmt *stmt;
    bool is_row = true;
    TRY(pragma_get(db, "PRAGMA freelist_count", &spare));
    TRY(pragma_get(db, "PRAGMA page_count", &all));
    *more = false;
    if (spare <= FREE_PAGES_KEPT || spare < all / 4)
        return ERR_OK;
    TRY(db_query(db, &stmt, "PRAGMA incremental_vacuum(512)", ""));
    while (is_row)
        TRY(db_next(db, stmt, &is_row)); /* a row a page */
    *more = spare - FREE_PAGES_STEP > FREE_PAGES_KEPT;
    return ERR_OK;
}

void db_release_memory(struct db *db) {
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        BUG_IF(db->statements[i].stmt != NULL && sqlite3_stmt_busy(db->statements[i].stmt));
        (void)sqlite3_finalize(db->statements[i].stmt);
        db->statements[i] = (struct statement){0};
    }
    (void)sqlite3_db_release_memory(db->handle);
}

/* ---- checking ---- */

enum err db_verify(struct db *db, struct buf *problems, unsigned *n) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(db, &stmt, "PRAGMA integrity_check", ""));
    for (;;) {
        TRY(db_next(db, stmt, &is_row));
        if (!is_row)
            break;
        struct view line = column_view(stmt, 0);
        if (view_eq(line, VIEW("ok")))
            continue;
        ++*n;
        buf_put(problems, VIEW("database: "));
        buf_put_escaped(problems, line, 200);
        buf_put_byte(problems, '\n');
    }
    TRY(db_query(db, &stmt, "PRAGMA foreign_key_check", ""));
    for (unsigned lines = 0;; lines++) {
        TRY(db_next(db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        ++*n;
        if (lines < VERIFY_LINES_MAX)
            buf_printf(problems, "database: row %lld of table %s names a row that is not there\n",
                       (long long)column_i64(stmt, 1), (const char *)sqlite3_column_text(stmt, 0));
    }
}
