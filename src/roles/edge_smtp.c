/* SMTP at the edge: the engine's questions, answered by other roles. */
#include "roles/edge.h"

#include <string.h>

#define LOGIN_BUDGET (32 * 1024)

/* Directory was restarted and knows our login no more. A 5xx would make the client give up the message. */
static void reply_login_lost(struct smtp_reply *reply) {
    smtp_reply_set(reply, 421, VIEW("4.7.0"), VIEW("Your login was lost; connect and log in again"));
}

static enum err on_auth(void *ctx, struct smtp_session *session, struct view user, struct view password,
                        struct smtp_reply *reply) {
    struct edge_connection *c = ctx;
    struct arena *arena = arena_new("login", LOGIN_BUDGET);
    if (!arena)
        return ERR_NO_MEMORY;
    struct edge_login login;
    enum err err = edge_login_password(c, PROTOCOL_SUBMISSION, user, password, arena, &login);
    if (err == ERR_OK) {
        c->auth = login.session; /* ended with the connection */
        err = smtp_session_set_authenticated(session, login.address);
    }
    if (err == ERR_OK) {
        log_event(&c->log, LOG_INFO, "smtp.login", LF_VIEW("account", login.address));
    } else if (err == ERR_DENIED) {
        smtp_reply_set(reply, 535, VIEW("5.7.8"), VIEW("Wrong address or password"));
        if (++c->attempts >= c->edge->env->config->login_attempts_max)
            smtp_reply_set(reply, 421, VIEW("4.7.0"), VIEW("Too many wrong passwords; good bye"));
    } else {
        smtp_reply_set(reply, 454, VIEW("4.7.0"), VIEW("Logins are not possible now; try again later"));
    }
    arena_free(arena);
    return err;
}

static enum err on_starttls(void *ctx, struct smtp_session *session, struct stream *plain, struct stream **out,
                            struct smtp_session_facts *facts) {
    (void)session;
    struct edge_connection *c = ctx;
    TRY(edge_start_tls(c, plain, out));
    c->stream = *out; /* what a stop interrupts */
    facts->tls = true;
    (void)memcpy(facts->tls_version, c->tls.version == 0x0304 ? "TLSv1.3" : "TLSv1.2", 8);
    memcpy(facts->tls_cipher, c->tls.cipher, MIN(sizeof(facts->tls_cipher), sizeof(c->tls.cipher)));
    facts->tls_cipher[sizeof(facts->tls_cipher) - 1] = 0;
    return ERR_OK;
}

static void on_mail(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    (void)session;
    struct edge_connection *c = ctx;
    const struct edge *edge = c->edge;
    /* RFC1870-6.1: what does not fit now is not sent in vain. */
    uint64_t held = edge->spooled - c->spooled, budget = edge->env->config->spool_budget;
    if (t->declared_size > budget || held > budget - t->declared_size) {
        smtp_reply_set(reply, 452, VIEW("4.3.1"), VIEW("No room for this message now; try again later"));
        return;
    }
    if (!c->auth)
        return;
    struct sender_check check = {.session = c->auth, .address = t->sender.whole};
    struct nothing nothing;
    enum err err = role_peer_call(&c->edge->directory, &message_sender_check, &check, NULL, 0,
                                  loop_now_us(c->edge->env->loop) + ROLE_CALL_US, t->arena, &nothing, NULL);
    if (err == ERR_NOT_FOUND)
        reply_login_lost(reply);
    else if (err == ERR_DENIED)
        smtp_reply_set(reply, 553, VIEW("5.7.1"), VIEW("Your account may not send as this address"));
    else if (err != ERR_OK)
        smtp_reply_set(reply, 451, VIEW("4.3.0"), VIEW("The sender cannot be checked now; try again later"));
}

