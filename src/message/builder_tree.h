/* Inside of the builder: the tree that builder.c makes, builder_scan.c looks over and builder_write.c writes. */
#ifndef MESSAGE_BUILDER_TREE_H
#define MESSAGE_BUILDER_TREE_H

#include "message/builder.h"
#include "message/encode.h"
#include "message/fold.h"

#define BUILDER_FIELD_MAX (1024 * 1024) /* octets of one field: ADDRESSES_MAX addresses of 100 octets */
/* "=_" cannot occur in quoted-printable and base64; a digit counts attempts, then 16 random octets. */
#define BUILDER_BOUNDARY_STEM (2 + 1 + 32)
#define BUILDER_ATTEMPTS_MAX 10

enum builder_kind {
    BUILDER_TEXT,      /* octets that are lines: their line ends become CRLF */
    BUILDER_OCTETS,    /* kept */
    BUILDER_MULTIPART, /* children */
    BUILDER_MESSAGE,   /* a message, kept, with a Content-Type of its own */
    BUILDER_ENTITY,    /* kept, with the header it brings along */
};

/* Fields of a part that come once. */
enum builder_once { BUILDER_ID, BUILDER_DESCRIPTION, BUILDER_DISPOSITION, BUILDER_LANGUAGE };

/* One field, laid out. */
struct builder_field {
    struct builder_field *next;
    struct view text;
};

struct builder_fields {
    struct builder_field *first, *last;
};

struct builder_parameter {
    struct builder_parameter *next;
    struct view name, value;
};

struct builder_part {
    struct builder *builder;
    struct builder_part *parent, *next, *first_child, *last_child;
    size_t child_count;
    enum builder_kind kind;
    struct view type; /* "type/subtype" */
    struct builder_parameter *params, *params_last;
    size_t param_pieces;          /* that they may take at most, when written by RFC2231-3 */
    struct builder_fields fields; /* Content-ID and so on */
    uint32_t seen;                /* which of them, bits of enum builder_once */

    struct message_source_memory memory; /* of a leaf in memory */
    struct message_source *source;

    /* What the look over the contents found. */
    struct encode_scan scan;
    enum mime_encoding encoding;
    bool is_signed;    /* below the first part of a multipart/signed */
    bool as_global;    /* a message that only message/global may encode */
    uint32_t boundary; /* number of a multipart's boundary */
};

struct builder {
    struct arena *arena;
    struct builder_options options;
    struct builder_fields fields;
    size_t part_count;
    uint32_t seen; /* bits of fields that may come once, see builder_header.c */
    char stem[BUILDER_BOUNDARY_STEM + 1];
};

/* Appends what was laid out in `field`, and its error. */
enum err builder_fields_add(struct builder *b, struct builder_fields *fields, const struct buf *field) MUST_CHECK;
/* A field of a part: begin, put words, finish. ERR_EXISTS when it is there already, ERR_SYNTAX for an entity. */
enum err builder_part_begin(struct builder_part *part, struct fold *f, struct buf *out, struct view name,
                            int once) MUST_CHECK;
enum err builder_part_finish(struct builder_part *part, struct fold *f, int once) MUST_CHECK;
bool builder_has_date(const struct builder *b);
bool builder_has_message_id(const struct builder *b);

/* The part after `part` in document order, below root; NULL at the end. */
struct builder_part *builder_part_next(struct builder_part *part, const struct builder_part *root);
/* The part's content in pieces, with the line ends that it will have. Errors of the source and of take(). */
enum err builder_content(struct builder_part *part, enum err (*take)(void *arg, struct view octets),
                         void *arg) MUST_CHECK;

/* Looks over all contents below `root`, and chooses encodings and boundaries. Errors of sources; ERR_SYNTAX: a tree that
 * cannot be written. */
enum err builder_scan(struct builder *b, struct builder_part *root, bool as_signed) MUST_CHECK;

#endif
