/* Messages as JSON: the structure, the headers in their forms, and what a delivery derives. */
#include "cli/show_message.h"

#include "message/bodies.h"
#include "message/forms.h"
#include "message/header.h"
#include "message/preview.h"
#include "message/structure.h"
#include "message/thread.h"

#include "base/utf8.h"

#define FIELD_MAX (1024 * 1024)           /* octets of one decoded value; a longer one is cut */
#define SCRATCH_BUDGET (16 * 1024 * 1024) /* octets: the longest address list there may be */
#define IMAP_TEXT_MAX (64 * 1024 * 1024)  /* octets of ENVELOPE or BODYSTRUCTURE */

struct show {
    const struct message *message;
    const struct charset_table *table;
    struct arena *scratch; /* emptied after every field */
    struct buf text;       /* one value */
    uint32_t path[SECTION_PATH_MAX];
    size_t depth;
};

/* ---- values ---- */

/* JSON is UTF-8: other octets become U+FFFD. */
static json_t *text_value(struct view text) {
    if (text.n == 0)
        return json_string("");
    json_t *value = json_stringn((const char *)text.p, text.n);
    if (value != NULL)
        return value;
    struct buf clean;
    buf_init(&clean, 4 * text.n);
    buf_put_utf8_lossy(&clean, text);
    value = json_stringn((const char *)clean.p, clean.n);
    buf_fini(&clean);
    return value;
}

static json_t *text_or_null(struct view text) {
    return text.p == NULL ? json_null() : text_value(text);
}

/* The value in s->text, which is then empty again. */
static json_t *taken(struct show *s) {
    json_t *value = text_value(buf_view(&s->text));
    buf_clear(&s->text);
    return value;
}

static void put(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value); /* without memory the key is missing */
}

static void put_number(json_t *object, const char *key, uint64_t value) {
    put(object, key, json_integer((json_int_t)value));
}

static json_t *lower(struct show *s, struct view text) {
    for (size_t i = 0; i < text.n; i++)
        buf_put_byte(&s->text, ascii_lower(text.p[i]));
    return taken(s);
}

static json_t *decoded(struct show *s, struct view value) {
    words_decode(s->table, value, &s->text);
    return taken(s);
}

/* ---- fields ---- */

static json_t *addresses_value(const struct form_groups *groups, bool is_flat) {
    json_t *all = json_array();
    for (size_t i = 0; i < groups->count; i++) {
        json_t *list = is_flat ? json_incref(all) : json_array();
        for (size_t j = 0; j < groups->list[i].count; j++) {
            const struct form_address *a = &groups->list[i].list[j];
            json_t *address = json_object();
            put(address, "name", text_or_null(a->name));
            put(address, "email", text_value(a->email));
            (void)json_array_append_new(list, address);
        }
        if (is_flat) {
            json_decref(list);
            continue;
        }
        json_t *group = json_object();
        put(group, "name", text_or_null(groups->list[i].name));
        put(group, "addresses", list);
        (void)json_array_append_new(all, group);
    }
    return all;
}

static json_t *strings_value(const struct form_strings *strings) {
    if (strings->is_null)
        return json_null();
    json_t *all = json_array();
    for (size_t i = 0; i < strings->count; i++)
        (void)json_array_append_new(all, text_value(strings->list[i]));
    return all;
}

static json_t *date_value(struct show *s, struct view value) {
    return form_put_date(&s->text, value) ? taken(s) : json_null();
}

static json_t *text_form(struct show *s, struct view value) {
    form_put_text(&s->text, s->table, value);
    return taken(s);
}

/* RFC8621-4.1.2: a field that has a form of its own is shown in it, every other one as text. */
static void put_form(struct show *s, json_t *object, const struct header_field *field) {
    struct form_groups groups;
    struct form_strings strings;
    if (form_is_allowed(field->name, FORM_TEXT)) {
        put(object, "text", text_form(s, field->value));
    } else if (form_is_allowed(field->name, FORM_GROUPED_ADDRESSES)) {
        bool has_group = false;
        form_groups_parse(s->scratch, s->table, field->value, &groups);
        for (size_t i = 0; i < groups.count; i++)
            has_group |= groups.list[i].name.p != NULL;
        put(object, "addresses", addresses_value(&groups, true));
        if (has_group)
            put(object, "groups", addresses_value(&groups, false));
    } else if (form_is_allowed(field->name, FORM_MESSAGE_IDS)) {
        form_message_ids_parse(s->scratch, field->value, &strings);
        put(object, "message_ids", strings_value(&strings));
    } else if (form_is_allowed(field->name, FORM_URLS)) {
        form_urls_parse(s->scratch, field->value, &strings);
        put(object, "urls", strings_value(&strings));
    } else if (form_is_allowed(field->name, FORM_DATE)) {
        put(object, "date", date_value(s, field->value));
    }
}

static json_t *field_value(struct show *s, const struct header_field *field) {
    json_t *object = json_object();
    put(object, "name", text_value(field->name));
    put(object, "raw", text_value(field->value));
    put_form(s, object, field);
    arena_clear(s->scratch);
    return object;
}

