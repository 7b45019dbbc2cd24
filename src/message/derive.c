/* The fields and attachments of a message that lists show, in their JMAP forms. */
#include "message/derive.h"

#include "message/header.h"

#include "base/utf8.h"

#include <string.h>

RECORD_DEFINE(derived_attachment);
RECORD_DEFINE(derived_address);
RECORD_DEFINE(derived_id);
RECORD_DEFINE(derived_fields);

/* The maxima of the record's views, as derive.h says them; the test encodes values of every one. */
#define NAME_MAX_OCTETS 2000
#define EMAIL_MAX 1000
#define ID_MAX 998
#define SUBJECT_MAX 8192
#define DATE_MAX 40
#define SECTION_MAX 200
#define TYPE_MAX 200
#define CONTENT_ID_MAX 1000
#define SUBJECT_SOURCE_MAX (64 * 1024) /* octets as written that can matter for SUBJECT_MAX */
#define DATE_SOURCE_MAX 1000           /* a longer one is no date */

/* Fields are looked for in one pass; RFC8621-4.1.3: of several with one name the last counts. */
enum known { FROM, SENDER, REPLY_TO, TO, CC, BCC, SUBJECT, DATE, MESSAGE_ID, IN_REPLY_TO, REFERENCES, KNOWN };
static const struct view known_names[KNOWN] = {
    [FROM] = VIEW_INIT("From"),
    [SENDER] = VIEW_INIT("Sender"),
    [REPLY_TO] = VIEW_INIT("Reply-To"),
    [TO] = VIEW_INIT("To"),
    [CC] = VIEW_INIT("Cc"),
    [BCC] = VIEW_INIT("Bcc"),
    [SUBJECT] = VIEW_INIT("Subject"),
    [DATE] = VIEW_INIT("Date"),
    [MESSAGE_ID] = VIEW_INIT("Message-ID"),
    [IN_REPLY_TO] = VIEW_INIT("In-Reply-To"),
    [REFERENCES] = VIEW_INIT("References"),
};

struct deriving {
    struct arena *arena;
    const struct charset_table *table;
    struct view values[KNOWN]; /* p == NULL: no such field */
    struct buf scratch;
};

static void find_fields(struct deriving *d, struct view header) {
    struct header_iter it;
    struct header_field field;
    header_iter_init(&it, view_sub(header, 0, MESSAGE_HEADER_MAX));
    for (size_t n = 0; n < MESSAGE_HEADER_FIELDS_MAX && header_next(&it, &field); n++)
        for (size_t i = 0; i < KNOWN; i++)
            if (view_eq_nocase(field.name, known_names[i]))
                d->values[i] = field.value.p != NULL ? field.value : VIEW("");
}

/* Valid UTF-8 of at most max octets that lives in the arena. */
static enum err keep(struct deriving *d, struct view text, size_t max, struct view *out) {
    struct buf clean;
    if (utf8_is_valid(text))
        return arena_view(d->arena, utf8_truncate(text, max), out);
    buf_init(&clean, 3 * text.n + 16);
    buf_put_utf8_lossy(&clean, text);
    enum err err = buf_err(&clean);
    if (err == ERR_OK)
        err = arena_view(d->arena, utf8_truncate(buf_view(&clean), max), out);
    buf_fini(&clean);
    return err;
}

/* ---- fields ---- */

static enum err put_address(struct deriving *d, const struct form_address *from, struct derived_address *list,
                            uint32_t *n) {
    /* One that is longer names nobody (RFC5321-4.5.3.1.3), and cut it would name somebody else. */
    if (from->email.n > EMAIL_MAX)
        return ERR_OK;
    struct derived_address *to = &list[*n];
    to->has_name = from->name.p != NULL;
    if (to->has_name)
        TRY(keep(d, from->name, NAME_MAX_OCTETS, &to->name));
    TRY(keep(d, from->email, EMAIL_MAX, &to->email));
    ++*n;
    return ERR_OK;
}

/* RFC8621-4.1.2.3: the members of groups too, in their order. */
static enum err derive_addresses(struct deriving *d, enum known which, struct derived_address **out, uint32_t *out_n) {
    struct form_groups groups = {0};
    size_t count = 0;
    uint32_t n = 0;
    if (d->values[which].p == NULL)
        return ERR_OK;
    form_groups_parse(d->arena, d->table, d->values[which], &groups);
    for (size_t i = 0; i < groups.count; i++)
        count += groups.list[i].count;
    struct derived_address *list =
        ARENA_ARRAY(d->arena, MIN(count, (size_t)DERIVED_ADDRESSES_MAX), struct derived_address);
    if (list == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < groups.count; i++)
        for (size_t k = 0; k < groups.list[i].count && n < DERIVED_ADDRESSES_MAX; k++)
            TRY(put_address(d, &groups.list[i].list[k], list, &n));
    *out = list;
    *out_n = n;
    return ERR_OK;
}

static enum err derive_ids(struct deriving *d, enum known which, struct derived_id **out, uint32_t *out_n) {
    struct form_strings ids = {0};
    uint32_t n = 0;
    if (d->values[which].p == NULL)
        return ERR_OK;
    form_message_ids_parse(d->arena, d->values[which], &ids);
    struct derived_id *list = ARENA_ARRAY(d->arena, MIN(ids.count, (size_t)DERIVED_IDS_MAX), struct derived_id);
    if (list == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < ids.count && n < DERIVED_IDS_MAX; i++)
        if (ids.list[i].n <= ID_MAX)
            TRY(keep(d, ids.list[i], ID_MAX, &list[n++].id));
    *out = list;
    *out_n = n;
    return ERR_OK;
}

