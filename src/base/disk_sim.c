/*
 * The simulated disk. An inode holds what its users see and what the platter
 * holds, and between them the list of changes not synced yet. A power cut is a
 * copy of the platter's side with some of those changes applied.
 */
#include "base/disk_sim.h"

#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#define SIM_FREE_BYTES (UINT64_C(1) << 40) /* what an empty and a filled simulated disk report alike */
#define SIM_ENTRIES_MOST ((size_t)1 << 24)
#define SIM_FILE_MOST (UINT64_C(1) << 32)

struct content {
    uint8_t *p;
    size_t n, cap;
};

/* A write (octets != NULL or n = 0) or a truncation to `offset`. */
struct data_change {
    bool is_truncation;
    uint64_t offset;
    uint8_t *octets;
    size_t n;
};

struct entry {
    uint8_t *name;
    size_t name_n;
    struct inode *inode;
};

/* A name that came to stand for inode, or (NULL) was removed. */
struct name_change {
    uint64_t id; /* in order of time; both halves of a rename have the same */
    struct entry entry;
};

struct inode {
    struct inode *prev, *next; /* all of the storage */
    unsigned refs;             /* entries, changes, open files, disks */
    bool is_dir;
    struct content seen, durable; /* file */
    struct vec data_changes;
    struct vec seen_names, durable_names; /* directory: struct entry */
    struct vec name_changes;
    struct inode *twin; /* its copy while a power cut is played */
};

struct storage {
    unsigned refs;       /* disks and open files */
    struct inode inodes; /* list head */
    struct inode *root;
    struct open *opens;
    uint64_t next_id;
    uint64_t operations, syncs;
    uint64_t fail_in, skip_in; /* 0: never */
    enum err fail_err;
    bool is_full, is_dead;
};

struct sim_disk {
    struct disk disk;
    struct storage *storage;
    struct sim_disk *parent;
    struct inode *dir;
    unsigned refs; /* owner, sub-disks, files opened through it */
    bool is_dead;
};

enum lock { LOCK_NONE, LOCK_SHARED, LOCK_EXCLUSIVE };

/* An open file description: what dup(2) shares. */
struct open {
    struct open *prev, *next;
    unsigned refs;
    struct storage *storage;
    struct inode *inode;
    struct sim_disk *opener; /* whose death releases the lock */
    enum lock lock;
    bool may_write;
};

struct sim_file {
    struct file file;
    struct open *open;
};

static void *need(void *p) {
    BUG_IF(p == NULL);
    return p;
}

/* ---- contents ---- */

static void content_resize(struct content *content, size_t n) {
    if (n > content->cap) {
        size_t cap = MAX(n, content->cap * 2);
        content->p = need(realloc(content->p, cap));
        content->cap = cap;
    }
    if (n > content->n)
        memset(content->p + content->n, 0, n - content->n);
    content->n = n;
}

static void content_write(struct content *content, struct view v, uint64_t offset) {
    if (v.n == 0)
        return;
    if (offset + v.n > content->n)
        content_resize(content, (size_t)(offset + v.n));
    memcpy(content->p + offset, v.p, v.n);
}

static void content_set(struct content *to, const struct content *from) {
    content_resize(to, from->n);
    if (from->n > 0)
        memcpy(to->p, from->p, from->n);
}

static void data_changes_forget(struct inode *inode) {
    VEC_EACH(&inode->data_changes, struct data_change, change)
    free(change->octets);
    vec_clear(&inode->data_changes);
}

static void change_data(struct inode *inode, struct view v, uint64_t offset) {
    content_write(&inode->seen, v, offset);
    struct data_change *change = need(vec_add(&inode->data_changes));
    *change = (struct data_change){.offset = offset, .n = v.n};
    change->octets = need(malloc(MAX(v.n, 1)));
    if (v.n > 0)
        memcpy(change->octets, v.p, v.n);
}

static void change_size(struct inode *inode, uint64_t size) {
    content_resize(&inode->seen, (size_t)size);
    struct data_change *change = need(vec_add(&inode->data_changes));
    *change = (struct data_change){.is_truncation = true, .offset = size};
}

/* ---- inodes and names ---- */

static void inode_unref(struct inode *inode);

