/* The simulated disk: its operations, its faults, and who is alive. What is durable is in disk_sim_inode.c. */
#include "base/disk_sim.h"

#include "base/disk_sim_inode.h"

#include <stdlib.h>
#include <string.h>

#define SIM_FREE_BYTES (UINT64_C(1) << 40) /* what an empty and a filled simulated disk report alike */
#define SIM_LIST_MOST ((size_t)1 << 24)
#define SIM_FILE_MOST (UINT64_C(1) << 32)

struct storage {
    unsigned refs;           /* disks and open files */
    struct sim_inode inodes; /* list head */
    struct sim_inode *root;
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
    struct sim_inode *dir;
    unsigned refs; /* owner, sub-disks, files opened through it */
    bool is_dead;
};

enum lock { LOCK_NONE, LOCK_SHARED, LOCK_EXCLUSIVE };

/* An open file description: what dup(2) shares. */
struct open {
    struct open *prev, *next;
    unsigned refs;
    struct storage *storage;
    struct sim_inode *inode;
    struct sim_disk *opener; /* whose death releases the lock */
    enum lock lock;
    bool may_write;
};

struct sim_file {
    struct file file;
    struct open *open;
};

/* ---- storage and disks ---- */

static void storage_unref(struct storage *storage) {
    if (--storage->refs > 0)
        return;
    sim_inodes_free(&storage->inodes);
    free(storage);
}

static struct sim_disk *disk_new(struct storage *storage, struct sim_disk *parent, struct sim_inode *dir);
static const struct disk_ops sim_disk_ops;
static const struct file_ops sim_file_ops;

static struct storage *storage_new(void) {
    struct storage *storage = sim_need(calloc(1, sizeof(*storage)));
    storage->inodes.prev = storage->inodes.next = &storage->inodes;
    storage->root = sim_inode_new(&storage->inodes, true);
    return storage;
}

static struct sim_disk *disk_new(struct storage *storage, struct sim_disk *parent, struct sim_inode *dir) {
    struct sim_disk *disk = sim_need(calloc(1, sizeof(*disk)));
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
        sim_inode_unref(disk->dir);
        storage_unref(disk->storage);
        free(disk);
        disk = parent;
    }
}

static struct sim_disk *sim_of(const struct disk *disk) {
    BUG_IF(disk->ops != &sim_disk_ops);
    return (struct sim_disk *)(uintptr_t)disk;
}

static bool is_gone(const struct sim_disk *disk) {
    for (; disk != NULL; disk = disk->parent) {
        if (disk->is_dead)
            return true;
    }
    return false;
}

