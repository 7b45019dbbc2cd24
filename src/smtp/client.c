/* The SMTP client: greeting, EHLO, STARTTLS, and how replies become outcomes. */
#include "smtp/client_session.h"

#include "base/reader.h"

#define INPUT_MAX ((size_t)8192)
#define OUT_MAX ((size_t)256 * 1024)
#define OUTCOME_TEXT_MAX ((size_t)1000) /* what a report or a log needs of a reply */

/* ---- replies ---- */

enum err client_read_reply(struct client *c, int64_t within_us) {
    int64_t deadline_us = loop_now_us(c->stream->loop) + within_us;
    reply_parser_clear(&c->reply);
    for (;;) {
        size_t used;
        enum err err = reply_parser_feed(&c->reply, input_pending(&c->input), &used);
        input_consume(&c->input, used);
        if (err == ERR_LIMIT)
            return ERR_SYNTAX;
        if (err != ERR_AGAIN) {
            /* RFC5321-3.8: 421 may come at any time, and nothing comes after it. */
            if (err == ERR_OK && c->reply.code == 421)
                c->is_over = true;
            return err;
        }
        do
            err = input_fill(&c->input, deadline_us);
        while (err == ERR_AGAIN);
        TRY(err);
    }
}

enum err client_send(struct client *c, bool is_outstanding, int64_t within_us) {
    if (!is_outstanding && input_pending(&c->input).n > 0) {
        /* A reply to nothing would be taken for the reply to the next command, and so on. */
        TRY(client_read_reply(c, within_us));
        c->is_over = true;
        return c->reply.code == 421 ? client_decide_rest(c) : ERR_SYNTAX;
    }
    TRY(buf_err(&c->out));
    enum err err = stream_write(c->stream, buf_view(&c->out), loop_now_us(c->stream->loop) + within_us);
    buf_clear(&c->out);
    return err;
}

/* ---- outcomes ---- */

/* Replies without a status (RFC3463) get their class's. */
static struct view status_or_class(struct view status, uint16_t code) {
    if (status.n > 0)
        return status;
    return code < 300 ? VIEW("2.0.0") : code < 500 ? VIEW("4.0.0") : VIEW("5.0.0");
}

enum err client_decide_as(struct client *c, size_t recipient, uint16_t code, struct view status, struct view text) {
    struct smtp_outcome outcome = {.reply = code, .is_of_session = !c->in_transaction};
    if (c->outcomes[recipient].reply != 0)
        return ERR_OK;
    TRY(arena_view(c->arena, status_or_class(status, code), &outcome.status));
    TRY(arena_view(c->arena, view_sub(text, 0, OUTCOME_TEXT_MAX), &outcome.text));
    c->outcomes[recipient] = outcome;
    c->pending--;
    return ERR_OK;
}

enum err client_decide(struct client *c, size_t recipient, uint16_t code) {
    struct view status = reply_parser_status(&c->reply);
    /* A code of ours in place of the server's takes no status of another class. */
    if (status.n > 0 && status.p[0] != '0' + code / 100)
        status = VIEW_NONE;
    return client_decide_as(c, recipient, code, status, reply_parser_text(&c->reply));
}

enum err client_decide_rest(struct client *c) {
    for (size_t i = 0; i < c->envelope->recipients_n; i++)
        TRY(client_decide(c, i, c->reply.code));
    return ERR_OK;
}

enum err client_decide_rest_as(struct client *c, uint16_t code, struct view status, struct view text) {
    for (size_t i = 0; i < c->envelope->recipients_n; i++)
        TRY(client_decide_as(c, i, code, status, text));
    return ERR_OK;
}

/* ---- the steps ---- */

static enum err greeting(struct client *c) {
    TRY(client_read_reply(c, WAIT_GREETING));
    if (reply_is_refusal(c))
        return client_decide_rest(c); /* RFC5321-3.1: 554; RFC7504-3: 521 */
    return c->reply.code == 220 ? ERR_OK : ERR_SYNTAX;
}

/* One line of the reply to EHLO: ehlo-keyword *( SP ehlo-param ) */
static void take_offer(struct extensions *offers, struct view line) {
    struct view keyword, params;
    (void)view_split(line, ' ', &keyword, &params);
    if (view_eq_nocase(keyword, VIEW("PIPELINING")))
        offers->pipelining = true;
    else if (view_eq_nocase(keyword, VIEW("8BITMIME")))
        offers->eightbit = true;
    else if (view_eq_nocase(keyword, VIEW("SMTPUTF8")))
        offers->smtputf8 = true;
    else if (view_eq_nocase(keyword, VIEW("STARTTLS")))
        offers->starttls = true;
    else if (view_eq_nocase(keyword, VIEW("SIZE"))) {
        uint64_t max;
        offers->size = true;
        if (view_to_u64(view_trim(params), UINT64_MAX, &max) == ERR_OK)
            offers->size_max = max;
    }
}

static enum err say_hello(struct client *c, struct view verb) {
    buf_put(&c->out, verb);
    buf_put_byte(&c->out, ' ');
    buf_put(&c->out, c->params->hostname);
    buf_put_str(&c->out, "\r\n");
    TRY(client_send(c, false, WAIT_HELLO));
    return c->is_over ? ERR_OK : client_read_reply(c, WAIT_HELLO);
}

