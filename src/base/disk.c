/* Files below a directory descriptor, and what is the same for every disk: whole-file reading and durable replacement. */
#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define COPY_STEP ((size_t)64 * 1024) /* octets a turn when a nameless file can get its name only by copying */
#define DISK_PATH_MAX 4096            /* PATH_MAX of Linux, with the NUL */

struct fd_disk {
    struct disk disk;
    int fd;
    unsigned refs; /* its owner and its open files, whose counters are here */
};

struct fd_file {
    struct file file;
    int fd;
};

static enum err last_error(void) {
    return err_from_errno(errno);
}

/* Paths come from our own code, so a bad one is a bug of ours; it is refused all the same. */
static bool is_good_path(const char *path) {
    struct view rest = view_cstr(path), part;
    if (rest.n == 0 || rest.n >= DISK_PATH_MAX || rest.p[0] == '/' || rest.p[rest.n - 1] == '/')
        return false;
    while (rest.n > 0) {
        (void)view_split(rest, '/', &part, &rest);
        if (part.n == 0 || view_eq(part, VIEW("..")))
            return false;
    }
    return true;
}

static void fd_disk_unref(struct fd_disk *disk) {
    if (--disk->refs > 0)
        return;
    (void)close(disk->fd);
    free(disk);
}

static enum err fd_read(struct file *file, void *p, size_t n, uint64_t offset, size_t *got) {
    size_t done = 0;
    while (done < n) {
        ssize_t part = pread(((struct fd_file *)file)->fd, (uint8_t *)p + done, n - done, (off_t)(offset + done));
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return last_error();
        if (part == 0)
            break;
        done += (size_t)part;
    }
    *got = done;
    return ERR_OK;
}

static enum err fd_write(struct file *file, struct view v, uint64_t offset) {
    if (file->disk != NULL) {
        file->disk->writes++;
        file->disk->written_bytes += v.n;
    }
    while (v.n > 0) {
        ssize_t part = pwrite(((struct fd_file *)file)->fd, v.p, v.n, (off_t)offset);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return last_error();
        if (part == 0)
            return ERR_IO;
        v = view_skip(v, (size_t)part);
        offset += (uint64_t)part;
    }
    return ERR_OK;
}

static enum err fd_truncate(struct file *file, uint64_t size) {
    return ftruncate(((struct fd_file *)file)->fd, (off_t)size) == 0 ? ERR_OK : last_error();
}

static enum err fd_size(struct file *file, uint64_t *out) {
    struct stat st;
    if (fstat(((struct fd_file *)file)->fd, &st) != 0)
        return last_error();
    *out = (uint64_t)st.st_size;
    return ERR_OK;
}

static enum err fd_sync(struct file *file, bool data_only) {
    int fd = ((struct fd_file *)file)->fd;
    if (file->disk != NULL)
        file->disk->syncs++;
    /* Never tried again after an error: the kernel may have dropped the pages, and the second call would say all is well. */
    return (data_only ? fdatasync(fd) : fsync(fd)) == 0 ? ERR_OK : last_error();
}

/*
 * The last way to a name, for a process without /proc and without the right to
 * link a descriptor: a copy beside it, which is then renamed. The file goes on
 * as the copy, so that later writes reach what has the name.
 */
