/*
 * The SMTP server's session: lines in, the table of verbs, and how a session
 * ends. Every effect is behind smtp_server_ops; every verb is in verb_*.c.
 */
#include "smtp/session.h"

#include "base/utf8.h"

#include <stdlib.h>

#define INPUT_MAX SMTP_READ_PIECE    /* above SMTP_AUTH_LINE_MAX; longer lines are thrown away as they come */
#define OUT_MAX ((size_t)256 * 1024) /* one reply of a role, with all its lines, above SMTP_FLUSH_AT */

const struct smtp_verb *const smtp_verbs[] = {
    &smtp_verb_ehlo, &smtp_verb_helo, &smtp_verb_lhlo, &smtp_verb_mail,     &smtp_verb_rcpt,
    &smtp_verb_data, &smtp_verb_rset, &smtp_verb_noop, &smtp_verb_quit,     &smtp_verb_auth,
    &smtp_verb_vrfy, &smtp_verb_expn, &smtp_verb_help, &smtp_verb_starttls, &smtp_verb_bdat,
};
const size_t smtp_verbs_n = ARRAY_LEN(smtp_verbs);

/* ---- what roles may ask ---- */

const struct smtp_session_facts *smtp_session_facts(const struct smtp_session *session) {
    return &session->facts;
}

struct view smtp_session_greeting_name(const struct smtp_session *session) {
    return session->facts.helo;
}

enum err smtp_session_set_authenticated(struct smtp_session *s, struct view address) {
    struct buf copy;
    if (address.n > sizeof(s->authenticated))
        return ERR_LIMIT;
    buf_init(&copy, sizeof(s->authenticated)); /* address may be a part of the array */
    buf_put(&copy, address);
    enum err err = buf_err(&copy);
    for (size_t i = 0; err == ERR_OK && i < copy.n; i++)
        s->authenticated[i] = copy.p[i];
    if (err == ERR_OK)
        s->facts.authenticated = view_of(s->authenticated, copy.n);
    buf_fini(&copy);
    return err;
}

struct smtp_transaction *smtp_session_transaction(struct smtp_session *s) {
    return s->in_transaction ? &s->transaction : NULL;
}

/* ---- shared by the verbs ---- */

void session_event(struct smtp_session *s, const char *event, struct view detail) {
    if (s->params->ops->event != NULL)
        s->params->ops->event(s->params->ctx, s, event, detail);
}

void session_reset(struct smtp_session *s) {
    if (s->in_transaction && s->params->ops->transaction_end != NULL)
        s->params->ops->transaction_end(s->params->ctx, s, &s->transaction);
    spool_close(s);
    s->in_transaction = false;
    s->any_rcpt = false;
    s->recipients_cap = 0;
    s->transaction = (struct smtp_transaction){0};
    if (s->arena != NULL)
        arena_clear(s->arena);
    if (s->state != SMTP_START && s->state != SMTP_TURNED_AWAY)
        s->state = SMTP_READY;
}

bool session_offers_tls(const struct smtp_session *s) {
    return s->params->tls_available && s->params->ops->starttls != NULL && !s->facts.tls;
}

bool session_offers_auth(const struct smtp_session *s) {
    return s->params->kind == SMTP_KIND_SUBMISSION && s->params->ops->auth != NULL;
}

bool session_offers(const struct smtp_session *s, unsigned extensions) {
    unsigned offered = s->params->extensions;
    if (!(offered & SMTP_OFFER_CHUNKING))
        offered &= ~(unsigned)SMTP_OFFER_BINARYMIME; /* RFC3030-3 */
    if (!s->facts.tls)
        offered &= ~(unsigned)SMTP_OFFER_REQUIRETLS; /* RFC8689-2 */
    if (s->params->kind != SMTP_KIND_SUBMISSION || s->params->hold_max_s == 0)
        offered &= ~(unsigned)SMTP_OFFER_FUTURERELEASE; /* RFC4865-4.2 */
    return (offered & extensions) == extensions;
}

