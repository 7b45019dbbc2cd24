/*
 * libunbound as our resolver: its settings, its life, and one call that asks.
 * The resolver role serves others with it; commands of the command line have
 * one inside their own process.
 *
 * Answers carry what validation said of them. Nothing here logs but failures of
 * the library itself.
 */
#ifndef ROLES_UNBOUND_H
#define ROLES_UNBOUND_H

#include "base/log.h"
#include "dns/client.h"
#include "loop/loop.h"

struct unbound;

struct unbound_config {
    struct netaddr dns;       /* forward everything to it; family 0: resolve from the root */
    struct view trust_anchor; /* DS or DNSKEY records, one a line; empty: the root's own, or with dns none */
};

/* Opens what must be opened before a process is confined. why: a sentence when it fails. */
enum err unbound_new(struct buf *why, struct unbound **out) MUST_CHECK;
/* From here on it can be asked, on this loop. log is kept by pointer. ERR_SYNTAX: the trust anchor; ERR_PERMANENT: a
 * setting that the library refuses; with a sentence in why. */
enum err unbound_start(struct unbound *unbound, struct loop *loop, const struct log *log,
                       const struct unbound_config *config, struct buf *why) MUST_CHECK;
/* No coroutine may be inside unbound_lookup(). Questions still open are dropped. Call it while the loop is there. */
void unbound_stop(struct unbound *unbound);
void unbound_free(struct unbound *unbound); /* NULL is fine */

/* Suspends until the answer or the deadline (then DNS_TEMPORARY; the library goes on and caches what comes). *out lives in the arena. ERR_DENIED: a type
 * that mail does not ask for; ERR_SYNTAX: not a name; ERR_AGAIN: too much at once; ERR_CANCELED, ERR_NO_MEMORY, ERR_LIMIT. */
enum err unbound_lookup(struct unbound *unbound, struct view name, uint16_t type, int64_t deadline_us,
                        struct arena *arena, struct dns_answer *out) MUST_CHECK;

#endif
