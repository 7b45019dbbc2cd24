/*
 * The SMTP client: one transaction. MAIL, RCPT and DATA form a queue of commands
 * of which as many are under way as the server allows: one, or with PIPELINING
 * (RFC2920-3.1) a window that keeps both sides' buffers from filling up.
 */
#include "smtp/client_session.h"

#include "base/utf8.h"
#include "smtp/address.h"

#define WINDOW ((size_t)100)

enum command { COMMAND_MAIL, COMMAND_RCPT, COMMAND_DATA };

struct queue {
    size_t *recipients; /* those that are sent, by index */
    size_t recipients_n;
    size_t sent, answered; /* commands: MAIL is 0, RCPT 1..n, DATA n + 1 */
    bool mail_failed;
    bool go_ahead; /* 354 */
};

static enum command command_at(const struct queue *q, size_t i) {
    return i == 0 ? COMMAND_MAIL : i <= q->recipients_n ? COMMAND_RCPT : COMMAND_DATA;
}

/* RFC3461-4, RFC2852-4, RFC6710-3, RFC3865-2.3, RFC8689-2: what the server knows of it. */
static void put_mail_extensions(struct smtp_client *c) {
    const struct smtp_envelope *e = c->envelope;
    if (c->offers.dsn && e->ret != SMTP_RET_NONE)
        buf_put_str(&c->out, e->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
    if (c->offers.dsn && e->envid.n > 0) {
        buf_put_str(&c->out, " ENVID=");
        buf_put(&c->out, e->envid);
    }
    if (c->offers.deliverby && e->has_by)
        buf_printf(&c->out, " BY=%lld;%s%s", (long long)MAX(-SMTP_BY_MAX, MIN(e->by_s, SMTP_BY_MAX)),
                   e->by_return ? "R" : "N", e->by_trace ? "T" : "");
    if (c->offers.priority && e->has_priority)
        buf_printf(&c->out, " MT-PRIORITY=%d", MAX(-SMTP_PRIORITY_MAX, MIN(e->priority, SMTP_PRIORITY_MAX)));
    if (c->offers.no_soliciting && e->solicit.n > 0) {
        buf_put_str(&c->out, " SOLICIT=");
        buf_put(&c->out, e->solicit);
    }
    if (e->requiretls)
        buf_put_str(&c->out, " REQUIRETLS");
}

static void put_mail(struct smtp_client *c) {
    const struct smtp_envelope *envelope = c->envelope;
    buf_put_str(&c->out, "MAIL FROM:<");
    buf_put(&c->out, envelope->sender);
    buf_put_str(&c->out, ">");
    if (c->offers.size) {
        buf_put_str(&c->out, " SIZE="); /* RFC1870-5 */
        buf_put_u64(&c->out, c->size);
    }
    if (envelope->binary)
        buf_put_str(&c->out, " BODY=BINARYMIME"); /* RFC3030-3 */
    else if (c->has_eightbit)
        buf_put_str(&c->out, " BODY=8BITMIME");
    if (envelope->smtputf8 && c->offers.smtputf8)
        buf_put_str(&c->out, " SMTPUTF8");
    put_mail_extensions(c);
}

/* RFC2852-4.1.4.2: a server that does not know of the time is asked to tell of delays instead. */
static unsigned notify_of(const struct smtp_client *c, size_t recipient) {
    const struct smtp_envelope *e = c->envelope;
    unsigned notify = e->options != NULL ? e->options[recipient].notify : 0;
    bool needs_delay = e->has_by && e->by_s > 0 && !c->offers.deliverby && !(notify & SMTP_NOTIFY_NEVER);
    if (!needs_delay)
        return notify;
    return (notify == 0 ? SMTP_NOTIFY_FAILURE : notify) | SMTP_NOTIFY_DELAY;
}

/* RFC3461-4.1, RFC3461-4.2 */
static void put_rcpt(struct smtp_client *c, size_t recipient) {
    static const struct view names[] = {VIEW_INIT("NEVER"), VIEW_INIT("SUCCESS"), VIEW_INIT("FAILURE"),
                                        VIEW_INIT("DELAY")};
    buf_put_str(&c->out, "RCPT TO:<");
    buf_put(&c->out, c->envelope->recipients[recipient]);
    buf_put_str(&c->out, ">");
    if (!c->offers.dsn)
        return;
    unsigned notify = notify_of(c, recipient);
    const char *separator = " NOTIFY=";
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (notify & (1u << i)) {
            buf_put_str(&c->out, separator);
            buf_put(&c->out, names[i]);
            separator = ",";
        }
    struct view orcpt = c->envelope->options != NULL ? c->envelope->options[recipient].orcpt : VIEW_NONE;
    if (orcpt.n > 0 && (c->offers.smtputf8 || utf8_is_ascii(orcpt))) {
        buf_put_str(&c->out, " ORCPT=");
        buf_put(&c->out, orcpt);
    }
}

static void put_command(struct smtp_client *c, const struct queue *q, size_t i) {
    switch (command_at(q, i)) {
    case COMMAND_MAIL:
        put_mail(c);
        c->mails++;
        c->needs_reset = true;
        break;
    case COMMAND_RCPT:
        put_rcpt(c, q->recipients[i - 1]);
        break;
    case COMMAND_DATA:
        buf_put_str(&c->out, "DATA");
        break;
    }
    buf_put_str(&c->out, "\r\n");
}

/* Whether the command at q->sent may go out now. */
static bool may_send(const struct smtp_client *c, const struct queue *q) {
    size_t under_way = q->sent - q->answered;
    if (c->is_over)
        return false;
    /* RFC3030-2: BDAT comes after all replies, and not from this queue. */
    if (q->sent > q->recipients_n + (c->by_chunks ? 0 : 1) || q->mail_failed ||
        under_way >= (c->offers.pipelining ? WINDOW : 1))
        return false;
    /* With every recipient answered it is known whether DATA makes sense. */
    return command_at(q, q->sent) != COMMAND_DATA || under_way > 0 || c->accepted_n > 0;
}

static enum err send_some(struct smtp_client *c, struct queue *q) {
    size_t under_way = q->sent - q->answered;
    if (under_way > WINDOW / 2)
        return ERR_OK; /* larger groups, fewer packets */
    while (may_send(c, q))
        put_command(c, q, q->sent++);
    return c->out.n > 0 ? client_send(c, under_way > 0, WAIT_RCPT) : ERR_OK;
}

static enum err take_mail_reply(struct smtp_client *c, struct queue *q) {
    if (reply_is_good(c))
        return ERR_OK;
    q->mail_failed = true;
    return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
}

static enum err take_rcpt_reply(struct smtp_client *c, size_t recipient) {
    if (reply_is_good(c)) {
        c->accepted_n++;
        return ERR_OK;
    }
    if (!reply_is_refusal(c))
        return ERR_SYNTAX;
    /* RFC5321-4.5.3.1.10: 552 for too many recipients means 452 */
    return client_decide(c, recipient, c->reply.code == 552 ? 452 : c->reply.code);
}

static enum err take_data_reply(struct smtp_client *c, struct queue *q) {
    if (c->reply.code == 354) {
        q->go_ahead = true;
        return ERR_OK;
    }
    return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
}

static enum err take_reply(struct smtp_client *c, struct queue *q) {
    enum command command = command_at(q, q->answered);
    TRY(client_read_reply(c, command == COMMAND_DATA ? WAIT_DATA : command == COMMAND_RCPT ? WAIT_RCPT : WAIT_MAIL));
    size_t i = q->answered++;
    if (c->is_over)
        return client_decide_rest(c);
    switch (command) {
    case COMMAND_MAIL:
        return take_mail_reply(c, q);
    case COMMAND_RCPT:
        return take_rcpt_reply(c, q->recipients[i - 1]);
    default:
        return take_data_reply(c, q);
    }
}

/* RFC2920-3.1: DATA was let through although no recipient was; a lone dot ends it. */
static enum err send_lone_dot(struct smtp_client *c) {
    buf_put_str(&c->out, ".\r\n");
    enum err err = client_send(c, true, WAIT_BLOCK);
    if (c->params->lmtp)
        c->is_over = true; /* RFC2033-4.2: nobody was accepted, so nobody is answered for */
    else if (err == ERR_OK)
        err = client_read_reply(c, WAIT_END);
    /* All is decided; how the server takes it does not matter, but QUIT only makes sense if it does. */
    c->is_over |= err != ERR_OK;
    c->needs_reset = false;
    return err == ERR_CANCELED ? err : ERR_OK;
}

static enum err converse(struct smtp_client *c, struct queue *q) {
    for (;;) {
        TRY(send_some(c, q));
        if (c->is_over || q->sent == q->answered)
            break;
        TRY(take_reply(c, q));
    }
    if (c->by_chunks && !c->is_over && c->pending > 0 && c->accepted_n > 0)
        return client_send_chunks(c);
    if (c->is_over || !q->go_ahead)
        return ERR_OK;
    return c->pending > 0 && c->accepted_n > 0 ? client_send_message(c) : send_lone_dot(c);
}

/* RFC9422-4.2, RFC9422-4.3 */
static bool fits_limits(struct smtp_client *c, const struct queue *q, struct view domain) {
    if (c->offers.recipients_max > 0 && q->recipients_n >= c->offers.recipients_max)
        return false;
    if (c->offers.domains_max == 0)
        return true;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < domain.n; i++)
        hash = (hash ^ ascii_lower(domain.p[i])) * UINT64_C(1099511628211);
    struct reader r = reader_of(buf_view(&c->domains));
    while (!reader_at_end(&r))
        if (reader_be64(&r) == hash)
            return true;
    if (c->domains.n / sizeof(hash) >= c->offers.domains_max)
        return false;
    buf_put_be64(&c->domains, hash);
    return buf_err(&c->domains) == ERR_OK;
}

