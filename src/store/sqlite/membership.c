/*
 * Memberships: an email in a mailbox under a UID. Everything that counts them is
 * kept here, in the same transaction: the mailbox's counts in both forms, the
 * email's aggregates, keywords in use, what vanished.
 */
#include "store/sqlite/account_impl.h"

#include "base/reader.h"

#include <stdlib.h>
#include <string.h>

#define EMAIL_MAILBOXES_MAX ACCOUNT_MAILBOXES_MAX
#define REFRESH_ARENA ((size_t)1024 * 1024)

enum err membership_add(struct sqlite_account *account, struct message_row *row, bool is_only) {
    int64_t uid;
    uint64_t modseq = next_modseq(account);
    int64_t unseen = (row->flags & FLAG_SEEN) == 0, deleted = (row->flags & FLAG_DELETED) != 0;
    /* RFC3501-2.3.1.1: UIDs go up and are never used again; at the end of 32 bits the mailbox is full. */
    enum err err = db_get(
        account->db, &uid,
        "UPDATE mailbox SET uidnext=uidnext+1, exists_n=exists_n+1, unseen=unseen+?2, deleted=deleted+?3,"
        " octets=octets+?4, emails=emails+?5, unseen_emails=unseen_emails+?6, content_modseq=?7, count_modseq=?7"
        " WHERE id=?1 AND uidnext<4294967295 RETURNING uidnext-1",
        "iiiiiii", row->mailbox, unseen, deleted, row->size, (int64_t)is_only, is_only ? unseen : (int64_t)0, modseq);
    if (err == ERR_NOT_FOUND)
        return mailbox_exists(account, row->mailbox) == ERR_OK ? ERR_LIMIT : ERR_NOT_FOUND;
    TRY(err);
    row->id = next_id(account);
    row->uid = (uint32_t)uid;
    row->created = row->modified = modseq;
    TRY(db_run(account->db,
               "INSERT INTO message(id, mailbox, uid, email, flags, keywords, size, saved_us, created, modified)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
               "iiuiutiii", row->id, row->mailbox, row->uid, row->email, row->flags, row->keywords, row->size,
               row->saved_us, modseq));
    TRY(keywords_count(account, row->mailbox, VIEW(""), row->keywords));
    account->turn.octets += row->size;
    account->turn.messages++;
    return note_change(account, CHANGE_ADDED, row->mailbox, row->uid, modseq);
}

enum err membership_remove(struct sqlite_account *account, const struct message_row *row) {
    uint64_t modseq = next_modseq(account);
    int64_t unseen = (row->flags & FLAG_SEEN) == 0, deleted = (row->flags & FLAG_DELETED) != 0;
    TRY(db_run(account->db, "DELETE FROM message_private WHERE message=?", "i", row->id));
    TRY(db_run(account->db, "DELETE FROM message WHERE id=?", "i", row->id));
    TRY(db_run(account->db,
               "UPDATE mailbox SET exists_n=exists_n-1, unseen=unseen-?2, deleted=deleted-?3, octets=octets-?4, "
               "content_modseq=?5,"
               " count_modseq=?5 WHERE id=?1",
               "iiiii", row->mailbox, unseen, deleted, row->size, modseq));
    TRY(db_run(account->db, "INSERT INTO vanished(mailbox, modseq, uid, created) VALUES(?, ?, ?, ?)", "iiui",
               row->mailbox, modseq, row->uid, row->created));
    TRY(keywords_count(account, row->mailbox, row->keywords, VIEW("")));
    account->turn.octets -= row->size;
    account->turn.messages--;
    return note_change(account, CHANGE_REMOVED, row->mailbox, row->uid, modseq);
}

enum err membership_set_flags(struct sqlite_account *account, const struct message_row *row, uint32_t flags,
                              struct view keywords, uint64_t *out) {
    uint64_t modseq = next_modseq(account);
    int64_t unseen = (int64_t)((flags & FLAG_SEEN) == 0) - (int64_t)((row->flags & FLAG_SEEN) == 0);
    int64_t deleted = (int64_t)((flags & FLAG_DELETED) != 0) - (int64_t)((row->flags & FLAG_DELETED) != 0);
    TRY(db_run(account->db, "UPDATE message SET flags=?, keywords=?, modified=? WHERE id=?", "utii", flags, keywords,
               modseq, row->id));
    TRY(db_run(account->db,
               "UPDATE mailbox SET unseen=unseen+?2, deleted=deleted+?3, content_modseq=?4,"
               " count_modseq=CASE WHEN ?2=0 THEN count_modseq ELSE ?4 END WHERE id=?1",
               "iiii", row->mailbox, unseen, deleted, modseq));
    TRY(keywords_count(account, row->mailbox, row->keywords, keywords));
    *out = modseq;
    return note_change(account, CHANGE_TOUCHED, row->mailbox, row->uid, modseq);
}

