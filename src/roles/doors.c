/* Doors to mailboxes for delivery. */
#include "roles/doors.h"

#include "store/account_channel.h"

#include <stdlib.h>

struct door {
    uint64_t number;
    struct account *account; /* over a channel; NULL while it is being opened */
    bool broken;
    unsigned users;
    int64_t used_us;
    struct waitq opened;
};

enum err doors_init(struct doors *doors, struct role_env *env, const struct message_type *request) {
    uint8_t seed[16];
    random_fill(env->random, seed, sizeof(seed));
    *doors = (struct doors){.env = env, .request = request, .map = map_new(seed, DOORS_MAX + 1)};
    return doors->map ? ERR_OK : ERR_NO_MEMORY;
}

static void door_free(struct doors *doors, struct door *door) {
    if (map_get_u64(doors->map, door->number) == door)
        (void)map_remove_u64(doors->map, door->number);
    account_free(door->account);
    free(door);
}

void doors_fini(struct doors *doors) {
    if (!doors->map)
        return;
    size_t cursor = 0;
    struct view key;
    void *value;
    while (map_next(doors->map, &cursor, &key, &value))
        door_free(doors, value);
    map_free(doors->map);
    doors->map = NULL;
}

/* Closes the door that was used the longest time ago and that nobody uses now. */
static void close_one(struct doors *doors) {
    struct door *oldest = NULL;
    size_t cursor = 0;
    struct view key;
    void *value;
    while (map_next(doors->map, &cursor, &key, &value)) {
        struct door *door = value;
        if (door->users == 0 && (!oldest || door->used_us < oldest->used_us))
            oldest = door;
    }
    if (oldest)
        door_free(doors, oldest);
}

static enum err door_open(struct doors *doors, struct door *door) {
    struct role_env *env = doors->env;
    struct arena *arena = arena_new("door", 4096);
    if (!arena)
        return ERR_NO_MEMORY;
    struct mailbox_request request = {.account = door->number};
    struct nothing nothing;
    struct handle handles[CHANNEL_HANDLES_MAX] = {0};
    enum err err = channel_call(env->supervisor, doors->request, &request, NULL, 0,
                                loop_now_us(env->loop) + ROLE_CALL_US, arena, &nothing, handles);
    arena_free(arena);
    if (err != ERR_OK)
        return err;
    if (handles[0].kind != HANDLE_CHANNEL) {
        handle_close(&handles[0]);
        return ERR_AGAIN;
    }
    err = account_new_channel(handles[0].channel, "delivery", ROLE_MAILBOX_CALL_US, &door->account);
    if (err != ERR_OK)
        handle_close(&handles[0]);
    return err;
}

/* Release with door_release(). */
static enum err door_get(struct doors *doors, uint64_t number, struct door **out) {
    struct door *door = map_get_u64(doors->map, number);
    if (!door) {
        if (map_count(doors->map) >= DOORS_MAX)
            close_one(doors);
        door = calloc(1, sizeof(*door));
        if (!door)
            return ERR_NO_MEMORY;
        door->number = number;
        door->users = 1;
        enum err err = map_put_u64(doors->map, number, door);
        if (err != ERR_OK) {
            free(door);
            return err;
        }
        err = door_open(doors, door);
        if (err != ERR_OK)
            door->broken = true;
        waitq_wake_all(&door->opened);
        *out = door;
        return err;
    }
    door->users++;
    *out = door;
    while (!door->account && !door->broken) {
        enum err err = waitq_wait(&door->opened, loop_now_us(doors->env->loop) + ROLE_CALL_US);
        if (err != ERR_OK)
            return err;
    }
    return door->broken ? ERR_AGAIN : ERR_OK;
}

static void door_release(struct doors *doors, struct door *door, bool broken) {
    door->used_us = loop_now_us(doors->env->loop);
    if (broken && !door->broken)
        door->broken = true;
    if (door->broken && map_get_u64(doors->map, door->number) == door)
        (void)map_remove_u64(doors->map, door->number); /* the next one opens a new door */
    if (--door->users == 0 && door->broken)
        door_free(doors, door);
}

static enum err door_call(struct doors *doors, uint64_t number, enum account_op op, const void *args, struct file *file,
                          struct arena *arena, void *result) {
    enum err err = ERR_AGAIN;
    for (int attempt = 0; attempt < 2 && err == ERR_AGAIN; attempt++) {
        struct door *door = NULL;
        err = door_get(doors, number, &door);
        bool was_open = err == ERR_OK;
        if (was_open)
            err = account_call(door->account, op, args, file, arena, result);
        if (door)
            door_release(doors, door, !was_open || err == ERR_AGAIN || err == ERR_CLOSED || err == ERR_TIMEOUT);
        if (err == ERR_CLOSED)
            err = ERR_AGAIN;
    }
    return err;
}

enum err doors_check(struct doors *doors, uint64_t account, const struct deliver_check_args *args, struct arena *arena,
                     struct deliver_check_result *result) {
    return door_call(doors, account, ACCOUNT_OP_deliver_check, args, NULL, arena, result);
}

enum err doors_commit(struct doors *doors, uint64_t account, const struct deliver_commit_args *args, struct file *file,
                      struct arena *arena, struct deliver_commit_result *result) {
    return door_call(doors, account, ACCOUNT_OP_deliver_commit, args, file, arena, result);
}
