/* Reading messages and their octets, and storing flags. */
#include "store/sqlite/account_impl.h"

#include <stdlib.h>

#define ITEM_OVERHEAD 145 /* octets of the fixed fields and counts of a message_item in a packet */

#define COLUMNS_MESSAGE "g.uid, g.id, g.modified, g.flags, g.keywords, g.saved_us, g.email"
#define COLUMNS_EMAIL ", e.internal_us, e.sent_us, e.size, e.header_size, e.blob, e.thread, e.has_attachment"
#define COLUMNS_TEXT ", t.envelope, t.body, t.bodystructure, t.part_index, t.preview, t.fields"
#define WHERE_UIDS " WHERE g.mailbox=? AND g.uid BETWEEN ? AND ? ORDER BY g.uid"

static const char select_message[] = "SELECT " COLUMNS_MESSAGE " FROM message g" WHERE_UIDS;
static const char select_email[] =
    "SELECT " COLUMNS_MESSAGE COLUMNS_EMAIL " FROM message g JOIN email e ON e.id=g.email" WHERE_UIDS;
static const char select_text[] =
    "SELECT " COLUMNS_MESSAGE COLUMNS_EMAIL COLUMNS_TEXT
    " FROM message g JOIN email e ON e.id=g.email JOIN email_text t ON t.id=g.email" WHERE_UIDS;

#define ITEMS_EMAIL (ITEM_DATES | ITEM_SIZE | ITEM_IDS)
#define ITEMS_TEXT (ITEM_ENVELOPE | ITEM_BODY | ITEM_BODYSTRUCTURE | ITEM_INDEX | ITEM_PREVIEW | ITEM_FIELDS)

static int compare_ranges(const void *a, const void *b) {
    const struct uid_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

enum err ranges_normalize(struct arena *arena, const struct uid_range *ranges, uint32_t n, bool none_is_all,
                          struct uid_range **out, uint32_t *out_n) {
    struct uid_range *list = ARENA_ARRAY(arena, (size_t)n + 1, struct uid_range);
    if (list == NULL)
        return ERR_NO_MEMORY;
    if (n == 0 && none_is_all)
        list[n++] = (struct uid_range){1, UINT32_MAX};
    else
        for (uint32_t i = 0; i < n; i++) {
            if (ranges[i].first > ranges[i].last)
                return ERR_SYNTAX;
            list[i] = ranges[i];
        }
    if (n > 0)
        qsort(list, n, sizeof(*list), compare_ranges);
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (used > 0 && list[i].first <= list[used - 1].last)
            list[used - 1].last = MAX(list[used - 1].last, list[i].last);
        else
            list[used++] = list[i];
    }
    *out = list;
    *out_n = used;
    return ERR_OK;
}

size_t item_octets(const struct message_item *item) {
    size_t n = ITEM_OVERHEAD + item->envelope.n + item->body.n + item->bodystructure.n + item->part_index.n +
               item->preview.n + item->fields.n;
    for (uint32_t i = 0; i < item->keywords_n; i++)
        n += item->keywords[i].name.n + 4;
    return n;
}

static enum err set_keywords(struct view text, struct arena *arena, struct message_item *item) {
    struct view copy;
    TRY(arena_view(arena, text, &copy));
    return keywords_split(copy, arena, &item->keywords, &item->keywords_n);
}

static enum err copy_column(sqlite3_stmt *stmt, int column, bool is_wanted, struct arena *arena, struct view *out) {
    return is_wanted ? arena_view(arena, column_view(stmt, column), out) : ERR_OK;
}

