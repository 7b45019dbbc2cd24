/* What is computed once, at delivery, from a message's octets and kept beside them. */
#include "store/sqlite/account_impl.h"

#include "message/date.h"
#include "message/derive.h"
#include "message/header.h"
#include "message/index.h"
#include "message/preview.h"
#include "message/structure.h"
#include "message/thread.h"

#include <string.h>

#define PREVIEW_MAX 1024 /* octets: PREVIEW_CHARACTERS of four */
#define IDS_MAX 16384    /* octets of message ids kept for THREAD */
#define SUBJECT_MAX 8192
#define FIELDS_ARENA ((size_t)8 * 1024 * 1024) /* the fields of one message in parsed form */

/* Moves a buf's octets into the arena; p == NULL when they are too many to keep. */
static enum err keep(struct arena *arena, struct buf *buf, size_t max, struct view *out) {
    enum err err = buf_err(buf);
    *out = VIEW_NONE;
    if (err == ERR_LIMIT || (err == ERR_OK && buf->n > max))
        err = ERR_OK;
    else if (err == ERR_OK)
        err = arena_view(arena, buf_view(buf), out);
    buf_clear(buf);
    return err;
}

static enum err derive_thread(struct sqlite_account *account, struct view header, struct arena *arena, struct buf *buf,
                              struct derived *out) {
    struct thread_ids refs;
    struct header_field field;
    struct view own = thread_message_id(arena, header);
    thread_references(arena, header, &refs);
    if (own.p != NULL && own.n <= IDS_MAX)
        TRY(arena_view(arena, own, &out->message_id)); /* it may point into the message's header, which lives shorter */
    for (size_t i = 0; i < refs.count; i++) {
        buf_put(buf, refs.list[i]);
        buf_put_byte(buf, '\n');
    }
    TRY(keep(arena, buf, IDS_MAX, &out->refs));
    if (header_find(header, VIEW("Subject"), &field))
        thread_base_subject(account->params.charsets, view_sub(field.value, 0, SUBJECT_MAX), buf, NULL);
    uint8_t key[16];
    memcpy(key, account->hash_key, sizeof(key));
    out->keys.subject = thread_subject_key(key, buf_view(buf));
    buf_clear(buf);
    out->keys.ids = ARENA_ARRAY(arena, refs.count + 1, uint64_t);
    if (out->keys.ids == NULL)
        return ERR_NO_MEMORY;
    if (own.p != NULL && own.n > 0)
        out->keys.ids[out->keys.n++] = thread_id_key(key, own);
    for (size_t i = 0; i < refs.count; i++)
        out->keys.ids[out->keys.n++] = thread_id_key(key, refs.list[i]);
    return ERR_OK;
}

/* The longest are left out (readers compute them again) until an item fits a packet. */
static void bound(struct derived *out) {
    struct view *all[] = {&out->envelope, &out->body, &out->bodystructure, &out->part_index, &out->fields};
    for (;;) {
        size_t total = 0, longest = 0;
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            total += all[i]->n;
            if (all[i]->n > all[longest]->n)
                longest = i;
        }
        if (total <= DERIVED_TOTAL_MAX)
            return;
        *all[longest] = VIEW_NONE;
    }
}

/* In an arena of its own: one that is full costs the message nothing but its stored fields. */
static enum err put_fields(struct sqlite_account *account, const struct message *message, struct buf *buf,
                           struct derived *out) {
    struct derived_fields fields;
    struct arena *arena = arena_new("derive_fields", FIELDS_ARENA);
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err = derive_fields(arena, account->params.charsets, message, &fields);
    out->has_attachment = err != ERR_OK ? ATTACHMENT_UNKNOWN : fields.has_attachment ? ATTACHMENT_YES : ATTACHMENT_NO;
    if (err == ERR_OK)
        err = record_encode(&derived_fields_record, &fields, buf);
    arena_free(arena);
    if (err == ERR_LIMIT)
        buf_clear(buf);
    return err == ERR_LIMIT ? ERR_OK : err;
}

static enum err shown_into(struct sqlite_account *account, const struct message *message, struct arena *arena,
                           struct buf *buf, struct derived *out) {
    message_preview_put(buf, account->params.charsets, message);
    TRY(keep(arena, buf, PREVIEW_MAX, &out->preview));
    TRY(put_fields(account, message, buf, out));
    if (buf->n > 0)
        return keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->fields);
    return ERR_OK;
}

static enum err derive_into(struct sqlite_account *account, const struct message *message, struct arena *arena,
                            struct buf *buf, struct derived *out) {
    struct view header = message_part_header(message, message->root);
    out->header_size = message->root->header_size;
    out->lines = message->root->lines;
    structure_put_envelope(buf, arena, header);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->envelope));
    structure_put_body(buf, arena, message, false);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->body));
    structure_put_body(buf, arena, message, true);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->bodystructure));
    message_index_put(buf, message);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->part_index));
    TRY(shown_into(account, message, arena, buf, out));
    TRY(derive_thread(account, header, arena, buf, out));
    struct header_field field;
    struct message_date date;
    if (header_find(header, VIEW("Date"), &field) && message_date_parse(field.value, &date) == ERR_OK &&
        date.unix_s > -INT64_C(100000000000) && date.unix_s < INT64_C(1000000000000))
        out->sent_us = date.unix_s * US_PER_S;
    bound(out);
    return ERR_OK;
}

enum err derive(struct sqlite_account *account, const struct message *message, struct arena *arena,
                struct derived *out) {
    struct buf buf;
    buf_init(&buf, ACCOUNT_DERIVED_MAX);
    *out = (struct derived){0};
    enum err err = derive_into(account, message, arena, &buf, out);
    buf_fini(&buf);
    return err;
}

enum err derive_shown(struct sqlite_account *account, const struct message *message, struct arena *arena,
                      struct derived *out) {
    struct buf buf;
    buf_init(&buf, ACCOUNT_DERIVED_MAX);
    *out = (struct derived){0};
    enum err err = shown_into(account, message, arena, &buf, out);
    buf_fini(&buf);
    return err;
}
