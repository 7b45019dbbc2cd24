/*
 * DATA (RFC5321-4.1.1.4): reads the message into memory and, when it grows, into
 * a file; then hands it to the role and answers once, or once a recipient (LMTP).
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

/* A message on its way in. */
struct spool {
    struct smtp_session *s;
    struct data_scan scan;
    struct file *file;
    uint64_t size;             /* of the text so far, whether kept or not */
    uint64_t written;          /* to the file; the rest of it is in s->body */
    uint64_t accounted;        /* what the role was told last */
    struct smtp_reply refusal; /* code 0: all is well */
};

#define REFUSE(spool, code, status, text) refuse((spool), (code), VIEW(status), VIEW(text))

/* The first reason stands; what is held is given back at once. */
static void refuse(struct spool *spool, uint16_t code, struct view status, struct view text) {
    if (spool->refusal.code != 0)
        return;
    spool->refusal = (struct smtp_reply){code, status, text};
    buf_fini(&spool->s->body);
    file_unref(spool->file);
    spool->file = NULL;
}

static void refuse_for(struct spool *spool, enum err err) {
    if (err == ERR_FULL || err == ERR_NO_MEMORY || err == ERR_LIMIT)
        REFUSE(spool, 452, "4.3.1", "No room for this message now, try again later");
    else
        REFUSE(spool, 451, "4.3.0", "Local error, try again later");
}

static enum err account(struct spool *spool, uint64_t octets) {
    const struct smtp_server_params *params = spool->s->params;
    if (params->ops->account_spool == NULL || octets == spool->accounted)
        return ERR_OK;
    TRY(params->ops->account_spool(params->ctx, spool->s, octets));
    spool->accounted = octets;
    return ERR_OK;
}

static enum err write_out(struct spool *spool) {
    struct buf *body = &spool->s->body;
    TRY(file_write(spool->file, buf_view(body), spool->written));
    spool->written += body->n;
    buf_clear(body);
    return ERR_OK;
}

static enum err keep(struct spool *spool, struct view piece) {
    const struct smtp_server_params *params = spool->s->params;
    struct buf *body = &spool->s->body;
    if (spool->size > spool->accounted)
        TRY(account(spool, (spool->size / ACCOUNT_STEP + 1) * ACCOUNT_STEP));
    if (spool->file == NULL && spool->size > SMTP_SPOOL_MEMORY) {
        if (params->ops->spool == NULL)
            return ERR_FULL;
        TRY(params->ops->spool(params->ctx, spool->s, &spool->file));
        TRY(write_out(spool));
        buf_fini(body); /* from here on it holds a piece at a time */
    }
    buf_put(body, piece);
    TRY(buf_err(body));
    return spool->file != NULL && body->n >= PIECE ? write_out(spool) : ERR_OK;
}

/* Takes text in; returns how many octets belonged to the message. */
static size_t take(struct spool *spool, struct view in) {
    const struct smtp_server_params *params = spool->s->params;
    size_t taken = 0;
    while (taken < in.n && !spool->scan.ended) {
        size_t used;
        struct view piece;
        data_scan_next(&spool->scan, view_skip(in, taken), &used, &piece);
        taken += used;
        spool->size += piece.n;
        if (params->size_max > 0 && spool->size > params->size_max)
            REFUSE(spool, 552, "5.3.4", "Message is larger than the maximum"); /* RFC1870-6.3 */
        if (spool->scan.line_max > SMTP_TEXT_LINE_HARD_MAX)
            REFUSE(spool, 552, "5.6.0", "A line of the message is too long");
        if (spool->refusal.code == 0 && piece.n > 0) {
            enum err err = keep(spool, piece);
            if (err != ERR_OK)
                refuse_for(spool, err);
        }
    }
    return taken;
}

