/* The builder's header fields: text, addresses, dates, message ids. */
#include "message/builder_tree.h"

#include "message/fold.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <idn2.h>
#include <string.h>

/* RFC5321-4.5.3.1.1 has 64 octets, but senders of bounce addresses and lists go beyond; quoted it must fit on a line. */
#define LOCAL_PART_MAX 320
/* RFC1035-2.3.4 */
#define DOMAIN_MAX 255
/* RFC5322-3.6.4: one line holds it with its brackets. */
#define MESSAGE_ID_MAX FOLD_WORD_MAX

/* -- Fields ------------------------------------------------------------------------------------------ */

/* RFC5322-3.6: fields that may come at most once. */
static const struct view once[] = {
    VIEW_INIT("Date"),        VIEW_INIT("Message-ID"), VIEW_INIT("From"),    VIEW_INIT("Sender"),
    VIEW_INIT("Reply-To"),    VIEW_INIT("To"),         VIEW_INIT("Cc"),      VIEW_INIT("Bcc"),
    VIEW_INIT("In-Reply-To"), VIEW_INIT("References"), VIEW_INIT("Subject"),
};
enum { ONCE_DATE = 0, ONCE_MESSAGE_ID = 1 };

static ssize_t once_index(struct view name) {
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        if (view_eq_nocase(once[i], name))
            return (ssize_t)i;
    return -1;
}

bool builder_has_date(const struct builder *b) {
    return (b->seen >> ONCE_DATE & 1) != 0;
}

bool builder_has_message_id(const struct builder *b) {
    return (b->seen >> ONCE_MESSAGE_ID & 1) != 0;
}

static enum err check_name(const struct builder *b, struct view name) {
    if (!fold_is_name(name))
        return ERR_SYNTAX;
    /* The fields of RFC 2045 and its relatives are written from the tree. */
    if (view_starts_nocase(name, VIEW("Content-")) || view_eq_nocase(name, VIEW("MIME-Version")))
        return ERR_EXISTS;
    ssize_t i = once_index(name);
    return i >= 0 && (b->seen >> i & 1) != 0 ? ERR_EXISTS : ERR_OK;
}

enum err builder_fields_add(struct builder *b, struct builder_fields *fields, const struct buf *field) {
    TRY(buf_err(field));
    struct builder_field *added = ARENA_NEW(b->arena, struct builder_field);
    if (added == NULL)
        return ERR_LIMIT;
    TRY(arena_view(b->arena, buf_view(field), &added->text));
    if (fields->last == NULL)
        fields->first = added;
    else
        fields->last->next = added;
    fields->last = added;
    return ERR_OK;
}

/* Ends a field of the message's header, and keeps it unless the value was bad. */
static enum err finish(struct builder *b, struct fold *f, struct view name, enum err err) {
    fold_end(f);
    if (err == ERR_OK)
        err = builder_fields_add(b, &b->fields, f->out);
    ssize_t i = once_index(name);
    if (err == ERR_OK && i >= 0)
        b->seen |= UINT32_C(1) << i;
    buf_fini(f->out);
    return err;
}

enum err builder_text(struct builder *b, struct view name, struct view text) {
    struct buf out;
    struct fold f;
    TRY(check_name(b, name));
    buf_init(&out, BUILDER_FIELD_MAX);
    fold_begin(&f, &out, name, b->options.is_utf8);
    fold_text(&f, text);
    return finish(b, &f, name, ERR_OK);
}

static enum err check_structured(struct view value, bool is_utf8) {
    if (is_utf8 ? !utf8_is_valid(value) : !utf8_is_ascii(value))
        return ERR_SYNTAX;
    for (size_t i = 0, run = 0; i < value.n; i++) {
        run = value.p[i] <= ' ' || value.p[i] == 127 ? 0 : run + 1;
        if (run > FOLD_WORD_MAX)
            return ERR_SYNTAX;
    }
    return ERR_OK;
}

enum err builder_structured(struct builder *b, struct view name, struct view value) {
    struct buf out;
    struct fold f;
    TRY(check_name(b, name));
    TRY(check_structured(value, b->options.is_utf8));
    buf_init(&out, BUILDER_FIELD_MAX);
    fold_begin(&f, &out, name, b->options.is_utf8);
    fold_structured(&f, value);
    return finish(b, &f, name, ERR_OK);
}

