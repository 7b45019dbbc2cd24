/* mbox, read: a window over the file in which every decision waits until it can be made. */
#include "message/mbox.h"

#include "message/date.h"

#include <string.h>

static const struct view from_mark = VIEW_INIT("From ");
static const struct view length_mark = VIEW_INIT("Content-Length:");

/* Octets of a Content-Length line that are looked at. */
#define LENGTH_LINE_MAX 64
/* Octets of the line after a "From " line in which a field's colon must come. */
#define FIELD_NAME_MAX 200
/* What a decision without Content-Length looks at: empty line, "From " line, beginning of the next one. */
#define LOOK_MIN (2 + MBOX_FROM_MAX + 2 + FIELD_NAME_MAX + 2)
#define WINDOW_FIRST (8 * 1024)

enum place { PLACE_START, PLACE_HEADER, PLACE_BODY };

struct mbox_reader {
    struct arena *arena;
    struct mbox_events events;
    enum mbox_dialect asked, dialect;
    enum err err;

    /* Octets that are not used yet, when a decision needs more. */
    uint8_t *window;
    size_t from, to, cap;
    size_t look_max; /* octets ahead that fit into the window */
    size_t wanted;   /* octets from `from` on that the decision needs */

    enum place place;
    bool in_line;
    /* A line that began with ">" (its octets held back as numbers). */
    bool in_quotes;
    size_t quotes;
    uint8_t matched;

    bool has_length;
    uint64_t length, body_at; /* Content-Length; octets of the file since the body began */
    size_t message_count, true_lengths;
};

enum answer { NO, YES, MORE };

/* -- Decisions ------------------------------------------------------------------------------------- */

/* The octets a decision looks at: all that is there, and whether more can come. */
struct look {
    struct mbox_reader *r;
    struct view v;
    bool is_end;
};

static enum answer want(const struct look *l, size_t octets) {
    if (l->is_end)
        return NO;
    l->r->wanted = MAX(l->r->wanted, octets);
    return MORE;
}

/* Are the octets at `at` this text? */
static enum answer is_text(const struct look *l, size_t at, struct view text) {
    struct view there = view_sub(l->v, at, text.n);
    if (!view_starts_nocase(text, there))
        return NO;
    return there.n == text.n ? YES : want(l, at + text.n);
}

/* A line end at `at`: its octets, 0: none. MORE is told by *answer. */
static size_t line_end_at(const struct look *l, size_t at, enum answer *answer) {
    *answer = NO;
    if (at >= l->v.n) {
        *answer = want(l, at + 1);
        return 0;
    }
    if (l->v.p[at] == '\n')
        return 1;
    if (l->v.p[at] != '\r')
        return 0;
    if (at + 1 >= l->v.n) {
        *answer = want(l, at + 2);
        return 0;
    }
    return l->v.p[at + 1] == '\n' ? 2 : 0;
}

struct from_line {
    struct view sender;
    int64_t date_us;
    bool has_date;
    bool is_short; /* at most one word */
    size_t end;    /* after its line end */
};

/* "hh:mm" somewhere: prose has dates, but rarely with a time. */
static bool has_time(struct view v) {
    for (size_t i = 1; i + 1 < v.n; i++)
        if (v.p[i] == ':' && ascii_is_digit(v.p[i - 1]) && ascii_is_digit(v.p[i + 1]))
            return true;
    return false;
}

/* RFC4155-A: "From ", addr-spec, space, asctime date in UTC. Senders may be quoted, missing, "-"; dates have zones, other
 * orders, and "remote from" after them. */
