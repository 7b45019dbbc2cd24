/* Our reading of a message, for comparison. */
#include "compare.h"

#include "message/date.h"
#include "message/decode.h"
#include "message/forms.h"
#include "message/header.h"

#define TEXT_MAX ((size_t)256 * 1024 * 1024)

struct ours {
    const struct message *message;
    const struct charset_table *table;
    struct arena *arena;
    bool full;
};

static json_t *text_form(const struct ours *o, struct view value) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    form_put_text(&text, o->table, value);
    json_t *string = compare_text(buf_view(&text));
    buf_fini(&text);
    return string;
}

static json_t *range(size_t offset, size_t size) {
    return json_pack("[I, I]", (json_int_t)offset, (json_int_t)size);
}

static void put_leaf(const struct ours *o, const struct mime_part *part, json_t *object) {
    struct buf body;
    buf_init(&body, TEXT_MAX);
    decode_put_body(&body, o->message, part);
    compare_put_body(object, buf_view(&body), false, o->full);
    if (view_eq_nocase(part->type, VIEW("text"))) {
        buf_clear(&body);
        decode_put_text(&body, o->table, o->message, part);
        compare_put_body(object, buf_view(&body), true, o->full);
    }
    buf_fini(&body);
}

static json_t *part_value(const struct ours *o, const struct mime_part *part) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_put(&text, part->type);
    buf_put_byte(&text, '/');
    buf_put(&text, part->subtype);
    for (size_t i = 0; i < text.n; i++)
        text.p[i] = ascii_lower(text.p[i]);
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:b, s:b, s:b}", "type", compare_text(buf_view(&text)), "header_at",
                  range(part->header_offset, part->header_size), "body_at", range(part->body_offset, part->body_size),
                  "has_type", part->has_type, "was_multipart", part->was_multipart, "degraded", o->message->degraded);
    buf_clear(&text);
    if (words_param(o->table, &part->disposition_params, VIEW("filename"), &text) == ERR_OK ||
        words_param(o->table, &part->params, VIEW("name"), &text) == ERR_OK)
        (void)json_object_set_new(object, "name", compare_text(buf_view(&text)));
    buf_fini(&text);
    if (part->is_multipart) {
        json_t *parts = json_array();
        for (const struct mime_part *child = part->first_child; child != NULL; child = child->next)
            (void)json_array_append_new(parts, part_value(o, child));
        (void)json_object_set_new(object, "parts", parts);
    } else if (part->is_message) {
        (void)json_object_set_new(object, "message", part_value(o, part->embedded));
    } else {
        put_leaf(o, part, object);
    }
    return object;
}

/* All fields of that name; RFC5322-3.6.3 allows one. */
static json_t *addresses(const struct ours *o, struct view name) {
    struct header_iter it;
    struct header_field field;
    json_t *all = json_array();
    header_iter_init(&it, message_part_header(o->message, o->message->root));
    while (header_next(&it, &field)) {
        struct form_groups groups;
        if (!view_eq_nocase(field.name, name))
            continue;
        form_groups_parse(o->arena, o->table, field.value, &groups);
        for (size_t i = 0; i < groups.count; i++)
            for (size_t j = 0; j < groups.list[i].count; j++) {
                const struct form_address *a = &groups.list[i].list[j];
                (void)json_array_append_new(all,
                                            json_pack("[o, o]", a->name.p == NULL ? json_null() : compare_text(a->name),
                                                      compare_text(a->email)));
            }
    }
    return all;
}

json_t *read_ours(struct view bytes, const struct charset_table *table, bool full) {
    struct message message;
    struct ours o = {&message, table, arena_new("compare", 4 * MESSAGE_ARENA_BUDGET), full};
    if (o.arena == NULL || message_parse(o.arena, bytes, &message) != ERR_OK) {
        arena_free(o.arena);
        return NULL;
    }
    struct view header = message_part_header(&message, message.root);
    struct header_field field;
    struct message_date date;
    bool has_subject = header_find(header, VIEW("Subject"), &field);
    json_t *subject = has_subject ? text_form(&o, field.value) : json_null();
    bool has_date = header_find(header, VIEW("Date"), &field) && message_date_parse(field.value, &date) == ERR_OK;
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "tree", part_value(&o, message.root), "subject", subject, "date",
                  has_date ? json_integer(date.unix_s) : json_null(), "from", addresses(&o, VIEW("From")), "to",
                  addresses(&o, VIEW("To")), "cc", addresses(&o, VIEW("Cc")));
    arena_free(o.arena);
    return object;
}
