/*
 * The SMTP client: one transaction. MAIL, RCPT and DATA form a queue of commands
 * of which as many are under way as the server allows: one, or with PIPELINING
 * (RFC2920-3.1) a window that keeps both sides' buffers from filling up.
 */
#include "smtp/client_session.h"

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

static void put_command(struct client *c, const struct queue *q, size_t i) {
    const struct smtp_envelope *envelope = c->envelope;
    switch (command_at(q, i)) {
    case COMMAND_MAIL:
        buf_put_str(&c->out, "MAIL FROM:<");
        buf_put(&c->out, envelope->sender);
        buf_put_str(&c->out, ">");
        if (c->offers.size) {
            buf_put_str(&c->out, " SIZE="); /* RFC1870-5 */
            buf_put_u64(&c->out, c->size);
        }
        if (c->has_eightbit)
            buf_put_str(&c->out, " BODY=8BITMIME");
        if (envelope->smtputf8)
            buf_put_str(&c->out, " SMTPUTF8");
        break;
    case COMMAND_RCPT:
        buf_put_str(&c->out, "RCPT TO:<");
        buf_put(&c->out, envelope->recipients[q->recipients[i - 1]]);
        buf_put_str(&c->out, ">");
        break;
    case COMMAND_DATA:
        buf_put_str(&c->out, "DATA");
        break;
    }
    buf_put_str(&c->out, "\r\n");
}

/* Whether the command at q->sent may go out now. */
static bool may_send(const struct client *c, const struct queue *q) {
    size_t under_way = q->sent - q->answered;
    if (q->sent > q->recipients_n + 1 || q->mail_failed || under_way >= (c->offers.pipelining ? WINDOW : 1))
        return false;
    /* With every recipient answered it is known whether DATA makes sense. */
    return command_at(q, q->sent) != COMMAND_DATA || under_way > 0 || c->accepted_n > 0;
}

static enum err send_some(struct client *c, struct queue *q) {
    size_t under_way = q->sent - q->answered;
    if (under_way > WINDOW / 2)
        return ERR_OK; /* larger groups, fewer packets */
    while (may_send(c, q))
        put_command(c, q, q->sent++);
    return c->out.n > 0 ? client_send(c, under_way > 0, WAIT_RCPT) : ERR_OK;
}

static enum err take_mail_reply(struct client *c, struct queue *q) {
    if (reply_is_good(c))
        return ERR_OK;
    q->mail_failed = true;
    return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
}

static enum err take_rcpt_reply(struct client *c, size_t recipient) {
    if (reply_is_good(c)) {
        c->accepted_n++;
        return ERR_OK;
    }
    if (!reply_is_refusal(c))
        return ERR_SYNTAX;
    /* RFC5321-4.5.3.1.10: 552 for too many recipients means 452 */
    return client_decide(c, recipient, c->reply.code == 552 ? 452 : c->reply.code);
}

static enum err take_data_reply(struct client *c, struct queue *q) {
    if (c->reply.code == 354) {
        q->go_ahead = true;
        return ERR_OK;
    }
    return reply_is_refusal(c) ? client_decide_rest(c) : ERR_SYNTAX;
}

static enum err take_reply(struct client *c, struct queue *q) {
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
static enum err send_lone_dot(struct client *c) {
    buf_put_str(&c->out, ".\r\n");
    enum err err = client_send(c, true, WAIT_BLOCK);
    if (err == ERR_OK)
        err = client_read_reply(c, WAIT_END);
    /* All is decided; how the server takes it does not matter, but QUIT only makes sense if it does. */
    c->is_over |= err != ERR_OK;
    return err == ERR_CANCELED ? err : ERR_OK;
}

static enum err converse(struct client *c, struct queue *q) {
    for (;;) {
        TRY(send_some(c, q));
        if (c->is_over || q->sent == q->answered)
            break;
        TRY(take_reply(c, q));
    }
    if (c->is_over || !q->go_ahead)
        return ERR_OK;
    return c->pending > 0 && c->accepted_n > 0 ? client_send_message(c) : send_lone_dot(c);
}

/* Addresses come from a queue of ours, and still nothing goes into a command that is not an address. */
static enum err check_addresses(struct client *c, struct queue *q) {
    const struct smtp_envelope *envelope = c->envelope;
    unsigned flags = envelope->smtputf8 ? SMTP_PATH_UTF8 : 0;
    struct smtp_path path;
    struct arena *scratch = arena_new("smtp-client-addresses", SMTP_PATH_MAX);
    if (scratch == NULL)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    if (envelope->sender.n > 0 && smtp_mailbox_parse(envelope->sender, flags, scratch, &path) != ERR_OK)
        err = client_decide_rest_as(c, 553, VIEW("5.1.7"), VIEW("The sender is no valid address"));
    for (size_t i = 0; err == ERR_OK && i < envelope->recipients_n; i++) {
        arena_clear(scratch);
        if (smtp_mailbox_parse(envelope->recipients[i], flags | SMTP_PATH_POSTMASTER, scratch, &path) == ERR_OK) {
            q->recipients[q->recipients_n++] = i;
            continue;
        }
        err = client_decide_as(c, i, 553, VIEW("5.1.3"), VIEW("The recipient is no valid address"));
    }
    arena_free(scratch);
    return err;
}

enum err client_transaction(struct client *c) {
    struct queue q = {.recipients = ARENA_ARRAY(c->arena, c->envelope->recipients_n, size_t)};
    if (q.recipients == NULL)
        return ERR_NO_MEMORY;
    c->in_transaction = true;
    TRY(check_addresses(c, &q));
    return c->pending > 0 ? converse(c, &q) : ERR_OK;
}
