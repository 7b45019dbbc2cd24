/* What a verdict is called, which reply it has, and the field that records it. */
#include "spf/spf.h"

#define SHOWN_MAX 255  /* octets of an address or a name in a text */
#define LINE_WISHED 78 /* RFC5322-2.1.1 */

const char *spf_result_name(enum spf_result result) {
    static const char *const names[] = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"};
    return names[result];
}

/* RFC7372-3.2: X.7.23 "SPF validation failed", X.7.24 "SPF validation error". RFC7208-8.6 gives 451, 8.4 and 8.7 give 550. */
struct spf_reply spf_reply(enum spf_result result) {
    switch (result) {
    case SPF_FAIL:
        return (struct spf_reply){550, "5.7.23"};
    case SPF_PERMERROR:
        return (struct spf_reply){550, "5.7.24"};
    case SPF_TEMPERROR:
        return (struct spf_reply){451, "4.7.24"};
    default:
        return (struct spf_reply){0, NULL};
    }
}

static void put_from(struct buf *buf, struct view v, uint8_t least) {
    struct view cut = view_sub(v, 0, SHOWN_MAX);
    for (size_t i = 0; i < cut.n; i++)
        buf_put_byte(buf, cut.p[i] >= least && cut.p[i] < 0x7f ? cut.p[i] : '?');
}

/* What a stranger chose, made harmless: visible ASCII, bounded. */
static void put_shown(struct buf *buf, struct view v) {
    put_from(buf, v, ' ' + 1);
}

void buf_put_spf_reply_text(struct buf *buf, const struct spf_verdict *verdict) {
    buf_put_str(buf, verdict->identity == SPF_HELO ? "SPF HELO check: " : "SPF MAIL FROM check: ");
    switch (verdict->result) {
    case SPF_FAIL:
        put_shown(buf, verdict->domain);
        buf_put_str(buf, " does not let this address send its mail");
        break;
    case SPF_TEMPERROR:
        buf_put_str(buf, "DNS trouble with ");
        put_shown(buf, verdict->domain);
        break;
    case SPF_PERMERROR:
        buf_put_str(buf, "the record of ");
        put_shown(buf, verdict->domain);
        buf_put_str(buf, " cannot be used");
        break;
    default:
        buf_put_str(buf, spf_result_name(verdict->result));
        break;
    }
    if (verdict->result != SPF_FAIL || verdict->explanation.n == 0)
        return;
    /* RFC7208-6.2: "SHOULD make it clear that the explanation string comes from a third party" */
    buf_put_str(buf, "; ");
    put_shown(buf, verdict->domain);
    buf_put_str(buf, " explains: ");
    buf_put(buf, verdict->explanation);
}

enum err spf_add_authres(const struct spf_verdict *verdict, struct authres *authres, struct arena *arena) {
    TRY(authres_add(authres, arena, VIEW("spf"), view_cstr(spf_result_name(verdict->result))));
    struct authres_result *result = &authres->results[authres->results_n - 1];
    if (verdict->result == SPF_TEMPERROR || verdict->result == SPF_PERMERROR)
        result->reason = verdict->problem;
    if (verdict->identity == SPF_HELO)
        return authres_add_property(authres, arena, VIEW("smtp"), VIEW("helo"), verdict->domain);
    return authres_add_property(authres, arena, VIEW("smtp"), VIEW("mailfrom"), verdict->sender);
}

/* ---- Received-SPF ---- */

struct writer {
    struct buf *buf;
    size_t line_from;
};

/* One unbreakable piece with what goes before it. */
static void put_piece(struct writer *f, struct view piece) {
    if (f->buf->n - f->line_from + 1 + piece.n > LINE_WISHED) {
        buf_put_str(f->buf, "\r\n\t");
        f->line_from = f->buf->n - 1;
    } else {
        buf_put_byte(f->buf, ' ');
    }
    buf_put(f->buf, piece);
}

static bool is_dot_atom(struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        bool is_dot_inside = c == '.' && i > 0 && i + 1 < v.n && v.p[i - 1] != '.';
        if (!ascii_is_alnum(c) && !is_dot_inside && view_find_byte(VIEW("!#$%&'*+-/=?^_`{|}~"), c) < 0)
            return false;
    }
    return v.n > 0;
}

