/* The record of MTA-STS: read, asked for, written. */
#include "mtasts/mtasts.h"

#include "base/reader.h"
#include "dns/rdata.h"

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

static bool is_name_octet(uint8_t c) {
    return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* RFC8461-3.1, sts-ext-value: chars excluding "=", ";", SP, and CTLs */
static bool is_value_octet(uint8_t c) {
    return c > ' ' && c < 0x7f && c != '=' && c != ';';
}

bool mtasts_record_is_one(struct view text) {
    struct reader r = reader_of(text);
    if (!reader_accept_view(&r, VIEW("v=STSv1"))) /* %s: the case is right */
        return false;
    /* RFC8461-3.1 says both: 'begin with "v=STSv1;"', and a delimiter that is *WSP ";" *WSP. */
    (void)reader_while(&r, is_blank);
    return reader_peek(&r) == ';';
}

static bool is_id(struct view value) {
    bool is_good = value.n > 0 && value.n <= MTASTS_ID_MAX;
    for (size_t i = 0; i < value.n; i++)
        is_good = is_good && ascii_is_alnum(value.p[i]);
    return is_good;
}

enum err mtasts_record_parse(struct view text, struct view *id) {
    struct reader r = reader_of(text);
    struct view found = VIEW_NONE;
    if (!mtasts_record_is_one(text))
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
        if (name.n == 0 || name.n > MTASTS_NAME_MAX || !ascii_is_alnum(name.p[0]) || !reader_expect(&r, '='))
            return ERR_SYNTAX;
        struct view value = reader_while(&r, is_value_octet);
        if (value.n == 0)
            return ERR_SYNTAX;
        if (!view_eq(name, VIEW("id")) ||
            found.n) /* RFC8461-3.2: "all entries except for the first SHALL be ignored" */
            continue;
        if (!is_id(value))
            return ERR_SYNTAX;
        found = value;
    }
    if (reader_err(&r) != ERR_OK || found.n == 0)
        return ERR_SYNTAX;
    *id = found;
    return ERR_OK;
}

/* RFC8461-3.1: records that do not begin as one are discarded; if what is left is not one, there is none. */
static enum err judge(const struct dns_answer *answer, struct arena *arena, struct mtasts_discovery *out) {
    struct view one = VIEW_NONE;
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct view text;
        enum err err = dns_rdata_txt(answer->data[i].data, arena, &text);
        if (err == ERR_SYNTAX)
            continue;
        TRY(err);
        if (!mtasts_record_is_one(text))
            continue;
        one = text;
        out->candidates++;
    }
    if (out->candidates == 0)
        return ERR_OK;
    out->found = MTASTS_INVALID;
    out->text = one;
    if (out->candidates == 1 && mtasts_record_parse(one, &out->id) == ERR_OK)
        out->found = MTASTS_RECORD;
    return ERR_OK;
}

enum err mtasts_discover(struct dns_client *client, struct view domain, struct arena *arena,
                         struct mtasts_discovery *out) {
    struct mtasts_discovery found = {.found = MTASTS_NOTHING};
    struct dns_answer answer;
    enum err err = dns_lookup_under(client, VIEW("_mta-sts."), domain, DNS_TXT, arena, &answer);
    if (err == ERR_SYNTAX) { /* no name of DNS */
        *out = found;
        return ERR_OK;
    }
    TRY(err);
    if (answer.status == DNS_TEMPORARY || answer.security == DNS_BOGUS)
        found.found = MTASTS_NO_ANSWER;
    else if (answer.status == DNS_OK)
        TRY(judge(&answer, arena, &found));
    *out = found;
    return ERR_OK;
}

void buf_put_mtasts_record(struct buf *buf, struct view id) {
    buf_put_str(buf, "v=STSv1; id=");
    buf_put(buf, id);
    buf_put_byte(buf, ';');
}