bool session_offers_verb(const struct smtp_session *s, const struct smtp_verb *verb) {
    return (verb->kinds & session_kind(s)) && session_offers(s, verb->extension);
}

bool parse_nothing(struct smtp_session *s, struct view args, struct smtp_command *command) {
    (void)command;
    if (args.n == 0)
        return true;
    REPLY(s, 501, "5.5.4", "No arguments are taken here");
    return false;
}

bool parse_text(struct smtp_session *s, struct view args, struct smtp_command *command) {
    (void)s;
    command->text = args;
    return true;
}

/* ---- lines ---- */

static enum err fill(struct smtp_session *s, int64_t deadline_us) {
    /* RFC2920-3.2: replies are held back only as long as there is input. */
    TRY(session_flush(s));
    for (;;) {
        enum err err = input_fill(&s->input, deadline_us);
        if (err != ERR_AGAIN)
            return err;
        if (session_is_stopping(s) || (s->is_between && session_is_leaving(s)))
            return ERR_AGAIN;
    }
}

/* Throws octets away up to the next LF. */
static enum err skip_line(struct smtp_session *s, int64_t deadline_us) {
    for (;;) {
        struct view pending = input_pending(&s->input);
        ssize_t lf = view_find_byte(pending, '\n');
        if (lf >= 0) {
            input_consume(&s->input, (size_t)lf + 1);
            return ERR_LIMIT;
        }
        input_consume(&s->input, pending.n);
        TRY(fill(s, deadline_us));
    }
}

enum err session_read_line(struct smtp_session *s, size_t max, struct view *line) {
    int64_t deadline_us = loop_now_us(s->stream->loop) + s->params->idle_us;
    size_t searched = 0;
    for (;;) {
        struct view pending = input_pending(&s->input);
        ssize_t at = view_find_byte(view_skip(pending, searched), '\n');
        if (at >= 0) {
            size_t n = searched + (size_t)at;
            bool has_cr = n > 0 && pending.p[n - 1] == '\r';
            input_consume(&s->input, n + 1);
            n -= has_cr;
            if (n > max)
                return ERR_LIMIT;
            /* RFC5321-2.3.8: a line ends in CRLF. After a bare LF it is over as well, but it is refused. */
            if (!has_cr)
                return ERR_SYNTAX;
            *line = view_sub(pending, 0, n);
            return ERR_OK;
        }
        if (pending.n >= max + 2)
            return skip_line(s, deadline_us);
        searched = pending.n;
        TRY(fill(s, deadline_us));
    }
}

/* ---- commands ---- */

static const struct smtp_verb *find_verb(const struct smtp_session *s, struct view name) {
    for (size_t i = 0; i < smtp_verbs_n; i++)
        if (session_offers_verb(s, smtp_verbs[i]) && view_eq_nocase(smtp_verbs[i]->name, name))
            return smtp_verbs[i];
    return NULL;
}

/* Whether a line holds printable ASCII only, or UTF-8 where that is wanted. The peer's other octets are never repeated in a reply. */
static bool is_clean(struct view line, bool with_utf8) {
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < 32 || line.p[i] == 127 || (line.p[i] > 127 && !with_utf8))
            return false;
    return !with_utf8 || utf8_is_valid(line);
}

/* A browser or server that was tricked into sending a form here: its body must not be read as commands. */
static bool is_http(struct view name) {
    static const struct view methods[] = {VIEW_INIT("GET"),  VIEW_INIT("POST"),    VIEW_INIT("PUT"),
                                          VIEW_INIT("HEAD"), VIEW_INIT("CONNECT"), VIEW_INIT("OPTIONS")};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (view_eq_nocase(methods[i], name))
            return true;
    return false;
}

static void mistake(struct smtp_session *s, struct view line) {
    s->errors++;
    session_event(s, "smtp.command.bad", line);
}

