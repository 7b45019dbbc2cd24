/* What the files of the account's store share; nobody outside store/sqlite includes it. */
#ifndef STORE_SQLITE_ACCOUNT_IMPL_H
#define STORE_SQLITE_ACCOUNT_IMPL_H

#include "base/map.h"
#include "base/vec.h"
#include "loop/loop.h"
#include "message/stream_parse.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/sqlite_account.h"

#include <openssl/evp.h>

/* A result stops here, so that it fits CHANNEL_PACKET_MAX with its list overheads. */
#define RESULT_OCTETS_MAX (96 * 1024)
#define BLOB_INLINE_MAX (256 * 1024) /* octets as kept in the database; DESIGN.md section 4 */
#define HASH_SIZE 16
#define HASH_KEY_SIZE 32
#define BLOB_NAME_SIZE 36 /* "xx/" and 32 hexadecimal digits, with a NUL */

struct sqlite_account;

/* ---- the write turn (turn.c) ---- */

/* The account's row, in memory during a transaction; written back at its end. */
struct counters {
    uint64_t modseq, next_id, octets, messages;
    uint32_t uidvalidity;
};

/* What is told and taken over after COMMIT. */
enum change_kind { CHANGE_ADDED, CHANGE_REMOVED, CHANGE_TOUCHED, CHANGE_GONE };
struct change {
    enum change_kind kind;
    uint64_t mailbox; /* 0 with TOUCHED: the list of mailboxes or subscriptions */
    uint32_t uid;
    uint64_t modseq;
};

struct write_job {
    enum err (*run)(struct sqlite_account *account, void *arg);
    void *arg;
    enum err err;
    bool is_done;
    bool is_leader; /* its coroutine runs the next group */
    struct co *waiter;
    struct write_job *next;
};

/* ---- sequence maps (uid_map.c) ---- */
struct uid_map {
    uint64_t mailbox;
    struct vec ranges; /* of struct uid_range, without gaps inside, in order */
    uint64_t count;
    uint64_t used; /* for choosing which to forget */
};

/* A checkpoint that runs in a later turn, after the replies; it outlives an account that is closed before. */
struct checkpoint_task {
    struct sqlite_account *account; /* NULL: closed */
};

struct sqlite_account {
    struct account account;
    struct sqlite_account_params params;
    struct db *db;
    struct file *lock;

    uint64_t epoch;
    uint64_t derive_from, derive_below; /* emails between have what an older program derived */
    uint8_t hash_key[HASH_KEY_SIZE];
    EVP_MAC *mac;
    struct counters counters; /* committed */
    struct counters turn;     /* in the write turn */
    struct vec changes;       /* of struct change, in the write turn */

    struct write_job *first_job, *last_job;
    size_t job_count;
    bool is_turn_taken;
    struct checkpoint_task *checkpoint; /* deferred and not run yet, or NULL */

    struct account_watcher *watchers;
    struct map *uid_maps; /* mailbox id -> struct uid_map */
    uint64_t uid_map_clock;

    uint64_t blob_syncs, commits;
    bool is_root_durable, is_directory_durable[256]; /* blobs, blobs/xx */
    uint64_t cached_blob;                            /* the last body that was decompressed */
    struct buf cached_body;
    unsigned large_in_progress; /* messages whose file may have a name but no row yet */
    bool is_scan_done;          /* maintain: the search for files without a row */
    uint8_t scan_at;
};

/* Runs arg through the write turn; returns after COMMIT. */
enum err turn_write(struct sqlite_account *account, enum err (*run)(struct sqlite_account *, void *),
                    void *arg) MUST_CHECK;
/* Runs fn on the main stack. */
enum err turn_read(struct sqlite_account *account, enum err (*run)(struct sqlite_account *, void *),
                   void *arg) MUST_CHECK;
enum err turn_load_counters(struct sqlite_account *account) MUST_CHECK;
static inline uint64_t next_modseq(struct sqlite_account *account) {
    return ++account->turn.modseq;
}
static inline uint64_t next_id(struct sqlite_account *account) {
    return account->turn.next_id++;
}
enum err note_change(struct sqlite_account *account, enum change_kind kind, uint64_t mailbox, uint32_t uid,
                     uint64_t modseq) MUST_CHECK;

