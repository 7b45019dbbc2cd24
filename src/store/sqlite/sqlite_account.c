/* The account's store: opening, closing, and the dispatch of operations. */
#include "store/sqlite/account_impl.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sqlite3.h>
#include <stdlib.h>

#define CHANGES_LIMIT 20000000 /* of one write turn: mailboxes are removed in one */

typedef enum err op_fn(struct sqlite_account *account, void *call);

/* How each operation is run; append and deliver_commit prepare before they take the turn. */
static const struct {
    enum account_op op;
    op_fn *read, *write;
} dispatch[] = {
    {ACCOUNT_OP_account_info, op_account_info, NULL},
    {ACCOUNT_OP_mailbox_list, op_mailbox_list, NULL},
    {ACCOUNT_OP_mailbox_get, op_mailbox_get, NULL},
    {ACCOUNT_OP_mailbox_create, NULL, op_mailbox_create},
    {ACCOUNT_OP_mailbox_delete, NULL, op_mailbox_delete},
    {ACCOUNT_OP_mailbox_rename, NULL, op_mailbox_rename},
    {ACCOUNT_OP_subscribe, NULL, op_subscribe},
    {ACCOUNT_OP_subscription_list, op_subscription_list, NULL},
    {ACCOUNT_OP_mailbox_open, op_mailbox_open, NULL},
    {ACCOUNT_OP_uid_map, op_uid_map, NULL},
    {ACCOUNT_OP_mailbox_changes, op_mailbox_changes, NULL},
    {ACCOUNT_OP_message_fetch, op_message_fetch, NULL},
    {ACCOUNT_OP_blob_read, op_blob_read, NULL},
    {ACCOUNT_OP_message_copy, NULL, op_message_copy},
    {ACCOUNT_OP_message_expunge, NULL, op_message_expunge},
    {ACCOUNT_OP_deliver_check, op_deliver_check, NULL},
};

static struct sqlite_account *account_of(struct account *account) {
    return (struct sqlite_account *)account;
}

static enum err open_mailbox(struct sqlite_account *account, struct op_call *call) {
    const struct mailbox_open_args *args = call->args;
    TRY(turn_read(account, op_mailbox_open, call));
    const struct mailbox_open_result *result = call->result;
    if (args->claim_recent && result->mailbox.recent > 0)
        return turn_write(account, op_mailbox_claim, call);
    return ERR_OK;
}

static enum err sqlite_call(struct account *base, const struct account_op_type *type, const void *args,
                            struct file *file, struct arena *arena, void *result) {
    struct sqlite_account *account = account_of(base);
    struct op_call call = {.args = args, .result = result, .file = file, .arena = arena};
    switch (type->op) {
    case ACCOUNT_OP_message_append:
        return append_message(account, &call);
    case ACCOUNT_OP_deliver_commit:
        return deliver_commit(account, &call);
    case ACCOUNT_OP_message_store:
        return store_messages(account, &call);
    case ACCOUNT_OP_mailbox_open:
        return open_mailbox(account, &call);
    case ACCOUNT_OP_maintain:
        return maintain(account, &call);
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_LEN(dispatch); i++)
        if (dispatch[i].op == type->op)
            return dispatch[i].write != NULL ? turn_write(account, dispatch[i].write, &call)
                                             : turn_read(account, dispatch[i].read, &call);
    return ERR_BUG;
}

static void sqlite_watch(struct account *base, struct account_watcher *watcher) {
    struct sqlite_account *account = account_of(base);
    watcher->next = account->watchers;
    account->watchers = watcher;
}

static void sqlite_unwatch(struct account *base, struct account_watcher *watcher) {
    struct account_watcher **at = &account_of(base)->watchers;
    while (*at != NULL && *at != watcher)
        at = &(*at)->next;
    if (*at != NULL)
        *at = watcher->next;
    watcher->next = NULL;
}

static void sqlite_free(struct account *base) {
    struct sqlite_account *account = account_of(base);
    if (account->checkpoint != NULL)
        account->checkpoint->account = NULL;
    if (account->uid_maps != NULL)
        uid_map_clear(account);
    map_free(account->uid_maps);
    vec_fini(&account->changes);
    buf_fini(&account->cached_body);
    db_close(account->db);
    EVP_MAC_free(account->mac);
    file_unref(account->lock); /* last: it says that the directory is ours */
    wipe(account->hash_key, sizeof(account->hash_key));
    free(account);
}

