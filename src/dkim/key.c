/* Key records: their grammar and their lookup. */
#include "dkim/key.h"

#include "dkim/tags.h"
#include "dns/idna.h"
#include "dns/rdata.h"

#include <string.h>

static enum err refuse(const char **why, const char *text) {
    *why = text;
    return ERR_SYNTAX;
}

/* Whether a colon-separated list has the word, or the other one. */
static bool list_has(struct view list, struct view word, struct view other) {
    struct view item;
    while (dkim_tag_next(&list, &item))
        if (view_eq(item, word) || (other.n > 0 && view_eq(item, other)))
            return true;
    return false;
}

enum err dkim_key_parse(struct view text, struct arena *arena, struct dkim_key_record *out, const char **why) {
    struct dkim_tags tags;
    enum err err = dkim_tags_parse(text, &tags);
    if (err != ERR_OK)
        return refuse(why, tags.why);
    struct dkim_key_record record = {.text = text};
    /* RFC6376-3.6.1: v= is optional, and the first tag when it is there. */
    const struct dkim_tag *v = dkim_tags_find(&tags, "v");
    if (v && (v != &tags.tags[0] || !view_eq(v->value, VIEW("DKIM1"))))
        return refuse(why, "v= is not DKIM1, or not the first tag");
    struct view k = dkim_tags_value(&tags, "k", VIEW("rsa"));
    if (view_eq(k, VIEW("rsa")))
        record.algorithm = DKIM_RSA_SHA256;
    else if (view_eq(k, VIEW("ed25519")))
        record.algorithm = DKIM_ED25519_SHA256;
    else
        return refuse(why, "k= is a type of key that nobody defined");
    const struct dkim_tag *p = dkim_tags_find(&tags, "p");
    if (!p)
        return refuse(why, "there is no p=");
    record.is_revoked = p->value.n == 0;
    err = dkim_tag_base64(arena, p->value, &record.data);
    if (err == ERR_SYNTAX)
        return refuse(why, "p= is not base64");
    if (err != ERR_OK)
        return err;
    /* RFC6376-3.6.1: unknown words of these lists are ignored. */
    record.allows_sha256 = list_has(dkim_tags_value(&tags, "h", VIEW("sha256")), VIEW("sha256"), VIEW_NONE);
    record.allows_email = list_has(dkim_tags_value(&tags, "s", VIEW("*")), VIEW("*"), VIEW("email"));
    struct view flags = dkim_tags_value(&tags, "t", VIEW_NONE);
    record.is_testing = list_has(flags, VIEW("y"), VIEW_NONE);
    record.is_strict = list_has(flags, VIEW("s"), VIEW_NONE);
    *out = record;
    return ERR_OK;
}

/* ---- lookup ---- */

bool dkim_is_domain(struct view name) {
    for (size_t i = 0; i < name.n; i++)
        if (!ascii_is_alnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '.' && name.p[i] != '_')
            return false;
    return name.n > 0;
}

static enum err key_name(struct view selector, struct view domain, struct arena *arena, struct view *out) {
    struct buf name;
    buf_init(&name, 4 * 255);
    buf_put(&name, selector);
    buf_put(&name, VIEW("._domainkey."));
    buf_put(&name, domain);
    enum err err = buf_err(&name) == ERR_LIMIT ? ERR_SYNTAX : buf_err(&name);
    if (err == ERR_OK)
        err = dns_idna_to_ascii(buf_view(&name), arena, out);
    if (err == ERR_OK && !dkim_is_domain(*out))
        err = ERR_SYNTAX;
    buf_fini(&name);
    return err;
}

static enum err take_records(const struct dns_answer *answer, struct arena *arena, struct dkim_key_answer *out) {
    const char *why = "it has no text";
    for (uint32_t i = 0; i < answer->data_n && out->n < DKIM_KEY_RECORDS_MAX; i++) {
        struct view text;
        enum err err = dns_rdata_txt(answer->data[i].data, arena, &text);
        if (err == ERR_OK)
            err = dkim_key_parse(text, arena, &out->records[out->n], &why);
        if (err == ERR_OK)
            out->n++;
        else if (err != ERR_SYNTAX)
            return err;
    }
    out->status = out->n > 0 ? DKIM_KEY_OK : DKIM_KEY_BAD;
    return out->n > 0 ? ERR_OK : arena_printf(arena, &out->why, "the TXT record is no key record: %s", why);
}

enum err dkim_key_lookup(struct dns_client *dns, struct view selector, struct view domain, struct arena *arena,
                         struct dkim_key_answer *out) {
    memset(out, 0, sizeof(*out));
    struct view name;
    struct dns_answer answer;
    enum err err = key_name(selector, domain, arena, &name);
    if (err == ERR_OK)
        out->name = name;
    if (err == ERR_OK)
        err = dns_lookup(dns, out->name, DNS_TXT, arena, &answer);
    if (err == ERR_SYNTAX) {
        out->status = DKIM_KEY_BAD_NAME;
        out->why = VIEW("selector and domain make no name");
        return ERR_OK;
    }
    if (err == ERR_AGAIN || err == ERR_TIMEOUT || err == ERR_CLOSED || err == ERR_TEMPORARY) {
        out->status = DKIM_KEY_TEMPORARY;
        out->why = VIEW("the resolver cannot be asked now");
        return ERR_OK;
    }
    TRY(err);
    out->security = (enum dns_security)answer.security;
    switch ((enum dns_status)answer.status) {
    case DNS_OK:
        return take_records(&answer, arena, out);
    case DNS_NXDOMAIN:
        out->status = DKIM_KEY_NONE;
        out->why = VIEW("there is no such name in DNS");
        return ERR_OK;
    case DNS_NODATA:
        out->status = DKIM_KEY_NONE;
        out->why = VIEW("the name has no TXT record");
        return ERR_OK;
    case DNS_TEMPORARY:
        break;
    }
    out->status = DKIM_KEY_TEMPORARY;
    out->why = VIEW("DNS does not answer");
    if (answer.security == DNS_BOGUS)
        return arena_printf(arena, &out->why, "DNSSEC validation failed: %.*s", VIEW_FMT(answer.why_bogus));
    return ERR_OK;
}

/* ---- for zones ---- */

void dkim_put_key_record(struct buf *out, enum dkim_algorithm algorithm, struct view public_data, bool is_testing) {
    buf_put(out, VIEW("v=DKIM1; k="));
    buf_put(out, dkim_algorithm_key_type(algorithm));
    buf_put(out, is_testing ? VIEW("; t=y; p=") : VIEW("; p="));
    buf_put_base64(out, public_data);
}

void dkim_put_zone_line(struct buf *out, struct view selector, struct view domain, struct view record) {
    buf_put(out, selector);
    buf_put(out, VIEW("._domainkey."));
    buf_put(out, domain);
    buf_put(out, VIEW(". IN TXT"));
    do {
        struct view piece = view_sub(record, 0, DKIM_TXT_PIECE);
        buf_put(out, VIEW(" \""));
        for (size_t i = 0; i < piece.n; i++) {
            /* RFC1035-5.1: what would end the string. */
            if (piece.p[i] == '"' || piece.p[i] == '\\')
                buf_put_byte(out, '\\');
            buf_put_byte(out, piece.p[i]);
        }
        buf_put_byte(out, '"');
        record = view_skip(record, piece.n);
    } while (record.n > 0);
}
