/* An account's store in SQLite: opening, making, checking. The interface that protocols use is store/account.h. */
#ifndef STORE_SQLITE_ACCOUNT_H
#define STORE_SQLITE_ACCOUNT_H

#include "store/account.h"

struct charset_table;
struct sqlite_account_params {
    struct loop *loop; /* NULL: calls complete on the caller's stack, no group commit */
    struct disk *disk; /* the account's directory; borrowed, must outlive the account */
    struct clock *clock;
    struct random *random;
    const struct log *log;
    const struct charset_table *charsets; /* from message/; may be NULL: only UTF-8 and Latin-1 are decoded */
    uint64_t quota_octets;                /* 0: none */
    uint64_t size_max;                    /* octets of one message */
};
/* In a role's prepare(): what every account's process needs and no account owns (SQLite's and OpenSSL's tables), so that forked processes
 * share it. ERR_NO_MEMORY. */
enum err sqlite_account_prepare(void) MUST_CHECK;
/* Opens the account in params->disk; makes it (schema, INBOX, Drafts, Sent, Archive, Junk, Trash) when the directory is empty.
 * Migrates older schemas. ERR_AGAIN: another process owns it (OFD lock). ERR_IO, ERR_FULL; ERR_PERMANENT: a newer schema or damage. */
enum err sqlite_account_open(const struct sqlite_account_params *params, struct account **out) MUST_CHECK;
/* Everything that can be checked: pages, foreign keys, counts, aggregates, blobs' hashes, modseqs. Appends one line a problem. */
enum err sqlite_account_verify(struct account *base, struct buf *problems, unsigned *n) MUST_CHECK;
/* fsyncs of the database and blob files so far (checkpoints apart), for benchmarks. */
void sqlite_account_counters(struct account *base, uint64_t *syncs, uint64_t *checkpoint_syncs, uint64_t *commits);

#endif