static bool wrong_state(struct smtp_session *s, const struct smtp_verb *verb) {
    if (verb->states & s->state)
        return false;
    if (s->state == SMTP_TURNED_AWAY)
        REPLY(s, 503, "5.5.1", "Only QUIT is taken here");
    else if (s->state == SMTP_START && s->params->kind == SMTP_KIND_LMTP)
        REPLY(s, 503, "5.5.1", "Say LHLO first");
    else if (s->state == SMTP_START)
        REPLY(s, 503, "5.5.1", "Say EHLO first");
    else if (s->state == SMTP_READY)
        REPLY(s, 503, "5.5.1", "Say MAIL first");
    else
        REPLY(s, 503, "5.5.1", "Not while a transaction is open");
    return true;
}

static enum err run_line(struct smtp_session *s, struct view line) {
    struct view name, args;
    (void)view_split(line, ' ', &name, &args);
    const struct smtp_verb *verb = find_verb(s, name);
    if (!is_clean(line, verb != NULL && verb->takes_utf8 && session_offers(s, SMTP_OFFER_SMTPUTF8))) {
        REPLY(s, 500, "5.5.2", "Only printable ASCII is allowed in commands");
        mistake(s, line);
        return ERR_OK;
    }
    if (verb == NULL && is_http(name)) {
        session_event(s, "smtp.command.bad", name);
        REPLY(s, 421, "4.7.0", "This is not HTTP");
        return ERR_OK;
    }
    if (verb == NULL) {
        /* RFC5321-4.2.4: 500 for what is not known. */
        REPLY(s, 500, "5.5.1", "Command not recognized");
        mistake(s, name);
        return ERR_OK;
    }
    if (line.n > verb->line_max) {
        REPLY(s, 500, "5.5.2", "Line too long");
        mistake(s, name);
        return ERR_OK;
    }
    co_set_place((const char *)verb->name.p);
    while (args.n > 0 && args.p[args.n - 1] == ' ') /* RFC5321-4.1.1: trailing blanks are tolerated */
        args.n--;
    struct smtp_command command = {0};
    s->last_code = 0;
    enum err err = ERR_OK;
    if (!wrong_state(s, verb) && verb->parse(s, args, &command))
        err = verb->run(s, &command);
    bool is_mistake = (s->last_code >= 500 && s->last_code <= 504) || s->last_code == 555;
    if (is_mistake && !verb->is_mistake_free)
        mistake(s, name);
    return err;
}

/* Reads and answers one command. */
static enum err one_command(struct smtp_session *s) {
    struct view line;
    s->is_between = true;
    enum err err = session_read_line(s, SMTP_AUTH_LINE_MAX, &line);
    s->is_between = false;
    if (err == ERR_LIMIT) {
        /* RFC5321-4.5.3.1.9 */
        REPLY(s, 500, "5.5.2", "Line too long");
        mistake(s, VIEW("(too long)"));
        err = ERR_OK;
    } else if (err == ERR_SYNTAX) {
        REPLY(s, 500, "5.5.2", "Lines end in CRLF");
        mistake(s, VIEW("(bare LF)"));
        err = ERR_OK;
    } else if (err == ERR_OK) {
        err = run_line(s, line);
    }
    if (err == ERR_OK && s->out.n >= SMTP_FLUSH_AT)
        err = session_flush(s);
    return err;
}

