/* The greeter: IMAP before login. */
#include "imap/greeter.h"

#include "imap/wire.h"
#include "sasl/scram.h"

#define GREETER_ARENA ((size_t)128 * 1024) /* one command's values: a password and an ID list fit many times */

enum verdict_of_command { GO_ON, QUIT, HANDED_OVER };

struct greeter {
    const struct imap_greeter_params *params;
    struct stream *stream;
    struct imap_out out;
    struct imap_wire wire;
    struct arena *arena;    /* of the command */
    struct arena *id_arena; /* of the client's ID */
    struct imap_id id;
    struct view tag;
    unsigned attempts, bad;
};

static bool can_login(const struct greeter *g) {
    return g->stream->encrypted || g->params->allow_plain;
}
static bool can_starttls(const struct greeter *g) {
    return !g->stream->encrypted && g->params->ops->starttls != NULL;
}

static bool is_stopping(const struct greeter *g) {
    return g->params->stopping != NULL && *g->params->stopping;
}

static void note(struct greeter *g, const char *event, struct view user) {
    if (g->params->ops->note != NULL)
        g->params->ops->note(g->params->ctx, event, user);
}

/* "tag OK text"; "* BYE text" with an empty tag and such. */
static void answer(struct greeter *g, struct view tag, struct view text) {
    struct buf *b = &g->out.buf;
    buf_put(b, tag.n > 0 ? tag : VIEW("*"));
    buf_put_byte(b, ' ');
    buf_put(b, text);
    buf_put(b, VIEW("\r\n"));
}

static enum verdict_of_command run_capability(struct greeter *g, struct imap_parser *p) {
    (void)p;
    buf_put(&g->out.buf, VIEW("* CAPABILITY "));
    imap_put_capability_greeter(&g->out.buf, can_starttls(g), can_login(g));
    buf_put(&g->out.buf, VIEW("\r\n"));
    answer(g, g->tag, VIEW("OK Capabilities listed"));
    return GO_ON;
}

static enum verdict_of_command run_noop(struct greeter *g, struct imap_parser *p) {
    (void)p;
    answer(g, g->tag, VIEW("OK Nothing done"));
    return GO_ON;
}

static enum verdict_of_command run_logout(struct greeter *g, struct imap_parser *p) {
    (void)p;
    answer(g, VIEW_NONE, VIEW("BYE Goodbye"));
    answer(g, g->tag, VIEW("OK Logged out"));
    return QUIT;
}

static enum verdict_of_command bad(struct greeter *g, const char *what) {
    struct buf *b = &g->out.buf;
    buf_put(b, g->tag.n > 0 ? g->tag : VIEW("*"));
    buf_put(b, VIEW(" BAD "));
    buf_put_str(b, what);
    buf_put(b, VIEW("\r\n"));
    if (++g->bad < IMAP_BAD_MAX)
        return GO_ON;
    answer(g, VIEW_NONE, VIEW("BYE Too many bad commands"));
    return QUIT;
}

static enum verdict_of_command run_id(struct greeter *g, struct imap_parser *p) {
    struct imap_id id;
    if (imap_parse_sp(p) != ERR_OK || imap_parse_id(p, &id) != ERR_OK || imap_parse_end(p) != ERR_OK)
        return bad(g, p->what);
    arena_clear(g->id_arena);
    struct imap_id_field *copy = ARENA_ARRAY(g->id_arena, MAX(id.n, 1), struct imap_id_field);
    g->id = (struct imap_id){.list = copy};
    for (uint32_t i = 0; copy != NULL && i < id.n; i++) {
        if (record_copy(&imap_id_field_record, &id.list[i], g->id_arena, &copy[i]) != ERR_OK)
            break;
        g->id.n = i + 1;
    }
    imap_put_id(&g->out.buf);
    answer(g, g->tag, VIEW("OK Pleased to meet you"));
    return GO_ON;
}

