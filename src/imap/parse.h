/*
 * The grammar of IMAP commands (RFC3501-9), read from one complete command with
 * its literals inside. Pure: bytes in, values out; nothing suspends.
 *
 * All values live in the parser's arena or point into the command; the caller
 * keeps both until the command has run. Every function returns ERR_OK,
 * ERR_SYNTAX (answer BAD with parser->what), ERR_DENIED (well-formed, but
 * answer NO with parser->what) or ERR_LIMIT (a named limit or the arena).
 */
#ifndef IMAP_PARSE_H
#define IMAP_PARSE_H

#include "base/arena.h"
#include "base/reader.h"
#include "message/structure.h"
#include "store/account.h"

#define IMAP_TAG_MAX 64           /* octets; real clients use under 20 */
#define IMAP_FETCH_ATTS_MAX 64    /* attributes of one FETCH; each may send the whole message again */
#define IMAP_SEARCH_DEPTH_MAX 32  /* parentheses, NOT and OR inside each other: they are evaluated by recursion */
#define IMAP_SEARCH_KEYS_MAX 1000 /* keys of one SEARCH: each is evaluated for each message */
#define IMAP_ID_FIELDS_MAX 30     /* RFC2971-3.3: not more than 30 field-value pairs */
#define IMAP_ID_NAME_MAX 30       /* RFC2971-3.3: field strings not longer than 30 octets */
#define IMAP_ID_VALUE_MAX 1024    /* RFC2971-3.3: value strings not longer than 1024 octets */

struct imap_parser {
    struct reader r;
    struct arena *arena;
    const char *what; /* the mistake, in words for people */
};
void imap_parser_init(struct imap_parser *p, struct view command, struct arena *arena);

/* ---- tokens ---- */
bool imap_is_atom_char(uint8_t c);
enum err imap_parse_sp(struct imap_parser *p) MUST_CHECK;
/* Nothing but the line end is left. */
enum err imap_parse_end(struct imap_parser *p) MUST_CHECK;
bool imap_at_end(const struct imap_parser *p);
enum err imap_parse_tag(struct imap_parser *p, struct view *out) MUST_CHECK;
enum err imap_parse_atom(struct imap_parser *p, struct view *out) MUST_CHECK;
/* string: quoted or literal; astring: or an atom that may hold "]"; nstring: or NIL (out->p == NULL). */
enum err imap_parse_string(struct imap_parser *p, struct view *out) MUST_CHECK;
enum err imap_parse_astring(struct imap_parser *p, struct view *out) MUST_CHECK;
enum err imap_parse_nstring(struct imap_parser *p, struct view *out) MUST_CHECK;
enum err imap_parse_number(struct imap_parser *p, uint32_t *out) MUST_CHECK;
/* A mailbox name as UTF-8, INBOX in upper case. */
enum err imap_parse_mailbox(struct imap_parser *p, struct view *out) MUST_CHECK;
/* list-mailbox: like a mailbox name, with the wildcards "%" and "*". */
enum err imap_parse_list_mailbox(struct imap_parser *p, struct view *out) MUST_CHECK;

/* ---- sequence sets ---- */
struct imap_range {
    uint32_t first, last; /* as written; 0 is "*" */
};
struct imap_set {
    struct imap_range *list;
    size_t n;
};
enum err imap_parse_set(struct imap_parser *p, struct imap_set *out) MUST_CHECK;
/* Replaces "*" by the highest number and puts the ranges in order, each first <= last, joined where they touch. */
void imap_set_settle(struct imap_set *set, uint32_t highest);
bool imap_set_has(const struct imap_set *settled, uint32_t number);

