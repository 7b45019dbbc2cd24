/* The table of account operations, their records, and the door that every call goes through. */
#include "store/account.h"

RECORD_DEFINE(uid_range);
RECORD_DEFINE(keyword);
RECORD_DEFINE(uid_pair);
RECORD_DEFINE(mailbox);
RECORD_DEFINE(message_item);
RECORD_DEFINE(nothing);
RECORD_DEFINE(account_info_args);
RECORD_DEFINE(account_info_result);
RECORD_DEFINE(mailbox_list_args);
RECORD_DEFINE(mailbox_list_result);
RECORD_DEFINE(mailbox_get_args);
RECORD_DEFINE(mailbox_create_args);
RECORD_DEFINE(mailbox_delete_args);
RECORD_DEFINE(mailbox_rename_args);
RECORD_DEFINE(subscribe_args);
RECORD_DEFINE(subscription);
RECORD_DEFINE(subscription_list_args);
RECORD_DEFINE(subscription_list_result);
RECORD_DEFINE(mailbox_open_args);
RECORD_DEFINE(mailbox_open_result);
RECORD_DEFINE(uid_map_args);
RECORD_DEFINE(uid_map_result);
RECORD_DEFINE(mailbox_changes_args);
RECORD_DEFINE(mailbox_changes_result);
RECORD_DEFINE(message_fetch_args);
RECORD_DEFINE(message_fetch_result);
RECORD_DEFINE(blob_read_args);
RECORD_DEFINE(blob_read_result);
RECORD_DEFINE(message_store_args);
RECORD_DEFINE(message_store_result);
RECORD_DEFINE(message_copy_args);
RECORD_DEFINE(message_copy_result);
RECORD_DEFINE(message_expunge_args);
RECORD_DEFINE(message_expunge_result);
RECORD_DEFINE(message_append_args);
RECORD_DEFINE(message_append_result);
RECORD_DEFINE(deliver_check_args);
RECORD_DEFINE(deliver_check_result);
RECORD_DEFINE(deliver_commit_args);
RECORD_DEFINE(deliver_commit_result);
RECORD_DEFINE(maintain_args);
RECORD_DEFINE(maintain_result);

static const struct account_op_type op_types[] = {
#define ACCOUNT_OP_ROW(code, name, args, result, rights, files) \
    {ACCOUNT_OP_##name, #name, &args##_record, &result##_record, (rights), (files)},
    ACCOUNT_OPS(ACCOUNT_OP_ROW)
#undef ACCOUNT_OP_ROW
};

const struct account_op_type *account_op_type(unsigned op) {
    for (size_t i = 0; i < ARRAY_LEN(op_types); i++)
        if ((unsigned)op_types[i].op == op)
            return &op_types[i];
    return NULL;
}

enum err account_call(struct account *account, enum account_op op, const void *args, struct file *file,
                      struct arena *arena, void *result) {
    const struct account_op_type *type = account_op_type((unsigned)op);
    if (type == NULL || (file != NULL && type->files == 0))
        return ERR_BUG;
    return account->ops->call(account, type, args, file, arena, result);
}

void account_watch(struct account *account, struct account_watcher *watcher) {
    account->ops->watch(account, watcher);
}

void account_unwatch(struct account *account, struct account_watcher *watcher) {
    account->ops->unwatch(account, watcher);
}

void account_free(struct account *account) {
    if (account != NULL)
        account->ops->free(account);
}