static const struct account_ops sqlite_ops = {
    .call = sqlite_call,
    .watch = sqlite_watch,
    .unwatch = sqlite_unwatch,
    .free = sqlite_free,
};

/* The first rows of an empty database, in the transaction that makes its tables. */
static enum err fill_new(void *ctx, struct db *db) {
    struct sqlite_account *account = ctx;
    struct clock *clock = account->params.clock;
    uint8_t key[HASH_KEY_SIZE];
    uint64_t epoch = random_u64(account->params.random) >> 1;
    int64_t now_us = clock->wall_us(clock);
    random_fill(account->params.random, key, sizeof(key));
    /* From the time, so that an account made again under an old name has other UIDVALIDITYs: RFC3501-2.3.1.1. */
    account->turn = (struct counters){.next_id = 1, .uidvalidity = (uint32_t)MAX(now_us / US_PER_S, (int64_t)1)};
    account->db = db;
    enum err err = mailbox_create_standard(account);
    account->db = NULL;
    vec_clear(&account->changes);
    TRY(err);
    return db_run(db,
                  "INSERT INTO account(id, epoch, modseq, next_id, uidvalidity, octets, messages, hash_key, created_us)"
                  " VALUES(1, ?, ?, ?, ?, 0, 0, ?, ?)",
                  "iiiuvi", epoch, account->turn.modseq, account->turn.next_id, account->turn.uidvalidity,
                  view_of(key, sizeof(key)), now_us);
}

static enum err take_lock(struct sqlite_account *account) {
    TRY(disk_open(account->params.disk, "lock", DISK_READ | DISK_WRITE | DISK_CREATE, &account->lock));
    return file_lock(account->lock, true);
}

static void open_on_main(void *arg) {
    struct write_job *job = arg;
    struct sqlite_account *account = job->arg;
    job->err = take_lock(account);
    if (job->err == ERR_OK)
        job->err = db_open(account->params.disk, ACCOUNT_DATABASE, account->params.clock, account->params.random,
                           &account_schema, fill_new, account, &account->db);
    if (job->err == ERR_OK)
        job->err = turn_load_counters(account);
}

enum err sqlite_account_prepare(void) {
    static const uint8_t octets[HASH_KEY_SIZE];
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n;
    if (sqlite3_initialize() != SQLITE_OK || OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return ERR_NO_MEMORY;
    EVP_MAC *fetched = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_free(fetched);
    return fetched != NULL && HMAC(EVP_sha256(), octets, sizeof(octets), octets, 1, mac, &n) != NULL ? ERR_OK
                                                                                                     : ERR_NO_MEMORY;
}

enum err sqlite_account_open(const struct sqlite_account_params *params, struct account **out) {
    struct sqlite_account *account = calloc(1, sizeof(*account));
    uint8_t seed[16];
    if (account == NULL)
        return ERR_NO_MEMORY;
    account->account.ops = &sqlite_ops;
    account->params = *params;
    account->changes = VEC_OF(struct change, CHANGES_LIMIT);
    buf_init(&account->cached_body, BLOB_INLINE_MAX + 1);
    random_fill(params->random, seed, sizeof(seed));
    account->uid_maps = map_new(seed, 1000);
    account->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    struct write_job opening = {.arg = account, .err = ERR_NO_MEMORY};
    if (account->uid_maps != NULL && account->mac != NULL)
        co_on_main(open_on_main, &opening);
    if (opening.err != ERR_OK) {
        sqlite_free(&account->account);
        return opening.err;
    }
    *out = &account->account;
    return ERR_OK;
}

void sqlite_account_counters(struct account *base, uint64_t *syncs, uint64_t *checkpoint_syncs, uint64_t *commits) {
    struct sqlite_account *account = account_of(base);
    const struct vfs_counters *c = vfs_counters(db_vfs(account->db));
    *syncs = c->commit_syncs + c->directory_syncs + account->blob_syncs;
    *checkpoint_syncs = c->checkpoint_syncs;
    *commits = account->commits;
}
