/*
 * Trace fields: what delivery writes in front of a message (RFC5321-4.4), and
 * the hop count that detects loops (RFC5321-6.3).
 *
 * Every value may come from a peer: control characters (CR, LF, NUL, all of
 * them) become "?", so that nothing can inject a field.
 */
#ifndef MESSAGE_TRACE_H
#define MESSAGE_TRACE_H

#include "base/buf.h"

#include <stdint.h>

/* RFC5321-6.3: the threshold SHOULD be at least 100 Received fields. */
#define TRACE_HOPS_MAX 100

struct trace_received {
    struct view helo;    /* argument of HELO, EHLO or LHLO */
    struct view host;    /* verified reverse name; empty: unknown */
    struct view address; /* textual IP address, without brackets; empty: local submission without a network */
    struct view by;      /* our host name */
    bool is_esmtp, is_lmtp;
    bool is_tls, is_authenticated, is_utf8; /* RFC3848 and RFC6531-4.3 keywords */
    struct view tls;                        /* "TLSv1.3 TLS_AES_128_GCM_SHA256", for a comment; may be empty */
    struct view id;                         /* our name of the transaction or delivery; may be empty */
    struct view recipient;                  /* "for" clause; empty unless there is exactly one (RFC5321-7.2) */
    int64_t wall_us;
};

/* RFC5321-4.4 Return-Path: path without angle brackets, empty for the null path. */
void trace_put_return_path(struct buf *buf, struct view path);
void trace_put_delivered_to(struct buf *buf, struct view address);
/* RFC5321-4.4 Received, folded at white space. */
void trace_put_received(struct buf *buf, const struct trace_received *received);
/* The "with" keyword: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP..., UTF8SMTPSA... (RFC3848, RFC6531-4.3). */
struct view trace_protocol(const struct trace_received *received);
/* Received fields in a header block; counting stops at TRACE_HOPS_MAX + 1. */
size_t trace_hops(struct view header);
/* True when a Delivered-To field of the header names this address (without case): a loop through this account. */
bool trace_has_delivered_to(struct view header, struct view address);

#endif
