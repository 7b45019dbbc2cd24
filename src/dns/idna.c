/* Internationalized names, by libidn2. */
#include "dns/idna.h"

#include "base/utf8.h"
#include "dns/name.h"

#include <idn2.h>

#define IDNA_TEXT_MAX 1024 /* octets of UTF-8: no name of 255 octets comes from a longer one */

/* One spelling, and whether it is a name at all. */
static enum err as_name(struct view text, struct arena *arena, struct view *out) {
    struct buf wire, name;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    buf_init(&name, DNS_NAME_WIRE_MAX);
    enum err err = dns_name_to_wire(text, &wire);
    struct reader r = reader_of(buf_view(&wire));
    if (err == ERR_OK)
        err = dns_name_read(&r, &name);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&name), out);
    else if (err == ERR_LIMIT)
        err = ERR_SYNTAX;
    buf_fini(&wire);
    buf_fini(&name);
    return err;
}

/* One label that is not ASCII: RFC5891-5, with the mapping to lower case and NFC that people expect. */
static enum err put_a_label(struct view label, struct arena *arena, struct buf *out) {
    const char *text = arena_cstr(arena, label);
    if (!text)
        return ERR_SYNTAX;
    uint8_t *ascii = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc == IDN2_OK)
        buf_put_str(out, (const char *)ascii);
    if (ascii)
        idn2_free(ascii);
    return rc == IDN2_OK ? buf_err(out) : rc == IDN2_MALLOC ? ERR_NO_MEMORY : ERR_SYNTAX;
}

enum err dns_idna_to_ascii(struct view name, struct arena *arena, struct view *out) {
    if (utf8_is_ascii(name))
        return as_name(name, arena, out);
    if (name.n > IDNA_TEXT_MAX || !utf8_is_valid(name))
        return ERR_SYNTAX;
    struct buf ascii;
    buf_init(&ascii, DNS_NAME_WIRE_MAX);
    enum err err = ERR_OK;
    bool more = true;
    while (more && err == ERR_OK) {
        struct view label;
        more = view_split(name, '.', &label, &name);
        if (utf8_is_ascii(label))
            buf_put(&ascii, label);
        else
            err = put_a_label(label, arena, &ascii);
        if (more)
            buf_put_byte(&ascii, '.');
    }
    if (err == ERR_OK)
        err = buf_err(&ascii);
    if (err == ERR_OK)
        err = as_name(buf_view(&ascii), arena, out);
    else if (err == ERR_LIMIT)
        err = ERR_SYNTAX;
    buf_fini(&ascii);
    return err;
}

/* RFC5891-5.4: whether the text is what the A-label stands for; others (xn--a hides a control character) are left alone. */
static bool comes_back(const char *text, struct view label) {
    uint8_t *ascii = NULL;
    bool same = idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK &&
                view_eq_nocase(view_cstr((const char *)ascii), label);
    if (ascii)
        idn2_free(ascii);
    return same;
}

enum err dns_idna_to_unicode(struct view name, struct arena *arena, struct view *out) {
    struct buf unicode;
    buf_init(&unicode, 4 * IDNA_TEXT_MAX);
    struct view rest = name;
    bool more = true;
    while (more) {
        struct view label;
        more = view_split(rest, '.', &label, &rest);
        char *text = NULL;
        const char *ascii = view_starts_nocase(label, VIEW("xn--")) ? arena_cstr(arena, label) : NULL;
        if (ascii && idn2_to_unicode_8z8z(ascii, &text, 0) == IDN2_OK && comes_back(text, label))
            buf_put_str(&unicode, text);
        else
            buf_put(&unicode, label);
        if (text)
            idn2_free(text);
        if (more)
            buf_put_byte(&unicode, '.');
    }
    enum err err = buf_err(&unicode);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&unicode), out);
    else if (err == ERR_LIMIT) { /* longer than any name: as it came */
        *out = name;
        err = ERR_OK;
    }
    buf_fini(&unicode);
    return err;
}
