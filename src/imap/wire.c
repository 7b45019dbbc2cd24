/* Reading commands from a stream and writing responses to it. */
#include "imap/wire.h"

#include <string.h>

#define REFUSED_SHOWN ((size_t)512) /* octets kept of a refused command: its tag and name */

/* ---- out ---- */

void imap_out_init(struct imap_out *out, struct stream *stream) {
    *out = (struct imap_out){.stream = stream};
    buf_init(&out->buf, IMAP_OUT_MAX);
}

void imap_out_fini(struct imap_out *out) {
    buf_fini(&out->buf);
}

static void write_pieces(struct imap_out *out, struct view v) {
    while (v.n > 0 && out->err == ERR_OK) {
        struct view piece = view_sub(v, 0, IMAP_OUT_PIECE);
        out->err = stream_write(out->stream, piece, loop_now_us(out->stream->loop) + IMAP_WRITE_TIMEOUT_US);
        v = view_skip(v, piece.n);
    }
}

void imap_out_flush(struct imap_out *out) {
    /* A response that did not fit is cut; nothing behind it could be understood. */
    if (out->err == ERR_OK && buf_err(&out->buf) != ERR_OK)
        out->err = buf_err(&out->buf);
    write_pieces(out, buf_view(&out->buf));
    buf_clear(&out->buf);
}

bool imap_out_breathe(struct imap_out *out) {
    if (out->buf.n >= IMAP_OUT_PIECE / 2 || buf_err(&out->buf) != ERR_OK)
        imap_out_flush(out);
    return out->err == ERR_OK;
}

void imap_out_octets(struct imap_out *out, struct view v) {
    if (v.n > IMAP_OUT_PIECE) {
        imap_out_flush(out);
        write_pieces(out, v);
        return;
    }
    buf_put(&out->buf, v);
    (void)imap_out_breathe(out);
}

/* ---- in ---- */

enum err imap_wire_init(struct imap_wire *wire, struct imap_out *out, struct view unread,
                        enum imap_literal_action (*literal)(void *, struct view, uint64_t), void *ctx) {
    *wire = (struct imap_wire){.out = out, .literal = literal, .ctx = ctx};
    input_init(&wire->input, out->stream, IMAP_INPUT_MAX);
    buf_init_secret(&wire->command, IMAP_INPUT_MAX);
    /* Passwords pass through here. */
    wire->input.buf.secret = true;
    imap_scan_init(&wire->scan);
    enum err err = input_unread(&wire->input, unread);
    if (err != ERR_OK)
        imap_wire_fini(wire);
    return err;
}

void imap_wire_fini(struct imap_wire *wire) {
    input_fini(&wire->input);
    buf_fini(&wire->command);
}

int64_t imap_deadline(const struct imap_wire *wire, int64_t timeout_us) {
    return loop_now_us(wire->out->stream->loop) + timeout_us;
}

struct view imap_wire_unread(const struct imap_wire *wire) {
    return input_pending(&wire->input);
}

void imap_wire_rescan(struct imap_wire *wire) {
    imap_scan_init(&wire->scan);
}

/* Takes n pending octets, and gives the first `shown` of them as the current command. */
static enum err take(struct imap_wire *wire, size_t n, size_t shown, struct view *command) {
    buf_clear(&wire->command);
    buf_put(&wire->command, view_sub(input_pending(&wire->input), 0, MIN(n, shown)));
    input_consume(&wire->input, n);
    wire->continued = 0;
    imap_scan_init(&wire->scan);
    *command = buf_view(&wire->command);
    return buf_err(&wire->command);
}

static void ask_for_literal(struct imap_wire *wire) {
    buf_put(&wire->out->buf, VIEW("+ go on\r\n"));
}

/* A literal that is announced: true when the command goes on being read. */
static bool accept_literal(struct imap_wire *wire, enum imap_line_kind *kind) {
    struct imap_scan *scan = &wire->scan;
    struct view so_far = view_sub(input_pending(&wire->input), 0, scan->at);
    enum imap_literal_action action =
        wire->literal == NULL ? IMAP_LITERAL_ACCEPT : wire->literal(wire->ctx, so_far, scan->literal_size);
    if (action == IMAP_LITERAL_ACCEPT && imap_scan_accept(scan)) {
        /* After a hand-over or a restored session the same octets are seen twice, but are asked for once. */
        if (scan->literal_is_sync && scan->at > wire->continued) {
            wire->continued = scan->at;
            ask_for_literal(wire);
        }
        return true;
    }
    *kind = action == IMAP_LITERAL_STREAM ? IMAP_LINE_STREAM : IMAP_LINE_REFUSED;
    return false;
}

