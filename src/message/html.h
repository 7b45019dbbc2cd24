/* The plain text of HTML, as a person would read it; tolerant like a browser. */
#ifndef MESSAGE_HTML_H
#define MESSAGE_HTML_H

#include "base/buf.h"

enum html_purpose {
    HTML_PREVIEW, /* text only */
    HTML_READ,    /* lists, quotes, links ("text <url>"), tables as lines, images by their alt text */
    HTML_INDEX,   /* text, alt and title texts */
};

/* UTF-8 in and out. No tags, comments, styles, scripts, hidden elements; all named and numbered characters of HTML decoded;
 * linear time, constant depth. */
void html_put_text(struct buf *out, struct view html, enum html_purpose purpose);
/* The charset that the document itself names (<meta charset>, byte order mark), from its first 1024 octets; empty: none. */
struct view html_charset(struct view octets);

#endif
