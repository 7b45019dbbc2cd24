/*
 * The MIME parser: a stack of open entities, fed one line after the other.
 *
 * parser_line() sees each line once, in order, and of it only the first octets;
 * so a stream (stream_parse.c) feeds it as well as message_parse(), which walks
 * a message in memory. Lines of bodies, which are nearly all octets of mail,
 * matter only when they begin with "--": skip_lines() runs over the others.
 */
#include "message/parse_impl.h"

#include "message/header.h"

#include <string.h>

static bool push_part(struct parser *p, struct mime_part *part, size_t offset) {
    if (p->depth == MESSAGE_DEPTH_MAX)
        return false;
    part->header_offset = part->body_offset = offset;
    part->depth = (uint32_t)p->depth;
    struct frame *f = &p->frames[p->depth++];
    *f = (struct frame){.part = part, .state = FRAME_HEADER, .lines_from = p->lines_seen};
    p->message->part_count++;
    p->copy.n = 0;
    return true;
}

static struct mime_part *new_part(struct parser *p) {
    struct mime_part *part = NULL;
    if (p->message->part_count < MESSAGE_PARTS_MAX && p->depth < MESSAGE_DEPTH_MAX)
        part = ARENA_NEW(p->arena, struct mime_part);
    if (part == NULL)
        p->message->degraded = true;
    return part;
}

static void make_opaque(struct parser *p, struct mime_part *part) {
    part->type = VIEW("application");
    part->subtype = VIEW("octet-stream");
    p->message->degraded = true;
}

static void make_text(struct mime_part *part) {
    part->type = VIEW("text");
    part->subtype = VIEW("plain");
    part->was_multipart = true;
}

/* Sets part->header, whose size is known. False: it is one too many to keep. */
static bool keep_header(struct parser *p, struct mime_part *part) {
    size_t size = MIN(part->header_size, (size_t)MESSAGE_HEADER_MAX);
    if (part->header_size > size)
        p->message->degraded = true;
    if (size > MESSAGE_HEADERS_MAX - p->headers_kept || p->fields_used > MESSAGE_FIELDS_MAX)
        return false;
    p->headers_kept += size;
    if (!p->is_stream) {
        part->header = view_sub(p->message->bytes, part->header_offset, size);
        return true;
    }
    /* Less was collected than the header has when the arena was full. */
    struct view copy = view_of(p->copy.p, MIN(size, p->copy.n));
    if (copy.n < size)
        p->message->degraded = true;
    p->copy.n = 0;
    return arena_view(p->arena, copy, &part->header) == ERR_OK;
}

/* RFC2045-6.4 allows no encoding of composite types but 7bit, 8bit and binary; RFC6532-3.7 allows one of message/global.
 * The message inside such octets has no place in the message's own: its part is a leaf that can be decoded. */
static bool is_encoded(const struct mime_part *part) {
    return part->encoding == MIME_ENCODING_BASE64 || part->encoding == MIME_ENCODING_QUOTED_PRINTABLE;
}

/* The message inside the top entity, a message/rfc822 part, begins at offset. */
static void open_embedded(struct parser *p, size_t offset) {
    struct frame *f = &p->frames[p->depth - 1];
    struct mime_part *part = f->part;
    struct mime_part *inner = new_part(p);
    if (inner == NULL) {
        make_opaque(p, part);
        return;
    }
    inner->parent = part;
    inner->is_root = true;
    part->embedded = inner;
    part->is_message = true;
    f->state = FRAME_MESSAGE;
    if (!push_part(p, inner, offset))
        BUG("depth was checked");
}

/* The first line of a message/rfc822 part that says it is in base64. A colon is not in that alphabet: if it begins a field,
 * the label is wrong, and the message is read as it stands. */
static void settle_encoded(struct parser *p, size_t offset, struct view line) {
    struct frame *f = &p->frames[p->depth - 1];
    f->state = FRAME_BODY;
    if (!header_line_is_field(line))
        return;
    size_t collected = p->copy.n;
    f->part->encoding = MIME_ENCODING_8BIT;
    open_embedded(p, offset);
    p->copy.n = collected;
}

