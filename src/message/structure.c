/* ENVELOPE, BODY and BODYSTRUCTURE after RFC3501-7.4.2 and the grammar of RFC3501-9. */
#include "message/structure.h"

#include "message/address.h"
#include "message/header.h"

#include <string.h>

/* Fields of the same name whose address lists are joined; more of them are not in the envelope. */
#define ENVELOPE_REPEATS_MAX 8

/* -- Strings ---------------------------------------------------------------------------------------- */

enum octet_class {
    OCTET_ESCAPED = 1, /* in a quoted string */
    OCTET_LITERAL =
        2, /* RFC3501-9: QUOTED-CHAR is a CHAR (7 bits) but CR and LF; other controls too make clients choke */
    OCTET_NUL = 4,
};

/* All classes that occur. */
static unsigned classes_of(struct view text) {
    unsigned classes = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        /* Without branches: nearly all strings have none of these. */
        classes |= (unsigned)((c == '"') | (c == '\\')) | (unsigned)((c - 1u < ' ' - 1u) | (c >= 127)) << 1 |
                   (unsigned)(c == 0) << 2;
    }
    return classes;
}

/* A high bit where one of eight octets is no plain character of a quoted string: an octet that is zero, under " " or 8-bit
 * has it (a borrow may set others after it). */
static uint64_t specials_of(const uint8_t *p) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\'), delete = w ^ (ones * 127);
    return (w | (quote - ones) | (slash - ones) | (delete - ones) | (w - ones * ' ')) & (ones << 7);
}

/* Does a quoted string hold every octet as it is? */
static bool is_simple(struct view text) {
    const size_t word = sizeof(uint64_t);
    if (text.n < word)
        return classes_of(text) == 0;
    /* The last word overlaps the one before it. */
    uint64_t found = specials_of(text.p + text.n - word);
    for (size_t i = 0; i + word <= text.n; i += word)
        found |= specials_of(text.p + i);
    return found == 0;
}

void imap_put_string(struct buf *buf, struct view text) {
    if (is_simple(text)) {
        uint8_t *to = buf_room(buf, text.n + 2);
        if (to == NULL)
            return;
        to[0] = '"';
        if (text.n > 0)
            memcpy(to + 1, text.p, text.n);
        to[text.n + 1] = '"';
        buf_added(buf, text.n + 2);
        return;
    }
    unsigned classes = classes_of(text);
    bool is_quotable = (classes & OCTET_LITERAL) == 0;
    if (!is_quotable) {
        buf_put_byte(buf, '{');
        buf_put_u64(buf, text.n);
        buf_put(buf, VIEW("}\r\n"));
    } else {
        buf_put_byte(buf, '"');
    }
    if ((classes & OCTET_NUL) == 0 && (!is_quotable || (classes & OCTET_ESCAPED) == 0)) {
        buf_put(buf, text);
    } else {
        for (size_t i = 0; i < text.n; i++) {
            uint8_t c = text.p[i];
            if (is_quotable && (c == '"' || c == '\\'))
                buf_put_byte(buf, '\\');
            /* RFC3501-9: CHAR8 excludes NUL. */
            buf_put_byte(buf, c == 0 ? '?' : c);
        }
    }
    if (is_quotable)
        buf_put_byte(buf, '"');
}

void imap_put_nstring(struct buf *buf, struct view text) {
    if (text.p == NULL)
        buf_put(buf, VIEW("NIL"));
    else
        imap_put_string(buf, text);
}

/* -- ENVELOPE --------------------------------------------------------------------------------------- */

enum envelope_field {
    ENV_DATE,
    ENV_SUBJECT,
    ENV_FROM,
    ENV_SENDER,
    ENV_REPLY_TO,
    ENV_TO,
    ENV_CC,
    ENV_BCC,
    ENV_IN_REPLY_TO,
    ENV_MESSAGE_ID,
    ENV_COUNT
};

static const struct view envelope_names[ENV_COUNT] = {
    [ENV_DATE] = VIEW_INIT("Date"),
    [ENV_SUBJECT] = VIEW_INIT("Subject"),
    [ENV_FROM] = VIEW_INIT("From"),
    [ENV_SENDER] = VIEW_INIT("Sender"),
    [ENV_REPLY_TO] = VIEW_INIT("Reply-To"),
    [ENV_TO] = VIEW_INIT("To"),
    [ENV_CC] = VIEW_INIT("Cc"),
    [ENV_BCC] = VIEW_INIT("Bcc"),
    [ENV_IN_REPLY_TO] = VIEW_INIT("In-Reply-To"),
    [ENV_MESSAGE_ID] = VIEW_INIT("Message-ID"),
};

struct envelope {
    struct view values[ENV_COUNT][ENVELOPE_REPEATS_MAX];
    size_t counts[ENV_COUNT];
};