static json_t *header_value(struct show *s, struct view header) {
    struct header_iter it;
    struct header_field field;
    json_t *all = json_array();
    header_iter_init(&it, header);
    while (header_next(&it, &field))
        (void)json_array_append_new(all, field_value(s, &field));
    return all;
}

/* ---- parts ---- */

/* A parameter's name without the marks of RFC2231-3 and 4. */
static struct view plain_name(struct view name) {
    ssize_t star = view_find_byte(name, '*');
    return star > 0 ? view_sub(name, 0, (size_t)star) : name;
}

static json_t *params_value(struct show *s, const struct mime_params *params) {
    json_t *object = json_object();
    for (size_t i = 0; i < params->count; i++) {
        struct view name = plain_name(params->list[i].name);
        bool is_first = true;
        for (size_t j = 0; j < i && is_first; j++)
            is_first = !view_eq_nocase(plain_name(params->list[j].name), name);
        if (!is_first)
            continue;
        json_t *key = lower(s, name);
        if (words_param(s->table, params, name, &s->text) == ERR_OK) {
            json_t *value = taken(s);
            (void)json_object_setn_new(object, json_string_value(key), json_string_length(key), value);
        }
        buf_clear(&s->text);
        json_decref(key);
    }
    return object;
}

static const char *encoding_name(enum mime_encoding encoding) {
    static const char *const names[] = {"7bit", "8bit", "binary", "quoted-printable", "base64", "unknown"};
    return names[encoding];
}

static json_t *type_value(struct show *s, const struct mime_part *part) {
    buf_put(&s->text, part->type);
    buf_put_byte(&s->text, '/');
    buf_put(&s->text, part->subtype);
    for (size_t i = 0; i < s->text.n; i++)
        s->text.p[i] = ascii_lower(s->text.p[i]);
    return taken(s);
}

static json_t *name_value(struct show *s, const struct mime_part *part) {
    mime_part_put_name(&s->text, s->table, part);
    return s->text.n == 0 ? json_null() : taken(s);
}

/* Without decoding it into memory; null when the file cannot be read. */
static json_t *decoded_size(struct show *s, const struct mime_part *part) {
    uint64_t size;
    if (mime_part_decoded_size(s->message, part, &size) != ERR_OK)
        return json_null();
    return json_integer((json_int_t)size);
}

/* "1.2"; null for a multipart that is the root: RFC3501-6.4.5 has no number for it. */
static json_t *section_value(struct show *s) {
    if (s->depth == 0)
        return json_null();
    for (size_t i = 0; i < s->depth; i++)
        buf_printf(&s->text, "%s%u", i == 0 ? "" : ".", s->path[i]);
    return taken(s);
}

static json_t *part_value(struct show *s, const struct mime_part *part);

static json_t *child_value(struct show *s, const struct mime_part *part, uint32_t number) {
    s->path[s->depth++] = number;
    json_t *value = part_value(s, part);
    s->depth--;
    return value;
}

/* The message itself, or the one inside a part: what is no multipart has the number 1. */
static json_t *root_value(struct show *s, const struct mime_part *root) {
    return root->is_multipart ? part_value(s, root) : child_value(s, root, 1);
}

static json_t *part_value(struct show *s, const struct mime_part *part) {
    json_t *object = json_object();
    bool is_text = view_eq_nocase(part->type, VIEW("text"));
    put(object, "section", section_value(s));
    put(object, "type", type_value(s, part));
    put(object, "params", params_value(s, &part->params));
    put(object, "charset", is_text ? lower(s, mime_part_charset(part)) : json_null());
    put(object, "encoding", json_string(encoding_name(part->encoding)));
    put(object, "encoding_written", text_or_null(part->encoding_text));
    put(object, "disposition", part->disposition.p == NULL ? json_null() : lower(s, part->disposition));
    put(object, "disposition_params", params_value(s, &part->disposition_params));
    put(object, "file_name", name_value(s, part));
    put(object, "content_id", text_or_null(part->id));
    put(object, "description", part->description.p == NULL ? json_null() : decoded(s, part->description));
    put(object, "location", text_or_null(part->location));
    put(object, "md5", text_or_null(part->md5));
    json_t *languages = json_array();
    for (size_t i = 0; i < part->language_count; i++)
        (void)json_array_append_new(languages, text_value(part->languages[i]));
    put(object, "languages", languages);
    put_number(object, "header_offset", part->header_offset);
    put_number(object, "header_size", part->header_size);
    put_number(object, "body_offset", part->body_offset);
    put_number(object, "body_size", part->body_size);
    put_number(object, "lines", part->lines);
    if (!part->is_multipart)
        put(object, "decoded_size", decoded_size(s, part));
    put(object, "headers", header_value(s, message_part_header(s->message, part)));
    if (part->is_multipart) {
        json_t *parts = json_array();
        uint32_t number = 1;
        for (const struct mime_part *child = part->first_child; child != NULL; child = child->next)
            (void)json_array_append_new(parts, child_value(s, child, number++));
        put(object, "parts", parts);
    }
    if (part->is_message)
        put(object, "message", root_value(s, part->embedded));
    return object;
}

