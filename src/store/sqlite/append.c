/* Adding messages: APPEND and delivery. */
#include "store/sqlite/account_impl.h"

#define APPEND_ARENA ((size_t)16 * 1024 * 1024) /* derived data of one message */

struct adding {
    struct new_blob blob;
    struct derived derived;
    uint64_t mailbox;
    uint32_t flags;
    const struct keyword *keywords;
    uint32_t keywords_n;
    int64_t internal_us;
    struct arena *work;
    /* delivery */
    const struct deliver_commit_args *delivery;
    bool is_duplicate;
    /* results */
    uint64_t email;
    uint32_t uid, uidvalidity;
};

static int64_t now_us(struct sqlite_account *account) {
    return account->params.clock->wall_us(account->params.clock);
}

static enum err insert_email(struct sqlite_account *account, struct adding *a, uint64_t blob, struct view keywords) {
    const struct derived *d = &a->derived;
    uint64_t thread, modseq = next_modseq(account);
    uint8_t mailbox[8];
    for (size_t i = 0; i < 8; i++)
        mailbox[i] = (uint8_t)(a->mailbox >> (56 - 8 * i));
    TRY(thread_assign(account, &d->keys, modseq, &thread));
    a->email = next_id(account);
    TRY(db_run(account->db,
               "INSERT INTO email(id, blob, thread, size, header_size, lines, internal_us, sent_us, messages, "
               "mailboxes, flags, seen,"
               " keywords, created, modified, has_attachment)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, ?12, ?13, ?13, nullif(?14, 2))",
               "iiiiiiiivuitiu", a->email, blob, thread, a->blob.size, (uint64_t)d->header_size, (uint64_t)d->lines,
               a->internal_us, d->sent_us, view_of(mailbox, 8), a->flags, (int64_t)((a->flags & FLAG_SEEN) != 0),
               keywords, modseq, (uint32_t)d->has_attachment));
    return db_run(account->db,
                  "INSERT INTO email_text(id, envelope, body, bodystructure, part_index, preview, message_id, refs,"
                  " fields) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  "ivvvvvvvv", a->email, d->envelope, d->body, d->bodystructure, d->part_index, d->preview,
                  d->message_id, d->refs, d->fields);
}

static enum err add_message(struct sqlite_account *account, struct adding *a) {
    uint64_t blob;
    int64_t uidvalidity;
    struct view keywords;
    TRY(db_get(account->db, &uidvalidity, "SELECT uidvalidity FROM mailbox WHERE id=?", "i", a->mailbox));
    if (account->params.quota_octets > 0 && account->turn.octets + a->blob.size > account->params.quota_octets)
        return ERR_FULL;
    TRY(keywords_canonical(account, a->keywords, a->keywords_n, true, a->work, &keywords));
    TRY(blob_add(account, &a->blob, &blob));
    TRY(insert_email(account, a, blob, keywords));
    struct message_row row = {.mailbox = a->mailbox,
                              .email = a->email,
                              .size = a->blob.size,
                              .flags = a->flags,
                              .saved_us = now_us(account),
                              .keywords = keywords};
    TRY(membership_add(account, &row, true));
    a->uid = row.uid;
    a->uidvalidity = (uint32_t)uidvalidity;
    return ERR_OK;
}

static enum err run_append(struct sqlite_account *account, void *arg) {
    return add_message(account, arg);
}

/* RFC6154-2: the oldest mailbox with that use. */
static enum err find_by_use(struct sqlite_account *account, enum special_use use, uint64_t *id) {
    int64_t found;
    TRY(db_get(account->db, &found, "SELECT id FROM mailbox WHERE use=? ORDER BY id LIMIT 1", "i", (int64_t)use));
    *id = (uint64_t)found;
    return ERR_OK;
}

static enum err run_delivery(struct sqlite_account *account, void *arg) {
    struct adding *a = arg;
    int64_t email;
    enum err err = db_get(account->db, &email, "SELECT email FROM delivery WHERE id=? AND recipient=?", "vv",
                          a->delivery->id, a->delivery->recipient);
    if (err == ERR_OK) {
        a->is_duplicate = true;
        a->email = (uint64_t)email;
        return ERR_OK;
    }
    if (err != ERR_NOT_FOUND)
        return err;
    err = a->delivery->junk ? find_by_use(account, USE_JUNK, &a->mailbox) : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND)
        err = mailbox_find(account, VIEW("INBOX"), &a->mailbox);
    TRY(err);
    TRY(add_message(account, a));
    return db_run(account->db, "INSERT INTO delivery(id, recipient, email, at_us) VALUES(?, ?, ?, ?)", "vvii",
                  a->delivery->id, a->delivery->recipient, a->email, now_us(account));
}

