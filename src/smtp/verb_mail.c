/* MAIL (RFC5321-4.1.1.2): opens a transaction. */
#include "base/utf8.h"
#include "smtp/params.h"
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

/* What no parameter can see alone. */
static bool is_consistent(struct smtp_session *s, const struct smtp_command *command) {
    if (!command->smtputf8 && !utf8_is_ascii(command->path.whole)) {
        REPLY(s, 550, "5.6.7", "Non-ASCII addresses need SMTPUTF8"); /* RFC6531-3.5 */
        return false;
    }
    int64_t hold_s = command->hold_s;
    if (command->hold_is_time)
        hold_s -= loop_wall_us(s->stream->loop) / US_PER_S;
    if (command->has_hold && command->has_by && hold_s > command->by_s) {
        REPLY(s, 501, "5.5.4", "The message would be held beyond its time"); /* RFC4865-5.2.2 */
        return false;
    }
    return true;
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
    /* RFC9422-4.1: each MAIL counts, whatever becomes of it */
    if (s->params->mails_max > 0 && s->mails >= s->params->mails_max) {
        REPLY(s, 421, "4.5.3", "Too many messages in one session");
        return false;
    }
    s->mails++;
    if (!need_arena(s))
        return false;
    (void)reader_accept(&r, ' '); /* RFC5321-3.3 forbids it, and widely used clients send it */
    unsigned utf8 = session_offers(s, SMTP_OFFER_SMTPUTF8) ? SMTP_PATH_UTF8 : 0;
    enum err err = smtp_path_parse(&r, SMTP_PATH_NULL | utf8, s->arena, &command->path);
    if (err == ERR_OK)
        return parse_params(s, SMTP_ON_MAIL, &r, command) && is_consistent(s, command);
    if (err == ERR_NO_MEMORY)
        REPLY(s, 452, "4.3.1", "Out of memory, try again later");
    else
        REPLY(s, 501, "5.1.7", "Bad sender address syntax");
    return false;
}

/* RFC3865-2.3, RFC3865-2.4 */
static bool is_unwanted_class(struct smtp_session *s, const struct smtp_command *command) {
    struct view which;
    if (!smtp_solicitation_overlaps(command->solicit, s->params->no_soliciting, &which))
        return false;
    struct buf text;
    buf_init(&text, SMTP_SOLICIT_MAX + 16);
    buf_put_str(&text, "SOLICIT=");
    buf_put(&text, which);
    session_reply(s, 550, VIEW("5.7.1"), buf_view(&text));
    buf_fini(&text);
    return true;
}

/* RFC6710-4.1: nobody raises a priority who is not known. */
static int8_t allowed_priority(const struct smtp_session *s, int8_t priority) {
    bool is_trusted = s->params->priority_trusted || s->params->kind == SMTP_KIND_LMTP || s->facts.authenticated.n > 0;
    return priority > 0 && !is_trusted ? 0 : priority;
}

static enum err take_extensions(struct smtp_session *s, const struct smtp_command *command) {
    struct smtp_transaction *t = &s->transaction;
    int64_t now_us = loop_wall_us(s->stream->loop);
    TRY(arena_view(s->arena, command->envid, &t->envid));
    TRY(arena_view(s->arena, command->solicit, &t->solicit));
    if (command->has_hold) {
        const char *kind = command->hold_is_time ? "until" : "for";
        TRY(arena_printf(s->arena, &t->hold, "%s;%.*s", kind, VIEW_FMT(command->hold)));
        t->hold_until_us = command->hold_s * US_PER_S + (command->hold_is_time ? 0 : now_us);
    }
    t->has_by = command->has_by;
    t->by_return = command->by_return;
    t->by_trace = command->by_trace;
    t->deliver_by_us = command->has_by ? now_us + command->by_s * US_PER_S : 0;
    t->has_priority = command->has_priority;
    t->priority = allowed_priority(s, command->priority);
    return ERR_OK;
}

static void say_priority(struct smtp_session *s) {
    struct buf text;
    buf_init(&text, SMTP_REPLY_TEXT_MAX);
    buf_put_i64(&text, s->transaction.priority);
    buf_put_str(&text, " is the new priority");
    session_reply(s, 250, VIEW("2.3.6"), buf_view(&text));
    buf_fini(&text);
}

static enum err run_mail(struct smtp_session *s, const struct smtp_command *command) {
    /* RFC1870-6.1 */
    if (s->params->size_max > 0 && command->size > s->params->size_max) {
        REPLY(s, 552, "5.3.4", "Message is larger than the maximum");
        return ERR_OK;
    }
    if (is_unwanted_class(s, command))
        return ERR_OK;
    s->transaction = (struct smtp_transaction){
        .arena = s->arena,
        .sender = command->path,
        .has_sender = true,
        .declared_size = command->size,
        .eightbit = command->eightbit || command->binary,
        .binary = command->binary,
        .smtputf8 = command->smtputf8,
        .requiretls = command->requiretls,
        .ret = command->ret,
    };
    if (take_extensions(s, command) != ERR_OK) {
        s->transaction = (struct smtp_transaction){0};
        REPLY(s, 452, "4.3.1", "Out of memory, try again later");
        return ERR_OK;
    }
    s->in_transaction = true;
    struct smtp_reply reply = {0};
    s->params->ops->mail(s->params->ctx, s, &s->transaction, &reply);
    if (reply.code == 0 && s->transaction.has_priority && s->transaction.priority != command->priority)
        say_priority(s);
    else
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
                                         .takes_utf8 = true,
                                         .parse = parse_mail,
                                         .run = run_mail};