/* The map of a mailbox, loaded when it is not there. */
enum err uid_map_get(struct sqlite_account *account, uint64_t mailbox, struct uid_map **out) MUST_CHECK;
/* Takes a committed change over; forgets the map when that fails. */
void uid_map_apply(struct sqlite_account *account, const struct change *change);
void uid_map_clear(struct sqlite_account *account);
/* Appends uid to a growing list of ranges in an arena; ERR_LIMIT over max ranges. */
struct range_list {
    struct uid_range *list;
    uint32_t n, cap, max;
};
enum err range_list_add(struct range_list *ranges, struct arena *arena, uint32_t uid) MUST_CHECK;

/* ---- mailboxes (mailbox.c) ---- */
enum err mailbox_load(struct sqlite_account *account, uint64_t id, struct arena *arena, struct mailbox *out) MUST_CHECK;
/* The id of a name that is canonical; ERR_NOT_FOUND. */
enum err mailbox_find(struct sqlite_account *account, struct view name, uint64_t *id) MUST_CHECK;
enum err mailbox_exists(struct sqlite_account *account, uint64_t id) MUST_CHECK;
/* INBOX, Drafts, Sent, Archive, Junk, Trash; in a transaction. */
enum err mailbox_create_standard(struct sqlite_account *account) MUST_CHECK;

/* ---- messages (message.c, membership.c) ---- */
/* One row of `message`. */
struct message_row {
    uint64_t id, mailbox, email, size, created, modified;
    uint32_t uid, flags;
    int64_t saved_us;
    struct view keywords; /* canonical text */
};
/* Adds a membership and its counts; sets id, created, modified and uid. is_only: of an email that is new and has no other;
 * else email_refresh() must follow, as after the next two. */
enum err membership_add(struct sqlite_account *account, struct message_row *row, bool is_only) MUST_CHECK;
enum err membership_remove(struct sqlite_account *account, const struct message_row *row) MUST_CHECK;
enum err membership_set_flags(struct sqlite_account *account, const struct message_row *row, uint32_t flags,
                              struct view keywords, uint64_t *out) MUST_CHECK;
/* Recomputes an email's aggregates and the counts that depend on them; removes the email when it has no message left. */
enum err email_refresh(struct sqlite_account *account, uint64_t email, uint64_t modseq) MUST_CHECK;
/* Each email of the list once; sorts it. */
enum err email_refresh_all(struct sqlite_account *account, uint64_t *emails, size_t n) MUST_CHECK;
/* The rows of a mailbox within the ranges (n = 0: all when none_is_all), in UID order, at most max; views in the arena. */
struct row_list {
    struct message_row *rows;
    size_t n;
    bool more;
};
enum err message_rows(struct sqlite_account *account, uint64_t mailbox, const struct uid_range *ranges, uint32_t n,
                      bool only_deleted, size_t max, struct arena *arena, struct row_list *out) MUST_CHECK;

/* Sorted, overlaps joined; n = 0: one range of all UIDs when none_is_all. */
enum err ranges_normalize(struct arena *arena, const struct uid_range *ranges, uint32_t n, bool none_is_all,
                          struct uid_range **out, uint32_t *out_n) MUST_CHECK;
/* What an item adds to a packet. */
size_t item_octets(const struct message_item *item);
/* Memory for the rows of one operation; the caller's arena holds only the result. */
#define ROWS_ARENA ((size_t)256 * 1024 * 1024)

/* ---- keywords (keyword.c) ---- */
/* Canonical text of a list: first spelling, sorted, each once. add: registers new ones (only in the write turn); else unknown ones
 * are left out. ERR_SYNTAX, ERR_LIMIT. */
enum err keywords_canonical(struct sqlite_account *account, const struct keyword *list, uint32_t n, bool add,
                            struct arena *arena, struct view *out) MUST_CHECK;
enum err keywords_split(struct view text, struct arena *arena, struct keyword **list, uint32_t *n) MUST_CHECK;
/* a + b, or a - b; canonical. */
enum err keywords_union(struct view a, struct view b, struct arena *arena, struct view *out) MUST_CHECK;
enum err keywords_minus(struct view a, struct view b, struct arena *arena, struct view *out) MUST_CHECK;
/* Counts the keywords of a mailbox's message: from the old text to the new. */
enum err keywords_count(struct sqlite_account *account, uint64_t mailbox, struct view old_text,
                        struct view new_text) MUST_CHECK;