/* ---- aggregates ---- */

struct aggregates {
    struct view mailboxes; /* 8 octets an id, sorted */
    struct view keywords;
    uint32_t flags;
    int64_t messages;
    bool seen;
};

/* From the rows of `message`. */
static enum err compute(struct sqlite_account *account, uint64_t email, struct arena *arena, struct aggregates *out) {
    sqlite3_stmt *stmt;
    struct aggregates a = {.mailboxes = {arena_alloc(arena, 0), 0}, .keywords = VIEW(""), .seen = true};
    struct buf ids;
    uint64_t last = 0;
    buf_init(&ids, (size_t)EMAIL_MAILBOXES_MAX * 8);
    enum err err = db_query(account->db, &stmt,
                            "SELECT mailbox, flags, keywords FROM message WHERE email=? ORDER BY mailbox", "i", email);
    while (err == ERR_OK) {
        bool is_row;
        err = db_next(account->db, stmt, &is_row);
        if (err != ERR_OK || !is_row)
            break;
        uint32_t flags = column_u32(stmt, 1);
        a.flags |= flags;
        a.seen = a.seen && (flags & FLAG_SEEN) != 0;
        a.messages++;
        if (column_u64(stmt, 0) != last) {
            last = column_u64(stmt, 0);
            buf_put_be64(&ids, last);
        }
        struct view names = column_view(stmt, 2);
        if (names.n > 0 && !view_eq(names, a.keywords)) {
            /* Many memberships with many keywords: the union is cut at what one message may have. */
            err = keywords_union(a.keywords, names, arena, &names);
            if (err == ERR_OK)
                a.keywords = names;
            else if (err == ERR_LIMIT)
                err = ERR_OK;
            if (err != ERR_OK)
                db_done(stmt);
        }
    }
    if (err == ERR_OK)
        err = buf_err(&ids);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&ids), &a.mailboxes);
    buf_fini(&ids);
    if (err == ERR_OK)
        *out = a;
    return err;
}

static enum err add_email_counts(struct sqlite_account *account, uint64_t mailbox, int64_t emails, int64_t unseen,
                                 uint64_t modseq) {
    if (emails == 0 && unseen == 0)
        return ERR_OK;
    return db_run(account->db,
                  "UPDATE mailbox SET emails=emails+?, unseen_emails=unseen_emails+?, count_modseq=? WHERE id=?",
                  "iiii", emails, unseen, modseq, mailbox);
}

/* Carries the difference of an email's mailbox set and seen state into the mailboxes. */
static enum err move_counts(struct sqlite_account *account, const struct aggregates *from, const struct aggregates *to,
                            uint64_t modseq) {
    struct reader a = reader_of(from->mailboxes), b = reader_of(to->mailboxes);
    uint64_t x = reader_at_end(&a) ? 0 : reader_be64(&a), y = reader_at_end(&b) ? 0 : reader_be64(&b);
    while (x != 0 || y != 0) {
        bool left = x != 0 && (y == 0 || x <= y), right = y != 0 && (x == 0 || y <= x);
        TRY(add_email_counts(account, left ? x : y, (int64_t)right - (int64_t)left,
                             (int64_t)(right && !to->seen) - (int64_t)(left && !from->seen), modseq));
        if (left)
            x = reader_at_end(&a) ? 0 : reader_be64(&a);
        if (right)
            y = reader_at_end(&b) ? 0 : reader_be64(&b);
    }
    return ERR_OK;
}

static enum err remove_email(struct sqlite_account *account, uint64_t email, uint64_t blob, uint64_t thread,
                             uint64_t created, uint64_t modseq) {
    TRY(db_run(account->db, "DELETE FROM email_text WHERE id=?", "i", email));
    TRY(db_run(account->db, "DELETE FROM email WHERE id=?", "i", email));
    TRY(db_run(account->db, "INSERT INTO tombstone(type, modseq, object, created) VALUES(?, ?, ?, ?)", "uiii",
               (uint32_t)OBJECT_EMAIL, modseq, email, created));
    TRY(thread_leave(account, thread, modseq));
    return blob_release(account, blob);
}

