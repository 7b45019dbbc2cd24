/*
 * The octets before the record of each message between roles, and nothing else:
 *
 *     version 1, kind 1, code 2, id 8, trace 8, remaining 8, err 1, handles 1, a kind 1 for each handle, record
 *
 * Integers have their most significant octet first. Every value has one form
 * only: what a kind of packet does not use is zero. Nothing outside of loop/
 * includes this.
 */
#ifndef LOOP_CHANNEL_PACKET_H
#define LOOP_CHANNEL_PACKET_H

#include "loop/channel.h"

enum packet_kind {
    PACKET_REQUEST = 1, /* id, code, trace, remaining, handles, record */
    PACKET_REPLY,       /* id, code, err; with ERR_OK handles and record */
    PACKET_ONE_WAY,     /* code, trace, handles, record */
    PACKET_CANCEL,      /* id: the caller does not wait for that reply any more */
};
#define PACKET_NEVER UINT64_MAX /* no deadline */
#define PACKET_HEADER_MAX (30 + CHANNEL_HANDLES_MAX)

struct packet {
    enum packet_kind kind;
    uint16_t code;
    uint64_t id; /* from 1, growing, chosen by the side that asks */
    uint64_t trace;
    uint64_t remaining_us; /* until the deadline when it was sent, at most INT64_MAX, or PACKET_NEVER */
    enum err err;
    size_t handles_n;
    enum handle_kind kinds[CHANNEL_HANDLES_MAX]; /* the last one is not HANDLE_NONE */
    struct view record;
};

/* Pure. ERR_SYNTAX for everything that packet_put_header() does not write. The record's view points into `in`. */
enum err packet_parse(struct view in, struct packet *out) MUST_CHECK;
void packet_put_header(const struct packet *packet, struct buf *out);

#endif
