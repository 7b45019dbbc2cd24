/* Where complaints about a message go: CFBL-Address and CFBL-Feedback-ID (RFC 9477). */
#ifndef ARF_CFBL_H
#define ARF_CFBL_H

#include "base/arena.h"
#include "base/buf.h"

#define CFBL_ADDRESSES_MAX 10 /* RFC9477-3.1.2: CFBL-Address fields of one message that are read; more are left out */
#define CFBL_FEEDBACK_ID_MAX 512 /* octets, written with folds of its own */

struct cfbl_address {
    struct view address; /* addr-spec; quoted local parts are not read */
    struct view domain;  /* of it */
    bool wants_xarf;     /* "report=xarf" (RFC9477-3.5.1) */
    struct view field;   /* the whole field, to find it in a DKIM signature's h= */
};

struct cfbl {
    struct cfbl_address addresses[CFBL_ADDRESSES_MAX];
    size_t addresses_n;
    struct view feedback_id; /* without white space and comments (RFC9477-5.2); p == NULL: none, or more than one */
};

/* The fields of a header block. Those that cannot be read are left out. Nothing may be sent to them before the DKIM
 * signatures of RFC9477-3.1 were looked at. ERR_LIMIT: arena. */
enum err cfbl_read(struct arena *arena, struct view header, struct cfbl *out) MUST_CHECK;
/* The values of the fields (without name and line end), folded. ERR_SYNTAX: no address, or other octets than atext and ":". */
enum err cfbl_put_address(struct buf *buf, struct view address, bool wants_xarf) MUST_CHECK;
enum err cfbl_put_feedback_id(struct buf *buf, struct view id) MUST_CHECK;

#endif
