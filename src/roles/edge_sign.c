/*
 * What a login submits: Date and Message-ID where they are missing, and a
 * signature of DKIM by each key of the author's domain, which directory makes.
 */
#include "roles/edge.h"

#include "dkim/sign.h"
#include "dns/idna.h"
#include "message/address.h"
#include "message/compose.h"
#include "message/header.h"

#include <string.h>

#define SIGN_ARENA (4u << 20)
#define SIGN_WINDOW 65536
#define SIGN_AUTHORS_MAX 4    /* From has one; RFC5322-3.6.2 allows more */
#define SIGN_FIELDS_MAX 5000  /* octets of our fields: they travel with Received in one prefix */
#define SIGN_MISSING_MAX 1000 /* octets of Date and Message-ID */

struct author {
    struct view address; /* its domain in A-labels */
    struct view domain;
    struct dkim_sign_key keys[DKIM_KEYS_MAX];
    size_t n;
};

struct signing {
    struct dkim_signer signer; /* first */
    struct edge_connection *c;
    struct smtp_transaction *t;
    struct arena *arena;
    struct view header;
    struct buf head;    /* holds it when it was read from a file */
    bool is_cut;        /* it goes on behind that */
    struct buf missing; /* fields that the message lacked */
    struct dkim_input *input;
    struct author authors[SIGN_AUTHORS_MAX];
    size_t n;
    const struct author *current; /* whose domain signs */
};

/* ---- the message ---- */

enum err edge_feed(const struct smtp_transaction *t, struct arena *arena, struct dkim_input *input) {
    if (!t->body_file) {
        TRY(dkim_input_feed(input, t->body));
        return dkim_input_end(input);
    }
    uint8_t *window = arena_alloc(arena, SIGN_WINDOW);
    if (!window)
        return ERR_LIMIT;
    for (uint64_t at = 0;;) {
        size_t got;
        TRY(file_read(t->body_file, window, SIGN_WINDOW, at, &got));
        if (got == 0)
            return dkim_input_end(input);
        TRY(dkim_input_feed(input, view_of(window, got)));
        at += got;
        TRY(co_breathe());
    }
}

/* The header, and perhaps more. One over DKIM_HEADER_MAX is cut, and not signed. */
static enum err read_header(struct signing *s) {
    if (!s->t->body_file) {
        s->header = s->t->body;
        return ERR_OK;
    }
    uint8_t *window = arena_alloc(s->arena, SIGN_WINDOW);
    if (!window)
        return ERR_LIMIT;
    buf_init(&s->head, DKIM_HEADER_MAX + SIGN_WINDOW);
    s->is_cut = true;
    while (s->is_cut && s->head.n < DKIM_HEADER_MAX) {
        size_t got, before = s->head.n < 3 ? s->head.n : 3;
        TRY(file_read(s->t->body_file, window, SIGN_WINDOW, s->head.n, &got));
        size_t from = s->head.n - before;
        buf_put(&s->head, view_of(window, got));
        TRY(buf_err(&s->head));
        s->is_cut = got > 0 && view_find(view_skip(buf_view(&s->head), from), VIEW("\r\n\r\n")) < 0;
    }
    s->header = buf_view(&s->head);
    return ERR_OK;
}

/* RFC6409-8.2, RFC6409-8.3 */
static enum err make_missing(struct signing *s) {
    struct role_env *env = s->c->edge->env;
    buf_init(&s->missing, SIGN_MISSING_MAX);
    if (s->is_cut) /* they may be in the rest */
        return ERR_OK;
    if (header_count(s->header, VIEW("Date")) == 0)
        compose_put_date(&s->missing, loop_wall_us(env->loop));
    if (header_count(s->header, VIEW("Message-ID")) == 0) {
        uint8_t id[16];
        random_fill(env->random, id, sizeof(id));
        compose_put_message_id(&s->missing, id, env->config->hostname);
    }
    return buf_err(&s->missing);
}

/* ---- what directory is asked ---- */

/* dkim_sign() and arenas have errors that are about the message: what is about directory is another one. */
static enum err ask(struct signing *s, const struct message_type *type, const void *request, void *reply) {
    struct edge *edge = s->c->edge;
    enum err err = role_peer_call(&edge->directory, type, request, NULL, 0, loop_now_us(edge->env->loop) + ROLE_CALL_US,
                                  s->arena, reply, NULL);
    return err == ERR_OK || err == ERR_DENIED || err == ERR_CANCELED ? err : ERR_AGAIN;
}

static enum err ask_keys(struct signing *s, struct author *author) {
    struct dkim_keys request = {.session = s->c->auth, .address = author->address};
    struct dkim_keys_result result;
    TRY(ask(s, &message_dkim_keys, &request, &result));
    author->domain = result.domain;
    for (uint32_t i = 0; i < result.keys_n && author->n < DKIM_KEYS_MAX; i++)
        if (result.keys[i].algorithm <= DKIM_ED25519_SHA256)
            author->keys[author->n++] =
                (struct dkim_sign_key){result.keys[i].name, (enum dkim_algorithm)result.keys[i].algorithm};
    return ERR_OK;
}

static enum err ask_signature(struct dkim_signer *signer, struct view domain, struct view selector,
                              enum dkim_algorithm algorithm, const uint8_t digest[DKIM_DIGEST_SIZE], struct buf *out) {
    (void)domain;
    (void)algorithm;
    struct signing *s = (struct signing *)signer;
    struct dkim_sign_request request = {.session = s->c->auth,
                                        .address = s->current->address,
                                        .selector = selector,
                                        .digest = view_of(digest, DKIM_DIGEST_SIZE)};
    struct dkim_sign_result result;
    TRY(ask(s, &message_dkim_sign, &request, &result));
    buf_put(out, result.signature);
    return ERR_OK;
}