static enum err link_by_copy(struct fd_file *file, struct fd_disk *disk, const char *path) {
    char temporary[DISK_PATH_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.link~", path);
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return ERR_LIMIT;
    int to = openat(disk->fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint8_t *step = malloc(COPY_STEP);
    enum err err = to < 0 ? last_error() : step == NULL ? ERR_NO_MEMORY : ERR_OK;
    struct fd_file copy = {.file = {.ops = file->file.ops}, .fd = to};
    for (uint64_t at = 0; err == ERR_OK;) {
        size_t got = 0;
        err = fd_read(&file->file, step, COPY_STEP, at, &got);
        if (err != ERR_OK || got == 0)
            break;
        err = fd_write(&copy.file, view_of(step, got), at);
        at += got;
    }
    free(step);
    if (to < 0)
        return err;
    /* What the caller had synced must not be less durable under its name. */
    if (err == ERR_OK)
        err = fd_sync(&copy.file, false);
    if (err == ERR_OK && renameat2(disk->fd, temporary, disk->fd, path, RENAME_NOREPLACE) != 0)
        err = last_error();
    if (err == ERR_OK && dup3(to, file->fd, O_CLOEXEC) < 0)
        err = last_error();
    else if (err != ERR_OK)
        (void)unlinkat(disk->fd, temporary, 0);
    (void)close(to);
    return err;
}

static const struct disk_ops fd_disk_ops;

static enum err fd_link(struct file *file, struct disk *disk, const char *path) {
    int fd = ((struct fd_file *)file)->fd;
    BUG_IF(disk->ops != &fd_disk_ops);
    if (!is_good_path(path))
        return ERR_BUG;
    struct fd_disk *to = (struct fd_disk *)disk;
    char proc[sizeof("/proc/self/fd/") + 11];
    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    /* By descriptor needs a capability or a new kernel, by /proc a mounted /proc: try both. */
    if (linkat(fd, "", to->fd, path, AT_EMPTY_PATH) == 0 ||
        (errno != EEXIST && linkat(AT_FDCWD, proc, to->fd, path, AT_SYMLINK_FOLLOW) == 0))
        return ERR_OK;
    /* A full disk or a taken name is an answer; anything else says that this way is closed. */
    if (errno == EEXIST || errno == ENOSPC || errno == EDQUOT || errno == EIO)
        return last_error();
    return link_by_copy((struct fd_file *)file, to, path);
}

static enum err fd_lock(struct file *file, bool exclusive) {
    struct flock lock = {.l_type = (short)(exclusive ? F_WRLCK : F_RDLCK), .l_whence = SEEK_SET};
    if (fcntl(((struct fd_file *)file)->fd, F_OFD_SETLK, &lock) == 0)
        return ERR_OK;
    return errno == EACCES || errno == EAGAIN ? ERR_AGAIN : last_error();
}

static int fd_fd(struct file *file) {
    return ((struct fd_file *)file)->fd;
}

static void fd_close(struct file *file) {
    (void)close(((struct fd_file *)file)->fd);
    if (file->disk != NULL)
        fd_disk_unref((struct fd_disk *)file->disk);
    free(file);
}

static enum err fd_dup(struct file *file, struct file **out) {
    int fd = fcntl(((struct fd_file *)file)->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return last_error();
    struct file *made = file_new_fd(fd);
    if (made == NULL)
        return ERR_NO_MEMORY;
    *out = made;
    return ERR_OK;
}

static const struct file_ops fd_file_ops = {
    .read = fd_read,
    .write = fd_write,
    .truncate = fd_truncate,
    .size = fd_size,
    .sync = fd_sync,
    .link = fd_link,
    .lock = fd_lock,
    .fd = fd_fd,
    .close = fd_close,
    .dup = fd_dup,
};

struct file *file_new_fd(int fd) {
    struct fd_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        (void)close(fd);
        return NULL;
    }
    file->file = (struct file){.ops = &fd_file_ops, .refs = 1};
    file->fd = fd;
    return &file->file;
}

enum err file_new_memory(const char *name, struct file **out) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return last_error();
    struct file *file = file_new_fd(fd);
    if (file == NULL)
        return ERR_NO_MEMORY;
    *out = file;
    return ERR_OK;
}

static enum err fd_disk_open(struct disk *disk, const char *path, unsigned how, struct file **out) {
    struct fd_disk *from = (struct fd_disk *)disk;
    if (!is_good_path(path))
        return ERR_BUG;
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    if (how & DISK_TEMPORARY)
        flags = O_CLOEXEC | O_TMPFILE | O_RDWR;
    else
        flags |= how & DISK_WRITE ? O_RDWR : O_RDONLY;
    /* A nameless file is always made; the system refuses both flags together. */
    flags |= (how & (DISK_CREATE | DISK_TEMPORARY)) == DISK_CREATE ? O_CREAT : 0;
    flags |= how & DISK_EXCLUSIVE ? O_EXCL : 0;
    flags |= how & DISK_TRUNCATE ? O_TRUNC : 0;
    int fd = openat(from->fd, path, flags, 0600);
    if (fd < 0)
        return last_error();
    struct file *file = file_new_fd(fd);
    if (file == NULL)
        return ERR_NO_MEMORY;
    file->disk = disk;
    from->refs++;
    *out = file;
    return ERR_OK;
}

static enum err fd_disk_remove(struct disk *disk, const char *path) {
    int fd = ((struct fd_disk *)disk)->fd;
    if (!is_good_path(path))
        return ERR_BUG;
    if (unlinkat(fd, path, 0) == 0)
        return ERR_OK;
    if ((errno == EISDIR || errno == EPERM) && unlinkat(fd, path, AT_REMOVEDIR) == 0)
        return ERR_OK;
    return last_error();
}

static enum err fd_disk_rename(struct disk *disk, const char *from, const char *to) {
    int fd = ((struct fd_disk *)disk)->fd;
    if (!is_good_path(from) || !is_good_path(to))
        return ERR_BUG;
    return renameat(fd, from, fd, to) == 0 ? ERR_OK : last_error();
}

static enum err fd_disk_mkdir(struct disk *disk, const char *path) {
    if (!is_good_path(path))
        return ERR_BUG;
    return mkdirat(((struct fd_disk *)disk)->fd, path, 0700) == 0 ? ERR_OK : last_error();
}

static enum err open_dir(struct disk *disk, const char *path, int *out) {
    if (!is_good_path(path))
        return ERR_BUG;
    int fd = openat(((struct fd_disk *)disk)->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return last_error();
    *out = fd;
    return ERR_OK;
}

static enum err fd_disk_sync_dir(struct disk *disk, const char *path) {
    int fd;
    TRY(open_dir(disk, path, &fd));
    disk->syncs++;
    enum err err = fsync(fd) == 0 ? ERR_OK : last_error();
    (void)close(fd);
    return err;
}

static enum err fd_disk_exists(struct disk *disk, const char *path, bool *is_there) {
    struct stat st;
    if (!is_good_path(path))
        return ERR_BUG;
    if (fstatat(((struct fd_disk *)disk)->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        *is_there = true;
        return ERR_OK;
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return last_error();
    *is_there = false;
    return ERR_OK;
}

static enum err fd_disk_list(struct disk *disk, const char *path, enum err (*each)(void *ctx, struct view name),
                             void *ctx) {
    int fd;
    TRY(open_dir(disk, path, &fd));
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        enum err err = last_error();
        (void)close(fd);
        return err;
    }
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            err = last_error();
            break;
        }
        struct view name = view_cstr(entry->d_name);
        if (!view_eq(name, VIEW(".")) && !view_eq(name, VIEW("..")))
            err = each(ctx, name);
    }
    (void)closedir(dir);
    return err;
}

static enum err fd_disk_free_bytes(struct disk *disk, uint64_t *out) {
    struct statvfs st;
    if (fstatvfs(((struct fd_disk *)disk)->fd, &st) != 0)
        return last_error();
    *out = (uint64_t)st.f_bavail * st.f_frsize;
    return ERR_OK;
}

static enum err fd_disk_sub(struct disk *disk, const char *path, struct disk **out) {
    int fd;
    TRY(open_dir(disk, path, &fd));
    struct disk *sub = disk_new_fd(fd);
    if (sub == NULL)
        return ERR_NO_MEMORY;
    *out = sub;
    return ERR_OK;
}

static void fd_disk_free(struct disk *disk) {
    fd_disk_unref((struct fd_disk *)disk);
}

static const struct disk_ops fd_disk_ops = {
    .open = fd_disk_open,
    .remove = fd_disk_remove,
    .rename = fd_disk_rename,
    .mkdir = fd_disk_mkdir,
    .sync_dir = fd_disk_sync_dir,
    .exists = fd_disk_exists,
    .list = fd_disk_list,
    .free_bytes = fd_disk_free_bytes,
    .sub = fd_disk_sub,
    .free = fd_disk_free,
};

struct disk *disk_new_fd(int dir_fd) {
    struct fd_disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL) {
        (void)close(dir_fd);
        return NULL;
    }
    disk->disk.ops = &fd_disk_ops;
    disk->fd = dir_fd;
    disk->refs = 1;
    return &disk->disk;
}