static enum verdict_of_command run_starttls(struct greeter *g, struct imap_parser *p) {
    (void)p;
    if (!can_starttls(g))
        return bad(g, g->stream->encrypted ? "TLS is active already" : "STARTTLS is not available");
    answer(g, g->tag, VIEW("OK Begin TLS now"));
    imap_out_flush(&g->out);
    if (g->out.err != ERR_OK)
        return QUIT;
    /* RFC3501-6.2.1: what came in the clear behind STARTTLS is forgotten, and so is what the client said of itself. */
    input_discard(&g->wire.input);
    imap_wire_rescan(&g->wire);
    g->id = (struct imap_id){0};
    struct stream *secured = NULL;
    enum err err = g->params->ops->starttls(g->params->ctx, g->stream, &secured);
    g->stream = err == ERR_OK ? secured : NULL;
    if (err != ERR_OK)
        return QUIT;
    imap_out_fini(&g->out);
    imap_wire_fini(&g->wire);
    imap_out_init(&g->out, g->stream);
    return imap_wire_init(&g->wire, &g->out, VIEW_NONE, NULL, NULL) == ERR_OK ? GO_ON : QUIT;
}

/* Gives the session away. */
static enum verdict_of_command start(struct greeter *g, struct view command, struct view user) {
    struct view text = view_sub(g->params->tls, 0, IMAP_TLS_TEXT_MAX);
    struct imap_handover handover = {
        .tag = g->tag,
        .command = command,
        .user = user,
        .unread = imap_wire_unread(&g->wire),
        .client_id = g->id.list,
        .client_id_n = g->id.n,
        .encrypted = g->stream->encrypted,
        .tls = text,
        .peer = g->stream->peer,
        .local = g->stream->local,
        .append_max = g->params->append_max != 0 ? g->params->append_max : IMAP_APPEND_MAX_DEFAULT,
        .idle_timeout_us = IMAP_IDLE_TIMEOUT_US,
        .bad_max = IMAP_BAD_MAX,
    };
    imap_out_flush(&g->out);
    if (g->out.err != ERR_OK)
        return QUIT;
    if (g->params->ops->start(g->params->ctx, &handover) == ERR_OK)
        return HANDED_OVER;
    note(g, "start_failed", user);
    /* RFC5530-3: UNAVAILABLE: a subsystem is not there for now */
    answer(g, g->tag, VIEW("NO [UNAVAILABLE] The mailbox cannot be opened now, try again"));
    return GO_ON;
}

static enum verdict_of_command prove(struct greeter *g, struct view command, struct view authzid, struct view user,
                                     struct view password) {
    enum imap_auth_outcome outcome = IMAP_AUTH_WRONG;
    /* Longer ones cannot exist; they are wrong like any other. */
    if (user.n > 0 && user.n <= IMAP_USER_MAX && authzid.n <= IMAP_USER_MAX && password.n <= IMAP_PASSWORD_MAX)
        outcome = g->params->ops->auth(g->params->ctx, authzid, user, password);
    switch (outcome) {
    case IMAP_AUTH_OK:
        return start(g, command, user);
    case IMAP_AUTH_WRONG:
        note(g, "login_failed", user);
        answer(g, g->tag, VIEW("NO [AUTHENTICATIONFAILED] User name or password is wrong"));
        break;
    case IMAP_AUTH_UNAVAILABLE:
        answer(g, g->tag, VIEW("NO [UNAVAILABLE] Logging in is not possible now, try again"));
        break;
    case IMAP_AUTH_REFUSED:
        answer(g, VIEW_NONE, VIEW("BYE Too many failed logins from your network"));
        return QUIT;
    }
    if (++g->attempts < IMAP_LOGIN_ATTEMPTS_MAX)
        return GO_ON;
    answer(g, VIEW_NONE, VIEW("BYE Too many failed logins"));
    return QUIT;
}

