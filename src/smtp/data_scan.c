/* The scanner of DATA's text. */
#include "smtp/data_scan.h"

#include <string.h>

enum state {
    LINE_START, /* at the beginning, or after CRLF */
    DOT,        /* a dot was the first octet of the line; it is not text */
    DOT_CR,     /* ... and a CR came after it: the end, or a bare CR */
    TEXT,       /* inside a line */
    CR          /* a CR of the text was passed on; LF ends the line */
};

/* The octets that the loop over text stops at. */
static bool is_special(uint8_t c) {
    return c == '\r' || c == '\n' || c == 0;
}

static void end_line(struct data_scan *scan) {
    scan->line_max = MAX(scan->line_max, scan->line);
    scan->line = 0;
}

/* One octet of text; returns the next state. */
static uint8_t text(struct data_scan *scan, uint8_t c) {
    if (c == '\r')
        return CR;
    if (c == '\n')
        scan->has_bare_lf = true;
    else if (c == 0)
        scan->has_nul = true;
    scan->has_eightbit |= c >= 0x80;
    scan->line++;
    return TEXT;
}

#define EACH_OCTET(octet) (UINT64_C(0x0101010101010101) * (octet))

/* Not 0 if one of the eight octets is 0. */
static uint64_t has_zero(uint64_t octets) {
    return (octets - EACH_OCTET(1)) & ~octets & EACH_OCTET(0x80);
}

/* The run of ordinary octets at the front of v: eight at a time, since nearly every octet of a message is one. */
static size_t plain_run(struct data_scan *scan, struct view v) {
    size_t n = 0;
    uint64_t all = 0;
    while (v.n - n >= sizeof(uint64_t)) {
        uint64_t octets;
        memcpy(&octets, v.p + n, sizeof(octets));
        if (has_zero(octets) | has_zero(octets ^ EACH_OCTET('\r')) | has_zero(octets ^ EACH_OCTET('\n')))
            break;
        all |= octets;
        n += sizeof(octets);
    }
    while (n < v.n && !is_special(v.p[n]))
        all |= v.p[n++];
    scan->has_eightbit |= (all & EACH_OCTET(0x80)) != 0;
    scan->line += n;
    return n;
}

void data_scan_next(struct data_scan *scan, struct view in, size_t *used, struct view *piece) {
    size_t from = 0; /* where the piece starts */
    for (size_t i = 0; i < in.n && !scan->ended; i++) {
        uint8_t c = in.p[i];
        switch ((enum state)scan->state) {
        case LINE_START:
            if (c == '.') {
                /* RFC5321-4.5.2: the first dot of a line is never text. It ends the piece. */
                scan->state = DOT;
                *piece = view_sub(in, from, i - from);
                *used = i + 1;
                return;
            }
            scan->state = text(scan, c);
            break;
        case DOT:
            from = i;
            if (c == '\r') {
                /* Held back: it belongs to the end, or is a bare CR. */
                scan->state = DOT_CR;
                from = i + 1;
                break;
            }
            scan->state = text(scan, c);
            break;
        case DOT_CR:
            if (c == '\n') {
                scan->ended = true;
                *piece = VIEW_NONE;
                *used = i + 1;
                return;
            }
            /* RFC5321-2.3.8: a bare CR after the dot. It is given out now; c is looked at again after it. */
            scan->has_bare_cr = true;
            scan->line++;
            scan->state = TEXT;
            *piece = VIEW("\r");
            *used = i;
            return;
        case TEXT: {
            size_t run = plain_run(scan, view_skip(in, i));
            if (run > 0) {
                i += run - 1;
                break;
            }
            scan->state = text(scan, c);
            break;
        }
        case CR:
            if (c == '\n') {
                end_line(scan);
                scan->state = LINE_START;
                break;
            }
            scan->has_bare_cr = true;
            scan->line++;
            scan->state = text(scan, c);
            break;
        }
    }
    *piece = view_sub(in, from, in.n - from);
    *used = in.n;
    scan->line_max = MAX(scan->line_max, scan->line);
}

void data_scan_octets(struct data_scan *scan, struct view in) {
    for (size_t i = 0; i < in.n;) {
        bool was_cr = scan->state == CR;
        size_t run = was_cr ? 0 : plain_run(scan, view_skip(in, i));
        if (run > 0) {
            scan->state = TEXT;
            i += run;
            continue;
        }
        uint8_t c = in.p[i++];
        if (was_cr && c == '\n') {
            end_line(scan);
            scan->state = LINE_START;
            continue;
        }
        if (was_cr) {
            scan->has_bare_cr = true;
            scan->line++;
        }
        scan->state = text(scan, c);
    }
    scan->line_max = MAX(scan->line_max, scan->line);
}

void data_scan_end(struct data_scan *scan) {
    if (scan->state == CR)
        scan->has_bare_cr = true;
}
