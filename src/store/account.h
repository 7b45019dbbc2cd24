/*
 * One account's mail, as protocols see it: the only door to the store.
 *
 * About sixty typed, batch-shaped operations in the end; each takes a record of
 * values and returns a record of values, so the same call works in process
 * (store/sqlite) and through a channel (store/account_channel.h, a shared
 * mailbox of another account's process). No SQL type and no pointer into the
 * store ever leaves it. Every call is a possible yield, unless the caller is on
 * the main stack (tests without a loop), where calls complete at once.
 *
 * Writing operations take the account's write turn and are committed together
 * with others that wait (group commit); the call returns only after COMMIT and
 * its fsync: ERR_OK means it is on disk. Notifications go out after COMMIT.
 *
 * Numbers: ids are 63-bit, never reused. There is one modseq counter an account
 * (RFC7162-3.1.1 calls it mod-sequence). UIDs and UIDVALIDITY are 32-bit,
 * RFC3501-2.3.1.1.
 *
 * Ownership: a result's views and lists live in the arena that was passed in.
 */
#ifndef STORE_ACCOUNT_H
#define STORE_ACCOUNT_H

#include "base/record.h"
#include "loop/channel.h"

/* ---- limits ---- */
#define ACCOUNT_NAME_MAX 1000 /* octets of a mailbox name in UTF-8, hierarchy included */
#define ACCOUNT_DEPTH_MAX 32  /* levels of hierarchy */
#define ACCOUNT_MAILBOXES_MAX 10000
#define ACCOUNT_KEYWORDS_MAX 100 /* a message */
#define ACCOUNT_KEYWORD_MAX 128  /* octets */
#define ACCOUNT_BATCH_MAX 500    /* messages in one result */
#define ACCOUNT_RANGES_MAX 2000  /* ranges in one request; protocols split longer sets */
#define ACCOUNT_INLINE_MAX 65536 /* octets of a body inside a request; larger bodies are files */
#define ACCOUNT_READ_MAX 65536   /* octets of one blob_read */
#define ACCOUNT_DERIVED_MAX \
    65536 /* octets of a stored envelope or structure; longer ones are computed again by readers */

#define ACCOUNT_SEPARATOR '/' /* between hierarchy levels; never inside a level */

/* System flags, RFC3501-2.3.2. \Recent is not stored: see mailbox_open. */
#define FLAG_SEEN 1u
#define FLAG_ANSWERED 2u
#define FLAG_FLAGGED 4u
#define FLAG_DELETED 8u
#define FLAG_DRAFT 16u
#define FLAGS_ALL 31u

/* RFC6154-2; 0 = none */
enum special_use { USE_NONE, USE_ARCHIVE, USE_DRAFTS, USE_JUNK, USE_SENT, USE_TRASH, USE_ALL, USE_FLAGGED };

/* What the identity bound to this door may do; each operation needs some. */
#define RIGHT_READ 1u
#define RIGHT_WRITE 2u   /* flags, append, copy, expunge */
#define RIGHT_ADMIN 4u   /* mailboxes */
#define RIGHT_DELIVER 8u /* deliver_check and deliver_commit alone; cannot read */

/* clang-format off */
/* ---- values ---- */
#define R_uid_range(F, S) F(S, U32, first) F(S, U32, last) /* inclusive, first <= last */
RECORD_DECLARE(uid_range);
#define R_keyword(F, S) F(S, VIEW, name, ACCOUNT_KEYWORD_MAX) /* as first spelled; compared without ASCII case */
RECORD_DECLARE(keyword);
#define R_uid_pair(F, S) F(S, U32, from) F(S, U32, to)
RECORD_DECLARE(uid_pair);

/* A mailbox with its counts. Deleted messages are those with \Deleted. */
#define R_mailbox(F, S)                                                                                     \
    F(S, U64, id) F(S, VIEW, name, ACCOUNT_NAME_MAX) F(S, U8, use) F(S, BOOL, subscribed)                   \
    F(S, U32, uidvalidity) F(S, U32, uidnext) F(S, U32, exists) F(S, U32, recent) F(S, U32, unseen)         \
    F(S, U32, deleted) F(S, U64, octets) F(S, U64, highest_modseq) /* of its messages, RFC7162-3.1.2.1 */   \
    F(S, U64, created_modseq) F(S, U64, modified_modseq)           /* of the mailbox object itself */
RECORD_DECLARE(mailbox);