/* The header of the top entity ends; its body begins at offset. */
static void end_header(struct parser *p, size_t offset) {
    struct frame *f = &p->frames[p->depth - 1];
    struct mime_part *part = f->part;
    part->header_size = offset - part->header_offset;
    part->header_lines = p->lines_seen - f->lines_from;
    part->body_offset = offset;
    f->lines_from = p->lines_seen;
    f->state = FRAME_BODY;
    if (!keep_header(p, part)) {
        make_opaque(p, part);
        return;
    }
    bool in_digest = !part->is_root && p->depth >= 2 && p->frames[p->depth - 2].is_digest;
    parser_read_fields(p, part, in_digest);

    bool is_full = p->depth == MESSAGE_DEPTH_MAX || p->message->part_count >= MESSAGE_PARTS_MAX;
    if (view_eq_nocase(part->type, VIEW("multipart"))) {
        struct view boundary = parser_boundary(p, &part->params);
        if (boundary.n == 0 && is_full) {
            make_text(part);
        } else if (is_full) {
            make_opaque(p, part);
            part->was_multipart = true;
        } else {
            f->is_digest = view_eq_nocase(part->subtype, VIEW("digest"));
            f->boundary = boundary;
            f->state = FRAME_MULTIPART;
            part->is_multipart = true;
        }
    } else if (mime_part_is(part, VIEW("message"), VIEW("rfc822")) ||
               mime_part_is(part, VIEW("message"), VIEW("global"))) {
        if (!is_encoded(part))
            open_embedded(p, offset);
        else if (part->encoding == MIME_ENCODING_BASE64)
            f->state = FRAME_ENCODED;
    }
}

/*
 * An entity that begins with a line which is no field: when the next line is one, the first was a stray line in a header
 * (an mbox "From " line, a broken field). Else there is no header at all, and that line is the first of the body. This
 * is called when the next line turned out to be no field.
 */
static void settle_suspect(struct parser *p) {
    size_t lines = p->suspect_eol > 0;
    p->lines_seen -= lines;
    for (;;) {
        struct frame *f = &p->frames[p->depth - 1];
        if (f->state != FRAME_HEADER)
            break;
        f->is_suspect = false;
        end_header(p, f->part->header_offset);
    }
    p->lines_seen += lines;
    p->body_eol = p->suspect_eol;
}

static bool has_suspect(const struct parser *p) {
    const struct frame *f = &p->frames[p->depth - 1];
    return f->state == FRAME_HEADER && f->is_suspect;
}

/* Octets of the header of the top entity so far, up to offset; fewer when they are too many. */
static struct view open_header(const struct parser *p, size_t offset) {
    size_t from = p->frames[p->depth - 1].part->header_offset;
    size_t size = MIN(offset - from, (size_t)MESSAGE_HEADER_MAX);
    return p->is_stream ? view_of(p->copy.p, MIN(size, p->copy.n)) : view_sub(p->message->bytes, from, size);
}

/* Where the lines begin that follow the last field, and how many line ends they have; header.n: there are none. */
static size_t text_after_fields(const struct parser *p, struct view header, size_t *lines) {
    size_t text = header.n;
    *lines = 0;
    for (size_t at = 0; at < header.n;) {
        const uint8_t *line = header.p + at;
        const uint8_t *end = memchr(line, p->eol, header.n - at);
        size_t n = end == NULL ? header.n - at : (size_t)(end - line);
        if (header_line_is_field(view_of(line, n))) {
            text = header.n;
            *lines = 0;
        } else if (text == header.n && at > 0 && *line != ' ' && *line != '\t') {
            text = at;
        }
        *lines += text < header.n && end != NULL;
        at += n + (end != NULL);
    }
    return text;
}

/*
 * The top entity ends at offset, and is still in its header: the empty line is missing. What follows the last field is no
 * broken field then, but the text, which a reader wants to see.
 */
