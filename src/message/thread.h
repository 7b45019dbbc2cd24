/*
 * What threads are made of: the base subject (RFC5256-2.1), and message ids
 * from Message-ID, In-Reply-To and References (RFC5322-3.6.4).
 *
 * Message ids come without angle brackets and with the quoting of RFC5256-3
 * ("Internationalization" aside) undone, so that equal ids are equal octets.
 */
#ifndef MESSAGE_THREAD_H
#define MESSAGE_THREAD_H

#include "message/words.h"

/* Ids of one References field that are kept: the first one (the root) and the last ones; so threads stay connected. */
#define THREAD_REFERENCES_MAX 100
/* RFC5322-2.1.1: a line has at most 998 octets, so a longer id cannot be written; it is no id. */
#define THREAD_ID_MAX 998

struct thread_ids {
    struct view *list;
    size_t count;
};

/* Message ids in a value, in their order; text, comments and broken ids between them are skipped. */
void thread_ids_parse(struct arena *arena, struct view value, struct thread_ids *out);
/* The id of the Message-ID field of a header; p == NULL when there is none that can be used. */
struct view thread_message_id(struct arena *arena, struct view header);
/* RFC5256-3: the References field's ids, or when it has none the first id of In-Reply-To. */
void thread_references(struct arena *arena, struct view header, struct thread_ids *out);
/* RFC5256-2.1, as UTF-8. *is_reply (may be NULL) tells whether a reply or forward artifact was removed. */
void thread_base_subject(const struct charset_table *table, struct view subject, struct buf *out, bool *is_reply);
/* The key of an id or base subject in the store's thread index, under the account's 16-octet key. Subjects are folded
 * to lower case (ASCII) first. The two kinds never collide by construction of the hashed text. */
uint64_t thread_id_key(const uint8_t key[16], struct view id);
uint64_t thread_subject_key(const uint8_t key[16], struct view base_subject);

#endif