static struct inode *inode_new(struct storage *storage, bool is_dir) {
    struct inode *inode = need(calloc(1, sizeof(*inode)));
    *inode = (struct inode){
        .refs = 1,
        .is_dir = is_dir,
        .data_changes = VEC_OF(struct data_change, SIM_ENTRIES_MOST),
        .seen_names = VEC_OF(struct entry, SIM_ENTRIES_MOST),
        .durable_names = VEC_OF(struct entry, SIM_ENTRIES_MOST),
        .name_changes = VEC_OF(struct name_change, SIM_ENTRIES_MOST),
    };
    inode->next = storage->inodes.next;
    inode->prev = &storage->inodes;
    inode->next->prev = inode;
    storage->inodes.next = inode;
    return inode;
}

static struct entry entry_new(struct view name, struct inode *inode) {
    struct entry entry = {.name = need(malloc(MAX(name.n, 1))), .name_n = name.n, .inode = inode};
    memcpy(entry.name, name.p, name.n);
    if (inode != NULL)
        inode->refs++;
    return entry;
}

static void entry_fini(struct entry *entry) {
    free(entry->name);
    if (entry->inode != NULL)
        inode_unref(entry->inode);
}

/* Frees what the inode holds, and lets go of others when with_refs (not when the whole storage is going). */
static void inode_destroy(struct inode *inode, bool with_refs) {
    inode->prev->next = inode->next;
    inode->next->prev = inode->prev;
    data_changes_forget(inode);
    struct vec *names[] = {&inode->seen_names, &inode->durable_names};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        VEC_EACH(names[i], struct entry, entry) {
            if (!with_refs)
                entry->inode = NULL;
            entry_fini(entry);
        }
        vec_fini(names[i]);
    }
    VEC_EACH(&inode->name_changes, struct name_change, change) {
        if (!with_refs)
            change->entry.inode = NULL;
        entry_fini(&change->entry);
    }
    vec_fini(&inode->name_changes);
    vec_fini(&inode->data_changes);
    free(inode->seen.p);
    free(inode->durable.p);
    free(inode);
}

static void inode_unref(struct inode *inode) {
    if (--inode->refs == 0)
        inode_destroy(inode, true);
}

static struct entry *names_find(const struct vec *names, struct view name) {
    VEC_EACH(names, struct entry, entry) {
        if (view_eq(view_of(entry->name, entry->name_n), name))
            return entry;
    }
    return NULL;
}

/* Makes name stand for inode, or for nothing (NULL). */
static void names_set(struct vec *names, struct view name, struct inode *inode) {
    struct entry *entry = names_find(names, name);
    if (inode == NULL && entry == NULL)
        return;
    struct entry old = {0};
    if (entry != NULL) {
        old = *entry;
        if (inode == NULL)
            vec_remove(names, (size_t)(entry - (struct entry *)names->p), 1);
    } else {
        entry = need(vec_add(names));
    }
    if (inode != NULL)
        *entry = entry_new(name, inode);
    if (old.name != NULL)
        entry_fini(&old);
}

static void change_name(struct inode *dir, uint64_t id, struct view name, struct inode *inode) {
    struct name_change *change = need(vec_add(&dir->name_changes));
    *change = (struct name_change){id, entry_new(name, inode)};
    names_set(&dir->seen_names, name, inode);
}

/* ---- storage and disks ---- */

static void storage_unref(struct storage *storage) {
    if (--storage->refs > 0)
        return;
    while (storage->inodes.next != &storage->inodes)
        inode_destroy(storage->inodes.next, false);
    free(storage);
}

static struct sim_disk *disk_new(struct storage *storage, struct sim_disk *parent, struct inode *dir);
static const struct disk_ops sim_disk_ops;
static const struct file_ops sim_file_ops;

static struct storage *storage_new(void) {
    struct storage *storage = need(calloc(1, sizeof(*storage)));
    storage->inodes.prev = storage->inodes.next = &storage->inodes;
    storage->root = inode_new(storage, true);
    return storage;
}

static struct sim_disk *disk_new(struct storage *storage, struct sim_disk *parent, struct inode *dir) {
    struct sim_disk *disk = need(calloc(1, sizeof(*disk)));
    disk->disk.ops = &sim_disk_ops;
    disk->storage = storage;
    disk->parent = parent;
    disk->dir = dir;
    disk->refs = 1;
    dir->refs++;
    storage->refs++;
    if (parent != NULL)
        parent->refs++;
    return disk;
}

