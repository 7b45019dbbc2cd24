/* The parameters of MAIL and RCPT: one table (RFC5321-4.1.1.11). */
#include "smtp/params.h"

#include "base/utf8.h"
#include "smtp/session.h"

struct parameter {
    struct view name;
    unsigned on;
    /* The extension that it belongs to, 0: always there; or whether it is offered in this session. */
    unsigned extension;
    bool (*is_offered)(const struct smtp_session *s);
    /* False: it has replied. An absent value has p == NULL. */
    bool (*take)(struct smtp_session *s, struct view value, struct smtp_command *command);
};

#define SIZE_DIGITS_MAX 20 /* RFC1870-4 */

static bool take_size(struct smtp_session *s, struct view value, struct smtp_command *command) {
    uint64_t size;
    enum err err = value.n <= SIZE_DIGITS_MAX ? view_to_u64(value, UINT64_MAX, &size) : ERR_SYNTAX;
    if (err == ERR_LIMIT)
        size = UINT64_MAX;
    else if (err != ERR_OK) {
        REPLY(s, 501, "5.5.4", "SIZE takes up to 20 digits");
        return false;
    }
    command->size = size;
    command->has_size = true;
    return true;
}

static bool bad_value(struct smtp_session *s, struct view text) {
    session_reply(s, 501, VIEW("5.5.4"), text);
    return false;
}
#define BAD_VALUE(s, text) bad_value((s), VIEW(text))

static bool take_body(struct smtp_session *s, struct view value, struct smtp_command *command) {
    /* RFC6152-3 */
    if (view_eq_nocase(value, VIEW("8BITMIME"))) {
        command->eightbit = true;
        return true;
    }
    if (view_eq_nocase(value, VIEW("7BIT")))
        return true;
    if (!session_offers(s, SMTP_OFFER_BINARYMIME))
        return BAD_VALUE(s, "BODY is 7BIT or 8BITMIME");
    command->binary = view_eq_nocase(value, VIEW("BINARYMIME")); /* RFC3030-3 */
    return command->binary || BAD_VALUE(s, "BODY is 7BIT, 8BITMIME or BINARYMIME");
}

static bool is_xtext(struct view v) {
    struct buf out;
    buf_init(&out, SMTP_COMMAND_MAX);
    bool is_valid = smtp_xtext_decode(v, &out) == ERR_OK;
    buf_fini(&out);
    return is_valid;
}

/* RFC3461-4.3 */
static bool take_ret(struct smtp_session *s, struct view value, struct smtp_command *command) {
    if (view_eq_nocase(value, VIEW("FULL")))
        command->ret = SMTP_RET_FULL;
    else if (view_eq_nocase(value, VIEW("HDRS")))
        command->ret = SMTP_RET_HDRS;
    else
        return BAD_VALUE(s, "RET is FULL or HDRS");
    return true;
}

/* RFC3461-4.4 */
static bool take_envid(struct smtp_session *s, struct view value, struct smtp_command *command) {
    command->envid = value;
    return (value.n > 0 && value.n <= SMTP_ENVID_MAX && is_xtext(value)) ||
           BAD_VALUE(s, "ENVID takes up to 100 characters of xtext");
}

/* RFC3461-4.1 */
static bool take_notify(struct smtp_session *s, struct view value, struct smtp_command *command) {
    static const struct {
        struct view name;
        uint8_t bit;
    } names[] = {{VIEW_INIT("NEVER"), SMTP_NOTIFY_NEVER},
                 {VIEW_INIT("SUCCESS"), SMTP_NOTIFY_SUCCESS},
                 {VIEW_INIT("FAILURE"), SMTP_NOTIFY_FAILURE},
                 {VIEW_INIT("DELAY"), SMTP_NOTIFY_DELAY}};
    struct view word;
    bool more, is_known = true;
    do {
        more = view_split(value, ',', &word, &value);
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (view_eq_nocase(names[i].name, word)) {
                command->notify |= names[i].bit;
                found = true;
            }
        is_known &= found;
    } while (more);
    bool is_mixed = (command->notify & SMTP_NOTIFY_NEVER) && command->notify != SMTP_NOTIFY_NEVER;
    return (is_known && !is_mixed) || BAD_VALUE(s, "NOTIFY is NEVER, or SUCCESS, FAILURE, DELAY");
}

/* RFC3461-4.2, RFC6533-3 */
static bool take_orcpt(struct smtp_session *s, struct view value, struct smtp_command *command) {
    struct view type;
    struct buf address;
    buf_init(&address, SMTP_COMMAND_MAX);
    bool is_valid =
        smtp_orcpt_decode(value, &type, &address) == ERR_OK && (s->transaction.smtputf8 || utf8_is_ascii(value));
    buf_fini(&address);
    command->orcpt = value;
    return is_valid || BAD_VALUE(s, "ORCPT takes type;address");
}

