/* Fuzz target: dates. What is read is written in the standard form and reads back equal. */
#include "message/date.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct message_date date, again;
    if (message_date_parse(view_of(data, size), &date) != ERR_OK)
        return 0;
    if (date.local.zone_minutes <= -24 * 60 || date.local.zone_minutes >= 24 * 60 || date.local.year > 9999)
        abort();
    /* The standard form has four digits; fewer are read as a shortened year, more are no date. In UTC, as written. */
    struct date utc = date_from_unix(date.unix_s, 0);
    if (utc.year < 1000 || utc.year > 9999)
        return 0;
    struct buf buf;
    buf_init(&buf, 100);
    buf_put_rfc5322_date(&buf, date.unix_s * US_PER_S);
    if (message_date_parse(buf_view(&buf), &again) != ERR_OK || again.unix_s != date.unix_s)
        abort();
    buf_fini(&buf);
    return 0;
}