static void read_from_line(struct view line, struct from_line *out) {
    struct view text = view_trim(view_skip(line, from_mark.n));
    size_t n = 0;
    bool in_quotes = false;
    while (n < text.n && (in_quotes || (text.p[n] != ' ' && text.p[n] != '\t'))) {
        if (text.p[n] == '"')
            in_quotes = !in_quotes;
        else if (text.p[n] == '\\' && in_quotes && n + 1 < text.n)
            n++;
        n++;
    }
    struct view rest = view_trim(view_skip(text, n));
    struct message_date date = {0};
    *out = (struct from_line){.sender = view_sub(text, 0, n), .is_short = rest.n == 0};
    ssize_t remote = view_find_nocase(rest, VIEW(" remote from "));
    if (remote >= 0)
        rest = view_sub(rest, 0, (size_t)remote);
    if (has_time(rest) && message_date_parse(rest, &date) == ERR_OK)
        out->has_date = true;
    else if (has_time(text) && !has_time(out->sender) && message_date_parse(text, &date) == ERR_OK) {
        /* No sender: "From Nov 24 18:22:48 1986". */
        out->has_date = true;
        out->sender = VIEW("");
    }
    /* "From Tue Nov 24 18:22:48 1986" */
    if (out->has_date && out->sender.n == 3 && view_find_nocase(VIEW("sun mon tue wed thu fri sat"), out->sender) >= 0)
        out->sender = VIEW("");
    if (out->has_date)
        out->date_us = date.unix_s * US_PER_S;
}

/* A header field's name and colon, or a quoted "From " line of UUCP. */
static enum answer is_field(const struct look *l, size_t at) {
    for (size_t i = at; i - at < FIELD_NAME_MAX; i++) {
        if (i >= l->v.n)
            return want(l, i + 1);
        uint8_t c = l->v.p[i];
        if (c == ':')
            return i > at ? YES : NO;
        if (c == ' ' && view_eq(view_sub(l->v, at, i - at), VIEW(">From")))
            return YES;
        if (c <= ' ' || c >= 127)
            return NO;
    }
    return NO;
}

/* Is the line at `at` one that begins a message, leaving Content-Length aside? */
static enum answer is_from_line(const struct look *l, size_t at, bool after_empty, struct from_line *out) {
    enum answer answer = is_text(l, at, from_mark);
    if (answer != YES || !view_starts(view_skip(l->v, at), from_mark))
        return answer == MORE ? MORE : NO;
    struct view rest = view_sub(l->v, at, MBOX_FROM_MAX + 2);
    ssize_t end = view_find_byte(rest, '\n');
    if (end < 0 && rest.n < MBOX_FROM_MAX + 2 && !l->is_end)
        return want(l, at + rest.n + 1);
    if (end < 0 && rest.n == MBOX_FROM_MAX + 2)
        return NO;
    read_from_line(end < 0 ? rest : view_sub(rest, 0, (size_t)end), out);
    out->end = at + (end < 0 ? rest.n : (size_t)end + 1);
    if (l->r->place == PLACE_START)
        return YES;
    if (out->has_date && after_empty)
        return YES;
    if (!out->has_date && !(after_empty && out->is_short))
        return NO;
    return is_field(l, out->end);
}

/* Does the message end at `at`, where its Content-Length says? */
static enum answer ends_at(const struct look *l, size_t at) {
    struct from_line from;
    enum answer answer;
    for (int i = 0; i < 2; i++) {
        size_t n = line_end_at(l, at, &answer);
        if (answer == MORE)
            return MORE;
        at += n;
    }
    if (at == l->v.n)
        return l->is_end ? YES : want(l, at + 1);
    return at > l->v.n ? NO : is_from_line(l, at, true, &from);
}

/*
 * A line that looks like the beginning of a message, `body_at` octets after the beginning of the body: is it content
 * because Content-Length says so?
 */
static enum answer is_covered(const struct look *l, size_t at, uint64_t body_at) {
    struct mbox_reader *r = l->r;
    if (!r->has_length || r->length <= body_at || r->asked == MBOX_O || r->asked == MBOX_RD)
        return NO;
    if (r->asked == MBOX_AUTO && r->true_lengths + 1 < r->message_count)
        return NO;
    uint64_t ahead = r->length - body_at;
    if (ahead + LOOK_MIN > r->look_max)
        return r->asked != MBOX_AUTO || r->true_lengths > 0 ? YES : NO;
    return ends_at(l, at + (size_t)ahead);
}

/* All together, for a line start inside a message. */
static enum answer begins_message(const struct look *l, size_t at, bool after_empty, uint64_t body_at,
                                  struct from_line *from) {
    enum answer answer = is_from_line(l, at, after_empty, from);
    if (answer != YES)
        return answer;
    answer = is_covered(l, at, body_at);
    if (answer == MORE)
        return MORE;
    if (answer == YES) {
        /* Nobody quoted it. */
        if (l->r->asked == MBOX_AUTO)
            l->r->dialect = MBOX_CL2;
        return NO;
    }
    return YES;
}

