/* STORE, RFC3501-6.4.6. */
#include "imap/engine.h"

struct store_args {
    struct imap_set set;
    uint8_t mode;
    bool is_silent;
    struct imap_flags flags;
};

enum err imap_parse_store(struct imap_parser *p, struct imap_job *job) {
    struct store_args *args = ARENA_NEW(p->arena, struct store_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_set(p, &args->set));
    TRY(imap_parse_sp(p));
    args->mode = reader_accept(&p->r, '+') ? STORE_ADD : reader_accept(&p->r, '-') ? STORE_REMOVE : STORE_REPLACE;
    if (!reader_accept_nocase(&p->r, VIEW("FLAGS")))
        return imap_wrong(p, ERR_SYNTAX, "Expected FLAGS");
    args->is_silent = reader_accept_nocase(&p->r, VIEW(".SILENT"));
    TRY(imap_parse_sp(p));
    TRY(imap_parse_flags(p, true, &args->flags));
    job->args = args;
    return imap_parse_end(p);
}

static void tell(struct imap_session *s, const struct message_item *item, bool with_uid) {
    struct buf *b = &s->out.buf;
    uint32_t seq = seqmap_seq(&s->sel.told, item->uid);
    if (seq == 0)
        return;
    buf_put(b, VIEW("* "));
    buf_put_u64(b, seq);
    buf_put(b, VIEW(" FETCH ("));
    if (with_uid) {
        buf_put(b, VIEW("UID "));
        buf_put_u64(b, item->uid);
        buf_put_byte(b, ' ');
    }
    imap_put_flags(s, item);
    buf_put(b, VIEW(")\r\n"));
    (void)imap_out_breathe(&s->out);
}

/* One batch, small enough that the store lists every changed message. */
static enum err store_batch(struct imap_session *s, struct imap_job *job, struct uid_range *ranges, uint32_t n,
                            uint32_t *found) {
    const struct store_args *args = job->args;
    struct message_store_args request = {
        .mailbox = s->sel.id,
        .ranges = ranges,
        .ranges_n = n,
        .mode = args->mode,
        .flags = args->flags.flags,
        .keywords = args->flags.keywords,
        .keywords_n = args->flags.n,
    };
    struct message_store_result result;
    TRY(account_do_message_store(s->account, &request, NULL, s->work, &result));
    *found += result.changed_n;
    for (uint32_t i = 0; i < result.changed_n; i++) {
        const struct message_item *item = &result.changed[i];
        imap_tell_keywords(s, item->keywords, item->keywords_n);
        if (!args->is_silent)
            tell(s, item, job->is_uid);
        imap_remember_own(s, item->uid, item->modseq);
    }
    return ERR_OK;
}

void imap_run_store(struct imap_session *s, struct imap_job *job) {
    struct store_args *args = job->args;
    uint32_t from = 1, asked = 0, found = 0;
    enum err err = ERR_OK;
    if (!imap_settle(s, job, &args->set))
        return;
    while (err == ERR_OK && from != 0) {
        struct uid_range *ranges;
        uint32_t n, messages;
        arena_clear(s->work);
        err = imap_uids(s, &args->set, job->is_uid, from, ACCOUNT_BATCH_MAX, ACCOUNT_RANGES_MAX, &ranges, &n, &messages,
                        &from);
        if (err != ERR_OK || n == 0)
            break;
        asked += messages;
        err = store_batch(s, job, ranges, n, &found);
    }
    if (err != ERR_OK)
        imap_no_err(s, job, err);
    else if (found < asked && !job->is_uid)
        imap_no(job, VIEW("EXPUNGEISSUED"), "Some of the messages are gone"); /* RFC2180-4.2.1 */
    else
        imap_ok(job, "Stored");
    if (found < asked)
        s->is_noted = true;
}
