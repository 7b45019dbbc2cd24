/* The hand-over record, and what the server announces. */
#include "imap/handover.h"

RECORD_DEFINE(imap_handover);

void imap_put_capability_greeter(struct buf *out, bool can_starttls, bool can_login) {
    buf_put(out, VIEW("IMAP4rev1 LITERAL+ ID SASL-IR"));
    if (can_starttls)
        buf_put(out, VIEW(" STARTTLS"));
    /* RFC3501-6.2.3: LOGINDISABLED where the password would travel in the clear */
    buf_put(out, can_login ? VIEW(" AUTH=PLAIN") : VIEW(" LOGINDISABLED"));
}

void imap_put_capability_session(struct buf *out) {
    buf_put(
        out,
        VIEW("IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS MOVE UNSELECT UNAUTHENTICATE SPECIAL-USE CHILDREN"));
}

void imap_put_id(struct buf *out) {
    buf_put(out, VIEW("* ID (\"name\" \"Veredus\" \"version\" \"" VEREDUS_VERSION "\")\r\n"));
}