static void greet(struct smtp_session *s) {
    struct buf text;
    if (s->params->refuse.code != 0) {
        /* RFC5321-3.1, RFC7504-3 */
        s->state = SMTP_TURNED_AWAY;
        const struct smtp_reply *refuse = &s->params->refuse;
        bool is_refusal = refuse->code >= 400 && refuse->code <= 599;
        /* RFC2034-4: no status in a greeting */
        session_reply(s, is_refusal ? refuse->code : 554, VIEW_NONE,
                      refuse->text.n > 0 ? refuse->text : VIEW("No service here"));
        return;
    }
    buf_init(&text, SMTP_REPLY_TEXT_MAX);
    buf_put(&text, s->params->hostname);
    buf_put_str(&text, s->params->kind == SMTP_KIND_LMTP ? " LMTP Veredus" : " ESMTP Veredus");
    session_reply(s, 220, VIEW_NONE, buf_view(&text)); /* RFC2034-4: no status in a greeting */
    buf_fini(&text);
}

/* Says why the session ends, where there is something to say and somebody to hear it. */
static enum err say_last(struct smtp_session *s, enum err err) {
    switch (err) {
    case ERR_TIMEOUT:
        session_event(s, "smtp.timeout", VIEW_NONE);
        REPLY(s, 421, "4.4.2", "Nothing came for too long");
        break;
    case ERR_AGAIN: /* stopping, or leaving */
        if (!session_is_stopping(s))
            return session_is_leaving(s) ? session_save(s) : ERR_IO;
        REPLY(s, 421, "4.3.2", "The service is going down, try again later");
        err = ERR_CANCELED;
        break;
    case ERR_NO_MEMORY:
        buf_clear(&s->out);
        REPLY(s, 421, "4.3.1", "Out of memory, try again later");
        break;
    case ERR_OK:
    case ERR_LIMIT:
        break; /* said already */
    default:
        return err;
    }
    enum err written = session_flush(s);
    return err == ERR_OK && written != ERR_CLOSED ? written : err;
}

static enum err serve(struct smtp_session *s) {
    if (s->params->restore.n == 0) {
        greet(s);
        if (s->last_code == 421)
            return ERR_LIMIT;
    }
    for (;;) {
        if (session_is_stopping(s))
            return ERR_AGAIN;
        enum err err = one_command(s);
        if (err != ERR_OK)
            return err;
        if (s->last_code == 221)
            return ERR_OK;
        if (s->last_code == 421)
            return ERR_LIMIT;
        if (s->errors > SMTP_ERRORS_MAX) {
            session_event(s, "smtp.errors", VIEW_NONE);
            REPLY(s, 421, "4.7.0", "Too many errors");
            return ERR_LIMIT;
        }
        if (session_is_leaving(s))
            return ERR_AGAIN;
    }
}

/* Starting facts whose texts live in the session. */
static enum err take_facts(struct smtp_session *s, const struct smtp_session_facts *facts) {
    if (facts == NULL)
        return ERR_OK;
    s->facts = *facts;
    s->facts.helo = VIEW_NONE;
    s->facts.authenticated = VIEW_NONE;
    return facts->authenticated.n > 0 ? smtp_session_set_authenticated(s, facts->authenticated) : ERR_OK;
}

enum err smtp_session_run(const struct smtp_server_params *params, struct stream **stream,
                          const struct smtp_session_facts *facts) {
    struct smtp_session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ERR_NO_MEMORY;
    s->params = params;
    s->stream = *stream;
    s->state = SMTP_START;
    input_init(&s->input, s->stream, INPUT_MAX);
    s->input.buf.secret = true; /* passwords pass through it */
    buf_init(&s->out, OUT_MAX);
    buf_init(&s->body, SMTP_SPOOL_MEMORY);
    buf_init(&s->domains, SMTP_RECIPIENT_DOMAINS_MAX * sizeof(uint64_t));
    enum err err = params->restore.n > 0 ? session_restore(s, params->restore) : take_facts(s, facts);
    if (err == ERR_OK)
        err = say_last(s, serve(s));
    session_reset(s);
    *stream = s->stream;
    arena_free(s->arena);
    input_fini(&s->input);
    buf_fini(&s->out);
    buf_fini(&s->body);
    buf_fini(&s->domains);
    wipe(s, sizeof(*s));
    free(s);
    return err;
}