static void envelope_collect(struct envelope *env, struct view header) {
    struct header_iter it;
    struct header_field f;
    size_t fields = 0;
    header_iter_init(&it, view_sub(header, 0, MESSAGE_HEADER_MAX));
    while (header_next(&it, &f) && fields++ < MESSAGE_HEADER_FIELDS_MAX) {
        for (size_t i = 0; i < ENV_COUNT; i++) {
            if (f.name.n != envelope_names[i].n || !view_eq_nocase(f.name, envelope_names[i]))
                continue;
            if (env->counts[i] < ENVELOPE_REPEATS_MAX)
                env->values[i][env->counts[i]++] = f.value;
            break;
        }
    }
}

static void put_text_field(struct buf *buf, struct arena *scratch, const struct envelope *env, enum envelope_field i) {
    struct view text = VIEW_NONE;
    if (env->counts[i] > 0 && header_unfold(scratch, env->values[i][0], &text) != ERR_OK)
        text = VIEW("");
    imap_put_nstring(buf, text);
}

static void put_address(struct buf *buf, const struct address *a) {
    buf_put_byte(buf, '(');
    switch (a->kind) {
    case ADDRESS_GROUP_START:
        buf_put(buf, VIEW("NIL NIL "));
        imap_put_string(buf, a->mailbox);
        buf_put(buf, VIEW(" NIL"));
        break;
    case ADDRESS_GROUP_END:
        buf_put(buf, VIEW("NIL NIL NIL NIL"));
        break;
    case ADDRESS_MAILBOX:
        imap_put_nstring(buf, a->name);
        if (a->adl.p == NULL) {
            buf_put(buf, VIEW(" NIL "));
        } else {
            buf_put_byte(buf, ' ');
            imap_put_string(buf, a->adl);
            buf_put_byte(buf, ' ');
        }
        /* NIL here would say "group", so what is missing is an empty string. */
        imap_put_string(buf, a->mailbox);
        buf_put_byte(buf, ' ');
        imap_put_string(buf, a->host);
        break;
    }
    buf_put_byte(buf, ')');
}

/* False, and nothing written, when the field holds no address. */
static bool put_addresses(struct buf *buf, struct arena *scratch, const struct envelope *env, enum envelope_field i) {
    /* RFC5322-4.5.3: repeated destination fields are combined; of the others the first counts. */
    size_t fields = i == ENV_TO || i == ENV_CC || i == ENV_BCC ? env->counts[i] : MIN(env->counts[i], 1);
    bool any = false;
    for (size_t k = 0; k < fields; k++) {
        struct address_list list;
        address_parse(scratch, env->values[i][k], &list);
        for (size_t n = 0; n < list.count; n++) {
            if (!any)
                buf_put_byte(buf, '(');
            any = true;
            put_address(buf, &list.list[n]);
        }
    }
    if (any)
        buf_put_byte(buf, ')');
    return any;
}

/* Octets that the buf holds already. */
static void put_again(struct buf *buf, size_t from, size_t n) {
    uint8_t *to = buf_room(buf, n);
    if (to == NULL)
        return;
    if (n > 0)
        memcpy(to, buf->p + from, n);
    buf_added(buf, n);
}

void structure_put_envelope(struct buf *buf, struct arena *scratch, struct view header) {
    struct envelope env;
    memset(env.counts, 0, sizeof(env.counts));
    envelope_collect(&env, header);
    buf_put_byte(buf, '(');
    put_text_field(buf, scratch, &env, ENV_DATE);
    buf_put_byte(buf, ' ');
    put_text_field(buf, scratch, &env, ENV_SUBJECT);
    size_t from = 0, from_n = 0; /* where the addresses of From are in the buf */
    for (enum envelope_field i = ENV_FROM; i <= ENV_BCC; i++) {
        buf_put_byte(buf, ' ');
        size_t start = buf->n;
        bool any = put_addresses(buf, scratch, &env, i);
        /* RFC3501-7.4.2: an absent or empty Sender or Reply-To is the same as From. */
        if (!any && (i == ENV_SENDER || i == ENV_REPLY_TO))
            put_again(buf, from, from_n);
        else if (!any)
            buf_put(buf, VIEW("NIL"));
        if (i == ENV_FROM) {
            from = start;
            from_n = buf->n - start;
        }
    }
    buf_put_byte(buf, ' ');
    put_text_field(buf, scratch, &env, ENV_IN_REPLY_TO);
    buf_put_byte(buf, ' ');
    put_text_field(buf, scratch, &env, ENV_MESSAGE_ID);
    buf_put_byte(buf, ')');
}

/* -- BODY and BODYSTRUCTURE ------------------------------------------------------------------------- */

static void put_params(struct buf *buf, const struct mime_params *params) {
    if (params->count == 0) {
        buf_put(buf, VIEW("NIL"));
        return;
    }
    buf_put_byte(buf, '(');
    for (size_t i = 0; i < params->count; i++) {
        if (i > 0)
            buf_put_byte(buf, ' ');
        imap_put_string(buf, params->list[i].name);
        buf_put_byte(buf, ' ');
        imap_put_string(buf, params->list[i].value);
    }
    buf_put_byte(buf, ')');
}