/* What message_fetch is asked for, and therefore what is set in the result; uid, id and modseq always are. */
#define ITEM_FLAGS 1u          /* flags, keywords */
#define ITEM_DATES 2u          /* internal_us, saved_us */
#define ITEM_SIZE 4u           /* size, header_size, lines */
#define ITEM_ENVELOPE 8u       /* envelope: RFC3501-7.4.2, ready to send, with its parentheses */
#define ITEM_BODY 16u          /* body: BODY without extension data */
#define ITEM_BODYSTRUCTURE 32u /* bodystructure */
#define ITEM_INDEX 64u         /* part_index: message/index.h, offsets of every part */
#define ITEM_IDS 128u          /* email, thread, blob */
#define ITEM_PREVIEW 256u      /* preview, RFC8970-3.1 */
#define ITEM_FIELDS 512u       /* fields, has_attachment */

/* Of a message that an older program stored it is not known until maintain has come to it. */
enum has_attachment { ATTACHMENT_NO, ATTACHMENT_YES, ATTACHMENT_UNKNOWN };

#define R_message_item(F, S)                                                                                  \
    F(S, U32, uid) F(S, U64, id) F(S, U64, modseq) F(S, U32, flags) F(S, LIST, keywords, keyword, ACCOUNT_KEYWORDS_MAX) \
    F(S, I64, internal_us) F(S, I64, saved_us) F(S, I64, sent_us) F(S, U64, size) F(S, U32, header_size)      \
    F(S, U64, blob) F(S, U64, email) F(S, U64, thread)                                                        \
    F(S, VIEW, envelope, ACCOUNT_DERIVED_MAX) F(S, VIEW, body, ACCOUNT_DERIVED_MAX)                           \
    F(S, VIEW, bodystructure, ACCOUNT_DERIVED_MAX) F(S, VIEW, part_index, ACCOUNT_DERIVED_MAX)                \
    F(S, VIEW, preview, 1024)                                                                                 \
    F(S, VIEW, fields, ACCOUNT_DERIVED_MAX) /* a derived_fields record (message/derive.h); empty: not stored, call derive_fields() */ \
    F(S, U8, has_attachment)
RECORD_DECLARE(message_item);

/* ---- operations: NAME_args in, NAME_result out ---- */

#define R_nothing(F, S) F(S, U8, unused)
RECORD_DECLARE(nothing);

#define R_account_info_args(F, S) F(S, U8, unused)
#define R_account_info_result(F, S) \
    F(S, U64, epoch) F(S, U64, modseq) F(S, U64, octets) F(S, U64, quota_octets) /* 0: none */ F(S, U64, messages)
RECORD_DECLARE(account_info_args);
RECORD_DECLARE(account_info_result);

/* All mailboxes after `after_name` in the order of their names, INBOX as "INBOX"; more = call again with the last name. */
#define R_mailbox_list_args(F, S) F(S, VIEW, after_name, ACCOUNT_NAME_MAX)
#define R_mailbox_list_result(F, S) F(S, LIST, mailboxes, mailbox, ACCOUNT_BATCH_MAX) F(S, BOOL, more)
RECORD_DECLARE(mailbox_list_args);
RECORD_DECLARE(mailbox_list_result);

/* By id, or by name when id is 0 (INBOX in any case, RFC3501-5.1). ERR_NOT_FOUND. */
#define R_mailbox_get_args(F, S) F(S, U64, id) F(S, VIEW, name, ACCOUNT_NAME_MAX)
RECORD_DECLARE(mailbox_get_args);

/* Makes missing parents too. Never reuses a UIDVALIDITY. ERR_EXISTS, ERR_LIMIT, ERR_SYNTAX for a name that cannot be. */
#define R_mailbox_create_args(F, S) F(S, VIEW, name, ACCOUNT_NAME_MAX) F(S, U8, use)
RECORD_DECLARE(mailbox_create_args);

/* With its messages; one with children stays as a name without messages when keep_children (RFC3501-6.3.4: else ERR_DENIED). INBOX: ERR_DENIED. */
#define R_mailbox_delete_args(F, S) F(S, U64, id)
RECORD_DECLARE(mailbox_delete_args);

/* With its children, ids and UIDVALIDITYs; missing parents are made. INBOX: its messages move to a new mailbox, RFC3501-6.3.5. */
#define R_mailbox_rename_args(F, S) F(S, U64, id) F(S, VIEW, name, ACCOUNT_NAME_MAX)
RECORD_DECLARE(mailbox_rename_args);

