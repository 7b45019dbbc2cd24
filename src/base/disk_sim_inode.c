/*
 * Inodes of the simulated disk: contents, names, their changes, and the power
 * cut, which is a copy of the platter's side with some of the changes applied.
 */
#include "base/disk_sim_inode.h"

#include "base/disk_sim.h"

#include <stdlib.h>
#include <string.h>

#define SIM_ENTRIES_MOST ((size_t)1 << 24)

void *sim_need(void *p) {
    BUG_IF(p == NULL);
    return p;
}

static void content_resize(struct sim_content *content, size_t n) {
    if (n > content->cap) {
        size_t cap = MAX(n, content->cap * 2);
        content->p = sim_need(realloc(content->p, cap));
        content->cap = cap;
    }
    if (n > content->n)
        memset(content->p + content->n, 0, n - content->n);
    content->n = n;
}

static void content_write(struct sim_content *content, struct view v, uint64_t offset) {
    if (v.n == 0)
        return;
    if (offset + v.n > content->n)
        content_resize(content, (size_t)(offset + v.n));
    memcpy(content->p + offset, v.p, v.n);
}

static void content_set(struct sim_content *to, const struct sim_content *from) {
    content_resize(to, from->n);
    if (from->n > 0)
        memcpy(to->p, from->p, from->n);
}

void sim_data_changes_forget(struct sim_inode *inode) {
    VEC_EACH(&inode->data_changes, struct sim_data_change, change)
    free(change->octets);
    vec_clear(&inode->data_changes);
}

void sim_change_data(struct sim_inode *inode, struct view v, uint64_t offset) {
    content_write(&inode->seen, v, offset);
    struct sim_data_change *change = sim_need(vec_add(&inode->data_changes));
    *change = (struct sim_data_change){.offset = offset, .n = v.n};
    change->octets = sim_need(malloc(MAX(v.n, 1)));
    if (v.n > 0)
        memcpy(change->octets, v.p, v.n);
}

void sim_change_size(struct sim_inode *inode, uint64_t size) {
    content_resize(&inode->seen, (size_t)size);
    struct sim_data_change *change = sim_need(vec_add(&inode->data_changes));
    *change = (struct sim_data_change){.is_truncation = true, .offset = size};
}

/* ---- inodes and names ---- */

struct sim_inode *sim_inode_new(struct sim_inode *head, bool is_dir) {
    struct sim_inode *inode = sim_need(calloc(1, sizeof(*inode)));
    *inode = (struct sim_inode){
        .refs = 1,
        .is_dir = is_dir,
        .data_changes = VEC_OF(struct sim_data_change, SIM_ENTRIES_MOST),
        .seen_names = VEC_OF(struct sim_entry, SIM_ENTRIES_MOST),
        .durable_names = VEC_OF(struct sim_entry, SIM_ENTRIES_MOST),
        .name_changes = VEC_OF(struct sim_name_change, SIM_ENTRIES_MOST),
    };
    inode->next = head->next;
    inode->prev = head;
    inode->next->prev = inode;
    head->next = inode;
    return inode;
}

struct sim_entry sim_entry_new(struct view name, struct sim_inode *inode) {
    struct sim_entry entry = {.name = sim_need(malloc(MAX(name.n, 1))), .name_n = name.n, .inode = inode};
    memcpy(entry.name, name.p, name.n);
    if (inode != NULL)
        inode->refs++;
    return entry;
}

void sim_entry_fini(struct sim_entry *entry) {
    free(entry->name);
    if (entry->inode != NULL)
        sim_inode_unref(entry->inode);
}

/* Frees what the inode holds, and lets go of others when with_refs (not when the whole storage is going). */
static void inode_destroy(struct sim_inode *inode, bool with_refs) {
    inode->prev->next = inode->next;
    inode->next->prev = inode->prev;
    sim_data_changes_forget(inode);
    struct vec *names[] = {&inode->seen_names, &inode->durable_names};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        VEC_EACH(names[i], struct sim_entry, entry) {
            if (!with_refs)
                entry->inode = NULL;
            sim_entry_fini(entry);
        }
        vec_fini(names[i]);
    }
    VEC_EACH(&inode->name_changes, struct sim_name_change, change) {
        if (!with_refs)
            change->entry.inode = NULL;
        sim_entry_fini(&change->entry);
    }
    vec_fini(&inode->name_changes);
    vec_fini(&inode->data_changes);
    free(inode->seen.p);
    free(inode->durable.p);
    free(inode);
}

void sim_inode_unref(struct sim_inode *inode) {
    if (--inode->refs == 0)
        inode_destroy(inode, true);
}

struct sim_entry *sim_names_find(const struct vec *names, struct view name) {
    VEC_EACH(names, struct sim_entry, entry) {
        if (view_eq(view_of(entry->name, entry->name_n), name))
            return entry;
    }
    return NULL;
}

/* Makes name stand for inode, or for nothing (NULL). */
static void names_set(struct vec *names, struct view name, struct sim_inode *inode) {
    struct sim_entry *entry = sim_names_find(names, name);
    if (inode == NULL && entry == NULL)
        return;
    struct sim_entry old = {0};
    if (entry != NULL) {
        old = *entry;
        if (inode == NULL)
            vec_remove(names, (size_t)(entry - (struct sim_entry *)names->p), 1);
    } else {
        entry = sim_need(vec_add(names));
    }
    if (inode != NULL)
        *entry = sim_entry_new(name, inode);
    if (old.name != NULL)
        sim_entry_fini(&old);
}

