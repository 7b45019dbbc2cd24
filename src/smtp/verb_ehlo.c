/* EHLO, HELO and LHLO (RFC5321-4.1.1.1, RFC2033-4.1). */
#include "smtp/params.h"
#include "smtp/session.h"

static bool parse_name(struct smtp_session *s, struct view args, struct smtp_command *command) {
    if (!smtp_greeting_name_is_valid(args)) {
        REPLY(s, 501, "5.5.4", "A host name or address literal is needed");
        return false;
    }
    command->text = args;
    return true;
}

/* RFC5321-4.1.4: a new greeting is also a reset. */
static void remember(struct smtp_session *s, struct view name, bool esmtp) {
    session_reset(s);
    for (size_t i = 0; i < name.n; i++)
        s->helo[i] = name.p[i];
    s->facts.helo = view_of(s->helo, name.n);
    s->facts.esmtp = esmtp;
    s->state = SMTP_READY;
}

static void put_auth(struct smtp_session *s, struct buf *text) {
    bool any = false;
    if (!session_offers_auth(s) || s->facts.authenticated.n > 0)
        return;
    for (size_t i = 0; i < smtp_mechanisms_n; i++) {
        if (!mechanism_is_offered(s, &smtp_mechanisms[i]))
            continue;
        buf_put_str(text, any ? " " : "\nAUTH "); /* RFC4954-3 */
        buf_put(text, smtp_mechanisms[i].name);
        any = true;
    }
}

/* RFC9422-3 */
static void put_limits(const struct smtp_server_params *params, struct buf *text) {
    const struct {
        const char *name;
        uint32_t value;
    } limits[] = {{" MAILMAX=", params->mails_max},
                  {" RCPTMAX=", params->recipients_max},
                  {" RCPTDOMAINMAX=", params->recipient_domains_max}};
    size_t start = text->n;
    buf_put_str(text, "\nLIMITS");
    size_t bare = text->n;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (limits[i].value > 0) {
            buf_put_str(text, limits[i].name);
            buf_put_u64(text, MIN(limits[i].value, SMTP_LIMIT_MAX));
        }
    if (text->n == bare && buf_err(text) == ERR_OK)
        text->n = start; /* RFC9422-3: at least one limit */
}

static void put_with(struct buf *text, const char *keyword, struct view parameter) {
    buf_put_str(text, keyword);
    if (parameter.n > 0)
        buf_put_byte(text, ' ');
    buf_put(text, parameter);
}

static void put_extensions(const struct smtp_session *s, struct buf *text) {
    const struct smtp_server_params *params = s->params;
    if (session_offers(s, SMTP_OFFER_CHUNKING))
        buf_put_str(text, "\nCHUNKING"); /* RFC3030-2 */
    if (session_offers(s, SMTP_OFFER_BINARYMIME))
        buf_put_str(text, "\nBINARYMIME"); /* RFC3030-3 */
    if (session_offers(s, SMTP_OFFER_DSN))
        buf_put_str(text, "\nDSN"); /* RFC3461-4 */
    if (session_offers(s, SMTP_OFFER_SMTPUTF8))
        buf_put_str(text, "\nSMTPUTF8"); /* RFC6531-3.1 */
    if (session_offers(s, SMTP_OFFER_FUTURERELEASE)) {
        /* RFC4865-3 */
        int64_t now_s = loop_wall_us(s->stream->loop) / US_PER_S;
        buf_put_str(text, "\nFUTURERELEASE ");
        buf_put_u64(text, params->hold_max_s);
        buf_put_byte(text, ' ');
        smtp_put_utc(text, now_s + params->hold_max_s);
    }
    if (session_offers(s, SMTP_OFFER_DELIVERBY)) {
        buf_put_str(text, "\nDELIVERBY"); /* RFC2852-3 */
        if (params->by_min_s > 0) {
            buf_put_byte(text, ' ');
            buf_put_u64(text, params->by_min_s);
        }
    }
    if (session_offers(s, SMTP_OFFER_MT_PRIORITY))
        put_with(text, "\nMT-PRIORITY", params->priority_policy); /* RFC6710-3 */
    if (session_offers(s, SMTP_OFFER_NO_SOLICITING))
        put_with(text, "\nNO-SOLICITING",
                 view_sub(params->no_soliciting, 0, SMTP_REPLY_TEXT_MAX - 20)); /* RFC3865-2.1 */
    if (session_offers(s, SMTP_OFFER_REQUIRETLS))
        buf_put_str(text, "\nREQUIRETLS"); /* RFC8689-2 */
    if (session_offers(s, SMTP_OFFER_LIMITS))
        put_limits(params, text);
}

static enum err run_ehlo(struct smtp_session *s, const struct smtp_command *command) {
    struct buf text;
    remember(s, command->text, true);
    buf_init(&text, 4096);
    buf_put(&text, s->params->hostname);
    buf_put_str(&text, "\nPIPELINING\nSIZE ");
    buf_put_u64(&text, s->params->size_max); /* RFC1870-3: 0 is "no fixed maximum" */
    buf_put_str(&text, "\n8BITMIME\nENHANCEDSTATUSCODES");
    put_extensions(s, &text);
    if (session_offers_tls(s))
        buf_put_str(&text, "\nSTARTTLS");
    put_auth(s, &text);
    buf_put_str(&text, "\nHELP");
    enum err err = buf_err(&text);
    if (err == ERR_OK)
        session_reply(s, 250, VIEW_NONE, buf_view(&text)); /* RFC2034-4: no status here */
    buf_fini(&text);
    return err;
}

static enum err run_helo(struct smtp_session *s, const struct smtp_command *command) {
    remember(s, command->text, false);
    session_reply(s, 250, VIEW_NONE, s->params->hostname);
    return ERR_OK;
}

const struct smtp_verb smtp_verb_ehlo = {.name = VIEW_INIT("EHLO"),
                                         .kinds = KIND_SMTP,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_name,
                                         .run = run_ehlo};
const struct smtp_verb smtp_verb_helo = {.name = VIEW_INIT("HELO"),
                                         .kinds = KIND_SMTP,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_name,
                                         .run = run_helo};
const struct smtp_verb smtp_verb_lhlo = {.name = VIEW_INIT("LHLO"),
                                         .kinds = KIND_LMTP,
                                         .states = SMTP_ANY,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .parse = parse_name,
                                         .run = run_ehlo};