/* RFC6531-3.4, RFC8689-2: they have no value. */
static bool take_smtputf8(struct smtp_session *s, struct view value, struct smtp_command *command) {
    command->smtputf8 = true;
    return value.p == NULL || BAD_VALUE(s, "SMTPUTF8 takes no value");
}

static bool take_requiretls(struct smtp_session *s, struct view value, struct smtp_command *command) {
    command->requiretls = true;
    return value.p == NULL || BAD_VALUE(s, "REQUIRETLS takes no value");
}

/* RFC4865-4.2: one of the two, and once */
static bool one_hold(struct smtp_session *s, struct view value, struct smtp_command *command) {
    if (command->has_hold)
        return BAD_VALUE(s, "Only one of HOLDFOR and HOLDUNTIL is taken");
    command->has_hold = true;
    command->hold = value;
    return true;
}

static bool take_holdfor(struct smtp_session *s, struct view value, struct smtp_command *command) {
    uint64_t seconds;
    if (!one_hold(s, value, command))
        return false;
    if (view_to_u64(value, s->params->hold_max_s, &seconds) != ERR_OK || seconds == 0 || value.p[0] == '0')
        return BAD_VALUE(s, "HOLDFOR takes seconds, up to the maximum");
    command->hold_s = (int64_t)seconds;
    return true;
}

static bool take_holduntil(struct smtp_session *s, struct view value, struct smtp_command *command) {
    int64_t now_s = loop_wall_us(s->stream->loop) / US_PER_S;
    if (!one_hold(s, value, command))
        return false;
    command->hold_is_time = true;
    if (smtp_utc_parse(value, &command->hold_s) != ERR_OK || command->hold_s <= now_s ||
        command->hold_s - now_s > s->params->hold_max_s)
        return BAD_VALUE(s, "HOLDUNTIL takes a time to come in UTC, up to the maximum");
    return true;
}

#define BY_DIGITS_MAX 9u /* RFC2852-4 */

/* RFC2852-4: by-time ";" by-mode [by-trace] */
static bool take_by(struct smtp_session *s, struct view value, struct smtp_command *command) {
    struct reader r = reader_of(value);
    bool is_negative = reader_accept(&r, '-');
    if (!is_negative)
        (void)reader_accept(&r, '+');
    struct view number = reader_while(&r, ascii_is_digit);
    uint64_t seconds = 0;
    if (number.n > BY_DIGITS_MAX || view_to_u64(number, SMTP_BY_MAX, &seconds) != ERR_OK)
        (void)reader_fail(&r, ERR_SYNTAX);
    (void)reader_expect(&r, ';');
    command->has_by = true;
    command->by_s = is_negative ? -(int64_t)seconds : (int64_t)seconds;
    command->by_return = reader_accept_nocase(&r, VIEW("R"));
    if (!command->by_return && !reader_accept_nocase(&r, VIEW("N")))
        (void)reader_fail(&r, ERR_SYNTAX);
    command->by_trace = reader_accept_nocase(&r, VIEW("T"));
    if (reader_err(&r) != ERR_OK || !reader_at_end(&r))
        return BAD_VALUE(s, "BY takes seconds;R or seconds;N");
    if (command->by_return && command->by_s <= 0)
        return BAD_VALUE(s, "BY with R takes a time to come");
    if (command->by_return && command->by_s < s->params->by_min_s) {
        REPLY(s, 550, "5.5.4", "BY with R takes no less than the minimum"); /* RFC2852-3: 55z */
        return false;
    }
    return true;
}

/* RFC6710-7: priority-value = ["-"] NZDIGIT / "0" */
static bool take_priority(struct smtp_session *s, struct view value, struct smtp_command *command) {
    bool is_negative = value.n == 2 && value.p[0] == '-';
    struct view digit = view_skip(value, is_negative);
    if (digit.n != 1 || !ascii_is_digit(digit.p[0]) || (is_negative && digit.p[0] == '0')) {
        REPLY(s, 501, "5.5.2", "MT-PRIORITY is -9 to 9"); /* RFC6710-4.1 */
        return false;
    }
    command->has_priority = true;
    command->priority = (int8_t)(is_negative ? '0' - digit.p[0] : digit.p[0] - '0');
    return true;
}

/* RFC3865-2.3 */
static bool take_solicit(struct smtp_session *s, struct view value, struct smtp_command *command) {
    command->solicit = value;
    return smtp_solicitation_is_valid(value) || BAD_VALUE(s, "SOLICIT takes classes with commas between");
}