static void settle_text(struct parser *p, size_t offset) {
    struct frame *f = &p->frames[p->depth - 1];
    if (f->state != FRAME_HEADER)
        return;
    size_t from = f->part->header_offset, lines = 0;
    struct view header = open_header(p, offset);
    if (header.n == 0 || header.n < offset - from)
        return;
    size_t text = text_after_fields(p, header, &lines);
    /* A lone word at the end is the name of a field that was cut off. */
    bool is_text = false;
    for (size_t i = text; i < header.n && !is_text; i++)
        is_text = header.p[i] <= ' ';
    if (!is_text)
        return;
    size_t eol = header.p[header.n - 1] == p->eol;
    if (eol == 1 && p->eol == '\n' && header.n - text > 1 && header.p[header.n - 2] == '\r')
        eol = 2;
    p->lines_seen -= lines;
    while (p->frames[p->depth - 1].state == FRAME_HEADER)
        end_header(p, from + text);
    p->lines_seen += lines;
    p->body_eol = eol;
}

/* Ends all entities above `keep`; their bodies end at offset `end`, `trimmed` line ends before what was seen. */
static void close_to(struct parser *p, size_t keep, size_t end, size_t trimmed) {
    while (p->depth > keep) {
        struct frame *f = &p->frames[p->depth - 1];
        if (f->state == FRAME_HEADER) {
            /* No empty line. This may open an embedded message, which has no octets and is closed next. */
            end_header(p, end);
            continue;
        }
        struct mime_part *part = f->part;
        part->body_size = end - part->body_offset;
        part->lines = p->lines_seen - f->lines_from - trimmed;
        if (part->is_multipart && part->first_child == NULL) {
            part->is_multipart = false;
            make_text(part);
        }
        p->depth--;
    }
}

/* RFC2046-5.1.1: which open multipart does the delimiter line end a part of? Returns its index + 1, or 0. Only exact
 * lines count: "--a" is no delimiter for the boundary "ab", and neither is "--abc". */
static size_t find_delimiter(const struct parser *p, struct view line, bool *is_close) {
    struct view text = view_skip(line, 2);
    for (size_t i = p->depth; i-- > 0;) {
        const struct frame *f = &p->frames[i];
        size_t n = f->boundary.n;
        /* The last octet first: boundaries inside each other mostly begin alike. */
        if (f->state != FRAME_MULTIPART || n == 0 || text.n < n || text.p[n - 1] != f->boundary.p[n - 1] ||
            memcmp(text.p, f->boundary.p, n) != 0)
            continue;
        struct view rest = view_skip(text, n);
        /* A CR is left where a CRLF was cut at the end of the message, or doubled. */
        while (rest.n > 0 && (rest.p[rest.n - 1] == ' ' || rest.p[rest.n - 1] == '\t' || rest.p[rest.n - 1] == '\r'))
            rest.n--;
        *is_close = rest.n == 2 && rest.p[0] == '-' && rest.p[1] == '-';
        if (rest.n == 0 || *is_close)
            return i + 1;
    }
    return 0;
}

/* Headers are looked through at most so often for a boundary, so that time stays linear. */
#define OWN_DELIMITER_TRIES 3

/* The empty line after the header of a multipart is missing, and here comes its first delimiter. */
static bool own_delimiter(struct parser *p, size_t offset, struct view line) {
    struct frame *f = &p->frames[p->depth - 1];
    if (f->tries == OWN_DELIMITER_TRIES || p->fields_used > MESSAGE_FIELDS_MAX)
        return false;
    f->tries++;
    struct view boundary = parser_boundary_of_header(p, open_header(p, offset));
    return boundary.n > 0 && view_eq(view_skip(line, 2), boundary);
}

/* A delimiter of the multipart in frame `index`, whose line is [offset, next). False: no part can be added any more. */
static bool delimiter(struct parser *p, size_t index, bool is_close, size_t offset, size_t next, size_t eol) {
    struct mime_part *part = NULL;
    if (!is_close) {
        if (p->message->part_count < MESSAGE_PARTS_MAX)
            part = ARENA_NEW(p->arena, struct mime_part);
        if (part == NULL) {
            p->message->degraded = true;
            return false;
        }
    }
    settle_text(p, offset);
    close_to(p, index + 1, offset - p->body_eol, p->body_eol > 0);
    p->body_eol = 0;
    p->lines_seen += eol > 0;
    struct frame *f = &p->frames[index];
    if (is_close) {
        /* RFC2046-5.1.1: a line end after it begins the epilogue, or the delimiter of an outer part. */
        p->body_eol = eol;
        f->state = FRAME_EPILOGUE;
        return true;
    }
    struct mime_part *mother = f->part;
    part->parent = mother;
    if (mother->last_child != NULL)
        mother->last_child->next = part;
    else
        mother->first_child = part;
    mother->last_child = part;
    mother->child_count++;
    if (!push_part(p, part, next))
        BUG("a multipart at the depth limit is opaque");
    return true;
}

