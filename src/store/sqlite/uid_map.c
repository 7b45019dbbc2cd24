/*
 * The UIDs of a mailbox as runs without gaps, in memory, shared by all sessions
 * of the account; loaded when first asked for and kept up to date by what was
 * committed, so that SELECT and EXISTS do not cost the size of the mailbox.
 */
#include "store/sqlite/account_impl.h"

#include <stdlib.h>

#define UID_MAPS_MAX 64          /* maps in memory; the one not used for longest goes */
#define UID_RANGES_LIMIT 4000000 /* of one mailbox */

static void map_drop(struct sqlite_account *account, uint64_t mailbox) {
    struct uid_map *map = map_remove_u64(account->uid_maps, mailbox);
    if (map == NULL)
        return;
    vec_fini(&map->ranges);
    free(map);
}

void uid_map_clear(struct sqlite_account *account) {
    size_t cursor = 0;
    struct view key;
    void *value;
    while (map_next(account->uid_maps, &cursor, &key, &value))
        map_drop(account, ((struct uid_map *)value)->mailbox);
}

static void forget_one(struct sqlite_account *account) {
    size_t cursor = 0;
    struct view key;
    void *value;
    struct uid_map *oldest = NULL;
    while (map_next(account->uid_maps, &cursor, &key, &value)) {
        struct uid_map *map = value;
        if (oldest == NULL || map->used < oldest->used)
            oldest = map;
    }
    if (oldest != NULL)
        map_drop(account, oldest->mailbox);
}

static bool add_last(struct uid_map *map, uint32_t uid) {
    struct uid_range *last = map->ranges.n > 0 ? vec_at(&map->ranges, map->ranges.n - 1) : NULL;
    if (last != NULL && last->last + 1 == uid) {
        last->last = uid;
    } else {
        struct uid_range *range = vec_add(&map->ranges);
        if (range == NULL)
            return false;
        *range = (struct uid_range){uid, uid};
    }
    map->count++;
    return true;
}

static enum err load(struct sqlite_account *account, struct uid_map *map) {
    sqlite3_stmt *stmt;
    TRY(db_query(account->db, &stmt, "SELECT uid FROM message WHERE mailbox=? ORDER BY uid", "i", map->mailbox));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        if (!add_last(map, column_u32(stmt, 0))) {
            db_done(stmt);
            return ERR_NO_MEMORY;
        }
    }
}

enum err uid_map_get(struct sqlite_account *account, uint64_t mailbox, struct uid_map **out) {
    struct uid_map *map = map_get_u64(account->uid_maps, mailbox);
    if (map == NULL) {
        if (map_count(account->uid_maps) >= UID_MAPS_MAX)
            forget_one(account);
        map = calloc(1, sizeof(*map));
        if (map == NULL)
            return ERR_NO_MEMORY;
        map->mailbox = mailbox;
        map->ranges = VEC_OF(struct uid_range, UID_RANGES_LIMIT);
        enum err err = load(account, map);
        if (err == ERR_OK)
            err = map_put_u64(account->uid_maps, mailbox, map);
        if (err != ERR_OK) {
            vec_fini(&map->ranges);
            free(map);
            return err;
        }
    }
    map->used = ++account->uid_map_clock;
    *out = map;
    return ERR_OK;
}

/* Index of the first range whose last UID is not below uid. */
static size_t range_at(const struct uid_map *map, uint32_t uid) {
    size_t low = 0, high = map->ranges.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (VEC_AT(&map->ranges, struct uid_range, middle)->last < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool remove_uid(struct uid_map *map, uint32_t uid) {
    size_t at = range_at(map, uid);
    struct uid_range *range = at < map->ranges.n ? vec_at(&map->ranges, at) : NULL;
    if (range == NULL || range->first > uid)
        return false;
    map->count--;
    if (range->first == range->last) {
        vec_remove(&map->ranges, at, 1);
    } else if (range->first == uid) {
        range->first++;
    } else if (range->last == uid) {
        range->last--;
    } else {
        uint32_t last = range->last;
        range->last = uid - 1;
        struct uid_range *rest = vec_insert(&map->ranges, at + 1);
        if (rest == NULL)
            return false;
        *rest = (struct uid_range){uid + 1, last};
    }
    return true;
}

void uid_map_apply(struct sqlite_account *account, const struct change *change) {
    struct uid_map *map = map_get_u64(account->uid_maps, change->mailbox);
    if (map == NULL || change->kind == CHANGE_TOUCHED)
        return;
    bool is_good = false;
    if (change->kind == CHANGE_ADDED) {
        const struct uid_range *last = map->ranges.n > 0 ? vec_at(&map->ranges, map->ranges.n - 1) : NULL;
        is_good = (last == NULL || last->last < change->uid) && add_last(map, change->uid);
    } else if (change->kind == CHANGE_REMOVED) {
        is_good = remove_uid(map, change->uid);
    }
    if (!is_good)
        map_drop(account, change->mailbox);
}

enum err range_list_add(struct range_list *ranges, struct arena *arena, uint32_t uid) {
    if (ranges->n > 0 && ranges->list[ranges->n - 1].last + 1 == uid) {
        ranges->list[ranges->n - 1].last = uid;
        return ERR_OK;
    }
    if (ranges->n == ranges->max)
        return ERR_LIMIT;
    if (ranges->n == ranges->cap) {
        uint32_t cap = ranges->cap == 0 ? 16 : ranges->cap * 2;
        struct uid_range *list = arena_grow(arena, ranges->list, ranges->cap, cap, sizeof(*list));
        if (list == NULL)
            return ERR_NO_MEMORY;
        ranges->list = list;
        ranges->cap = cap;
    }
    ranges->list[ranges->n++] = (struct uid_range){uid, uid};
    return ERR_OK;
}

enum err op_uid_map(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct uid_map_args *args = call->args;
    struct uid_map_result result = {0};
    struct uid_map *map;
    int64_t modseq;
    TRY(db_get(account->db, &modseq, "SELECT content_modseq FROM mailbox WHERE id=?", "i", args->mailbox));
    TRY(uid_map_get(account, args->mailbox, &map));
    size_t at = range_at(map, args->from_uid);
    size_t n = MIN(map->ranges.n - at, (size_t)ACCOUNT_RANGES_MAX);
    result.ranges = ARENA_ARRAY(call->arena, n, struct uid_range);
    if (result.ranges == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        result.ranges[i] = *VEC_AT(&map->ranges, struct uid_range, at + i);
        result.ranges[i].first = MAX(result.ranges[i].first, args->from_uid);
    }
    result.ranges_n = (uint32_t)n;
    result.next_uid = at + n < map->ranges.n ? VEC_AT(&map->ranges, struct uid_range, at + n)->first : 0;
    result.highest_modseq = (uint64_t)modseq;
    *(struct uid_map_result *)call->result = result;
    return ERR_OK;
}
