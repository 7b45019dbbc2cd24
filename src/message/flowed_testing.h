/* For tests and fuzzing: what a text is after it was written and read as format=flowed. */
#ifndef MESSAGE_FLOWED_TESTING_H
#define MESSAGE_FLOWED_TESTING_H

#include "message/flowed.h"

/* The text with LF line ends, no trailing spaces but those of "-- ", one space behind quote marks. */
static inline void flowed_put_normal(struct buf *out, struct view text) {
    size_t at = 0;
    while (at < text.n) {
        size_t end = at;
        while (end < text.n && text.p[end] != '\r' && text.p[end] != '\n')
            end++;
        struct view line = view_sub(text, at, end - at);
        size_t depth = 0;
        while (depth < line.n && line.p[depth] == '>')
            depth++;
        struct view content = view_skip(line, depth);
        if (depth > 0 && view_starts(content, VIEW(" ")))
            content = view_skip(content, 1);
        if (!view_eq(content, VIEW("-- ")))
            while (content.n > 0 && content.p[content.n - 1] == ' ')
                content.n--;
        buf_put(out, view_sub(line, 0, depth));
        if (depth > 0 && content.n > 0)
            buf_put_byte(out, ' ');
        buf_put(out, content);
        buf_put_byte(out, '\n');
        at = end + (view_starts(view_skip(text, end), VIEW("\r\n")) ? 2 : 1);
    }
}

#endif