static void disk_unref(struct sim_disk *disk) {
    while (disk != NULL && --disk->refs == 0) {
        struct sim_disk *parent = disk->parent;
        inode_unref(disk->dir);
        storage_unref(disk->storage);
        free(disk);
        disk = parent;
    }
}

static struct sim_disk *sim_of(const struct disk *disk) {
    BUG_IF(disk->ops != &sim_disk_ops);
    return (struct sim_disk *)(uintptr_t)disk;
}

static bool is_dead(const struct sim_disk *disk) {
    for (; disk != NULL; disk = disk->parent) {
        if (disk->is_dead)
            return true;
    }
    return false;
}

/* Every operation begins here, where it may be told to fail. disk is NULL for files that belong to nobody. */
static enum err begin(struct storage *storage, const struct sim_disk *disk, bool takes_space) {
    if (storage->is_dead || is_dead(disk))
        return ERR_IO;
    storage->operations++;
    if (storage->fail_in == 0 || (storage->fail_err == ERR_FULL && !takes_space))
        return ERR_OK;
    return --storage->fail_in == 0 ? storage->fail_err : ERR_OK;
}

/* True when this sync is the one to be left out. */
static bool sync_is_skipped(struct storage *storage) {
    storage->syncs++;
    return storage->skip_in > 0 && --storage->skip_in == 0;
}

static bool next_part(struct view *rest, struct view *part) {
    do {
        if (rest->n == 0)
            return false;
        (void)view_split(*rest, '/', part, rest);
    } while (view_eq(*part, VIEW(".")));
    return true;
}

/* Finds the directory that holds the last part of path; *last is empty when path is the disk's own root. */
static enum err walk(const struct sim_disk *disk, const char *path, struct inode **dir, struct view *last) {
    struct view rest = view_cstr(path), part, next;
    if (rest.n == 0 || rest.p[0] == '/' || rest.p[rest.n - 1] == '/')
        return ERR_BUG;
    struct inode *at = disk->dir;
    if (!next_part(&rest, &part))
        part = VIEW_NONE;
    while (next_part(&rest, &next)) {
        struct entry *entry = names_find(&at->seen_names, part);
        if (part.n == 0 || view_eq(part, VIEW("..")))
            return ERR_BUG;
        if (entry == NULL || !entry->inode->is_dir)
            return ERR_NOT_FOUND;
        at = entry->inode;
        part = next;
    }
    if (view_eq(part, VIEW("..")))
        return ERR_BUG;
    *dir = at;
    *last = part;
    return ERR_OK;
}

static enum err find(const struct sim_disk *disk, const char *path, struct inode **out) {
    struct inode *dir;
    struct view last;
    TRY(walk(disk, path, &dir, &last));
    const struct entry *entry = last.n == 0 ? NULL : names_find(&dir->seen_names, last);
    if (last.n > 0 && entry == NULL)
        return ERR_NOT_FOUND;
    *out = last.n == 0 ? dir : entry->inode;
    return ERR_OK;
}

static enum err find_dir(const struct sim_disk *disk, const char *path, struct inode **out) {
    struct inode *inode;
    TRY(find(disk, path, &inode));
    if (!inode->is_dir)
        return ERR_NOT_FOUND;
    *out = inode;
    return ERR_OK;
}

static struct file *file_new(struct open *open, struct sim_disk *disk) {
    struct sim_file *file = need(calloc(1, sizeof(*file)));
    file->file = (struct file){.ops = &sim_file_ops, .disk = disk == NULL ? NULL : &disk->disk, .refs = 1};
    file->open = open;
    open->refs++;
    if (disk != NULL)
        disk->refs++;
    return &file->file;
}

static struct file *open_inode(struct sim_disk *disk, struct inode *inode, bool may_write) {
    struct open *open = need(calloc(1, sizeof(*open)));
    *open = (struct open){.storage = disk->storage, .inode = inode, .opener = disk, .may_write = may_write};
    inode->refs++;
    disk->refs++;
    disk->storage->refs++;
    open->next = disk->storage->opens;
    if (open->next != NULL)
        open->next->prev = open;
    disk->storage->opens = open;
    return file_new(open, disk);
}

