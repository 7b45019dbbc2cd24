/*
 * A message on its way in, from DATA or from BDAT: into memory and, when it grows,
 * into a file; then to the role, and the answer, once or once a recipient (LMTP).
 *
 * Whatever is wrong with a message is said after its real end, so that the next
 * command is never taken from its text.
 */
#include "smtp/session.h"

#include <stdlib.h>

#define PIECE SMTP_READ_PIECE /* one write of a spooled message */
/* How often the role hears how much is held. */
#define ACCOUNT_STEP ((uint64_t)64 * 1024)
/* So many octets must come within an idle time, or the client counts as stalled (RFC5321-4.5.3.2.5). */
#define PROGRESS ((size_t)512)

/* The first reason stands; what is held is given back at once. */
void spool_refuse(struct smtp_session *s, uint16_t code, struct view status, struct view text) {
    struct spool *spool = &s->spool;
    if (spool->refusal.code != 0)
        return;
    spool->refusal = (struct smtp_reply){code, status, text};
    buf_fini(&s->body);
    file_unref(spool->file);
    spool->file = NULL;
}

static void refuse_for(struct smtp_session *s, enum err err) {
    if (err == ERR_FULL || err == ERR_NO_MEMORY || err == ERR_LIMIT)
        REFUSE(s, 452, "4.3.1", "No room for this message now, try again later");
    else
        REFUSE(s, 451, "4.3.0", "Local error, try again later");
}

static enum err account(struct smtp_session *s, uint64_t octets) {
    const struct smtp_server_params *params = s->params;
    if (params->ops->account_spool == NULL || octets == s->spool.accounted)
        return ERR_OK;
    TRY(params->ops->account_spool(params->ctx, s, octets));
    s->spool.accounted = octets;
    return ERR_OK;
}

enum err spool_open(struct smtp_session *s) {
    s->spool = (struct spool){.is_open = true, .scan = data_scan_start()};
    return account(s, ACCOUNT_STEP);
}

void spool_close(struct smtp_session *s) {
    if (!s->spool.is_open)
        return;
    file_unref(s->spool.file);
    buf_fini(&s->body);
    (void)!account(s, 0); /* giving back does not fail */
    s->spool = (struct spool){0};
}

static enum err write_out(struct smtp_session *s) {
    struct buf *body = &s->body;
    TRY(file_write(s->spool.file, buf_view(body), s->spool.written));
    s->spool.written += body->n;
    buf_clear(body);
    return ERR_OK;
}

static enum err keep(struct smtp_session *s, struct view piece) {
    const struct smtp_server_params *params = s->params;
    struct spool *spool = &s->spool;
    struct buf *body = &s->body;
    if (spool->size > spool->accounted)
        TRY(account(s, (spool->size / ACCOUNT_STEP + 1) * ACCOUNT_STEP));
    if (spool->file == NULL && spool->size > SMTP_SPOOL_MEMORY) {
        if (params->ops->spool == NULL)
            return ERR_FULL;
        TRY(params->ops->spool(params->ctx, s, &spool->file));
        TRY(write_out(s));
        buf_fini(body); /* from here on it holds a piece at a time */
    }
    buf_put(body, piece);
    TRY(buf_err(body));
    return spool->file != NULL && body->n >= PIECE ? write_out(s) : ERR_OK;
}

void spool_take(struct smtp_session *s, struct view text) {
    struct spool *spool = &s->spool;
    spool->size += text.n;
    if (s->params->size_max > 0 && spool->size > s->params->size_max)
        REFUSE(s, 552, "5.3.4", "Message is larger than the maximum"); /* RFC1870-6.3 */
    /* RFC3030-3: binary content has no lines */
    if (spool->scan.line_max > SMTP_TEXT_LINE_HARD_MAX && !s->transaction.binary)
        REFUSE(s, 552, "5.6.0", "A line of the message is too long");
    if (spool->refusal.code == 0 && text.n > 0) {
        enum err err = keep(s, text);
        if (err != ERR_OK)
            refuse_for(s, err);
    }
}

enum err spool_receive(struct smtp_session *s,
                       size_t (*take)(struct smtp_session *s, struct view in, void *ctx, bool *enough), void *ctx) {
    uint8_t *piece = malloc(PIECE);
    bool enough = false;
    if (piece == NULL)
        return ERR_NO_MEMORY;
    input_consume(&s->input, take(s, input_pending(&s->input), ctx, &enough));
    int64_t deadline_us = loop_now_us(s->stream->loop) + s->params->idle_us;
    size_t progress = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && !enough) {
        size_t got;
        err = stream_read(s->stream, piece, PIECE, deadline_us, &got);
        if (err == ERR_AGAIN && !session_is_stopping(s)) {
            err = ERR_OK;
            continue;
        }
        if (err != ERR_OK)
            break;
        progress += got;
        if (progress >= PROGRESS) {
            progress = 0;
            deadline_us = loop_now_us(s->stream->loop) + s->params->idle_us;
        }
        size_t taken = take(s, view_of(piece, got), ctx, &enough);
        if (taken < got)
            err = input_unread(&s->input, view_of(piece + taken, got - taken));
    }
    free(piece);
    return err;
}

static void answer_one(struct smtp_session *s, const struct smtp_reply *reply) {
    session_reply_or(s, reply, 451, VIEW("4.3.0"), VIEW("Local error, try again later"));
}

/* The transaction's reply; for LMTP one for each accepted recipient, in order (RFC2033-4.2, RFC2033-4.3). */
static enum err answer(struct smtp_session *s, const struct smtp_reply *reply, bool is_for_all) {
    if (s->params->kind != SMTP_KIND_LMTP) {
        answer_one(s, reply);
        return ERR_OK;
    }
    for (size_t i = 0; i < s->transaction.recipients_n; i++) {
        answer_one(s, is_for_all ? reply : &s->transaction.recipients[i].result);
        if (s->out.n >= SMTP_FLUSH_AT)
            TRY(session_flush(s));
    }
    return ERR_OK;
}

static enum err judge_and_answer(struct smtp_session *s) {
    struct spool *spool = &s->spool;
    struct smtp_transaction *t = &s->transaction;
    if (spool->refusal.code == 0 && spool->file != NULL) {
        enum err err = write_out(s);
        if (err != ERR_OK)
            refuse_for(s, err);
    }
    if (spool->refusal.code != 0) {
        session_event(s, "smtp.message.refused", spool->refusal.text);
        return answer(s, &spool->refusal, true);
    }
    t->body_file = spool->file;
    t->body = spool->file != NULL ? VIEW_NONE : buf_view(&s->body);
    t->body_size = spool->size;
    t->bare = spool->scan.has_bare_cr || spool->scan.has_bare_lf || spool->scan.has_nul;
    /* RFC6152-3 wants it declared; a client that did not is understood all the same. */
    t->eightbit |= spool->scan.has_eightbit;
    struct smtp_reply reply = {0};
    s->params->ops->data(s->params->ctx, s, t, &reply);
    return answer(s, &reply, false);
}

enum err spool_finish(struct smtp_session *s) {
    enum err err = judge_and_answer(s);
    session_reset(s);
    return err;
}

bool spool_has_recipients(struct smtp_session *s) {
    if (s->transaction.recipients_n > 0)
        return true;
    /* RFC5321-3.3; RFC2033-4.2 wants 503 in any case */
    if (s->any_rcpt && s->params->kind != SMTP_KIND_LMTP)
        REPLY(s, 554, "5.5.1", "No valid recipients");
    else
        REPLY(s, 503, "5.5.1", "Say RCPT first");
    return false;
}
