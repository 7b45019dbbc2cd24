/*
 * The control socket's end in `directory`: one connection of the command line, a
 * request a line, on a coroutine of its own. The supervisor let it through only
 * for root and the server's own user. Slow or silent peers cost a coroutine
 * until their deadline, and there are few of them.
 */
#include "roles/control.h"
#include "roles/directory.h"

#include "dkim/key.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#define CONTROL_CONNECTIONS_MAX 16                /* at once; more wait for nothing, they are closed */
#define CONTROL_IDLE_US (30 * US_PER_S)           /* between two requests, and for each write */
#define CONTROL_LIFE_US (INT64_C(600) * US_PER_S) /* of a connection */
#define CONTROL_BUDGET (256 * 1024 * 1024)        /* octets a request may take: a list of everything */
#define CONTROL_CHUNK (32 * 1024)                 /* rows go out in lines of about this size */

struct control {
    struct directory *d;
    struct stream *stream;
    struct input input;
    int64_t ends_us;
    struct arena *arena; /* of the request being served */
    struct control_request request;
    struct buf out;
    struct buf text; /* what the reply says when it is no success */
};

static int64_t deadline_us(const struct control *c) {
    return MIN(loop_now_us(c->d->env->loop) + CONTROL_IDLE_US, c->ends_us);
}

/* ---- replies ---- */

static int put_octets(const char *p, size_t n, void *out) {
    buf_put(out, view_of(p, n));
    return buf_err(out) == ERR_OK ? 0 : -1;
}

/* Takes the value over. */
static enum err put_json(struct buf *out, json_t *value) {
    int failed = value ? json_dump_callback(value, put_octets, out, JSON_COMPACT) : -1;
    json_decref(value);
    TRY(buf_err(out));
    return failed ? ERR_NO_MEMORY : ERR_OK;
}

static enum err flush(struct control *c) {
    enum err err = buf_err(&c->out);
    if (err == ERR_OK)
        err = stream_write(c->stream, buf_view(&c->out), deadline_us(c));
    buf_clear(&c->out);
    return err;
}

/* The error of an operation, as the asker sees it. */
static enum err reply_failed(struct control *c, const char *error, struct view text) {
    buf_clear(&c->out);
    json_t *reply = json_pack("{s:I, s:b, s:s, s:o}", "id", (json_int_t)c->request.id, "ok", 0, "error", error, "text",
                              json_stringn((const char *)text.p, text.n));
    TRY(put_json(&c->out, reply));
    buf_put_byte(&c->out, '\n');
    return flush(c);
}

static void rows_begin(struct control *c) {
    buf_printf(&c->out, "{\"id\":%llu,\"ok\":true,\"rows\":[", (unsigned long long)c->request.id);
}

static enum err rows_end(struct control *c, bool more) {
    buf_printf(&c->out, "],\"more\":%s}\n", more ? "true" : "false");
    return flush(c);
}

/* Takes the row over. */
static enum err put_row(struct control *c, json_t *row) {
    if (c->out.n && c->out.p[c->out.n - 1] != '[')
        buf_put_byte(&c->out, ',');
    TRY(put_json(&c->out, row));
    if (c->out.n < CONTROL_CHUNK)
        return ERR_OK;
    TRY(rows_end(c, true));
    rows_begin(c);
    return co_breathe();
}

static json_t *text_json(struct view v) {
    return json_stringn((const char *)v.p, v.n);
}

static json_t *time_json(int64_t wall_us) {
    struct buf text;
    buf_init(&text, 40);
    buf_put_rfc3339(&text, wall_us);
    json_t *value = text_json(buf_view(&text));
    buf_fini(&text);
    return value;
}

/* ---- operations: put rows, or return an error with a text where the class says too little ---- */

__attribute__((format(printf, 3, 4))) static enum err refuse(struct control *c, enum err err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char text[600];
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_put_str(&c->text, text);
    return err;
}

static enum err domain_add(struct control *c) {
    struct domain_row row;
    enum err err = directory_domain_get(c->d->store, c->request.domain, c->arena, &row);
    if (err == ERR_OK)
        return refuse(c, ERR_EXISTS, "the domain %.*s is there already.", VIEW_FMT(c->request.domain));
    if (err != ERR_NOT_FOUND)
        return err;
    TRY(directory_ensure_domain(c->d, c->request.domain));
    directory_complete_keys(c->d);
    return ERR_OK;
}

