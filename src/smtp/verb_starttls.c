/* STARTTLS (RFC3207). */
#include "smtp/session.h"

static enum err run_starttls(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    if (s->facts.tls) {
        REPLY(s, 503, "5.5.1", "TLS is active already");
        return ERR_OK;
    }
    if (!session_offers_tls(s)) {
        REPLY(s, 502, "5.5.1", "TLS is not offered here");
        return ERR_OK;
    }
    REPLY(s, 220, "2.0.0", "Ready to start TLS");
    TRY(session_flush(s));
    /* RFC3207-4.2: the session begins anew. What was said in the clear is forgotten, and what came behind the command, before
     * the handshake, is thrown away: it may be anybody's. */
    session_reset(s);
    input_discard(&s->input);
    s->facts.helo = VIEW_NONE;
    s->facts.authenticated = VIEW_NONE;
    s->facts.esmtp = false;
    s->state = SMTP_START;
    struct stream *tls;
    enum err err = s->params->ops->starttls(s->params->ctx, s, s->stream, &tls, &s->facts);
    if (err != ERR_OK) {
        session_event(s, "smtp.tls.failed", VIEW_NONE);
        /* Nothing can be said on this stream any more. */
        return err == ERR_CANCELED ? err : ERR_CLOSED;
    }
    s->stream = tls;
    s->input.stream = tls;
    s->facts.tls = true;
    return ERR_OK;
}

const struct smtp_verb smtp_verb_starttls = {.name = VIEW_INIT("STARTTLS"),
                                             .kinds = KIND_ALL,
                                             .states = SMTP_ANY,
                                             .line_max = SMTP_COMMAND_MAX,
                                             .parse = parse_nothing,
                                             .run = run_starttls};