/* ---- derived ---- */

static json_t *field_text(struct show *s, struct view header, struct view name) {
    struct header_field field;
    return header_find(header, name, &field) ? text_form(s, field.value) : json_null();
}

static json_t *ids_of(const struct thread_ids *ids) {
    json_t *all = json_array();
    for (size_t i = 0; i < ids->count; i++)
        (void)json_array_append_new(all, text_value(ids->list[i]));
    return all;
}

static json_t *imap_text(struct show *s, bool is_envelope) {
    struct buf text;
    buf_init(&text, IMAP_TEXT_MAX);
    if (is_envelope)
        structure_put_envelope(&text, s->scratch, message_part_header(s->message, s->message->root));
    else
        structure_put_body(&text, s->scratch, s->message, true);
    json_t *value = text_value(buf_view(&text));
    buf_fini(&text);
    arena_clear(s->scratch);
    return value;
}

/* RFC3501-6.4.5: the number of a part, as section_value() has it. */
static void put_section(struct buf *out, const struct mime_part *part) {
    if (part->parent != NULL)
        put_section(out, part->parent);
    if (part->is_root && part->is_multipart)
        return;
    uint32_t number = 1;
    if (part->parent != NULL && !part->is_root)
        for (const struct mime_part *child = part->parent->first_child; child != part; child = child->next)
            number++;
    buf_printf(out, "%s%u", out->n == 0 ? "" : ".", number);
}

static json_t *sections_value(struct show *s, const struct message_parts *parts) {
    json_t *all = json_array();
    for (size_t i = 0; i < parts->count; i++) {
        put_section(&s->text, parts->list[i]);
        (void)json_array_append_new(all, taken(s));
    }
    return all;
}

static json_t *attachments_value(struct show *s, const struct message_parts *parts) {
    json_t *all = json_array();
    for (size_t i = 0; i < parts->count; i++) {
        const struct mime_part *part = parts->list[i];
        json_t *row = json_object();
        put_section(&s->text, part);
        put(row, "section", taken(s));
        put(row, "type", type_value(s, part));
        put(row, "disposition", part->disposition.p == NULL ? json_null() : lower(s, part->disposition));
        put(row, "file_name", name_value(s, part));
        put(row, "content_id", text_or_null(part->id));
        put(row, "decoded_size", decoded_size(s, part));
        (void)json_array_append_new(all, row);
    }
    return all;
}

/* RFC8621-4.1.4: what to show, and what to offer. */
static void put_bodies(struct show *s, json_t *object) {
    struct message_bodies bodies;
    if (message_bodies_find(s->scratch, s->message, &bodies) != ERR_OK)
        return;
    put(object, "text_body", sections_value(s, &bodies.text));
    put(object, "html_body", sections_value(s, &bodies.html));
    put(object, "attachments", attachments_value(s, &bodies.attachments));
    put(object, "has_attachment", json_boolean(bodies.has_attachment));
    arena_clear(s->scratch);
}

static json_t *derived_value(struct show *s) {
    json_t *object = json_object();
    struct view header = message_part_header(s->message, s->message->root);
    struct header_field field;
    struct thread_ids references;
    bool is_reply = false;
    put(object, "date", header_find(header, VIEW("Date"), &field) ? date_value(s, field.value) : json_null());
    put(object, "subject", field_text(s, header, VIEW("Subject")));
    if (header_find(header, VIEW("Subject"), &field))
        thread_base_subject(s->table, field.value, &s->text, &is_reply);
    put(object, "base_subject", taken(s));
    put(object, "is_reply", json_boolean(is_reply));
    put(object, "message_id", text_or_null(thread_message_id(s->scratch, header)));
    thread_references(s->scratch, header, &references);
    put(object, "references", ids_of(&references));
    arena_clear(s->scratch);
    message_preview_put(&s->text, s->table, s->message);
    put(object, "preview", taken(s));
    put_bodies(s, object);
    put(object, "envelope", imap_text(s, true));
    put(object, "bodystructure", imap_text(s, false));
    return object;
}

json_t *show_message(const struct message *message, const struct charset_table *table) {
    struct show s = {.message = message, .table = table, .scratch = arena_new("show", SCRATCH_BUDGET)};
    json_t *object = s.scratch == NULL ? NULL : json_object();
    if (object == NULL) {
        arena_free(s.scratch);
        return NULL;
    }
    buf_init(&s.text, FIELD_MAX);
    put_number(object, "size", message->source != NULL ? message->source->size : message->bytes.n);
    put_number(object, "part_count", message->part_count);
    put(object, "degraded", json_boolean(message->degraded));
    put(object, "has_nul", json_boolean(message->has_nul));
    put(object, "derived", derived_value(&s));
    put(object, "structure", root_value(&s, message->root));
    buf_fini(&s.text);
    arena_free(s.scratch);
    return object;
}