static enum err domain_remove(struct control *c) {
    enum err err = directory_domain_remove(c->d->store, c->request.domain);
    directory_signer_forget(c->d, c->request.domain);
    if (err == ERR_NOT_FOUND)
        return refuse(c, err, "there is no domain %.*s. See `veredus domain list`.", VIEW_FMT(c->request.domain));
    if (err == ERR_DENIED)
        return refuse(c, err, "%.*s still has accounts or aliases. Remove them first.", VIEW_FMT(c->request.domain));
    return err;
}

static enum err domain_list(struct control *c) {
    struct domain_row *rows;
    size_t n;
    TRY(directory_domain_list(c->d->store, c->arena, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(put_row(
            c, json_pack("{s:o, s:o}", "name", text_json(rows[i].name), "created", time_json(rows[i].created_us))));
    return ERR_OK;
}

/* A record of the domain as a line of a zone file, with the host that the command names below them. */
static enum err put_record(struct control *c, struct view line) {
    return put_row(c,
                   json_pack("{s:o, s:o}", "record", text_json(line), "host", text_json(c->d->env->config->hostname)));
}

static enum err put_keys(struct control *c) {
    const struct directory_signer *signer;
    struct view lines[DKIM_KEYS_MAX];
    TRY(directory_signer_get(c->d, c->request.domain, &signer));
    size_t n = signer->n;
    for (size_t i = 0; i < n; i++) {
        const struct directory_signer_key *key = &signer->keys[i];
        struct buf data, record, line;
        buf_init(&data, DKIM_SIGNATURE_MAX * 2);
        buf_init(&record, DKIM_SIGNATURE_MAX * 4);
        buf_init(&line, DKIM_SIGNATURE_MAX * 4);
        enum err err = dkim_private_key_put_public(key->key, &data);
        if (err == ERR_OK) {
            dkim_put_key_record(&record, dkim_private_key_algorithm(key->key), buf_view(&data), false);
            dkim_put_zone_line(&line, view_of(key->selector, key->selector_n), c->request.domain, buf_view(&record));
            err = buf_err(&record) != ERR_OK ? buf_err(&record) : buf_err(&line);
        }
        if (err == ERR_OK)
            err = arena_view(c->arena, buf_view(&line), &lines[i]);
        buf_fini(&data);
        buf_fini(&record);
        buf_fini(&line);
        TRY(err);
    }
    for (size_t i = 0; i < n; i++) /* writing suspends */
        TRY(put_record(c, lines[i]));
    return ERR_OK;
}

/* What is true today: where mail for the domain comes in, who sends it, and what it is signed with. */
static enum err domain_records(struct control *c) {
    struct domain_row row;
    struct view name = c->request.domain, line;
    enum err err = directory_domain_get(c->d->store, name, c->arena, &row);
    if (err == ERR_NOT_FOUND)
        return refuse(c, err, "there is no domain %.*s. Make it first: veredus domain add %.*s", VIEW_FMT(name),
                      VIEW_FMT(name));
    TRY(err);
    err = directory_await_keys(c->d, deadline_us(c)); /* a new domain's RSA key is being made */
    if (err == ERR_TIMEOUT)
        return refuse(c, ERR_AGAIN, "the keys of %.*s are still being made. Try again.", VIEW_FMT(name));
    TRY(err);
    TRY(arena_printf(c->arena, &line, "%.*s. IN MX 10 %.*s.", VIEW_FMT(name), VIEW_FMT(c->d->env->config->hostname)));
    TRY(put_record(c, line));
    TRY(arena_printf(c->arena, &line, "%.*s. IN TXT \"v=spf1 mx -all\"", VIEW_FMT(name)));
    TRY(put_record(c, line));
    TRY(put_keys(c));
    /* RFC9989-7.4: p=reject is not for domains whose people write to mailing lists. */
    TRY(arena_printf(c->arena, &line, "_dmarc.%.*s. IN TXT \"v=DMARC1; p=quarantine\"", VIEW_FMT(name)));
    return put_record(c, line);
}

static enum err account_of_request(struct control *c, struct account_row *row) {
    enum err err = directory_account_get(c->d->store, c->request.address, c->arena, row);
    if (err == ERR_NOT_FOUND)
        return refuse(c, err, "there is no account %.*s. See `veredus account list`.", VIEW_FMT(c->request.address));
    return err;
}

/* Why an address cannot be made. */
static enum err address_refused(struct control *c, enum err err) {
    struct view whole = c->request.address, domain = view_skip(whole, (size_t)(view_rfind_byte(whole, '@') + 1));
    if (err == ERR_NOT_FOUND)
        return refuse(c, err, "there is no domain %.*s. Make it first: veredus domain add %.*s", VIEW_FMT(domain),
                      VIEW_FMT(domain));
    if (err == ERR_EXISTS)
        return refuse(c, err, "the address %.*s is taken by an account or alias.", VIEW_FMT(whole));
    return err;
}

static enum err account_add(struct control *c) {
    struct account_row row;
    enum err err = directory_account_add(c->d->store, c->request.address, c->arena, &row);
    if (err != ERR_OK)
        return address_refused(c, err);
    err = directory_account_set_verifiers(c->d->store, row.id, c->request.verifiers, c->request.verifiers_n);
    if (err == ERR_OK)
        err = directory_announce(c->d, row.id, row.address, row.quota_octets, false);
    if (err != ERR_OK && directory_account_remove(c->d->store, row.id) != ERR_OK)
        log_event(&c->d->env->log, LOG_ERROR, "account.half_made", LF_VIEW("address", row.address), LF_ERR(err));
    return err;
}

static enum err account_remove(struct control *c) {
    struct account_row row;
    TRY(account_of_request(c, &row));
    TRY(directory_account_remove(c->d->store, row.id));
    return directory_announce(c->d, row.id, row.address, row.quota_octets, true);
}

static enum err account_list(struct control *c) {
    struct account_row *rows;
    size_t n;
    TRY(directory_account_list(c->d->store, c->arena, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(put_row(c, json_pack("{s:o, s:I, s:b, s:I, s:o}", "address", text_json(rows[i].address), "id",
                                 (json_int_t)rows[i].id, "disabled", (int)rows[i].disabled, "quota",
                                 (json_int_t)rows[i].quota_octets, "created", time_json(rows[i].created_us))));
    return ERR_OK;
}

static enum err account_password(struct control *c) {
    struct account_row row;
    TRY(account_of_request(c, &row));
    return directory_account_set_verifiers(c->d->store, row.id, c->request.verifiers, c->request.verifiers_n);
}

static enum err account_set_disabled(struct control *c, bool disabled) {
    struct account_row row;
    TRY(account_of_request(c, &row));
    return directory_account_set_disabled(c->d->store, row.id, disabled);
}

static enum err account_disable(struct control *c) {
    return account_set_disabled(c, true);
}

static enum err account_enable(struct control *c) {
    return account_set_disabled(c, false);
}

static enum err alias_add(struct control *c) {
    enum err err = directory_alias_add(c->d->store, c->request.address, c->request.targets, c->request.targets_n);
    return err == ERR_OK ? ERR_OK : address_refused(c, err);
}

static enum err alias_remove(struct control *c) {
    enum err err = directory_alias_remove(c->d->store, c->request.address);
    if (err == ERR_NOT_FOUND)
        return refuse(c, err, "there is no alias %.*s. See `veredus alias list`.", VIEW_FMT(c->request.address));
    return err;
}

static enum err alias_list(struct control *c) {
    struct alias_row *rows;
    size_t n;
    TRY(directory_alias_list(c->d->store, c->arena, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        json_t *targets = json_array();
        for (uint32_t j = 0; j < rows[i].targets_n; j++)
            (void)json_array_append_new(targets, text_json(rows[i].targets[j].address));
        TRY(put_row(c, json_pack("{s:o, s:o}", "address", text_json(rows[i].address), "targets", targets)));
    }
    return ERR_OK;
}

static enum err (*const run[CONTROL_OP_COUNT])(struct control *c) = {
    [CONTROL_DOMAIN_ADD] = domain_add,
    [CONTROL_DOMAIN_REMOVE] = domain_remove,
    [CONTROL_DOMAIN_LIST] = domain_list,
    [CONTROL_DOMAIN_RECORDS] = domain_records,
    [CONTROL_ACCOUNT_ADD] = account_add,
    [CONTROL_ACCOUNT_REMOVE] = account_remove,
    [CONTROL_ACCOUNT_LIST] = account_list,
    [CONTROL_ACCOUNT_PASSWORD] = account_password,
    [CONTROL_ACCOUNT_DISABLE] = account_disable,
    [CONTROL_ACCOUNT_ENABLE] = account_enable,
    [CONTROL_ALIAS_ADD] = alias_add,
    [CONTROL_ALIAS_REMOVE] = alias_remove,
    [CONTROL_ALIAS_LIST] = alias_list,
};

/* ---- the connection ---- */

static bool changes_nothing(enum control_op op) {
    return op == CONTROL_DOMAIN_LIST || op == CONTROL_DOMAIN_RECORDS || op == CONTROL_ACCOUNT_LIST ||
           op == CONTROL_ALIAS_LIST;
}

static void log_request(struct control *c, uint32_t uid, enum err err) {
    struct view what = c->request.address.n ? c->request.address : c->request.domain;
    log_event(&c->d->env->log, LOG_INFO, "control", LF_TEXT("op", control_op_name(c->request.op)),
              LF_VIEW("what", what), LF_U64("uid", uid), LF_ERR(err));
}

/* ERR_OK: the connection may go on. */
static enum err serve_line(struct control *c, struct view line, uint32_t uid) {
    enum err err = control_parse(line, c->arena, &c->request, &c->text);
    if (err == ERR_SYNTAX || err == ERR_LIMIT)
        return reply_failed(c, err_name(err), buf_view(&c->text));
    if (err == ERR_OK) {
        rows_begin(c);
        err = run[c->request.op](c);
        if (!changes_nothing(c->request.op))
            log_request(c, uid, err);
    }
    if (err == ERR_OK)
        return rows_end(c, false);
    if (err == ERR_CANCELED || err == ERR_CLOSED || err == ERR_TIMEOUT)
        return err;
    if (!c->text.n)
        buf_put_str(&c->text, err == ERR_FULL ? "there is no space left on the disk. Make room and try again."
                                              : "the directory could not do it; its log says more.");
    return reply_failed(c, err_name(err), buf_view(&c->text));
}

static enum err serve_request(struct control *c, uint32_t uid) {
    ssize_t end;
    while ((end = view_find_byte(input_pending(&c->input), '\n')) < 0) {
        enum err err = input_fill(&c->input, deadline_us(c));
        if (err == ERR_LIMIT)
            (void)!reply_failed(c, "limit", VIEW("the request is longer than 64 KiB."));
        TRY(err);
    }
    struct view line = view_sub(input_pending(&c->input), 0, (size_t)end);
    c->arena = arena_new("control", CONTROL_BUDGET);
    if (!c->arena)
        return ERR_NO_MEMORY;
    buf_clear(&c->text);
    buf_clear(&c->out);
    enum err err = serve_line(c, line, uid);
    arena_free(c->arena);
    input_consume(&c->input, (size_t)end + 1);
    return err;
}

void directory_control(struct directory *d, struct stream *stream, uint32_t uid) {
    if (d->controls >= CONTROL_CONNECTIONS_MAX) {
        log_event(&d->env->log, LOG_WARN, "control.busy", LF_U64("uid", uid));
        stream_free(stream);
        return;
    }
    d->controls++;
    /* jansson would look for a seed in files that this role cannot open; only the first call counts. */
    json_object_seed((size_t)(random_u64(d->env->random) | 1));
    struct control c = {.d = d, .stream = stream, .ends_us = loop_now_us(d->env->loop) + CONTROL_LIFE_US};
    input_init(&c.input, stream, CONTROL_LINE_MAX + 1);
    buf_init(&c.out, CONTROL_REPLY_LINE_MAX);
    buf_init(&c.text, 1000);
    while (serve_request(&c, uid) == ERR_OK)
        ;
    buf_fini(&c.out);
    buf_fini(&c.text);
    input_fini(&c.input);
    stream_free(stream);
    d->controls--;
}