static void put_encoding(struct buf *buf, const struct mime_part *part) {
    static const struct view names[] = {
        [MIME_ENCODING_7BIT] = VIEW_INIT("7BIT"),     [MIME_ENCODING_8BIT] = VIEW_INIT("8BIT"),
        [MIME_ENCODING_BINARY] = VIEW_INIT("BINARY"), [MIME_ENCODING_QUOTED_PRINTABLE] = VIEW_INIT("QUOTED-PRINTABLE"),
        [MIME_ENCODING_BASE64] = VIEW_INIT("BASE64"),
    };
    imap_put_string(buf, part->encoding == MIME_ENCODING_UNKNOWN ? part->encoding_text : names[part->encoding]);
}

/* body-fld-dsp [SP body-fld-lang [SP body-fld-loc]], the same for both kinds of parts. */
static void put_extensions(struct buf *buf, const struct mime_part *part) {
    if (part->disposition.p == NULL) {
        buf_put(buf, VIEW("NIL"));
    } else {
        buf_put_byte(buf, '(');
        imap_put_string(buf, part->disposition);
        buf_put_byte(buf, ' ');
        put_params(buf, &part->disposition_params);
        buf_put_byte(buf, ')');
    }
    buf_put_byte(buf, ' ');
    if (part->language_count == 0) {
        buf_put(buf, VIEW("NIL"));
    } else {
        buf_put_byte(buf, '(');
        for (size_t i = 0; i < part->language_count; i++) {
            if (i > 0)
                buf_put_byte(buf, ' ');
            imap_put_string(buf, part->languages[i]);
        }
        buf_put_byte(buf, ')');
    }
    buf_put_byte(buf, ' ');
    imap_put_nstring(buf, part->location);
}

static void put_part(struct buf *buf, struct arena *scratch, const struct message *message,
                     const struct mime_part *part, bool extensible);

static void put_multipart(struct buf *buf, struct arena *scratch, const struct message *message,
                          const struct mime_part *part, bool extensible) {
    for (const struct mime_part *child = part->first_child; child != NULL; child = child->next)
        put_part(buf, scratch, message, child, extensible);
    buf_put_byte(buf, ' ');
    imap_put_string(buf, part->subtype);
    if (extensible) {
        buf_put_byte(buf, ' ');
        put_params(buf, &part->params);
        buf_put_byte(buf, ' ');
        put_extensions(buf, part);
    }
}

static void put_single(struct buf *buf, struct arena *scratch, const struct message *message,
                       const struct mime_part *part, bool extensible) {
    /* RFC3501-9: media-message always comes with an envelope; an encoded one is not read inside. */
    bool is_closed = !part->is_message && mime_part_is(part, VIEW("message"), VIEW("rfc822"));
    imap_put_string(buf, is_closed ? VIEW("application") : part->type);
    buf_put_byte(buf, ' ');
    imap_put_string(buf, is_closed ? VIEW("octet-stream") : part->subtype);
    buf_put_byte(buf, ' ');
    bool is_text = view_eq_nocase(part->type, VIEW("text"));
    /* RFC2045-5.2: no Content-Type means text/plain; charset=us-ascii, and clients like to see it. */
    if (!part->has_type && is_text && part->params.count == 0)
        buf_put(buf, VIEW("(\"CHARSET\" \"US-ASCII\")"));
    else
        put_params(buf, &part->params);
    buf_put_byte(buf, ' ');
    imap_put_nstring(buf, part->id);
    buf_put_byte(buf, ' ');
    imap_put_nstring(buf, part->description);
    buf_put_byte(buf, ' ');
    put_encoding(buf, part);
    buf_put_byte(buf, ' ');
    buf_put_u64(buf, part->body_size);
    /* RFC3501-9: media-message is MESSAGE/RFC822 alone; message/global is a basic type to IMAP4rev1. */
    bool is_message = part->is_message && view_eq_nocase(part->subtype, VIEW("rfc822"));
    if (is_message) {
        buf_put_byte(buf, ' ');
        structure_put_envelope(buf, scratch, part->embedded->header);
        buf_put_byte(buf, ' ');
        put_part(buf, scratch, message, part->embedded, extensible);
    }
    if (is_message || is_text) {
        buf_put_byte(buf, ' ');
        buf_put_u64(buf, part->lines);
    }
    if (extensible) {
        buf_put_byte(buf, ' ');
        imap_put_nstring(buf, part->md5);
        buf_put_byte(buf, ' ');
        put_extensions(buf, part);
    }
}

/* Recursion is bounded by MESSAGE_DEPTH_MAX. */
static void put_part(struct buf *buf, struct arena *scratch, const struct message *message,
                     const struct mime_part *part, bool extensible) {
    buf_put_byte(buf, '(');
    if (part->is_multipart)
        put_multipart(buf, scratch, message, part, extensible);
    else
        put_single(buf, scratch, message, part, extensible);
    buf_put_byte(buf, ')');
}

void structure_put_body(struct buf *buf, struct arena *scratch, const struct message *message, bool extensible) {
    put_part(buf, scratch, message, message->root, extensible);
}
