/*
 * Authentication-Results (RFC 8601): written from typed values, read, and the
 * forged ones found that must leave a message before ours goes on top.
 *
 * Names follow RFC8616; UTF-8 is admitted as RFC6532 does. Views of what is
 * parsed live in the arena (quotes and comments taken off).
 */
#ifndef AUTHRES_AUTHRES_H
#define AUTHRES_AUTHRES_H

#include "base/arena.h"
#include "base/buf.h"
#include "dns/reverse.h"

#define AUTHRES_RESULTS_MAX 100   /* in one field; a mail with more signatures is an attack */
#define AUTHRES_PROPERTIES_MAX 20 /* of one result */
#define AUTHRES_VALUE_MAX 998     /* octets of a value or comment: RFC5322-2.1.1 */
#define AUTHRES_FIELD_MAX 65536   /* octets of a field that is read */

/* RFC8601-2.3: "smtp.mailfrom=example.org" */
struct authres_property {
    struct view type, name; /* "smtp", "mailfrom"; our own literals when written */
    struct view value;      /* any text; what cannot stand in a field is left out */
};
struct authres_result {
    struct view method;  /* "spf"; parsed: lower case */
    uint32_t version;    /* of the method; 1 is the default and not written */
    struct view result;  /* "pass"; parsed: lower case */
    struct view reason;  /* may be empty */
    struct view comment; /* written only: after the result, in parentheses; may be empty */
    struct authres_property *properties;
    size_t properties_n;
};
struct authres {
    struct view authserv_id;
    uint32_t version;
    struct authres_result *results; /* none: "none" */
    size_t results_n;
};

/* Adds a result, or a property to the last result; views are kept, not copied. ERR_LIMIT over the maxima above, ERR_NO_MEMORY. */
enum err authres_add(struct authres *authres, struct arena *arena, struct view method, struct view result) MUST_CHECK;
enum err authres_add_property(struct authres *authres, struct arena *arena, struct view type, struct view name,
                              struct view value) MUST_CHECK;

/* RFC8601-2.7.3: the result of iprev_check(). Views are copied. */
enum err authres_add_iprev(struct authres *authres, struct arena *arena, const struct iprev *iprev,
                           const struct netaddr *ip) MUST_CHECK;

/* A whole field with CRLF, folded between tokens, or its body alone (for ARC-Authentication-Results). Harmless whatever
 * the values are: they are quoted when they are neither token nor address, control characters are left out. */
void buf_put_authres(struct buf *buf, const struct authres *authres);
void buf_put_authres_body(struct buf *buf, const struct authres *authres);

/* The body of a field (after the colon, folded or not). ERR_SYNTAX, ERR_LIMIT, ERR_NO_MEMORY. */
enum err authres_parse(struct view body, struct arena *arena, struct authres *out) MUST_CHECK;
/* The first result of a method, or NULL. */
const struct authres_result *authres_find(const struct authres *authres, struct view method);
/* Its property, or an empty view. */
struct view authres_property_value(const struct authres_result *result, struct view type, struct view name);

/* RFC8601-5: whether a field with this name and body claims to be ours and must be removed from what comes from outside.
 * ids: our authserv-ids, A-labels; U-labels and case make no difference, nor does a field that is broken after its
 * authserv-id. A field whose authserv-id cannot be read at all is removed too, since others may read it kindlier. */
bool authres_is_forged(struct view name, struct view body, const struct view *ids, size_t ids_n);

#endif
