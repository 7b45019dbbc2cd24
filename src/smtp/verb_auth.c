/* AUTH (RFC4954) and its table of mechanisms. */
#include "smtp/session.h"

#include "sasl/scram.h"

/* Decodes one client response; replies and returns false when it is not base64 (RFC4954-4). */
static bool decode(struct smtp_session *s, struct view text, struct buf *out) {
    if (base64_decode(text, out) == ERR_OK)
        return true;
    REPLY(s, 501, "5.5.2", "That is not base64");
    return false;
}

/* Sends a challenge and reads the response. ERR_SYNTAX: it has replied. Other errors end the session. */
static enum err exchange(struct smtp_session *s, struct view challenge, struct buf *out) {
    struct buf text;
    buf_init(&text, SMTP_REPLY_TEXT_MAX);
    buf_put_base64(&text, challenge);
    enum err err = buf_err(&text);
    if (err == ERR_OK)
        session_reply(s, 334, VIEW_NONE, buf_view(&text));
    buf_fini(&text);
    TRY(err);
    struct view line;
    err = session_read_line(s, SMTP_AUTH_LINE_MAX, &line);
    if (err == ERR_LIMIT) {
        REPLY(s, 500, "5.5.6", "Authentication exchange line is too long");
        return ERR_SYNTAX;
    }
    if (err == ERR_SYNTAX) {
        REPLY(s, 500, "5.5.2", "Lines end in CRLF");
        return ERR_SYNTAX;
    }
    TRY(err);
    if (view_eq(line, VIEW("*"))) {
        REPLY(s, 501, "5.7.0", "Authentication canceled");
        return ERR_SYNTAX;
    }
    return decode(s, line, out) ? ERR_OK : ERR_SYNTAX;
}

/* Maps the role's answer to the reply (RFC4954-6). */
static enum err conclude(struct smtp_session *s, enum err err, const struct smtp_reply *given) {
    switch (err) {
    case ERR_OK:
        REPLY(s, 235, "2.7.0", "Authentication successful");
        return ERR_OK;
    case ERR_CANCELED:
        return err;
    case ERR_DENIED:
    case ERR_NOT_FOUND:
    case ERR_PERMANENT:
        s->auth_failures++;
        if (s->auth_failures >= SMTP_AUTH_FAILURES_MAX) {
            REPLY(s, 421, "4.7.0", "Too many failed authentications");
            return ERR_OK;
        }
        session_reply_or(s, given, 535, VIEW("5.7.8"), VIEW("Authentication credentials invalid"));
        return ERR_OK;
    default:
        session_reply_or(s, given, 454, VIEW("4.7.0"), VIEW("Temporary authentication failure"));
        return ERR_OK;
    }
}

static enum err run_plain(struct smtp_session *s, struct view response) {
    struct sasl_plain plain;
    if (sasl_plain_parse(response, &plain) != ERR_OK || plain.authcid.n > SMTP_IDENTITY_MAX) {
        REPLY(s, 501, "5.5.2", "Malformed PLAIN response");
        return ERR_OK;
    }
    struct smtp_reply reply = {0};
    /* RFC4616-2: nobody may act for another. */
    enum err err = plain.authzid.n > 0 && !view_eq(plain.authzid, plain.authcid) ? ERR_DENIED : ERR_OK;
    if (err != ERR_OK)
        session_event(s, "smtp.login.failed", plain.authcid);
    else
        err = s->params->ops->auth(s->params->ctx, s, plain.authcid, plain.password, &reply);
    if (err == ERR_OK && s->facts.authenticated.n == 0)
        err = smtp_session_set_authenticated(s, plain.authcid);
    return conclude(s, err, &reply);
}

const struct smtp_mechanism smtp_mechanisms[] = {
    {.name = VIEW_INIT("PLAIN"), .needs_tls = true, .client_first = true, .run = run_plain},
};
const size_t smtp_mechanisms_n = ARRAY_LEN(smtp_mechanisms);

bool mechanism_is_offered(const struct smtp_session *s, const struct smtp_mechanism *mechanism) {
    return s->facts.tls || !mechanism->needs_tls || !s->params->auth_requires_tls;
}

static bool parse_auth(struct smtp_session *s, struct view args, struct smtp_command *command) {
    struct view initial;
    command->has_initial = view_split(args, ' ', &command->text, &initial);
    command->initial = initial;
    if (command->text.n > 0 && view_find_byte(initial, ' ') < 0)
        return true;
    REPLY(s, 501, "5.5.4", "AUTH mechanism [initial-response] is needed");
    return false;
}

static const struct smtp_mechanism *find_mechanism(struct view name) {
    for (size_t i = 0; i < smtp_mechanisms_n; i++)
        if (view_eq_nocase(smtp_mechanisms[i].name, name))
            return &smtp_mechanisms[i];
    return NULL;
}

static enum err run_auth(struct smtp_session *s, const struct smtp_command *command) {
    if (!session_offers_auth(s)) {
        REPLY(s, 502, "5.5.1", "AUTH is not offered here");
        return ERR_OK;
    }
    if (s->facts.authenticated.n > 0) {
        REPLY(s, 503, "5.5.1", "Authenticated already"); /* RFC4954-4 */
        return ERR_OK;
    }
    const struct smtp_mechanism *mechanism = find_mechanism(command->text);
    if (mechanism == NULL) {
        REPLY(s, 504, "5.5.4", "Mechanism not recognized");
        return ERR_OK;
    }
    if (!mechanism_is_offered(s, mechanism)) {
        /* RFC3207-4, RFC4954-4: a password is not taken in the clear. */
        REPLY(s, 530, "5.7.0", "Say STARTTLS first");
        return ERR_OK;
    }
    if (command->has_initial && !mechanism->client_first) {
        REPLY(s, 501, "5.7.0", "This mechanism has no initial response");
        return ERR_OK;
    }
    struct buf response;
    buf_init_secret(&response, SMTP_AUTH_LINE_MAX);
    enum err err;
    if (!command->has_initial)
        err = exchange(s, VIEW_NONE, &response);
    else if (view_eq(command->initial, VIEW("="))) /* RFC4954-4: there, and empty */
        err = ERR_OK;
    else
        err = decode(s, command->initial, &response) ? ERR_OK : ERR_SYNTAX;
    if (err == ERR_OK)
        err = mechanism->run(s, buf_view(&response));
    else if (err == ERR_SYNTAX)
        err = ERR_OK; /* replied */
    buf_fini(&response);
    return err;
}

const struct smtp_verb smtp_verb_auth = {.name = VIEW_INIT("AUTH"),
                                         .kinds = KIND_SMTP,
                                         .states = SMTP_READY,
                                         .line_max = SMTP_AUTH_LINE_MAX,
                                         .parse = parse_auth,
                                         .run = run_auth};