static enum err sim_open(struct disk *base, const char *path, unsigned how, struct file **out) {
    struct sim_disk *disk = sim_of(base);
    struct inode *dir, *inode;
    struct view last;
    TRY(begin(disk->storage, disk, (how & (DISK_CREATE | DISK_TEMPORARY)) != 0));
    if (how & DISK_TEMPORARY) {
        TRY(find_dir(disk, path, &dir));
        if (disk->storage->is_full)
            return ERR_FULL;
        inode = inode_new(disk->storage, false);
        *out = open_inode(disk, inode, true);
        inode_unref(inode);
        return ERR_OK;
    }
    TRY(walk(disk, path, &dir, &last));
    const struct entry *entry = last.n == 0 ? NULL : names_find(&dir->seen_names, last);
    if (last.n == 0 || (entry != NULL && entry->inode->is_dir))
        return ERR_IO;
    if (entry != NULL) {
        if (how & DISK_EXCLUSIVE)
            return ERR_EXISTS;
        if ((how & DISK_TRUNCATE) && entry->inode->seen.n > 0)
            change_size(entry->inode, 0);
        *out = open_inode(disk, entry->inode, (how & DISK_WRITE) != 0);
        return ERR_OK;
    }
    if ((how & DISK_CREATE) == 0)
        return ERR_NOT_FOUND;
    if (disk->storage->is_full)
        return ERR_FULL;
    inode = inode_new(disk->storage, false);
    change_name(dir, disk->storage->next_id++, last, inode);
    *out = open_inode(disk, inode, true);
    inode_unref(inode);
    return ERR_OK;
}

static enum err sim_remove(struct disk *base, const char *path) {
    struct sim_disk *disk = sim_of(base);
    struct inode *dir;
    struct view last;
    TRY(begin(disk->storage, disk, false));
    TRY(walk(disk, path, &dir, &last));
    const struct entry *entry = last.n == 0 ? NULL : names_find(&dir->seen_names, last);
    if (entry == NULL)
        return last.n == 0 ? ERR_BUG : ERR_NOT_FOUND;
    if (entry->inode->is_dir && entry->inode->seen_names.n > 0)
        return ERR_EXISTS;
    change_name(dir, disk->storage->next_id++, last, NULL);
    return ERR_OK;
}

/* Whether dir is inside (or is) the directory `top`. */
static bool is_within(const struct inode *dir, const struct inode *top) {
    if (dir == top)
        return true;
    VEC_EACH(&top->seen_names, struct entry, entry) {
        if (entry->inode->is_dir && is_within(dir, entry->inode))
            return true;
    }
    return false;
}

static enum err sim_rename(struct disk *base, const char *from, const char *to) {
    struct sim_disk *disk = sim_of(base);
    struct inode *from_dir, *to_dir;
    struct view from_name, to_name;
    TRY(begin(disk->storage, disk, false));
    TRY(walk(disk, from, &from_dir, &from_name));
    TRY(walk(disk, to, &to_dir, &to_name));
    if (from_name.n == 0 || to_name.n == 0)
        return ERR_BUG;
    const struct entry *source = names_find(&from_dir->seen_names, from_name);
    const struct entry *target = names_find(&to_dir->seen_names, to_name);
    if (source == NULL)
        return ERR_NOT_FOUND;
    if (target != NULL) {
        if (target->inode == source->inode)
            return ERR_OK;
        if (target->inode->is_dir != source->inode->is_dir)
            return target->inode->is_dir ? ERR_IO : ERR_NOT_FOUND;
        if (target->inode->is_dir && target->inode->seen_names.n > 0)
            return ERR_EXISTS;
    }
    struct inode *inode = source->inode;
    if (inode->is_dir && is_within(to_dir, inode))
        return ERR_IO;
    uint64_t id = disk->storage->next_id++;
    inode->refs++;
    change_name(to_dir, id, to_name, inode);
    change_name(from_dir, id, from_name, NULL);
    inode_unref(inode);
    return ERR_OK;
}

