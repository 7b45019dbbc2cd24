/*
 * The structure of a message that is fed in pieces and never held whole: the
 * same tree as message_parse() gives, for every way to cut the octets. Headers
 * of parts are copied into the arena, bodies are not kept; whoever looks into
 * them reads the message's source. Memory is bounded by a constant, whatever
 * the size of the message: MESSAGE_ARENA_BUDGET and the parser itself.
 */
#ifndef MESSAGE_STREAM_PARSE_H
#define MESSAGE_STREAM_PARSE_H

#include "message/parse.h"
#include "message/source.h"

struct message_parser; /* lives in the arena */

/* NULL: no room in the arena. */
struct message_parser *message_parser_new(struct arena *arena);
void message_parser_feed(struct message_parser *parser, struct view octets);
/* The end of the message. out->bytes is empty and out->source is `source` (may be NULL when nobody will read bodies). */
enum err message_parser_end(struct message_parser *parser, struct message_source *source,
                            struct message *out) MUST_CHECK;
/* Reads the whole source through a window. The errors of the source, and ERR_LIMIT. */
enum err message_parse_source(struct arena *arena, struct message_source *source, struct message *out) MUST_CHECK;

#endif
