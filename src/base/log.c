/*
 * The log: lines "TIME LEVEL EVENT inherited fields, own fields". A value that
 * would read as more than one word, or as nothing, stands in quotes.
 */
#include "base/log.h"

#include "base/utf8.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* With its newline a line is one write that a pipe takes whole or not at all. */
#define LOG_LINE_MAX (PIPE_BUF - 1)
#define LOG_VALUE_MAX 256        /* octets of one value before escaping: enough for any address, too little to flood */
#define LOG_CUT "..."            /* after a value that was longer */
#define LOG_TRIMMED " trimmed=1" /* at the end of a line that had no room for all its fields */

static const char *level_name(enum log_level level) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return (unsigned)level < ARRAY_LEN(names) ? names[level] : "error";
}

/* Characters that change what a terminal or an editor shows: C1 controls, line separators, directions, tags. */
static bool is_deceptive(uint32_t cp) {
    return (cp >= 0x80 && cp <= 0x9f) || cp == 0xad || cp == 0x61c || (cp >= 0x200b && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff ||
           (cp >= 0xfff9 && cp <= 0xfffb) || (cp >= 0xe0000 && cp <= 0xe0fff);
}

void buf_put_escaped(struct buf *buf, struct view v, size_t max_octets) {
    bool is_cut = v.n > max_octets;
    static const char digits[] = "0123456789abcdef";
    if (is_cut)
        v = utf8_truncate(v, max_octets);
    while (v.n > 0) {
        uint32_t cp;
        size_t n = utf8_decode(v, &cp);
        bool passes =
            n > 1 ? !is_deceptive(cp) : n == 1 && cp >= 0x20 && cp < 0x7f && cp != '"' && cp != '\'' && cp != '\\';
        n = MAX(n, 1);
        for (size_t i = 0; i < n; i++) {
            uint8_t c = v.p[i];
            if (passes) {
                buf_put_byte(buf, c);
            } else {
                const uint8_t escape[4] = {'\\', 'x', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
                buf_put(buf, view_of(escape, sizeof(escape)));
            }
        }
        v = view_skip(v, n);
    }
    if (is_cut)
        buf_put_str(buf, LOG_CUT);
}

static bool wants_quotes(struct view v) {
    return v.n == 0 || view_find_byte(v, ' ') >= 0 || view_find_byte(v, '=') >= 0;
}

static void put_value(struct buf *buf, struct view v) {
    bool quoted = wants_quotes(v);
    if (quoted)
        buf_put_byte(buf, '"');
    buf_put_escaped(buf, v, LOG_VALUE_MAX);
    if (quoted)
        buf_put_byte(buf, '"');
}

/* " key=value"; false, and buf as it was, when there is no room for all of it. */
static bool put_field(struct buf *buf, const struct log_field *field) {
    size_t before = buf->n;
    buf_put_byte(buf, ' ');
    buf_put_str(buf, field->key);
    buf_put_byte(buf, '=');
    switch (field->kind) {
    case LOG_FIELD_END:
        buf->n = before;
        break;
    case LOG_FIELD_VIEW:
        put_value(buf, field->view);
        break;
    case LOG_FIELD_U64:
        buf_put_u64(buf, field->u64);
        break;
    case LOG_FIELD_I64:
        buf_put_i64(buf, field->i64);
        break;
    case LOG_FIELD_ERR:
        buf_put_str(buf, err_name((enum err)field->u64));
        break;
    case LOG_FIELD_TEXT:
        put_value(buf, view_cstr(field->text));
        break;
    }
    if (buf->err == ERR_OK)
        return true;
    buf->n = before;
    buf->err = ERR_OK;
    return false;
}

/* A builder over the caller's memory: logging must work when there is no memory left. It is not given to buf_fini(). */
static struct buf buf_over(uint8_t *p, size_t cap) {
    return (struct buf){.p = p, .cap = cap, .limit = cap};
}

void log_init(struct log *log, struct log_sink *sink, struct clock *clock) {
    *log = (struct log){.sink = sink, .clock = clock};
}

void log_child(struct log *child, const struct log *parent, struct log_field field) {
    *child = *parent;
    struct buf buf = buf_over((uint8_t *)child->context, sizeof(child->context));
    buf.n = child->n;
    (void)put_field(&buf, &field);
    child->n = buf.n;
}

void log_event_fields(const struct log *log, enum log_level level, const char *event, const struct log_field *fields,
                      size_t n) {
    if (log->sink == NULL || level < log->sink->least)
        return;
    uint8_t line[LOG_LINE_MAX];
    struct buf buf = buf_over(line, sizeof(line) - (sizeof(LOG_TRIMMED) - 1));
    /* Not buf_put_rfc3339 into the heap: room is here already, so none is asked for. */
    buf_put_rfc3339(&buf, log->clock->wall_us(log->clock));
    buf_put_byte(&buf, ' ');
    buf_put_str(&buf, level_name(level));
    buf_put_byte(&buf, ' ');
    buf_put_str(&buf, event);
    buf_put(&buf, view_of(log->context, log->n));
    bool trimmed = buf.err != ERR_OK;
    buf.err = ERR_OK;
    for (size_t i = 0; i < n && fields[i].kind != LOG_FIELD_END; i++)
        trimmed |= !put_field(&buf, &fields[i]);
    buf.limit = sizeof(line);
    buf.cap = sizeof(line);
    if (trimmed)
        buf_put_str(&buf, LOG_TRIMMED);
    log->sink->write(log->sink, level, buf_view(&buf));
}

/* One write of the line and its newline, if the descriptor takes it now. */
static bool write_line(int fd, struct view line) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    /* A pipe that polls writable has room for PIPE_BUF octets, so this does not block even when the descriptor does;
     * O_NONBLOCK is not set because the descriptor is shared with other programs. */
    if (poll(&poll_fd, 1, 0) != 1 || (poll_fd.revents & POLLOUT) == 0)
        return false;
    struct iovec parts[2] = {{(void *)(uintptr_t)line.p, line.n}, {(void *)(uintptr_t) "\n", 1}};
    ssize_t written;
    do
        written = writev(fd, parts, 2);
    while (written < 0 && errno == EINTR);
    return written == (ssize_t)line.n + 1;
}

static void fd_write(struct log_sink *sink, enum log_level level, struct view line) {
    struct log_sink_fd *to = (struct log_sink_fd *)sink;
    (void)level;
    if (line.n > LOG_LINE_MAX)
        line.n = LOG_LINE_MAX;
    if (to->lost > 0) {
        /* The time of the loss's end is that of the line that gets through again. */
        uint8_t text[128];
        struct buf buf = buf_over(text, sizeof(text));
        ssize_t space = view_find_byte(line, ' ');
        buf_put(&buf, view_sub(line, 0, space < 0 ? 0 : (size_t)space));
        buf_put_str(&buf, " warn log.lost count=");
        buf_put_u64(&buf, to->lost);
        if (buf.err == ERR_OK && write_line(to->fd, buf_view(&buf)))
            to->lost = 0;
    }
    if (to->lost > 0 || !write_line(to->fd, line))
        to->lost++;
}

void log_sink_fd_init(struct log_sink_fd *sink, int fd, enum log_level least) {
    *sink = (struct log_sink_fd){{fd_write, least}, fd, 0};
}

static void null_write(struct log_sink *sink, enum log_level level, struct view line) {
    (void)sink;
    (void)level;
    (void)line;
}

struct log_sink *log_sink_null(void) {
    static const struct log_sink sink = {null_write, LOG_ERROR + 1};
    return (struct log_sink *)&sink;
}
