/* No octets of a peer make a log line more than one line, or anything but printable UTF-8, or a false field. */
#include "base/log.h"
#include "base/utf8.h"

struct checking_sink {
    struct log_sink sink;
    unsigned lines;
};

static void check(struct log_sink *sink, enum log_level level, struct view line) {
    (void)level;
    ((struct checking_sink *)sink)->lines++;
    BUG_IF(!utf8_is_valid(line));
    unsigned quotes = 0;
    for (size_t i = 0; i < line.n; i++) {
        BUG_IF(line.p[i] < 0x20 || line.p[i] == 0x7f);
        quotes += line.p[i] == '"';
    }
    /* The value's own quotes are escaped: only the pair around it, in the context and in the event, is left. */
    BUG_IF(quotes != 0 && quotes != 2 && quotes != 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    struct checking_sink sink = {{check, LOG_DEBUG}, 0};
    struct virtual_clock clock;
    struct log log, child;
    virtual_clock_init(&clock, 0);
    log_init(&log, &sink.sink, &clock.clock);
    log_child(&child, &log, LF_VIEW("peer", in));
    log_event(&child, LOG_INFO, "fuzz", LF_VIEW("value", in));
    BUG_IF(sink.lines != 1);

    struct buf out;
    buf_init(&out, size * 4 + 3);
    buf_put_escaped(&out, in, size);
    BUG_IF(buf_err(&out) != ERR_OK);
    buf_clear(&out);
    buf_put_escaped(&out, in, size / 2);
    BUG_IF(buf_err(&out) != ERR_OK);
    BUG_IF(!utf8_is_valid(buf_view(&out)));
    buf_fini(&out);
    return 0;
}