/* What came together with the command, and then the stream, up to the end. */
static enum err receive(struct spool *spool, uint8_t *piece) {
    struct smtp_session *s = spool->s;
    struct view pending = input_pending(&s->input);
    input_consume(&s->input, take(spool, pending));
    int64_t deadline_us = loop_now_us(s->stream->loop) + s->params->idle_us;
    size_t progress = 0;
    while (!spool->scan.ended) {
        size_t got;
        enum err err = stream_read(s->stream, piece, PIECE, deadline_us, &got);
        if (err == ERR_AGAIN && !session_is_stopping(s))
            continue;
        TRY(err);
        progress += got;
        if (progress >= PROGRESS) {
            progress = 0;
            deadline_us = loop_now_us(s->stream->loop) + s->params->idle_us;
        }
        size_t taken = take(spool, view_of(piece, got));
        if (taken < got)
            TRY(input_unread(&s->input, view_of(piece + taken, got - taken)));
    }
    return ERR_OK;
}

/* RFC5321-2.3.8, RFC5321-4.5.2: what an honest client never sends. */
static void judge(struct spool *spool) {
    if (spool->scan.has_nul)
        REFUSE(spool, 550, "5.6.11", "Message contains NUL");
    if (spool->scan.has_bare_cr || spool->scan.has_bare_lf)
        REFUSE(spool, 550, "5.6.11", "Message contains bare CR or LF");
}

static void answer_one(struct smtp_session *s, const struct smtp_reply *reply) {
    session_reply_or(s, reply, 451, VIEW("4.3.0"), VIEW("Local error, try again later"));
}

/* The transaction's reply; for LMTP one for each accepted recipient, in order (RFC2033-4.2). */
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

static enum err finish(struct spool *spool) {
    struct smtp_session *s = spool->s;
    struct smtp_transaction *t = &s->transaction;
    judge(spool);
    if (spool->refusal.code == 0 && spool->file != NULL) {
        enum err err = write_out(spool);
        if (err != ERR_OK)
            refuse_for(spool, err);
    }
    if (spool->refusal.code != 0) {
        session_event(s, "smtp.message.refused", spool->refusal.text);
        return answer(s, &spool->refusal, true);
    }
    t->body_file = spool->file;
    t->body = spool->file != NULL ? VIEW_NONE : buf_view(&s->body);
    t->body_size = spool->size;
    /* RFC6152-3 wants it declared; a client that did not is understood all the same. */
    t->eightbit |= spool->scan.has_eightbit;
    struct smtp_reply reply = {0};
    s->params->ops->data(s->params->ctx, s, t, &reply);
    return answer(s, &reply, false);
}

static enum err run_data(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    if (s->transaction.recipients_n == 0) {
        /* RFC5321-3.3 */
        if (s->any_rcpt)
            REPLY(s, 554, "5.5.1", "No valid recipients");
        else
            REPLY(s, 503, "5.5.1", "Say RCPT first");
        return ERR_OK;
    }
    struct spool spool = {.s = s, .scan = data_scan_start()};
    enum err err = account(&spool, ACCOUNT_STEP);
    uint8_t *piece = malloc(PIECE);
    if (err != ERR_OK || piece == NULL) {
        REPLY(s, 452, "4.3.1", "No room for messages now, try again later");
        free(piece);
        return ERR_OK;
    }
    session_reply(s, 354, VIEW_NONE, VIEW("End data with <CR><LF>.<CR><LF>"));
    err = session_flush(s);
    if (err == ERR_OK)
        err = receive(&spool, piece);
    free(piece);
    if (err == ERR_OK)
        err = finish(&spool);
    session_reset(s);
    file_unref(spool.file);
    buf_fini(&s->body);
    enum err given_back = account(&spool, 0);
    return err != ERR_OK ? err : given_back;
}

const struct smtp_verb smtp_verb_data = {.name = VIEW_INIT("DATA"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_MAIL | SMTP_RCPT,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .is_mistake_free = true,
                                         .parse = parse_nothing,
                                         .run = run_data};
