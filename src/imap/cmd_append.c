/* APPEND, RFC3501-6.3.11, with APPENDUID of RFC4315-3. The message is read as it comes: small ones into memory, others
 * into a file; every octet is kept. */
#include "imap/engine.h"

struct append_args {
    struct view mailbox;
    struct imap_flags flags;
    int64_t internal_us;
};

/* Everything before the literal. */
static enum err parse_head(struct imap_parser *p, struct append_args *args) {
    TRY(imap_parse_mailbox(p, &args->mailbox));
    TRY(imap_parse_sp(p));
    if (reader_peek(&p->r) == '(') {
        TRY(imap_parse_flags(p, false, &args->flags));
        TRY(imap_parse_sp(p));
    }
    if (reader_peek(&p->r) == '"') {
        TRY(imap_parse_date_time(p, &args->internal_us));
        TRY(imap_parse_sp(p));
    }
    /* RFC3516-4.4: "~" announces that NUL may occur; it may in any case */
    (void)reader_accept(&p->r, '~');
    return ERR_OK;
}

/* What is left is one announcement of a literal and nothing behind it. */
static bool is_literal_next(const struct imap_parser *p) {
    struct view rest = view_trim(reader_rest(&p->r));
    uint64_t size;
    bool is_sync;
    return rest.n > 0 && rest.p[0] == '{' && view_find_byte(rest, '}') == (ssize_t)rest.n - 1 &&
           imap_scan_announces(rest, &size, &is_sync);
}

enum err imap_parse_append(struct imap_parser *p, struct imap_job *job) {
    struct append_args *args = ARENA_NEW(p->arena, struct append_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(parse_head(p, args));
    job->args = args;
    return is_literal_next(p) ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "Expected a message as literal");
}

bool imap_append_is_message(struct view so_far, struct arena *arena) {
    struct imap_parser p;
    struct view tag, name;
    struct append_args args = {0};
    imap_parser_init(&p, so_far, arena);
    if (imap_parse_tag(&p, &tag) != ERR_OK || imap_parse_sp(&p) != ERR_OK || imap_parse_atom(&p, &name) != ERR_OK ||
        !view_eq_nocase(name, VIEW("APPEND")) || imap_parse_sp(&p) != ERR_OK)
        return false;
    enum err err = parse_head(&p, &args);
    /* Flags that are refused later come before the message, too. */
    if (err == ERR_DENIED) {
        while (reader_peek(&p.r) >= 0 && !is_literal_next(&p))
            (void)reader_byte(&p.r);
        return reader_peek(&p.r) >= 0;
    }
    return err == ERR_OK && is_literal_next(&p);
}

/* Where the message goes while it comes. */
struct intake {
    struct buf memory;
    struct file *file;
    uint64_t at;
};

static enum err open_intake(struct imap_session *s, uint64_t size, struct intake *in) {
    buf_init(&in->memory, ACCOUNT_INLINE_MAX);
    if (size <= ACCOUNT_INLINE_MAX)
        return ERR_OK;
    if (s->ops != NULL && s->ops->spool != NULL)
        return s->ops->spool(s->ctx, size, &in->file);
    return file_new_memory("imap-append", &in->file);
}

/* Reads the literal. A failure to keep it is remembered, and the rest is read all the same: *kept. Returns the stream's error. */
static enum err read_message(struct imap_session *s, struct imap_job *job, struct intake *in, enum err *kept) {
    job->has_literal = false;
    imap_wire_go_on(&s->wire, job->literal_is_sync);
    while (in->at < job->literal) {
        struct view piece;
        TRY(imap_wire_piece(&s->wire, job->literal - in->at, imap_deadline(&s->wire, s->idle_timeout_us), &piece));
        if (*kept == ERR_OK && in->file != NULL)
            *kept = file_write(in->file, piece, in->at);
        else if (*kept == ERR_OK)
            buf_put(&in->memory, piece);
        in->at += piece.n;
        imap_wire_taken(&s->wire, piece.n);
    }
    if (*kept == ERR_OK)
        *kept = buf_err(&in->memory);
    return ERR_OK;
}

/* The line end behind the literal. */
static enum err read_rest(struct imap_session *s, bool *is_end) {
    struct view rest;
    enum imap_line_kind kind;
    enum err err;
    do {
        err = imap_wire_read(&s->wire, imap_deadline(&s->wire, s->idle_timeout_us), &rest, &kind);
    } while (err == ERR_AGAIN);
    if (err == ERR_OK)
        *is_end = kind == IMAP_LINE_COMMAND && view_trim(rest).n == 0;
    return err;
}

static void store(struct imap_session *s, struct imap_job *job, uint64_t mailbox, struct intake *in) {
    const struct append_args *args = job->args;
    struct message_append_args request = {
        .mailbox = mailbox,
        .flags = args->flags.flags,
        .keywords = args->flags.keywords,
        .keywords_n = args->flags.n,
        .internal_us = args->internal_us,
        .body = buf_view(&in->memory),
    };
    struct message_append_result result;
    enum err err = account_do_message_append(s->account, &request, in->file, s->arena, &result);
    if (err == ERR_NOT_FOUND) {
        imap_no(job, VIEW("TRYCREATE"), "There is no such mailbox");
        return;
    }
    if (err != ERR_OK) {
        imap_no_err(s, job, err);
        return;
    }
    imap_ok(job, "Added");
    if (arena_printf(s->arena, &job->code, "APPENDUID %u %u", result.uidvalidity, result.uid) != ERR_OK)
        job->code = VIEW_NONE;
}

static void stream_ended(struct imap_session *s, struct imap_job *job, enum err err) {
    job->answered = true;
    imap_end(s, err == ERR_CANCELED ? IMAP_SESSION_CANCELED : IMAP_SESSION_CLOSED);
}

static void take_message(struct imap_session *s, struct imap_job *job, uint64_t mailbox) {
    struct intake in = {.at = 0};
    bool is_end = false;
    enum err kept = open_intake(s, job->literal, &in);
    if (kept != ERR_OK) {
        imap_no_err(s, job, kept);
        return;
    }
    enum err err = read_message(s, job, &in, &kept);
    if (err == ERR_OK)
        err = read_rest(s, &is_end);
    if (err != ERR_OK)
        stream_ended(s, job, err);
    else if (!is_end)
        imap_bad(job, "Unexpected text behind the message");
    else if (kept != ERR_OK)
        imap_no_err(s, job, kept);
    else if (job->literal == 0)
        imap_no(job, VIEW_NONE, "A message cannot be empty");
    else
        store(s, job, mailbox, &in);
    buf_fini(&in.memory);
    file_unref(in.file);
}

void imap_run_append(struct imap_session *s, struct imap_job *job) {
    const struct append_args *args = job->args;
    struct mailbox mailbox;
    if (!job->has_literal) {
        imap_bad(job, "Expected a message as literal");
        return;
    }
    if (job->literal > s->append_max) {
        /* RFC7889-4 */
        imap_no(job, VIEW("TOOBIG"), "The message is too large");
        return;
    }
    enum err err = imap_find_mailbox(s, imap_trim_name(args->mailbox), &mailbox);
    if (err == ERR_NOT_FOUND)
        imap_no(job, VIEW("TRYCREATE"), "There is no such mailbox"); /* RFC3501-6.3.11 */
    else if (err != ERR_OK)
        imap_no_err(s, job, err);
    else
        take_message(s, job, mailbox.id);
}