static enum verdict_of_command needs_privacy(struct greeter *g) {
    /* RFC5530-3: PRIVACYREQUIRED */
    answer(g, g->tag, VIEW("NO [PRIVACYREQUIRED] Passwords are taken over TLS only"));
    return GO_ON;
}

static enum verdict_of_command run_login(struct greeter *g, struct imap_parser *p) {
    struct view user, password;
    if (imap_parse_sp(p) != ERR_OK || imap_parse_astring(p, &user) != ERR_OK || imap_parse_sp(p) != ERR_OK ||
        imap_parse_astring(p, &password) != ERR_OK || imap_parse_end(p) != ERR_OK)
        return bad(g, p->what);
    /* RFC3501-6.2.3: a server that announced LOGINDISABLED refuses */
    if (!can_login(g))
        return needs_privacy(g);
    return prove(g, VIEW("LOGIN"), VIEW_NONE, user, password);
}

/* The client's answer to an empty challenge: one line of base64, or "*" (RFC3501-6.2.2). The tag is copied before. */
static enum err read_response(struct greeter *g, struct view *out) {
    answer(g, VIEW("+"), VIEW(""));
    for (;;) {
        enum imap_line_kind kind;
        struct view line;
        enum err err = imap_wire_read(&g->wire, imap_deadline(&g->wire, IMAP_LOGIN_TIMEOUT_US), &line, &kind);
        if (err == ERR_AGAIN && !is_stopping(g))
            continue;
        if (err != ERR_OK)
            return err;
        if (kind != IMAP_LINE_COMMAND)
            return ERR_SYNTAX;
        *out = view_trim(line);
        return ERR_OK;
    }
}

static enum verdict_of_command run_plain(struct greeter *g, struct view base64) {
    struct buf message;
    buf_init_secret(&message, IMAP_LINE_MAX);
    struct sasl_plain plain;
    enum verdict_of_command verdict;
    if (base64_decode(base64, &message) != ERR_OK || sasl_plain_parse(buf_view(&message), &plain) != ERR_OK)
        verdict = bad(g, "not an answer of the PLAIN mechanism");
    else
        verdict = prove(g, VIEW("AUTHENTICATE"), plain.authzid, plain.authcid, plain.password);
    buf_fini(&message);
    return verdict;
}

static enum verdict_of_command run_authenticate(struct greeter *g, struct imap_parser *p) {
    struct view mechanism, initial = VIEW_NONE;
    if (imap_parse_sp(p) != ERR_OK || imap_parse_atom(p, &mechanism) != ERR_OK)
        return bad(g, p->what);
    if (reader_accept(&p->r, ' '))
        initial = view_trim(reader_take(&p->r, reader_rest(&p->r).n));
    else if (imap_parse_end(p) != ERR_OK)
        return bad(g, p->what);
    if (!view_eq_nocase(mechanism, VIEW("PLAIN"))) {
        answer(g, g->tag, VIEW("NO [CANNOT] This mechanism is not supported"));
        return GO_ON;
    }
    if (!can_login(g))
        return needs_privacy(g);
    /* RFC4959-3: "=" is an empty initial response */
    if (initial.n > 0)
        return run_plain(g, view_eq(initial, VIEW("=")) ? VIEW("") : initial);
    enum err err = read_response(g, &initial);
    if (err == ERR_SYNTAX)
        return bad(g, "bad answer to a challenge");
    if (err != ERR_OK)
        return QUIT;
    if (view_eq(initial, VIEW("*")))
        return bad(g, "Authentication cancelled");
    return run_plain(g, initial);
}

static const struct greeter_command {
    struct view name;
    bool has_arguments;
    enum verdict_of_command (*run)(struct greeter *g, struct imap_parser *p);
} commands[] = {
    {VIEW_INIT("CAPABILITY"), false, run_capability},
    {VIEW_INIT("NOOP"), false, run_noop},
    {VIEW_INIT("LOGOUT"), false, run_logout},
    {VIEW_INIT("ID"), true, run_id},
    {VIEW_INIT("STARTTLS"), false, run_starttls},
    {VIEW_INIT("LOGIN"), true, run_login},
    {VIEW_INIT("AUTHENTICATE"), true, run_authenticate},
};

