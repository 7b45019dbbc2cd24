/* For tests and fuzzing: the encoders held against the decoders. Returns NULL when all is well, else what is not. */
#ifndef MESSAGE_ENCODE_TESTING_H
#define MESSAGE_ENCODE_TESTING_H

#include "message/decode.h"
#include "message/encode.h"

#include <string.h>

static inline const char *check_encoded_lines(struct view v, size_t max) {
    size_t length = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\r' && i + 1 < v.n && v.p[i + 1] == '\n') {
            if (i > 0 && (v.p[i - 1] == ' ' || v.p[i - 1] == '\t'))
                return "a blank at the end of a line";
            length = 0;
            i++;
            continue;
        }
        if (v.p[i] != '\t' && (v.p[i] < ' ' || v.p[i] >= 127))
            return "an octet that is no printable character";
        if (++length > max)
            return "a long line";
    }
    if (view_find(v, VIEW("=_")) >= 0)
        return "what only a boundary may hold";
    return v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t') ? "a blank at the end" : NULL;
}

/* Content in pieces of `cut` octets through all of them. */
static inline const char *check_encoders(struct view content, size_t cut, bool is_text) {
    struct encode_base64 base64 = {.carry_n = 0};
    struct encode_qp qp = {.is_text = is_text};
    struct encode_scan whole = {.is_text = is_text, .needle = view_sub(content, content.n / 2, 10)}, cuts = whole;
    struct buf b64, quoted, back, whole_b64;
    const char *error = NULL;
    buf_init(&b64, 64 * 1024 * 1024);
    buf_init(&quoted, 64 * 1024 * 1024);
    buf_init(&back, 64 * 1024 * 1024);
    buf_init(&whole_b64, 64 * 1024 * 1024);
    for (struct view rest = content; rest.n > 0; rest = view_skip(rest, cut)) {
        struct view piece = view_sub(rest, 0, cut);
        encode_base64_put(&base64, piece, &b64);
        encode_qp_put(&qp, piece, &quoted);
        encode_scan_put(&cuts, piece);
    }
    encode_base64_end(&base64, &b64);
    encode_qp_end(&qp, &quoted);
    encode_scan_end(&cuts);
    encode_scan_put(&whole, content);
    encode_scan_end(&whole);
    base64 = (struct encode_base64){.carry_n = 0};
    encode_base64_put(&base64, content, &whole_b64);
    encode_base64_end(&base64, &whole_b64);

    if (!view_eq(buf_view(&b64), buf_view(&whole_b64)))
        error = "base64 depends on the cut";
    if (b64.n != encode_base64_size(content.n))
        error = "base64 has another size";
    if (quoted.n != qp.size || quoted.n != whole.qp_size || quoted.n != cuts.qp_size)
        error = "quoted-printable has another size";
    if (whole.has_needle != (whole.needle.n > 0 && view_find(content, whole.needle) >= 0))
        error = "the needle";
    if (whole.size != cuts.size || whole.has_8bit != cuts.has_8bit || whole.has_nul != cuts.has_nul ||
        whole.has_bare_line_end != cuts.has_bare_line_end || whole.has_mbox_line != cuts.has_mbox_line ||
        whole.has_blank_end != cuts.has_blank_end || whole.ends_line != cuts.ends_line ||
        whole.has_needle != cuts.has_needle || whole.longest != cuts.longest)
        error = "the look depends on the cut";
    if (error == NULL)
        error = check_encoded_lines(buf_view(&b64), 76);
    if (error == NULL)
        error = check_encoded_lines(buf_view(&quoted), 76);
    decode_put_base64(&back, buf_view(&b64));
    if (!view_eq(buf_view(&back), content))
        error = "base64 differs";
    buf_clear(&back);
    decode_put_quoted_printable(&back, buf_view(&quoted));
    if (!view_eq(buf_view(&back), content))
        error = "quoted-printable differs";
    buf_fini(&b64);
    buf_fini(&quoted);
    buf_fini(&back);
    buf_fini(&whole_b64);
    return error;
}

#endif
