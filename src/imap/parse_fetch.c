/* FETCH attributes and section specifications, RFC3501-6.4.5, RFC3501-9. */
#include "imap/parse.h"

static const struct {
    struct view name;
    enum imap_fetch_kind kind;
} plain_atts[] = {
    {VIEW_INIT("FLAGS"), IMAP_FETCH_FLAGS},
    {VIEW_INIT("UID"), IMAP_FETCH_UID},
    {VIEW_INIT("INTERNALDATE"), IMAP_FETCH_INTERNALDATE},
    {VIEW_INIT("RFC822.SIZE"), IMAP_FETCH_SIZE},
    {VIEW_INIT("ENVELOPE"), IMAP_FETCH_ENVELOPE},
    {VIEW_INIT("BODYSTRUCTURE"), IMAP_FETCH_BODYSTRUCTURE},
};

/* RFC3501-6.4.5: RFC822 is BODY[], RFC822.HEADER is BODY.PEEK[HEADER], RFC822.TEXT is BODY[TEXT], named differently */
static const struct {
    struct view name;
    enum section_text text;
    bool is_peek;
} old_sections[] = {
    {VIEW_INIT("RFC822"), SECTION_ALL, false},
    {VIEW_INIT("RFC822.HEADER"), SECTION_HEADER, true},
    {VIEW_INIT("RFC822.TEXT"), SECTION_TEXT, false},
};

/* Room for 1, 2, 4 ... of them: most commands name few. *out is valid until the next one is added. */
static enum err add(struct imap_parser *p, struct imap_fetch_atts *atts, struct imap_fetch_att **out) {
    if (atts->n >= IMAP_FETCH_ATTS_MAX)
        return imap_wrong(p, ERR_LIMIT, "too many attributes");
    if ((atts->n & (atts->n - 1)) == 0) {
        struct imap_fetch_att *list = arena_grow(p->arena, atts->list, atts->n, MAX(atts->n * 2, 1), sizeof(*list));
        if (list == NULL)
            return imap_wrong(p, ERR_LIMIT, "the command is too large");
        atts->list = list;
    }
    *out = &atts->list[atts->n++];
    **out = (struct imap_fetch_att){0};
    return ERR_OK;
}

static enum err add_plain(struct imap_parser *p, struct imap_fetch_atts *atts, enum imap_fetch_kind kind) {
    struct imap_fetch_att *att;
    TRY(add(p, atts, &att));
    att->kind = kind;
    return ERR_OK;
}

static bool is_section_char(uint8_t c) {
    return ascii_is_alnum(c) || c == '.';
}

/* SP "(" header-fld-name *(SP header-fld-name) ")" */
static enum err parse_field_names(struct imap_parser *p, struct section *section) {
    TRY(imap_parse_sp(p));
    if (!reader_accept(&p->r, '('))
        return imap_wrong(p, ERR_SYNTAX, "expected a list of field names");
    struct view *names = NULL;
    size_t n = 0, cap = 0;
    do {
        if (n == cap) {
            size_t more = cap == 0 ? 8 : cap * 2;
            names = arena_grow(p->arena, names, cap, more, sizeof(*names));
            if (names == NULL)
                return imap_wrong(p, ERR_LIMIT, "too many field names");
            cap = more;
        }
        TRY(imap_parse_astring(p, &names[n]));
        n++;
    } while (reader_accept(&p->r, ' '));
    if (!reader_accept(&p->r, ')'))
        return imap_wrong(p, ERR_SYNTAX, "a list of field names does not end");
    section->names = names;
    section->name_count = n;
    return ERR_OK;
}

/* The name of the response data: the section again, in canonical form. */
static enum err put_label(struct imap_parser *p, struct imap_fetch_att *att) {
    static const struct view texts[] = {
        [SECTION_ALL] = VIEW_INIT(""),
        [SECTION_HEADER] = VIEW_INIT("HEADER"),
        [SECTION_HEADER_FIELDS] = VIEW_INIT("HEADER.FIELDS"),
        [SECTION_HEADER_FIELDS_NOT] = VIEW_INIT("HEADER.FIELDS.NOT"),
        [SECTION_TEXT] = VIEW_INIT("TEXT"),
        [SECTION_MIME] = VIEW_INIT("MIME"),
    };
    const struct section *s = &att->section;
    struct buf buf;
    buf_init(&buf, arena_budget(p->arena));
    buf_put(&buf, VIEW("BODY["));
    for (size_t i = 0; i < s->depth; i++) {
        if (i > 0)
            buf_put_byte(&buf, '.');
        buf_put_u64(&buf, s->path[i]);
    }
    if (s->depth > 0 && s->text != SECTION_ALL)
        buf_put_byte(&buf, '.');
    buf_put(&buf, texts[s->text]);
    for (size_t i = 0; i < s->name_count; i++) {
        buf_put(&buf, i == 0 ? VIEW(" (") : VIEW(" "));
        bool is_atom = s->names[i].n > 0;
        for (size_t j = 0; j < s->names[i].n; j++)
            is_atom = is_atom && imap_is_atom_char(s->names[i].p[j]);
        if (is_atom)
            buf_put(&buf, s->names[i]);
        else
            imap_put_string(&buf, s->names[i]);
    }
    buf_put(&buf, s->name_count > 0 ? VIEW(")]") : VIEW("]"));
    if (att->has_partial) {
        /* RFC3501-7.4.2: the origin octet is named, the length is not */
        buf_put_byte(&buf, '<');
        buf_put_u64(&buf, att->partial_from);
        buf_put_byte(&buf, '>');
    }
    enum err err = buf_err(&buf);
    if (err == ERR_OK)
        err = arena_view(p->arena, buf_view(&buf), &att->label);
    buf_fini(&buf);
    return err == ERR_OK ? err : imap_wrong(p, ERR_LIMIT, "the command is too large");
}