/* RFC4954-5: read, and treated as <>, since no client is trusted to speak for others. */
static bool take_auth(struct smtp_session *s, struct view value, struct smtp_command *command) {
    (void)command;
    if (value.n > 0 && is_xtext(value))
        return true;
    REPLY(s, 501, "5.5.4", "AUTH takes a mailbox in xtext, or <>");
    return false;
}

static const struct parameter parameters[] = {
    {VIEW_INIT("SIZE"), SMTP_ON_MAIL, 0, NULL, take_size},
    {VIEW_INIT("BODY"), SMTP_ON_MAIL, 0, NULL, take_body},
    {VIEW_INIT("AUTH"), SMTP_ON_MAIL, 0, session_offers_auth, take_auth},
    {VIEW_INIT("RET"), SMTP_ON_MAIL, SMTP_OFFER_DSN, NULL, take_ret},
    {VIEW_INIT("ENVID"), SMTP_ON_MAIL, SMTP_OFFER_DSN, NULL, take_envid},
    {VIEW_INIT("NOTIFY"), SMTP_ON_RCPT, SMTP_OFFER_DSN, NULL, take_notify},
    {VIEW_INIT("ORCPT"), SMTP_ON_RCPT, SMTP_OFFER_DSN, NULL, take_orcpt},
    {VIEW_INIT("SMTPUTF8"), SMTP_ON_MAIL, SMTP_OFFER_SMTPUTF8, NULL, take_smtputf8},
    {VIEW_INIT("HOLDFOR"), SMTP_ON_MAIL, SMTP_OFFER_FUTURERELEASE, NULL, take_holdfor},
    {VIEW_INIT("HOLDUNTIL"), SMTP_ON_MAIL, SMTP_OFFER_FUTURERELEASE, NULL, take_holduntil},
    {VIEW_INIT("BY"), SMTP_ON_MAIL, SMTP_OFFER_DELIVERBY, NULL, take_by},
    {VIEW_INIT("MT-PRIORITY"), SMTP_ON_MAIL, SMTP_OFFER_MT_PRIORITY, NULL, take_priority},
    {VIEW_INIT("SOLICIT"), SMTP_ON_MAIL, SMTP_OFFER_NO_SOLICITING, NULL, take_solicit},
    {VIEW_INIT("REQUIRETLS"), SMTP_ON_MAIL, SMTP_OFFER_REQUIRETLS, NULL, take_requiretls},
};

static bool is_keyword_char(uint8_t c) {
    return ascii_is_alnum(c) || c == '-';
}

/* RFC5321-4.1.2: esmtp-value = 1*(%d33-60 / %d62-126) */
static bool is_value_char(uint8_t c) {
    return c >= 33 && c <= 126 && c != '=';
}

/* RFC6531-3.3: and UTF-8; the line was checked for it */
static bool is_value_char_or_utf8(uint8_t c) {
    return c >= 0x80 || is_value_char(c);
}

static bool one_param(struct smtp_session *s, enum smtp_on on, struct reader *r, struct smtp_command *command) {
    struct view keyword = reader_while(r, is_keyword_char), value = VIEW_NONE;
    if (reader_accept(r, '=')) {
        value = reader_while(r, session_offers(s, SMTP_OFFER_SMTPUTF8) ? is_value_char_or_utf8 : is_value_char);
        if (value.n == 0)
            (void)reader_fail(r, ERR_SYNTAX);
    }
    if (keyword.n == 0 || keyword.p[0] == '-' || reader_err(r) != ERR_OK ||
        (!reader_at_end(r) && reader_peek(r) != ' ')) {
        REPLY(s, 501, "5.5.4", "Syntax error in parameters");
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
        const struct parameter *p = &parameters[i];
        if (!(p->on & on) || !view_eq_nocase(p->name, keyword) || !session_offers(s, p->extension) ||
            (p->is_offered != NULL && !p->is_offered(s)))
            continue;
        if (command->params_seen & (1u << i)) {
            REPLY(s, 501, "5.5.4", "A parameter is there twice");
            return false;
        }
        command->params_seen |= 1u << i;
        return p->take(s, value, command);
    }
    REPLY(s, 555, "5.5.4", "Parameter not recognized"); /* RFC5321-4.1.1.11 */
    return false;
}

bool parse_params(struct smtp_session *s, enum smtp_on on, struct reader *r, struct smtp_command *command) {
    while (!reader_at_end(r)) {
        if (!reader_expect(r, ' ')) {
            REPLY(s, 501, "5.5.4", "Syntax error behind the address");
            return false;
        }
        while (reader_accept(r, ' ')) /* blanks in a row are a client's slip without meaning */
            ;
        if (!reader_at_end(r) && !one_param(s, on, r, command))
            return false;
    }
    return true;
}
