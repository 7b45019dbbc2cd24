/* The builder's look over all contents: which encoding each part gets, and boundaries that occur in none of them. */
#include "message/builder_tree.h"

#include <stdio.h>
#include <string.h>

/* -- Contents in windows ----------------------------------------------------------------------------------- */

struct builder_part *builder_part_next(struct builder_part *part, const struct builder_part *root) {
    if (part->first_child != NULL)
        return part->first_child;
    for (; part != NULL && part != root; part = part->parent)
        if (part->next != NULL)
            return part->next;
    return NULL;
}

enum err builder_content(struct builder_part *part, enum err (*take)(void *arg, struct view octets), void *arg) {
    struct encode_lines lines = {false};
    struct buf window, text;
    buf_init(&window, MESSAGE_WINDOW);
    buf_init(&text, 2 * MESSAGE_WINDOW);
    enum err err = ERR_OK;
    for (uint64_t offset = 0; err == ERR_OK;) {
        size_t got = 0;
        buf_clear(&window);
        buf_clear(&text);
        uint8_t *p = buf_room(&window, MESSAGE_WINDOW);
        err = p == NULL ? buf_err(&window) : part->source->read(part->source, offset, p, MESSAGE_WINDOW, &got);
        if (err != ERR_OK || got == 0)
            break;
        buf_added(&window, got);
        offset += got;
        if (part->kind == BUILDER_TEXT) {
            encode_lines_put(&lines, buf_view(&window), &text);
            err = buf_err(&text) != ERR_OK ? buf_err(&text) : take(arg, buf_view(&text));
        } else {
            err = take(arg, buf_view(&window));
        }
    }
    buf_fini(&window);
    buf_fini(&text);
    return err;
}

/* -- One part ---------------------------------------------------------------------------------------------- */

static enum err take_scan(void *arg, struct view octets) {
    encode_scan_put(arg, octets);
    return ERR_OK;
}

static bool is_nested_message(const struct builder_part *part) {
    return part->kind == BUILDER_MESSAGE || view_eq_nocase(part->type, VIEW("message/rfc822"));
}

/* Types that RFC 2046 and its relatives leave without an encoding of their own. */
static bool is_identity_only(const struct builder_part *part) {
    return view_eq_nocase(part->type, VIEW("message/partial")) ||
           view_eq_nocase(part->type, VIEW("message/external-body"));
}

static enum err choose(struct builder *b, struct builder_part *part, bool is_root) {
    const struct encode_scan *scan = &part->scan;
    struct encode_limits limits = {b->options.allow_8bit, b->options.allow_binary, part->is_signed};
    enum mime_encoding identity = encode_scan_identity(scan);
    enum mime_encoding chosen = encode_scan_choose(scan, &limits);
    /* What is last in a message gets a line end on its way, if it has none. */
    bool gets_line_end = is_root && part->kind == BUILDER_OCTETS && !scan->ends_line;
    if (part->kind == BUILDER_ENTITY) {
        /* It was signed as it is: what may not travel so cannot travel at all. */
        if (identity != MIME_ENCODING_7BIT && identity != chosen)
            return ERR_SYNTAX;
        part->encoding = identity;
        return ERR_OK;
    }
    if (gets_line_end && chosen != MIME_ENCODING_BASE64 && chosen != MIME_ENCODING_QUOTED_PRINTABLE)
        chosen =
            scan->qp_size <= encode_base64_size(scan->size) ? MIME_ENCODING_QUOTED_PRINTABLE : MIME_ENCODING_BASE64;
    part->encoding = chosen;
    if (chosen != MIME_ENCODING_BASE64 && chosen != MIME_ENCODING_QUOTED_PRINTABLE)
        return ERR_OK;
    if (is_identity_only(part))
        return ERR_SYNTAX;
    if (is_nested_message(part)) {
        /*
         * RFC2046-5.2.1: message/rfc822 has no encoding but 7bit, 8bit and binary. 7bit mail with lines that are merely
         * unsafe for a signature goes as it is; for all else there is message/global, whose only difference is that
         * it allows more (RFC6532-3.7: any encoding, so that the octets inside are kept).
         */
        if (identity == MIME_ENCODING_7BIT)
            part->encoding = identity;
        else
            part->as_global = true;
    }
    return ERR_OK;
}

static enum err scan_part(struct builder *b, struct builder_part *part, bool is_root) {
    part->scan = (struct encode_scan){
        .is_text = part->kind == BUILDER_TEXT || part->kind == BUILDER_MESSAGE,
        .needle = view_of(b->stem, BUILDER_BOUNDARY_STEM),
    };
    TRY(builder_content(part, take_scan, &part->scan));
    encode_scan_end(&part->scan);
    return choose(b, part, is_root);
}

/* -- The tree ------------------------------------------------------------------------------------------------ */

/* RFC2046-5.1.1: at least one part; RFC1847-2.1 and RFC1847-2.2: exactly two. */
static bool is_complete(const struct builder_part *multipart) {
    bool is_pair = view_eq_nocase(multipart->type, VIEW("multipart/signed")) ||
                   view_eq_nocase(multipart->type, VIEW("multipart/encrypted"));
    return is_pair ? multipart->child_count == 2 : multipart->child_count > 0;
}

/* RFC2045-6.4: a multipart is what the widest of its parts is. */
static void widen(struct builder_part *part) {
    enum mime_encoding encoding = part->encoding;
    if (encoding != MIME_ENCODING_8BIT && encoding != MIME_ENCODING_BINARY)
        return;
    for (struct builder_part *p = part->parent; p != NULL; p = p->parent)
        p->encoding = MAX(p->encoding, encoding);
}

static enum err scan_tree(struct builder *b, struct builder_part *root, bool as_signed, bool *has_boundary) {
    uint32_t boundary = 0;
    for (struct builder_part *p = root; p != NULL; p = builder_part_next(p, root)) {
        const struct builder_part *parent = p == root ? NULL : p->parent;
        p->is_signed = parent == NULL ? as_signed
                                      : parent->is_signed || (view_eq_nocase(parent->type, VIEW("multipart/signed")) &&
                                                              parent->first_child == p);
        if (p->kind == BUILDER_MULTIPART) {
            if (!is_complete(p))
                return ERR_SYNTAX;
            p->encoding = MIME_ENCODING_7BIT;
            p->boundary = boundary++;
            continue;
        }
        TRY(scan_part(b, p, p == root));
        *has_boundary |= p->scan.has_needle;
        widen(p);
    }
    return ERR_OK;
}

enum err builder_scan(struct builder *b, struct builder_part *root, bool as_signed) {
    for (int attempt = 0; attempt < BUILDER_ATTEMPTS_MAX; attempt++) {
        bool has_boundary = false;
        b->stem[0] = '=';
        b->stem[1] = '_';
        b->stem[2] = (char)('0' + attempt);
        for (size_t i = 0; i < sizeof(b->options.seed); i++) {
            /* Not the octets of the Message-ID, which replies quote. */
            unsigned octet = b->options.seed[i] ^ 0x5au;
            b->stem[3 + 2 * i] = "0123456789abcdef"[octet >> 4];
            b->stem[4 + 2 * i] = "0123456789abcdef"[octet & 15];
        }
        TRY(scan_tree(b, root, as_signed, &has_boundary));
        if (!has_boundary)
            return ERR_OK;
    }
    /* Ten numbers of 128 random bits cannot all be there. */
    return ERR_LIMIT;
}
