/* A session as octets: what outlives one command, and nothing else (DESIGN.md section 3). */
#include "imap/engine.h"

#include <stdlib.h>
#include <string.h>

#define SAVED_MAX ((size_t)128 * 1024 * 1024) /* three maps of SEQMAP_RANGES_MAX */

/* clang-format off */
#define R_imap_own_saved(F, S) F(S, U32, uid) F(S, U64, modseq)
#define R_imap_saved(F, S)                                                                                            \
    F(S, VIEW, unread, IMAP_INPUT_MAX) F(S, U64, continued) F(S, VIEW, unsent, IMAP_OUT_MAX)                          \
    F(S, VIEW, login_tag, IMAP_TAG_MAX) F(S, VIEW, idle_tag, IMAP_TAG_MAX)                                            \
    F(S, LIST, client_id, imap_id_field, IMAP_ID_FIELDS_MAX)                                                          \
    F(S, U64, append_max) F(S, I64, idle_timeout_us) F(S, U32, bad) F(S, U32, bad_max)                                \
    F(S, U64, mailbox) F(S, BOOL, is_readonly) F(S, U32, uidvalidity) F(S, U32, uidnext) F(S, U64, modseq)            \
    F(S, U32, told_recent) F(S, LIST, told, uid_range, SEQMAP_RANGES_MAX) F(S, LIST, gone, uid_range, SEQMAP_RANGES_MAX) \
    F(S, LIST, recent, uid_range, SEQMAP_RANGES_MAX) F(S, LIST, keywords, keyword, ACCOUNT_BATCH_MAX)                 \
    F(S, LIST, own, imap_own_saved, IMAP_OWN_MAX)
/* clang-format on */
RECORD_DECLARE(imap_own_saved);
RECORD_DECLARE(imap_saved);
RECORD_DEFINE(imap_own_saved);
RECORD_DEFINE(imap_saved);

static enum err map_to_list(const struct seqmap *map, struct arena *arena, struct uid_range **list, uint32_t *n) {
    struct uid_range *out = ARENA_ARRAY(arena, MAX(map->ranges.n, 1), struct uid_range);
    if (out == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < map->ranges.n; i++) {
        const struct seqmap_range *r = VEC_AT(&map->ranges, struct seqmap_range, i);
        out[i] = (struct uid_range){.first = r->first, .last = r->last};
    }
    *list = out;
    *n = (uint32_t)map->ranges.n;
    return ERR_OK;
}

static enum err list_to_map(const struct uid_range *list, uint32_t n, struct seqmap *map) {
    for (uint32_t i = 0; i < n; i++) {
        /* In order and apart: then the numbers are those that were saved. */
        if (list[i].first <= seqmap_last(map))
            return ERR_SYNTAX;
        TRY(seqmap_add(map, list[i].first, list[i].last));
    }
    return ERR_OK;
}

static enum err fill(const struct imap_session *s, struct arena *arena, struct imap_saved *saved) {
    const struct imap_selected *sel = &s->sel;
    *saved = (struct imap_saved){
        .unread = imap_wire_unread(&s->wire),
        .continued = s->wire.continued,
        .unsent = buf_view(&s->out.buf),
        .login_tag = view_of(s->login_tag, s->login_tag_n),
        .idle_tag = view_of(s->idle_tag, s->idle_tag_n),
        .client_id = s->client_id.list,
        .client_id_n = s->client_id.n,
        .append_max = s->append_max,
        .idle_timeout_us = s->idle_timeout_us,
        .bad = s->bad,
        .bad_max = s->bad_max,
        .mailbox = sel->id,
        .is_readonly = sel->is_readonly,
        .uidvalidity = sel->uidvalidity,
        .uidnext = sel->uidnext,
        .modseq = sel->modseq,
        .told_recent = sel->told_recent,
    };
    TRY(map_to_list(&sel->told, arena, &saved->told, &saved->told_n));
    TRY(map_to_list(&sel->gone, arena, &saved->gone, &saved->gone_n));
    TRY(map_to_list(&sel->recent, arena, &saved->recent, &saved->recent_n));
    saved->keywords = ARENA_ARRAY(arena, MAX(sel->keywords.n, 1), struct keyword);
    saved->own = ARENA_ARRAY(arena, MAX(sel->own.n, 1), struct imap_own_saved);
    if (saved->keywords == NULL || saved->own == NULL)
        return ERR_NO_MEMORY;
    VEC_EACH(&sel->keywords, struct imap_keyword, keyword) {
        saved->keywords[saved->keywords_n++].name = view_of(keyword->text, keyword->n);
    }
    VEC_EACH(&sel->own, struct imap_own, own) {
        saved->own[saved->own_n++] = (struct imap_own_saved){.uid = own->uid, .modseq = own->modseq};
    }
    return ERR_OK;
}