static enum err derive_header(struct deriving *d, struct derived_fields *out) {
    TRY(derive_addresses(d, FROM, &out->from, &out->from_n));
    TRY(derive_addresses(d, SENDER, &out->sender, &out->sender_n));
    TRY(derive_addresses(d, REPLY_TO, &out->reply_to, &out->reply_to_n));
    TRY(derive_addresses(d, TO, &out->to, &out->to_n));
    TRY(derive_addresses(d, CC, &out->cc, &out->cc_n));
    TRY(derive_addresses(d, BCC, &out->bcc, &out->bcc_n));
    TRY(derive_ids(d, MESSAGE_ID, &out->message_id, &out->message_id_n));
    TRY(derive_ids(d, IN_REPLY_TO, &out->in_reply_to, &out->in_reply_to_n));
    TRY(derive_ids(d, REFERENCES, &out->references, &out->references_n));
    out->has_subject = d->values[SUBJECT].p != NULL;
    if (out->has_subject) {
        buf_clear(&d->scratch);
        form_put_text(&d->scratch, d->table, view_sub(d->values[SUBJECT], 0, SUBJECT_SOURCE_MAX));
        TRY(keep(d, buf_view(&d->scratch), SUBJECT_MAX, &out->subject));
    }
    if (d->values[DATE].p != NULL && d->values[DATE].n <= DATE_SOURCE_MAX) {
        buf_clear(&d->scratch);
        if (form_put_date(&d->scratch, d->values[DATE]) && d->scratch.n <= DATE_MAX)
            TRY(arena_view(d->arena, buf_view(&d->scratch), &out->date));
    }
    return ERR_OK;
}

/* ---- attachments ---- */

/* RFC3501-6.4.5: a multipart that is a message's root has no number of its own. */
static void put_section(struct buf *out, const struct mime_part *part) {
    const struct mime_part *chain[MESSAGE_DEPTH_MAX + 1];
    size_t n = 0;
    for (const struct mime_part *p = part; p != NULL && n < ARRAY_LEN(chain); p = p->parent)
        chain[n++] = p;
    while (n-- > 0) {
        uint32_t number = 1;
        if (chain[n]->is_root && chain[n]->is_multipart)
            continue;
        const struct mime_part *parent = chain[n]->parent;
        if (!chain[n]->is_root && parent != NULL)
            for (const struct mime_part *p = parent->first_child; p != NULL && p != chain[n]; p = p->next)
                number++;
        if (out->n > 0)
            buf_put_byte(out, '.');
        buf_put_u64(out, number);
    }
}

static enum err put_type(struct deriving *d, const struct mime_part *part, struct view *out) {
    buf_clear(&d->scratch);
    buf_put(&d->scratch, view_sub(part->type, 0, TYPE_MAX));
    buf_put_byte(&d->scratch, '/');
    buf_put(&d->scratch, view_sub(part->subtype, 0, TYPE_MAX));
    for (size_t i = 0; i < d->scratch.n; i++)
        d->scratch.p[i] = ascii_lower(d->scratch.p[i]);
    return keep(d, buf_view(&d->scratch), TYPE_MAX, out);
}

/* RFC8621-4.1.4 "cid": without angle brackets. */
static struct view content_id(const struct mime_part *part) {
    struct view id = view_trim(part->id);
    if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
        id = view_sub(id, 1, id.n - 2);
    return id;
}

static enum err derive_attachment(struct deriving *d, const struct message *message, const struct mime_part *part,
                                  struct derived_attachment *out) {
    buf_clear(&d->scratch);
    put_section(&d->scratch, part);
    TRY(keep(d, buf_view(&d->scratch), SECTION_MAX, &out->section));
    TRY(put_type(d, part, &out->type));
    buf_clear(&d->scratch);
    mime_part_put_name(&d->scratch, d->table, part);
    TRY(keep(d, buf_view(&d->scratch), ATTACHMENT_NAME_MAX, &out->name));
    TRY(keep(d, view_sub(content_id(part), 0, CONTENT_ID_MAX), CONTENT_ID_MAX, &out->content_id));
    /* RFC2183-2.8: an unrecognized disposition is an attachment */
    out->disposition = part->disposition.n == 0 ? 0 : view_eq_nocase(part->disposition, VIEW("inline")) ? 1 : 2;
    return mime_part_decoded_size(message, part, &out->size);
}

static enum err derive_attachments(struct deriving *d, const struct message *message, struct derived_fields *out) {
    struct message_bodies bodies;
    TRY(message_bodies_find(d->arena, message, &bodies));
    size_t n = MIN(bodies.attachments.count, (size_t)DERIVED_ATTACHMENTS_MAX);
    out->attachments = ARENA_ARRAY(d->arena, n, struct derived_attachment);
    if (out->attachments == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        TRY(derive_attachment(d, message, bodies.attachments.list[i], &out->attachments[i]));
    out->attachments_n = (uint32_t)n;
    out->attachment_count = (uint32_t)bodies.attachments.count;
    out->has_attachment = bodies.has_attachment;
    return ERR_OK;
}

enum err derive_fields(struct arena *arena, const struct charset_table *table, const struct message *message,
                       struct derived_fields *out) {
    struct deriving d = {.arena = arena, .table = table};
    struct derived_fields fields = {0};
    buf_init(&d.scratch, 4 * SUBJECT_SOURCE_MAX);
    find_fields(&d, message_part_header(message, message->root));
    enum err err = derive_header(&d, &fields);
    if (err == ERR_OK)
        err = derive_attachments(&d, message, &fields);
    buf_fini(&d.scratch);
    if (err == ERR_OK)
        *out = fields;
    return err;
}