static enum err parse_partial(struct imap_parser *p, struct imap_fetch_att *att) {
    if (!reader_accept(&p->r, '<'))
        return ERR_OK;
    att->has_partial = true;
    TRY(imap_parse_number(p, &att->partial_from));
    if (!reader_accept(&p->r, '.'))
        return imap_wrong(p, ERR_SYNTAX, "bad partial");
    TRY(imap_parse_number(p, &att->partial_count));
    /* RFC3501-9: "<" number "." nz-number ">" */
    if (att->partial_count == 0 || !reader_accept(&p->r, '>'))
        return imap_wrong(p, ERR_SYNTAX, "bad partial");
    return ERR_OK;
}

/* Behind "BODY[" or "BODY.PEEK[". */
static enum err parse_section(struct imap_parser *p, struct imap_fetch_att *att) {
    static const struct view fields = VIEW_INIT("HEADER.FIELDS"), fields_not = VIEW_INIT("HEADER.FIELDS.NOT");
    struct view spec = reader_while(&p->r, is_section_char);
    enum section_text text = SECTION_ALL;
    if (view_ends_nocase(spec, fields_not)) {
        text = SECTION_HEADER_FIELDS_NOT;
        spec.n -= fields_not.n;
    } else if (view_ends_nocase(spec, fields)) {
        text = SECTION_HEADER_FIELDS;
        spec.n -= fields.n;
    }
    if (text != SECTION_ALL && spec.n > 0) {
        if (spec.p[spec.n - 1] != '.' || spec.n == 1)
            return imap_wrong(p, ERR_SYNTAX, "bad section");
        spec.n--;
    }
    if (section_parse(spec, &att->section) != ERR_OK)
        return imap_wrong(p, ERR_SYNTAX, "bad section");
    if (text != SECTION_ALL) {
        if (att->section.text != SECTION_ALL)
            return imap_wrong(p, ERR_SYNTAX, "bad section");
        att->section.text = text;
        TRY(parse_field_names(p, &att->section));
    }
    if (!reader_accept(&p->r, ']'))
        return imap_wrong(p, ERR_SYNTAX, "a section does not end");
    TRY(parse_partial(p, att));
    return put_label(p, att);
}

static enum err parse_att(struct imap_parser *p, struct imap_fetch_atts *atts) {
    struct view name;
    struct imap_fetch_att *att;
    size_t from = p->r.at;
    while (imap_is_atom_char((uint8_t)MAX(reader_peek(&p->r), 0)) && reader_peek(&p->r) != '[')
        (void)reader_byte(&p->r);
    name = view_sub(p->r.in, from, p->r.at - from);
    bool is_peek = view_eq_nocase(name, VIEW("BODY.PEEK"));
    if (is_peek || view_eq_nocase(name, VIEW("BODY"))) {
        if (!reader_accept(&p->r, '['))
            return is_peek ? imap_wrong(p, ERR_SYNTAX, "expected a section") : add_plain(p, atts, IMAP_FETCH_BODY);
        TRY(add(p, atts, &att));
        att->kind = IMAP_FETCH_SECTION;
        att->is_peek = is_peek;
        return parse_section(p, att);
    }
    for (size_t i = 0; i < ARRAY_LEN(plain_atts); i++) {
        if (view_eq_nocase(name, plain_atts[i].name))
            return add_plain(p, atts, plain_atts[i].kind);
    }
    for (size_t i = 0; i < ARRAY_LEN(old_sections); i++) {
        if (!view_eq_nocase(name, old_sections[i].name))
            continue;
        TRY(add(p, atts, &att));
        att->kind = IMAP_FETCH_SECTION;
        att->is_peek = old_sections[i].is_peek;
        att->section.text = old_sections[i].text;
        att->label = old_sections[i].name;
        return ERR_OK;
    }
    return imap_wrong(p, ERR_SYNTAX, "unknown attribute");
}

enum err imap_parse_fetch_atts(struct imap_parser *p, struct imap_fetch_atts *out) {
    static const enum imap_fetch_kind macro[] = {IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_SIZE,
                                                 IMAP_FETCH_ENVELOPE, IMAP_FETCH_BODY};
    /* RFC3501-6.4.5: a macro must be used by itself */
    static const struct {
        struct view name;
        size_t n;
    } macros[] = {{VIEW_INIT("FAST"), 3}, {VIEW_INIT("ALL"), 4}, {VIEW_INIT("FULL"), 5}};
    *out = (struct imap_fetch_atts){0};
    for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
        if (reader_accept_nocase(&p->r, macros[i].name)) {
            for (size_t j = 0; j < macros[i].n; j++)
                TRY(add_plain(p, out, macro[j]));
            return ERR_OK;
        }
    }
    if (!reader_accept(&p->r, '('))
        return parse_att(p, out);
    do {
        TRY(parse_att(p, out));
    } while (reader_accept(&p->r, ' '));
    return reader_accept(&p->r, ')') ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "a list of attributes does not end");
}