/* RFC5322-3.3, with the zone as the caller wants it shown. */
enum err builder_date(struct builder *b, struct view name, int64_t wall_us, int zone_minutes) {
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    TRY(check_name(b, name));
    int64_t unix_s = wall_us / US_PER_S - (wall_us % US_PER_S < 0);
    struct date d = date_from_unix(unix_s, zone_minutes);
    unsigned zone = (unsigned)(zone_minutes < 0 ? -zone_minutes : zone_minutes);
    /* RFC5322-3.3: years from 1900 on; four digits of zone. */
    if (d.year < 1900 || d.year > 9999 || zone > 99 * 60 + 59)
        return ERR_SYNTAX;
    struct buf out;
    buf_init(&out, BUILDER_FIELD_MAX);
    buf_put(&out, name);
    buf_printf(&out, ": %s, %d %s %04d %02d:%02d:%02d %c%02u%02u", days[date_weekday(&d)], d.day, months[d.month - 1],
               d.year, d.hour, d.minute, d.second, zone_minutes < 0 ? '-' : '+', zone / 60, zone % 60);
    struct fold f = {.out = &out};
    return finish(b, &f, name, ERR_OK);
}

/* -- Message ids --------------------------------------------------------------------------------------- */

/* RFC5322-3.6.4, and whatever others have used that cannot break a line or a list. */
static bool is_id(struct view id, bool is_utf8) {
    if (is_utf8 ? !utf8_is_valid(id) : !utf8_is_ascii(id))
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] == 127 || id.p[i] == '<' || id.p[i] == '>')
            return false;
    return id.n > 0 && id.n <= MESSAGE_ID_MAX - 2;
}

static void put_id(struct fold *f, struct view id) {
    struct buf word;
    buf_init(&word, MESSAGE_ID_MAX);
    buf_put_byte(&word, '<');
    buf_put(&word, id);
    buf_put_byte(&word, '>');
    fold_word(f, 1, buf_view(&word));
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&word);
    buf_fini(&word);
}

enum err builder_ids(struct builder *b, struct view name, const struct view *ids, size_t count) {
    struct buf out;
    struct fold f;
    TRY(check_name(b, name));
    for (size_t i = 0; i < count; i++)
        if (!is_id(ids[i], b->options.is_utf8))
            return ERR_SYNTAX;
    if (count == 0)
        return ERR_OK;
    buf_init(&out, BUILDER_FIELD_MAX);
    fold_begin(&f, &out, name, b->options.is_utf8);
    for (size_t i = 0; i < count; i++)
        put_id(&f, ids[i]);
    return finish(b, &f, name, ERR_OK);
}

enum err builder_content_id(struct builder_part *part, struct view id) {
    struct buf out;
    struct fold f;
    if (!is_id(id, part->builder->options.is_utf8))
        return ERR_SYNTAX;
    TRY(builder_part_begin(part, &f, &out, VIEW("Content-ID"), BUILDER_ID));
    put_id(&f, id);
    return builder_part_finish(part, &f, BUILDER_ID);
}

/* -- Other fields of parts ------------------------------------------------------------------------------ */

/* Those that the tree or a function of its own writes are not other ones. */
static enum err check_part_name(struct view name) {
    static const struct view taken[] = {
        VIEW_INIT("Content-Type"),        VIEW_INIT("Content-Transfer-Encoding"), VIEW_INIT("Content-ID"),
        VIEW_INIT("Content-Disposition"), VIEW_INIT("Content-Description"),       VIEW_INIT("Content-Language"),
        VIEW_INIT("MIME-Version"),
    };
    if (!fold_is_name(name))
        return ERR_SYNTAX;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (view_eq_nocase(taken[i], name))
            return ERR_EXISTS;
    return ERR_OK;
}

enum err builder_part_text(struct builder_part *part, struct view name, struct view text) {
    struct buf out;
    struct fold f;
    TRY(check_part_name(name));
    TRY(builder_part_begin(part, &f, &out, name, -1));
    fold_text(&f, text);
    return builder_part_finish(part, &f, -1);
}

enum err builder_part_structured(struct builder_part *part, struct view name, struct view value) {
    struct buf out;
    struct fold f;
    TRY(check_part_name(name));
    TRY(check_structured(value, part->builder->options.is_utf8));
    TRY(builder_part_begin(part, &f, &out, name, -1));
    fold_structured(&f, value);
    return builder_part_finish(part, &f, -1);
}

/* -- Addresses ----------------------------------------------------------------------------------------- */

static bool has_control(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < ' ' || v.p[i] == 127)
            return true;
    return false;
}

