/* COPY, MOVE and EXPUNGE. */
#include "store/sqlite/account_impl.h"

#define EXPUNGE_MAX ACCOUNT_RANGES_MAX /* messages a call: each could be a range of its own */

static enum err copy_rows(struct sqlite_account *account, struct op_call *call, struct arena *work,
                          struct message_copy_result *result) {
    const struct message_copy_args *args = call->args;
    struct uid_range *ranges;
    struct row_list rows;
    uint32_t n;
    int64_t uidvalidity;
    TRY(mailbox_exists(account, args->mailbox));
    TRY(db_get(account->db, &uidvalidity, "SELECT uidvalidity FROM mailbox WHERE id=?", "i", args->target));
    TRY(ranges_normalize(work, args->ranges, args->ranges_n, false, &ranges, &n));
    TRY(message_rows(account, args->mailbox, ranges, n, false, SIZE_MAX, work, &rows));
    uint64_t *emails = ARENA_ARRAY(work, rows.n, uint64_t);
    if (emails == NULL)
        return ERR_NO_MEMORY;
    struct range_list from = {.max = ACCOUNT_RANGES_MAX}, to = from;
    bool is_told = true;
    int64_t now_us = account->params.clock->wall_us(account->params.clock);
    for (size_t i = 0; i < rows.n; i++) {
        struct message_row copy = rows.rows[i];
        copy.mailbox = args->target;
        copy.saved_us = now_us; /* RFC8514-3: when it came into this mailbox */
        TRY(membership_add(account, &copy, false));
        if (args->move)
            TRY(membership_remove(account, &rows.rows[i]));
        emails[i] = copy.email;
        /* RFC4315-3 lets COPYUID be left out; so it is when the lists would be too long. */
        is_told = is_told && range_list_add(&from, call->arena, rows.rows[i].uid) == ERR_OK &&
                  range_list_add(&to, call->arena, copy.uid) == ERR_OK;
    }
    if (!args->move && account->params.quota_octets > 0 && rows.n > 0 &&
        account->turn.octets > account->params.quota_octets)
        return ERR_FULL;
    *result = (struct message_copy_result){.uidvalidity = (uint32_t)uidvalidity};
    if (is_told) {
        result->from = from.list;
        result->from_n = from.n;
        result->to = to.list;
        result->to_n = to.n;
    }
    return email_refresh_all(account, emails, rows.n);
}

enum err op_message_copy(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    struct arena *work = arena_new("copy", ROWS_ARENA);
    if (work == NULL)
        return ERR_NO_MEMORY;
    enum err err = copy_rows(account, call, work, call->result);
    arena_free(work);
    return err;
}

static enum err expunge_rows(struct sqlite_account *account, struct op_call *call, struct arena *work,
                             struct message_expunge_result *result) {
    const struct message_expunge_args *args = call->args;
    struct uid_range *ranges;
    struct row_list rows;
    uint32_t n;
    TRY(mailbox_exists(account, args->mailbox));
    TRY(ranges_normalize(work, args->ranges, args->ranges_n, true, &ranges, &n));
    TRY(message_rows(account, args->mailbox, ranges, n, !args->any, EXPUNGE_MAX, work, &rows));
    uint64_t *emails = ARENA_ARRAY(work, rows.n, uint64_t);
    if (emails == NULL)
        return ERR_NO_MEMORY;
    struct range_list expunged = {.max = ACCOUNT_RANGES_MAX};
    for (size_t i = 0; i < rows.n; i++) {
        TRY(membership_remove(account, &rows.rows[i]));
        TRY(range_list_add(&expunged, call->arena, rows.rows[i].uid));
        emails[i] = rows.rows[i].email;
    }
    *result = (struct message_expunge_result){.expunged = expunged.list, .expunged_n = expunged.n, .more = rows.more};
    return email_refresh_all(account, emails, rows.n);
}

enum err op_message_expunge(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    struct arena *work = arena_new("expunge", ROWS_ARENA);
    if (work == NULL)
        return ERR_NO_MEMORY;
    enum err err = expunge_rows(account, call, work, call->result);
    arena_free(work);
    return err;
}
