/* Which parts are shown and which are attachments. */
#include "message/bodies.h"

#include "message/words.h"

#include "base/utf8.h"

struct lists {
    struct message_parts text, html, attachments;
    size_t capacity;
};

static void push(struct message_parts *parts, size_t capacity, const struct mime_part *part) {
    /* A part comes at most once into each list, so that they hold all. */
    if (parts->count < capacity)
        parts->list[parts->count++] = part;
}

static bool is_inline_media(const struct mime_part *part) {
    return view_eq_nocase(part->type, VIEW("image")) || view_eq_nocase(part->type, VIEW("audio")) ||
           view_eq_nocase(part->type, VIEW("video"));
}

/* Does any parameter of that name exist, in whatever encoding? */
static bool has_param(const struct mime_params *params, struct view name) {
    for (size_t i = 0; i < params->count; i++) {
        struct view key = params->list[i].name;
        if (view_starts_nocase(key, name) && (key.n == name.n || key.p[name.n] == '*') && params->list[i].value.n > 0)
            return true;
    }
    return false;
}

static bool has_name(const struct mime_part *part) {
    return has_param(&part->disposition_params, VIEW("filename")) || has_param(&part->params, VIEW("name"));
}

static bool is_body(const struct mime_part *part, const struct mime_part *multipart, size_t i) {
    if (view_eq_nocase(part->disposition, VIEW("attachment")))
        return false;
    if (!mime_part_is(part, VIEW("text"), VIEW("plain")) && !mime_part_is(part, VIEW("text"), VIEW("html")) &&
        !is_inline_media(part))
        return false;
    /* Of a multipart/related only the first part can be inline; a text part with a file name that is not the first one is
     * taken for an attachment. */
    bool is_related = multipart != NULL && view_eq_nocase(multipart->subtype, VIEW("related"));
    return i == 0 || (!is_related && (is_inline_media(part) || !has_name(part)));
}

/* Is any multipart around it, up to the message it belongs to, an alternative? */
static bool in_alternative(const struct mime_part *part) {
    for (const struct mime_part *p = part->parent; p != NULL && p->is_multipart; p = p->is_root ? NULL : p->parent)
        if (view_eq_nocase(p->subtype, VIEW("alternative")))
            return true;
    return false;
}

/* RFC8621-4.1.4: the variables of parseStructure() for one multipart. */
struct level {
    size_t text_length, html_length;
    bool has_text, has_html; /* false where textBody, htmlBody are null */
    size_t i;                /* number of the next part */
};

static void put_body(struct lists *lists, struct level *level, const struct mime_part *part) {
    const struct mime_part *multipart = part->is_root ? NULL : part->parent;
    bool is_plain = mime_part_is(part, VIEW("text"), VIEW("plain"));
    bool is_html = mime_part_is(part, VIEW("text"), VIEW("html"));
    if (multipart != NULL && view_eq_nocase(multipart->subtype, VIEW("alternative"))) {
        struct message_parts *parts = is_plain ? &lists->text : is_html ? &lists->html : &lists->attachments;
        /* Inside of the other form there is no such list. */
        if ((is_plain && !level->has_text) || (is_html && !level->has_html))
            parts = &lists->attachments;
        push(parts, lists->capacity, part);
        return;
    }
    if (in_alternative(part)) {
        if (is_plain)
            level->has_html = false;
        if (is_html)
            level->has_text = false;
    }
    if (level->has_text)
        push(&lists->text, lists->capacity, part);
    if (level->has_html)
        push(&lists->html, lists->capacity, part);
    if ((!level->has_text || !level->has_html) && is_inline_media(part))
        push(&lists->attachments, lists->capacity, part);
}

/* RFC8621-4.1.4: of an alternative that gave only one form, that form stands for both. */
static void end_multipart(struct lists *lists, const struct level *level, const struct mime_part *multipart) {
    if (!view_eq_nocase(multipart->subtype, VIEW("alternative")) || !level->has_text || !level->has_html)
        return;
    size_t text = lists->text.count, html = lists->html.count;
    if (text == level->text_length && html != level->html_length)
        for (size_t i = level->html_length; i < html; i++)
            push(&lists->text, lists->capacity, lists->html.list[i]);
    if (html == level->html_length && text != level->text_length)
        for (size_t i = level->text_length; i < text; i++)
            push(&lists->html, lists->capacity, lists->text.list[i]);
}

static void begin_multipart(const struct lists *lists, const struct level *outer, struct level *level) {
    *level = (struct level){.text_length = lists->text.count,
                            .html_length = lists->html.count,
                            .has_text = outer->has_text,
                            .has_html = outer->has_html};
}

