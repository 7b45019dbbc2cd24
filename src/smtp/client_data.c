/* The SMTP client: the message, read in pieces, checked, stuffed, sent. */
#include "smtp/client_session.h"

#include "base/utf8.h"

#include <stdlib.h>

#define PIECE ((size_t)64 * 1024)

/* Calls each with the message's pieces in order. piece has room for PIECE octets. */
static enum err each_piece(struct smtp_client *c, uint8_t *piece,
                           enum err (*each)(struct smtp_client *c, struct view v, void *ctx), void *ctx) {
    TRY(each(c, c->envelope->prefix, ctx));
    for (uint64_t at = 0; c->envelope->body != NULL;) {
        size_t got;
        TRY(co_breathe());
        TRY(file_read(c->envelope->body, piece, PIECE, at, &got));
        if (got > 0)
            TRY(each(c, view_of(piece, got), ctx));
        if (got < PIECE)
            break;
        at += got;
    }
    return ERR_OK;
}

static enum err with_piece(struct smtp_client *c, enum err (*each)(struct smtp_client *c, struct view v, void *ctx),
                           void *ctx) {
    uint8_t *piece = malloc(PIECE);
    enum err err = piece == NULL ? ERR_NO_MEMORY : each_piece(c, piece, each, ctx);
    free(piece);
    return err;
}

struct measure {
    struct dot_stuff stuff;
    bool is_binary;
    uint64_t octets;
    bool has_eightbit;
};

static enum err measure_piece(struct smtp_client *c, struct view v, void *ctx) {
    struct measure *m = ctx;
    (void)c;
    m->octets += v.n;
    if (!m->is_binary)
        return dot_stuff_feed(&m->stuff, v, NULL);
    m->has_eightbit |= !utf8_is_ascii(v);
    return ERR_OK;
}

static bool has_utf8_address(const struct smtp_envelope *envelope) {
    bool is_ascii = utf8_is_ascii(envelope->sender);
    for (size_t i = 0; i < envelope->recipients_n; i++)
        is_ascii &= utf8_is_ascii(envelope->recipients[i]);
    return !is_ascii;
}

enum err client_measure(struct smtp_client *c) {
    struct measure m = {.stuff = dot_stuff_start(), .is_binary = c->envelope->binary};
    enum err err = with_piece(c, measure_piece, &m);
    if (err == ERR_OK && !m.is_binary)
        err = dot_stuff_end(&m.stuff, NULL);
    if (err == ERR_SYNTAX)
        return ERR_PERMANENT; /* RFC5321-2.3.8 */
    TRY(err);
    c->octets = m.octets;
    c->size = m.is_binary ? m.octets : m.stuff.size;
    c->has_eightbit |= m.has_eightbit || m.stuff.has_eightbit;
    /* RFC6531-3.2, RFC6531-3.6: UTF-8 may stand in the header of any part, so every octet above 127 counts. */
    c->needs_smtputf8 =
        c->envelope->smtputf8 && (m.has_eightbit || m.stuff.has_eightbit || has_utf8_address(c->envelope));
    return ERR_OK;
}

/* A reply before the message has its end: a refusal is believed and the message stays without end; anything else is out of
 * step, and would be taken for the answer to the message. */
static enum err early_reply(struct smtp_client *c) {
    TRY(client_read_reply(c, WAIT_END));
    c->is_over = true;
    return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
}

/* Looks, without waiting, whether a reply has come already. */
static enum err look_for_reply(struct smtp_client *c) {
    if (input_pending(&c->input).n == 0) {
        enum err err = input_fill(&c->input, loop_now_us(c->stream->loop));
        if (err == ERR_TIMEOUT || err == ERR_AGAIN)
            return ERR_OK;
        TRY(err);
    }
    return early_reply(c);
}

/* A prefix may be larger than a piece; what is queued at once is not. */
static enum err send_piece(struct smtp_client *c, struct view v, void *ctx) {
    while (v.n > 0 && c->pending > 0) {
        struct view part = view_sub(v, 0, PIECE);
        enum err err = dot_stuff_feed(ctx, part, &c->out);
        if (err != ERR_OK)
            return err == ERR_SYNTAX ? ERR_IO : err; /* it was measured: the file changed under us */
        TRY(client_send(c, true, WAIT_BLOCK));
        TRY(look_for_reply(c));
        v = view_skip(v, part.n);
    }
    return ERR_OK;
}

/* The server left while the message went out: did it say why? */
static enum err last_words(struct smtp_client *c, enum err err) {
    if (err != ERR_CLOSED)
        return err;
    c->is_over = true;
    if (client_read_reply(c, WAIT_QUIT) != ERR_OK || !reply_is_refusal(c))
        return ERR_CLOSED;
    return client_decide_rest(c);
}

static enum err send_text(struct smtp_client *c) {
    struct dot_stuff stuff = dot_stuff_start();
    TRY(with_piece(c, send_piece, &stuff));
    if (c->pending == 0)
        return ERR_OK;
    /* What was measured is what was sent, or it does not get its end. */
    if (dot_stuff_end(&stuff, &c->out) == ERR_SYNTAX || stuff.size != c->size)
        return ERR_IO;
    TRY(buf_err(&c->out));
    *c->sent_dot = true;
    return client_send(c, true, WAIT_BLOCK);
}