/* RFC7208-9.1: key-value-pair: dot-atom or quoted-string. */
static void put_pair(struct writer *f, const char *key, struct view value) {
    struct buf piece, shown;
    buf_init(&piece, 4 * SHOWN_MAX);
    buf_init(&shown, SHOWN_MAX);
    put_from(&shown, value, ' ');
    buf_put_str(&piece, key);
    buf_put_byte(&piece, '=');
    if (is_dot_atom(buf_view(&shown))) {
        buf_put(&piece, buf_view(&shown));
    } else {
        buf_put_byte(&piece, '"');
        for (size_t i = 0; i < shown.n; i++) {
            if (shown.p[i] == '"' || shown.p[i] == '\\')
                buf_put_byte(&piece, '\\');
            buf_put_byte(&piece, shown.p[i]);
        }
        buf_put_byte(&piece, '"');
    }
    buf_put_byte(&piece, ';');
    put_piece(f, buf_view(&piece));
    buf_fini(&piece);
    buf_fini(&shown);
}

/* RFC5322-3.2.2: ctext without what would need quoting. */
static void put_words(struct writer *f, struct view text) {
    struct view word;
    for (bool more = true; more;) {
        more = view_split(text, ' ', &word, &text);
        if (word.n)
            put_piece(f, word);
    }
}

static const char *comment_words(enum spf_result result) {
    switch (result) {
    case SPF_PASS:
        return "designates";
    case SPF_FAIL:
        return "does not designate";
    case SPF_SOFTFAIL:
        return "would rather not designate";
    case SPF_NEUTRAL:
        return "says nothing about";
    case SPF_NONE:
        return "has no record about";
    default:
        return "has a record or DNS that cannot be used about";
    }
}

static void put_comment(struct writer *f, const struct spf_env *env, const struct spf_verdict *verdict,
                        struct view ip) {
    struct buf comment, clean;
    buf_init(&comment, 2000);
    buf_init(&clean, 2000);
    put_shown(&comment, env->receiver.n ? env->receiver : VIEW("unknown"));
    buf_put_str(&comment, ": domain of ");
    put_shown(&comment, verdict->sender);
    buf_printf(&comment, " %s %.*s as permitted sender", comment_words(verdict->result), VIEW_FMT(ip));
    buf_put_byte(&clean, '(');
    for (size_t i = 0; i < comment.n; i++) /* RFC5322-3.2.2: parentheses and backslash would end or quote */
        buf_put_byte(&clean, view_find_byte(VIEW("()\\"), comment.p[i]) < 0 ? comment.p[i] : '?');
    buf_put_byte(&clean, ')');
    put_words(f, buf_view(&clean));
    buf_fini(&comment);
    buf_fini(&clean);
}

void buf_put_received_spf(struct buf *buf, const struct spf_env *env, const struct spf_query *query,
                          const struct spf_verdict *verdict) {
    struct writer f = {buf, buf->n};
    struct buf ip;
    buf_init(&ip, 100);
    struct netaddr plain = netaddr_unmapped(&query->ip);
    buf_put_ip(&ip, &plain);
    buf_put_str(buf, "Received-SPF:");
    put_piece(&f, view_cstr(spf_result_name(verdict->result)));
    put_comment(&f, env, verdict, buf_view(&ip));
    if (env->receiver.n)
        put_pair(&f, "receiver", env->receiver);
    put_pair(&f, "identity", query->identity == SPF_HELO ? VIEW("helo") : VIEW("mailfrom"));
    put_pair(&f, "client-ip", buf_view(&ip));
    if (query->identity == SPF_MAIL_FROM)
        put_pair(&f, "envelope-from", verdict->sender);
    put_pair(&f, "helo", query->helo);
    if (verdict->result == SPF_TEMPERROR || verdict->result == SPF_PERMERROR)
        put_pair(&f, "problem", verdict->problem);
    else if (verdict->result != SPF_NONE)
        put_pair(&f, "mechanism", verdict->mechanism.n ? verdict->mechanism : VIEW("default"));
    buf_put_str(buf, "\r\n");
    buf_fini(&ip);
}
