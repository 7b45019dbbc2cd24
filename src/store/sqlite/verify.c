/*
 * Everything that can be checked: pages and foreign keys by SQLite; counts,
 * aggregates, references, modseqs by queries that must find nothing; every
 * blob's octets by its hash.
 */
#include "store/sqlite/account_impl.h"

#include "message/derive.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 100 /* of one rule; more of the same says nothing new */

/* Each query lists the ids of rows that break its rule. */
static const struct {
    const char *rule, *sql;
} rules[] = {
    {"mailbox: exists, unseen, deleted or octets differ from its messages",
     "SELECT m.id FROM mailbox m LEFT JOIN (SELECT mailbox, count(*) n, sum(flags&1=0) u, sum(flags&8<>0) d, sum(size) "
     "o FROM message"
     " GROUP BY mailbox) g ON g.mailbox=m.id WHERE m.exists_n<>coalesce(g.n,0) OR m.unseen<>coalesce(g.u,0)"
     " OR m.deleted<>coalesce(g.d,0) OR m.octets<>coalesce(g.o,0)"},
    {"mailbox: emails or unseen_emails differ from its messages",
     "SELECT m.id FROM mailbox m LEFT JOIN (SELECT mailbox, count(*) n, sum(seen=0) u FROM (SELECT DISTINCT g.mailbox, "
     "e.id, e.seen"
     " FROM message g JOIN email e ON e.id=g.email) GROUP BY mailbox) g ON g.mailbox=m.id"
     " WHERE m.emails<>coalesce(g.n,0) OR m.unseen_emails<>coalesce(g.u,0)"},
    {"mailbox: uidnext is not above its UIDs",
     "SELECT m.id FROM mailbox m WHERE m.uidnext<=(SELECT coalesce(max(uid),0) FROM message g WHERE g.mailbox=m.id)"},
    {"mailbox: a modseq is above its own or the account's",
     "SELECT m.id FROM mailbox m, account a WHERE m.content_modseq<(SELECT coalesce(max(modified),0) FROM message g "
     "WHERE g.mailbox=m.id)"
     " OR max(m.content_modseq, m.property_modseq, m.count_modseq, m.created)>a.modseq"},
    {"mailbox: a UIDVALIDITY is above the account's counter or used twice",
     "SELECT m.id FROM mailbox m, account a WHERE m.uidvalidity>a.uidvalidity"
     " UNION ALL SELECT min(id) FROM mailbox GROUP BY uidvalidity HAVING count(*)>1"},
    {"mailbox: keywords in use are miscounted",
     "SELECT k.mailbox FROM mailbox_keyword k WHERE k.in_use<>(SELECT count(*) FROM message g WHERE g.mailbox=k.mailbox"
     " AND ' '||g.keywords||' ' GLOB '* '||replace(replace(k.name,'[','[[]'),'?','[?]')||' *')"},
    {"email: the aggregates differ from its messages",
     "SELECT e.id FROM email e LEFT JOIN (SELECT email, count(*) n, min(flags&1) s FROM message GROUP BY email) g ON "
     "g.email=e.id"
     " WHERE g.n IS NULL OR e.messages<>g.n OR e.seen<>g.s"
     " OR length(e.mailboxes)<>8*(SELECT count(DISTINCT mailbox) FROM message g WHERE g.email=e.id)"},
    {"email: flags differ from its messages",
     "SELECT e.id FROM email e WHERE e.flags<>(SELECT "
     "max(flags&1)+max(flags&2)+max(flags&4)+max(flags&8)+max(flags&16) FROM message g"
     " WHERE g.email=e.id)"},
    {"email: no text", "SELECT e.id FROM email e WHERE NOT EXISTS(SELECT 1 FROM email_text t WHERE t.id=e.id)"},
    {"email: size differs from its blob or message",
     "SELECT e.id FROM email e JOIN blob b ON b.id=e.blob WHERE e.size<>b.size"
     " UNION ALL SELECT g.email FROM message g JOIN email e ON e.id=g.email WHERE g.size<>e.size"},
    {"blob: references are miscounted", "SELECT b.id FROM blob b WHERE b.refs<>(SELECT count(*) FROM email e WHERE "
                                        "e.blob=b.id) OR (b.refs=0)<>(b.unused_since_us IS NOT NULL)"},
    {"blob: no body, or one too many", "SELECT b.id FROM blob b WHERE (b.place=0)<>EXISTS(SELECT 1 FROM blob_data d "
                                       "WHERE d.id=b.id) OR (b.place=1)<>(b.file IS NOT NULL)"},
    {"thread: emails are miscounted",
     "SELECT t.id FROM thread t WHERE t.emails<>(SELECT count(*) FROM email e WHERE e.thread=t.id)"},
    {"vanished: a removed UID is there or above uidnext",
     "SELECT v.mailbox FROM vanished v JOIN mailbox m ON m.id=v.mailbox WHERE v.uid>=m.uidnext"
     " OR EXISTS(SELECT 1 FROM message g WHERE g.mailbox=v.mailbox AND g.uid=v.uid)"},
    {"account: messages or octets are miscounted", "SELECT 1 FROM account WHERE messages<>(SELECT count(*) FROM "
                                                   "message) OR octets<>(SELECT coalesce(sum(size),0) FROM message)"},
    {"account: an id at or above the next one", "SELECT 1 FROM account WHERE next_id<=max((SELECT coalesce(max(id),0) "
                                                "FROM message), (SELECT coalesce(max(id),0) FROM email),"
                                                " (SELECT coalesce(max(id),0) FROM blob), (SELECT coalesce(max(id),0) "
                                                "FROM thread), (SELECT coalesce(max(id),0) FROM mailbox))"},
    {"account: INBOX is missing", "SELECT 1 WHERE NOT EXISTS(SELECT 1 FROM mailbox WHERE name=CAST('INBOX' AS BLOB))"},
};

