/*
 * The durable outbound queue: messages stored once, a row a recipient, a
 * schedule. Used only inside the queue role; SQLite behind it
 * (store/sqlite/queue.c), group commit by batching calls between begin and
 * commit. Bodies up to QUEUE_INLINE_MAX live in the database, larger ones are
 * files synced before their row.
 */
#ifndef STORE_QUEUE_STORE_H
#define STORE_QUEUE_STORE_H

#include "base/clock.h"
#include "base/disk.h"
#include "base/record.h"

#define QUEUE_INLINE_MAX (256 * 1024)
#define QUEUE_RECIPIENTS_MAX 1000 /* a message */

enum queue_kind { QUEUE_REMOTE, QUEUE_LOCAL };
enum queue_state { QUEUE_WAITING, QUEUE_HELD, QUEUE_DONE };
/* clang-format off */
#define R_queue_recipient(F, S)                                                                                        \
    F(S, U64, id) F(S, U64, message) F(S, VIEW, address, 320) F(S, U8, kind) F(S, U64, account) /* LOCAL */            \
    F(S, U8, state) F(S, U32, attempts) F(S, I64, next_us) F(S, I64, expires_us) F(S, VIEW, last_status, 16)           \
    F(S, VIEW, last_text, 1000) F(S, VIEW, orcpt, 500) F(S, U8, notify)
RECORD_DECLARE(queue_recipient);
#define R_queue_message(F, S)                                                                                        \
    F(S, U64, id) F(S, VIEW, delivery_id, 16) F(S, VIEW, sender, 320) F(S, I64, created_us) F(S, U64, size)          \
    F(S, VIEW, envid, 100) F(S, U8, ret) F(S, U32, flags) /* 8BITMIME, SMTPUTF8 ... */ F(S, VIEW, prefix, 8192)
RECORD_DECLARE(queue_message);
/* clang-format on */

struct queue_store;
enum err queue_store_open(struct disk *disk, struct clock *clock, struct queue_store **out) MUST_CHECK;
void queue_store_close(struct queue_store *store);
/* Everything between begin and commit is one transaction and one fsync. */
enum err queue_store_begin(struct queue_store *store) MUST_CHECK;
enum err queue_store_commit(struct queue_store *store) MUST_CHECK;
void queue_store_rollback(struct queue_store *store);
/* The body is `body`, or the file's content when body is empty and file is not NULL. Ids are set in *message and recipients[]. */
enum err queue_store_add(struct queue_store *store, struct queue_message *message, struct view body, struct file *file,
                         struct queue_recipient *recipients, size_t n) MUST_CHECK;
/* Waiting recipients with next_us <= now, oldest first, at most max. */
enum err queue_store_due(struct queue_store *store, int64_t now_us, size_t max, struct arena *arena,
                         struct queue_recipient **out, size_t *n) MUST_CHECK;
/* The earliest next_us of waiting recipients, US_NEVER when none. */
enum err queue_store_next(struct queue_store *store, int64_t *next_us) MUST_CHECK;
enum err queue_store_message(struct queue_store *store, uint64_t id, struct arena *arena,
                             struct queue_message *out) MUST_CHECK;
/* A read-only file of the body, to hand to a courier; the caller unrefs it. */
enum err queue_store_body(struct queue_store *store, uint64_t message, struct file **out) MUST_CHECK;
/* Writes attempts, next_us, state, last_*, notify; a message without unfinished recipients is removed with its body. */
enum err queue_store_update(struct queue_store *store, const struct queue_recipient *recipient) MUST_CHECK;
enum err queue_store_remove(struct queue_store *store, uint64_t recipient) MUST_CHECK;
enum err queue_store_list(struct queue_store *store, uint64_t after_id, size_t max, struct arena *arena,
                          struct queue_recipient **out, size_t *n) MUST_CHECK;
enum err queue_store_get(struct queue_store *store, uint64_t recipient, struct arena *arena,
                         struct queue_recipient *out) MUST_CHECK;

#endif
