/* EXPUNGE (RFC3501-6.4.3) and UID EXPUNGE (RFC4315-2.1). The responses come with the news. */
#include "imap/engine.h"

enum err imap_parse_uid_expunge(struct imap_parser *p, struct imap_job *job) {
    struct imap_set *set = ARENA_NEW(p->arena, struct imap_set);
    if (set == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_set(p, set));
    job->args = set;
    return imap_parse_end(p);
}

static enum err expunge(struct imap_session *s, struct uid_range *ranges, uint32_t n) {
    struct message_expunge_args args = {.mailbox = s->sel.id, .ranges = ranges, .ranges_n = n};
    struct message_expunge_result result;
    struct arena *arena = arena_new("imap_expunge", IMAP_WORK_ARENA);
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err;
    do {
        arena_clear(arena);
        err = account_do_message_expunge(s->account, &args, NULL, arena, &result);
    } while (err == ERR_OK && result.more);
    arena_free(arena);
    s->is_noted = true;
    return err;
}

static void answer(struct imap_session *s, struct imap_job *job, enum err err) {
    if (err != ERR_OK)
        imap_no_err(s, job, err);
    else
        imap_ok(job, "Expunged");
}

void imap_run_expunge(struct imap_session *s, struct imap_job *job) {
    answer(s, job, expunge(s, NULL, 0));
}

void imap_run_uid_expunge(struct imap_session *s, struct imap_job *job) {
    struct imap_set *set = job->args;
    uint32_t from = 1;
    enum err err = ERR_OK;
    if (!imap_settle(s, job, set))
        return;
    while (err == ERR_OK && from != 0) {
        struct uid_range *ranges;
        uint32_t n, messages;
        arena_clear(s->work);
        err = imap_uids(s, set, true, from, UINT32_MAX, ACCOUNT_RANGES_MAX, &ranges, &n, &messages, &from);
        /* No ranges would mean all messages to the store. */
        if (err != ERR_OK || n == 0)
            break;
        err = expunge(s, ranges, n);
    }
    answer(s, job, err);
}
