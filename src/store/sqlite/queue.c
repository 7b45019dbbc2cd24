/*
 * The outbound queue's tables. Small bodies lie in the database, large ones in
 * bodies/NAME, synced with their name before the row; a file whose row was never
 * committed is removed at the next opening.
 */
#include "store/queue_store.h"

#include "base/vec.h"
#include "store/sqlite/db.h"

#include <stdio.h>
#include <stdlib.h>

#define BODIES "bodies"
#define BODY_NAME_MAX 40
#define COPY_STEP ((size_t)64 * 1024)
#define OUTGOING "outgoing~" /* a name for a moment, see queue_store_body() */

static const char schema_sql[] =
    "CREATE TABLE message(id INTEGER PRIMARY KEY AUTOINCREMENT, delivery_id BLOB NOT NULL, sender BLOB NOT NULL,"
    " created_us INTEGER NOT NULL, size INTEGER NOT NULL, envid BLOB NOT NULL, ret INTEGER NOT NULL, flags INTEGER NOT "
    "NULL,"
    " prefix BLOB NOT NULL, file TEXT);"
    "CREATE TABLE body(message INTEGER PRIMARY KEY REFERENCES message(id), body BLOB NOT NULL);"
    "CREATE TABLE recipient(id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL REFERENCES message(id),"
    " address BLOB NOT NULL, kind INTEGER NOT NULL, account INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER "
    "NOT NULL,"
    " next_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, last_status BLOB NOT NULL, last_text BLOB NOT NULL, orcpt "
    "BLOB NOT NULL,"
    " notify INTEGER NOT NULL);"
    "CREATE INDEX recipient_message ON recipient(message);"
    "CREATE INDEX recipient_due ON recipient(next_us, id) WHERE state=0;";

static const struct db_schema queue_schema = {
    .application_id = 0x56725175, /* "VrQu" */
    .version = 1,
    .oldest = 1,
    .create = schema_sql,
};

struct body_file {
    char name[BODY_NAME_MAX];
};

struct queue_store {
    struct db *db;
    struct disk *disk;
    struct clock *clock;
    struct file *lock;
    bool is_begun;
    bool is_directory_durable;
    struct vec added, removed; /* body files of the open transaction */
};

/* ---- body files ---- */

static void remove_body(struct queue_store *store, const char *name) {
    char path[sizeof(BODIES) + BODY_NAME_MAX];
    (void)snprintf(path, sizeof(path), BODIES "/%s", name);
    /* One that stays is removed at the next opening. */
    enum err err = disk_remove(store->disk, path);
    (void)err;
}

static void settle_files(struct queue_store *store, bool is_committed) {
    struct vec *gone = is_committed ? &store->removed : &store->added;
    VEC_EACH(gone, struct body_file, file)
    remove_body(store, file->name);
    vec_clear(&store->added);
    vec_clear(&store->removed);
}

struct sweep {
    struct queue_store *store;
    struct vec orphans;
};

static enum err check_body(void *ctx, struct view name) {
    struct sweep *sweep = ctx;
    int64_t found;
    enum err err = db_get(sweep->store->db, &found, "SELECT 1 FROM message WHERE file=?", "t", name);
    if (err != ERR_NOT_FOUND)
        return err;
    struct body_file *orphan = vec_add(&sweep->orphans);
    if (orphan == NULL)
        return ERR_NO_MEMORY;
    int n = snprintf(orphan->name, sizeof(orphan->name), "%.*s", VIEW_FMT(name));
    return n > 0 && (size_t)n < sizeof(orphan->name) ? ERR_OK : ERR_LIMIT;
}

