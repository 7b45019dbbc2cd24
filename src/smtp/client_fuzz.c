/*
 * Fuzz: the client engine against a server that says anything. The first two octets
 * choose envelope and server, the rest is what the server sends. Whatever comes:
 * either an error or an outcome for every recipient; what the client sends is
 * lines in CRLF, and a success only after the final dot went out.
 */
#include "smtp/client.h"
#include "smtp/server.h"
#include "smtp/test_tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err start_tls(void *ctx, struct stream *plain, struct stream **out) {
    (void)ctx;
    plain->encrypted = true;
    *out = plain;
    return ERR_OK;
}

static void check_sent(struct view out) {
    for (size_t i = 0; i < out.n; i++) {
        BUG_IF(out.p[i] == 0);
        BUG_IF(out.p[i] == '\r' && (i + 1 == out.n || out.p[i + 1] != '\n'));
        BUG_IF(out.p[i] == '\n' && (i == 0 || out.p[i - 1] != '\r'));
    }
}

static bool send_one(struct smtp_client *client, const struct smtp_envelope *envelope, struct arena *arena) {
    struct smtp_outcome outcomes[3];
    bool sent_dot;
    bool may_send = smtp_client_may_send(client);
    enum err err = smtp_client_transact(client, envelope, arena, outcomes, &sent_dot);
    BUG_IF(!may_send && err != ERR_LIMIT);
    if (err != ERR_OK && err != ERR_CLOSED && err != ERR_SYNTAX && (may_send || err != ERR_LIMIT))
        BUG(err_name(err));
    for (size_t i = 0; err == ERR_OK && i < envelope->recipients_n; i++) {
        BUG_IF(outcomes[i].reply < 200 || outcomes[i].reply > 599);
        BUG_IF(outcomes[i].reply < 300 && !sent_dot);
        BUG_IF(outcomes[i].reply < 300 && outcomes[i].why != SMTP_WHY_SERVER);
        BUG_IF(outcomes[i].reply >= 300 && (outcomes[i].is_relayed_without_dsn || outcomes[i].is_relayed_without_by));
        BUG_IF(outcomes[i].reply < 300 && i == 1); /* that one is never sent */
        BUG_IF(outcomes[i].status.n < 5 || outcomes[i].status.p[0] != '0' + outcomes[i].reply / 100);
    }
    return err == ERR_OK;
}

static void run(uint8_t how, uint8_t more, struct view in, size_t piece, bool by_line, struct file *body) {
    static const struct view recipients[] = {VIEW_INIT("b@example.org"), VIEW_INIT("not an address"),
                                             VIEW_INIT("\"c d\"@example.org")};
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
    struct arena *arena = arena_new("fuzz", 65536);
    if (loop == NULL || arena == NULL)
        return;
    const struct smtp_client_params params = {.hostname = VIEW("client.example"),
                                              .starttls = how & 1 ? start_tls : NULL,
                                              .require_tls = (how & 2) != 0,
                                              .lmtp = (more & 2) != 0};
    static const struct smtp_recipient_options options[] = {
        {15, VIEW_INIT("rfc822;b@example.org")}, {0}, {2, VIEW_INIT("")}};
    const struct smtp_envelope envelope = {.sender = how & 4 ? VIEW_NONE : VIEW("a@example.com"),
                                           .recipients = recipients,
                                           .recipients_n = how & 8 ? 1 : ARRAY_LEN(recipients),
                                           .eightbit = (how & 16) != 0,
                                           .prefix = VIEW("X: y\r\n.z\r\n"),
                                           .body = body,
                                           .options = more & 8 ? options : NULL,
                                           .binary = (more & 1) != 0,
                                           .smtputf8 = (more & 64) != 0,
                                           .requiretls = (more & 4) != 0,
                                           .ret = more & 8 ? SMTP_RET_FULL : SMTP_RET_NONE,
                                           .envid = more & 8 ? VIEW("id") : VIEW_NONE,
                                           .has_by = (more & 16) != 0,
                                           .by_return = (more & 128) != 0,
                                           .by_s = 100};
    struct tape tape;
    tape_init(&tape, loop, in, piece);
    tape.by_line = by_line;
    tape.writes_max = how >> 5;
    struct stream *stream = &tape.stream;
    struct smtp_client *client = smtp_client_new(&params, &stream);
    for (int i = 0; client != NULL && i < (more & 32 ? 3 : 1); i++)
        if (!send_one(client, &envelope, arena))
            break;
    smtp_client_free(client);
    if (!envelope.binary)
        check_sent(buf_view(&tape.out));
    buf_fini(&tape.out);
    arena_free(arena);
    loop_free(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct file *body;
    if (size < 2 || file_new_memory("fuzz", &body) != ERR_OK)
        return 0;
    if (file_write(body, VIEW("Subject: x\r\n\r\n..dots\r\nand no end"), 0) == ERR_OK) {
        struct view in = view_of(data + 2, size - 2);
        run(data[0], data[1], in, in.n + 1, false, body);
        run(data[0], data[1], in, in.n + 1, true, body);
        run(data[0], data[1], in, 1, true, body);
    }
    file_unref(body);
    return 0;
}
