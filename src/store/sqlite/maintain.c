/*
 * Clean-up in small steps: deliveries older than a week, blobs that nothing uses
 * any more, old tombstones, free pages, files that a crash left without a row,
 * messages that an older program derived less of.
 */
#include "store/sqlite/account_impl.h"

#include <stdio.h>

#define STEP_MAX 200                             /* rows a step */
#define BLOB_GRACE_US (INT64_C(3600) * US_PER_S) /* RFC2180-4.1: sessions not yet told of an EXPUNGE may still read */
#define VANISHED_KEPT 100000 /* removals remembered of one mailbox: bounds the table, not the clients */
#define VANISHED_SLACK 10000 /* so that the floor moves seldom */

struct unused_blob {
    uint64_t id;
    char path[sizeof("blobs/") + BLOB_NAME_SIZE];
};

struct step {
    struct op_call *call;
    struct unused_blob files[STEP_MAX]; /* whose rows are gone when the transaction is */
    size_t n;
    uint64_t removed;
    bool more;
};

static enum err forget_deliveries(struct sqlite_account *account, struct step *step, int64_t now_us) {
    TRY(db_run(account->db,
               "DELETE FROM delivery WHERE seq IN (SELECT seq FROM delivery ORDER BY seq LIMIT ?) AND at_us<?", "ii",
               (int64_t)STEP_MAX, now_us - DELIVERY_MEMORY_US));
    step->removed += db_changes(account->db);
    step->more |= db_changes(account->db) == STEP_MAX;
    return ERR_OK;
}

static enum err remove_blobs(struct sqlite_account *account, struct step *step, int64_t now_us) {
    sqlite3_stmt *stmt;
    TRY(db_query(account->db, &stmt,
                 "SELECT id, file FROM blob WHERE refs=0 AND unused_since_us<? ORDER BY unused_since_us LIMIT ?", "ii",
                 now_us - BLOB_GRACE_US, (int64_t)STEP_MAX));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            break;
        struct unused_blob *blob = &step->files[step->n++];
        struct view name = column_view(stmt, 1);
        blob->id = column_u64(stmt, 0);
        if (name.n > 0)
            (void)snprintf(blob->path, sizeof(blob->path), "blobs/%.*s", VIEW_FMT(name));
    }
    for (size_t i = 0; i < step->n; i++) {
        TRY(db_run(account->db, "DELETE FROM blob_data WHERE id=?", "i", step->files[i].id));
        TRY(db_run(account->db, "DELETE FROM blob WHERE id=?", "i", step->files[i].id));
        if (account->cached_blob == step->files[i].id)
            account->cached_blob = 0;
    }
    step->removed += step->n;
    step->more |= step->n == STEP_MAX;
    return ERR_OK;
}

static enum err forget_vanished(struct sqlite_account *account, struct step *step) {
    int64_t mailbox, floor;
    enum err err =
        db_get(account->db, &mailbox, "SELECT mailbox FROM vanished GROUP BY mailbox HAVING count(*)>? LIMIT 1", "i",
               (int64_t)(VANISHED_KEPT + VANISHED_SLACK));
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err);
    TRY(db_get(account->db, &floor, "SELECT modseq FROM vanished WHERE mailbox=? ORDER BY modseq DESC LIMIT 1 OFFSET ?",
               "ii", mailbox, (int64_t)VANISHED_KEPT));
    TRY(db_run(account->db, "UPDATE mailbox SET vanished_floor=? WHERE id=?", "ii", floor, mailbox));
    TRY(db_run(account->db, "DELETE FROM vanished WHERE mailbox=? AND modseq<=?", "ii", mailbox, floor));
    step->removed += db_changes(account->db);
    step->more = true;
    return ERR_OK;
}

static enum err run_step(struct sqlite_account *account, void *arg) {
    struct step *step = arg;
    int64_t now_us = account->params.clock->wall_us(account->params.clock);
    TRY(forget_deliveries(account, step, now_us));
    TRY(remove_blobs(account, step, now_us));
    TRY(forget_vanished(account, step));
    bool more;
    TRY(db_shrink(account->db, &more));
    step->more |= more;
    return ERR_OK;
}

/* ---- files without a row ---- */

struct scan {
    struct sqlite_account *account;
    char directory[sizeof("blobs/xx")];
    struct vec orphans; /* of struct unused_blob */
};

static enum err check_file(void *ctx, struct view name) {
    struct scan *scan = ctx;
    char file[BLOB_NAME_SIZE];
    int64_t found;
    int n = snprintf(file, sizeof(file), "%s/%.*s", scan->directory + sizeof("blobs/") - 1, VIEW_FMT(name));
    if (n < 0 || (size_t)n >= sizeof(file))
        return ERR_OK; /* not a name of ours: leave it alone */
    enum err err = db_get(scan->account->db, &found, "SELECT 1 FROM blob WHERE file=?", "v", view_cstr(file));
    if (err != ERR_NOT_FOUND)
        return err;
    struct unused_blob *orphan = vec_add(&scan->orphans);
    if (orphan == NULL)
        return ERR_NO_MEMORY;
    (void)snprintf(orphan->path, sizeof(orphan->path), "blobs/%s", file);
    return ERR_OK;
}

/* One directory a call; once a run of the process, because only a crash leaves such files. A file being added has a name but no
 * row yet: so nothing is looked at while large messages are on their way. */
static enum err scan_files(struct sqlite_account *account, void *arg) {
    struct step *step = arg;
    struct scan scan = {.account = account, .orphans = VEC_OF(struct unused_blob, 100000)};
    (void)snprintf(scan.directory, sizeof(scan.directory), "blobs/%02x", account->scan_at);
    enum err err = disk_list(account->params.disk, scan.directory, check_file, &scan);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    VEC_EACH(&scan.orphans, struct unused_blob, orphan)
    if (err == ERR_OK)
        err = disk_remove(account->params.disk, orphan->path);
    step->removed += scan.orphans.n;
    vec_fini(&scan.orphans);
    account->is_scan_done = account->scan_at == 0xff;
    account->scan_at++;
    return err;
}

/* Nothing is left to do: what memory only speeds up is given back. */
static enum err rest(struct sqlite_account *account, void *arg) {
    (void)arg;
    account->cached_blob = 0;
    buf_fini(&account->cached_body);
    buf_init(&account->cached_body, BLOB_INLINE_MAX + 1);
    db_release_memory(account->db);
    return ERR_OK;
}

enum err maintain(struct sqlite_account *account, struct op_call *call) {
    struct step step = {.call = call};
    TRY(turn_write(account, run_step, &step));
    for (size_t i = 0; i < step.n; i++)
        if (step.files[i].path[0] != '\0') {
            enum err err = disk_remove(account->params.disk, step.files[i].path);
            if (err != ERR_OK && err != ERR_NOT_FOUND)
                return err;
        }
    if (!account->is_scan_done && account->large_in_progress == 0)
        TRY(turn_read(account, scan_files, &step));
    bool has_old = false;
    TRY(rederive(account, &has_old));
    bool more = step.more || has_old || (!account->is_scan_done && account->large_in_progress == 0);
    if (!more)
        TRY(turn_read(account, rest, NULL));
    *(struct maintain_result *)call->result = (struct maintain_result){.removed = step.removed, .more = more};
    return ERR_OK;
}
