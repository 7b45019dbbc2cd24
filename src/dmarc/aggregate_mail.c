/* The mail of a report (RFC9990-3.5.2): which attachment it is, and the mail written. */
#include "dmarc/aggregate.h"

#include "inflate/inflate.h"
#include "message/bodies.h"

#define SHORT_MAX 2048 /* octets of a file's name, a subject, the text: two domains and an id of 255, and words */

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
    buf_fini(&file); /* before the reading needs as much */
    if (err == ERR_OK)
        err = aggregate_read(arena, buf_view(&xml), out);
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

/* ---- writing */

struct to_buf {
    struct builder_sink sink;
    struct buf *buf;
};

static enum err write_to_buf(struct builder_sink *sink, struct view octets) {
    struct to_buf *to = (struct to_buf *)sink;
    buf_put(to->buf, octets);
    return buf_err(to->buf);
}

static enum err put_address(struct arena *arena, struct builder *b, struct view name, struct view text) {
    struct address_list list;
    address_parse(arena, text, &list);
    return list.count == 0 ? ERR_SYNTAX : builder_addresses(b, name, list.list, list.count);
}

static enum err add(struct builder_part *multipart, struct builder_part *part) {
    return part == NULL ? ERR_LIMIT : builder_add(multipart, part);
}

/* What the mail is made of, kept until it is written. */
struct pieces {
    struct buf xml, file, name, subject, text;
};

static enum err prepare(struct pieces *p, const struct aggregate_mail *mail, const struct aggregate_report *report) {
    TRY(aggregate_put(&p->xml, report));
    buf_put_gzip(&p->file, buf_view(&p->xml));
    TRY(buf_err(&p->file));
    TRY(aggregate_put_file_name(&p->name, mail->receiver, report, mail->unique_id));
    TRY(aggregate_put_subject(&p->subject, mail->receiver, report));
    buf_put_str(&p->text, "This is a DMARC aggregate report from ");
    buf_put(&p->text, mail->receiver);
    buf_put_str(&p->text, " about mail that\nsaid it was from ");
    buf_put(&p->text, report->domain);
    buf_put_str(&p->text, ". The domain's DMARC record asks for it.\n");
    return buf_err(&p->text);
}

static enum err write_mail(struct arena *arena, struct buf *buf, const struct aggregate_mail *mail, struct pieces *p) {
    struct builder *b = builder_new(arena, &mail->options);
    struct builder_part *root = b == NULL ? NULL : builder_multipart(b, VIEW("mixed"));
    struct message_source_memory file;
    struct to_buf to = {{write_to_buf}, buf};
    if (root == NULL)
        return ERR_LIMIT;
    TRY(put_address(arena, b, VIEW("From"), mail->from));
    TRY(put_address(arena, b, VIEW("To"), mail->to));
    TRY(builder_text(b, VIEW("Subject"), buf_view(&p->subject)));
    TRY(builder_structured(b, VIEW("Auto-Submitted"), VIEW("auto-generated"))); /* RFC3834-5 */
    TRY(add(root, builder_leaf(b, VIEW("text/plain"), buf_view(&p->text))));
    message_source_memory_init(&file, buf_view(&p->file));
    struct builder_part *part = builder_leaf_source(b, VIEW("application/gzip"), &file.source);
    TRY(add(root, part));
    TRY(builder_disposition(part, VIEW("attachment"), buf_view(&p->name)));
    return builder_write(b, root, &to.sink);
}

enum err aggregate_put_mail(struct arena *arena, struct buf *buf, const struct aggregate_mail *mail,
                            const struct aggregate_report *report) {
    struct pieces p;
    buf_init(&p.xml, AGGREGATE_XML_MAX);
    buf_init(&p.file, AGGREGATE_PACKED_MAX);
    buf_init(&p.name, SHORT_MAX);
    buf_init(&p.subject, SHORT_MAX);
    buf_init(&p.text, SHORT_MAX);
    enum err err = prepare(&p, mail, report);
    if (err == ERR_OK)
        err = write_mail(arena, buf, mail, &p);
    buf_fini(&p.xml);
    buf_fini(&p.file);
    buf_fini(&p.name);
    buf_fini(&p.subject);
    buf_fini(&p.text);
    return err;
}