/* Values that came from elsewhere: one that could end a command is not sent on. */
static bool is_value(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= 32 || v.p[i] == 127 || v.p[i] == '=')
            return false;
    return true;
}

static bool has_clean_values(const struct smtp_envelope *e) {
    bool is_clean = is_value(e->envid) && utf8_is_ascii(e->envid) && is_value(e->solicit) && utf8_is_ascii(e->solicit);
    for (size_t i = 0; e->options != NULL && i < e->recipients_n; i++)
        is_clean &= is_value(e->options[i].orcpt);
    return is_clean;
}

/* Addresses come from a queue of ours, and still nothing goes into a command that is not an address. */
static enum err check_addresses(struct smtp_client *c, struct queue *q) {
    const struct smtp_envelope *envelope = c->envelope;
    unsigned flags = envelope->smtputf8 ? SMTP_PATH_UTF8 : 0;
    struct smtp_path path;
    struct arena *scratch = arena_new("smtp-client-addresses", SMTP_PATH_MAX);
    if (scratch == NULL)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    if (envelope->sender.n > 0 && smtp_mailbox_parse(envelope->sender, flags, scratch, &path) != ERR_OK)
        err = client_decide_rest_as(c, SMTP_WHY_ADDRESS, 553, VIEW("5.1.7"), VIEW("The sender is no valid address"));
    for (size_t i = 0; err == ERR_OK && i < envelope->recipients_n; i++) {
        arena_clear(scratch);
        if (smtp_mailbox_parse(envelope->recipients[i], flags | SMTP_PATH_POSTMASTER, scratch, &path) == ERR_OK) {
            if (fits_limits(c, q, path.domain))
                q->recipients[q->recipients_n++] = i;
            else
                err = client_decide_as(c, i, SMTP_WHY_LIMIT, 452, VIEW("4.5.3"),
                                       VIEW("The server takes no more recipients at once"));
            continue;
        }
        err = client_decide_as(c, i, SMTP_WHY_ADDRESS, 553, VIEW("5.1.3"), VIEW("The recipient is no valid address"));
    }
    arena_free(scratch);
    return err;
}

enum err client_transaction(struct smtp_client *c) {
    struct queue q = {.recipients = ARENA_ARRAY(c->arena, c->envelope->recipients_n, size_t)};
    if (q.recipients == NULL)
        return ERR_NO_MEMORY;
    c->in_transaction = true;
    c->by_chunks = c->envelope->binary || (c->offers.chunking && c->octets >= CHUNKS_FROM);
    if (c->by_chunks)
        c->size = c->octets; /* nothing is added at the end */
    if (!has_clean_values(c->envelope))
        return client_decide_rest_as(c, SMTP_WHY_ADDRESS, 501, VIEW("5.5.4"),
                                     VIEW("A parameter of the message is not valid"));
    TRY(check_addresses(c, &q));
    return c->pending > 0 ? converse(c, &q) : ERR_OK;
}
