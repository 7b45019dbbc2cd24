/* What is computed once, at delivery, from a message's octets and kept beside them. */
#include "store/sqlite/account_impl.h"

#include "message/date.h"
#include "message/decode.h"
#include "message/header.h"
#include "message/index.h"
#include "message/structure.h"
#include "message/thread.h"

#include "base/utf8.h"

#include <string.h>

/* Together an item must fit a packet; the longest are left out (readers compute them again) until this holds. */
#define DERIVED_TOTAL_MAX (88 * 1024)
#define PREVIEW_CHARS 200        /* RFC8970-3.2: at most 256 characters */
#define PREVIEW_SOURCE_MAX 16384 /* octets of text looked at */
#define IDS_MAX 16384            /* octets of message ids kept for THREAD */
#define SUBJECT_MAX 8192

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

/* RFC8970-3: the beginning of the first text/plain part, white space joined. */
static void put_preview(struct sqlite_account *account, const struct message *message, struct buf *scratch,
                        struct buf *out) {
    const struct mime_part *text = NULL;
    for (const struct mime_part *part = message->root; part != NULL && text == NULL; part = message_part_next(part))
        if (!part->is_multipart && mime_part_is(part, VIEW("text"), VIEW("plain")) &&
            !view_eq_nocase(part->disposition, VIEW("attachment")))
            text = part;
    if (text == NULL)
        return;
    struct mime_part first = *text;
    first.body_size = MIN(first.body_size, (size_t)PREVIEW_SOURCE_MAX);
    decode_put_text(scratch, account->params.charsets, message, &first);
    struct view rest = buf_view(scratch);
    bool is_space = true;
    for (size_t chars = 0; rest.n > 0 && chars < PREVIEW_CHARS;) {
        uint32_t cp;
        size_t n = utf8_decode(rest, &cp);
        if (n == 0)
            break;
        rest = view_skip(rest, n);
        if (cp <= ' ' || cp == 0x7f || cp == 0xa0) {
            is_space = true;
            continue;
        }
        if (is_space && out->n > 0) {
            buf_put_byte(out, ' ');
            chars++;
        }
        is_space = false;
        buf_put_utf8(out, cp);
        chars++;
    }
}

static enum err derive_thread(struct sqlite_account *account, struct view header, struct arena *arena, struct buf *buf,
                              struct derived *out) {
    struct thread_ids refs;
    struct header_field field;
    struct view own = thread_message_id(arena, header);
    thread_references(arena, header, &refs);
    if (own.n <= IDS_MAX)
        out->message_id = own;
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

static void bound(struct derived *out) {
    struct view *all[] = {&out->envelope, &out->body, &out->bodystructure, &out->part_index};
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

static enum err derive_into(struct sqlite_account *account, struct view bytes, struct arena *arena, struct buf *buf,
                            struct buf *scratch, struct derived *out) {
    struct message message;
    TRY(message_parse(arena, bytes, &message));
    struct view header = message_part_header(&message, message.root);
    out->header_size = message.root->header_size;
    out->lines = message.root->lines;
    structure_put_envelope(buf, arena, header);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->envelope));
    structure_put_body(buf, arena, &message, false);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->body));
    structure_put_body(buf, arena, &message, true);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->bodystructure));
    message_index_put(buf, &message);
    TRY(keep(arena, buf, ACCOUNT_DERIVED_MAX, &out->part_index));
    put_preview(account, &message, scratch, buf);
    TRY(keep(arena, buf, 1024, &out->preview));
    TRY(derive_thread(account, header, arena, buf, out));
    struct header_field field;
    struct message_date date;
    if (header_find(header, VIEW("Date"), &field) && message_date_parse(field.value, &date) == ERR_OK &&
        date.unix_s > -INT64_C(100000000000) && date.unix_s < INT64_C(1000000000000))
        out->sent_us = date.unix_s * US_PER_S;
    bound(out);
    return ERR_OK;
}

enum err derive(struct sqlite_account *account, struct view bytes, struct arena *arena, struct derived *out) {
    struct buf buf, scratch;
    buf_init(&buf, ACCOUNT_DERIVED_MAX);
    buf_init(&scratch, (size_t)PREVIEW_SOURCE_MAX * 4);
    *out = (struct derived){0};
    enum err err = derive_into(account, bytes, arena, &buf, &scratch, out);
    buf_fini(&buf);
    buf_fini(&scratch);
    return err;
}
