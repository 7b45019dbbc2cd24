/* SELECT and EXAMINE, CLOSE and UNSELECT: RFC3501-6.3.1, RFC3501-6.3.2, RFC3501-6.4.2, RFC3691. */
#include "imap/engine.h"

enum err imap_parse_select(struct imap_parser *p, struct imap_job *job) {
    return imap_parse_one_mailbox(p, job);
}

static void put_ok_code(struct imap_session *s, struct view name, uint32_t number, const char *text) {
    struct buf *b = &s->out.buf;
    buf_put(b, VIEW("* OK ["));
    buf_put(b, name);
    buf_put_byte(b, ' ');
    buf_put_u64(b, number);
    buf_put(b, VIEW("] "));
    buf_put_str(b, text);
    buf_put(b, VIEW("\r\n"));
}

static enum err open_mailbox(struct imap_session *s, struct view name, bool is_readonly) {
    struct mailbox mailbox;
    struct mailbox_open_result opened;
    struct imap_selected *sel = &s->sel;
    TRY(imap_find_mailbox(s, name, &mailbox));
    struct mailbox_open_args args = {.id = mailbox.id, .claim_recent = !is_readonly};
    TRY(account_do_mailbox_open(s->account, &args, NULL, s->arena, &opened));
    sel->id = mailbox.id;
    sel->is_readonly = is_readonly;
    sel->uidvalidity = opened.mailbox.uidvalidity;
    s->is_noted = false;
    TRY(imap_load_map(s, &sel->told, &sel->modseq));
    sel->uidnext = MAX(seqmap_last(&sel->told) + 1, opened.mailbox.uidnext);
    if (opened.recent_from != 0 && opened.recent_from < sel->uidnext)
        TRY(seqmap_add(&sel->recent, opened.recent_from, sel->uidnext - 1));
    sel->told_recent = seqmap_common(&sel->recent, &sel->told);
    imap_tell_keywords(s, opened.keywords, opened.keywords_n);
    if (opened.keywords_n == 0)
        imap_put_mailbox_flags(s);
    imap_put_number_line(s, seqmap_count(&sel->told), VIEW("EXISTS"));
    imap_put_number_line(s, sel->told_recent, VIEW("RECENT"));
    uint32_t unseen = seqmap_seq(&sel->told, opened.first_unseen_uid);
    if (unseen != 0)
        put_ok_code(s, VIEW("UNSEEN"), unseen, "First unseen message");
    put_ok_code(s, VIEW("UIDVALIDITY"), sel->uidvalidity, "UIDs are valid");
    put_ok_code(s, VIEW("UIDNEXT"), sel->uidnext, "Next UID");
    return ERR_OK;
}

static void run(struct imap_session *s, struct imap_job *job, bool is_readonly) {
    const struct view *name = job->args;
    /* RFC3501-6.3.1: the old mailbox is left even when the new one cannot be opened */
    imap_deselect(s);
    enum err err = open_mailbox(s, *name, is_readonly);
    if (err != ERR_OK) {
        imap_deselect(s);
        imap_no_err(s, job, err);
        return;
    }
    imap_note(s, "select", *name, ERR_OK);
    imap_ok(job, is_readonly ? "Opened for reading" : "Opened");
    job->code = is_readonly ? VIEW("READ-ONLY") : VIEW("READ-WRITE");
}

void imap_run_select(struct imap_session *s, struct imap_job *job) {
    run(s, job, false);
}

void imap_run_examine(struct imap_session *s, struct imap_job *job) {
    run(s, job, true);
}

void imap_run_close(struct imap_session *s, struct imap_job *job) {
    struct message_expunge_args args = {.mailbox = s->sel.id};
    struct message_expunge_result result = {.more = !s->sel.is_readonly};
    while (result.more) {
        arena_clear(s->work);
        enum err err = account_do_message_expunge(s->account, &args, NULL, s->work, &result);
        if (err != ERR_OK) {
            imap_no_err(s, job, err);
            return;
        }
    }
    /* RFC3501-6.4.2: no EXPUNGE responses */
    imap_deselect(s);
    imap_ok(job, "Closed");
}

void imap_run_unselect(struct imap_session *s, struct imap_job *job) {
    imap_deselect(s);
    imap_ok(job, "Unselected");
}
