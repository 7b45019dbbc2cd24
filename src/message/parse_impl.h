/*
 * What the MIME parser's files share: the stack of open entities, and how
 * octets are fed to it. Everybody else uses parse.h or stream_parse.h.
 */
#ifndef MESSAGE_PARSE_IMPL_H
#define MESSAGE_PARSE_IMPL_H

#include "message/parse.h"

/* RFC2046-5.1.1: a boundary has at most 70 characters. */
#define BOUNDARY_GUESS_MAX 70

enum frame_state {
    FRAME_HEADER,    /* in the header of the entity */
    FRAME_BODY,      /* in a leaf's body */
    FRAME_ENCODED,   /* before the first line of a message that says it is in base64 */
    FRAME_MULTIPART, /* in a multipart: preamble, or a child is open above */
    FRAME_EPILOGUE,  /* after its close delimiter */
    FRAME_MESSAGE,   /* the embedded message is open above */
};

struct frame {
    struct mime_part *part;
    struct view boundary;
    enum frame_state state;
    bool is_digest;    /* RFC2046-5.1.5: children default to message/rfc822 */
    bool is_suspect;   /* the first header line is no field; see settle_suspect() */
    uint8_t tries;     /* lookups of own_delimiter() in this header */
    size_t lines_from; /* value of lines_seen at the start of header or body */
};

/* A line that may be the first delimiter of a multipart which names no boundary; the next line decides. */
struct guess {
    size_t n; /* octets of the boundary; 0: there is no such line */
    size_t offset, eol;
    uint8_t octets[BOUNDARY_GUESS_MAX];
};

/* A header that is being collected from a stream; in the arena, used again for the next one. */
struct header_copy {
    uint8_t *p;
    size_t n, cap;
};

struct parser {
    struct arena *arena;
    struct message *message;
    bool is_stream; /* headers are collected in `copy`; else they are views into message->bytes */
    uint8_t eol;    /* the octet that ends lines: LF, or CR (see parser_eol()) */
    size_t depth;   /* frames in use */
    size_t lines_seen;
    /* Octets of the line end before the current line when that line was content of a body, else 0: what a delimiter
     * takes away from the body before it (RFC2046-5.1.1). */
    size_t body_eol;
    size_t suspect_eol;  /* octets of the line end of the suspect line */
    size_t headers_kept; /* of MESSAGE_HEADERS_MAX */
    size_t fields_used;  /* of MESSAGE_FIELDS_MAX */
    struct header_copy copy;
    struct guess guess;
    struct frame frames[MESSAGE_DEPTH_MAX]; /* the last member: what is not in use is not set */
};

/* Opens the root. ERR_LIMIT: no room for it. */
enum err parser_begin(struct parser *p, struct arena *arena, struct message *message, bool is_stream) MUST_CHECK;
/* What ends lines, from the first octets of the message: all of it, or at least MESSAGE_FIRST_WINDOW, or up to an LF. */
uint8_t parser_eol(struct view first);
/* Octets that begin at a line's start, at that offset of the message. Returns how many were taken: all, or without
 * is_last all but an incomplete last line. */
size_t parser_take_lines(struct parser *p, size_t offset, struct view octets, bool is_last);
/* One line: its first MIN(n, MESSAGE_LINE_LOOK) octets, its octets without the line end, and those of its line end (0 at
 * the end of the message). */
void parser_line(struct parser *p, size_t offset, const uint8_t *head, size_t n, size_t eol);
/* Is the current line one of a header, or may it turn out to be? */
bool parser_wants_lines(const struct parser *p);
/* Octets of the current line of a stream, before parser_line() sees it. */
void parser_collect(struct parser *p, struct view octets);
void parser_note_nul(struct parser *p, struct view octets);
/* The end of the message, whose size it is. */
void parser_finish(struct parser *p, size_t size);

/* Reads the content fields of part->header. The memory it takes is counted in fields_used. */
void parser_read_fields(struct parser *p, struct mime_part *part, bool in_digest);
/* The boundary parameter, put together when it comes in pieces (RFC2231-3); empty when there is none that can be used. */
struct view parser_boundary(struct parser *p, const struct mime_params *params);
/* The boundary that this header, which is not at its end, declares; empty when it is no multipart. */
struct view parser_boundary_of_header(struct parser *p, struct view header);

#endif
