/*
 * The plain text of HTML, as a person would read it; tolerant like a browser.
 *
 * Hidden text: what comments, scripts, styles, templates, titles, and elements with
 * the hidden attribute hold is never text. Elements hidden by their own style
 * (display: none, visibility: hidden, opacity: 0, max-height: 0) are left out of
 * HTML_READ only: senders put the line meant for previews there, every reader
 * of mail shows it in lists, and who saw it there wants to find it. A font size of
 * zero hides nothing: layouts set it around text that has its own size.
 */
#ifndef MESSAGE_HTML_H
#define MESSAGE_HTML_H

#include "base/buf.h"

enum html_purpose {
    HTML_PREVIEW, /* text only, without quotes */
    HTML_READ,    /* lists, quotes, links ("text <url>"), tables as lines, images by their alt text */
    HTML_INDEX,   /* text, alt and title texts */
};

/* Elements inside each other that are kept track of; inside deeper ones no style and no quote is seen. */
#define HTML_DEPTH_MAX 200
/* Quote marks and list levels shown in front of a line; a bound to how much longer than its HTML a text can get. */
#define HTML_PREFIX_MAX 12
/* Octets of a link that are shown; a longer one is left out. */
#define HTML_LINK_MAX 2048
/* Empty lines that are shown in a row, outside preformatted text. */
#define HTML_BLANK_MAX 2

/* UTF-8 in and out. No tags, comments, styles, scripts, hidden elements; all named and numbered characters of HTML decoded;
 * linear time, constant depth. Lines end with LF; there is none at the end. */
void html_put_text(struct buf *out, struct view html, enum html_purpose purpose);
/* The octets that may name a document's charset, as the standard has it. */
#define HTML_CHARSET_OCTETS 1024
/* The charset that the document itself names (<meta charset>, byte order mark), from its first octets; empty: none. */
struct view html_charset(struct view octets);

#endif