struct checking {
    struct buf *problems;
    unsigned *n;
};

static enum err check_rule(struct sqlite_account *account, struct checking *c, size_t rule) {
    sqlite3_stmt *stmt;
    TRY(db_query(account->db, &stmt, rules[rule].sql, ""));
    for (unsigned lines = 0;; lines++) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        ++*c->n;
        if (lines < LINES_MAX)
            buf_printf(c->problems, "%s (id %lld)\n", rules[rule].rule, (long long)column_i64(stmt, 0));
    }
}

static enum err check_blob(struct sqlite_account *account, struct checking *c, uint64_t id,
                           const uint8_t hash[HASH_SIZE]) {
    uint8_t found[HASH_SIZE];
    enum err err = blob_hash_kept(account, id, found);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err == ERR_OK && memcmp(found, hash, HASH_SIZE) == 0)
        return ERR_OK;
    ++*c->n;
    buf_printf(c->problems, "blob: %s (id %llu)\n",
               err == ERR_OK ? "the octets do not have its hash" : "cannot be read", (unsigned long long)id);
    return ERR_OK;
}

static enum err check_blobs(struct sqlite_account *account, struct checking *c) {
    for (uint64_t last = 0;;) {
        sqlite3_stmt *stmt;
        bool is_row;
        uint8_t hash[HASH_SIZE] = {0};
        TRY(db_query(account->db, &stmt, "SELECT id, hash FROM blob WHERE id>? ORDER BY id LIMIT 1", "i", last));
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        last = column_u64(stmt, 0);
        struct view kept = column_view(stmt, 1);
        if (kept.n == HASH_SIZE)
            memcpy(hash, kept.p, HASH_SIZE);
        db_done(stmt);
        TRY(check_blob(account, c, last, hash));
    }
}

/* Stored records must be what readers take. */
static enum err check_fields(struct sqlite_account *account, struct checking *c) {
    sqlite3_stmt *stmt;
    TRY(db_query(account->db, &stmt, "SELECT id, fields FROM email_text WHERE fields IS NOT NULL", ""));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        if (record_check(&derived_fields_record, column_view(stmt, 1)) == ERR_OK)
            continue;
        ++*c->n;
        buf_printf(c->problems, "email: its fields cannot be read (id %llu)\n",
                   (unsigned long long)column_u64(stmt, 0));
    }
}

static enum err verify(struct sqlite_account *account, void *arg) {
    struct checking *c = arg;
    TRY(db_verify(account->db, c->problems, c->n));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        TRY(check_rule(account, c, i));
    TRY(check_fields(account, c));
    TRY(check_blobs(account, c));
    return buf_err(c->problems);
}

enum err sqlite_account_verify(struct account *base, struct buf *problems, unsigned *n) {
    unsigned found = 0;
    struct checking c = {problems, &found};
    TRY(turn_read((struct sqlite_account *)base, verify, &c));
    *n = found;
    return ERR_OK;
}