/* ---- whose signature ---- */

/* ERR_NOT_FOUND: there is none, one that is no address, or more than SIGN_AUTHORS_MAX. */
static enum err find_authors(struct signing *s) {
    struct header_iter it;
    struct header_field field;
    header_iter_init(&it, s->header);
    while (header_next(&it, &field)) {
        if (!view_eq_nocase(field.name, VIEW("From")))
            continue;
        struct address_list found;
        address_parse(s->arena, field.value, &found);
        if (found.truncated)
            return ERR_NOT_FOUND;
        for (size_t i = 0; i < found.count; i++) {
            const struct address *a = &found.list[i];
            struct view domain;
            if (a->kind != ADDRESS_MAILBOX)
                continue;
            if (s->n == SIGN_AUTHORS_MAX || a->mailbox.n == 0)
                return ERR_NOT_FOUND;
            enum err err = dns_idna_to_ascii(a->host, s->arena, &domain);
            if (err == ERR_SYNTAX || a->mailbox.n + 1 + domain.n > MESSAGE_ADDRESS_MAX)
                return ERR_NOT_FOUND;
            TRY(err);
            TRY(arena_printf(s->arena, &s->authors[s->n].address, "%.*s@%.*s", VIEW_FMT(a->mailbox), VIEW_FMT(domain)));
            s->n++;
        }
    }
    return s->n > 0 ? ERR_OK : ERR_NOT_FOUND;
}

static enum err unsigned_one(const struct signing *s, const char *why) {
    log_event(&s->c->log, LOG_INFO, "message.unsigned", LF_VIEW("author", s->n ? s->authors[0].address : VIEW_NONE),
              LF_TEXT("why", why));
    return ERR_OK;
}

/* Every author must be one that the login may write as: a signature vouches for the whole of From. */
static enum err may_sign(struct signing *s, bool *may) {
    *may = false;
    enum err err = find_authors(s);
    if (err == ERR_NOT_FOUND)
        return unsigned_one(s, "From names no author, or too many");
    TRY(err);
    for (size_t i = 0; i < s->n; i++) {
        err = ask_keys(s, &s->authors[i]);
        if (err == ERR_DENIED)
            return unsigned_one(s, "the login may not send as the author");
        TRY(err);
        if (s->authors[i].n == 0)
            return unsigned_one(s, "the author's domain has no key");
    }
    *may = true;
    return ERR_OK;
}

/* ---- signing ---- */

static bool has_signed(const struct signing *s, const struct author *author) {
    for (const struct author *a = s->authors; a < author; a++)
        if (view_eq(a->domain, author->domain))
            return true;
    return false;
}

static enum err put_signatures(struct signing *s, struct buf *out) {
    TRY(dkim_input_new(s->c->edge->tools->crypto, &s->input));
    TRY(dkim_input_want(s->input, DKIM_RELAXED, DKIM_BODY_WHOLE));
    TRY(dkim_input_feed(s->input, buf_view(&s->missing)));
    TRY(edge_feed(s->t, s->arena, s->input));
    struct dkim_sign_options options = {
        .header_canon = DKIM_RELAXED, .body_canon = DKIM_RELAXED, .now_us = loop_wall_us(s->c->edge->env->loop)};
    for (size_t i = 0; i < s->n; i++) {
        const struct author *author = &s->authors[i];
        if (has_signed(s, author))
            continue;
        s->current = author;
        options.domain = author->domain;
        TRY(dkim_sign(s->input, &options, author->keys, author->n, &s->signer, s->arena, out));
        log_event(&s->c->log, LOG_INFO, "message.signed", LF_VIEW("domain", author->domain), LF_U64("keys", author->n));
    }
    return ERR_OK;
}

static enum err make_fields(struct signing *s, struct buf *out) {
    bool may;
    TRY(read_header(s));
    TRY(make_missing(s));
    enum err err = may_sign(s, &may);
    if (err == ERR_OK && may)
        err = put_signatures(s, out);
    if (err == ERR_OK) {
        buf_put(out, buf_view(&s->missing));
        err = buf_err(out);
    }
    if (err != ERR_SYNTAX && err != ERR_LIMIT)
        return err;
    /* The message's own fault, which it has at every try. */
    buf_clear(out);
    buf_put(out, buf_view(&s->missing));
    TRY(unsigned_one(s, "its header cannot be signed"));
    return buf_err(out);
}

enum err edge_sign_message(struct edge_connection *c, struct smtp_transaction *t, struct view *fields) {
    struct signing s = {.signer = {.sign = ask_signature}, .c = c, .t = t};
    struct buf out;
    buf_init(&out, SIGN_FIELDS_MAX);
    s.arena = arena_new("sign", SIGN_ARENA);
    enum err err = s.arena ? make_fields(&s, &out) : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = arena_view(t->arena, buf_view(&out), fields);
    if (err != ERR_OK && err != ERR_CANCELED)
        log_event(&c->log, LOG_WARN, "message.sign", LF_ERR(err));
    dkim_input_free(s.input);
    buf_fini(&s.head);
    buf_fini(&s.missing);
    buf_fini(&out);
    arena_free(s.arena);
    return err;
}
