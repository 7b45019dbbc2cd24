/* The packet header of channels: a pure parser and its writer. */
#include "loop/channel_packet.h"

#include "base/reader.h"

static enum err parse_handles(struct reader *r, struct packet *packet) {
    size_t n = reader_be8(r);
    if (n > CHANNEL_HANDLES_MAX)
        return ERR_SYNTAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t kind = reader_be8(r);
        if (kind > HANDLE_LISTENER)
            return ERR_SYNTAX;
        packet->kinds[i] = (enum handle_kind)kind;
    }
    if (n > 0 && packet->kinds[n - 1] == HANDLE_NONE)
        return ERR_SYNTAX;
    packet->handles_n = n;
    return reader_err(r);
}

/* What each kind must and must not carry. */
static bool is_consistent(const struct packet *p) {
    bool is_bare = p->handles_n == 0 && p->record.n == 0;
    switch (p->kind) {
    case PACKET_REQUEST:
        return p->id > 0 && p->err == ERR_OK && (p->remaining_us <= INT64_MAX || p->remaining_us == PACKET_NEVER);
    case PACKET_REPLY:
        return p->id > 0 && p->trace == 0 && p->remaining_us == 0 && (p->err == ERR_OK || is_bare);
    case PACKET_ONE_WAY:
        return p->id == 0 && p->remaining_us == 0 && p->err == ERR_OK;
    case PACKET_CANCEL:
        return p->id > 0 && p->code == 0 && p->trace == 0 && p->remaining_us == 0 && p->err == ERR_OK && is_bare;
    }
    return false;
}

enum err packet_parse(struct view in, struct packet *out) {
    if (in.n > CHANNEL_PACKET_MAX)
        return ERR_SYNTAX;
    struct reader r = reader_of(in);
    struct packet packet = {0};
    if (reader_be8(&r) != CHANNEL_VERSION)
        return ERR_SYNTAX;
    uint8_t kind = reader_be8(&r);
    if (kind < PACKET_REQUEST || kind > PACKET_CANCEL)
        return ERR_SYNTAX;
    packet.kind = (enum packet_kind)kind;
    packet.code = reader_be16(&r);
    packet.id = reader_be64(&r);
    packet.trace = reader_be64(&r);
    packet.remaining_us = reader_be64(&r);
    uint8_t err = reader_be8(&r);
    if (err >= ERR_COUNT)
        return ERR_SYNTAX;
    packet.err = (enum err)err;
    TRY(parse_handles(&r, &packet));
    packet.record = reader_rest(&r);
    if (!is_consistent(&packet))
        return ERR_SYNTAX;
    *out = packet;
    return ERR_OK;
}

void packet_put_header(const struct packet *packet, struct buf *out) {
    buf_put_byte(out, CHANNEL_VERSION);
    buf_put_byte(out, (uint8_t)packet->kind);
    buf_put_be16(out, packet->code);
    buf_put_be64(out, packet->id);
    buf_put_be64(out, packet->trace);
    buf_put_be64(out, packet->remaining_us);
    buf_put_byte(out, (uint8_t)packet->err);
    buf_put_byte(out, (uint8_t)packet->handles_n);
    for (size_t i = 0; i < packet->handles_n; i++)
        buf_put_byte(out, (uint8_t)packet->kinds[i]);
}
