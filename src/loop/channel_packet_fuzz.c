/* Fuzzes the packet header parser: what it accepts has one form only, and written again gives the same octets. */
#include "loop/channel_packet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    struct packet packet;
    if (packet_parse(in, &packet) != ERR_OK)
        return 0;
    struct buf out;
    buf_init(&out, size);
    packet_put_header(&packet, &out);
    buf_put(&out, packet.record);
    if (buf_err(&out) != ERR_OK || !view_eq(buf_view(&out), in))
        abort();
    buf_fini(&out);
    return 0;
}
