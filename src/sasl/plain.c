/* SASL PLAIN, and the preparation of passwords. */
#include "sasl/scram.h"

#include "base/utf8.h"

enum err sasl_plain_parse(struct view message, struct sasl_plain *out) {
    struct sasl_plain plain;
    struct view rest;
    /* RFC4616-2: message = [authzid] UTF8NUL authcid UTF8NUL passwd; neither authcid nor passwd is empty */
    if (!view_split(message, 0, &plain.authzid, &rest) || !view_split(rest, 0, &plain.authcid, &plain.password))
        return ERR_SYNTAX;
    if (plain.authcid.n == 0 || plain.password.n == 0 || view_find_byte(plain.password, 0) >= 0 ||
        !utf8_is_valid(message))
        return ERR_SYNTAX;
    *out = plain;
    return ERR_OK;
}

/* RFC8265-4.2.2 rule 2: any non-ASCII space becomes SPACE (general category Zs). */
static bool is_wide_space(uint32_t cp) {
    return cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

enum err sasl_prepare_password(struct view password, struct buf *out) {
    if (password.n == 0 || password.n > SCRAM_PASSWORD_MAX)
        return ERR_SYNTAX;
    for (size_t at = 0; at < password.n;) {
        uint32_t cp;
        size_t n = utf8_decode(view_skip(password, at), &cp);
        if (n == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0)) /* RFC8264-9.12: controls are disallowed */
            return ERR_SYNTAX;
        if (is_wide_space(cp))
            buf_put_byte(out, ' ');
        else
            buf_put(out, view_sub(password, at, n));
        at += n;
    }
    return buf_err(out);
}