/* The top entity is a multipart that names no boundary: is this line one? The next line says it. */
static void guess_delimiter(struct parser *p, size_t offset, struct view line, size_t eol) {
    const struct frame *f = &p->frames[p->depth - 1];
    struct view text = view_skip(line, 2);
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t'))
        text.n--;
    if (f->state != FRAME_MULTIPART || f->boundary.n > 0 || text.n == 0 || text.n > sizeof(p->guess.octets))
        return;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return;
    memcpy(p->guess.octets, text.p, text.n);
    p->guess.n = text.n;
    p->guess.offset = offset;
    p->guess.eol = eol;
    p->copy.n = 0;
}

/* The line after such a line, at offset: a content field makes it a delimiter, and its text the boundary. */
static void settle_guess(struct parser *p, size_t offset, struct view line) {
    struct frame *f = &p->frames[p->depth - 1];
    struct view guess = view_of(p->guess.octets, p->guess.n);
    p->guess.n = 0;
    if (!header_line_is_field(line) || !view_starts_nocase(line, VIEW("Content-")))
        return;
    size_t collected = p->copy.n;
    if (arena_view(p->arena, guess, &f->boundary) != ERR_OK) {
        p->message->degraded = true;
        return;
    }
    p->fields_used += guess.n;
    /* It was counted as a line of the preamble. */
    p->lines_seen -= p->guess.eol > 0;
    if (!delimiter(p, p->depth - 1, false, p->guess.offset, offset, p->guess.eol))
        p->lines_seen += p->guess.eol > 0;
    p->copy.n = collected;
}

void parser_line(struct parser *p, size_t offset, const uint8_t *head, size_t n, size_t eol) {
    size_t next = offset + n + eol;
    struct view line = view_of(head, MIN(n, (size_t)MESSAGE_LINE_LOOK));
    if (p->frames[p->depth - 1].state == FRAME_ENCODED)
        settle_encoded(p, offset, line);
    if (p->guess.n > 0)
        settle_guess(p, offset, line);
    if (has_suspect(p)) {
        if (header_line_is_field(line))
            p->frames[p->depth - 1].is_suspect = false;
        else
            settle_suspect(p);
    }
    if (line.n > 2 && line.p[0] == '-' && line.p[1] == '-' && line.n == n) {
        bool is_close = false;
        size_t index = find_delimiter(p, line, &is_close);
        if (index == 0 && p->frames[p->depth - 1].state == FRAME_HEADER && own_delimiter(p, offset, line)) {
            end_header(p, offset);
            index = find_delimiter(p, line, &is_close);
        }
        if (index > 0 && delimiter(p, index - 1, is_close, offset, next, eol))
            return;
        if (index == 0)
            guess_delimiter(p, offset, line, eol);
    }
    p->lines_seen += eol > 0;
    struct frame *f = &p->frames[p->depth - 1];
    if (f->state == FRAME_HEADER) {
        p->body_eol = 0;
        if (n == 0) {
            end_header(p, next);
        } else if (offset == f->part->header_offset && !header_line_is_field(line) &&
                   !view_starts(line, VIEW("From "))) {
            f->is_suspect = true;
            p->suspect_eol = eol;
        }
    } else {
        p->body_eol = eol;
    }
}

bool parser_wants_lines(const struct parser *p) {
    enum frame_state state = p->frames[p->depth - 1].state;
    return state == FRAME_HEADER || state == FRAME_ENCODED || p->guess.n > 0;
}

/* -- Running over bodies ------------------------------------------------------------------------- */