void disk_free(struct disk *disk) {
    if (disk != NULL)
        disk->ops->free(disk);
}

enum err disk_open(struct disk *disk, const char *path, unsigned how, struct file **out) {
    /* Making, cutting and namelessness are forms of writing. */
    if ((how & (DISK_CREATE | DISK_EXCLUSIVE | DISK_TRUNCATE | DISK_TEMPORARY)) != 0 && (how & DISK_WRITE) == 0)
        return ERR_BUG;
    return disk->ops->open(disk, path, how, out);
}

enum err disk_remove(struct disk *disk, const char *path) {
    return disk->ops->remove(disk, path);
}

enum err disk_rename(struct disk *disk, const char *from, const char *to) {
    return disk->ops->rename(disk, from, to);
}

enum err disk_mkdir(struct disk *disk, const char *path) {
    return disk->ops->mkdir(disk, path);
}

enum err disk_sync_dir(struct disk *disk, const char *path) {
    return disk->ops->sync_dir(disk, path);
}

enum err disk_exists(struct disk *disk, const char *path, bool *is_there) {
    return disk->ops->exists(disk, path, is_there);
}

enum err disk_list(struct disk *disk, const char *path, enum err (*each)(void *ctx, struct view name), void *ctx) {
    return disk->ops->list(disk, path, each, ctx);
}

