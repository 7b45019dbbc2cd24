/* SEARCH keys, RFC3501-6.4.4, RFC3501-9. */
#include "imap/parse.h"

#include "base/utf8.h"

enum argument { ARG_NONE, ARG_TEXT, ARG_DATE, ARG_NUMBER, ARG_ATOM, ARG_SET, ARG_FIELD, ARG_KEY, ARG_TWO_KEYS };

struct search_word {
    struct view name;
    enum imap_search_kind kind;
    enum argument argument;
    uint32_t flag;
    bool is_negated;
    struct view field; /* HEADER keys with a name of their own */
};
static const struct search_word words[] = {
    {VIEW_INIT("ALL"), IMAP_SEARCH_ALL, ARG_NONE, 0, false, {0}},
    {VIEW_INIT("ANSWERED"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_ANSWERED, false, {0}},
    {VIEW_INIT("BCC"), IMAP_SEARCH_HEADER, ARG_TEXT, 0, false, VIEW_INIT("Bcc")},
    {VIEW_INIT("BEFORE"), IMAP_SEARCH_BEFORE, ARG_DATE, 0, false, {0}},
    {VIEW_INIT("BODY"), IMAP_SEARCH_BODY, ARG_TEXT, 0, false, {0}},
    {VIEW_INIT("CC"), IMAP_SEARCH_HEADER, ARG_TEXT, 0, false, VIEW_INIT("Cc")},
    {VIEW_INIT("DELETED"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_DELETED, false, {0}},
    {VIEW_INIT("DRAFT"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_DRAFT, false, {0}},
    {VIEW_INIT("FLAGGED"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_FLAGGED, false, {0}},
    {VIEW_INIT("FROM"), IMAP_SEARCH_HEADER, ARG_TEXT, 0, false, VIEW_INIT("From")},
    {VIEW_INIT("HEADER"), IMAP_SEARCH_HEADER, ARG_FIELD, 0, false, {0}},
    {VIEW_INIT("KEYWORD"), IMAP_SEARCH_KEYWORD, ARG_ATOM, 0, false, {0}},
    {VIEW_INIT("LARGER"), IMAP_SEARCH_LARGER, ARG_NUMBER, 0, false, {0}},
    {VIEW_INIT("NEW"), IMAP_SEARCH_NEW, ARG_NONE, 0, false, {0}},
    {VIEW_INIT("NOT"), IMAP_SEARCH_NOT, ARG_KEY, 0, false, {0}},
    {VIEW_INIT("OLD"), IMAP_SEARCH_RECENT, ARG_NONE, 0, true, {0}},
    {VIEW_INIT("ON"), IMAP_SEARCH_ON, ARG_DATE, 0, false, {0}},
    {VIEW_INIT("OR"), IMAP_SEARCH_OR, ARG_TWO_KEYS, 0, false, {0}},
    {VIEW_INIT("RECENT"), IMAP_SEARCH_RECENT, ARG_NONE, 0, false, {0}},
    {VIEW_INIT("SEEN"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_SEEN, false, {0}},
    {VIEW_INIT("SENTBEFORE"), IMAP_SEARCH_SENTBEFORE, ARG_DATE, 0, false, {0}},
    {VIEW_INIT("SENTON"), IMAP_SEARCH_SENTON, ARG_DATE, 0, false, {0}},
    {VIEW_INIT("SENTSINCE"), IMAP_SEARCH_SENTSINCE, ARG_DATE, 0, false, {0}},
    {VIEW_INIT("SINCE"), IMAP_SEARCH_SINCE, ARG_DATE, 0, false, {0}},
    {VIEW_INIT("SMALLER"), IMAP_SEARCH_SMALLER, ARG_NUMBER, 0, false, {0}},
    {VIEW_INIT("SUBJECT"), IMAP_SEARCH_HEADER, ARG_TEXT, 0, false, VIEW_INIT("Subject")},
    {VIEW_INIT("TEXT"), IMAP_SEARCH_TEXT, ARG_TEXT, 0, false, {0}},
    {VIEW_INIT("TO"), IMAP_SEARCH_HEADER, ARG_TEXT, 0, false, VIEW_INIT("To")},
    {VIEW_INIT("UID"), IMAP_SEARCH_UID, ARG_SET, 0, false, {0}},
    {VIEW_INIT("UNANSWERED"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_ANSWERED, true, {0}},
    {VIEW_INIT("UNDELETED"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_DELETED, true, {0}},
    {VIEW_INIT("UNDRAFT"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_DRAFT, true, {0}},
    {VIEW_INIT("UNFLAGGED"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_FLAGGED, true, {0}},
    {VIEW_INIT("UNKEYWORD"), IMAP_SEARCH_KEYWORD, ARG_ATOM, 0, true, {0}},
    {VIEW_INIT("UNSEEN"), IMAP_SEARCH_FLAG, ARG_NONE, FLAG_SEEN, true, {0}},
};

struct search_parse {
    struct imap_parser *p;
    unsigned keys, depth;
};

static enum err new_key(struct search_parse *sp, enum imap_search_kind kind, struct imap_search_key **out) {
    struct imap_search_key *key = ARENA_NEW(sp->p->arena, struct imap_search_key);
    if (key == NULL || ++sp->keys > IMAP_SEARCH_KEYS_MAX)
        return imap_wrong(sp->p, ERR_LIMIT, "too many search keys");
    key->kind = kind;
    *out = key;
    return ERR_OK;
}

static enum err parse_text(struct imap_parser *p, struct view *out) {
    TRY(imap_parse_sp(p));
    TRY(imap_parse_astring(p, out));
    return utf8_is_valid(*out) ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "a search text is not in the charset");
}

static enum err parse_key(struct search_parse *sp, struct imap_search_key **out);

/* Keys up to ")" or the end of the command. */
static enum err parse_list(struct search_parse *sp, struct imap_search_key **out) {
    struct imap_search_key **tail = out;
    do {
        TRY(parse_key(sp, tail));
        tail = &(*tail)->next;
    } while (reader_accept(&sp->p->r, ' '));
    return ERR_OK;
}

static enum err parse_argument(struct search_parse *sp, const struct search_word *word, struct imap_search_key *key) {
    struct imap_parser *p = sp->p;
    switch (word->argument) {
    case ARG_NONE:
        return ERR_OK;
    case ARG_TEXT:
        return parse_text(p, &key->text);
    case ARG_FIELD:
        TRY(imap_parse_sp(p));
        TRY(imap_parse_astring(p, &key->name));
        return parse_text(p, &key->text);
    case ARG_DATE:
        TRY(imap_parse_sp(p));
        return imap_parse_date(p, &key->day);
    case ARG_NUMBER:
        TRY(imap_parse_sp(p));
        return imap_parse_number(p, &key->number);
    case ARG_ATOM:
        TRY(imap_parse_sp(p));
        return imap_parse_atom(p, &key->name);
    case ARG_SET:
        TRY(imap_parse_sp(p));
        return imap_parse_set(p, &key->set);
    case ARG_KEY:
        TRY(imap_parse_sp(p));
        return parse_key(sp, &key->a);
    case ARG_TWO_KEYS:
        TRY(imap_parse_sp(p));
        TRY(parse_key(sp, &key->a));
        TRY(imap_parse_sp(p));
        return parse_key(sp, &key->b);
    }
    return imap_wrong(p, ERR_BUG, "search word");
}

static enum err parse_word(struct search_parse *sp, struct imap_search_key **out) {
    struct view name;
    TRY(imap_parse_atom(sp->p, &name));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!view_eq_nocase(name, words[i].name))
            continue;
        struct imap_search_key *key;
        TRY(new_key(sp, words[i].kind, &key));
        key->number = words[i].flag;
        key->name = words[i].field;
        TRY(parse_argument(sp, &words[i], key));
        if (words[i].is_negated) {
            struct imap_search_key *negated;
            TRY(new_key(sp, IMAP_SEARCH_NOT, &negated));
            negated->a = key;
            key = negated;
        }
        *out = key;
        return ERR_OK;
    }
    return imap_wrong(sp->p, ERR_SYNTAX, "unknown search key");
}

static enum err parse_key(struct search_parse *sp, struct imap_search_key **out) {
    struct imap_parser *p = sp->p;
    if (++sp->depth > IMAP_SEARCH_DEPTH_MAX)
        return imap_wrong(p, ERR_LIMIT, "search keys are nested too deep");
    int next = reader_peek(&p->r);
    if (next == '(') {
        (void)reader_byte(&p->r);
        struct imap_search_key *key;
        TRY(new_key(sp, IMAP_SEARCH_AND, &key));
        TRY(parse_list(sp, &key->a));
        if (!reader_accept(&p->r, ')'))
            return imap_wrong(p, ERR_SYNTAX, "a list of search keys does not end");
        *out = key;
    } else if (next == '*' || (next >= '0' && next <= '9')) {
        struct imap_search_key *key;
        TRY(new_key(sp, IMAP_SEARCH_SEQ, &key));
        TRY(imap_parse_set(p, &key->set));
        *out = key;
    } else {
        TRY(parse_word(sp, out));
    }
    sp->depth--;
    return ERR_OK;
}

enum err imap_parse_search(struct imap_parser *p, struct imap_search_key **out) {
    struct search_parse sp = {.p = p};
    if (reader_accept_nocase(&p->r, VIEW("CHARSET "))) {
        struct view charset;
        TRY(imap_parse_astring(p, &charset));
        if (!view_eq_nocase(charset, VIEW("UTF-8")) && !view_eq_nocase(charset, VIEW("US-ASCII")))
            return imap_wrong(p, ERR_DENIED, "[BADCHARSET (US-ASCII UTF-8)] this charset is not supported");
        TRY(imap_parse_sp(p));
    }
    struct imap_search_key *all;
    TRY(new_key(&sp, IMAP_SEARCH_AND, &all));
    TRY(parse_list(&sp, &all->a));
    *out = all;
    return imap_parse_end(p);
}