void sim_change_name(struct sim_inode *dir, uint64_t id, struct view name, struct sim_inode *inode) {
    struct sim_name_change *change = sim_need(vec_add(&dir->name_changes));
    *change = (struct sim_name_change){id, sim_entry_new(name, inode)};
    names_set(&dir->seen_names, name, inode);
}

void sim_inodes_free(struct sim_inode *head) {
    while (head->next != head)
        inode_destroy(head->next, false);
}

void sim_data_sync(struct sim_inode *inode) {
    VEC_EACH(&inode->data_changes, struct sim_data_change, change) {
        if (change->is_truncation)
            content_resize(&inode->durable, (size_t)change->offset);
        else
            content_write(&inode->durable, view_of(change->octets, change->n), change->offset);
    }
    sim_data_changes_forget(inode);
}

void sim_names_sync(struct sim_inode *dir) {
    VEC_EACH(&dir->name_changes, struct sim_name_change, change) {
        names_set(&dir->durable_names, view_of(change->entry.name, change->entry.name_n), change->entry.inode);
        sim_entry_fini(&change->entry);
    }
    vec_clear(&dir->name_changes);
}

/* ---- the power cut ---- */

/* How a power cut decides. Beside coins for each thing there are the extremes, and a journal that kept names in order. */
enum fate { FATE_LOSE, FATE_KEEP, FATE_COINS, FATE_JOURNAL };
struct cut {
    struct sim_inode *to;
    struct random *random;
    enum fate fate;
    uint64_t journal_end; /* FATE_JOURNAL: changes of names from this id on are lost */
    uint64_t salt;        /* FATE_COINS: both halves of a rename get the same coin */
};

static bool keeps_data(const struct cut *cut) {
    if (cut->fate == FATE_LOSE || cut->fate == FATE_KEEP)
        return cut->fate == FATE_KEEP;
    return random_below(cut->random, 2) == 1;
}

static bool keeps_name(const struct cut *cut, uint64_t id) {
    if (cut->fate == FATE_JOURNAL)
        return id < cut->journal_end;
    if (cut->fate != FATE_COINS)
        return cut->fate == FATE_KEEP;
    struct random_seeded coin;
    random_seeded_init(&coin, cut->salt ^ id);
    return (random_u64(&coin.random) & 1) != 0;
}

static struct sim_inode *cut_file(const struct cut *cut, struct sim_inode *from) {
    struct sim_inode *to = sim_inode_new(cut->to, false);
    content_set(&to->durable, &from->durable);
    VEC_EACH(&from->data_changes, struct sim_data_change, change) {
        if (change->is_truncation) {
            if (keeps_data(cut))
                content_resize(&to->durable, (size_t)change->offset);
            continue;
        }
        for (uint64_t at = change->offset, end = at + change->n, next; at < end; at = next) {
            next = MIN(end, at - at % DISK_SIM_SECTOR + DISK_SIM_SECTOR);
            if (keeps_data(cut))
                content_write(&to->durable, view_of(change->octets + (at - change->offset), (size_t)(next - at)), at);
        }
    }
    content_set(&to->seen, &to->durable);
    return to;
}

/* The copy that the name of `from` is to stand for; the caller has a reference to it. */
static struct sim_inode *cut_inode(const struct cut *cut, struct sim_inode *from) {
    if (from->twin != NULL) {
        from->twin->refs++;
        return from->twin;
    }
    if (!from->is_dir) {
        from->twin = cut_file(cut, from);
        return from->twin;
    }
    struct sim_inode *to = from->twin = sim_inode_new(cut->to, true);
    /* Names first and contents after, so that what was lost costs nothing. */
    struct vec names = VEC_OF(struct sim_entry, SIM_ENTRIES_MOST);
    VEC_EACH(&from->durable_names, struct sim_entry, entry)
    names_set(&names, view_of(entry->name, entry->name_n), entry->inode);
    VEC_EACH(&from->name_changes, struct sim_name_change, change) {
        if (keeps_name(cut, change->id))
            names_set(&names, view_of(change->entry.name, change->entry.name_n), change->entry.inode);
    }
    VEC_EACH(&names, struct sim_entry, entry) {
        struct view name = view_of(entry->name, entry->name_n);
        struct sim_inode *inode = cut_inode(cut, entry->inode);
        names_set(&to->durable_names, name, inode);
        names_set(&to->seen_names, name, inode);
        sim_inode_unref(inode);
        sim_entry_fini(entry);
    }
    vec_fini(&names);
    return to;
}

struct sim_inode *sim_inode_power_cut(struct sim_inode *root, struct sim_inode *head, uint64_t next_id,
                                      struct random *random, struct sim_inode *to) {
    struct cut cut = {.to = to, .random = random, .fate = FATE_LOSE};
    if (random != NULL) {
        cut.fate = (enum fate)random_below(random, FATE_JOURNAL + 1);
        cut.journal_end = random_below(random, next_id + 1);
        cut.salt = random_u64(random);
    }
    for (struct sim_inode *inode = head->next; inode != head; inode = inode->next)
        inode->twin = NULL;
    return cut_inode(&cut, root);
}