enum err message_bodies_find(struct arena *arena, const struct message *message, struct message_bodies *out) {
    struct lists lists = {.capacity = message->part_count};
    struct message_parts *all[] = {&lists.text, &lists.html, &lists.attachments};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i]->list = ARENA_ARRAY(arena, lists.capacity, const struct mime_part *);
        if (all[i]->list == NULL)
            return ERR_LIMIT;
    }
    /* The walk of parseStructure(), without recursion: one level a multipart. */
    struct level levels[MESSAGE_DEPTH_MAX + 1] = {{.has_text = true, .has_html = true}};
    size_t depth = 0;
    const struct mime_part *part = message->root;
    while (part != NULL) {
        struct level *level = &levels[depth];
        if (part->is_multipart) {
            level->i++;
            begin_multipart(&lists, level, &levels[++depth]);
            part = part->first_child;
            continue;
        }
        if (is_body(part, part->is_root ? NULL : part->parent, level->i))
            put_body(&lists, level, part);
        else
            push(&lists.attachments, lists.capacity, part);
        level->i++;
        /* Messages inside are attachments as a whole. */
        while (part != message->root && part->next == NULL) {
            part = part->parent;
            end_multipart(&lists, &levels[depth--], part);
        }
        part = part == message->root ? NULL : part->next;
    }
    out->text = lists.text;
    out->html = lists.html;
    out->attachments = lists.attachments;
    out->has_attachment = false;
    for (size_t i = 0; i < lists.attachments.count; i++)
        out->has_attachment |= !view_eq_nocase(lists.attachments.list[i]->disposition, VIEW("inline"));
    return ERR_OK;
}

/* -- Names and sizes ------------------------------------------------------------------------------ */

/* What is longer than an extension can be is none. */
#define EXTENSION_MAX 20

static void put_cut(struct buf *out, struct view name) {
    if (name.n <= ATTACHMENT_NAME_MAX) {
        buf_put(out, name);
        return;
    }
    ssize_t dot = view_rfind_byte(name, '.');
    struct view extension = dot > 0 ? view_skip(name, (size_t)dot) : VIEW_NONE;
    if (extension.n > EXTENSION_MAX)
        extension = VIEW_NONE;
    buf_put(out, utf8_truncate(name, ATTACHMENT_NAME_MAX - extension.n));
    buf_put(out, extension);
}

void mime_part_put_name(struct buf *out, const struct charset_table *table, const struct mime_part *part) {
    const struct {
        const struct mime_params *params;
        struct view name;
    } places[] = {{&part->disposition_params, VIEW("filename")}, {&part->params, VIEW("name")}};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct buf name;
        size_t total = 0;
        for (size_t k = 0; k < places[i].params->count; k++)
            total += places[i].params->list[k].value.n;
        /* No charset makes more of an octet. */
        buf_init(&name, 16 * total + 64);
        enum err err = words_param(table, places[i].params, places[i].name, &name);
        bool found = err == ERR_OK && view_trim(buf_view(&name)).n > 0;
        if (found)
            put_cut(out, view_trim(buf_view(&name)));
        else if (err != ERR_OK && err != ERR_NOT_FOUND && out->err == ERR_OK)
            out->err = err;
        buf_fini(&name);
        if (found)
            return;
    }
}

enum err mime_part_decoded_size(const struct message *message, const struct mime_part *part, uint64_t *out) {
    if (part->encoding != MIME_ENCODING_BASE64 && part->encoding != MIME_ENCODING_QUOTED_PRINTABLE) {
        *out = part->body_size;
        return ERR_OK;
    }
    struct buf window, decoded;
    struct decoder decoder;
    uint64_t size = 0;
    size_t at = 0;
    enum err err = ERR_OK;
    buf_init(&window, MESSAGE_WINDOW);
    buf_init(&decoded, (size_t)2 * MESSAGE_WINDOW + DECODE_HELD_MAX);
    decoder_init(&decoder, part->encoding);
    while (err == ERR_OK) {
        struct view piece;
        err = message_body_read(message, part, at, MESSAGE_WINDOW, &window, &piece);
        if (err != ERR_OK || piece.n == 0)
            break;
        at += piece.n;
        decoder_feed(&decoder, &decoded, piece);
        size += decoded.n;
        err = buf_err(&decoded);
        buf_clear(&decoded);
    }
    if (err == ERR_OK) {
        decoder_end(&decoder, &decoded);
        size += decoded.n;
        err = buf_err(&decoded);
    }
    buf_fini(&window);
    buf_fini(&decoded);
    if (err == ERR_OK)
        *out = size;
    return err;
}
