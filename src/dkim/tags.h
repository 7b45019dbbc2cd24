/*
 * Lists of tag=value, RFC6376-3.2: signatures, key records, the fields of ARC.
 * Tag names and values are case-sensitive. Views point into the text.
 */
#ifndef DKIM_TAGS_H
#define DKIM_TAGS_H

#include "base/view.h"

#include "base/arena.h"

#define DKIM_TAGS_MAX 64 /* in one list; a dozen are defined */

struct dkim_tag {
    struct view name;
    struct view value; /* without white space at both ends; folds inside are kept */
    size_t at, n; /* the value with all white space around it, as octets of the text: RFC6376-3.7 deletes it of b= */
};

struct dkim_tags {
    struct dkim_tag tags[DKIM_TAGS_MAX];
    size_t n;
    const char *why; /* of an error, for people */
};

/* ERR_SYNTAX: not such a list, an unallowed character, the same tag twice (RFC6376-3.2). ERR_LIMIT: more tags. */
enum err dkim_tags_parse(struct view text, struct dkim_tags *out) MUST_CHECK;
/* The tag, or NULL. */
const struct dkim_tag *dkim_tags_find(const struct dkim_tags *tags, const char *name);
/* Its value, or `otherwise` when there is no such tag. */
struct view dkim_tags_value(const struct dkim_tags *tags, const char *name, struct view otherwise);

/* RFC6376-2.8: a copy of a value without any white space (FWS). ERR_LIMIT. */
enum err dkim_tag_squeeze(struct arena *arena, struct view value, struct view *out) MUST_CHECK;
/* RFC6376-2.10: base64string, decoded into the arena. ERR_SYNTAX, ERR_LIMIT. */
enum err dkim_tag_base64(struct arena *arena, struct view value, struct view *out) MUST_CHECK;
/* Takes the next of a colon-separated list off *rest, trimmed. False when there is none left. */
bool dkim_tag_next(struct view *rest, struct view *item);

#endif
