/*
 * Structured log: one line an event, `time level event role=... key=value ...`.
 * Values from a peer are escaped: printable ASCII and valid UTF-8 pass; quotes,
 * control characters and invalid octets become \xNN; long values are cut.
 * Fields are inherited: a connection's log has its address, a transaction's its
 * id. Logging never blocks and never fails its caller: what cannot be written
 * is counted and said later ("log.lost").
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/clock.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Where lines go. The line has no newline; it is valid during the call only. */
struct log_sink {
    void (*write)(struct log_sink *sink, enum log_level level, struct view line);
    enum log_level least; /* lines below are not formatted */
};

#define LOG_CONTEXT_MAX 512 /* octets of inherited fields, cut beyond */
struct log {
    struct log_sink *sink;
    struct clock *clock;
    size_t n;
    char context[LOG_CONTEXT_MAX]; /* " role=edge conn=12 ..." already escaped */
};

enum log_field_kind { LOG_FIELD_END, LOG_FIELD_VIEW, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_ERR, LOG_FIELD_TEXT };
struct log_field {
    const char *key; /* our own constant */
    enum log_field_kind kind;
    union {
        struct view view;
        uint64_t u64;
        int64_t i64;
        const char *text;
    };
};
#define LF_VIEW(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_VIEW, .view = (v)})
#define LF_U64(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_U64, .u64 = (uint64_t)(v)})
#define LF_I64(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_I64, .i64 = (int64_t)(v)})
#define LF_ERR(v) ((struct log_field){.key = "err", .kind = LOG_FIELD_TEXT, .text = err_name(v)})
#define LF_TEXT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_TEXT, .text = (v)})

void log_init(struct log *log, struct log_sink *sink, struct clock *clock);
/* A child context: the parent's fields plus one. */
void log_child(struct log *child, const struct log *parent, struct log_field field);
void log_event_fields(const struct log *log, enum log_level level, const char *event, const struct log_field *fields,
                      size_t n);
/* log_event(&log, LOG_INFO, "smtp.mail", LF_VIEW("from", from), LF_U64("size", n)); at least one field */
#define log_event(log, level, event, ...)                                              \
    log_event_fields((log), (level), (event), (const struct log_field[]){__VA_ARGS__}, \
                     sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define log_plain(log, level, event) log_event_fields((log), (level), (event), NULL, 0)

/* Writes to a file descriptor (stderr) without blocking; partial lines never occur, lost ones are counted. */
struct log_sink_fd {
    struct log_sink sink;
    int fd;
    uint64_t lost;
};
void log_sink_fd_init(struct log_sink_fd *sink, int fd, enum log_level least);
/* Throws everything away. */
struct log_sink *log_sink_null(void);

/* The escaping used for values, for other texts that show a peer's bytes to people. */
void buf_put_escaped(struct buf *buf, struct view v, size_t max_octets);

#endif
