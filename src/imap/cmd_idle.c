/* IDLE, RFC2177: tells news as they come, until the client says DONE. It is part of the session's state, so an idling
 * session can be saved. */
#include "imap/engine.h"

#include <string.h>

#define IMAP_NEWS_RETRY_US (5 * US_PER_S) /* a store in trouble is asked again, but not at once */

void imap_run_idle(struct imap_session *s, struct imap_job *job) {
    s->idle_tag_n = job->tag.n;
    memcpy(s->idle_tag, job->tag.p, job->tag.n);
    buf_put(&s->out.buf, VIEW("+ idling\r\n"));
    job->answered = true;
    s->is_noted = true;
}

static void done(struct imap_session *s, bool is_done) {
    struct buf *b = &s->out.buf;
    imap_tell_news(s, true);
    if (s->is_over)
        return;
    buf_put(b, view_of(s->idle_tag, s->idle_tag_n));
    buf_put(b, is_done ? VIEW(" OK Idled\r\n") : VIEW(" BAD Expected DONE\r\n"));
    s->idle_tag_n = 0;
    if (!is_done)
        s->bad++;
}

static void renew(struct arena **arena, const char *name, size_t budget) {
    struct arena *fresh = arena_new(name, budget);
    if (fresh == NULL)
        return;
    arena_free(*arena);
    *arena = fresh;
}

/* A session may idle for a day: what earlier commands needed is given back. */
static void slim(struct imap_session *s) {
    renew(&s->arena, "imap_command", IMAP_COMMAND_ARENA);
    renew(&s->work, "imap_work", IMAP_WORK_ARENA);
    renew(&s->chunk, "imap_chunk", IMAP_CHUNK_ARENA);
    buf_fini(&s->wire.command);
    if (s->out.buf.n == 0)
        buf_fini(&s->out.buf);
}

void imap_idle_step(struct imap_session *s) {
    struct view line;
    enum imap_line_kind kind;
    imap_tell_news(s, true);
    if (s->is_over)
        return;
    imap_out_flush(&s->out);
    slim(s);
    s->is_waiting = true;
    s->running = "IDLE";
    int64_t deadline_us = imap_deadline(&s->wire, s->is_failing ? IMAP_NEWS_RETRY_US : s->idle_timeout_us);
    /* News may have come while writing: then no interrupt was sent. */
    enum err err = s->is_noted && !s->is_failing ? ERR_AGAIN : imap_wire_read(&s->wire, deadline_us, &line, &kind);
    if (err == ERR_TIMEOUT && s->is_failing)
        err = ERR_AGAIN;
    s->is_waiting = false;
    s->running = "";
    switch (err) {
    case ERR_OK:
        done(s, kind == IMAP_LINE_COMMAND && view_eq_nocase(view_trim(line), VIEW("DONE")));
        break;
    case ERR_AGAIN:
        break;
    case ERR_TIMEOUT:
        /* RFC2177-3: a server may treat a client as inactive */
        buf_put(&s->out.buf, VIEW("* BYE Idle for too long\r\n"));
        imap_end(s, IMAP_SESSION_CLOSED);
        break;
    default:
        imap_end(s, err == ERR_CANCELED ? IMAP_SESSION_CANCELED : IMAP_SESSION_CLOSED);
    }
}
