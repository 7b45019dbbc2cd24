/* Domain names: text and wire. */
#include "dns/name.h"

#define POINTER 0xc0u
#define JUMPS_MAX 126 /* a name has at most 127 labels with the root's */

static bool is_label_octet(uint8_t c) {
    return c >= ' ' && c < 0x7f && c != '.' && c != '\\' && c != '"';
}

enum err dns_name_to_wire(struct view text, struct buf *out) {
    if (text.n == 0)
        return ERR_SYNTAX;
    if (view_eq(text, VIEW("."))) {
        buf_put_byte(out, 0);
        return buf_err(out);
    }
    if (text.p[text.n - 1] == '.')
        text.n--;
    size_t wire = 1;
    bool more = true;
    while (more) {
        struct view label;
        more = view_split(text, '.', &label, &text);
        if (label.n == 0)
            return ERR_SYNTAX;
        wire += label.n + 1;
        if (label.n > DNS_LABEL_MAX || wire > DNS_NAME_WIRE_MAX)
            return ERR_LIMIT;
        buf_put_byte(out, (uint8_t)label.n);
        for (size_t i = 0; i < label.n; i++) {
            if (!is_label_octet(label.p[i]))
                return ERR_SYNTAX;
            buf_put_byte(out, ascii_lower(label.p[i]));
        }
    }
    buf_put_byte(out, 0);
    return buf_err(out);
}

static enum err read_name(struct reader *r, bool may_jump, struct buf *out) {
    struct reader at = *r; /* where the labels come from */
    size_t after = 0;      /* where r goes on, once a pointer was followed */
    size_t limit = at.at;  /* RFC1035-4.1.4: "a prior occurrence": pointers lead backwards only, so this ends */
    size_t wire = 1;
    for (unsigned jumps = 0;;) {
        uint8_t length = reader_be8(&at);
        if (at.err != ERR_OK)
            break;
        if (length == 0) {
            if (wire == 1)
                buf_put_byte(out, '.');
            break;
        }
        if ((length & POINTER) == POINTER) {
            size_t target = (size_t)(length & ~POINTER) << 8 | reader_be8(&at);
            if (at.err != ERR_OK)
                break;
            if (!may_jump || target >= limit || ++jumps > JUMPS_MAX) {
                (void)reader_fail(&at, ERR_SYNTAX);
                break;
            }
            if (after == 0)
                after = at.at;
            at.at = limit = target;
            continue;
        }
        struct view label = reader_take(&at, length);
        wire += label.n + 1;
        if (length > DNS_LABEL_MAX || wire > DNS_NAME_WIRE_MAX)
            (void)reader_fail(&at, ERR_SYNTAX);
        if (at.err != ERR_OK)
            break;
        if (wire > label.n + 2)
            buf_put_byte(out, '.');
        for (size_t i = 0; i < label.n; i++) {
            if (!is_label_octet(label.p[i]))
                (void)reader_fail(&at, ERR_SYNTAX);
            buf_put_byte(out, ascii_lower(label.p[i]));
        }
        if (at.err != ERR_OK)
            break;
    }
    r->err = at.err;
    r->at = after ? after : at.at;
    return r->err != ERR_OK ? r->err : buf_err(out);
}

enum err dns_name_read(struct reader *r, struct buf *out) {
    return read_name(r, false, out);
}

enum err dns_name_read_compressed(struct reader *r, struct buf *out) {
    return read_name(r, true, out);
}

enum err dns_name_skip(struct reader *r) {
    for (;;) {
        uint8_t length = reader_be8(r);
        if (r->err != ERR_OK || length == 0)
            return r->err;
        if ((length & POINTER) == POINTER) {
            (void)reader_be8(r);
            return r->err;
        }
        if (length > DNS_LABEL_MAX)
            (void)reader_fail(r, ERR_SYNTAX);
        (void)reader_take(r, length);
    }
}
