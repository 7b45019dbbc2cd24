/*
 * Fuzz: the client engine against a server that says anything. The first octet
 * chooses envelope and server, the rest is what the server sends. Whatever comes:
 * either an error or an outcome for every recipient; what the client sends is
 * lines in CRLF, and a success only after the final dot went out.
 */
#include "smtp/client.h"
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

static void run(uint8_t how, struct view in, size_t piece, bool by_line, struct file *body) {
    static const struct view recipients[] = {VIEW_INIT("b@example.org"), VIEW_INIT("not an address"),
                                             VIEW_INIT("\"c d\"@example.org")};
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
    struct arena *arena = arena_new("fuzz", 65536);
    if (loop == NULL || arena == NULL)
        return;
    const struct smtp_client_params params = {
        .hostname = VIEW("client.example"), .starttls = how & 1 ? start_tls : NULL, .require_tls = (how & 2) != 0};
    const struct smtp_envelope envelope = {.sender = how & 4 ? VIEW_NONE : VIEW("a@example.com"),
                                           .recipients = recipients,
                                           .recipients_n = how & 8 ? 1 : ARRAY_LEN(recipients),
                                           .eightbit = (how & 16) != 0,
                                           .prefix = VIEW("X: y\r\n.z\r\n"),
                                           .body = body};
    struct tape tape;
    tape_init(&tape, loop, in, piece);
    tape.by_line = by_line;
    tape.writes_max = how >> 5;
    struct stream *stream = &tape.stream;
    struct smtp_outcome outcomes[ARRAY_LEN(recipients)];
    bool sent_dot;
    enum err err = smtp_client_send(&params, &stream, &envelope, arena, outcomes, &sent_dot);
    if (err != ERR_OK && err != ERR_CLOSED && err != ERR_SYNTAX)
        BUG(err_name(err));
    for (size_t i = 0; err == ERR_OK && i < envelope.recipients_n; i++) {
        BUG_IF(outcomes[i].reply < 200 || outcomes[i].reply > 599);
        BUG_IF(outcomes[i].reply < 300 && !sent_dot);
        BUG_IF(outcomes[i].reply < 300 && i == 1); /* that one is never sent */
        BUG_IF(outcomes[i].status.n < 5 || outcomes[i].status.p[0] != '0' + outcomes[i].reply / 100);
    }
    check_sent(buf_view(&tape.out));
    buf_fini(&tape.out);
    arena_free(arena);
    loop_free(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct file *body;
    if (size == 0 || file_new_memory("fuzz", &body) != ERR_OK)
        return 0;
    if (file_write(body, VIEW("Subject: x\r\n\r\n..dots\r\nand no end"), 0) == ERR_OK) {
        struct view in = view_of(data + 1, size - 1);
        run(data[0], in, in.n + 1, false, body);
        run(data[0], in, in.n + 1, true, body);
        run(data[0], in, 1, true, body);
    }
    file_unref(body);
    return 0;
}
