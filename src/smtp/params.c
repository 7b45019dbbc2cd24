/* The parameters of MAIL and RCPT: one table (RFC5321-4.1.1.11). */
#include "smtp/session.h"

struct parameter {
    struct view name;
    unsigned on;
    /* Whether it is offered in this session. NULL: always. */
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

static bool take_body(struct smtp_session *s, struct view value, struct smtp_command *command) {
    /* RFC6152-3 */
    if (view_eq_nocase(value, VIEW("8BITMIME"))) {
        command->eightbit = true;
        return true;
    }
    if (view_eq_nocase(value, VIEW("7BIT")))
        return true;
    REPLY(s, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
    return false;
}

static bool is_hex(uint8_t c) {
    return ascii_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* RFC3461-4: xtext = *( xchar / hexchar ) */
static bool is_xtext(struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c == '+') {
            if (v.n - i < 3 || !is_hex(v.p[i + 1]) || !is_hex(v.p[i + 2]))
                return false;
            i += 2;
        } else if (c < 33 || c > 126 || c == '=') {
            return false;
        }
    }
    return true;
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
    {VIEW_INIT("SIZE"), SMTP_ON_MAIL, NULL, take_size},
    {VIEW_INIT("BODY"), SMTP_ON_MAIL, NULL, take_body},
    {VIEW_INIT("AUTH"), SMTP_ON_MAIL, session_offers_auth, take_auth},
};

static bool is_keyword_char(uint8_t c) {
    return ascii_is_alnum(c) || c == '-';
}

/* RFC5321-4.1.2: esmtp-value = 1*(%d33-60 / %d62-126) */
static bool is_value_char(uint8_t c) {
    return c >= 33 && c <= 126 && c != '=';
}

static bool one_param(struct smtp_session *s, enum smtp_on on, struct reader *r, struct smtp_command *command) {
    struct view keyword = reader_while(r, is_keyword_char), value = VIEW_NONE;
    if (reader_accept(r, '=')) {
        value = reader_while(r, is_value_char);
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
        if (!(p->on & on) || !view_eq_nocase(p->name, keyword) || (p->is_offered != NULL && !p->is_offered(s)))
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
