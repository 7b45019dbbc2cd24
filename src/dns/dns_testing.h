/* For the tests of dns/: messages written down in a table. */
#ifndef DNS_DNS_TESTING_H
#define DNS_DNS_TESTING_H

#include "dns/name.h"
#include "dns/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define PACKET_ROOM 65535

/* The header of a response, RFC1035-4.1.1. */
static inline void put_header(struct buf *out, uint16_t flags, uint16_t questions, uint16_t answers,
                              uint16_t authority) {
    buf_put_be16(out, 0x1234);
    buf_put_be16(out, flags);
    buf_put_be16(out, questions);
    buf_put_be16(out, answers);
    buf_put_be16(out, authority);
    buf_put_be16(out, 0);
}

static inline void put_wire(struct buf *out, const char *name) {
    assert_int_equal(dns_name_to_wire(view_cstr(name), out), ERR_OK);
}

static inline void put_question(struct buf *out, const char *name, uint16_t type) {
    put_wire(out, name);
    buf_put_be16(out, type);
    buf_put_be16(out, 1);
}

static inline void put_record(struct buf *out, const char *owner, uint16_t type, uint32_t ttl, struct view data) {
    put_wire(out, owner);
    buf_put_be16(out, type);
    buf_put_be16(out, 1);
    buf_put_be32(out, ttl);
    buf_put_be16(out, (uint16_t)data.n);
    buf_put(out, data);
}

#endif