/* Sixteen octets at once; compilers turn these into what the machine has. */
typedef uint8_t octets16 __attribute__((vector_size(16)));
#define VECTORS 4
#define BLOCK (VECTORS * sizeof(octets16))
/* A lane counts at most VECTORS line ends a block, and overflows after 255. */
#define BLOCKS_PER_SUM (255 / VECTORS)

static octets16 load16(const uint8_t *p) {
    octets16 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static bool any16(octets16 v) {
    uint64_t half[2];
    memcpy(half, &v, sizeof(half));
    return (half[0] | half[1]) != 0;
}

static size_t sum16(octets16 v) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof(v); i++)
        n += v[i];
    return n;
}

/* Runs over blocks without a line that begins with "-". Returns the octets run over. */
static size_t skip_blocks(struct view v, size_t *lines, bool *has_nul) {
    const octets16 lf = (octets16){0} + '\n', dash = (octets16){0} + '-';
    octets16 nul = {0};
    size_t at = 0;
    bool is_found = false;
    while (!is_found && v.n - at > BLOCK) {
        octets16 count = {0};
        for (size_t i = 0; i < BLOCKS_PER_SUM && v.n - at > BLOCK; i++) {
            octets16 ends = {0}, found = {0}, zero = {0};
            for (size_t k = 0; k < VECTORS; k++) {
                octets16 here = load16(v.p + at + k * sizeof(octets16));
                octets16 after = load16(v.p + at + k * sizeof(octets16) + 1);
                octets16 is_lf = (octets16)(here == lf);
                ends -= is_lf;
                found |= is_lf & (octets16)(after == dash);
                zero |= (octets16)(here == 0);
            }
            if (any16(found)) {
                is_found = true;
                break;
            }
            count += ends;
            nul |= zero;
            at += BLOCK;
        }
        *lines += sum16(count);
    }
    *has_nul |= any16(nul);
    return at;
}

/* From a line's start to the next line that begins with "--", or to an incomplete last line. Returns its offset. */
static size_t skip_lines(struct view v, size_t *lines, bool *has_nul) {
    size_t at = 0, start = 0;
    bool is_here = v.n >= 2 && v.p[0] == '-' && v.p[1] == '-';
    while (!is_here && at < v.n) {
        size_t run = skip_blocks(view_skip(v, at), lines, has_nul);
        if (run > 0) {
            const uint8_t *last = memrchr(v.p + at, '\n', run);
            start = last == NULL ? start : (size_t)(last - v.p) + 1;
            at += run;
        }
        for (size_t end = MIN(v.n, at + BLOCK); !is_here && at < end; at++) {
            *has_nul |= v.p[at] == 0;
            if (v.p[at] != '\n')
                continue;
            ++*lines;
            start = at + 1;
            is_here = v.n - start >= 2 && v.p[start] == '-' && v.p[start + 1] == '-';
        }
    }
    return start;
}

void parser_note_nul(struct parser *p, struct view octets) {
    if (!p->message->has_nul && view_find_byte(octets, 0) >= 0)
        p->message->has_nul = true;
}

/* A line in a header that parser_line() would only count. */
static bool is_dull(const struct parser *p, size_t offset, const uint8_t *line, size_t n) {
    const struct frame *f = &p->frames[p->depth - 1];
    return n > 0 && *line != '-' && f->state == FRAME_HEADER && !f->is_suspect && !p->is_stream &&
           offset != f->part->header_offset;
}

size_t parser_take_lines(struct parser *p, size_t offset, struct view octets, bool is_last) {
    size_t at = 0, nul_from = 0; /* octets before nul_from were looked at for NUL */
    while (at < octets.n) {
        if (!parser_wants_lines(p) && p->eol == '\n') {
            parser_note_nul(p, view_sub(octets, nul_from, at - nul_from));
            size_t run = skip_lines(view_skip(octets, at), &p->lines_seen, &p->message->has_nul);
            at += run;
            nul_from = at;
            if (run > 0)
                p->body_eol = run > 1 && octets.p[at - 2] == '\r' ? 2 : 1;
            if (at == octets.n)
                break;
        }
        const uint8_t *line = octets.p + at;
        const uint8_t *end = memchr(line, p->eol, octets.n - at);
        if (end == NULL && !is_last)
            break;
        size_t n = end != NULL ? (size_t)(end - line) : octets.n - at;
        size_t eol = end != NULL;
        if (end != NULL && p->eol == '\n' && n > 0 && line[n - 1] == '\r') {
            n--;
            eol = 2;
        }
        if (is_dull(p, offset + at, line, n)) {
            p->lines_seen += eol > 0;
            p->body_eol = 0;
        } else {
            parser_collect(p, view_of(line, n + eol));
            parser_line(p, offset + at, line, n, eol);
        }
        at += n + eol;
    }
    parser_note_nul(p, view_sub(octets, nul_from, at - nul_from));
    return at;
}

