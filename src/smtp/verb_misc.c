/* RSET, NOOP, QUIT, VRFY, EXPN and HELP (RFC5321-4.1.1.5 to RFC5321-4.1.1.10). */
#include "smtp/session.h"

static enum err run_rset(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    session_reset(s);
    REPLY(s, 250, "2.0.0", "Ok");
    return ERR_OK;
}

static enum err run_noop(struct smtp_session *s, const struct smtp_command *command) {
    (void)command; /* RFC5321-4.1.1.9: a string is ignored */
    REPLY(s, 250, "2.0.0", "Ok");
    return ERR_OK;
}

static enum err run_quit(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    REPLY(s, 221, "2.0.0", "Bye");
    return ERR_OK;
}

/* RFC6531-3.7.4.2: vrfy = "VRFY" SP String [ SP "SMTPUTF8" ]. Our replies name no mailbox, so the parameter changes nothing in them. */
static bool parse_who(struct smtp_session *s, struct view args, struct smtp_command *command) {
    if (session_offers(s, SMTP_OFFER_SMTPUTF8) && view_ends_nocase(args, VIEW(" SMTPUTF8"))) {
        command->smtputf8 = true;
        args = view_trim(view_sub(args, 0, args.n - 9));
    }
    if (args.n > 0)
        return parse_text(s, args, command);
    REPLY(s, 501, "5.5.4", "A user is needed");
    return false;
}

static enum err run_vrfy(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    /* RFC5321-7.3: who exists is nobody's business; RFC5321-3.5.3: then 252. */
    REPLY(s, 252, "2.5.2", "Cannot VRFY user, but will take a message and try to deliver it");
    return ERR_OK;
}

static enum err run_expn(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    REPLY(s, 502, "5.5.1", "EXPN is not done here"); /* RFC5321-7.3 */
    return ERR_OK;
}

static enum err run_help(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    struct buf text;
    buf_init(&text, SMTP_REPLY_TEXT_MAX);
    buf_put_str(&text, "Commands:");
    for (size_t i = 0; i < smtp_verbs_n; i++) {
        if (!session_offers_verb(s, smtp_verbs[i]))
            continue;
        buf_put_byte(&text, ' ');
        buf_put(&text, smtp_verbs[i]->name);
    }
    enum err err = buf_err(&text);
    if (err == ERR_OK)
        session_reply(s, 214, VIEW("2.0.0"), buf_view(&text));
    buf_fini(&text);
    return err;
}

const struct smtp_verb smtp_verb_rset = {.name = VIEW_INIT("RSET"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_nothing,
                                         .run = run_rset};
const struct smtp_verb smtp_verb_noop = {.name = VIEW_INIT("NOOP"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_text,
                                         .run = run_noop};
const struct smtp_verb smtp_verb_quit = {.name = VIEW_INIT("QUIT"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY | SMTP_TURNED_AWAY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_nothing,
                                         .run = run_quit};
const struct smtp_verb smtp_verb_vrfy = {.name = VIEW_INIT("VRFY"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .takes_utf8 = true,
                                         .parse = parse_who,
                                         .run = run_vrfy};
const struct smtp_verb smtp_verb_expn = {.name = VIEW_INIT("EXPN"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .takes_utf8 = true,
                                         .parse = parse_text,
                                         .run = run_expn};
const struct smtp_verb smtp_verb_help = {.name = VIEW_INIT("HELP"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_text,
                                         .run = run_help};