static enum err sim_mkdir(struct disk *base, const char *path) {
    struct sim_disk *disk = sim_of(base);
    struct inode *dir;
    struct view last;
    TRY(begin(disk->storage, disk, true));
    TRY(walk(disk, path, &dir, &last));
    if (last.n == 0 || names_find(&dir->seen_names, last) != NULL)
        return ERR_EXISTS;
    if (disk->storage->is_full)
        return ERR_FULL;
    struct inode *inode = inode_new(disk->storage, true);
    change_name(dir, disk->storage->next_id++, last, inode);
    inode_unref(inode);
    return ERR_OK;
}

static enum err sim_sync_dir(struct disk *base, const char *path) {
    struct sim_disk *disk = sim_of(base);
    struct inode *dir;
    TRY(begin(disk->storage, disk, false));
    TRY(find_dir(disk, path, &dir));
    base->syncs++;
    if (sync_is_skipped(disk->storage))
        return ERR_OK;
    VEC_EACH(&dir->name_changes, struct name_change, change) {
        names_set(&dir->durable_names, view_of(change->entry.name, change->entry.name_n), change->entry.inode);
        entry_fini(&change->entry);
    }
    vec_clear(&dir->name_changes);
    return ERR_OK;
}

static enum err sim_exists(struct disk *base, const char *path, bool *is_there) {
    struct sim_disk *disk = sim_of(base);
    struct inode *inode;
    TRY(begin(disk->storage, disk, false));
    enum err err = find(disk, path, &inode);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    *is_there = err == ERR_OK;
    return ERR_OK;
}

static enum err sim_list(struct disk *base, const char *path, enum err (*each)(void *ctx, struct view name),
                         void *ctx) {
    struct sim_disk *disk = sim_of(base);
    struct inode *dir;
    TRY(begin(disk->storage, disk, false));
    TRY(find_dir(disk, path, &dir));
    /* Over a copy, because each() may well remove what it is shown. */
    struct vec names = VEC_OF(struct entry, SIM_ENTRIES_MOST);
    VEC_EACH(&dir->seen_names, struct entry, entry)
    *(struct entry *)need(vec_add(&names)) = entry_new(view_of(entry->name, entry->name_n), NULL);
    enum err err = ERR_OK;
    VEC_EACH(&names, struct entry, entry) {
        if (err == ERR_OK)
            err = each(ctx, view_of(entry->name, entry->name_n));
        entry_fini(entry);
    }
    vec_fini(&names);
    return err;
}

static enum err sim_free_bytes(struct disk *base, uint64_t *out) {
    struct sim_disk *disk = sim_of(base);
    TRY(begin(disk->storage, disk, false));
    *out = disk->storage->is_full ? 0 : SIM_FREE_BYTES;
    return ERR_OK;
}

static enum err sim_sub(struct disk *base, const char *path, struct disk **out) {
    struct sim_disk *disk = sim_of(base);
    struct inode *dir;
    TRY(begin(disk->storage, disk, false));
    TRY(find_dir(disk, path, &dir));
    *out = &disk_new(disk->storage, disk, dir)->disk;
    return ERR_OK;
}

static void sim_free(struct disk *base) {
    disk_unref(sim_of(base));
}

static const struct disk_ops sim_disk_ops = {
    .open = sim_open,
    .remove = sim_remove,
    .rename = sim_rename,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .exists = sim_exists,
    .list = sim_list,
    .free_bytes = sim_free_bytes,
    .sub = sim_sub,
    .free = sim_free,
};

/* ---- files ---- */

static struct open *open_of(const struct file *file) {
    BUG_IF(file->ops != &sim_file_ops);
    return ((const struct sim_file *)(const void *)file)->open;
}

static enum err begin_file(const struct file *file, bool takes_space) {
    const struct open *open = open_of(file);
    return begin(open->storage, file->disk == NULL ? NULL : sim_of(file->disk), takes_space);
}

static enum err sim_read(struct file *file, void *p, size_t n, uint64_t offset, size_t *got) {
    TRY(begin_file(file, false));
    const struct content *seen = &open_of(file)->inode->seen;
    size_t part = offset >= seen->n ? 0 : MIN(n, seen->n - (size_t)offset);
    if (part > 0)
        memcpy(p, seen->p + offset, part);
    *got = part;
    return ERR_OK;
}

