/*
 * Files below one directory, as an interface: the machine's own (relative to a
 * directory descriptor, so it keeps working inside a chroot) or a simulated disk
 * that records writes and syncs and can lose what was not synced (disk_sim.h).
 * Paths are relative, never contain "..", and end without a slash.
 *
 * Nothing here yields. sync() is the dear step: callers count them.
 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include "base/buf.h"

struct disk;
struct file;

enum disk_open {
    DISK_READ = 1,
    DISK_WRITE = 2,     /* read and write */
    DISK_CREATE = 4,    /* with WRITE: make it when missing (mode 0600) */
    DISK_EXCLUSIVE = 8, /* with CREATE: ERR_EXISTS when it is there */
    DISK_TRUNCATE = 16,
    DISK_TEMPORARY = 32, /* nameless (O_TMPFILE); path is its directory ("." for the root) */
};

struct disk_ops {
    enum err (*open)(struct disk *disk, const char *path, unsigned how, struct file **out);
    enum err (*remove)(struct disk *disk, const char *path); /* file or empty directory; ERR_NOT_FOUND */
    enum err (*rename)(struct disk *disk, const char *from, const char *to);
    enum err (*mkdir)(struct disk *disk, const char *path); /* mode 0700; ERR_EXISTS */
    enum err (*sync_dir)(struct disk *disk, const char *path);
    enum err (*exists)(struct disk *disk, const char *path, bool *is_there);
    /* Calls each for every name in a directory but . and ..; stops at the first error. */
    enum err (*list)(struct disk *disk, const char *path, enum err (*each)(void *ctx, struct view name), void *ctx);
    enum err (*free_bytes)(struct disk *disk, uint64_t *out);
    /* A disk rooted in a sub-directory (for handing one account's directory on). */
    enum err (*sub)(struct disk *disk, const char *path, struct disk **out);
    void (*free)(struct disk *disk);
};
struct disk {
    const struct disk_ops *ops;
    uint64_t syncs, writes, written_bytes; /* counters for benchmarks and tests, kept by the implementation */
};

struct file_ops {
    /* Up to n octets at offset; *got < n only at the end of the file. */
    enum err (*read)(struct file *file, void *p, size_t n, uint64_t offset, size_t *got);
    enum err (*write)(struct file *file, struct view v, uint64_t offset); /* all of it */
    enum err (*truncate)(struct file *file, uint64_t size);
    enum err (*size)(struct file *file, uint64_t *out);
    enum err (*sync)(struct file *file, bool data_only);
    /* Gives a nameless file a name on its disk; ERR_EXISTS. */
    enum err (*link)(struct file *file, struct disk *disk, const char *path);
    /* An exclusive or shared lock that ends with the file (OFD); ERR_AGAIN when someone else has it. */
    enum err (*lock)(struct file *file, bool exclusive);
    /* The descriptor for passing to another process, or -1 when there is none (simulated). Still owned by the file. */
    int (*fd)(struct file *file);
    void (*close)(struct file *file); /* frees it */
    /* Another handle of the same open file (as dup(2): they share its lock), bound to no disk. */
    enum err (*dup)(struct file *file, struct file **out);
};
struct file {
    const struct file_ops *ops;
    struct disk *disk; /* may be NULL for files that came over a channel */
    unsigned refs;     /* file_ref/file_unref */
};

/* The machine's files below a directory. Takes the descriptor over. NULL without memory (fd is closed then). */
struct disk *disk_new_fd(int dir_fd);
/* A file of a descriptor received from elsewhere. Takes it over. */
struct file *file_new_fd(int fd);
/* A file that lives in memory only (memfd on the real system); name for debugging. */
enum err file_new_memory(const char *name, struct file **out) MUST_CHECK;

void disk_free(struct disk *disk);
enum err disk_open(struct disk *disk, const char *path, unsigned how, struct file **out) MUST_CHECK;
enum err disk_remove(struct disk *disk, const char *path) MUST_CHECK;
enum err disk_rename(struct disk *disk, const char *from, const char *to) MUST_CHECK;
enum err disk_mkdir(struct disk *disk, const char *path) MUST_CHECK;
enum err disk_sync_dir(struct disk *disk, const char *path) MUST_CHECK;
enum err disk_exists(struct disk *disk, const char *path, bool *is_there) MUST_CHECK;
enum err disk_list(struct disk *disk, const char *path, enum err (*each)(void *ctx, struct view name),
                   void *ctx) MUST_CHECK;
enum err disk_free_bytes(struct disk *disk, uint64_t *out) MUST_CHECK;
enum err disk_sub(struct disk *disk, const char *path, struct disk **out) MUST_CHECK;
/* Small files whole (configuration, ids). limit in octets: ERR_LIMIT above. */
enum err disk_read_all(struct disk *disk, const char *path, size_t limit, struct buf *out) MUST_CHECK;
/* Durable replacement: temporary name, write, sync, rename, sync directory. */
enum err disk_replace(struct disk *disk, const char *path, struct view content) MUST_CHECK;

struct file *file_ref(struct file *file);
void file_unref(struct file *file); /* closes at the last one; NULL is fine */
enum err file_read(struct file *file, void *p, size_t n, uint64_t offset, size_t *got) MUST_CHECK;
enum err file_write(struct file *file, struct view v, uint64_t offset) MUST_CHECK;
enum err file_truncate(struct file *file, uint64_t size) MUST_CHECK;
enum err file_size(struct file *file, uint64_t *out) MUST_CHECK;
enum err file_sync(struct file *file, bool data_only) MUST_CHECK;
enum err file_link(struct file *file, struct disk *disk, const char *path) MUST_CHECK;
enum err file_lock(struct file *file, bool exclusive) MUST_CHECK;
int file_fd(struct file *file);
/* What a peer holds after the file was passed to it: it stays good when the sender ends. ERR_BUG for kinds without it. */
enum err file_dup(struct file *file, struct file **out) MUST_CHECK;

#endif