/* RFC2033-4.2: a reply for each recipient that was accepted, in the order of RCPT. */
static enum err take_each_reply(struct smtp_client *c) {
    for (size_t i = 0; i < c->envelope->recipients_n; i++) {
        if (c->outcomes[i].reply != 0)
            continue;
        enum err err = client_read_reply(c, WAIT_END);
        if (err == ERR_OK && !reply_is_good(c) && !reply_is_refusal(c))
            err = ERR_SYNTAX;
        if (err != ERR_OK) {
            if (err == ERR_CANCELED || c->answered_n == 0)
                return err;
            /* What is known of the others must not be lost with the connection. */
            c->is_over = true;
            return client_decide_rest_as(c, SMTP_WHY_LOST, 451, VIEW("4.4.2"),
                                         VIEW("The connection was lost before the reply"));
        }
        if (c->is_over)
            return client_decide_rest(c);
        c->answered_n++;
        TRY(client_decide(c, i, c->reply.code));
    }
    c->needs_reset = false;
    return ERR_OK;
}

enum err client_take_verdict(struct smtp_client *c) {
    c->answered_n = 0;
    if (c->params->lmtp)
        return take_each_reply(c);
    TRY(client_read_reply(c, WAIT_END));
    if (!reply_is_good(c) && !reply_is_refusal(c))
        return ERR_SYNTAX;
    c->needs_reset = false;
    return client_decide_rest(c);
}

enum err client_send_message(struct smtp_client *c) {
    enum err err = look_for_reply(c);
    if (err == ERR_OK && c->pending > 0)
        err = send_text(c);
    if (err != ERR_OK)
        return last_words(c, err);
    return c->pending > 0 ? client_take_verdict(c) : ERR_OK;
}

/* ---- chunks ---- */

struct chunks {
    uint64_t left;      /* of the message */
    uint64_t of_chunk;  /* of the chunk under way */
    size_t outstanding; /* chunks that have no reply yet, without the last one */
    bool is_refused;
    bool is_last_sent;
};

/* RFC3030-2: a chunk's reply. A refusal decides all, and no chunk more is begun. */
static enum err take_chunk_reply(struct smtp_client *c, struct chunks *chunks) {
    TRY(client_read_reply(c, WAIT_END));
    chunks->outstanding--;
    if (reply_is_good(c) && !c->is_over)
        return ERR_OK;
    if (!reply_is_refusal(c))
        return ERR_SYNTAX;
    chunks->is_refused = true;
    return client_decide_rest(c);
}

/* With PIPELINING the next chunk goes out while the reply to the one before is on its way. */
static enum err begin_chunk(struct smtp_client *c, struct chunks *chunks) {
    size_t may_wait = c->offers.pipelining ? 1 : 0;
    while (chunks->outstanding > may_wait && !chunks->is_refused)
        TRY(take_chunk_reply(c, chunks));
    if (chunks->is_refused)
        return ERR_OK;
    chunks->of_chunk = MIN(chunks->left, CHUNK_MAX);
    chunks->is_last_sent = chunks->of_chunk == chunks->left;
    chunks->outstanding += !chunks->is_last_sent;
    buf_printf(&c->out, "BDAT %llu%s\r\n", (unsigned long long)chunks->of_chunk, chunks->is_last_sent ? " LAST" : "");
    return buf_err(&c->out);
}

static enum err chunk_piece(struct smtp_client *c, struct view v, void *ctx) {
    struct chunks *chunks = ctx;
    while (v.n > 0 && !chunks->is_refused) {
        if (v.n > chunks->left)
            return ERR_IO; /* it was measured: the file changed under us */
        if (chunks->of_chunk == 0) {
            TRY(begin_chunk(c, chunks));
            continue;
        }
        struct view part = view_sub(v, 0, (size_t)MIN(MIN(PIECE, v.n), chunks->of_chunk));
        buf_put(&c->out, part);
        chunks->of_chunk -= part.n;
        chunks->left -= part.n;
        v = view_skip(v, part.n);
        *c->sent_dot |= chunks->left == 0;
        TRY(client_send(c, chunks->outstanding > 0, WAIT_BLOCK));
        chunks->is_refused |= c->is_over;
    }
    return ERR_OK;
}

static enum err send_chunks(struct smtp_client *c, struct chunks *chunks) {
    chunks->left = c->octets;
    if (chunks->left == 0) {
        TRY(begin_chunk(c, chunks));
        *c->sent_dot = true;
        TRY(client_send(c, false, WAIT_BLOCK));
        chunks->is_refused = c->is_over;
    }
    TRY(with_piece(c, chunk_piece, chunks));
    if (!chunks->is_refused && chunks->left > 0)
        return ERR_IO;
    while (chunks->outstanding > 0 && !c->is_over)
        TRY(take_chunk_reply(c, chunks));
    if (!chunks->is_refused)
        return client_take_verdict(c);
    /* The last chunk was on its way when one before it was refused; its reply is the last thing to come. */
    if (chunks->is_last_sent && !c->is_over)
        c->is_over = client_read_reply(c, WAIT_END) != ERR_OK || c->is_over || reply_is_good(c);
    return ERR_OK;
}

enum err client_send_chunks(struct smtp_client *c) {
    struct chunks chunks = {0};
    enum err err = look_for_reply(c);
    if (err == ERR_OK && c->pending > 0)
        err = send_chunks(c, &chunks);
    return err != ERR_OK && c->pending > 0 ? last_words(c, err) : err;
}