/* Subscriptions are names: they outlive mailboxes, RFC3501-6.3.6. */
#define R_subscribe_args(F, S) F(S, VIEW, name, ACCOUNT_NAME_MAX) F(S, BOOL, on)
#define R_subscription(F, S) F(S, VIEW, name, ACCOUNT_NAME_MAX)
RECORD_DECLARE(subscribe_args);
RECORD_DECLARE(subscription);
#define R_subscription_list_args(F, S) F(S, VIEW, after_name, ACCOUNT_NAME_MAX)
#define R_subscription_list_result(F, S) F(S, LIST, names, subscription, ACCOUNT_BATCH_MAX) F(S, BOOL, more)
RECORD_DECLARE(subscription_list_args);
RECORD_DECLARE(subscription_list_result);

/* What SELECT and EXAMINE need. With claim_recent the messages from recent_from on are recent to this session and to no later one. */
#define R_mailbox_open_args(F, S) F(S, U64, id) F(S, BOOL, claim_recent)
#define R_mailbox_open_result(F, S)                                                                  \
    F(S, RECORD, mailbox, mailbox) F(S, U32, recent_from) F(S, U32, first_unseen_uid) /* 0: none */  \
    F(S, U32, first_unseen_seq) F(S, LIST, keywords, keyword, ACCOUNT_BATCH_MAX)      /* in use */
RECORD_DECLARE(mailbox_open_args);
RECORD_DECLARE(mailbox_open_result);

/* The UIDs of a mailbox from from_uid on as ranges without gaps, in order; next_uid = where to go on, 0 at the end. highest_modseq: of
 * the moment of the call: follow with mailbox_changes from there. */
#define R_uid_map_args(F, S) F(S, U64, mailbox) F(S, U32, from_uid)
#define R_uid_map_result(F, S) F(S, LIST, ranges, uid_range, ACCOUNT_RANGES_MAX) F(S, U32, next_uid) F(S, U64, highest_modseq)
RECORD_DECLARE(uid_map_args);
RECORD_DECLARE(uid_map_result);

/* What changed after since_modseq, in order of modseq: new and changed messages (flags and keywords set) and vanished UIDs. more = call
 * again with until_modseq. ERR_NOT_FOUND when the mailbox is gone; full = since_modseq is below the tombstones' floor (start over). */
#define R_mailbox_changes_args(F, S) F(S, U64, mailbox) F(S, U64, since_modseq)
#define R_mailbox_changes_result(F, S)                                                                       \
    F(S, LIST, changed, message_item, ACCOUNT_BATCH_MAX) F(S, LIST, vanished, uid_range, ACCOUNT_RANGES_MAX) \
    F(S, U64, until_modseq) F(S, BOOL, more) F(S, BOOL, full) F(S, U32, uidnext)
RECORD_DECLARE(mailbox_changes_args);
RECORD_DECLARE(mailbox_changes_result);

/* In UID order from from_uid on within the ranges (none: all); next_uid = where to go on, 0 at the end. A result stops early at
 * ACCOUNT_BATCH_MAX or when it would not fit a packet. */
#define R_message_fetch_args(F, S) \
    F(S, U64, mailbox) F(S, LIST, ranges, uid_range, ACCOUNT_RANGES_MAX) F(S, U32, from_uid) F(S, U32, items)
#define R_message_fetch_result(F, S) F(S, LIST, messages, message_item, ACCOUNT_BATCH_MAX) F(S, U32, next_uid)
RECORD_DECLARE(message_fetch_args);
RECORD_DECLARE(message_fetch_result);

/* Octets of a stored message, whole or in part; short only at the end. The blob stays readable for a session that has not been told of
 * an EXPUNGE (RFC2180-4.1): blobs are removed later. */
#define R_blob_read_args(F, S) F(S, U64, blob) F(S, U64, offset) F(S, U32, length)
#define R_blob_read_result(F, S) F(S, VIEW, bytes, ACCOUNT_READ_MAX)
RECORD_DECLARE(blob_read_args);
RECORD_DECLARE(blob_read_result);

enum store_mode { STORE_REPLACE, STORE_ADD, STORE_REMOVE };
/* Flags of all messages in the ranges. unchanged_since: RFC7162-3.1.3, 0 = unconditional; those it refused are in `refused`. The result
 * lists only messages that exist; an unchanged one keeps its modseq. */
#define R_message_store_args(F, S)                                                                 \
    F(S, U64, mailbox) F(S, LIST, ranges, uid_range, ACCOUNT_RANGES_MAX) F(S, U8, mode) F(S, U32, flags) \
    F(S, LIST, keywords, keyword, ACCOUNT_KEYWORDS_MAX) F(S, BOOL, conditional) F(S, U64, unchanged_since)