static enum err read_item(sqlite3_stmt *stmt, uint32_t items, struct arena *arena, struct message_item *out) {
    struct message_item item = {.uid = column_u32(stmt, 0), .id = column_u64(stmt, 1), .modseq = column_u64(stmt, 2)};
    if (items & ITEM_FLAGS) {
        item.flags = column_u32(stmt, 3);
        TRY(set_keywords(column_view(stmt, 4), arena, &item));
    }
    if (items & ITEM_DATES) {
        item.saved_us = column_i64(stmt, 5);
        item.internal_us = column_i64(stmt, 7);
        item.sent_us = column_i64(stmt, 8);
    }
    if (items & ITEM_SIZE) {
        item.size = column_u64(stmt, 9);
        item.header_size = column_u32(stmt, 10);
    }
    if (items & ITEM_IDS) {
        item.email = column_u64(stmt, 6);
        item.blob = column_u64(stmt, 11);
        item.thread = column_u64(stmt, 12);
    }
    if (items & ITEMS_TEXT) {
        TRY(copy_column(stmt, 14, items & ITEM_ENVELOPE, arena, &item.envelope));
        TRY(copy_column(stmt, 15, items & ITEM_BODY, arena, &item.body));
        TRY(copy_column(stmt, 16, items & ITEM_BODYSTRUCTURE, arena, &item.bodystructure));
        TRY(copy_column(stmt, 17, items & ITEM_INDEX, arena, &item.part_index));
        TRY(copy_column(stmt, 18, items & ITEM_PREVIEW, arena, &item.preview));
        TRY(copy_column(stmt, 19, items & ITEM_FIELDS, arena, &item.fields));
    }
    if (items & ITEM_FIELDS)
        item.has_attachment = sqlite3_column_type(stmt, 13) == SQLITE_NULL ? ATTACHMENT_UNKNOWN
                              : column_u32(stmt, 13) != 0                  ? ATTACHMENT_YES
                                                                           : ATTACHMENT_NO;
    *out = item;
    return ERR_OK;
}

/* One range; sets next_uid and returns when the result is full. */
static enum err fetch_range(struct sqlite_account *account, struct op_call *call, struct uid_range range,
                            size_t *octets, struct message_fetch_result *result) {
    const struct message_fetch_args *args = call->args;
    const char *sql = args->items & ITEMS_TEXT    ? select_text
                      : args->items & ITEMS_EMAIL ? select_email
                                                  : select_message;
    sqlite3_stmt *stmt;
    TRY(db_query(account->db, &stmt, sql, "iuu", args->mailbox, range.first, range.last));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        struct message_item *item = &result->messages[result->messages_n];
        bool is_full = result->messages_n == ACCOUNT_BATCH_MAX;
        enum err err = is_full ? ERR_OK : read_item(stmt, args->items, call->arena, item);
        /* A caller's arena that is full ends the batch, not the call. */
        if ((err == ERR_LIMIT || err == ERR_NO_MEMORY) && result->messages_n > 0) {
            err = ERR_OK;
            is_full = true;
        }
        if (err == ERR_OK && !is_full) {
            size_t n = item_octets(item);
            is_full = result->messages_n > 0 && *octets + n > RESULT_OCTETS_MAX;
            *octets += n;
        }
        if (is_full)
            result->next_uid = column_u32(stmt, 0);
        if (err != ERR_OK || is_full) {
            db_done(stmt);
            return err;
        }
        result->messages_n++;
    }
}

enum err op_message_fetch(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct message_fetch_args *args = call->args;
    struct message_fetch_result result = {0};
    struct uid_range *ranges;
    uint32_t n;
    size_t octets = 0;
    TRY(mailbox_exists(account, args->mailbox));
    TRY(ranges_normalize(call->arena, args->ranges, args->ranges_n, true, &ranges, &n));
    result.messages = ARENA_ARRAY(call->arena, ACCOUNT_BATCH_MAX, struct message_item);
    if (result.messages == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < n && result.next_uid == 0; i++) {
        struct uid_range range = ranges[i];
        range.first = MAX(range.first, args->from_uid);
        if (range.first <= range.last)
            TRY(fetch_range(account, call, range, &octets, &result));
    }
    *(struct message_fetch_result *)call->result = result;
    return ERR_OK;
}

/* ---- flags ---- */

struct storing {
    const struct message_store_args *args;
    struct message_store_result *result;
    struct range_list refused;
    struct view keywords;
    size_t octets;
    struct arena *arena; /* of the result */
    struct arena *work;  /* of one turn; cleared between two */
    uint32_t from_uid;   /* where the next turn goes on */
    bool more;
};

/* Messages a turn: a STORE over a large mailbox lets others write and the loop breathe between (RFC3501-6.4.6 does not ask
 * that it be one change). */
#define STORE_TURN_MAX 250