static enum err sim_write(struct file *file, struct view v, uint64_t offset) {
    struct open *open = open_of(file);
    if (!open->may_write)
        return ERR_BUG;
    if (offset > SIM_FILE_MOST || v.n > SIM_FILE_MOST - offset)
        return ERR_FULL;
    bool was_dead = open->storage->is_dead || (file->disk != NULL && is_dead(sim_of(file->disk)));
    enum err err = begin_file(file, true);
    if (err == ERR_OK && open->storage->is_full && offset + v.n > open->inode->seen.n)
        return ERR_FULL;
    if (err != ERR_OK) {
        if (!was_dead)
            change_data(open->inode, view_sub(v, 0, v.n / 2 / DISK_SIM_SECTOR * DISK_SIM_SECTOR), offset);
        return err;
    }
    if (file->disk != NULL) {
        file->disk->writes++;
        file->disk->written_bytes += v.n;
    }
    change_data(open->inode, v, offset);
    return ERR_OK;
}

static enum err sim_truncate(struct file *file, uint64_t size) {
    struct open *open = open_of(file);
    if (!open->may_write)
        return ERR_BUG;
    TRY(begin_file(file, size > open->inode->seen.n));
    if (size > SIM_FILE_MOST || (open->storage->is_full && size > open->inode->seen.n))
        return ERR_FULL;
    change_size(open->inode, size);
    return ERR_OK;
}

static enum err sim_size(struct file *file, uint64_t *out) {
    TRY(begin_file(file, false));
    *out = open_of(file)->inode->seen.n;
    return ERR_OK;
}

static enum err sim_sync(struct file *file, bool data_only) {
    struct open *open = open_of(file);
    struct inode *inode = open->inode;
    (void)data_only; /* both keep content and size; times are not simulated */
    bool was_dead = open->storage->is_dead || (file->disk != NULL && is_dead(sim_of(file->disk)));
    enum err err = begin_file(file, false);
    if (err != ERR_OK) {
        if (!was_dead)
            data_changes_forget(inode);
        return err;
    }
    if (file->disk != NULL)
        file->disk->syncs++;
    if (sync_is_skipped(open->storage))
        return ERR_OK;
    VEC_EACH(&inode->data_changes, struct data_change, change) {
        if (change->is_truncation)
            content_resize(&inode->durable, (size_t)change->offset);
        else
            content_write(&inode->durable, view_of(change->octets, change->n), change->offset);
    }
    data_changes_forget(inode);
    return ERR_OK;
}

static enum err sim_link(struct file *file, struct disk *base, const char *path) {
    struct open *open = open_of(file);
    struct sim_disk *disk = sim_of(base);
    struct inode *dir;
    struct view last;
    BUG_IF(disk->storage != open->storage);
    TRY(begin_file(file, true));
    if (is_dead(disk))
        return ERR_IO;
    TRY(walk(disk, path, &dir, &last));
    if (last.n == 0 || names_find(&dir->seen_names, last) != NULL)
        return ERR_EXISTS;
    if (open->storage->is_full)
        return ERR_FULL;
    change_name(dir, open->storage->next_id++, last, open->inode);
    return ERR_OK;
}

static enum err sim_lock(struct file *file, bool exclusive) {
    struct open *open = open_of(file);
    if (exclusive && !open->may_write)
        return ERR_BUG;
    TRY(begin_file(file, false));
    for (const struct open *other = open->storage->opens; other != NULL; other = other->next) {
        if (other != open && other->inode == open->inode && other->lock != LOCK_NONE &&
            (exclusive || other->lock == LOCK_EXCLUSIVE))
            return ERR_AGAIN;
    }
    open->lock = exclusive ? LOCK_EXCLUSIVE : LOCK_SHARED;
    return ERR_OK;
}

static int sim_fd(struct file *file) {
    (void)file;
    return -1;
}

static void sim_close(struct file *file) {
    struct open *open = open_of(file);
    struct sim_disk *disk = file->disk == NULL ? NULL : sim_of(file->disk);
    free(file);
    if (--open->refs == 0) {
        if (open->next != NULL)
            open->next->prev = open->prev;
        if (open->prev != NULL)
            open->prev->next = open->next;
        else
            open->storage->opens = open->next;
        inode_unref(open->inode);
        disk_unref(open->opener);
        storage_unref(open->storage);
        free(open);
    }
    disk_unref(disk);
}

