/* The files and mails that reports come in, from hostile octets: bounded; what we pack unpacks the same. */
#include "dmarc/aggregate.h"

#include "inflate/inflate.h"

#include <stdlib.h>

static void check(bool holds) {
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view octets = view_of(data, size);
    struct buf xml, packed;
    buf_init(&xml, AGGREGATE_XML_MAX);
    buf_init(&packed, AGGREGATE_XML_MAX);
    if (aggregate_unpack(octets, &xml) == ERR_OK)
        check(xml.n <= INFLATE_RATIO_FROM || xml.n / INFLATE_RATIO_MAX <= size);
    buf_clear(&xml);
    buf_put_gzip(&packed, octets);
    check(buf_err(&packed) == ERR_OK);
    enum err err = aggregate_unpack(buf_view(&packed), &xml);
    check(err == ERR_LIMIT || (err == ERR_OK && view_eq(buf_view(&xml), octets)));
    check(err == ERR_OK || size > INFLATE_RATIO_FROM);
    struct arena *arena = arena_new("fuzz", MESSAGE_ARENA_BUDGET + AGGREGATE_ARENA_BUDGET);
    struct message message;
    struct aggregate_report report;
    if (arena != NULL && message_parse(arena, octets, &message) == ERR_OK &&
        aggregate_read_message(arena, &message, &report) == ERR_OK)
        check(report.domain.n > 0 && report.rows_n <= AGGREGATE_ROWS_MAX);
    arena_free(arena);
    buf_fini(&xml);
    buf_fini(&packed);
    return 0;
}
