/* The session's life: commands one after the other, replies, the end. */
#include "imap/engine.h"

#include <stdlib.h>
#include <string.h>

static void on_changed(struct account_watcher *watcher, uint64_t mailbox, uint64_t modseq) {
    struct imap_session *s = (struct imap_session *)((uint8_t *)watcher - offsetof(struct imap_session, watcher));
    (void)modseq;
    if (s->sel.id == 0 || mailbox != s->sel.id)
        return;
    s->is_noted = true;
    if (s->is_waiting)
        stream_interrupt(s->stream);
}

static enum imap_literal_action on_literal(void *ctx, struct view so_far, uint64_t size) {
    struct imap_session *s = ctx;
    (void)size;
    /* Not the command's arena: what stands behind the message of an APPEND is looked at while it runs. */
    arena_clear(s->chunk);
    return imap_append_is_message(so_far, s->chunk) ? IMAP_LITERAL_STREAM : IMAP_LITERAL_ACCEPT;
}

enum err imap_session_create(const struct imap_session_params *params, struct view unread, struct imap_session **out) {
    struct imap_session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ERR_NO_MEMORY;
    s->account = params->account;
    s->stream = params->stream;
    s->ops = params->ops;
    s->ctx = params->ctx;
    s->charsets = params->charsets;
    s->arena = arena_new("imap_command", IMAP_COMMAND_ARENA);
    s->work = arena_new("imap_work", IMAP_WORK_ARENA);
    s->chunk = arena_new("imap_chunk", IMAP_CHUNK_ARENA);
    s->keep = arena_new("imap_session", IMAP_COMMAND_ARENA);
    seqmap_init(&s->sel.told);
    seqmap_init(&s->sel.gone);
    seqmap_init(&s->sel.recent);
    s->sel.own = VEC_OF(struct imap_own, IMAP_OWN_MAX);
    s->sel.keywords = VEC_OF(struct imap_keyword, ACCOUNT_BATCH_MAX);
    s->append_max = IMAP_APPEND_MAX_DEFAULT;
    s->idle_timeout_us = IMAP_IDLE_TIMEOUT_US;
    s->bad_max = IMAP_BAD_MAX;
    s->end = IMAP_SESSION_CLOSED;
    s->running = "";
    s->watcher.changed = on_changed;
    imap_out_init(&s->out, s->stream);
    enum err err = imap_wire_init(&s->wire, &s->out, unread, on_literal, s);
    if (err == ERR_OK && (s->arena == NULL || s->work == NULL || s->chunk == NULL || s->keep == NULL))
        err = ERR_NO_MEMORY;
    account_watch(s->account, &s->watcher);
    if (err != ERR_OK) {
        imap_session_free(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

enum err imap_session_new(const struct imap_session_params *params, const struct imap_handover *handover,
                          struct imap_session **out) {
    struct imap_session *s;
    TRY(imap_session_create(params, handover->unread, &s));
    s->login_tag_n = MIN(handover->tag.n, sizeof(s->login_tag));
    if (s->login_tag_n > 0)
        memcpy(s->login_tag, handover->tag.p, s->login_tag_n);
    if (handover->append_max != 0)
        s->append_max = handover->append_max;
    if (handover->idle_timeout_us > 0)
        s->idle_timeout_us = handover->idle_timeout_us;
    if (handover->bad_max != 0)
        s->bad_max = handover->bad_max;
    /* RFC2971-3.3: what a client says of itself is for statistics and logs alone. */
    s->client_id.list = ARENA_ARRAY(s->keep, MAX(handover->client_id_n, 1), struct imap_id_field);
    for (uint32_t i = 0; s->client_id.list != NULL && i < handover->client_id_n; i++) {
        if (record_copy(&imap_id_field_record, &handover->client_id[i], s->keep, &s->client_id.list[i]) != ERR_OK)
            break;
        s->client_id.n = i + 1;
    }
    *out = s;
    return ERR_OK;
}

void imap_session_free(struct imap_session *s) {
    if (s == NULL)
        return;
    account_unwatch(s->account, &s->watcher);
    imap_wire_fini(&s->wire);
    imap_out_fini(&s->out);
    seqmap_fini(&s->sel.told);
    seqmap_fini(&s->sel.gone);
    seqmap_fini(&s->sel.recent);
    vec_fini(&s->sel.own);
    vec_fini(&s->sel.keywords);
    arena_free(s->arena);
    arena_free(s->work);
    arena_free(s->chunk);
    arena_free(s->keep);
    free(s);
}

struct view imap_session_unread(const struct imap_session *s) {
    return imap_wire_unread(&s->wire);
}

bool imap_session_is_idle(const struct imap_session *s) {
    return s->idle_tag_n > 0;
}

const char *imap_session_command(const struct imap_session *s) {
    return s->running;
}

void imap_session_shutdown(struct imap_session *s, const char *text) {
    s->shutdown_text = text;
    stream_interrupt(s->stream);
}

void imap_deselect(struct imap_session *s) {
    struct imap_selected *sel = &s->sel;
    sel->id = 0;
    seqmap_clear(&sel->told);
    seqmap_clear(&sel->gone);
    seqmap_clear(&sel->recent);
    vec_clear(&sel->own);
    vec_clear(&sel->keywords);
    sel->told_recent = 0;
}

void imap_end(struct imap_session *s, enum imap_session_end end) {
    s->is_over = true;
    s->end = end;
}

/* ---- replies ---- */

void imap_note(struct imap_session *s, const char *event, struct view detail, enum err err) {
    if (s->ops != NULL && s->ops->note != NULL)
        s->ops->note(s->ctx, event, detail, err);
}

static void reply(struct imap_job *job, enum imap_reply_kind kind, struct view code, const char *text) {
    job->kind = kind;
    job->code = code;
    job->text = text;
}

void imap_ok(struct imap_job *job, const char *text) {
    reply(job, IMAP_REPLY_OK, VIEW_NONE, text);
}
void imap_no(struct imap_job *job, struct view code, const char *text) {
    reply(job, IMAP_REPLY_NO, code, text);
}
void imap_bad(struct imap_job *job, const char *text) {
    reply(job, IMAP_REPLY_BAD, VIEW_NONE, text);
}

void imap_no_err(struct imap_session *s, struct imap_job *job, enum err err) {
    /* RFC5530-3: the codes of the classes */
    static const struct {
        struct view code;
        const char *text;
    } table[ERR_COUNT] = {
        [ERR_AGAIN] = {VIEW_INIT("UNAVAILABLE"), "The store is busy, try again"},
        [ERR_TIMEOUT] = {VIEW_INIT("UNAVAILABLE"), "The store is busy, try again"},
        [ERR_TEMPORARY] = {VIEW_INIT("UNAVAILABLE"), "Not possible now, try again"},
        [ERR_CLOSED] = {VIEW_INIT("UNAVAILABLE"), "The store is not there, try again"},
        [ERR_CANCELED] = {VIEW_INIT("UNAVAILABLE"), "The server is shutting down"},
        [ERR_SYNTAX] = {VIEW_INIT("CANNOT"), "This name cannot be used"},
        [ERR_LIMIT] = {VIEW_INIT("LIMIT"), "That is more than is allowed here"},
        [ERR_NOT_FOUND] = {VIEW_INIT("NONEXISTENT"), "There is no such mailbox"},
        [ERR_EXISTS] = {VIEW_INIT("ALREADYEXISTS"), "There is such a mailbox already"},
        [ERR_DENIED] = {VIEW_INIT("NOPERM"), "This is not allowed"},
        [ERR_PERMANENT] = {VIEW_INIT("CANNOT"), "This is not possible"},
        [ERR_FULL] = {VIEW_INIT("OVERQUOTA"), "There is no room left"},
    };
    struct view code = (unsigned)err < ERR_COUNT ? table[err].code : VIEW_NONE;
    if (code.n == 0 || err == ERR_AGAIN || err == ERR_CLOSED || err == ERR_TIMEOUT)
        imap_note(s, "store_failed", view_cstr(s->running), err);
    if (code.n == 0)
        imap_no(job, VIEW("SERVERBUG"), "The server made a mistake");
    else
        imap_no(job, code, table[err].text);
}

static void put_tagged(struct imap_session *s, const struct imap_job *job) {
    static const struct view kinds[] = {[IMAP_REPLY_OK] = VIEW_INIT(" OK "),
                                        [IMAP_REPLY_NO] = VIEW_INIT(" NO "),
                                        [IMAP_REPLY_BAD] = VIEW_INIT(" BAD ")};
    struct buf *b = &s->out.buf;
    buf_put(b, job->tag.n > 0 ? job->tag : VIEW("*"));
    buf_put(b, kinds[job->kind]);
    if (job->code.n > 0) {
        buf_put_byte(b, '[');
        buf_put(b, job->code);
        buf_put(b, VIEW("] "));
    }
    buf_put_str(b, job->text);
    buf_put(b, VIEW("\r\n"));
    (void)imap_out_breathe(&s->out);
}

static void bye(struct imap_session *s, const char *text) {
    buf_put(&s->out.buf, VIEW("* BYE "));
    buf_put_str(&s->out.buf, text);
    buf_put(&s->out.buf, VIEW("\r\n"));
    imap_end(s, IMAP_SESSION_CLOSED);
}

/* ---- one command ---- */

static void check_and_run(struct imap_session *s, struct imap_job *job) {
    const struct imap_command *command = job->command;
    unsigned state = s->sel.id != 0 ? IMAP_IN_SELECTED : IMAP_IN_AUTHENTICATED;
    if ((command->states & state) == 0) {
        imap_bad(job, "No mailbox is selected");
    } else if (command->writes && s->sel.is_readonly) {
        /* RFC3501-6.3.2: EXAMINE permits no change */
        imap_no(job, VIEW("READ-ONLY"), "The mailbox is open for reading only");
    } else {
        s->running = (const char *)command->name.p;
        command->run(s, job);
    }
}

/* The message of a refused APPEND is read and dropped, unless the client still waits for leave to send it. */
static enum err drop_literal(struct imap_session *s, struct imap_job *job) {
    if (!job->has_literal)
        return ERR_OK;
    job->has_literal = false;
    if (job->literal_is_sync)
        return ERR_OK;
    return imap_wire_skip(&s->wire, job->literal, imap_deadline(&s->wire, s->idle_timeout_us));
}

static void lost(struct imap_session *s, enum err err) {
    switch (err) {
    case ERR_TIMEOUT:
        /* RFC3501-5.4 */
        bye(s, "Too long without a command");
        break;
    case ERR_LIMIT:
        bye(s, "[TOOBIG] That is too much");
        break;
    case ERR_CANCELED:
        imap_end(s, IMAP_SESSION_CANCELED);
        break;
    default:
        imap_end(s, IMAP_SESSION_CLOSED);
    }
}

static void finish(struct imap_session *s, struct imap_job *job) {
    enum err err = drop_literal(s, job);
    if (err != ERR_OK) {
        lost(s, err);
        return;
    }
    if (job->answered)
        return;
    if (job->kind == IMAP_REPLY_BAD)
        s->bad++;
    else if (job->kind == IMAP_REPLY_OK)
        s->bad = 0;
    if (job->command != NULL && job->kind != IMAP_REPLY_BAD)
        imap_tell_news(s, !job->command->hides_expunge || job->is_uid);
    if (s->is_over && s->end != IMAP_SESSION_LOGGED_OUT && s->end != IMAP_SESSION_UNAUTHENTICATED)
        return;
    put_tagged(s, job);
    if (s->bad >= s->bad_max && !s->is_over) {
        imap_note(s, "too_many_bad", VIEW_NONE, ERR_SYNTAX);
        bye(s, "Too many bad commands");
    }
}

static void run_line(struct imap_session *s, struct view line, enum imap_line_kind kind) {
    struct imap_job job = {.text = ""};
    struct imap_parser p;
    arena_clear(s->arena);
    arena_clear(s->work);
    if (kind == IMAP_LINE_STREAM) {
        struct view head = view_trim(line);
        job.has_literal = imap_scan_announces(head, &job.literal, &job.literal_is_sync);
    }
    /* The wire's buffer is used again while an APPEND reads on. */
    struct view copy;
    if (arena_view(s->arena, line, &copy) != ERR_OK) {
        bye(s, "The server has no memory left");
        return;
    }
    imap_parser_init(&p, copy, s->arena);
    enum err err = imap_command_parse(&p, &job);
    if (kind == IMAP_LINE_REFUSED || kind == IMAP_LINE_TOO_LONG) {
        job.command = NULL;
        imap_bad(&job, kind == IMAP_LINE_REFUSED ? "[TOOBIG] The command and its literals are too large"
                                                 : "The command line is too long");
    } else if (err == ERR_DENIED) {
        imap_no(&job, VIEW_NONE, p.what);
    } else if (err != ERR_OK) {
        job.command = NULL;
        imap_bad(&job, p.what);
    } else {
        check_and_run(s, &job);
    }
    finish(s, &job);
}

static void answer_login(struct imap_session *s) {
    struct buf *b = &s->out.buf;
    buf_put(b, view_of(s->login_tag, s->login_tag_n));
    buf_put(b, VIEW(" OK [CAPABILITY "));
    imap_put_capability_session(b);
    buf_put(b, VIEW("] Logged in\r\n"));
    s->login_tag_n = 0;
}

static void read_and_run(struct imap_session *s) {
    struct view line;
    enum imap_line_kind kind;
    enum err err = imap_wire_read(&s->wire, imap_deadline(&s->wire, s->idle_timeout_us), &line, &kind);
    if (err == ERR_AGAIN)
        return;
    if (err == ERR_OK)
        run_line(s, line, kind);
    else
        lost(s, err);
    s->running = "";
}

enum err imap_session_step(struct imap_session *s, enum imap_session_end *end) {
    if (s->login_tag_n > 0)
        answer_login(s);
    if (s->shutdown_text != NULL)
        bye(s, s->shutdown_text);
    else if (s->idle_tag_n > 0)
        imap_idle_step(s);
    else
        read_and_run(s);
    if (s->is_over || imap_wire_unread(&s->wire).n == 0)
        imap_out_flush(&s->out);
    if (s->out.err != ERR_OK && !s->is_over)
        imap_end(s, s->out.err == ERR_CANCELED ? IMAP_SESSION_CANCELED : IMAP_SESSION_CLOSED);
    if (!s->is_over)
        return ERR_OK;
    *end = s->end;
    return ERR_CLOSED;
}

enum imap_session_end imap_session_run(struct imap_session *s) {
    enum imap_session_end end;
    while (imap_session_step(s, &end) == ERR_OK)
        continue;
    return end;
}