#define R_message_store_result(F, S)                                                                          \
    F(S, LIST, changed, message_item, ACCOUNT_BATCH_MAX) F(S, LIST, refused, uid_range, ACCOUNT_RANGES_MAX) F(S, BOOL, too_many)
/* too_many: more messages than ACCOUNT_BATCH_MAX changed; ask mailbox_changes for them */
RECORD_DECLARE(message_store_args);
RECORD_DECLARE(message_store_result);

/* COPY and MOVE, all or nothing, RFC3501-6.4.7, RFC6851-3.3: same email, new membership, flags and internal date kept. `from` and `to`
 * are empty when one of them would have more than ACCOUNT_RANGES_MAX ranges (RFC4315-3: then there is no COPYUID). */
#define R_message_copy_args(F, S) \
    F(S, U64, mailbox) F(S, LIST, ranges, uid_range, ACCOUNT_RANGES_MAX) F(S, U64, target) F(S, BOOL, move)
#define R_message_copy_result(F, S) F(S, U32, uidvalidity) F(S, LIST, from, uid_range, ACCOUNT_RANGES_MAX) \
    F(S, LIST, to, uid_range, ACCOUNT_RANGES_MAX) /* the same number of UIDs, in the same order */
RECORD_DECLARE(message_copy_args);
RECORD_DECLARE(message_copy_result);

/* Removes messages with \Deleted within the ranges (none: all); any = with or without \Deleted. */
#define R_message_expunge_args(F, S) F(S, U64, mailbox) F(S, LIST, ranges, uid_range, ACCOUNT_RANGES_MAX) F(S, BOOL, any)
#define R_message_expunge_result(F, S) F(S, LIST, expunged, uid_range, ACCOUNT_RANGES_MAX) F(S, BOOL, more)
RECORD_DECLARE(message_expunge_args);
RECORD_DECLARE(message_expunge_result);

/* Adds a message: `prefix` (trace fields) followed by `body`, or by the file handed along when body is empty and a file is given. The file
 * is read once; what is stored is what was parsed. Kept byte for byte. ERR_FULL: quota or disk. internal_us 0: now. */
#define R_message_append_args(F, S)                                                                               \
    F(S, U64, mailbox) F(S, U32, flags) F(S, LIST, keywords, keyword, ACCOUNT_KEYWORDS_MAX) F(S, I64, internal_us) \
    F(S, VIEW, prefix, 8192) F(S, VIEW, body, ACCOUNT_INLINE_MAX)
#define R_message_append_result(F, S) F(S, U32, uidvalidity) F(S, U32, uid) F(S, U64, email)
RECORD_DECLARE(message_append_args);
RECORD_DECLARE(message_append_result);

/* ---- delivery (DESIGN.md section 2, "Receiving") ---- */
#define DELIVERY_ID_SIZE 16
#define DELIVERY_MEMORY_US (INT64_C(7) * 24 * 3600 * US_PER_S) /* how long (delivery id, recipient) is remembered */
enum verdict { VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_LATER };
#define R_deliver_check_args(F, S) F(S, VIEW, recipient, 320) F(S, VIEW, sender, 320) F(S, U64, size)
#define R_deliver_check_result(F, S) F(S, U8, verdict) F(S, VIEW, status, 16) /* "5.2.2" */ F(S, VIEW, text, 500)
RECORD_DECLARE(deliver_check_args);
RECORD_DECLARE(deliver_check_result);
/* Like message_append, into INBOX (or what filters say), idempotent by (id, recipient). ERR_OK: on disk. junk: into the mailbox with that
 * use (RFC6154-2 \Junk), while there is one. */
#define R_deliver_commit_args(F, S)                                                                                         \
    F(S, VIEW, id, DELIVERY_ID_SIZE) F(S, VIEW, recipient, 320) F(S, VIEW, sender, 320) F(S, I64, internal_us)               \
    F(S, BOOL, junk) F(S, VIEW, prefix, 8192) F(S, VIEW, body, ACCOUNT_INLINE_MAX)
#define R_deliver_commit_result(F, S) F(S, BOOL, duplicate) F(S, U64, email)
RECORD_DECLARE(deliver_commit_args);
RECORD_DECLARE(deliver_commit_result);

/* Clean-up in small steps: expired delivery ids, unreferenced blobs, tombstones below the floor, checkpoints. more = call again. */
#define R_maintain_args(F, S) F(S, U8, unused)
#define R_maintain_result(F, S) F(S, U64, removed) F(S, BOOL, more)
RECORD_DECLARE(maintain_args);
RECORD_DECLARE(maintain_result);