/* RFC5322-3.4.1: domain-literal; obsolete quoted pairs inside are not written. */
static bool is_literal(struct view host) {
    if (host.n < 3 || host.p[0] != '[' || host.p[host.n - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < host.n; i++)
        if (host.p[i] <= ' ' || host.p[i] >= 127 || view_find_byte(VIEW("[]\\"), host.p[i]) >= 0)
            return false;
    return true;
}

/* The domain as it is written: raw, or with its U-labels as A-labels (RFC5890-2.3.2.1) where only ASCII may be. */
static enum err domain_of(const struct builder *b, struct view host, struct buf *out) {
    if (host.n == 0 || host.n > DOMAIN_MAX || !utf8_is_valid(host))
        return ERR_SYNTAX;
    if (!is_literal(host) && !fold_is_dot_atom(host))
        return ERR_SYNTAX;
    if (b->options.is_utf8 || utf8_is_ascii(host)) {
        buf_put(out, host);
        return buf_err(out);
    }
    char name[DOMAIN_MAX + 1];
    uint8_t *ascii = NULL;
    memcpy(name, host.p, host.n);
    name[host.n] = 0;
    int rc = idn2_lookup_u8((const uint8_t *)name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc == IDN2_MALLOC)
        return ERR_NO_MEMORY;
    if (rc != IDN2_OK)
        return ERR_SYNTAX;
    buf_put(out, view_cstr((const char *)ascii));
    idn2_free(ascii);
    return fold_is_dot_atom(buf_view(out)) ? buf_err(out) : ERR_SYNTAX;
}

/* RFC6532-3.2: a local part beyond ASCII exists only where headers are UTF-8; nothing else may stand for it. */
static bool is_local_part(const struct builder *b, struct view local) {
    return local.n > 0 && local.n <= LOCAL_PART_MAX && !has_control(local) &&
           (b->options.is_utf8 ? utf8_is_valid(local) : utf8_is_ascii(local));
}

static enum err put_mailbox(const struct builder *b, struct fold *f, const struct address *a, struct view tail) {
    if (!is_local_part(b, a->mailbox))
        return ERR_SYNTAX;
    struct buf domain;
    buf_init(&domain, 4 * DOMAIN_MAX);
    enum err err = domain_of(b, a->host, &domain);
    bool has_name = a->name.n > 0;
    struct buf after;
    buf_init(&after, 8);
    if (has_name)
        buf_put_byte(&after, '>');
    buf_put(&after, tail);
    if (err == ERR_OK && has_name)
        fold_phrase(f, a->name, VIEW_NONE);
    if (err == ERR_OK)
        fold_address(f, has_name ? VIEW("<") : VIEW_NONE, a->mailbox, buf_view(&domain), buf_view(&after));
    buf_fini(&after);
    buf_fini(&domain);
    return err;
}

/* What follows entry i directly. */
static struct view tail_of(const struct address *list, size_t count, size_t i) {
    bool closes = i + 1 < count && list[i + 1].kind == ADDRESS_GROUP_END;
    bool goes_on = i + 1 + closes < count;
    if (list[i].kind == ADDRESS_GROUP_START)
        return !closes ? VIEW(":") : goes_on ? VIEW(":;,") : VIEW(":;");
    if (closes)
        return goes_on ? VIEW(";,") : VIEW(";");
    return goes_on ? VIEW(",") : VIEW_NONE;
}

/* RFC5322-3.4, RFC6854-2.1: groups do not nest. */
static enum err put_list(const struct builder *b, struct fold *f, const struct address *list, size_t count) {
    bool in_group = false;
    for (size_t i = 0; i < count; i++) {
        if (list[i].kind == ADDRESS_MAILBOX) {
            TRY(put_mailbox(b, f, &list[i], tail_of(list, count, i)));
            continue;
        }
        if (in_group == (list[i].kind == ADDRESS_GROUP_START))
            return ERR_SYNTAX;
        in_group = !in_group;
        if (!in_group)
            continue;
        fold_phrase(f, list[i].mailbox, tail_of(list, count, i));
    }
    return in_group ? ERR_SYNTAX : ERR_OK;
}

enum err builder_addresses(struct builder *b, struct view name, const struct address *list, size_t count) {
    struct buf out;
    struct fold f;
    TRY(check_name(b, name));
    if (count == 0)
        return ERR_OK;
    buf_init(&out, BUILDER_FIELD_MAX);
    fold_begin(&f, &out, name, b->options.is_utf8);
    return finish(b, &f, name, put_list(b, &f, list, count));
}