/* -- A message ------------------------------------------------------------------------------------- */

enum err parser_begin(struct parser *p, struct arena *arena, struct message *message, bool is_stream) {
    /* The frames are set when they are opened. */
    memset(p, 0, offsetof(struct parser, frames));
    p->arena = arena;
    p->message = message;
    p->is_stream = is_stream;
    p->eol = '\n';
    message->root = new_part(p);
    if (message->root == NULL)
        return ERR_LIMIT;
    message->root->is_root = true;
    if (!push_part(p, message->root, 0))
        BUG("the stack is empty");
    return ERR_OK;
}

uint8_t parser_eol(struct view first) {
    first = view_sub(first, 0, MESSAGE_FIRST_WINDOW);
    return view_find_byte(first, '\n') < 0 && view_find_byte(first, '\r') >= 0 ? '\r' : '\n';
}

void parser_finish(struct parser *p, size_t size) {
    if (has_suspect(p))
        settle_suspect(p);
    settle_text(p, size);
    close_to(p, 0, size, 0);
}

enum err message_parse(struct arena *arena, struct view bytes, struct message *out) {
    struct message message = {.bytes = bytes};
    struct parser parser;
    TRY(parser_begin(&parser, arena, &message, false));
    parser.eol = parser_eol(bytes);
    if (parser_take_lines(&parser, 0, bytes, true) != bytes.n)
        BUG("all lines are taken at the end");
    parser_finish(&parser, bytes.n);
    *out = message;
    return ERR_OK;
}

enum err message_body_read(const struct message *message, const struct mime_part *part, size_t offset, size_t n,
                           struct buf *scratch, struct view *out) {
    if (offset >= part->body_size) {
        *out = VIEW("");
        return ERR_OK;
    }
    n = MIN(n, part->body_size - offset);
    if (message->bytes.n > 0) {
        *out = view_sub(message->bytes, part->body_offset + offset, n);
        return ERR_OK;
    }
    /* A stream's source may be left out by who reads no bodies. */
    if (message->source == NULL)
        return ERR_NOT_FOUND;
    buf_clear(scratch);
    TRY(message_source_read(message->source, part->body_offset + offset, MIN(n, (size_t)MESSAGE_WINDOW), scratch));
    *out = buf_view(scratch);
    return ERR_OK;
}

struct view message_part_header(const struct message *message, const struct mime_part *part) {
    if (message->bytes.n == 0)
        return part->header;
    return view_sub(message->bytes, part->header_offset, part->header_size);
}

struct view message_part_body(const struct message *message, const struct mime_part *part) {
    return view_sub(message->bytes, part->body_offset, part->body_size);
}

struct view message_part_all(const struct message *message, const struct mime_part *part) {
    return view_sub(message->bytes, part->header_offset, part->header_size + part->body_size);
}

struct mime_part *message_part_next(const struct mime_part *part) {
    if (part->first_child != NULL)
        return part->first_child;
    if (part->embedded != NULL)
        return part->embedded;
    while (part != NULL && part->next == NULL)
        part = part->parent;
    return part == NULL ? NULL : part->next;
}

bool mime_part_is(const struct mime_part *part, struct view type, struct view subtype) {
    return view_eq_nocase(part->type, type) && view_eq_nocase(part->subtype, subtype);
}

struct view mime_part_charset(const struct mime_part *part) {
    struct view charset = mime_params_get(&part->params, VIEW("charset"));
    return charset.n == 0 ? VIEW("us-ascii") : charset;
}