/* X(code, name, args, result, rights, file handles in the request). Codes are fixed for good. */
#define ACCOUNT_OPS(X)                                                                                  \
    X(1, account_info, account_info_args, account_info_result, RIGHT_READ, 0)                           \
    X(2, mailbox_list, mailbox_list_args, mailbox_list_result, RIGHT_READ, 0)                           \
    X(3, mailbox_get, mailbox_get_args, mailbox, RIGHT_READ, 0)                                         \
    X(4, mailbox_create, mailbox_create_args, mailbox, RIGHT_ADMIN, 0)                                  \
    X(5, mailbox_delete, mailbox_delete_args, nothing, RIGHT_ADMIN, 0)                                  \
    X(6, mailbox_rename, mailbox_rename_args, nothing, RIGHT_ADMIN, 0)                                  \
    X(7, subscribe, subscribe_args, nothing, RIGHT_ADMIN, 0)                                            \
    X(8, subscription_list, subscription_list_args, subscription_list_result, RIGHT_READ, 0)            \
    X(9, mailbox_open, mailbox_open_args, mailbox_open_result, RIGHT_READ, 0)                           \
    X(10, uid_map, uid_map_args, uid_map_result, RIGHT_READ, 0)                                         \
    X(11, mailbox_changes, mailbox_changes_args, mailbox_changes_result, RIGHT_READ, 0)                 \
    X(12, message_fetch, message_fetch_args, message_fetch_result, RIGHT_READ, 0)                       \
    X(13, blob_read, blob_read_args, blob_read_result, RIGHT_READ, 0)                                   \
    X(14, message_store, message_store_args, message_store_result, RIGHT_WRITE, 0)                      \
    X(15, message_copy, message_copy_args, message_copy_result, RIGHT_WRITE, 0)                         \
    X(16, message_expunge, message_expunge_args, message_expunge_result, RIGHT_WRITE, 0)                \
    X(17, message_append, message_append_args, message_append_result, RIGHT_WRITE, 1)                   \
    X(18, deliver_check, deliver_check_args, deliver_check_result, RIGHT_DELIVER, 0)                    \
    X(19, deliver_commit, deliver_commit_args, deliver_commit_result, RIGHT_DELIVER, 1)                 \
    X(20, maintain, maintain_args, maintain_result, RIGHT_ADMIN, 0)
/* clang-format on */

enum account_op {
#define ACCOUNT_OP_ENUM(code, name, args, result, rights, files) ACCOUNT_OP_##name = (code),
    ACCOUNT_OPS(ACCOUNT_OP_ENUM)
#undef ACCOUNT_OP_ENUM
};
struct account_op_type {
    enum account_op op;
    const char *name;
    const struct record_type *args, *result;
    uint32_t rights;
    uint8_t files;
};
/* NULL for an unknown code. */
const struct account_op_type *account_op_type(unsigned op);

struct account;
/* Tells that something changed in a mailbox (0: the list of mailboxes or subscriptions), after COMMIT, on the main stack or on the
 * coroutine that committed; the callee only takes a note and wakes its session, which then asks mailbox_changes. */
struct account_watcher {
    void (*changed)(struct account_watcher *watcher, uint64_t mailbox, uint64_t modseq);
    struct account_watcher *next; /* the store's */
};
struct account_ops {
    enum err (*call)(struct account *account, const struct account_op_type *op, const void *args, struct file *file,
                     struct arena *arena, void *result);
    void (*watch)(struct account *account, struct account_watcher *watcher);
    void (*unwatch)(struct account *account, struct account_watcher *watcher);
    void (*free)(struct account *account);
};
struct account {
    const struct account_ops *ops;
};

/* Any operation; file (borrowed) only where the table says so, else NULL. */
enum err account_call(struct account *account, enum account_op op, const void *args, struct file *file,
                      struct arena *arena, void *result) MUST_CHECK;
void account_watch(struct account *account, struct account_watcher *watcher);
void account_unwatch(struct account *account, struct account_watcher *watcher);
void account_free(struct account *account);

/* account_mailbox_list(account, &args, arena, &result), account_message_append(account, &args, file, arena, &result), ... */
#define ACCOUNT_OP_CALL(code, name, args_tag, result_tag, rights, files)                                      \
    static inline MUST_CHECK enum err account_do_##name(struct account *account, const struct args_tag *args, \
                                                        struct file *file, struct arena *arena,               \
                                                        struct result_tag *result) {                          \
        return account_call(account, ACCOUNT_OP_##name, args, file, arena, result);                           \
    }
ACCOUNT_OPS(ACCOUNT_OP_CALL)
#undef ACCOUNT_OP_CALL

#endif