static enum verdict_of_command run_command(struct greeter *g, struct view command, enum imap_line_kind kind) {
    struct imap_parser p;
    struct view name;
    arena_clear(g->arena);
    imap_parser_init(&p, command, g->arena);
    g->tag = VIEW_NONE;
    struct view tag;
    if (imap_parse_tag(&p, &tag) != ERR_OK)
        return bad(g, p.what);
    /* The line is overwritten while an answer to a challenge is read. */
    if (arena_view(g->arena, tag, &g->tag) != ERR_OK)
        return QUIT;
    if (kind != IMAP_LINE_COMMAND)
        return bad(g, "The command is too long");
    if (imap_parse_sp(&p) != ERR_OK || imap_parse_atom(&p, &name) != ERR_OK)
        return bad(g, p.what);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!view_eq_nocase(name, commands[i].name))
            continue;
        if (!commands[i].has_arguments && imap_parse_end(&p) != ERR_OK)
            return bad(g, p.what);
        return commands[i].run(g, &p);
    }
    return bad(g, "Unknown command, or not before login");
}

static void greet(struct greeter *g) {
    struct buf *b = &g->out.buf;
    if (g->params->is_resumed)
        return;
    /* RFC3501-7.1: OK greeting with the capabilities spares the client a command */
    buf_put(b, VIEW("* OK [CAPABILITY "));
    imap_put_capability_greeter(b, can_starttls(g), can_login(g));
    buf_put(b, VIEW("] "));
    buf_put(b, g->params->host);
    buf_put(b, VIEW(" ready\r\n"));
}

static enum verdict_of_command serve(struct greeter *g) {
    greet(g);
    for (;;) {
        struct view command;
        enum imap_line_kind kind;
        enum err err = is_stopping(g)
                           ? ERR_AGAIN
                           : imap_wire_read(&g->wire, imap_deadline(&g->wire, IMAP_LOGIN_TIMEOUT_US), &command, &kind);
        if (err == ERR_AGAIN && !is_stopping(g))
            continue;
        if (err == ERR_AGAIN) /* RFC3501-7.1.5 */
            answer(g, VIEW_NONE, VIEW("BYE The server is shutting down"));
        if (err == ERR_TIMEOUT)
            answer(g, VIEW_NONE, VIEW("BYE Too long without a command"));
        if (err == ERR_LIMIT)
            answer(g, VIEW_NONE, VIEW("BYE [TOOBIG] That is too much"));
        if (err != ERR_OK)
            return QUIT;
        enum verdict_of_command verdict = run_command(g, command, kind);
        if (verdict != GO_ON)
            return verdict;
    }
}

enum imap_greeter_end imap_greeter_run(const struct imap_greeter_params *params, struct stream **stream) {
    struct greeter g = {.params = params, .stream = *stream};
    enum verdict_of_command verdict = QUIT;
    g.arena = arena_new("imap_greeter", GREETER_ARENA);
    g.id_arena = arena_new("imap_id", GREETER_ARENA);
    imap_out_init(&g.out, g.stream);
    enum err err = imap_wire_init(&g.wire, &g.out, params->unread, NULL, NULL);
    if (err == ERR_OK && g.arena != NULL && g.id_arena != NULL)
        verdict = serve(&g);
    if (verdict == QUIT && g.stream != NULL)
        imap_out_flush(&g.out);
    imap_out_fini(&g.out);
    if (err == ERR_OK)
        imap_wire_fini(&g.wire);
    arena_free(g.arena);
    arena_free(g.id_arena);
    *stream = verdict == HANDED_OVER ? NULL : g.stream;
    return verdict == HANDED_OVER ? IMAP_GREETER_HANDED_OVER : IMAP_GREETER_CLOSED;
}