enum err imap_wire_read(struct imap_wire *wire, int64_t deadline_us, struct view *command, enum imap_line_kind *kind) {
    for (;;) {
        struct imap_scan *scan = &wire->scan;
        size_t start;
        switch (imap_scan_next(scan, input_pending(&wire->input))) {
        case IMAP_SCAN_COMMAND:
            *kind = IMAP_LINE_COMMAND;
            return take(wire, scan->at, scan->at, command);
        case IMAP_SCAN_LITERAL:
            if (accept_literal(wire, kind))
                continue;
            if (*kind == IMAP_LINE_STREAM)
                return take(wire, scan->at, scan->at, command);
            uint64_t size = scan->literal_is_sync ? 0 : scan->literal_size;
            bool is_over = scan->literal_is_sync;
            TRY(take(wire, scan->at, REFUSED_SHOWN, command));
            /* RFC7888-4: a non-synchronizing literal comes whether we want it or not */
            return is_over ? ERR_OK : imap_wire_skip(wire, size, deadline_us);
        case IMAP_SCAN_TOO_LONG:
            *kind = IMAP_LINE_TOO_LONG;
            start = scan->line_from;
            buf_clear(&wire->command);
            buf_put(&wire->command, view_sub(input_pending(&wire->input), 0, REFUSED_SHOWN));
            *command = buf_view(&wire->command);
            input_consume(&wire->input, start);
            return imap_wire_skip(wire, 0, deadline_us);
        case IMAP_SCAN_MORE:
            break;
        }
        imap_out_flush(wire->out);
        if (wire->out->err != ERR_OK)
            return wire->out->err;
        TRY(input_fill(&wire->input, deadline_us));
    }
}

void imap_wire_go_on(struct imap_wire *wire, bool is_sync) {
    if (is_sync)
        ask_for_literal(wire);
}

enum err imap_wire_piece(struct imap_wire *wire, uint64_t left, int64_t deadline_us, struct view *piece) {
    while (input_pending(&wire->input).n == 0) {
        imap_out_flush(wire->out);
        if (wire->out->err != ERR_OK)
            return wire->out->err;
        enum err err = input_fill(&wire->input, deadline_us);
        if (err != ERR_OK && err != ERR_AGAIN) /* a notification can wait */
            return err;
    }
    struct view pending = input_pending(&wire->input);
    *piece = view_sub(pending, 0, (size_t)MIN(left, (uint64_t)pending.n));
    return ERR_OK;
}

void imap_wire_taken(struct imap_wire *wire, size_t n) {
    input_consume(&wire->input, n);
    imap_scan_init(&wire->scan);
}

/* The end of a line that is being dropped, long enough to see a literal announced: "{18446744073709551615+}". */
struct line_end {
    uint8_t p[40];
    size_t n;
};

static void keep_end(struct line_end *end, struct view v) {
    v = view_skip(v, v.n - MIN(v.n, sizeof(end->p)));
    size_t keep = MIN(end->n, sizeof(end->p) - v.n);
    memmove(end->p, end->p + (end->n - keep), keep);
    if (v.n > 0)
        memcpy(end->p + keep, v.p, v.n);
    end->n = keep + v.n;
}

enum err imap_wire_skip(struct imap_wire *wire, uint64_t literal, int64_t deadline_us) {
    struct line_end end = {.n = 0};
    uint64_t budget = IMAP_SKIP_MAX;
    for (;;) {
        if (literal > budget)
            return ERR_LIMIT;
        struct view piece;
        TRY(imap_wire_piece(wire, literal > 0 ? literal : budget, deadline_us, &piece));
        if (budget == 0)
            return ERR_LIMIT;
        if (literal > 0) {
            literal -= piece.n;
            budget -= piece.n;
            imap_wire_taken(wire, piece.n);
            continue;
        }
        ssize_t lf = view_find_byte(piece, '\n');
        size_t n = lf < 0 ? piece.n : (size_t)lf + 1;
        keep_end(&end, view_sub(piece, 0, lf < 0 ? n : n - 1));
        budget -= n;
        imap_wire_taken(wire, n);
        if (lf < 0)
            continue;
        struct view line = view_of(end.p, end.n);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        bool is_sync;
        if (!imap_scan_announces(line, &literal, &is_sync) || is_sync) {
            wire->continued = 0;
            imap_scan_init(&wire->scan);
            return ERR_OK;
        }
        end.n = 0;
    }
}
