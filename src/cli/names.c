/* Names as people type them. */
#include "cli/names.h"

#include "base/log.h"
#include "roles/control.h"

#include <idn2.h>

/* RFC5890-2.3.1 LDH, or beyond ASCII. libidn2 would drop some others silently. */
static bool may_be_domain(struct view text) {
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_is_alnum(text.p[i]) && text.p[i] != '-' && text.p[i] != '.' && text.p[i] < 0x80)
            return false;
    return true;
}

enum err names_domain(struct view text, struct arena *arena, struct view *out, struct buf *why) {
    char *name = arena_cstr(arena, text);
    uint8_t *ascii = NULL;
    int rc = !name ? IDN2_MALLOC
             : may_be_domain(text)
                 ? idn2_lookup_u8((const uint8_t *)name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)
                 : IDN2_DISALLOWED;
    struct view found = view_cstr((const char *)ascii), lower = VIEW_NONE;
    if (view_ends(found, VIEW(".")))
        found.n--;
    uint8_t *copy = rc == IDN2_OK ? arena_alloc(arena, found.n) : NULL;
    if (copy) {
        for (size_t i = 0; i < found.n; i++)
            copy[i] = ascii_lower(found.p[i]);
        lower = view_of(copy, found.n);
    }
    if (ascii)
        idn2_free(ascii);
    if (!control_domain_ok(lower)) {
        buf_put_str(why, "\"");
        buf_put_escaped(why, text, 300);
        buf_printf(why, "\" is not a domain name%s%s%s. Write it like example.org.", rc == IDN2_OK ? "" : " (",
                   rc == IDN2_OK ? "" : idn2_strerror(rc), rc == IDN2_OK ? "" : ")");
        return ERR_SYNTAX;
    }
    *out = lower;
    return ERR_OK;
}

enum err names_address(struct view text, struct arena *arena, struct view *out, struct buf *why) {
    ssize_t at = view_rfind_byte(text, '@');
    if (at <= 0 || (size_t)at + 1 >= text.n) {
        buf_put_str(why, "\"");
        buf_put_escaped(why, text, 300);
        buf_put_str(why, "\" is not an address. Write it like name@example.org.");
        return ERR_SYNTAX;
    }
    struct view domain;
    TRY(names_domain(view_skip(text, (size_t)at + 1), arena, &domain, why));
    size_t n = (size_t)at + 1 + domain.n;
    uint8_t *whole = arena_alloc(arena, n);
    if (!whole)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i <= (size_t)at; i++)
        whole[i] = ascii_lower(text.p[i]);
    for (size_t i = 0; i < domain.n; i++)
        whole[(size_t)at + 1 + i] = domain.p[i];
    if (!control_address_ok(view_of(whole, n))) {
        buf_put_str(why, "\"");
        buf_put_escaped(why, view_sub(text, 0, (size_t)at), 300);
        buf_put_str(why, "\" cannot stand before the @. Use letters, digits and . _ - +, at most 64.");
        return ERR_SYNTAX;
    }
    *out = view_of(whole, n);
    return ERR_OK;
}