static enum err refresh(struct sqlite_account *account, uint64_t email, uint64_t modseq, struct arena *arena) {
    struct aggregates from = {0}, to;
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt,
                 "SELECT mailboxes, flags, seen, keywords, blob, thread, created, messages FROM email WHERE id=?", "i",
                 email));
    TRY(db_next(account->db, stmt, &is_row));
    if (!is_row)
        return ERR_BUG;
    from.flags = column_u32(stmt, 1);
    from.seen = column_i64(stmt, 2) != 0;
    uint64_t blob = column_u64(stmt, 4), thread = column_u64(stmt, 5), created = column_u64(stmt, 6);
    from.messages = column_i64(stmt, 7);
    enum err err = arena_view(arena, column_view(stmt, 0), &from.mailboxes);
    if (err == ERR_OK)
        err = arena_view(arena, column_view(stmt, 3), &from.keywords);
    db_done(stmt);
    TRY(err);
    TRY(compute(account, email, arena, &to));
    TRY(move_counts(account, &from, &to, modseq));
    if (to.messages == 0)
        return remove_email(account, email, blob, thread, created, modseq);
    bool is_same = from.flags == to.flags && from.seen == to.seen && view_eq(from.mailboxes, to.mailboxes) &&
                   view_eq(from.keywords, to.keywords);
    return db_run(account->db,
                  "UPDATE email SET messages=?2, mailboxes=?3, flags=?4, seen=?5, keywords=?6,"
                  " modified=CASE WHEN ?8 THEN modified ELSE ?7 END WHERE id=?1",
                  "iivuitii", email, to.messages, to.mailboxes, to.flags, (int64_t)to.seen, to.keywords, modseq,
                  (int64_t)is_same);
}

enum err email_refresh(struct sqlite_account *account, uint64_t email, uint64_t modseq) {
    struct arena *arena = arena_new("email", REFRESH_ARENA);
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err = refresh(account, email, modseq, arena);
    arena_free(arena);
    return err;
}

static int compare_ids(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum err email_refresh_all(struct sqlite_account *account, uint64_t *emails, size_t n) {
    if (n == 0)
        return ERR_OK;
    qsort(emails, n, sizeof(*emails), compare_ids);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || emails[i] != emails[i - 1])
            TRY(email_refresh(account, emails[i], next_modseq(account)));
    return ERR_OK;
}

/* ---- rows by UID ---- */

enum err message_rows(struct sqlite_account *account, uint64_t mailbox, const struct uid_range *ranges, uint32_t n,
                      bool only_deleted, size_t max, struct arena *arena, struct row_list *out) {
    static const char all[] = "SELECT id, uid, email, flags, keywords, size, saved_us, created, modified FROM message"
                              " WHERE mailbox=? AND uid BETWEEN ? AND ? ORDER BY uid";
    static const char deleted[] =
        "SELECT id, uid, email, flags, keywords, size, saved_us, created, modified FROM message"
        " WHERE mailbox=? AND uid BETWEEN ? AND ? AND flags&8<>0 ORDER BY uid";
    struct row_list list = {0};
    size_t cap = 0;
    for (uint32_t i = 0; i < n && !list.more; i++) {
        sqlite3_stmt *stmt;
        TRY(db_query(account->db, &stmt, only_deleted ? deleted : all, "iuu", mailbox, ranges[i].first,
                     ranges[i].last));
        for (;;) {
            bool is_row;
            TRY(db_next(account->db, stmt, &is_row));
            if (!is_row)
                break;
            if (list.n == max) {
                list.more = true;
                db_done(stmt);
                break;
            }
            if (list.n == cap) {
                size_t grown = cap == 0 ? 64 : cap * 2;
                struct message_row *rows = arena_grow(arena, list.rows, cap, grown, sizeof(*rows));
                if (rows == NULL) {
                    db_done(stmt);
                    return ERR_NO_MEMORY;
                }
                list.rows = rows;
                cap = grown;
            }
            struct message_row *row = &list.rows[list.n++];
            *row = (struct message_row){
                .id = column_u64(stmt, 0),
                .mailbox = mailbox,
                .email = column_u64(stmt, 2),
                .size = column_u64(stmt, 5),
                .created = column_u64(stmt, 7),
                .modified = column_u64(stmt, 8),
                .uid = column_u32(stmt, 1),
                .flags = column_u32(stmt, 3),
                .saved_us = column_i64(stmt, 6),
            };
            enum err err = arena_view(arena, column_view(stmt, 4), &row->keywords);
            if (err != ERR_OK) {
                db_done(stmt);
                return err;
            }
        }
    }
    *out = list;
    return ERR_OK;
}
