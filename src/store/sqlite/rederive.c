/*
 * Messages that an older program stored: what this one derives more is added,
 * a few messages a step, outside the write turn, in the order of their ids. A
 * cut loses at most a step, which is done again. Modseqs do not move: nothing
 * that a client may keep has changed, only what it could not have yet.
 */
#include "store/sqlite/account_impl.h"

#include "store/blob_source.h"

#include <stdlib.h>

#define STEP_MESSAGES 50
#define STEP_OCTETS ((uint64_t)8 * 1024 * 1024) /* read in one step, but for a first message that is larger */
#define STEP_ARENA \
    ((size_t)16 * 1024 * 1024) /* what a step derives: STEP_MESSAGES times ACCOUNT_DERIVED_MAX and more */

struct old_email {
    uint64_t id, blob, size;
    bool is_derived;
    struct derived derived;
};

struct step {
    struct old_email emails[STEP_MESSAGES];
    size_t n;
    uint64_t next; /* where the next step goes on */
    struct arena *work, *parts, *chunk;
};

static enum err find_old(struct sqlite_account *account, void *arg) {
    struct step *step = arg;
    sqlite3_stmt *stmt;
    TRY(db_query(account->db, &stmt, "SELECT id, blob, size FROM email WHERE id>=? AND id<? ORDER BY id LIMIT ?", "iiu",
                 account->derive_from, account->derive_below, (uint32_t)STEP_MESSAGES));
    step->next = account->derive_below;
    for (uint64_t octets = 0;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            break;
        struct old_email *email = &step->emails[step->n];
        *email =
            (struct old_email){.id = column_u64(stmt, 0), .blob = column_u64(stmt, 1), .size = column_u64(stmt, 2)};
        octets += email->size;
        if (step->n > 0 && octets > STEP_OCTETS) {
            step->next = email->id;
            db_done(stmt);
            break;
        }
        step->n++;
        if (step->n == STEP_MESSAGES)
            step->next = email->id + 1;
    }
    return ERR_OK;
}

static enum err derive_old(struct sqlite_account *account, struct step *step, struct old_email *email) {
    struct blob_source source;
    struct message message;
    arena_clear(step->parts);
    blob_source_init(&source, &account->account, email->blob, email->size, step->chunk);
    enum err err = message_parse_source(step->parts, &source.source, &message);
    if (err == ERR_OK)
        err = derive_shown(account, &message, step->work, &email->derived);
    email->is_derived = err == ERR_OK;
    /* One that is damaged (verify tells of it) or gone by now stays as it is and does not hold the others up. */
    return err == ERR_NOT_FOUND || err == ERR_PERMANENT || err == ERR_LIMIT ? ERR_OK : err;
}

static enum err store_derived(struct sqlite_account *account, void *arg) {
    const struct step *step = arg;
    for (size_t i = 0; i < step->n; i++) {
        const struct old_email *email = &step->emails[i];
        if (!email->is_derived)
            continue;
        TRY(db_run(account->db,
                   "UPDATE email_text SET preview=?1, fields=CASE WHEN coalesce(length(envelope),0)+"
                   "coalesce(length(body),0)+coalesce(length(bodystructure),0)+coalesce(length(part_index),0)<=?2"
                   " THEN ?3 END WHERE id=?4",
                   "vivi", email->derived.preview, (int64_t)(DERIVED_TOTAL_MAX - email->derived.fields.n),
                   email->derived.fields, email->id));
        TRY(db_run(account->db, "UPDATE email SET has_attachment=nullif(?, 2) WHERE id=?", "ui",
                   (uint32_t)email->derived.has_attachment, email->id));
    }
    return db_run(account->db, "UPDATE account SET derive_from=? WHERE id=1", "i", step->next);
}

static enum err run_rederive(struct sqlite_account *account, struct step *step) {
    TRY(turn_read(account, find_old, step));
    for (size_t i = 0; i < step->n; i++) {
        TRY(derive_old(account, step, &step->emails[i]));
        TRY(co_breathe());
    }
    TRY(turn_write(account, store_derived, step));
    account->derive_from = step->next;
    return ERR_OK;
}

enum err rederive(struct sqlite_account *account, bool *more) {
    *more = false;
    if (account->derive_from >= account->derive_below)
        return ERR_OK;
    struct step *step = calloc(1, sizeof(*step));
    if (step == NULL)
        return ERR_NO_MEMORY;
    step->work = arena_new("rederive", STEP_ARENA);
    step->parts = arena_new("rederive_parts", MESSAGE_ARENA_BUDGET);
    step->chunk = arena_new("rederive_chunk", BLOB_SOURCE_ARENA);
    enum err err = ERR_NO_MEMORY;
    if (step->work != NULL && step->parts != NULL && step->chunk != NULL)
        err = run_rederive(account, step);
    arena_free(step->work);
    arena_free(step->parts);
    arena_free(step->chunk);
    free(step);
    *more = account->derive_from < account->derive_below;
    return err;
}
