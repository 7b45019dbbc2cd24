/* The report in a mail (RFC9990-3.5.2): which attachment it is. */
#include "dmarc/aggregate.h"

#include "message/bodies.h"

/* How likely a part is the report; the likeliest are tried first. */
enum likeness { UNLIKELY, BY_NAME, BY_TYPE };

static const char *const packed_types[] = {
    "gzip",         "x-gzip",     "gunzip", "x-gunzip", "gzipped",        "gzip-compressed",
    "x-compressed", "x-compress", "zip",    "x-zip",    "zip-compressed", "x-zip-compressed",
};
static const char *const names[] = {".xml", ".xml.gz", ".gz", ".gzip", ".zip"};

static enum likeness likeness_of(const struct mime_part *part, struct buf *name) {
    if (part->is_multipart || part->is_message || part->was_multipart)
        return UNLIKELY;
    if (view_eq_nocase(part->subtype, VIEW("xml")) &&
        (view_eq_nocase(part->type, VIEW("text")) || view_eq_nocase(part->type, VIEW("application"))))
        return BY_TYPE;
    for (size_t i = 0; i < ARRAY_LEN(packed_types) && view_eq_nocase(part->type, VIEW("application")); i++) {
        if (view_eq_nocase(part->subtype, view_cstr(packed_types[i])))
            return BY_TYPE;
    }
    /* Names of reports are ASCII: no charset is needed to know one. */
    buf_clear(name);
    mime_part_put_name(name, NULL, part);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (view_ends_nocase(view_trim(buf_view(name)), view_cstr(names[i])))
            return BY_NAME;
    }
    return UNLIKELY;
}

static enum err read_part(struct arena *arena, const struct message *message, const struct mime_part *part,
                          struct aggregate_report *out) {
    struct buf file, xml;
    buf_init(&file, AGGREGATE_XML_MAX);
    buf_init(&xml, AGGREGATE_XML_MAX);
    decode_put_body(&file, message, part);
    enum err err = buf_err(&file);
    if (err == ERR_OK)
        err = aggregate_unpack(buf_view(&file), &xml);
    if (err == ERR_OK)
        err = aggregate_read(arena, buf_view(&xml), out);
    buf_fini(&file);
    buf_fini(&xml);
    return err;
}

enum err aggregate_read_message(struct arena *arena, const struct message *message, struct aggregate_report *out) {
    struct buf name;
    enum err first = ERR_NOT_FOUND;
    size_t tried = 0;
    buf_init(&name, 4 * ATTACHMENT_NAME_MAX);
    for (enum likeness wanted = BY_TYPE; wanted >= BY_NAME && tried < AGGREGATE_FILES_MAX; wanted--) {
        const struct mime_part *part = message->root;
        for (; part != NULL && tried < AGGREGATE_FILES_MAX; part = message_part_next(part)) {
            if (likeness_of(part, &name) != wanted)
                continue;
            tried++;
            enum err err = read_part(arena, message, part, out);
            if (err == ERR_OK || err == ERR_CANCELED) {
                buf_fini(&name);
                return err;
            }
            if (first == ERR_NOT_FOUND)
                first = err;
        }
    }
    buf_fini(&name);
    return first;
}
