/*
 * Values of MAIL's and RCPT's parameters as they travel: xtext (RFC3461-4), original
 * recipients (RFC3461-4.2, RFC6533-3), times (RFC4865-3). Pure functions; the role
 * needs them for reports.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include "base/buf.h"

/* Appends what xtext means. ERR_SYNTAX: it is none, or it hides an octet that is not printable ASCII. Else the error of out. */
enum err smtp_xtext_decode(struct view xtext, struct buf *out) MUST_CHECK;
/* Appends v in xtext. */
void smtp_put_xtext(struct buf *out, struct view v);
/*
 * Reads an ORCPT value: its address type, and appends the address without any encoding to address. Of type utf-8 (RFC6533-3) it is UTF-8, of all others
 * printable ASCII. ERR_SYNTAX; ERR_LIMIT above SMTP_ORCPT_MAX.
 */
enum err smtp_orcpt_decode(struct view orcpt, struct view *type, struct buf *address) MUST_CHECK;
/* RFC3339-5.6, in whole seconds and UTC: "2026-12-24T18:00:00Z". */
void smtp_put_utc(struct buf *out, int64_t unix_s);
/* ERR_SYNTAX also when it is not in UTC (RFC4865-3). A fraction is dropped. */
enum err smtp_utc_parse(struct view v, int64_t *unix_s) MUST_CHECK;
/* RFC3865-2.2: word *("," word), at most SMTP_SOLICIT_MAX octets. */
bool smtp_solicitation_is_valid(struct view keywords);
/* Whether a class is in both lists; *which is it. */
bool smtp_solicitation_overlaps(struct view a, struct view b, struct view *which);

#endif
