/* CFBL-Address and CFBL-Feedback-ID (RFC 9477). */
#include "arf/cfbl.h"

#include "message/address.h"
#include "message/header.h"
#include "message/params.h"

#define LINE_OCTETS 60  /* of a feedback id in one line */
#define ADDRESS_MAX 320 /* RFC5321-4.5.3.1: 64, @, 255 */

static bool is_atext(uint8_t c) { /* RFC5322-3.2.3 */
    return ascii_is_alnum(c) || view_find_byte(VIEW("!#$%&'*+-/=?^_`{|}~"), c) >= 0;
}

/* A dot-atom, UTF-8 in it too (RFC6532-3.2). */
static bool is_dot_atom(struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '.' ? i == 0 || i + 1 == v.n || v.p[i - 1] == '.' : v.p[i] < 128 && !is_atext(v.p[i]))
            return false;
    }
    return v.n > 0;
}

/* RFC9477-5.1: addr-spec, and after a semicolon the format. Whoever wants complaints quotes no local part. */
static enum err read_address(struct arena *arena, const struct header_field *field, struct cfbl *out) {
    struct view value, rest, spec;
    struct address_list list;
    struct mime_params params;
    TRY(header_unfold(arena, field->value, &value));
    (void)view_split(value, ';', &value, &rest);
    address_parse(arena, value, &list);
    if (list.truncated)
        return ERR_LIMIT;
    if (list.count != 1 || list.list[0].kind != ADDRESS_MAILBOX || !is_dot_atom(list.list[0].mailbox) ||
        !is_dot_atom(list.list[0].host))
        return ERR_OK;
    mime_params_parse(arena, rest, &params);
    struct buf text;
    buf_init(&text, value.n + 1);
    buf_put(&text, list.list[0].mailbox);
    buf_put_byte(&text, '@');
    buf_put(&text, list.list[0].host);
    enum err err = buf_err(&text) == ERR_OK ? arena_view(arena, buf_view(&text), &spec) : buf_err(&text);
    buf_fini(&text);
    TRY(err);
    out->addresses[out->addresses_n++] = (struct cfbl_address){
        .address = spec,
        .domain = view_skip(spec, list.list[0].mailbox.n + 1),
        .wants_xarf = view_eq(mime_params_get(&params, VIEW("report")), VIEW("xarf")),
        .field = field->raw,
    };
    return ERR_OK;
}

/* RFC9477-5.2: atext and colons; white space and comments between them are to be ignored. */
static enum err read_feedback_id(struct arena *arena, struct view value, struct view *out) {
    struct buf id;
    enum err err = ERR_OK;
    buf_init(&id, CFBL_FEEDBACK_ID_MAX);
    for (size_t at = mime_skip_cfws(value, 0); at < value.n; at = mime_skip_cfws(value, at + 1)) {
        if (!is_atext(value.p[at]) && value.p[at] != ':')
            err = ERR_SYNTAX;
        buf_put_byte(&id, value.p[at]);
    }
    if (err == ERR_OK)
        err = id.n == 0 ? ERR_SYNTAX : buf_err(&id) == ERR_LIMIT ? ERR_SYNTAX : buf_err(&id);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&id), out);
    buf_fini(&id);
    return err == ERR_SYNTAX ? ERR_OK : err;
}

enum err cfbl_read(struct arena *arena, struct view header, struct cfbl *out) {
    struct header_iter it;
    struct header_field field;
    struct cfbl found = {.addresses_n = 0};
    size_t ids = 0;
    header_iter_init(&it, header);
    while (header_next(&it, &field)) {
        if (view_eq_nocase(field.name, VIEW("CFBL-Address")) && found.addresses_n < CFBL_ADDRESSES_MAX)
            TRY(read_address(arena, &field, &found));
        else if (view_eq_nocase(field.name, VIEW("CFBL-Feedback-ID")) && ++ids == 1)
            TRY(read_feedback_id(arena, field.value, &found.feedback_id));
    }
    if (ids > 1)
        found.feedback_id = VIEW_NONE;
    *out = found;
    return ERR_OK;
}

enum err cfbl_put_address(struct buf *buf, struct view address, bool wants_xarf) {
    ssize_t at = view_rfind_byte(address, '@');
    if (at < 0 || address.n > ADDRESS_MAX || !is_dot_atom(view_sub(address, 0, (size_t)at)) ||
        !is_dot_atom(view_skip(address, (size_t)at + 1)))
        return ERR_SYNTAX;
    buf_put(buf, address);
    if (wants_xarf)
        buf_put_str(buf, "; report=xarf");
    return buf_err(buf);
}

enum err cfbl_put_feedback_id(struct buf *buf, struct view id) {
    if (id.n == 0 || id.n > CFBL_FEEDBACK_ID_MAX)
        return ERR_SYNTAX;
    for (size_t i = 0; i < id.n; i++) {
        if (!is_atext(id.p[i]) && id.p[i] != ':')
            return ERR_SYNTAX;
    }
    for (size_t i = 0; i < id.n; i += LINE_OCTETS) {
        buf_put_str(buf, i == 0 ? "" : "\r\n ");
        buf_put(buf, view_sub(id, i, LINE_OCTETS));
    }
    return buf_err(buf);
}
