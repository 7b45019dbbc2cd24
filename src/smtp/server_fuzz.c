/*
 * Fuzz: a whole server session fed with any octets. The first octet chooses the
 * listener, its highest bit all extensions; the rest is what the peer sends. Whatever comes: replies are lines of
 * printable ASCII with a code, every transaction ends, no message with octets that
 * must not be in one gets through, and the split of the input changes nothing.
 */
#include "base/utf8.h"
#include "smtp/server.h"
#include "smtp/test_tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct role {
    int open;
    uint64_t held;
    size_t messages;
    bool starttls, chunking;
};

static enum err role_auth(void *ctx, struct smtp_session *session, struct view user, struct view password,
                          struct smtp_reply *reply) {
    (void)ctx;
    (void)session;
    (void)reply;
    return user.n > password.n ? ERR_DENIED : user.n % 2 == 0 ? ERR_OK : ERR_TEMPORARY;
}

static enum err role_starttls(void *ctx, struct smtp_session *session, struct stream *plain, struct stream **out,
                              struct smtp_session_facts *facts) {
    ((struct role *)ctx)->starttls = true;
    BUG_IF(smtp_session_transaction(session) != NULL);
    BUG_IF(facts->helo.n > 0 || facts->authenticated.n > 0);
    *out = plain;
    return ERR_OK;
}

static void role_mail(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    ((struct role *)ctx)->open++;
    BUG_IF(smtp_session_transaction(session) != t);
    if (t->sender.local.n == 7)
        reply->code = 550;
}

static void role_rcpt(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                      struct smtp_reply *reply) {
    (void)ctx;
    (void)session;
    BUG_IF(r != &t->recipients[t->recipients_n]);
    BUG_IF(r->address.n == 0 || r->orcpt.n > SMTP_ORCPT_MAX);
    BUG_IF((r->notify & SMTP_NOTIFY_NEVER) && r->notify != SMTP_NOTIFY_NEVER);
    BUG_IF(!t->smtputf8 && !(utf8_is_ascii(r->address) && utf8_is_ascii(r->orcpt)));
    BUG_IF(!utf8_is_valid(r->address));
    if (r->address.n == 7)
        reply->code = 450;
}

static enum err role_spool(void *ctx, struct smtp_session *session, struct file **out) {
    (void)ctx;
    (void)session;
    return file_new_memory("fuzz", out);
}

static enum err role_account(void *ctx, struct smtp_session *session, uint64_t octets) {
    (void)session;
    ((struct role *)ctx)->held = octets;
    return ERR_OK;
}

static void role_data(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    (void)session;
    ((struct role *)ctx)->messages++;
    BUG_IF(t->recipients_n == 0);
    BUG_IF(t->body_file == NULL && t->body.n != t->body_size);
    bool bare = false;
    for (size_t i = 0; i < t->body.n; i++) {
        uint8_t c = t->body.p[i];
        bare |= c == 0;
        bare |= c == '\r' && (i + 1 == t->body.n || t->body.p[i + 1] != '\n');
        bare |= c == '\n' && (i == 0 || t->body.p[i - 1] != '\r');
        BUG_IF(c >= 0x80 && !t->eightbit);
    }
    BUG_IF(t->body_file == NULL && bare != t->bare);
    BUG_IF(bare && !((struct role *)ctx)->chunking);
    BUG_IF(t->envid.n > SMTP_ENVID_MAX || t->solicit.n > SMTP_SOLICIT_MAX);
    reply->code = 250;
    for (size_t i = 0; i < t->recipients_n; i++)
        t->recipients[i].result.code = (uint16_t)(i % 2 == 0 ? 250 : 452);
}

static void role_end(void *ctx, struct smtp_session *session, struct smtp_transaction *t) {
    (void)session;
    (void)t;
    ((struct role *)ctx)->open--;
}

static void check_replies(struct view out) {
    struct view line;
    while (view_split(out, '\n', &line, &out)) {
        BUG_IF(line.n < 5 || line.n + 1 > SMTP_LINE_MAX || line.p[line.n - 1] != '\r');
        for (size_t i = 0; i + 1 < line.n; i++)
            BUG_IF(i < 3 ? !ascii_is_digit(line.p[i]) : line.p[i] < 32 || line.p[i] > 126);
        BUG_IF(line.p[3] != ' ' && line.p[3] != '-');
    }
    BUG_IF(line.n > 0);
}

/* Runs a session; returns whether STARTTLS was done. */
static bool run(uint8_t how, struct view in, size_t piece, struct buf *out) {
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
    if (loop == NULL)
        return true;
    struct role role = {.chunking = (how & 128) != 0};
    const struct smtp_server_ops ops = {.auth = role_auth,
                                        .starttls = role_starttls,
                                        .mail = role_mail,
                                        .rcpt = role_rcpt,
                                        .spool = role_spool,
                                        .account_spool = role_account,
                                        .data = role_data,
                                        .transaction_end = role_end};
    const struct smtp_server_params params = {.kind = (enum smtp_kind)(how % 3),
                                              .ops = &ops,
                                              .ctx = &role,
                                              .hostname = VIEW("mx.example"),
                                              .size_max = how & 4 ? 400 : 0,
                                              .recipients_max = 5,
                                              .tls_available = (how & 8) != 0,
                                              .auth_requires_tls = (how & 16) != 0,
                                              .idle_us = US_PER_S,
                                              .extensions = how & 128 ? ~0u : 0,
                                              .hold_max_s = 1000,
                                              .by_min_s = 60,
                                              .no_soliciting = VIEW("net.example:ADV"),
                                              .mails_max = 8,
                                              .recipient_domains_max = 3};
    struct smtp_session_facts facts = {.tls = (how & 32) != 0, .authenticated = how & 64 ? VIEW("someone") : VIEW_NONE};
    struct tape tape;
    tape_init(&tape, loop, in, piece);
    struct stream *stream = &tape.stream;
    enum err err = smtp_session_run(&params, &stream, &facts);
    BUG_IF(err != ERR_OK && err != ERR_CLOSED && err != ERR_LIMIT);
    BUG_IF(role.open != 0 || role.held != 0);
    check_replies(buf_view(&tape.out));
    buf_put(out, buf_view(&tape.out));
    buf_fini(&tape.out);
    loop_free(loop);
    return role.starttls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct view in = view_of(data + 1, size - 1);
    struct buf a, b;
    buf_init(&a, 1 << 24);
    buf_init(&b, 1 << 24);
    bool starttls = run(data[0], in, in.n + 1, &a);
    starttls |= run(data[0], in, 1, &b);
    /* What came together with STARTTLS is thrown away: there the split counts. */
    BUG_IF(!starttls && !view_eq(buf_view(&a), buf_view(&b)));
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
