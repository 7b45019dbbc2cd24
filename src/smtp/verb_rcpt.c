/* RCPT (RFC5321-4.1.1.3): one recipient more. */
#include "base/utf8.h"
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
    unsigned utf8 = session_offers(s, SMTP_OFFER_SMTPUTF8) ? SMTP_PATH_UTF8 : 0;
    enum err err = smtp_path_parse(&r, SMTP_PATH_POSTMASTER | utf8, s->arena, &command->path);
    if (err == ERR_OK && !s->transaction.smtputf8 && !utf8_is_ascii(command->path.whole)) {
        REPLY(s, 553, "5.6.7", "Non-ASCII addresses need SMTPUTF8"); /* RFC6531-3.5 */
        return false;
    }
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

static uint64_t hash_of(struct view domain) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < domain.n; i++)
        h = (h ^ ascii_lower(domain.p[i])) * UINT64_C(1099511628211);
    return h;
}

/* RFC9422-4.3: how many domains a session names. Whoever finds two names of one hash may name one more. */
static bool may_name(struct smtp_session *s, struct view domain) {
    uint32_t max = MIN(s->params->recipient_domains_max, SMTP_RECIPIENT_DOMAINS_MAX);
    uint64_t hash = hash_of(domain);
    if (max == 0 || domain.n == 0)
        return true;
    struct reader r = reader_of(buf_view(&s->domains));
    while (!reader_at_end(&r))
        if (reader_be64(&r) == hash)
            return true;
    if (s->domains.n >= max * sizeof(hash))
        return false;
    buf_put_be64(&s->domains, hash);
    return buf_err(&s->domains) == ERR_OK;
}

static enum err run_rcpt(struct smtp_session *s, const struct smtp_command *command) {
    struct smtp_transaction *t = &s->transaction;
    struct smtp_recipient *r = t->recipients_n < s->params->recipients_max ? add_recipient(s) : NULL;
    if (r == NULL) {
        REPLY(s, 452, "4.5.3", "Too many recipients"); /* RFC5321-4.5.3.1.10 */
        return ERR_OK;
    }
    if (!may_name(s, command->path.domain)) {
        REPLY(s, 452, "4.5.3", "Too many domains in one session");
        return ERR_OK;
    }
    *r = (struct smtp_recipient){.address = command->path.whole,
                                 .local = command->path.local,
                                 .domain = command->path.domain,
                                 .notify = command->notify};
    if (arena_view(s->arena, command->orcpt, &r->orcpt) != ERR_OK) {
        REPLY(s, 452, "4.5.3", "Too many recipients");
        return ERR_OK;
    }
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
                                         .takes_utf8 = true,
                                         .parse = parse_rcpt,
                                         .run = run_rcpt};
