/*
 * A session as octets, between two commands and outside a transaction: all that
 * outlives a command (DESIGN section 3), with the input that nobody has read.
 */
#include "smtp/session.h"

#define SAVED_VERSION 2 /* a program that is newer or older does not guess */
#define R_smtp_saved(F, S)                       \
    F(S, U8, version)                            \
    F(S, U8, state)                              \
    F(S, BOOL, esmtp)                            \
    F(S, BOOL, tls)                              \
    F(S, ADDR, peer)                             \
    F(S, ADDR, local)                            \
    F(S, U32, errors)                            \
    F(S, U32, auth_failures)                     \
    F(S, VIEW, helo, SMTP_DOMAIN_MAX)            \
    F(S, VIEW, authenticated, SMTP_IDENTITY_MAX) \
    F(S, VIEW, tls_version, 16)                  \
    F(S, VIEW, tls_cipher, 64)                   \
    F(S, U32, mails)                             \
    F(S, VIEW, domains, 2048)                    \
    F(S, VIEW, input, 32 * 1024)
RECORD_DECLARE(smtp_saved);
RECORD_DEFINE(smtp_saved);

#define DECODE_BUDGET 1024 /* the record has no lists */

bool session_is_leaving(const struct smtp_session *s) {
    return s->params->saving != NULL && *s->params->saving && !s->in_transaction;
}

enum err session_save(struct smtp_session *s) {
    TRY(session_flush(s));
    const struct smtp_saved saved = {
        .version = SAVED_VERSION,
        .state = (uint8_t)s->state,
        .esmtp = s->facts.esmtp,
        .tls = s->facts.tls,
        .peer = s->facts.peer,
        .local = s->facts.local,
        .errors = s->errors,
        .auth_failures = s->auth_failures,
        .helo = s->facts.helo,
        .authenticated = s->facts.authenticated,
        .tls_version = view_of(s->facts.tls_version, sizeof(s->facts.tls_version)),
        .tls_cipher = view_of(s->facts.tls_cipher, sizeof(s->facts.tls_cipher)),
        .mails = s->mails,
        .domains = buf_view(&s->domains),
        .input = input_pending(&s->input),
    };
    TRY(record_encode(&smtp_saved_record, &saved, s->params->saved));
    return ERR_AGAIN;
}

static void copy_text(char *to, size_t cap, struct view v) {
    for (size_t i = 0; i < MIN(cap, v.n); i++)
        to[i] = (char)v.p[i];
    to[cap - 1] = 0;
}

static enum err take(struct smtp_session *s, const struct smtp_saved *saved) {
    if (saved->version != SAVED_VERSION ||
        !(saved->state == SMTP_START || saved->state == SMTP_READY || saved->state == SMTP_TURNED_AWAY) ||
        saved->domains.n % sizeof(uint64_t) != 0)
        return ERR_SYNTAX;
    s->state = (enum smtp_state)saved->state;
    s->facts.esmtp = saved->esmtp;
    s->facts.tls = saved->tls;
    s->facts.peer = saved->peer;
    s->facts.local = saved->local;
    s->errors = saved->errors;
    s->auth_failures = saved->auth_failures;
    for (size_t i = 0; i < saved->helo.n; i++)
        s->helo[i] = saved->helo.p[i];
    s->facts.helo = view_of(s->helo, saved->helo.n);
    copy_text(s->facts.tls_version, sizeof(s->facts.tls_version), saved->tls_version);
    copy_text(s->facts.tls_cipher, sizeof(s->facts.tls_cipher), saved->tls_cipher);
    s->mails = saved->mails;
    buf_put(&s->domains, saved->domains);
    TRY(buf_err(&s->domains));
    TRY(smtp_session_set_authenticated(s, saved->authenticated));
    return input_unread(&s->input, saved->input);
}

enum err session_restore(struct smtp_session *s, struct view text) {
    struct arena *arena = arena_new("smtp-restore", DECODE_BUDGET);
    struct smtp_saved saved;
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err = record_decode(&smtp_saved_record, text, arena, &saved);
    if (err == ERR_OK)
        err = take(s, &saved);
    arena_free(arena);
    return err == ERR_LIMIT ? ERR_SYNTAX : err;
}