enum err disk_free_bytes(struct disk *disk, uint64_t *out) {
    return disk->ops->free_bytes(disk, out);
}

enum err disk_sub(struct disk *disk, const char *path, struct disk **out) {
    return disk->ops->sub(disk, path, out);
}

enum err disk_read_all(struct disk *disk, const char *path, size_t limit, struct buf *out) {
    struct file *file;
    TRY(disk_open(disk, path, DISK_READ, &file));
    uint64_t size;
    size_t got = 0;
    enum err err = file_size(file, &size);
    if (err == ERR_OK && size > limit)
        err = ERR_LIMIT;
    if (err == ERR_OK) {
        uint8_t *p = buf_room(out, (size_t)size);
        err = p == NULL ? buf_err(out) : file_read(file, p, (size_t)size, 0, &got);
    }
    if (err == ERR_OK)
        buf_added(out, got);
    file_unref(file);
    return err;
}

/* Writes and syncs a file that nobody else looks at yet. */
static enum err write_whole(struct disk *disk, const char *path, struct view content) {
    struct file *file;
    TRY(disk_open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file));
    enum err err = file_write(file, content, 0);
    if (err == ERR_OK)
        err = file_sync(file, false);
    file_unref(file);
    return err;
}

enum err disk_replace(struct disk *disk, const char *path, struct view content) {
    char temporary[DISK_PATH_MAX], directory[DISK_PATH_MAX];
    struct view whole = view_cstr(path);
    /* A fixed name: a directory has one owner, and what a crash leaves behind is overwritten by the next replacement. */
    int length = snprintf(temporary, sizeof(temporary), "%s.new~", path);
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return ERR_LIMIT;
    ssize_t slash = view_rfind_byte(whole, '/');
    (void)snprintf(directory, sizeof(directory), "%.*s", slash < 0 ? 1 : (int)slash, slash < 0 ? "." : path);
    enum err err = write_whole(disk, temporary, content);
    if (err == ERR_OK)
        err = disk_rename(disk, temporary, path);
    if (err != ERR_OK) {
        /* The error that matters is the first; an orphan that stays is overwritten next time. */
        enum err ignored = disk_remove(disk, temporary);
        (void)ignored;
        return err;
    }
    return disk_sync_dir(disk, directory);
}

struct file *file_ref(struct file *file) {
    file->refs++;
    return file;
}

void file_unref(struct file *file) {
    if (file == NULL)
        return;
    BUG_IF(file->refs == 0);
    if (--file->refs == 0)
        file->ops->close(file);
}

enum err file_read(struct file *file, void *p, size_t n, uint64_t offset, size_t *got) {
    return file->ops->read(file, p, n, offset, got);
}

enum err file_write(struct file *file, struct view v, uint64_t offset) {
    return file->ops->write(file, v, offset);
}

enum err file_truncate(struct file *file, uint64_t size) {
    return file->ops->truncate(file, size);
}

enum err file_size(struct file *file, uint64_t *out) {
    return file->ops->size(file, out);
}

enum err file_sync(struct file *file, bool data_only) {
    return file->ops->sync(file, data_only);
}

enum err file_link(struct file *file, struct disk *disk, const char *path) {
    return file->ops->link(file, disk, path);
}

enum err file_lock(struct file *file, bool exclusive) {
    return file->ops->lock(file, exclusive);
}

int file_fd(struct file *file) {
    return file->ops->fd(file);
}

enum err file_dup(struct file *file, struct file **out) {
    return file->ops->dup == NULL ? ERR_BUG : file->ops->dup(file, out);
}