static enum err store_one(struct sqlite_account *account, struct storing *s, struct message_row *row,
                          bool *is_changed) {
    const struct message_store_args *args = s->args;
    /* RFC7162-3.1.3: UNCHANGEDSINCE refuses what was modified later; all metadata counts. */
    if (args->conditional && row->modified > args->unchanged_since)
        return range_list_add(&s->refused, s->arena, row->uid);
    uint32_t flags = args->flags & FLAGS_ALL;
    struct view keywords = s->keywords;
    if (args->mode == STORE_ADD) {
        flags |= row->flags;
        TRY(keywords_union(row->keywords, s->keywords, s->work, &keywords));
    } else if (args->mode == STORE_REMOVE) {
        flags = row->flags & ~flags;
        TRY(keywords_minus(row->keywords, s->keywords, s->work, &keywords));
    }
    size_t count = keywords.n > 0;
    for (size_t i = 0; i < keywords.n; i++)
        count += keywords.p[i] == ' ';
    if (count > ACCOUNT_KEYWORDS_MAX)
        return ERR_LIMIT;
    *is_changed = flags != row->flags || !view_eq(keywords, row->keywords);
    uint64_t modseq = row->modified;
    if (*is_changed)
        TRY(membership_set_flags(account, row, flags, keywords, &modseq));
    struct message_store_result *result = s->result;
    if (result->too_many)
        return ERR_OK;
    struct message_item item = {.uid = row->uid, .id = row->id, .modseq = modseq, .flags = flags};
    if (result->changed_n < ACCOUNT_BATCH_MAX) {
        TRY(set_keywords(keywords, s->arena, &item));
        s->octets += item_octets(&item);
    }
    result->too_many = result->changed_n == ACCOUNT_BATCH_MAX || s->octets > RESULT_OCTETS_MAX;
    if (!result->too_many)
        result->changed[result->changed_n++] = item;
    return ERR_OK;
}

static enum err store_turn(struct sqlite_account *account, void *arg) {
    struct storing *s = arg;
    const struct message_store_args *args = s->args;
    struct uid_range *ranges;
    uint32_t n, left = 0;
    struct row_list rows;
    TRY(mailbox_exists(account, args->mailbox));
    TRY(keywords_canonical(account, args->keywords, args->keywords_n, args->mode != STORE_REMOVE, s->work,
                           &s->keywords));
    TRY(ranges_normalize(s->work, args->ranges, args->ranges_n, false, &ranges, &n));
    for (uint32_t i = 0; i < n; i++)
        if (ranges[i].last >= s->from_uid)
            ranges[left++] = (struct uid_range){MAX(ranges[i].first, s->from_uid), ranges[i].last};
    TRY(message_rows(account, args->mailbox, ranges, left, false, STORE_TURN_MAX, s->work, &rows));
    uint64_t *emails = ARENA_ARRAY(s->work, rows.n, uint64_t);
    size_t changed = 0;
    if (emails == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < rows.n; i++) {
        bool is_changed = false;
        TRY(store_one(account, s, &rows.rows[i], &is_changed));
        if (is_changed)
            emails[changed++] = rows.rows[i].email;
    }
    s->more = rows.more;
    if (rows.more)
        s->from_uid = rows.rows[rows.n - 1].uid + 1;
    return email_refresh_all(account, emails, changed);
}

enum err store_messages(struct sqlite_account *account, struct op_call *call) {
    const struct message_store_args *args = call->args;
    struct message_store_result result = {0};
    struct storing s = {.args = args, .result = &result, .refused.max = ACCOUNT_RANGES_MAX, .arena = call->arena};
    if (args->mode > STORE_REMOVE)
        return ERR_SYNTAX;
    result.changed = ARENA_ARRAY(call->arena, ACCOUNT_BATCH_MAX, struct message_item);
    s.work = arena_new("store", ROWS_ARENA);
    enum err err = result.changed == NULL || s.work == NULL ? ERR_NO_MEMORY : ERR_OK;
    do {
        if (err == ERR_OK)
            err = turn_write(account, store_turn, &s);
        if (s.work != NULL)
            arena_clear(s.work);
    } while (err == ERR_OK && s.more);
    arena_free(s.work);
    if (err != ERR_OK)
        return err;
    result.refused = s.refused.list;
    result.refused_n = s.refused.n;
    *(struct message_store_result *)call->result = result;
    return ERR_OK;
}