static enum err sweep_bodies(struct queue_store *store) {
    struct sweep sweep = {store, VEC_OF(struct body_file, 1000000)};
    enum err err = disk_list(store->disk, BODIES, check_body, &sweep);
    if (err == ERR_OK)
        VEC_EACH(&sweep.orphans, struct body_file, orphan)
    remove_body(store, orphan->name);
    vec_fini(&sweep.orphans);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err copy_body(struct file *to, struct view body, struct file *from, uint64_t size) {
    if (body.n > 0)
        return file_write(to, body, 0);
    uint8_t *step = malloc(COPY_STEP);
    enum err err = step == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (uint64_t done = 0; err == ERR_OK && done < size;) {
        size_t got = 0;
        err = file_read(from, step, MIN((uint64_t)COPY_STEP, size - done), done, &got);
        if (err == ERR_OK && got == 0)
            err = ERR_IO; /* it became shorter under our hands */
        if (err == ERR_OK)
            err = file_write(to, view_of(step, got), done);
        done += got;
    }
    free(step);
    return err;
}

static enum err make_directory(struct queue_store *store) {
    if (store->is_directory_durable)
        return ERR_OK;
    enum err err = disk_mkdir(store->disk, BODIES);
    if (err != ERR_OK && err != ERR_EXISTS)
        return err;
    TRY(disk_sync_dir(store->disk, "."));
    store->is_directory_durable = true;
    return ERR_OK;
}

/* Durable with its name when this returns. */
static enum err write_body_file(struct queue_store *store, uint64_t message, struct view body, struct file *from,
                                uint64_t size, struct body_file **out) {
    char path[sizeof(BODIES) + BODY_NAME_MAX];
    struct file *file;
    struct body_file *entry = vec_add(&store->added);
    if (entry == NULL)
        return ERR_NO_MEMORY;
    (void)snprintf(entry->name, sizeof(entry->name), "%llu", (unsigned long long)message);
    (void)snprintf(path, sizeof(path), BODIES "/%s", entry->name);
    TRY(make_directory(store));
    /* Not exclusive: an id given out and rolled back may come again, with the file of then. */
    TRY(disk_open(store->disk, path, DISK_READ | DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file));
    enum err err = copy_body(file, body, from, size);
    if (err == ERR_OK)
        err = file_sync(file, false);
    file_unref(file);
    TRY(err);
    TRY(disk_sync_dir(store->disk, BODIES));
    *out = entry;
    return ERR_OK;
}

/* ---- opening and transactions ---- */

enum err queue_store_open(struct disk *disk, struct clock *clock, struct queue_store **out) {
    struct queue_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return ERR_NO_MEMORY;
    store->disk = disk;
    store->clock = clock;
    store->added = VEC_OF(struct body_file, 1000000);
    store->removed = VEC_OF(struct body_file, 1000000);
    enum err err = disk_open(disk, "queue.lock", DISK_READ | DISK_WRITE | DISK_CREATE, &store->lock);
    if (err == ERR_OK)
        err = file_lock(store->lock, true);
    if (err == ERR_OK)
        err = db_open(disk, "queue.db", clock, random_system(), &queue_schema, NULL, NULL, &store->db);
    if (err == ERR_OK)
        err = sweep_bodies(store);
    if (err != ERR_OK) {
        queue_store_close(store);
        return err;
    }
    *out = store;
    return ERR_OK;
}

void queue_store_close(struct queue_store *store) {
    if (store == NULL)
        return;
    if (store->is_begun)
        queue_store_rollback(store);
    db_close(store->db);
    vec_fini(&store->added);
    vec_fini(&store->removed);
    file_unref(store->lock);
    free(store);
}

enum err queue_store_begin(struct queue_store *store) {
    if (store->is_begun)
        return ERR_BUG;
    TRY(db_begin(store->db));
    store->is_begun = true;
    return ERR_OK;
}

enum err queue_store_commit(struct queue_store *store) {
    if (!store->is_begun)
        return ERR_BUG;
    enum err err = db_commit(store->db);
    store->is_begun = false;
    settle_files(store, err == ERR_OK);
    (void)db_checkpoint(store->db, DB_CHECKPOINT_PAGES);
    return err;
}

void queue_store_rollback(struct queue_store *store) {
    db_rollback(store->db);
    store->is_begun = false;
    settle_files(store, false);
}

/* A change outside begin and commit is a transaction of its own; inside, a failed one leaves the others untouched. */
static enum err change(struct queue_store *store, enum err (*run)(struct queue_store *store, void *arg), void *arg) {
    bool is_own = !store->is_begun;
    if (is_own)
        TRY(queue_store_begin(store));
    size_t added = store->added.n, removed = store->removed.n;
    enum err err = db_savepoint(store->db);
    if (err == ERR_OK)
        err = run(store, arg);
    if (err == ERR_OK)
        err = db_release(store->db);
    if (err == ERR_OK)
        return is_own ? queue_store_commit(store) : ERR_OK;
    if (is_own) {
        queue_store_rollback(store);
        return err;
    }
    for (size_t i = added; i < store->added.n; i++)
        remove_body(store, VEC_AT(&store->added, struct body_file, i)->name);
    vec_remove(&store->added, added, store->added.n - added);
    vec_remove(&store->removed, removed, store->removed.n - removed);
    (void)db_rollback_savepoint(store->db); /* when that fails, so will the commit */
    return err;
}

/* ---- adding ---- */

struct adding {
    struct queue_message *message;
    struct view body;
    struct file *file;
    struct queue_recipient *recipients;
    size_t n;
};

static struct view not_null(struct view v) {
    return v.p == NULL ? VIEW("") : v;
}

static enum err insert_recipient(struct queue_store *store, struct queue_recipient *r, uint64_t message) {
    int64_t id;
    TRY(db_get(store->db, &id,
               "INSERT INTO recipient(message, address, kind, account, state, attempts, next_us, expires_us, "
               "last_status, last_text,"
               " orcpt, notify) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
               "ivuiuuiivvvu", message, not_null(r->address), (uint32_t)r->kind, r->account, (uint32_t)r->state,
               r->attempts, r->next_us, r->expires_us, not_null(r->last_status), not_null(r->last_text),
               not_null(r->orcpt), (uint32_t)r->notify));
    r->id = (uint64_t)id;
    r->message = message;
    return ERR_OK;
}

static enum err insert_inline(struct queue_store *store, uint64_t message, struct view body, struct file *file,
                              size_t size) {
    uint8_t *memory = NULL;
    size_t got = size;
    enum err err = ERR_OK;
    if (body.n == 0 && file != NULL) {
        memory = malloc(size + 1);
        err = memory == NULL ? ERR_NO_MEMORY : file_read(file, memory, size, 0, &got);
        body = view_of(memory, got);
    }
    if (err == ERR_OK && got != size)
        err = ERR_IO;
    if (err == ERR_OK)
        err = db_run(store->db, "INSERT INTO body(message, body) VALUES(?, ?)", "iv", message, not_null(body));
    free(memory);
    return err;
}

static enum err run_add(struct queue_store *store, void *arg) {
    struct adding *a = arg;
    struct queue_message *m = a->message;
    int64_t id;
    uint64_t size = a->body.n;
    if (a->n == 0)
        return ERR_SYNTAX;
    if (a->n > QUEUE_RECIPIENTS_MAX)
        return ERR_LIMIT;
    if (a->body.n == 0 && a->file != NULL)
        TRY(file_size(a->file, &size));
    m->size = size + m->prefix.n;
    TRY(db_get(store->db, &id,
               "INSERT INTO message(delivery_id, sender, created_us, size, envid, ret, flags, prefix) VALUES(?, ?, ?, "
               "?, ?, ?, ?, ?)"
               " RETURNING id",
               "vviivuuv", not_null(m->delivery_id), not_null(m->sender), m->created_us, m->size, not_null(m->envid),
               (uint32_t)m->ret, m->flags, not_null(m->prefix)));
    m->id = (uint64_t)id;
    if (size > QUEUE_INLINE_MAX) {
        struct body_file *entry;
        TRY(write_body_file(store, m->id, a->body, a->file, size, &entry));
        TRY(db_run(store->db, "UPDATE message SET file=? WHERE id=?", "ti", view_cstr(entry->name), m->id));
    } else {
        TRY(insert_inline(store, m->id, a->body, a->file, (size_t)size));
    }
    for (size_t i = 0; i < a->n; i++)
        TRY(insert_recipient(store, &a->recipients[i], m->id));
    return ERR_OK;
}

enum err queue_store_add(struct queue_store *store, struct queue_message *message, struct view body, struct file *file,
                         struct queue_recipient *recipients, size_t n) {
    struct adding adding = {message, body, file, recipients, n};
    if (message->created_us == 0)
        message->created_us = store->clock->wall_us(store->clock);
    return change(store, run_add, &adding);
}

/* ---- reading ---- */

#define RECIPIENT_COLUMNS                                                                                        \
    "SELECT id, message, address, kind, account, state, attempts, next_us, expires_us, last_status, last_text, " \
    "orcpt, notify"                                                                                              \
    " FROM recipient"

static enum err read_recipient(sqlite3_stmt *stmt, struct arena *arena, struct queue_recipient *out) {
    struct queue_recipient r = {
        .id = column_u64(stmt, 0),
        .message = column_u64(stmt, 1),
        .kind = (uint8_t)column_u32(stmt, 3),
        .account = column_u64(stmt, 4),
        .state = (uint8_t)column_u32(stmt, 5),
        .attempts = column_u32(stmt, 6),
        .next_us = column_i64(stmt, 7),
        .expires_us = column_i64(stmt, 8),
        .notify = (uint8_t)column_u32(stmt, 12),
    };
    TRY(arena_view(arena, column_view(stmt, 2), &r.address));
    TRY(arena_view(arena, column_view(stmt, 9), &r.last_status));
    TRY(arena_view(arena, column_view(stmt, 10), &r.last_text));
    TRY(arena_view(arena, column_view(stmt, 11), &r.orcpt));
    *out = r;
    return ERR_OK;
}

/* At most max rows of a statement that has LIMIT max. */
static enum err read_recipients(struct queue_store *store, sqlite3_stmt *stmt, struct arena *arena,
                                struct queue_recipient **out, size_t *n) {
    struct queue_recipient *list = NULL;
    size_t used = 0, cap = 0;
    for (;;) {
        bool is_row;
        TRY(db_next(store->db, stmt, &is_row));
        if (!is_row)
            break;
        if (used == cap) {
            struct queue_recipient *grown = arena_grow(arena, list, cap, cap == 0 ? 16 : cap * 2, sizeof(*list));
            if (grown == NULL) {
                db_done(stmt);
                return ERR_NO_MEMORY;
            }
            list = grown;
            cap = cap == 0 ? 16 : cap * 2;
        }
        enum err err = read_recipient(stmt, arena, &list[used]);
        if (err != ERR_OK) {
            db_done(stmt);
            return err;
        }
        used++;
    }
    *out = list;
    *n = used;
    return ERR_OK;
}

enum err queue_store_due(struct queue_store *store, int64_t now_us, size_t max, struct arena *arena,
                         struct queue_recipient **out, size_t *n) {
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, RECIPIENT_COLUMNS " WHERE state=0 AND next_us<=? ORDER BY next_us, id LIMIT ?", "ii",
                 now_us, (uint64_t)max));
    return read_recipients(store, stmt, arena, out, n);
}