enum err imap_session_save(const struct imap_session *s, struct buf *out) {
    struct arena *arena = arena_new("imap_save", SAVED_MAX);
    struct imap_saved saved;
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err = fill(s, arena, &saved);
    if (err == ERR_OK)
        err = record_encode(&imap_saved_record, &saved, out);
    arena_free(arena);
    return err;
}

static enum err take_keywords(struct imap_session *s, const struct imap_saved *saved) {
    for (uint32_t i = 0; i < saved->keywords_n; i++) {
        struct imap_keyword *keyword = vec_add(&s->sel.keywords);
        struct view name = saved->keywords[i].name;
        if (keyword == NULL)
            return ERR_NO_MEMORY;
        keyword->n = (uint8_t)name.n; /* the record's maximum is ACCOUNT_KEYWORD_MAX */
        if (name.n > 0)
            memcpy(keyword->text, name.p, name.n);
    }
    for (uint32_t i = 0; i < saved->own_n; i++)
        imap_remember_own(s, saved->own[i].uid, saved->own[i].modseq);
    return ERR_OK;
}

static size_t take_tag(uint8_t *to, struct view tag) {
    if (tag.n > 0)
        memcpy(to, tag.p, tag.n);
    return tag.n;
}

static enum err take(struct imap_session *s, const struct imap_saved *saved) {
    struct imap_selected *sel = &s->sel;
    s->wire.continued = saved->continued;
    buf_put(&s->out.buf, saved->unsent);
    s->login_tag_n = take_tag(s->login_tag, saved->login_tag);
    s->idle_tag_n = take_tag(s->idle_tag, saved->idle_tag);
    s->append_max = saved->append_max;
    s->idle_timeout_us = saved->idle_timeout_us;
    s->bad = saved->bad;
    s->bad_max = saved->bad_max;
    sel->id = saved->mailbox;
    sel->is_readonly = saved->is_readonly;
    sel->uidvalidity = saved->uidvalidity;
    sel->uidnext = saved->uidnext;
    sel->modseq = saved->modseq;
    sel->told_recent = saved->told_recent;
    s->client_id.list = ARENA_ARRAY(s->keep, MAX(saved->client_id_n, 1), struct imap_id_field);
    if (s->client_id.list == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < saved->client_id_n; i++) {
        TRY(record_copy(&imap_id_field_record, &saved->client_id[i], s->keep, &s->client_id.list[i]));
        s->client_id.n = i + 1;
    }
    TRY(list_to_map(saved->told, saved->told_n, &sel->told));
    TRY(list_to_map(saved->gone, saved->gone_n, &sel->gone));
    TRY(list_to_map(saved->recent, saved->recent_n, &sel->recent));
    TRY(take_keywords(s, saved));
    /* What happened meanwhile was seen by nobody. */
    s->is_noted = true;
    return buf_err(&s->out.buf);
}

enum err imap_session_restore(const struct imap_session_params *params, struct view bytes, struct imap_session **out) {
    struct arena *arena = arena_new("imap_restore", SAVED_MAX);
    struct imap_saved saved;
    struct imap_session *s = NULL;
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err = record_decode(&imap_saved_record, bytes, arena, &saved);
    if (err == ERR_OK)
        err = imap_session_create(params, saved.unread, &s);
    if (err == ERR_OK)
        err = take(s, &saved);
    arena_free(arena);
    if (err != ERR_OK) {
        imap_session_free(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}
