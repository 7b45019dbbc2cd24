/* RCPT (RFC5321-4.1.1.3): one recipient more. */
#include "smtp/session.h"

#define RECIPIENTS_FIRST 4u

static bool parse_rcpt(struct smtp_session *s, struct view args, struct smtp_command *command) {
    struct reader r = reader_of(args);
    s->any_rcpt = true;
    if (!reader_accept_nocase(&r, VIEW("TO:"))) {
        REPLY(s, 501, "5.5.4", "RCPT TO:<address> is needed");
        return false;
    }
    (void)reader_accept(&r, ' ');
    enum err err = smtp_path_parse(&r, SMTP_PATH_POSTMASTER, s->arena, &command->path);
    if (err == ERR_OK)
        return parse_params(s, SMTP_ON_RCPT, &r, command);
    if (err == ERR_NO_MEMORY)
        REPLY(s, 452, "4.5.3", "Too many recipients");
    else
        REPLY(s, 501, "5.1.3", "Bad recipient address syntax");
    return false;
}

static struct smtp_recipient *add_recipient(struct smtp_session *s) {
    struct smtp_transaction *t = &s->transaction;
    if (t->recipients_n == s->recipients_cap) {
        size_t cap = s->recipients_cap == 0 ? RECIPIENTS_FIRST : s->recipients_cap * 2;
        struct smtp_recipient *more =
            arena_grow(s->arena, t->recipients, s->recipients_cap, cap, sizeof(*t->recipients));
        if (more == NULL)
            return NULL;
        t->recipients = more;
        s->recipients_cap = cap;
    }
    return &t->recipients[t->recipients_n];
}

static enum err run_rcpt(struct smtp_session *s, const struct smtp_command *command) {
    struct smtp_transaction *t = &s->transaction;
    struct smtp_recipient *r = t->recipients_n < s->params->recipients_max ? add_recipient(s) : NULL;
    if (r == NULL) {
        REPLY(s, 452, "4.5.3", "Too many recipients"); /* RFC5321-4.5.3.1.10 */
        return ERR_OK;
    }
    *r = (struct smtp_recipient){
        .address = command->path.whole, .local = command->path.local, .domain = command->path.domain};
    struct smtp_reply reply = {0};
    s->params->ops->rcpt(s->params->ctx, s, t, r, &reply);
    session_reply_or(s, &reply, 250, VIEW("2.1.5"), VIEW("Ok"));
    if (s->last_code < 300) {
        t->recipients_n++;
        s->state = SMTP_RCPT;
    } else {
        *r = (struct smtp_recipient){0};
    }
    return ERR_OK;
}

const struct smtp_verb smtp_verb_rcpt = {.name = VIEW_INIT("RCPT"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_MAIL | SMTP_RCPT,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_rcpt,
                                         .run = run_rcpt};