/* Every operation begins here, where it may be told to fail. disk is NULL for files that belong to nobody. */
static enum err begin(struct storage *storage, const struct sim_disk *disk, bool takes_space) {
    if (storage->is_dead || is_gone(disk))
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
static enum err walk(const struct sim_disk *disk, const char *path, struct sim_inode **dir, struct view *last) {
    struct view rest = view_cstr(path), part, next;
    if (rest.n == 0 || rest.p[0] == '/' || rest.p[rest.n - 1] == '/')
        return ERR_BUG;
    struct sim_inode *at = disk->dir;
    if (!next_part(&rest, &part))
        part = VIEW_NONE;
    while (next_part(&rest, &next)) {
        struct sim_entry *entry = sim_names_find(&at->seen_names, part);
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

static enum err find(const struct sim_disk *disk, const char *path, struct sim_inode **out) {
    struct sim_inode *dir;
    struct view last;
    TRY(walk(disk, path, &dir, &last));
    const struct sim_entry *entry = last.n == 0 ? NULL : sim_names_find(&dir->seen_names, last);
    if (last.n > 0 && entry == NULL)
        return ERR_NOT_FOUND;
    *out = last.n == 0 ? dir : entry->inode;
    return ERR_OK;
}

static enum err find_dir(const struct sim_disk *disk, const char *path, struct sim_inode **out) {
    struct sim_inode *inode;
    TRY(find(disk, path, &inode));
    if (!inode->is_dir)
        return ERR_NOT_FOUND;
    *out = inode;
    return ERR_OK;
}

static struct file *file_new(struct open *open, struct sim_disk *disk) {
    struct sim_file *file = sim_need(calloc(1, sizeof(*file)));
    file->file = (struct file){.ops = &sim_file_ops, .disk = disk == NULL ? NULL : &disk->disk, .refs = 1};
    file->open = open;
    open->refs++;
    if (disk != NULL)
        disk->refs++;
    return &file->file;
}

static struct file *open_inode(struct sim_disk *disk, struct sim_inode *inode, bool may_write) {
    struct open *open = sim_need(calloc(1, sizeof(*open)));
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
    struct sim_inode *dir, *inode;
    struct view last;
    TRY(begin(disk->storage, disk, (how & (DISK_CREATE | DISK_TEMPORARY)) != 0));
    if (how & DISK_TEMPORARY) {
        TRY(find_dir(disk, path, &dir));
        if (disk->storage->is_full)
            return ERR_FULL;
        inode = sim_inode_new(&disk->storage->inodes, false);
        *out = open_inode(disk, inode, true);
        sim_inode_unref(inode);
        return ERR_OK;
    }
    TRY(walk(disk, path, &dir, &last));
    const struct sim_entry *entry = last.n == 0 ? NULL : sim_names_find(&dir->seen_names, last);
    if (entry != NULL && (how & DISK_EXCLUSIVE))
        return ERR_EXISTS;
    if (last.n == 0 || (entry != NULL && entry->inode->is_dir))
        return ERR_IO;
    if (entry != NULL) {
        if ((how & DISK_TRUNCATE) && entry->inode->seen.n > 0)
            sim_change_size(entry->inode, 0);
        *out = open_inode(disk, entry->inode, (how & DISK_WRITE) != 0);
        return ERR_OK;
    }
    if ((how & DISK_CREATE) == 0)
        return ERR_NOT_FOUND;
    if (disk->storage->is_full)
        return ERR_FULL;
    inode = sim_inode_new(&disk->storage->inodes, false);
    sim_change_name(dir, disk->storage->next_id++, last, inode);
    *out = open_inode(disk, inode, true);
    sim_inode_unref(inode);
    return ERR_OK;
}

static enum err sim_remove(struct disk *base, const char *path) {
    struct sim_disk *disk = sim_of(base);
    struct sim_inode *dir;
    struct view last;
    TRY(begin(disk->storage, disk, false));
    TRY(walk(disk, path, &dir, &last));
    const struct sim_entry *entry = last.n == 0 ? NULL : sim_names_find(&dir->seen_names, last);
    if (entry == NULL)
        return last.n == 0 ? ERR_BUG : ERR_NOT_FOUND;
    if (entry->inode->is_dir && entry->inode->seen_names.n > 0)
        return ERR_EXISTS;
    sim_change_name(dir, disk->storage->next_id++, last, NULL);
    return ERR_OK;
}

/* Whether dir is inside (or is) the directory `top`. */
static bool is_within(const struct sim_inode *dir, const struct sim_inode *top) {
    if (dir == top)
        return true;
    VEC_EACH(&top->seen_names, struct sim_entry, entry) {
        if (entry->inode->is_dir && is_within(dir, entry->inode))
            return true;
    }
    return false;
}

static enum err sim_rename(struct disk *base, const char *from, const char *to) {
    struct sim_disk *disk = sim_of(base);
    struct sim_inode *from_dir, *to_dir;
    struct view from_name, to_name;
    TRY(begin(disk->storage, disk, false));
    TRY(walk(disk, from, &from_dir, &from_name));
    TRY(walk(disk, to, &to_dir, &to_name));
    if (from_name.n == 0 || to_name.n == 0)
        return ERR_BUG;
    const struct sim_entry *source = sim_names_find(&from_dir->seen_names, from_name);
    const struct sim_entry *target = sim_names_find(&to_dir->seen_names, to_name);
    if (source == NULL)
        return ERR_NOT_FOUND;
    /* The order of these answers is the kernel's. */
    struct sim_inode *inode = source->inode;
    if (inode->is_dir && is_within(to_dir, inode))
        return ERR_IO;
    if (target != NULL && target->inode->is_dir && is_within(from_dir, target->inode))
        return ERR_EXISTS;
    if (target != NULL) {
        if (target->inode == inode)
            return ERR_OK;
        if (target->inode->is_dir != inode->is_dir)
            return target->inode->is_dir ? ERR_IO : ERR_NOT_FOUND;
        if (target->inode->is_dir && target->inode->seen_names.n > 0)
            return ERR_EXISTS;
    }
    uint64_t id = disk->storage->next_id++;
    inode->refs++;
    sim_change_name(to_dir, id, to_name, inode);
    sim_change_name(from_dir, id, from_name, NULL);
    sim_inode_unref(inode);
    return ERR_OK;
}

static enum err sim_mkdir(struct disk *base, const char *path) {
    struct sim_disk *disk = sim_of(base);
    struct sim_inode *dir;
    struct view last;
    TRY(begin(disk->storage, disk, true));
    TRY(walk(disk, path, &dir, &last));
    if (last.n == 0 || sim_names_find(&dir->seen_names, last) != NULL)
        return ERR_EXISTS;
    if (disk->storage->is_full)
        return ERR_FULL;
    struct sim_inode *inode = sim_inode_new(&disk->storage->inodes, true);
    sim_change_name(dir, disk->storage->next_id++, last, inode);
    sim_inode_unref(inode);
    return ERR_OK;
}

static enum err sim_sync_dir(struct disk *base, const char *path) {
    struct sim_disk *disk = sim_of(base);
    struct sim_inode *dir;
    TRY(begin(disk->storage, disk, false));
    TRY(find_dir(disk, path, &dir));
    base->syncs++;
    if (sync_is_skipped(disk->storage))
        return ERR_OK;
    sim_names_sync(dir);
    return ERR_OK;
}

static enum err sim_exists(struct disk *base, const char *path, bool *is_there) {
    struct sim_disk *disk = sim_of(base);
    struct sim_inode *inode;
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
    struct sim_inode *dir;
    TRY(begin(disk->storage, disk, false));
    TRY(find_dir(disk, path, &dir));
    /* Over a copy, because each() may well remove what it is shown. */
    struct vec names = VEC_OF(struct sim_entry, SIM_LIST_MOST);
    VEC_EACH(&dir->seen_names, struct sim_entry, entry)
    *(struct sim_entry *)sim_need(vec_add(&names)) = sim_entry_new(view_of(entry->name, entry->name_n), NULL);
    enum err err = ERR_OK;
    VEC_EACH(&names, struct sim_entry, entry) {
        if (err == ERR_OK)
            err = each(ctx, view_of(entry->name, entry->name_n));
        sim_entry_fini(entry);
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
    struct sim_inode *dir;
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
    const struct sim_content *seen = &open_of(file)->inode->seen;
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
    bool was_dead = open->storage->is_dead || (file->disk != NULL && is_gone(sim_of(file->disk)));
    enum err err = begin_file(file, true);
    if (err == ERR_OK && open->storage->is_full && offset + v.n > open->inode->seen.n)
        return ERR_FULL;
    if (err != ERR_OK) {
        if (!was_dead)
            sim_change_data(open->inode, view_sub(v, 0, v.n / 2 / DISK_SIM_SECTOR * DISK_SIM_SECTOR), offset);
        return err;
    }
    if (file->disk != NULL) {
        file->disk->writes++;
        file->disk->written_bytes += v.n;
    }
    sim_change_data(open->inode, v, offset);
    return ERR_OK;
}

static enum err sim_truncate(struct file *file, uint64_t size) {
    struct open *open = open_of(file);
    if (!open->may_write)
        return ERR_BUG;
    TRY(begin_file(file, size > open->inode->seen.n));
    if (size > SIM_FILE_MOST || (open->storage->is_full && size > open->inode->seen.n))
        return ERR_FULL;
    sim_change_size(open->inode, size);
    return ERR_OK;
}

static enum err sim_size(struct file *file, uint64_t *out) {
    TRY(begin_file(file, false));
    *out = open_of(file)->inode->seen.n;
    return ERR_OK;
}

static enum err sim_sync(struct file *file, bool data_only) {
    struct open *open = open_of(file);
    struct sim_inode *inode = open->inode;
    (void)data_only; /* both keep content and size; times are not simulated */
    bool was_dead = open->storage->is_dead || (file->disk != NULL && is_gone(sim_of(file->disk)));
    enum err err = begin_file(file, false);
    if (err != ERR_OK) {
        if (!was_dead)
            sim_data_changes_forget(inode);
        return err;
    }
    if (file->disk != NULL)
        file->disk->syncs++;
    if (sync_is_skipped(open->storage))
        return ERR_OK;
    sim_data_sync(inode);
    return ERR_OK;
}

static enum err sim_link(struct file *file, struct disk *base, const char *path) {
    struct open *open = open_of(file);
    struct sim_disk *disk = sim_of(base);
    struct sim_inode *dir;
    struct view last;
    BUG_IF(disk->storage != open->storage);
    TRY(begin_file(file, true));
    if (is_gone(disk))
        return ERR_IO;
    TRY(walk(disk, path, &dir, &last));
    if (last.n == 0 || sim_names_find(&dir->seen_names, last) != NULL)
        return ERR_EXISTS;
    if (open->storage->is_full)
        return ERR_FULL;
    sim_change_name(dir, open->storage->next_id++, last, open->inode);
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
        sim_inode_unref(open->inode);
        disk_unref(open->opener);
        storage_unref(open->storage);
        free(open);
    }
    disk_unref(disk);
}

static enum err sim_dup(struct file *file, struct file **out) {
    struct open *open = open_of(file);
    if (open->storage->is_dead || (file->disk != NULL && is_gone(sim_of(file->disk))))
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

struct disk *disk_sim_power_cut(struct disk *disk, struct random *random) {
    struct storage *from = sim_of(disk)->storage;
    struct storage *to = storage_new();
    sim_inode_unref(to->root);
    to->root = sim_inode_power_cut(from->root, &from->inodes, from->next_id, random, &to->inodes);
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

void disk_sim_dead(struct disk *disk, bool is_dead) {
    struct sim_disk *sim = sim_of(disk);
    sim->is_dead = is_dead;
    if (sim->parent == NULL)
        sim->storage->is_dead = is_dead;
    for (struct open *open = sim->storage->opens; open != NULL; open = open->next) {
        if (is_gone(open->opener))
            open->lock = LOCK_NONE;
    }
}

uint64_t disk_sim_operations(const struct disk *disk) {
    return sim_of(disk)->storage->operations;
}

uint64_t disk_sim_syncs(const struct disk *disk) {
    return sim_of(disk)->storage->syncs;
}
