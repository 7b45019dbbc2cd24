/*
 * What the command line and `directory` say to each other over the control
 * socket: one JSON object a line, each way. Pure functions, no I/O.
 *
 * Request: {"id": 1, "op": "account.add", "address": "a@example.org", ...}.
 * Reply, one or more lines: {"id": 1, "ok": true, "more": false, "rows": [...]}
 * or {"id": 1, "ok": false, "error": "exists", "text": "..."}. Passwords never
 * travel: the asker makes SCRAM verifiers (RFC5802-3).
 */
#ifndef ROLES_CONTROL_H
#define ROLES_CONTROL_H

#include "base/arena.h"
#include "sasl/scram.h"
#include "store/directory.h"

#define CONTROL_LINE_MAX (64 * 1024)         /* octets of a request */
#define CONTROL_REPLY_LINE_MAX (1024 * 1024) /* of a reply: an alias of DIRECTORY_TARGETS_MAX targets is one row */
#define CONTROL_DEPTH_MAX 10                 /* nesting of a request */
#define CONTROL_VERIFIERS_MAX 4
#define CONTROL_ITERATIONS_LEAST 4096 /* RFC7677-4 */

enum control_op {
    CONTROL_DOMAIN_ADD,
    CONTROL_DOMAIN_REMOVE,
    CONTROL_DOMAIN_LIST,
    CONTROL_DOMAIN_RECORDS,
    CONTROL_ACCOUNT_ADD,
    CONTROL_ACCOUNT_REMOVE,
    CONTROL_ACCOUNT_LIST,
    CONTROL_ACCOUNT_PASSWORD,
    CONTROL_ACCOUNT_DISABLE,
    CONTROL_ACCOUNT_ENABLE,
    CONTROL_ALIAS_ADD,
    CONTROL_ALIAS_REMOVE,
    CONTROL_ALIAS_LIST,
    CONTROL_OP_COUNT
};
/* "account.add" */
const char *control_op_name(enum control_op op);

struct control_request {
    uint64_t id;
    enum control_op op;
    struct view domain;  /* domain.* */
    struct view address; /* account.*, alias.* */
    struct scram_verifier *verifiers;
    size_t verifiers_n;
    struct alias_target *targets;
    size_t targets_n;
};
/* Everything in *out lives in the arena. ERR_SYNTAX or ERR_LIMIT with a sentence in why; out->id is set when it could be read,
 * else 0. No key but those of the operation is taken. */
enum err control_parse(struct view line, struct arena *arena, struct control_request *out, struct buf *why) MUST_CHECK;
/* The line of a request with its newline: what the command line sends. */
enum err control_put_request(const struct control_request *request, struct buf *out) MUST_CHECK;

/* A domain in A-label form, lower case: letters, digits, inner hyphens; RFC1035-2.3.4 lengths. */
bool control_domain_ok(struct view name);
/* Lower case, a Dot-string of atext or UTF-8 of at most 64 octets (RFC5321-4.5.3.1.1), '@', a domain as above. */
bool control_address_ok(struct view address);

#endif
