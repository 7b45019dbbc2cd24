/* COPY (RFC3501-6.4.7) and MOVE (RFC6851), with COPYUID of RFC4315-3. */
#include "imap/engine.h"

struct copy_args {
    struct imap_set set;
    struct view target;
};

enum err imap_parse_copy(struct imap_parser *p, struct imap_job *job) {
    struct copy_args *args = ARENA_NEW(p->arena, struct copy_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_set(p, &args->set));
    TRY(imap_parse_sp(p));
    TRY(imap_parse_mailbox(p, &args->target));
    job->args = args;
    return imap_parse_end(p);
}

/* "COPYUID validity from to" */
static enum err make_code(struct imap_session *s, const struct message_copy_result *result, struct view *out) {
    struct buf code;
    buf_init(&code, IMAP_OUT_MAX / 4);
    buf_put(&code, VIEW("COPYUID "));
    buf_put_u64(&code, result->uidvalidity);
    buf_put_byte(&code, ' ');
    imap_put_ranges(&code, result->from, result->from_n);
    buf_put_byte(&code, ' ');
    imap_put_ranges(&code, result->to, result->to_n);
    enum err err = buf_err(&code);
    if (err == ERR_OK)
        err = arena_view(s->arena, buf_view(&code), out);
    buf_fini(&code);
    return err;
}

static void run(struct imap_session *s, struct imap_job *job, bool is_move) {
    struct copy_args *args = job->args;
    struct mailbox target;
    struct uid_range *ranges;
    uint32_t n, messages, next;
    if (!imap_settle(s, job, &args->set))
        return;
    enum err err = imap_find_mailbox(s, imap_trim_name(args->target), &target);
    if (err == ERR_NOT_FOUND) {
        imap_no(job, VIEW("TRYCREATE"), "There is no such mailbox"); /* RFC3501-6.4.7 */
        return;
    }
    if (err == ERR_OK)
        err = imap_uids(s, &args->set, job->is_uid, 1, UINT32_MAX, ACCOUNT_RANGES_MAX, &ranges, &n, &messages, &next);
    if (err != ERR_OK) {
        imap_no_err(s, job, err);
        return;
    }
    if (next != 0) {
        /* All or nothing (RFC3501-6.4.7), so it cannot be done in pieces. */
        imap_no(job, VIEW("LIMIT"), "Too many separate messages at once");
        return;
    }
    struct message_copy_args request = {
        .mailbox = s->sel.id, .ranges = ranges, .ranges_n = n, .target = target.id, .move = is_move};
    struct message_copy_result result = {0};
    if (n > 0)
        err = account_do_message_copy(s->account, &request, NULL, s->work, &result);
    struct view code = VIEW_NONE;
    if (err == ERR_OK && result.from_n > 0)
        err = make_code(s, &result, &code);
    if (err != ERR_OK) {
        imap_no_err(s, job, err);
        return;
    }
    imap_ok(job, is_move ? "Moved" : "Copied");
    if (!is_move) {
        job->code = code;
        return;
    }
    if (code.n > 0) {
        /* RFC6851-4.3: COPYUID before the EXPUNGE responses */
        buf_put(&s->out.buf, VIEW("* OK ["));
        buf_put(&s->out.buf, code);
        buf_put(&s->out.buf, VIEW("] Moved\r\n"));
    }
    s->is_noted = true;
}

void imap_run_copy(struct imap_session *s, struct imap_job *job) {
    run(s, job, false);
}

void imap_run_move(struct imap_session *s, struct imap_job *job) {
    run(s, job, true);
}
