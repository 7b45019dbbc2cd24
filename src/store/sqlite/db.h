/*
 * One SQLite connection with its prepared statements: what account, directory
 * and queue share. Statements are prepared once, found again by the address of
 * their SQL text (always a literal), and never left stepped: every function here
 * that runs one to its end resets it, and whoever uses db_query() must call
 * db_done() or step to the end.
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include "store/sqlite/vfs.h"

#include <sqlite3.h>

struct db;

struct db_migration {
    const char *sql; /* one step; runs in a transaction of its own */
};
struct db_schema {
    int32_t application_id;                /* so that another program's database is not taken for ours */
    int32_t version;                       /* of `create` */
    const char *create;                    /* the whole schema, for an empty database */
    int32_t oldest;                        /* version that migrations can still lift */
    const struct db_migration *migrations; /* [i] lifts version oldest + i */
};

/*
 * Opens `path` in disk (WAL, synchronous=FULL, exclusive). An empty database gets the schema, then `made` runs in the same
 * transaction (may be NULL). An older one is migrated step by step, each in one transaction. ERR_PERMANENT: newer, damaged
 * or not ours.
 */
enum err db_open(struct disk *disk, const char *path, struct clock *clock, struct random *random,
                 const struct db_schema *schema, enum err (*made)(void *ctx, struct db *db), void *ctx,
                 struct db **out) MUST_CHECK;
void db_close(struct db *db);
struct vfs *db_vfs(struct db *db);
sqlite3 *db_handle(struct db *db);
/* The class of the last failure on this connection. */
enum err db_error(struct db *db, int code);

/*
 * Prepares and binds. types: one letter an argument: i int64_t (or uint64_t), u uint32_t, v struct view as a blob (NULL when
 * v.p is NULL), t struct view as text, n for NULL without an argument. Views must stay until the statement is done.
 */
enum err db_query(struct db *db, sqlite3_stmt **out, const char *sql, const char *types, ...) MUST_CHECK;
/* The next row; at the end *is_row is false and the statement is reset; so it is on errors. */
enum err db_next(struct db *db, sqlite3_stmt *stmt, bool *is_row) MUST_CHECK;
/* Leaves a statement before its end. */
void db_done(sqlite3_stmt *stmt);
/* A statement without rows. */
enum err db_run(struct db *db, const char *sql, const char *types, ...) MUST_CHECK;
/* The first column of the first row; ERR_NOT_FOUND without one. */
enum err db_get(struct db *db, int64_t *out, const char *sql, const char *types, ...) MUST_CHECK;
/* Rows changed by the last db_run(). */
uint64_t db_changes(struct db *db);

static inline int64_t column_i64(sqlite3_stmt *stmt, int column) {
    return sqlite3_column_int64(stmt, column);
}
static inline uint64_t column_u64(sqlite3_stmt *stmt, int column) {
    return (uint64_t)sqlite3_column_int64(stmt, column);
}
static inline uint32_t column_u32(sqlite3_stmt *stmt, int column) {
    return (uint32_t)sqlite3_column_int64(stmt, column);
}
/* Valid until the statement moves on. */
struct view column_view(sqlite3_stmt *stmt, int column);

/* BEGIN IMMEDIATE, COMMIT, ROLLBACK; savepoints have one name and do not nest. A commit that fails has been rolled back. */
enum err db_begin(struct db *db) MUST_CHECK;
enum err db_commit(struct db *db) MUST_CHECK;
void db_rollback(struct db *db);
enum err db_savepoint(struct db *db) MUST_CHECK;
enum err db_release(struct db *db) MUST_CHECK;
/* False when the whole transaction is lost and must be rolled back. */
bool db_rollback_savepoint(struct db *db);

/*
 * Small and often, between commands: copies the log into the database when it has at least this many pages. Returns true
 * when it did something.
 */
bool db_checkpoint(struct db *db, int least_pages);
bool db_needs_checkpoint(const struct db *db, int least_pages);
/* 1024 pages of 2 KiB: 2 MiB at most, some milliseconds on an ordinary disk, every 40 deliveries; left to grow, a checkpoint took up
 * to 500 ms. */
#define DB_CHECKPOINT_PAGES 1024
/* In a transaction: gives a few free pages at the end of the file back when a quarter of it is free. */
enum err db_shrink(struct db *db, bool *more) MUST_CHECK;
/* Gives cached pages back to the system, for a time of rest. */
void db_release_memory(struct db *db);
/* Problems of pages and foreign keys; one line each. */
enum err db_verify(struct db *db, struct buf *problems, unsigned *n) MUST_CHECK;

#endif