/* -- Events ---------------------------------------------------------------------------------------- */

static enum err put(struct mbox_reader *r, struct view octets) {
    return octets.n == 0 ? ERR_OK : r->events.octets(r->events.arg, octets);
}

/* `empty`: octets of the empty line before the end, which some writers count. */
static enum err end_message(struct mbox_reader *r, size_t empty) {
    if (r->place == PLACE_START)
        return ERR_OK;
    if (r->has_length && (r->length == r->body_at || r->length == r->body_at + empty)) {
        r->true_lengths++;
        if (r->dialect == MBOX_AUTO)
            r->dialect = MBOX_CL;
    }
    if (r->dialect == MBOX_AUTO)
        r->dialect = MBOX_RD;
    return r->events.end(r->events.arg);
}

static enum err begin_message(struct mbox_reader *r, const struct from_line *from, size_t empty) {
    TRY(end_message(r, empty));
    struct mbox_message message = {from->sender, from->date_us};
    r->place = PLACE_HEADER;
    r->in_line = false;
    r->has_length = false;
    r->body_at = 0;
    r->message_count++;
    return r->events.begin(r->events.arg, &message);
}

/* -- Quoting --------------------------------------------------------------------------------------- */

static bool is_unquoted(const struct mbox_reader *r) {
    switch (r->asked == MBOX_AUTO ? r->dialect : r->asked) {
    case MBOX_CL2:
        return false;
    case MBOX_O:
    case MBOX_CL:
        return r->quotes == 1;
    case MBOX_AUTO:
        return r->has_length ? r->quotes == 1 : true;
    case MBOX_RD:
        break;
    }
    return true;
}

static enum err put_quotes(struct mbox_reader *r, size_t count) {
    static const struct view many = VIEW_INIT(">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>");
    while (count > 0) {
        size_t n = MIN(count, many.n);
        TRY(put(r, view_sub(many, 0, n)));
        count -= n;
    }
    return ERR_OK;
}

/* Gives out what a line that began with ">" held back. */
static enum err end_quotes(struct mbox_reader *r) {
    bool is_from = r->matched == from_mark.n;
    r->in_quotes = false;
    r->in_line = true;
    TRY(put_quotes(r, r->quotes - (is_from && is_unquoted(r))));
    return put(r, view_sub(from_mark, 0, r->matched));
}

/* One octet of such a line: true when it was taken. */
static bool take_quoted(struct mbox_reader *r, uint8_t c) {
    if (c == '>' && r->matched == 0) {
        r->quotes++;
        return true;
    }
    if (r->matched < from_mark.n && c == from_mark.p[r->matched]) {
        r->matched++;
        return true;
    }
    return false;
}

/* -- Lines ----------------------------------------------------------------------------------------- */

static void count_body(struct mbox_reader *r, size_t octets) {
    if (r->place == PLACE_BODY)
        r->body_at += octets;
}

/* In the header: the length that the writer claims; the first one counts. */
static enum answer read_length(const struct look *l, size_t at) {
    struct mbox_reader *r = l->r;
    enum answer answer = is_text(l, at, length_mark);
    if (answer != YES || r->has_length)
        return answer == MORE ? MORE : NO;
    struct view line = view_sub(l->v, at, LENGTH_LINE_MAX);
    ssize_t end = view_find_byte(line, '\n');
    if (end < 0 && line.n < LENGTH_LINE_MAX && !l->is_end)
        return want(l, at + line.n + 1);
    if (end >= 0)
        line.n = (size_t)end;
    uint64_t length = 0;
    if (view_to_u64(view_trim(view_skip(line, length_mark.n)), INT64_MAX, &length) == ERR_OK) {
        r->has_length = true;
        r->length = length;
    }
    return NO;
}

