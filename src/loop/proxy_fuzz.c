/* Fuzz: whatever the octets, the PROXY header is found whole or byte by byte with the same result. */
#include "loop/stream.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct netaddr peer = {0}, local = {0}, peer_piece = {0}, local_piece = {0};
    size_t used = 0, used_piece = 0;
    enum err whole = proxy_parse(view_of(data, size), &used, &peer, &local);
    BUG_IF(whole == ERR_OK && (used > size || used == 0));
    enum err piece = ERR_AGAIN;
    for (size_t n = 0; n <= size && piece == ERR_AGAIN; n++)
        piece = proxy_parse(view_of(data, n), &used_piece, &peer_piece, &local_piece);
    BUG_IF(piece != whole);
    BUG_IF(used != used_piece);
    BUG_IF(memcmp(&peer, &peer_piece, sizeof(peer)) != 0 || memcmp(&local, &local_piece, sizeof(local)) != 0);
    return 0;
}