static enum err prepare(struct sqlite_account *account, struct adding *a, const struct new_message *in) {
    struct message message;
    struct arena *parts = arena_new("append_parts", MESSAGE_ARENA_BUDGET);
    a->work = arena_new("append", APPEND_ARENA);
    enum err err = parts == NULL || a->work == NULL ? ERR_NO_MEMORY : ERR_OK;
    if (err == ERR_OK)
        err = blob_prepare(account, in, parts, &a->blob, &message);
    if (err == ERR_OK)
        err = derive(account, &message, a->work, &a->derived);
    arena_free(parts);
    return err;
}

static enum err add(struct sqlite_account *account, struct adding *a, const struct new_message *in,
                    enum err (*run)(struct sqlite_account *, void *)) {
    if (a->internal_us == 0)
        a->internal_us = now_us(account);
    a->flags &= FLAGS_ALL;
    account->large_in_progress++;
    enum err err = prepare(account, a, in);
    bool is_tried = err == ERR_OK;
    if (is_tried)
        err = turn_write(account, run, a);
    /* Our file is used only when a row took its name. After a failed commit it cannot be known what is on the disk: then the
     * file stays for the clean-up. */
    blob_discard(account, &a->blob,
                 (err == ERR_OK && a->blob.is_used) || (is_tried && (err == ERR_IO || err == ERR_FULL)));
    account->large_in_progress--;
    arena_free(a->work);
    return err;
}

enum err append_message(struct sqlite_account *account, struct op_call *call) {
    const struct message_append_args *args = call->args;
    struct adding a = {.mailbox = args->mailbox,
                       .flags = args->flags,
                       .keywords = args->keywords,
                       .keywords_n = args->keywords_n,
                       .internal_us = args->internal_us};
    TRY(turn_read(account, op_mailbox_check, &a.mailbox));
    struct new_message in = {args->prefix, args->body, call->file};
    TRY(add(account, &a, &in, run_append));
    *(struct message_append_result *)call->result =
        (struct message_append_result){.uidvalidity = a.uidvalidity, .uid = a.uid, .email = a.email};
    return ERR_OK;
}

enum err op_mailbox_check(struct sqlite_account *account, void *id) {
    return mailbox_exists(account, *(uint64_t *)id);
}

/* ---- delivery ---- */

static enum err set_verdict(struct op_call *call, enum verdict verdict, struct view status, struct view text) {
    *(struct deliver_check_result *)call->result =
        (struct deliver_check_result){.verdict = (uint8_t)verdict, .status = status, .text = text};
    return ERR_OK;
}

#define DISK_RESERVE ((uint64_t)16 * 1024 * 1024) /* octets that must stay free for the log and what is in progress */

enum err op_deliver_check(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct deliver_check_args *args = call->args;
    uint64_t free_bytes;
    if (account->params.size_max > 0 && args->size > account->params.size_max)
        return set_verdict(call, VERDICT_REJECT, VIEW("5.3.4"),
                           VIEW("message too big for this system")); /* RFC3463-3.4 */
    if (account->params.quota_octets > 0 && account->counters.octets + args->size > account->params.quota_octets)
        return set_verdict(call, VERDICT_REJECT, VIEW("5.2.2"), VIEW("mailbox full")); /* RFC3463-3.3 */
    if (disk_free_bytes(account->params.disk, &free_bytes) == ERR_OK && free_bytes < DISK_RESERVE + args->size)
        return set_verdict(call, VERDICT_LATER, VIEW("4.3.1"), VIEW("no room on the disk")); /* RFC3463-3.4 */
    return set_verdict(call, VERDICT_ACCEPT, VIEW(""), VIEW(""));
}

enum err deliver_commit(struct sqlite_account *account, struct op_call *call) {
    const struct deliver_commit_args *args = call->args;
    struct adding a = {.internal_us = args->internal_us, .delivery = args};
    if (args->id.n != DELIVERY_ID_SIZE)
        return ERR_SYNTAX;
    struct new_message in = {args->prefix, args->body, call->file};
    TRY(add(account, &a, &in, run_delivery));
    *(struct deliver_commit_result *)call->result =
        (struct deliver_commit_result){.duplicate = a.is_duplicate, .email = a.email};
    return ERR_OK;
}