static void on_rcpt(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                    struct smtp_reply *reply) {
    (void)session;
    struct edge_connection *c = ctx;
    struct recipient_lookup lookup = {.address = r->address, .session = c->auth};
    struct recipient_result result;
    enum err err = role_peer_call(&c->edge->directory, &message_recipient_lookup, &lookup, NULL, 0,
                                  loop_now_us(c->edge->env->loop) + ROLE_CALL_US, t->arena, &result, NULL);
    if (err == ERR_NOT_FOUND) {
        reply_login_lost(reply);
        return;
    }
    if (err != ERR_OK) {
        smtp_reply_set(reply, 451, VIEW("4.3.0"), VIEW("The recipient cannot be checked now; try again later"));
        return;
    }
    if (result.reply) {
        smtp_reply_set(reply, result.reply, result.status, result.text);
        return;
    }
    struct edge_recipient *found = ARENA_NEW(t->arena, struct edge_recipient);
    if (!found || result.targets_n == 0) {
        smtp_reply_set(reply, 452, VIEW("4.5.3"), VIEW("Too many recipients in one message"));
        return;
    }
    *found = (struct edge_recipient){.targets = result.targets, .n = result.targets_n};
    r->user = found;
}

static enum err on_spool(void *ctx, struct smtp_session *session, struct file **out) {
    (void)session;
    struct edge_connection *c = ctx;
    if (!c->edge->env->disk)
        return ERR_FULL;
    return disk_open(c->edge->env->disk, ".", DISK_WRITE | DISK_TEMPORARY | DISK_CREATE, out);
}

static enum err on_account_spool(void *ctx, struct smtp_session *session, uint64_t octets) {
    (void)session;
    struct edge_connection *c = ctx;
    struct edge *edge = c->edge;
    uint64_t others = edge->spooled - c->spooled;
    if (octets > c->spooled && others + octets > edge->env->config->spool_budget)
        return ERR_FULL;
    edge->spooled = others + octets;
    c->spooled = octets;
    return ERR_OK;
}

static void on_data(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    edge_deliver(ctx, smtp_session_facts(session), t, reply);
}

static void on_transaction_end(void *ctx, struct smtp_session *session, struct smtp_transaction *t) {
    (void)ctx;
    (void)session;
    (void)t; /* all that mail() and rcpt() made lives in the transaction's arena */
}

static void on_event(void *ctx, struct smtp_session *session, const char *event, struct view detail) {
    (void)session;
    struct edge_connection *c = ctx;
    log_event(&c->log, LOG_INFO, event, LF_VIEW("detail", detail));
}

static const struct smtp_server_ops edge_smtp_ops = {
    .auth = on_auth,
    .starttls = on_starttls,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .spool = on_spool,
    .account_spool = on_account_spool,
    .data = on_data,
    .transaction_end = on_transaction_end,
    .event = on_event,
};

void edge_smtp(struct edge_connection *c) {
    const struct role_configure *config = c->edge->env->config;
    struct smtp_server_params params = {
        .kind = c->listener->offer.protocol == PROTOCOL_SUBMISSION ? SMTP_KIND_SUBMISSION : SMTP_KIND_MX,
        .ops = &edge_smtp_ops,
        .ctx = c,
        .hostname = config->hostname,
        .size_max = config->message_size_max,
        .recipients_max = config->recipients_max,
        .tls_available = c->edge->tls != NULL,
        .auth_requires_tls = !c->listener->offer.plain_login,
        .idle_us = 5 * 60 * US_PER_S, /* RFC5321-4.5.3.2.7 */
        .stopping = &c->edge->stopping,
    };
    struct smtp_session_facts facts = {.peer = c->peer, .local = c->stream->local, .tls = c->tls_text[0] != 0};
    enum err err = smtp_session_run(&params, &c->stream, &facts);
    if (err != ERR_OK && err != ERR_CLOSED)
        log_event(&c->log, LOG_INFO, "smtp.end", LF_ERR(err));
    (void)on_account_spool(c, NULL, 0);
    edge_login_end(c->edge, c->auth);
    c->auth = 0;
}