/* ---- flags and dates ---- */
struct imap_flags {
    uint32_t flags; /* FLAG_* */
    struct keyword *keywords;
    uint32_t n;
};
/* A parenthesised list; bare = also a list without parentheses (RFC3501-9 store-att-flags). \Recent is ERR_SYNTAX. */
enum err imap_parse_flags(struct imap_parser *p, bool bare, struct imap_flags *out) MUST_CHECK;
/* RFC3501-9 date-time, as microseconds since 1970 UTC. */
enum err imap_parse_date_time(struct imap_parser *p, int64_t *out_us) MUST_CHECK;
/* RFC3501-9 date: days since 1970. */
enum err imap_parse_date(struct imap_parser *p, int64_t *out_day) MUST_CHECK;

/* ---- FETCH attributes ---- */
enum imap_fetch_kind {
    IMAP_FETCH_FLAGS,
    IMAP_FETCH_UID,
    IMAP_FETCH_INTERNALDATE,
    IMAP_FETCH_SIZE,
    IMAP_FETCH_ENVELOPE,
    IMAP_FETCH_BODY,
    IMAP_FETCH_BODYSTRUCTURE,
    IMAP_FETCH_SECTION, /* BODY[...], BODY.PEEK[...], RFC822, RFC822.HEADER, RFC822.TEXT */
};
struct imap_fetch_att {
    enum imap_fetch_kind kind;
    struct section section;
    bool is_peek;
    bool has_partial;
    uint32_t partial_from, partial_count;
    struct view label; /* how the response names it: "BODY[1.HEADER]<0>", "RFC822.TEXT" */
};
struct imap_fetch_atts {
    struct imap_fetch_att *list;
    size_t n;
};
/* ALL, FULL, FAST, one attribute, or a list of them. */
enum err imap_parse_fetch_atts(struct imap_parser *p, struct imap_fetch_atts *out) MUST_CHECK;

/* ---- SEARCH ---- */
enum imap_search_kind {
    IMAP_SEARCH_ALL,
    IMAP_SEARCH_AND,
    IMAP_SEARCH_OR,
    IMAP_SEARCH_NOT,
    IMAP_SEARCH_SEQ,
    IMAP_SEARCH_UID,
    IMAP_SEARCH_FLAG,
    IMAP_SEARCH_KEYWORD,
    IMAP_SEARCH_RECENT,
    IMAP_SEARCH_NEW,
    IMAP_SEARCH_LARGER,
    IMAP_SEARCH_SMALLER,
    IMAP_SEARCH_BEFORE,
    IMAP_SEARCH_ON,
    IMAP_SEARCH_SINCE,
    IMAP_SEARCH_SENTBEFORE,
    IMAP_SEARCH_SENTON,
    IMAP_SEARCH_SENTSINCE,
    IMAP_SEARCH_HEADER,
    IMAP_SEARCH_BODY,
    IMAP_SEARCH_TEXT,
};
struct imap_search_key {
    enum imap_search_kind kind;
    struct imap_search_key *next;  /* in a list of keys that must all match */
    struct imap_search_key *a, *b; /* AND: a is a list; OR: a, b; NOT: a */
    struct imap_set set;
    uint32_t number; /* FLAG: the flag; LARGER, SMALLER: octets */
    int64_t day;
    struct view name, text; /* HEADER: field name; text is UTF-8; KEYWORD: name */
};
/* [CHARSET x] and the keys, up to the end. An unknown charset is ERR_DENIED (RFC3501-6.4.4: NO [BADCHARSET]). */
enum err imap_parse_search(struct imap_parser *p, struct imap_search_key **out) MUST_CHECK;

/* ---- ID ---- */
#define R_imap_id_field(F, S) F(S, VIEW, name, IMAP_ID_NAME_MAX) F(S, VIEW, value, IMAP_ID_VALUE_MAX)
RECORD_DECLARE(imap_id_field);
struct imap_id {
    struct imap_id_field *list;
    uint32_t n;
};
/* NIL or a list of pairs, RFC2971-4. */
enum err imap_parse_id(struct imap_parser *p, struct imap_id *out) MUST_CHECK;

/* For the other parse_*.c files: notes what is wrong. */
static inline enum err imap_wrong(struct imap_parser *p, enum err err, const char *what) {
    p->what = what;
    return err;
}

#endif