/* ---- blobs (blob.c) ---- */
/* What is to be added: prefix and body, or prefix and the file's content when body is empty. */
struct new_message {
    struct view prefix, body;
    struct file *file; /* or NULL */
};
/* Our own file of a large message, read through windows. */
struct blob_file_source {
    struct message_source source;
    struct file *file;
};
/* Octets on their way into the store: in memory, or when large in a file of our own that is synced already. */
struct new_blob {
    uint64_t size;
    struct view bytes; /* of a small one: all of them */
    uint8_t hash[HASH_SIZE];
    uint8_t *memory;                /* malloc, or NULL */
    struct blob_file_source source; /* of a large one; source.file NULL: a small one */
    struct view packed;             /* what a row keeps: bytes, or a zstd frame */
    uint8_t *packed_memory;
    enum blob_codec codec;
    char name[BLOB_NAME_SIZE]; /* of the file; empty: none */
    bool is_used;              /* blob_add() made a row of it */
};
/* Writes and syncs a file when it is large and not yet in the store, and parses on the way: the message lives in parts, reads
 * its bodies from *out (which must stay where it is), and is good until blob_discard(). */
enum err blob_prepare(struct sqlite_account *account, const struct new_message *in, struct arena *parts,
                      struct new_blob *out, struct message *message) MUST_CHECK;
/* In the write turn: a row, or one more reference to an equal one. */
enum err blob_add(struct sqlite_account *account, struct new_blob *blob, uint64_t *id) MUST_CHECK;
/* Frees; is_kept false: removes the file that no row names. */
void blob_discard(struct sqlite_account *account, struct new_blob *blob, bool is_kept);
enum err blob_release(struct sqlite_account *account, uint64_t blob) MUST_CHECK;
/* The hash of what is kept, read in pieces. ERR_PERMANENT: damaged. */
enum err blob_hash_kept(struct sqlite_account *account, uint64_t blob, uint8_t out[HASH_SIZE]) MUST_CHECK;

/* ---- threads (thread.c) ---- */
struct thread_keys {
    uint64_t subject;
    uint64_t *ids;
    size_t n;
};
enum err thread_assign(struct sqlite_account *account, const struct thread_keys *keys, uint64_t modseq,
                       uint64_t *out) MUST_CHECK;
enum err thread_leave(struct sqlite_account *account, uint64_t thread, uint64_t modseq) MUST_CHECK;

/* ---- derived data (derive.c, rederive.c) ---- */
#define DERIVED_TOTAL_MAX (88 * 1024) /* octets of all that one item may carry: it must fit a packet */
struct derived {
    /* p NULL: too long to keep, readers compute it again */
    struct view envelope, body, bodystructure, part_index, preview, message_id, refs, fields;
    enum has_attachment has_attachment;
    size_t header_size, lines;
    int64_t sent_us; /* 0: no readable date */
    struct thread_keys keys;
};
/* In arena; the errors of the message's source. May suspend. */
enum err derive(struct sqlite_account *account, const struct message *message, struct arena *arena,
                struct derived *out) MUST_CHECK;
/* The part of it that schema 2 added: preview, fields, has_attachment. */
enum err derive_shown(struct sqlite_account *account, const struct message *message, struct arena *arena,
                      struct derived *out) MUST_CHECK;
/* A few messages that an older program stored; part of maintain. *more: there are others. */
enum err rederive(struct sqlite_account *account, bool *more) MUST_CHECK;

/* ---- operations: each gets an op_call ---- */
struct op_call {
    const void *args;
    void *result;
    struct file *file;
    struct arena *arena;
};
enum err op_account_info(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_list(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_get(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_create(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_delete(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_rename(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_subscribe(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_subscription_list(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_open(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_claim(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_uid_map(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_changes(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_message_fetch(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_blob_read(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_message_copy(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_message_expunge(struct sqlite_account *account, void *arg) MUST_CHECK;
enum err op_mailbox_check(struct sqlite_account *account, void *id) MUST_CHECK;
enum err op_deliver_check(struct sqlite_account *account, void *arg) MUST_CHECK;
/* These prepare on the caller's side, or go on in several steps, and take the write turn themselves. */
enum err maintain(struct sqlite_account *account, struct op_call *call) MUST_CHECK;
enum err store_messages(struct sqlite_account *account, struct op_call *call) MUST_CHECK;
enum err append_message(struct sqlite_account *account, struct op_call *call) MUST_CHECK;
enum err deliver_commit(struct sqlite_account *account, struct op_call *call) MUST_CHECK;

#endif
