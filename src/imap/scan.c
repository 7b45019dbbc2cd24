/* Finding the end of a command: lines and literals. */
#include "imap/scan.h"

void imap_scan_init(struct imap_scan *scan) {
    *scan = (struct imap_scan){0};
}

bool imap_scan_announces(struct view line, uint64_t *size, bool *is_sync) {
    if (line.n < 3 || line.p[line.n - 1] != '}')
        return false;
    size_t end = line.n - 1;
    bool sync = true;
    /* RFC7888-3: "{" number "+}" is a literal that the client sends without waiting */
    if (line.p[end - 1] == '+') {
        sync = false;
        end--;
    }
    size_t from = end;
    while (from > 0 && ascii_is_digit(line.p[from - 1]))
        from--;
    if (from == end || from == 0 || line.p[from - 1] != '{')
        return false;
    uint64_t n;
    /* RFC3501-9: number is 32 bits; a larger one is still a literal, one that is over every limit. */
    if (view_to_u64(view_sub(line, from, end - from), UINT64_MAX, &n) != ERR_OK)
        n = UINT64_MAX;
    *size = n;
    *is_sync = sync;
    return true;
}

enum imap_scan_event imap_scan_next(struct imap_scan *scan, struct view pending) {
    if (scan->literal_left > 0) {
        size_t here = (size_t)MIN(scan->literal_left, (uint64_t)(pending.n - scan->at));
        scan->at += here;
        scan->literal_left -= here;
        scan->line_from = scan->at;
        if (scan->literal_left > 0)
            return IMAP_SCAN_MORE;
    }
    ssize_t lf = view_find_byte(view_skip(pending, scan->at), '\n');
    if (lf < 0) {
        scan->at = pending.n;
        return pending.n > IMAP_LINE_MAX ? IMAP_SCAN_TOO_LONG : IMAP_SCAN_MORE;
    }
    size_t end = scan->at + (size_t)lf;
    if (end + 1 > IMAP_LINE_MAX)
        return IMAP_SCAN_TOO_LONG;
    struct view line = view_sub(pending, scan->line_from, end - scan->line_from);
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    scan->at = end + 1;
    if (imap_scan_announces(line, &scan->literal_size, &scan->literal_is_sync))
        return IMAP_SCAN_LITERAL;
    return IMAP_SCAN_COMMAND;
}

bool imap_scan_accept(struct imap_scan *scan) {
    if (scan->literal_size > IMAP_LINE_MAX - MIN(scan->at, IMAP_LINE_MAX))
        return false;
    scan->literal_left = scan->literal_size;
    scan->line_from = scan->at;
    return true;
}
