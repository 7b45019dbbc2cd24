/* What changed in a mailbox after a modseq. */
#include "store/sqlite/account_impl.h"

struct merge {
    struct sqlite_account *account;
    struct op_call *call;
    sqlite3_stmt *messages, *vanished;
    bool has_message, has_vanished;
    struct range_list gone;
    size_t octets;
    struct mailbox_changes_result result;
};

static enum err take_message(struct merge *m, bool *is_full) {
    struct mailbox_changes_result *result = &m->result;
    *is_full = result->changed_n == ACCOUNT_BATCH_MAX;
    if (*is_full)
        return ERR_OK;
    struct message_item item = {.uid = column_u32(m->messages, 0),
                                .id = column_u64(m->messages, 1),
                                .modseq = column_u64(m->messages, 2),
                                .flags = column_u32(m->messages, 3)};
    struct view names;
    TRY(arena_view(m->call->arena, column_view(m->messages, 4), &names));
    TRY(keywords_split(names, m->call->arena, &item.keywords, &item.keywords_n));
    size_t octets = m->octets + item_octets(&item);
    *is_full = result->changed_n > 0 && octets > RESULT_OCTETS_MAX;
    if (*is_full)
        return ERR_OK;
    m->octets = octets;
    result->changed[result->changed_n++] = item;
    result->until_modseq = item.modseq;
    return db_next(m->account->db, m->messages, &m->has_message);
}

static enum err take_vanished(struct merge *m, uint64_t since, bool *is_full) {
    /* Of what came and went after `since` the caller never knew. */
    if (column_u64(m->vanished, 2) <= since) {
        enum err err = range_list_add(&m->gone, m->call->arena, column_u32(m->vanished, 1));
        *is_full = err == ERR_LIMIT || m->octets > RESULT_OCTETS_MAX;
        if (*is_full)
            return ERR_OK;
        TRY(err);
        m->octets += 8;
    }
    m->result.until_modseq = column_u64(m->vanished, 0);
    return db_next(m->account->db, m->vanished, &m->has_vanished);
}

/* In order of modseq, which no two rows share: so a result can stop after any. */
static enum err merge_all(struct merge *m, uint64_t since) {
    TRY(db_next(m->account->db, m->messages, &m->has_message));
    TRY(db_next(m->account->db, m->vanished, &m->has_vanished));
    while ((m->has_message || m->has_vanished) && !m->result.more) {
        bool message_first =
            m->has_message && (!m->has_vanished || column_u64(m->messages, 2) < column_u64(m->vanished, 0));
        if (message_first)
            TRY(take_message(m, &m->result.more));
        else
            TRY(take_vanished(m, since, &m->result.more));
    }
    return ERR_OK;
}

enum err op_mailbox_changes(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_changes_args *args = call->args;
    struct merge m = {.account = account, .call = call, .gone.max = ACCOUNT_RANGES_MAX};
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt, "SELECT content_modseq, vanished_floor, uidnext FROM mailbox WHERE id=?", "i",
                 args->mailbox));
    TRY(db_next(account->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    uint64_t content_modseq = column_u64(stmt, 0), floor = column_u64(stmt, 1);
    m.result.uidnext = column_u32(stmt, 2);
    db_done(stmt);
    m.result.full = args->since_modseq < floor;
    m.result.until_modseq = content_modseq;
    if (!m.result.full) {
        m.result.changed = ARENA_ARRAY(call->arena, ACCOUNT_BATCH_MAX, struct message_item);
        if (m.result.changed == NULL)
            return ERR_NO_MEMORY;
        TRY(db_query(
            account->db, &m.messages,
            "SELECT uid, id, modified, flags, keywords FROM message WHERE mailbox=? AND modified>? ORDER BY modified",
            "ii", args->mailbox, args->since_modseq));
        TRY(db_query(account->db, &m.vanished,
                     "SELECT modseq, uid, created FROM vanished WHERE mailbox=? AND modseq>? ORDER BY modseq", "ii",
                     args->mailbox, args->since_modseq));
        enum err err = merge_all(&m, args->since_modseq);
        db_done(m.messages);
        db_done(m.vanished);
        TRY(err);
        if (!m.result.more)
            m.result.until_modseq = content_modseq;
        m.result.vanished = m.gone.list;
        m.result.vanished_n = m.gone.n;
    }
    *(struct mailbox_changes_result *)call->result = m.result;
    return ERR_OK;
}
