/*
 * The part index: where every part of a message is, as octets that the store
 * keeps beside the message, so that BODY[1.2.MIME] reads a range of the blob
 * and parses nothing.
 *
 * Format (version 1, most significant octet first): version u8, then for each
 * entity in document order: flags u8, parent u16 (its number from 1; 0: none),
 * header offset u64, header size u64, body size u64, lines u32. It is our own
 * data, but it is checked like any other: a damaged one is ERR_SYNTAX.
 */
#ifndef MESSAGE_INDEX_H
#define MESSAGE_INDEX_H

#include "message/structure.h"

#define MESSAGE_INDEX_ENTRY_SIZE 31
#define MESSAGE_INDEX_MAX (1 + MESSAGE_PARTS_MAX * MESSAGE_INDEX_ENTRY_SIZE)

void message_index_put(struct buf *buf, const struct message *message);

struct message_range {
    uint64_t offset, size; /* octets of the message as stored */
    /* The range is a header, and the caller reads it and makes the subset with header_put_subset(). */
    bool is_subset;
};
/* As message_section(), from the index alone; a message of size octets. ERR_NOT_FOUND: no such section. */
enum err message_index_section(struct view index, uint64_t size, const struct section *section,
                               struct message_range *out) MUST_CHECK;

#endif
