/*
 * Doors to mailboxes for delivery: what `edge` and `queue` hold. Each door is a
 * channel that can check and commit deliveries and nothing else; it is opened
 * through the supervisor when first needed and forgotten when its mailbox leaves.
 */
#ifndef ROLES_DOORS_H
#define ROLES_DOORS_H

#include "base/map.h"
#include "roles/role.h"

#define DOORS_MAX 1000 /* open at once in one role; the least used are closed */

struct doors {
    struct role_env *env;
    const struct message_type *request; /* message_mailbox_request or its twin of the queue */
    struct map *map;                    /* account -> struct door */
    struct door *free_later;
};

enum err doors_init(struct doors *doors, struct role_env *env, const struct message_type *request) MUST_CHECK;
void doors_fini(struct doors *doors);

/* Asks the mailbox. A mailbox that died meanwhile is asked once more (both calls may be repeated). ERR_AGAIN, ERR_TIMEOUT: later. ERR_NOT_FOUND:
 * no such account. */
enum err doors_check(struct doors *doors, uint64_t account, const struct deliver_check_args *args, struct arena *arena,
                     struct deliver_check_result *result) MUST_CHECK;
/* ERR_OK: on disk, exactly once for (args->id, args->recipient). file is borrowed. */
enum err doors_commit(struct doors *doors, uint64_t account, const struct deliver_commit_args *args, struct file *file,
                      struct arena *arena, struct deliver_commit_result *result) MUST_CHECK;

#endif
