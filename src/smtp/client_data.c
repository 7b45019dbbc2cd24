/* The SMTP client: the message, read in pieces, checked, stuffed, sent. */
#include "smtp/client_session.h"

#include <stdlib.h>

#define PIECE ((size_t)64 * 1024)

/* Calls each with the message's pieces in order. piece has room for PIECE octets. */
static enum err each_piece(struct client *c, uint8_t *piece,
                           enum err (*each)(struct client *c, struct view v, void *ctx), void *ctx) {
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

static enum err with_piece(struct client *c, enum err (*each)(struct client *c, struct view v, void *ctx), void *ctx) {
    uint8_t *piece = malloc(PIECE);
    enum err err = piece == NULL ? ERR_NO_MEMORY : each_piece(c, piece, each, ctx);
    free(piece);
    return err;
}

static enum err measure_piece(struct client *c, struct view v, void *ctx) {
    (void)c;
    return dot_stuff_feed(ctx, v, NULL);
}

enum err client_measure(struct client *c) {
    struct dot_stuff stuff = dot_stuff_start();
    enum err err = with_piece(c, measure_piece, &stuff);
    if (err == ERR_OK)
        err = dot_stuff_end(&stuff, NULL);
    if (err == ERR_SYNTAX)
        return ERR_PERMANENT; /* RFC5321-2.3.8 */
    TRY(err);
    c->size = stuff.size;
    c->has_eightbit |= stuff.has_eightbit;
    return ERR_OK;
}

/* A reply before the message has its end: a refusal is believed and the message stays without end; anything else is out of
 * step, and would be taken for the answer to the message. */
static enum err early_reply(struct client *c) {
    TRY(client_read_reply(c, WAIT_END));
    c->is_over = true;
    return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
}

/* Looks, without waiting, whether a reply has come already. */
static enum err look_for_reply(struct client *c) {
    if (input_pending(&c->input).n == 0) {
        enum err err = input_fill(&c->input, loop_now_us(c->stream->loop));
        if (err == ERR_TIMEOUT || err == ERR_AGAIN)
            return ERR_OK;
        TRY(err);
    }
    return early_reply(c);
}

/* A prefix may be larger than a piece; what is queued at once is not. */
static enum err send_piece(struct client *c, struct view v, void *ctx) {
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
static enum err last_words(struct client *c, enum err err) {
    if (err != ERR_CLOSED)
        return err;
    c->is_over = true;
    if (client_read_reply(c, WAIT_QUIT) != ERR_OK || !reply_is_refusal(c))
        return ERR_CLOSED;
    return client_decide_rest(c);
}

static enum err send_text(struct client *c) {
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

enum err client_send_message(struct client *c) {
    enum err err = look_for_reply(c);
    if (err == ERR_OK && c->pending > 0)
        err = send_text(c);
    if (err != ERR_OK)
        return last_words(c, err);
    if (c->pending == 0)
        return ERR_OK;
    TRY(client_read_reply(c, WAIT_END));
    if (!reply_is_good(c) && !reply_is_refusal(c))
        return ERR_SYNTAX;
    return client_decide_rest(c);
}
