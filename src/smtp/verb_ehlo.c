/* EHLO, HELO and LHLO (RFC5321-4.1.1.1, RFC2033-4.1). */
#include "smtp/session.h"

static bool parse_name(struct smtp_session *s, struct view args, struct smtp_command *command) {
    if (!smtp_greeting_name_is_valid(args)) {
        REPLY(s, 501, "5.5.4", "A host name or address literal is needed");
        return false;
    }
    command->text = args;
    return true;
}

/* RFC5321-4.1.4: a new greeting is also a reset. */
static void remember(struct smtp_session *s, struct view name, bool esmtp) {
    session_reset(s);
    for (size_t i = 0; i < name.n; i++)
        s->helo[i] = name.p[i];
    s->facts.helo = view_of(s->helo, name.n);
    s->facts.esmtp = esmtp;
    s->state = SMTP_READY;
}

static void put_auth(struct smtp_session *s, struct buf *text) {
    bool any = false;
    if (!session_offers_auth(s) || s->facts.authenticated.n > 0)
        return;
    for (size_t i = 0; i < smtp_mechanisms_n; i++) {
        if (!mechanism_is_offered(s, &smtp_mechanisms[i]))
            continue;
        buf_put_str(text, any ? " " : "\nAUTH "); /* RFC4954-3 */
        buf_put(text, smtp_mechanisms[i].name);
        any = true;
    }
}

static enum err run_ehlo(struct smtp_session *s, const struct smtp_command *command) {
    struct buf text;
    remember(s, command->text, true);
    buf_init(&text, 4096);
    buf_put(&text, s->params->hostname);
    buf_put_str(&text, "\nPIPELINING\nSIZE ");
    buf_put_u64(&text, s->params->size_max); /* RFC1870-3: 0 is "no fixed maximum" */
    buf_put_str(&text, "\n8BITMIME\nENHANCEDSTATUSCODES");
    if (session_offers_tls(s))
        buf_put_str(&text, "\nSTARTTLS");
    put_auth(s, &text);
    buf_put_str(&text, "\nHELP");
    enum err err = buf_err(&text);
    if (err == ERR_OK)
        session_reply(s, 250, VIEW_NONE, buf_view(&text)); /* RFC2034-4: no status here */
    buf_fini(&text);
    return err;
}

static enum err run_helo(struct smtp_session *s, const struct smtp_command *command) {
    remember(s, command->text, false);
    session_reply(s, 250, VIEW_NONE, s->params->hostname);
    return ERR_OK;
}

const struct smtp_verb smtp_verb_ehlo = {.name = VIEW_INIT("EHLO"),
                                         .kinds = KIND_SMTP,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_name,
                                         .run = run_ehlo};
const struct smtp_verb smtp_verb_helo = {.name = VIEW_INIT("HELO"),
                                         .kinds = KIND_SMTP,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_name,
                                         .run = run_helo};
const struct smtp_verb smtp_verb_lhlo = {.name = VIEW_INIT("LHLO"),
                                         .kinds = KIND_LMTP,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_name,
                                         .run = run_ehlo};