/* Before the first message. Sets *next behind what was used; MORE when nothing can be. */
static enum err step_start(const struct look *l, size_t at, size_t *next, bool *is_stuck) {
    struct from_line from;
    enum answer answer = is_text(l, at, VIEW("\xef\xbb\xbf"));
    if (answer == YES && !l->r->in_line) {
        *next = at + 3;
        l->r->in_line = true; /* only one mark */
        return ERR_OK;
    }
    if (answer != MORE || l->r->in_line) {
        size_t n = line_end_at(l, at, &answer);
        if (n > 0) {
            *next = at + n;
            return ERR_OK;
        }
        if (answer != MORE)
            answer = is_from_line(l, at, true, &from);
    }
    if (answer == MORE) {
        *is_stuck = true;
        return ERR_OK;
    }
    if (answer == NO)
        return ERR_SYNTAX;
    *next = from.end;
    return begin_message(l->r, &from, 0);
}

/* An empty line of `n` octets: the one before a message or the end of the file is no content. */
static enum err step_empty(const struct look *l, size_t at, size_t n, size_t *next, bool *is_stuck) {
    struct mbox_reader *r = l->r;
    struct from_line from;
    if (at + n == l->v.n) {
        if (!l->is_end) {
            *is_stuck = want(l, at + n + 1) == MORE;
            return ERR_OK;
        }
        *next = at + n;
        if (r->has_length && r->length == r->body_at + n)
            r->body_at += n;
        return ERR_OK;
    }
    enum answer answer = begins_message(l, at + n, true, r->place == PLACE_BODY ? r->body_at + n : 0, &from);
    if (answer == MORE) {
        *is_stuck = true;
        return ERR_OK;
    }
    if (answer == YES) {
        *next = from.end;
        return begin_message(r, &from, r->place == PLACE_BODY ? n : 0);
    }
    *next = at + n;
    count_body(r, n);
    r->place = PLACE_BODY;
    /* What follows was just looked at: if it is a "From " line, then it is content. */
    r->in_line = l->v.p[at + n] == from_mark.p[0];
    return put(r, view_sub(l->v, at, n));
}

/* A line start inside a message. */
static enum err step_line(const struct look *l, size_t at, size_t *next, bool *is_stuck) {
    struct mbox_reader *r = l->r;
    struct from_line from;
    enum answer answer = NO;
    uint8_t c = l->v.p[at];
    if (c == '\r' || c == '\n') {
        size_t n = line_end_at(l, at, &answer);
        if (n > 0)
            return step_empty(l, at, n, next, is_stuck);
    } else if (c == from_mark.p[0]) {
        answer = begins_message(l, at, false, r->body_at, &from);
        if (answer == YES) {
            *next = from.end;
            return begin_message(r, &from, 0);
        }
    } else if (c == '>') {
        r->in_quotes = true;
        r->quotes = 0;
        r->matched = 0;
        return ERR_OK;
    } else if (r->place == PLACE_HEADER && (c | 0x20) == 'c') {
        answer = read_length(l, at);
    }
    *is_stuck = answer == MORE;
    r->in_line = answer != MORE;
    return ERR_OK;
}

/* Could a line that begins so be anything but content? */
static bool needs_decision(const struct mbox_reader *r, uint8_t c) {
    return r->place != PLACE_BODY || c == from_mark.p[0] || c == '>' || c == '\r' || c == '\n';
}

/* The rest of a line, and the lines after it that need no decision. */
static enum err step_content(const struct look *l, size_t at, size_t *next) {
    struct mbox_reader *r = l->r;
    size_t n = 0;
    struct view rest = view_skip(l->v, at);
    do {
        ssize_t end = view_find_byte(view_skip(rest, n), '\n');
        r->in_line = end < 0;
        n = end < 0 ? rest.n : n + (size_t)end + 1;
    } while (n < rest.n && !needs_decision(r, rest.p[n]));
    count_body(r, n);
    *next = at + n;
    return put(r, view_sub(rest, 0, n));
}

static enum err step_quotes(const struct look *l, size_t at, size_t *next) {
    struct mbox_reader *r = l->r;
    size_t i = at;
    while (i < l->v.n && take_quoted(r, l->v.p[i]))
        i++;
    count_body(r, i - at);
    *next = i;
    return i < l->v.n ? end_quotes(r) : ERR_OK;
}