static enum err hello(struct client *c) {
    c->offers = (struct extensions){0};
    TRY(say_hello(c, VIEW("EHLO")));
    if (c->is_over)
        return client_decide_rest(c);
    if (c->reply.code >= 500) {
        /* RFC5321-3.2: a server that does not know EHLO */
        TRY(say_hello(c, VIEW("HELO")));
        if (!reply_is_good(c) && !reply_is_refusal(c))
            return ERR_SYNTAX;
        return reply_is_refusal(c) ? client_decide_rest(c) : ERR_OK;
    }
    if (reply_is_refusal(c))
        return client_decide_rest(c);
    if (!reply_is_good(c))
        return ERR_SYNTAX;
    struct view line, rest = reply_parser_text(&c->reply);
    bool more = view_split(rest, '\n', &line, &rest); /* the first is the server's name */
    while (more) {
        more = view_split(rest, '\n', &line, &rest);
        take_offer(&c->offers, line);
    }
    return ERR_OK;
}

static enum err no_tls(struct client *c) {
    if (!c->params->require_tls)
        return ERR_OK;
    /* Refused for now: a missing offer may be an attack that ends, or a mistake that is mended. */
    return client_decide_rest_as(c, 450, VIEW("4.7.10"), VIEW("The server does not offer the TLS that is required"));
}

static enum err start_tls(struct client *c) {
    if (c->stream->encrypted)
        return ERR_OK;
    if (c->params->starttls == NULL || !c->offers.starttls)
        return no_tls(c);
    buf_put_str(&c->out, "STARTTLS\r\n");
    TRY(client_send(c, false, WAIT_HELLO));
    if (c->pending == 0)
        return ERR_OK;
    TRY(client_read_reply(c, WAIT_HELLO));
    if (c->is_over)
        return client_decide_rest(c);
    if (reply_is_refusal(c))
        return no_tls(c);
    /* Whatever stands behind the 220 was put there in the clear, for us to take as said under TLS. */
    if (c->reply.code != 220 || input_pending(&c->input).n > 0)
        return ERR_SYNTAX;
    struct stream *tls;
    TRY(c->params->starttls(c->params->ctx, c->stream, &tls));
    c->stream = tls;
    c->input.stream = tls;
    return hello(c); /* RFC3207-4.2: all is asked again */
}

/* What the server cannot take for what it says of itself. */
static enum err check_offers(struct client *c) {
    /* RFC1870-5: not tried when it is known to be too large */
    if (c->offers.size_max > 0 && c->size > c->offers.size_max)
        return client_decide_rest_as(c, 552, VIEW("5.3.4"), VIEW("Message is larger than the server takes"));
    /* RFC6152-3: without 8BITMIME it would have to be converted */
    if (c->has_eightbit && !c->offers.eightbit)
        return client_decide_rest_as(c, 554, VIEW("5.6.3"), VIEW("The server takes no 8-bit messages"));
    /* RFC6531-3.2 */
    if (c->envelope->smtputf8 && !c->offers.smtputf8)
        return client_decide_rest_as(c, 553, VIEW("5.6.7"), VIEW("The server takes no internationalized addresses"));
    return ERR_OK;
}

static void quit(struct client *c) {
    buf_clear(&c->out);
    buf_put_str(&c->out, "QUIT\r\n");
    /* Everything is decided; how the farewell goes changes nothing. */
    if (client_send(c, true, WAIT_QUIT) == ERR_OK && client_read_reply(c, WAIT_QUIT) == ERR_OK)
        c->is_over = true;
}

static enum err run(struct client *c) {
    enum err (*const steps[])(struct client * c) = {client_measure, greeting,     hello,
                                                    start_tls,      check_offers, client_transaction};
    for (size_t i = 0; i < ARRAY_LEN(steps) && c->pending > 0; i++)
        TRY(steps[i](c));
    if (!c->is_over)
        quit(c);
    return ERR_OK;
}

enum err smtp_client_send(const struct smtp_client_params *params, struct stream **stream,
                          const struct smtp_envelope *envelope, struct arena *arena, struct smtp_outcome *outcomes,
                          bool *sent_dot) {
    struct client c = {.params = params,
                       .envelope = envelope,
                       .stream = *stream,
                       .arena = arena,
                       .outcomes = outcomes,
                       .pending = envelope->recipients_n,
                       .has_eightbit = envelope->eightbit,
                       .sent_dot = sent_dot};
    *sent_dot = false;
    for (size_t i = 0; i < envelope->recipients_n; i++)
        outcomes[i] = (struct smtp_outcome){0};
    input_init(&c.input, c.stream, INPUT_MAX);
    reply_parser_init(&c.reply);
    buf_init(&c.out, OUT_MAX);
    enum err err = run(&c);
    BUG_IF(err == ERR_OK && c.pending > 0);
    *stream = c.stream;
    buf_fini(&c.out);
    reply_parser_fini(&c.reply);
    input_fini(&c.input);
    return err;
}
