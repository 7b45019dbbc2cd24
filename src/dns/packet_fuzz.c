/*
 * Fuzz target: a response. The first octet chooses the type asked for, the rest
 * is the message; the name asked for is the message's own, so that most inputs
 * get past the question. What comes out is read again.
 */
#include "dns/name.h"
#include "dns/packet.h"
#include "dns/rdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_data(uint16_t type, struct view data, struct arena *arena) {
    struct netaddr ip;
    struct dns_mx mx;
    struct view text;
    (void)!dns_rdata_a(data, &ip);
    (void)!dns_rdata_aaaa(data, &ip);
    (void)!dns_rdata_txt(data, arena, &text);
    enum err mx_err = dns_rdata_mx(data, arena, &mx), name_err = dns_rdata_name(data, arena, &text);
    /* What was uncompressed must be readable without the message. */
    BUG_IF(type == DNS_MX && mx_err == ERR_SYNTAX);
    BUG_IF((type == DNS_NS || type == DNS_CNAME || type == DNS_PTR) && name_err == ERR_SYNTAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint16_t types[] = {DNS_A, DNS_MX, DNS_TXT, DNS_AAAA, DNS_CNAME, DNS_NS, DNS_PTR, DNS_SOA, DNS_SRV};
    if (size < 13)
        return 0;
    uint16_t type = types[data[0] % ARRAY_LEN(types)];
    struct view packet = view_of(data + 1, size - 1);
    struct buf name;
    buf_init(&name, DNS_NAME_WIRE_MAX);
    struct reader r = reader_of(packet);
    r.at = 12;
    bool has_name = dns_name_read_compressed(&r, &name) == ERR_OK;
    BUG_IF(has_name && name.n > DNS_NAME_TEXT_MAX);
    struct arena *arena = arena_new("fuzz", 1024 * 1024);
    struct dns_answer answer;
    if (arena && dns_packet_answer(packet, has_name ? buf_view(&name) : VIEW("a"), type, arena, &answer) == ERR_OK) {
        BUG_IF((answer.status == DNS_OK) != (answer.data_n > 0));
        for (uint32_t i = 0; i < answer.data_n; i++)
            read_data(type, answer.data[i].data, arena);
    }
    arena_free(arena);
    buf_fini(&name);
    return 0;
}
