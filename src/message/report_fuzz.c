/* Fuzz target: reports about mail, read from a message and from a status part alone; what is found reads back equal. */
#include "message/report.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct view v) {
    if (!utf8_is_valid(v))
        abort();
}

static void read_all(struct view bytes) {
    struct arena *arena = arena_new("fuzz", MESSAGE_ARENA_BUDGET);
    struct message message;
    struct delivery_status status;
    struct mdn mdn;
    if (arena == NULL || message_parse(arena, bytes, &message) != ERR_OK)
        abort();
    (void)mdn_may_answer(arena, message_part_header(&message, message.root));
    if (delivery_status_read(arena, &message, &status) == ERR_OK) {
        check(status.reporting_mta);
        check(status.envelope_id);
        for (size_t i = 0; i < status.recipient_count; i++) {
            check(status.recipients[i].final);
            check(status.recipients[i].original);
            check(status.recipients[i].status);
            check(status.recipients[i].remote_mta);
            check(status.recipients[i].diagnostic);
        }
    }
    if (mdn_read(arena, &message, &mdn) == ERR_OK) {
        check(mdn.final);
        check(mdn.original);
        check(mdn.original_message_id);
        struct mdn_request request = {
            .from = VIEW("a@b"), .to = VIEW("c@d"), .host = VIEW("e"), .mdn = mdn, .is_utf8 = true};
        struct buf made;
        buf_init(&made, 1 << 20);
        if (mdn_put(&made, &request) != ERR_OK)
            abort();
        struct mdn again;
        if (message_parse(arena, buf_view(&made), &message) != ERR_OK)
            abort();
        enum err err = mdn_read(arena, &message, &again);
        if (err != ERR_LIMIT && (err != ERR_OK || again.disposition != mdn.disposition ||
                                 again.automatic != mdn.automatic || again.has_error != mdn.has_error))
            abort();
        buf_fini(&made);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf bytes;
    read_all(view_of(data, size));
    buf_init(&bytes, size + 1000);
    buf_put_str(&bytes, "Content-Type: message/global-delivery-status\n\n");
    buf_put(&bytes, view_of(data, size));
    read_all(buf_view(&bytes));
    buf_clear(&bytes);
    buf_put_str(&bytes, "Content-Type: message/disposition-notification\n\n");
    buf_put(&bytes, view_of(data, size));
    read_all(buf_view(&bytes));
    buf_fini(&bytes);
    return 0;
}