static enum err sim_dup(struct file *file, struct file **out) {
    struct open *open = open_of(file);
    if (open->storage->is_dead || (file->disk != NULL && is_dead(sim_of(file->disk))))
        return ERR_IO;
    *out = file_new(open, NULL);
    return ERR_OK;
}

static const struct file_ops sim_file_ops = {
    .read = sim_read,
    .write = sim_write,
    .truncate = sim_truncate,
    .size = sim_size,
    .sync = sim_sync,
    .link = sim_link,
    .lock = sim_lock,
    .fd = sim_fd,
    .close = sim_close,
    .dup = sim_dup,
};

/* ---- what tests do to it ---- */

struct disk *disk_sim_new(void) {
    struct storage *storage = storage_new();
    return &disk_new(storage, NULL, storage->root)->disk;
}

/* How a power cut decides. Beside coins for each thing there are the extremes, and a journal that kept names in order. */
enum fate { FATE_LOSE, FATE_KEEP, FATE_COINS, FATE_JOURNAL };
struct cut {
    struct storage *to;
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

static struct inode *cut_file(const struct cut *cut, struct inode *from) {
    struct inode *to = inode_new(cut->to, false);
    content_set(&to->durable, &from->durable);
    VEC_EACH(&from->data_changes, struct data_change, change) {
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
static struct inode *cut_inode(const struct cut *cut, struct inode *from) {
    if (from->twin != NULL) {
        from->twin->refs++;
        return from->twin;
    }
    if (!from->is_dir) {
        from->twin = cut_file(cut, from);
        return from->twin;
    }
    struct inode *to = from->twin = inode_new(cut->to, true);
    /* Names first and contents after, so that what was lost costs nothing. */
    struct vec names = VEC_OF(struct entry, SIM_ENTRIES_MOST);
    VEC_EACH(&from->durable_names, struct entry, entry)
    names_set(&names, view_of(entry->name, entry->name_n), entry->inode);
    VEC_EACH(&from->name_changes, struct name_change, change) {
        if (keeps_name(cut, change->id))
            names_set(&names, view_of(change->entry.name, change->entry.name_n), change->entry.inode);
    }
    VEC_EACH(&names, struct entry, entry) {
        struct view name = view_of(entry->name, entry->name_n);
        struct inode *inode = cut_inode(cut, entry->inode);
        names_set(&to->durable_names, name, inode);
        names_set(&to->seen_names, name, inode);
        inode_unref(inode);
        entry_fini(entry);
    }
    vec_fini(&names);
    return to;
}

struct disk *disk_sim_power_cut(struct disk *disk, struct random *random) {
    struct storage *from = sim_of(disk)->storage;
    struct storage *to = storage_new();
    struct cut cut = {.to = to, .random = random, .fate = FATE_LOSE};
    if (random != NULL) {
        cut.fate = (enum fate)random_below(random, FATE_JOURNAL + 1);
        cut.journal_end = random_below(random, from->next_id + 1);
        cut.salt = random_u64(random);
    }
    for (struct inode *inode = from->inodes.next; inode != &from->inodes; inode = inode->next)
        inode->twin = NULL;
    inode_unref(to->root);
    to->root = cut_inode(&cut, from->root);
    return &disk_new(to, NULL, to->root)->disk;
}

void disk_sim_fail_at(struct disk *disk, uint64_t n, enum err err) {
    sim_of(disk)->storage->fail_in = n;
    sim_of(disk)->storage->fail_err = err;
}

void disk_sim_full(struct disk *disk, bool is_full) {
    sim_of(disk)->storage->is_full = is_full;
}

void disk_sim_skip_sync(struct disk *disk, uint64_t n) {
    sim_of(disk)->storage->skip_in = n;
}

void disk_sim_dead(struct disk *base, bool dead) {
    struct sim_disk *disk = sim_of(base);
    disk->is_dead = dead;
    if (disk->parent == NULL)
        disk->storage->is_dead = dead;
    for (struct open *open = disk->storage->opens; open != NULL; open = open->next) {
        if (is_dead(open->opener))
            open->lock = LOCK_NONE;
    }
}

uint64_t disk_sim_operations(const struct disk *disk) {
    return sim_of(disk)->storage->operations;
}

uint64_t disk_sim_syncs(const struct disk *disk) {
    return sim_of(disk)->storage->syncs;
}
