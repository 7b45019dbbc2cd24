/* The record that asks for TLS reports. */
#include "tlsrpt/tlsrpt.h"

#include "base/reader.h"
#include "dns/rdata.h"
#include "message/list.h"

#define NAME_MAX_OCTETS 32 /* RFC8460-3: tlsrpt-ext-name */

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

static bool is_name_octet(uint8_t c) {
    return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* RFC8460-3: an extension's value has no "=", the octets of a URI may be it. */
static bool is_value_octet(uint8_t c) {
    return c > ' ' && c < 0x7f && c != ';';
}

/* A list of URIs has blanks around its commas. */
static bool is_rua_octet(uint8_t c) {
    return is_value_octet(c) || is_blank(c);
}

bool tlsrpt_record_is_one(struct view text) {
    struct reader r = reader_of(text);
    if (!reader_accept_view(&r, VIEW("v=TLSRPTv1"))) /* %s: the case is right */
        return false;
    (void)reader_while(&r, is_blank);
    return reader_peek(&r) == ';';
}

static enum err take_uri(struct arena *arena, struct view uri, struct tlsrpt_record *record) {
    struct tlsrpt_uri out = {.text = uri};
    for (size_t i = 0; i < uri.n; i++)
        if (is_blank(uri.p[i]))
            return ERR_SYNTAX;
    if (uri.n == 0)
        return ERR_SYNTAX;
    if (view_starts_nocase(uri, VIEW("mailto:"))) {
        struct mailto mailto;
        if (!list_mailto_parse(arena, uri, &mailto) || mailto.to.n == 0)
            return ERR_OK; /* nobody to send to */
        out.is_mail = true;
        out.to = mailto.to;
    } else if (!view_starts_nocase(uri, VIEW("https://")) || uri.n == VIEW("https://").n) {
        return ERR_OK; /* RFC8460-3: two schemes are supported */
    }
    if (record->uris_n < TLSRPT_URIS_MAX)
        record->uris[record->uris_n++] = out;
    return ERR_OK;
}

static enum err take_rua(struct arena *arena, struct view value, struct tlsrpt_record *record) {
    bool has_more;
    do {
        struct view uri;
        has_more = view_split(value, ',', &uri, &value);
        TRY(take_uri(arena, view_trim(uri), record));
    } while (has_more);
    return ERR_OK;
}

enum err tlsrpt_record_parse(struct arena *arena, struct view text, struct tlsrpt_record *out) {
    struct tlsrpt_record record = {.uris_n = 0};
    struct reader r = reader_of(text);
    bool has_rua = false;
    if (!tlsrpt_record_is_one(text))
        return ERR_SYNTAX;
    (void)reader_until(&r, ';');
    while (!reader_at_end(&r)) {
        (void)reader_while(&r, is_blank);
        if (!reader_expect(&r, ';'))
            return ERR_SYNTAX;
        (void)reader_while(&r, is_blank);
        if (reader_at_end(&r))
            break;
        struct view name = reader_while(&r, is_name_octet);
        if (name.n == 0 || name.n > NAME_MAX_OCTETS || !ascii_is_alnum(name.p[0]) || !reader_expect(&r, '='))
            return ERR_SYNTAX;
        bool is_rua = view_eq(name, VIEW("rua"));
        struct view value = view_trim(reader_while(&r, is_rua ? is_rua_octet : is_value_octet));
        if (value.n == 0 || (!is_rua && view_find_byte(value, '=') >= 0))
            return ERR_SYNTAX;
        if (is_rua && !has_rua) /* what RFC8461-3.2 says of its own fields: the first counts */
            TRY(take_rua(arena, value, &record));
        has_rua = has_rua || is_rua;
    }
    if (reader_err(&r) != ERR_OK || !has_rua)
        return ERR_SYNTAX;
    *out = record;
    return ERR_OK;
}

/* RFC8460-3: what does not begin as one is discarded; if what is left is not one, there is none. */
static enum err judge(const struct dns_answer *answer, struct arena *arena, enum tlsrpt_found *found,
                      struct tlsrpt_record *record) {
    struct view one = VIEW_NONE;
    size_t n = 0;
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct view text;
        enum err err = dns_rdata_txt(answer->data[i].data, arena, &text);
        if (err == ERR_SYNTAX || (err == ERR_OK && !tlsrpt_record_is_one(text)))
            continue;
        TRY(err);
        one = text;
        n++;
    }
    *found = n ? TLSRPT_INVALID : TLSRPT_NOTHING;
    if (n != 1)
        return ERR_OK;
    enum err err = tlsrpt_record_parse(arena, one, record);
    if (err == ERR_OK)
        *found = TLSRPT_RECORD;
    return err == ERR_SYNTAX ? ERR_OK : err;
}

enum err tlsrpt_discover(struct dns_client *client, struct view domain, struct arena *arena, enum tlsrpt_found *found,
                         struct tlsrpt_record *record) {
    struct dns_answer answer;
    enum err err = dns_lookup_under(client, VIEW("_smtp._tls."), domain, DNS_TXT, arena, &answer);
    if (err == ERR_SYNTAX) { /* no name of DNS */
        *found = TLSRPT_NOTHING;
        return ERR_OK;
    }
    TRY(err);
    *found = TLSRPT_NOTHING;
    if (answer.status == DNS_TEMPORARY || answer.security == DNS_BOGUS)
        *found = TLSRPT_NO_ANSWER;
    return answer.status == DNS_OK ? judge(&answer, arena, found, record) : ERR_OK;
}