/* Uses as much of v as can be; *used tells how much. */
static enum err process(struct mbox_reader *r, struct view v, bool is_end, size_t *used) {
    struct look l = {r, v, is_end};
    size_t at = 0;
    enum err err = ERR_OK;
    bool is_stuck = false;
    r->wanted = 0;
    while (at < v.n && err == ERR_OK && !is_stuck) {
        size_t next = at;
        if (r->place == PLACE_START)
            err = step_start(&l, at, &next, &is_stuck);
        else if (r->in_quotes)
            err = step_quotes(&l, at, &next);
        else if (r->in_line)
            err = step_content(&l, at, &next);
        else
            err = step_line(&l, at, &next, &is_stuck);
        at = next;
    }
    *used = at;
    return err;
}

/* -- The window ------------------------------------------------------------------------------------ */

struct mbox_reader *mbox_reader_new(struct arena *arena, enum mbox_dialect dialect, const struct mbox_events *events) {
    struct mbox_reader *r = ARENA_NEW(arena, struct mbox_reader);
    uint8_t *window = arena_alloc(arena, WINDOW_FIRST);
    if (r == NULL || window == NULL)
        return NULL;
    r->arena = arena;
    r->events = *events;
    r->asked = r->dialect = dialect;
    r->window = window;
    r->cap = WINDOW_FIRST;
    r->look_max = MBOX_LOOK_MAX;
    return r;
}

/* Room for the octets that are wanted, twice, so that each octet is moved a bounded number of times. */
static bool grow_window(struct mbox_reader *r) {
    size_t cap = r->cap;
    while (cap < 2 * r->wanted)
        cap *= 2;
    if (cap == r->cap)
        return true;
    uint8_t *grown = arena_alloc(r->arena, cap);
    if (grown == NULL) {
        /* A Content-Length that leads further is believed or not without looking. */
        r->look_max = r->cap / 2;
        return false;
    }
    if (r->to > r->from)
        memcpy(grown, r->window + r->from, r->to - r->from);
    r->to -= r->from;
    r->from = 0;
    r->window = grown;
    r->cap = cap;
    return true;
}

/*
 * Uses what can be used of the window, or of v when nothing is held back. What a decision wants must have room before more
 * comes or the file ends, so that it is the same however the file is cut; without room the decision is made at once.
 */
static enum err use(struct mbox_reader *r, struct view *v, bool is_end) {
    size_t used;
    do {
        bool is_direct = r->from == r->to;
        struct view held = view_of(r->window + r->from, r->to - r->from);
        TRY(process(r, is_direct ? *v : held, is_end, &used));
        if (is_direct)
            *v = view_skip(*v, used);
        else
            r->from += used;
        r->wanted = r->wanted > used ? r->wanted - used : 0;
        if (r->from == r->to)
            r->from = r->to = 0;
        if (is_direct ? v->n == 0 : r->from == r->to)
            break;
    } while (!is_end && !grow_window(r));
    return ERR_OK;
}

static enum err feed(struct mbox_reader *r, struct view octets) {
    while (octets.n > 0) {
        if (r->from == r->to) {
            /* Nothing is held back: no copy. */
            TRY(use(r, &octets, false));
            if (octets.n == 0)
                break;
        }
        if (r->to == r->cap || r->cap - r->from < r->wanted) {
            memmove(r->window, r->window + r->from, r->to - r->from);
            r->to -= r->from;
            r->from = 0;
        }
        size_t n = MIN(octets.n, r->cap - r->to);
        memcpy(r->window + r->to, octets.p, n);
        r->to += n;
        octets = view_skip(octets, n);
        TRY(use(r, &octets, false));
    }
    return ERR_OK;
}

enum err mbox_reader_feed(struct mbox_reader *r, struct view octets) {
    if (r->err == ERR_OK)
        r->err = feed(r, octets);
    return r->err;
}

enum err mbox_reader_end(struct mbox_reader *r) {
    if (r->err == ERR_OK)
        r->err = use(r, &(struct view){NULL, 0}, true);
    if (r->err == ERR_OK && r->in_quotes)
        r->err = end_quotes(r);
    if (r->err == ERR_OK)
        r->err = end_message(r, 0);
    r->place = PLACE_START;
    return r->err;
}

enum mbox_dialect mbox_reader_dialect(const struct mbox_reader *r) {
    return r->dialect;
}
