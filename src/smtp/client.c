/* The SMTP client: greeting, EHLO, STARTTLS, and how replies become outcomes. */
#include "smtp/client_session.h"

#include "base/reader.h"
#include "smtp/server.h"

#include <stdlib.h>

#define INPUT_MAX ((size_t)8192)
#define OUT_MAX ((size_t)256 * 1024)
#define OUTCOME_TEXT_MAX ((size_t)1000) /* what a report or a log needs of a reply */

/* ---- replies ---- */

enum err client_read_reply(struct smtp_client *c, int64_t within_us) {
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

enum err client_send(struct smtp_client *c, bool is_outstanding, int64_t within_us) {
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

/* RFC3461-5.2.2, RFC2852-4.1.4.2 */
static void mark_relayed(const struct smtp_client *c, size_t recipient, struct smtp_outcome *outcome) {
    const struct smtp_envelope *envelope = c->envelope;
    uint8_t notify = envelope->options != NULL ? envelope->options[recipient].notify : 0;
    outcome->is_relayed_without_dsn = (notify & SMTP_NOTIFY_SUCCESS) && !c->offers.dsn;
    outcome->is_relayed_without_by = envelope->has_by && !c->offers.deliverby && !(notify & SMTP_NOTIFY_NEVER);
}

enum err client_decide_as(struct smtp_client *c, size_t recipient, enum smtp_why why, uint16_t code, struct view status,
                          struct view text) {
    struct smtp_outcome outcome = {.reply = code, .is_of_session = !c->in_transaction, .why = why};
    if (c->outcomes[recipient].reply != 0)
        return ERR_OK;
    if (code < 300)
        mark_relayed(c, recipient, &outcome);
    TRY(arena_view(c->arena, status_or_class(status, code), &outcome.status));
    TRY(arena_view(c->arena, view_sub(text, 0, OUTCOME_TEXT_MAX), &outcome.text));
    c->outcomes[recipient] = outcome;
    c->pending--;
    return ERR_OK;
}

enum err client_decide(struct smtp_client *c, size_t recipient, uint16_t code) {
    struct view status = reply_parser_status(&c->reply);
    /* A code of ours in place of the server's takes no status of another class. */
    if (status.n > 0 && status.p[0] != '0' + code / 100)
        status = VIEW_NONE;
    return client_decide_as(c, recipient, SMTP_WHY_SERVER, code, status, reply_parser_text(&c->reply));
}

enum err client_decide_rest(struct smtp_client *c) {
    for (size_t i = 0; i < c->envelope->recipients_n; i++)
        TRY(client_decide(c, i, c->reply.code));
    return ERR_OK;
}

enum err client_decide_rest_as(struct smtp_client *c, enum smtp_why why, uint16_t code, struct view status,
                               struct view text) {
    for (size_t i = 0; i < c->envelope->recipients_n; i++)
        TRY(client_decide_as(c, i, why, code, status, text));
    return ERR_OK;
}

/* ---- the steps ---- */

static enum err greeting(struct smtp_client *c) {
    TRY(client_read_reply(c, WAIT_GREETING));
    if (reply_is_refusal(c))
        return client_decide_rest(c); /* RFC5321-3.1: 554; RFC7504-3: 521 */
    return c->reply.code == 220 ? ERR_OK : ERR_SYNTAX;
}

static uint64_t number_or_none(struct view v, uint64_t max) {
    uint64_t n;
    return view_to_u64(view_trim(v), max, &n) == ERR_OK ? n : 0;
}

/* RFC9422-3: what is not understood is not there */
static void take_limits(struct extensions *offers, struct view params) {
    struct view one, name, value;
    bool more;
    do {
        more = view_split(params, ' ', &one, &params);
        (void)view_split(one, '=', &name, &value);
        uint64_t n = number_or_none(value, SMTP_LIMIT_MAX);
        if (view_eq_nocase(name, VIEW("MAILMAX")))
            offers->mails_max = n;
        else if (view_eq_nocase(name, VIEW("RCPTMAX")))
            offers->recipients_max = n;
        else if (view_eq_nocase(name, VIEW("RCPTDOMAINMAX")))
            offers->domains_max = n;
    } while (more);
}

/* One line of the reply to EHLO: ehlo-keyword *( SP ehlo-param ) */
static void take_offer(struct extensions *offers, struct view line) {
    const struct {
        struct view keyword;
        bool *flag;
    } flags[] = {
        {VIEW_INIT("PIPELINING"), &offers->pipelining},
        {VIEW_INIT("8BITMIME"), &offers->eightbit},
        {VIEW_INIT("SMTPUTF8"), &offers->smtputf8},
        {VIEW_INIT("STARTTLS"), &offers->starttls},
        {VIEW_INIT("SIZE"), &offers->size},
        {VIEW_INIT("CHUNKING"), &offers->chunking},
        {VIEW_INIT("BINARYMIME"), &offers->binary},
        {VIEW_INIT("DSN"), &offers->dsn},
        {VIEW_INIT("DELIVERBY"), &offers->deliverby},
        {VIEW_INIT("MT-PRIORITY"), &offers->priority},
        {VIEW_INIT("REQUIRETLS"), &offers->requiretls},
        {VIEW_INIT("NO-SOLICITING"), &offers->no_soliciting},
    };
    struct view keyword, params;
    (void)view_split(line, ' ', &keyword, &params);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (view_eq_nocase(keyword, flags[i].keyword))
            *flags[i].flag = true;
    if (view_eq_nocase(keyword, VIEW("SIZE")))
        offers->size_max = number_or_none(params, UINT64_MAX);
    else if (view_eq_nocase(keyword, VIEW("LIMITS")))
        take_limits(offers, params);
    else if (view_eq_nocase(keyword, VIEW("DELIVERBY"))) {
        (void)view_split(params, ',', &params, &(struct view){0});
        offers->by_min_s = number_or_none(params, SMTP_BY_MAX);
    }
}

static enum err say_hello(struct smtp_client *c, struct view verb) {
    buf_put(&c->out, verb);
    buf_put_byte(&c->out, ' ');
    buf_put(&c->out, c->params->hostname);
    buf_put_str(&c->out, "\r\n");
    TRY(client_send(c, false, WAIT_HELLO));
    return c->is_over ? ERR_OK : client_read_reply(c, WAIT_HELLO);
}

static enum err hello(struct smtp_client *c) {
    c->offers = (struct extensions){0};
    TRY(say_hello(c, c->params->lmtp ? VIEW("LHLO") : VIEW("EHLO"))); /* RFC2033-4.1 */
    if (c->is_over)
        return client_decide_rest(c);
    if (c->reply.code >= 500 && !c->params->lmtp) {
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

static enum err no_tls(struct smtp_client *c) {
    if (!c->params->require_tls)
        return ERR_OK;
    /* Refused for now: a missing offer may be an attack that ends, or a mistake that is mended. */
    return client_decide_rest_as(c, SMTP_WHY_TLS, 450, VIEW("4.7.10"),
                                 VIEW("The server does not offer the TLS that is required"));
}

static enum err start_tls(struct smtp_client *c) {
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
    *c->place = tls;
    c->input.stream = tls;
    return hello(c); /* RFC3207-4.2: all is asked again */
}

/* RFC8689-4.2.1 */
static enum err check_requiretls(struct smtp_client *c) {
    if (!c->envelope->requiretls)
        return ERR_OK;
    if (!c->stream->encrypted)
        return client_decide_rest_as(c, SMTP_WHY_TLS, 550, VIEW("5.7.10"), VIEW("The message travels under TLS only"));
    if (!c->offers.requiretls)
        return client_decide_rest_as(c, SMTP_WHY_REQUIRETLS, 550, VIEW("5.7.30"),
                                     VIEW("The server does not offer REQUIRETLS"));
    return ERR_OK;
}

/* RFC2852-4.1.4.1: "return" is a promise that the next server has to keep as well. */
static enum err check_time(struct smtp_client *c) {
    const struct smtp_envelope *envelope = c->envelope;
    if (!envelope->has_by || !envelope->by_return)
        return ERR_OK;
    if (c->offers.deliverby && envelope->by_s > 0 && (uint64_t)envelope->by_s >= c->offers.by_min_s)
        return ERR_OK;
    return client_decide_rest_as(c, SMTP_WHY_DELIVERBY, 554, VIEW("5.3.3"),
                                 VIEW("The server does not return messages that are late"));
}

/* What the server cannot take for what it says of itself. */
static enum err check_offers(struct smtp_client *c) {
    /* RFC1870-5: not tried when it is known to be too large */
    if (c->offers.size_max > 0 && c->size > c->offers.size_max)
        return client_decide_rest_as(c, SMTP_WHY_SIZE, 552, VIEW("5.3.4"),
                                     VIEW("Message is larger than the server takes"));
    /* RFC3030-3 */
    if (c->envelope->binary && !(c->offers.chunking && c->offers.binary))
        return client_decide_rest_as(c, SMTP_WHY_BINARY, 554, VIEW("5.6.3"),
                                     VIEW("The server takes no binary messages"));
    /* RFC6152-3: without 8BITMIME it would have to be converted */
    if (c->has_eightbit && !c->offers.eightbit && !c->envelope->binary)
        return client_decide_rest_as(c, SMTP_WHY_EIGHTBIT, 554, VIEW("5.6.3"),
                                     VIEW("The server takes no 8-bit messages"));
    /* RFC6531-3.2 */
    if (c->needs_smtputf8 && !c->offers.smtputf8)
        return client_decide_rest_as(c, SMTP_WHY_SMTPUTF8, 553, VIEW("5.6.7"),
                                     VIEW("The server takes no internationalized addresses"));
    TRY(check_requiretls(c));
    return c->pending > 0 ? check_time(c) : ERR_OK;
}

/* RFC5321-4.1.1.5: what an earlier message left open. */
static enum err reset(struct smtp_client *c) {
    if (!c->needs_reset)
        return ERR_OK;
    buf_put_str(&c->out, "RSET\r\n");
    TRY(client_send(c, false, WAIT_MAIL));
    if (c->pending == 0)
        return ERR_OK;
    TRY(client_read_reply(c, WAIT_MAIL));
    c->is_over |= !reply_is_good(c); /* RSET does not fail; nothing more is said to who lets it */
    if (c->is_over)
        return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
    c->needs_reset = false;
    return ERR_OK;
}

static enum err quit(struct smtp_client *c) {
    buf_clear(&c->out);
    buf_put_str(&c->out, "QUIT\r\n");
    TRY(client_send(c, true, WAIT_QUIT));
    return client_read_reply(c, WAIT_QUIT);
}

static enum err greet(struct smtp_client *c) {
    enum err (*const steps[])(struct smtp_client * c) = {greeting, hello, start_tls};
    for (size_t i = 0; i < ARRAY_LEN(steps) && c->pending > 0; i++)
        TRY(steps[i](c));
    c->is_greeted = c->pending > 0;
    return ERR_OK;
}

static enum err run(struct smtp_client *c) {
    TRY(client_measure(c));
    if (!c->is_greeted)
        TRY(greet(c));
    enum err (*const steps[])(struct smtp_client * c) = {check_offers, reset, client_transaction};
    for (size_t i = 0; i < ARRAY_LEN(steps) && c->pending > 0; i++)
        TRY(steps[i](c));
    return ERR_OK;
}

/* ---- the interface ---- */

struct smtp_client *smtp_client_new(const struct smtp_client_params *params, struct stream **stream) {
    struct smtp_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->params = params;
    c->place = stream;
    c->stream = *stream;
    input_init(&c->input, c->stream, INPUT_MAX);
    reply_parser_init(&c->reply);
    buf_init(&c->out, OUT_MAX);
    buf_init(&c->domains, SMTP_LIMIT_MAX * sizeof(uint64_t));
    return c;
}

bool smtp_client_may_send(const struct smtp_client *c) {
    return !c->is_over && !c->is_refused && (c->offers.mails_max == 0 || c->mails < c->offers.mails_max);
}

enum err smtp_client_transact(struct smtp_client *c, const struct smtp_envelope *envelope, struct arena *arena,
                              struct smtp_outcome *outcomes, bool *sent_dot) {
    *sent_dot = false;
    if (!smtp_client_may_send(c))
        return ERR_LIMIT;
    c->envelope = envelope;
    c->arena = arena;
    c->outcomes = outcomes;
    c->pending = envelope->recipients_n;
    c->accepted_n = 0;
    c->in_transaction = false;
    c->has_eightbit = envelope->eightbit;
    c->sent_dot = sent_dot;
    for (size_t i = 0; i < envelope->recipients_n; i++)
        outcomes[i] = (struct smtp_outcome){0};
    buf_clear(&c->out);
    enum err err = run(c);
    BUG_IF(err == ERR_OK && c->pending > 0);
    /* A message that cannot be sent says nothing about the connection. */
    c->is_over |= err != ERR_OK && err != ERR_PERMANENT;
    c->is_refused |= !c->is_greeted && err == ERR_OK;
    return err;
}

enum err smtp_client_probe(struct smtp_client *c) {
    if (c->is_over || !c->is_greeted)
        return ERR_CLOSED;
    c->pending = 0;
    const struct smtp_envelope none = {0};
    c->envelope = &none;
    buf_clear(&c->out);
    buf_put_str(&c->out, "NOOP\r\n");
    enum err err = client_send(c, false, WAIT_MAIL);
    if (err == ERR_OK && !c->is_over)
        err = client_read_reply(c, WAIT_MAIL);
    if (err == ERR_OK && (c->is_over || !reply_is_good(c)))
        err = ERR_CLOSED;
    c->is_over |= err != ERR_OK;
    c->envelope = NULL;
    return err;
}

void smtp_client_free(struct smtp_client *c) {
    if (c == NULL)
        return;
    /* Everything is decided; how the farewell goes changes nothing. */
    if (!c->is_over && (c->is_greeted || c->is_refused))
        (void)!quit(c);
    buf_fini(&c->out);
    buf_fini(&c->domains);
    reply_parser_fini(&c->reply);
    input_fini(&c->input);
    free(c);
}

enum err smtp_client_send(const struct smtp_client_params *params, struct stream **stream,
                          const struct smtp_envelope *envelope, struct arena *arena, struct smtp_outcome *outcomes,
                          bool *sent_dot) {
    *sent_dot = false;
    struct smtp_client *c = smtp_client_new(params, stream);
    if (c == NULL)
        return ERR_NO_MEMORY;
    enum err err = smtp_client_transact(c, envelope, arena, outcomes, sent_dot);
    smtp_client_free(c);
    return err;
}