enum err queue_store_list(struct queue_store *store, uint64_t after_id, size_t max, struct arena *arena,
                          struct queue_recipient **out, size_t *n) {
    sqlite3_stmt *stmt;
    TRY(db_query(store->db, &stmt, RECIPIENT_COLUMNS " WHERE id>? ORDER BY id LIMIT ?", "ii", after_id, (uint64_t)max));
    return read_recipients(store, stmt, arena, out, n);
}

enum err queue_store_get(struct queue_store *store, uint64_t recipient, struct arena *arena,
                         struct queue_recipient *out) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(store->db, &stmt, RECIPIENT_COLUMNS " WHERE id=?", "i", recipient));
    TRY(db_next(store->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    enum err err = read_recipient(stmt, arena, out);
    db_done(stmt);
    return err;
}

enum err queue_store_next(struct queue_store *store, int64_t *next_us) {
    enum err err =
        db_get(store->db, next_us, "SELECT next_us FROM recipient WHERE state=0 ORDER BY next_us LIMIT 1", "");
    if (err == ERR_NOT_FOUND) {
        *next_us = US_NEVER;
        return ERR_OK;
    }
    return err;
}

enum err queue_store_message(struct queue_store *store, uint64_t id, struct arena *arena, struct queue_message *out) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(store->db, &stmt,
                 "SELECT id, delivery_id, sender, created_us, size, envid, ret, flags, prefix FROM message WHERE id=?",
                 "i", id));
    TRY(db_next(store->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    struct queue_message m = {.id = id,
                              .created_us = column_i64(stmt, 3),
                              .size = column_u64(stmt, 4),
                              .ret = (uint8_t)column_u32(stmt, 6),
                              .flags = column_u32(stmt, 7)};
    enum err err = arena_view(arena, column_view(stmt, 1), &m.delivery_id);
    if (err == ERR_OK)
        err = arena_view(arena, column_view(stmt, 2), &m.sender);
    if (err == ERR_OK)
        err = arena_view(arena, column_view(stmt, 5), &m.envid);
    if (err == ERR_OK)
        err = arena_view(arena, column_view(stmt, 8), &m.prefix);
    db_done(stmt);
    if (err == ERR_OK)
        *out = m;
    return err;
}

/* A body of the database as a file that can only be read: written under a name for a moment, opened again, unnamed. */
static enum err file_of_body(struct queue_store *store, struct view body, struct file **out) {
    struct file *file;
    TRY(disk_open(store->disk, OUTGOING, DISK_READ | DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file));
    enum err err = file_write(file, body, 0);
    file_unref(file);
    if (err == ERR_OK)
        err = disk_open(store->disk, OUTGOING, DISK_READ, &file);
    enum err removed = disk_remove(store->disk, OUTGOING);
    if (err != ERR_OK)
        return err;
    if (removed != ERR_OK) {
        file_unref(file);
        return removed;
    }
    *out = file;
    return ERR_OK;
}

enum err queue_store_body(struct queue_store *store, uint64_t message, struct file **out) {
    sqlite3_stmt *stmt;
    bool is_row;
    char path[sizeof(BODIES) + BODY_NAME_MAX];
    TRY(db_query(store->db, &stmt,
                 "SELECT m.file, b.body FROM message m LEFT JOIN body b ON b.message=m.id WHERE m.id=?", "i", message));
    TRY(db_next(store->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    struct view name = column_view(stmt, 0);
    (void)snprintf(path, sizeof(path), BODIES "/%.*s", VIEW_FMT(name));
    enum err err =
        name.n > 0 ? disk_open(store->disk, path, DISK_READ, out) : file_of_body(store, column_view(stmt, 1), out);
    db_done(stmt);
    return err;
}

/* ---- changing ---- */

/* A message whose recipients are all done goes, with its body. */
static enum err remove_finished(struct queue_store *store, uint64_t message) {
    sqlite3_stmt *stmt;
    int64_t open;
    bool is_row;
    TRY(db_get(store->db, &open, "SELECT EXISTS(SELECT 1 FROM recipient WHERE message=? AND state<>?)", "iu", message,
               (uint32_t)QUEUE_DONE));
    if (open)
        return ERR_OK;
    TRY(db_query(store->db, &stmt, "SELECT file FROM message WHERE id=?", "i", message));
    TRY(db_next(store->db, stmt, &is_row));
    if (!is_row)
        return ERR_OK;
    struct view name = column_view(stmt, 0);
    struct body_file *file = name.n > 0 ? vec_add(&store->removed) : NULL;
    if (file != NULL)
        (void)snprintf(file->name, sizeof(file->name), "%.*s", VIEW_FMT(name));
    db_done(stmt);
    TRY(db_run(store->db, "DELETE FROM recipient WHERE message=?", "i", message));
    TRY(db_run(store->db, "DELETE FROM body WHERE message=?", "i", message));
    return db_run(store->db, "DELETE FROM message WHERE id=?", "i", message);
}

static enum err run_update(struct queue_store *store, void *arg) {
    const struct queue_recipient *r = arg;
    int64_t message;
    TRY(db_get(store->db, &message,
               "UPDATE recipient SET state=?, attempts=?, next_us=?, last_status=?, last_text=?, notify=? WHERE id=? "
               "RETURNING message",
               "uuivvui", (uint32_t)r->state, r->attempts, r->next_us, not_null(r->last_status), not_null(r->last_text),
               (uint32_t)r->notify, r->id));
    return remove_finished(store, (uint64_t)message);
}

enum err queue_store_update(struct queue_store *store, const struct queue_recipient *recipient) {
    struct queue_recipient copy = *recipient;
    return change(store, run_update, &copy);
}

static enum err run_remove(struct queue_store *store, void *arg) {
    int64_t message;
    TRY(db_get(store->db, &message, "DELETE FROM recipient WHERE id=? RETURNING message", "i", *(uint64_t *)arg));
    return remove_finished(store, (uint64_t)message);
}

enum err queue_store_remove(struct queue_store *store, uint64_t recipient) {
    return change(store, run_remove, &recipient);
}
