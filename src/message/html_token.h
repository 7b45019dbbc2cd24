/*
 * HTML cut into text and tags, after the tokenization rules of the HTML
 * standard: comments right and wrong, elements of raw text, attributes in any
 * quoting, character references. Private to html.c. Views point into the document.
 */
#ifndef MESSAGE_HTML_TOKEN_H
#define MESSAGE_HTML_TOKEN_H

#include "base/buf.h"

/* Elements that mean something to text; all others are HTML_OTHER. In the order of their names. */
/* It lays these lines out anew each time. */
/* clang-format off */
#define HTML_TAGS(T)                                                                                                 \
    T(a)                                                                                                             \
    T(address)                                                                                                       \
    T(area)                                                                                                          \
    T(article) T(aside) T(audio) T(base) T(basefont) T(bgsound) T(blockquote) T(body) T(br) T(button) T(caption)     \
        T(center) T(col) T(colgroup) T(dd) T(details) T(dialog) T(dir) T(div) T(dl) T(dt) T(embed) T(fieldset)       \
            T(figcaption) T(figure) T(footer) T(form) T(frame) T(h1) T(h2) T(h3) T(h4) T(h5) T(h6) T(head) T(header) \
                T(hr) T(html) T(iframe) T(img) T(input) T(keygen) T(legend) T(li) T(link) T(listing) T(main) T(menu) \
                    T(meta) T(nav) T(noembed) T(noframes) T(ol) T(option) T(p) T(param) T(plaintext) T(pre) T(q)     \
                        T(script) T(section) T(select) T(source) T(style) T(summary) T(table) T(tbody) T(td)         \
                            T(template) T(textarea) T(tfoot) T(th) T(thead) T(title) T(tr) T(track) T(ul) T(video)   \
                                T(wbr) T(xmp)
/* clang-format on */

enum html_tag {
#define T(name) HTML_##name,
    HTML_TAGS(T)
#undef T
        HTML_OTHER,
};
#define HTML_TAG_COUNT HTML_OTHER

enum html_attribute {
    HTML_ATTRIBUTE_ALT,
    HTML_ATTRIBUTE_CHARSET,
    HTML_ATTRIBUTE_CONTENT,
    HTML_ATTRIBUTE_HIDDEN,
    HTML_ATTRIBUTE_HREF,
    HTML_ATTRIBUTE_START,
    HTML_ATTRIBUTE_STYLE,
    HTML_ATTRIBUTE_TITLE,
    HTML_ATTRIBUTE_COUNT
};

enum html_kind { HTML_TEXT, HTML_START, HTML_END };

struct html_token {
    enum html_kind kind;
    struct view text; /* of HTML_TEXT: character references are still in it, unless is_raw */
    bool is_raw;
    enum html_tag tag;
    uint32_t hash; /* of the name without case, to tell other elements apart */
    /* The first attribute of each name, character references still in it; p == NULL: not there. */
    struct view attributes[HTML_ATTRIBUTE_COUNT];
};

struct html_tokens {
    struct view in;
    size_t at;
    enum html_tag raw; /* the element whose text is read next; HTML_OTHER: none */
};

void html_tokens_init(struct html_tokens *tokens, struct view html);
/* False at the end. A tag that the document's end cuts is dropped, as browsers do. */
bool html_tokens_next(struct html_tokens *tokens, struct html_token *out);

/* The character reference after an "&": its one or two characters (cp[1] is 0 when one) and how many octets it takes, or 0
 * when it is none and the "&" is text. */
size_t html_reference(struct view text, bool in_attribute, uint32_t cp[2]);
/* The same for names alone; in html_entities.c. */
size_t html_named_reference(struct view text, bool in_attribute, uint32_t cp[2]);

#endif
