/*
 * Threads: an email joins, at delivery and for good, the thread of an email with
 * which it shares a message id and the base subject (RFC8621-3).
 */
#include "store/sqlite/account_impl.h"

enum err thread_assign(struct sqlite_account *account, const struct thread_keys *keys, uint64_t modseq, uint64_t *out) {
    uint64_t thread = 0;
    for (size_t i = 0; i < keys->n; i++) {
        int64_t found;
        enum err err = db_get(account->db, &found, "SELECT thread FROM thread_index WHERE id_key=? AND subject_key=?",
                              "ii", keys->ids[i], keys->subject);
        if (err == ERR_NOT_FOUND)
            continue;
        TRY(err);
        /* Ids of two threads: the older one; they are never merged. */
        if (thread == 0 || (uint64_t)found < thread)
            thread = (uint64_t)found;
    }
    if (thread == 0) {
        thread = next_id(account);
        TRY(db_run(account->db, "INSERT INTO thread(id, emails, created, modified) VALUES(?1, 1, ?2, ?2)", "ii", thread,
                   modseq));
    } else {
        TRY(db_run(account->db, "UPDATE thread SET emails=emails+1, modified=? WHERE id=?", "ii", modseq, thread));
    }
    for (size_t i = 0; i < keys->n; i++)
        TRY(db_run(account->db, "INSERT OR IGNORE INTO thread_index(id_key, subject_key, thread) VALUES(?, ?, ?)",
                   "iii", keys->ids[i], keys->subject, thread));
    *out = thread;
    return ERR_OK;
}

enum err thread_leave(struct sqlite_account *account, uint64_t thread, uint64_t modseq) {
    int64_t emails;
    TRY(db_get(account->db, &emails, "UPDATE thread SET emails=emails-1, modified=? WHERE id=? RETURNING emails", "ii",
               modseq, thread));
    if (emails > 0)
        return ERR_OK;
    TRY(db_run(account->db, "DELETE FROM thread_index WHERE thread=?", "i", thread));
    TRY(db_run(account->db,
               "INSERT INTO tombstone(type, modseq, object, created) SELECT ?, ?, id, created FROM thread WHERE id=?",
               "uii", (uint32_t)OBJECT_THREAD, modseq, thread));
    return db_run(account->db, "DELETE FROM thread WHERE id=?", "i", thread);
}
