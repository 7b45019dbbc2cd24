/*
 * Transfer encodings (RFC2045-6) decoded as tolerantly as real mail needs, and
 * the text of parts as UTF-8. Nothing fails on input; bufs carry limits.
 */
#ifndef MESSAGE_DECODE_H
#define MESSAGE_DECODE_H

#include "message/parse.h"
#include "message/words.h"

/*
 * A transfer encoding decoded from pieces: the result is the same for every way to cut the octets. The state is a value: it
 * owns nothing, may be copied and dropped. Output goes to a buf that may be emptied between pieces; one piece makes no more
 * octets than it has, and what was held from those before.
 */

/* RFC2045-6.7: octets of white space in a row that may turn out to be the trailing white space of a line; more is text.
 * (RFC5322-2.1.1: lines have at most 998.) */
#define DECODE_SPACE_MAX 1000
#define DECODE_HELD_MAX (DECODE_SPACE_MAX + 4)

struct decoder {
    enum mime_encoding encoding;
    uint32_t bits; /* of base64 */
    uint8_t bit_count;
    bool is_begun, has_text;     /* of base64: its first line was judged; held has more than white space */
    bool after_padding, is_over; /* of base64: held is the line so far; nothing more comes */
    bool in_spaces;              /* of quoted-printable: in white space that is text */
    uint16_t held_n;
    uint8_t held[DECODE_HELD_MAX]; /* quoted-printable that the next octets decide about; set up to held_n */
};

void decoder_init(struct decoder *decoder, enum mime_encoding encoding);
void decoder_feed(struct decoder *decoder, struct buf *out, struct view octets);
/* The end of the body. */
void decoder_end(struct decoder *decoder, struct buf *out);

/* RFC2045-6.8: octets outside the alphabet are skipped, missing padding is no matter. After padding data goes on with lines
 * of nothing but base64 (parts glued together by careless programs); any other line, a footer, ends it. Prose that only says it
 * is base64 stays as it is. */
void decode_put_base64(struct buf *out, struct view text);
/* RFC2045-6.7: what is no encoding stays as it is; trailing white space of a line is dropped. */
void decode_put_quoted_printable(struct buf *out, struct view text);
/* A part's body by its encoding; an unknown one as it is. An error of the message's source becomes the buf's. */
void decode_put_body(struct buf *out, const struct message *message, const struct mime_part *part);
/* The first `octets` of a part's body as they were sent, decoded, into the arena; what is no UTF-8 becomes U+FFFD. For parts that
 * machines write for machines (reports). ERR_LIMIT: the arena; else the source's errors. */
enum err decode_beginning(struct arena *arena, const struct message *message, const struct mime_part *part,
                          size_t octets, struct view *out) MUST_CHECK;
/* A text part as UTF-8, by encoding and charset. Of a text that does not fit, work ends soon after the buf is full. */
void decode_put_text(struct buf *out, const struct charset_table *table, const struct message *message,
                     const struct mime_part *part);
/* The same for some octets of the part's body, such as its beginning. */
void decode_put_text_of(struct buf *out, const struct charset_table *table, const struct mime_part *part,
                        struct view body);

#endif
