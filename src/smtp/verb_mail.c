/* MAIL (RFC5321-4.1.1.2): opens a transaction. */
#include "smtp/session.h"

/* For the addresses of all recipients and what the role keeps with them; a budget, not an allocation. */
#define ARENA_BASE ((size_t)256 * 1024)
#define ARENA_PER_RECIPIENT ((size_t)2048)

static bool need_arena(struct smtp_session *s) {
    if (s->arena == NULL)
        s->arena = arena_new("smtp-transaction", ARENA_BASE + ARENA_PER_RECIPIENT * s->params->recipients_max);
    if (s->arena != NULL) {
        arena_clear(s->arena); /* no transaction is open: what is there is a refused MAIL's */
        return true;
    }
    REPLY(s, 452, "4.3.1", "Out of memory, try again later");
    return false;
}

static bool parse_mail(struct smtp_session *s, struct view args, struct smtp_command *command) {
    struct reader r = reader_of(args);
    if (!reader_accept_nocase(&r, VIEW("FROM:"))) {
        REPLY(s, 501, "5.5.4", "MAIL FROM:<address> is needed");
        return false;
    }
    if (s->params->kind == SMTP_KIND_SUBMISSION && s->facts.authenticated.n == 0) {
        /* RFC4954-6, RFC6409-4.3 */
        REPLY(s, 530, "5.7.0", "Authentication required");
        return false;
    }
    if (!need_arena(s))
        return false;
    (void)reader_accept(&r, ' '); /* RFC5321-3.3 forbids it, and widely used clients send it */
    enum err err = smtp_path_parse(&r, SMTP_PATH_NULL, s->arena, &command->path);
    if (err == ERR_OK)
        return parse_params(s, SMTP_ON_MAIL, &r, command);
    if (err == ERR_NO_MEMORY)
        REPLY(s, 452, "4.3.1", "Out of memory, try again later");
    else
        REPLY(s, 501, "5.1.7", "Bad sender address syntax");
    return false;
}

static enum err run_mail(struct smtp_session *s, const struct smtp_command *command) {
    /* RFC1870-6.1 */
    if (s->params->size_max > 0 && command->size > s->params->size_max) {
        REPLY(s, 552, "5.3.4", "Message is larger than the maximum");
        return ERR_OK;
    }
    s->transaction = (struct smtp_transaction){
        .arena = s->arena,
        .sender = command->path,
        .has_sender = true,
        .declared_size = command->size,
        .eightbit = command->eightbit,
    };
    s->in_transaction = true;
    struct smtp_reply reply = {0};
    s->params->ops->mail(s->params->ctx, s, &s->transaction, &reply);
    session_reply_or(s, &reply, 250, VIEW("2.1.0"), VIEW("Ok"));
    if (s->last_code < 300)
        s->state = SMTP_MAIL;
    else
        session_reset(s);
    return ERR_OK;
}

const struct smtp_verb smtp_verb_mail = {.name = VIEW_INIT("MAIL"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_READY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_mail,
                                         .run = run_mail};
