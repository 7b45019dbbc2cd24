/* SQLite's file system interface over struct disk and struct file. */
#include "store/sqlite/vfs.h"

#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VFS_PATH_MAX 512
#define WAL_HEADER_SIZE 32 /* octets; SQLite's file format, section 4.1 */

struct vfs {
    sqlite3_vfs base;
    char name[40];
    struct disk *disk;
    struct clock *clock;
    struct random *random;
    bool is_checkpointing;
    enum err error;
    struct vfs_counters counters;
};

struct vfs_file {
    sqlite3_file base;
    struct vfs *vfs;
    struct file *file;
    bool is_new;        /* its name is not durable yet */
    bool is_log;        /* the write-ahead log */
    bool is_new_header; /* the log's header was written since the last sync */
    bool is_temporary;
};

static struct vfs *vfs_of(sqlite3_vfs *base) {
    return base->pAppData;
}

static struct vfs_file *file_of(sqlite3_file *base) {
    return (struct vfs_file *)base;
}

/* Notes an error of the disk and turns it into one of SQLite's codes. */
static int failed(struct vfs *vfs, enum err err, int code) {
    if (vfs->error == ERR_OK)
        vfs->error = err;
    if (err == ERR_FULL)
        return SQLITE_FULL;
    if (err == ERR_NO_MEMORY)
        return SQLITE_IOERR_NOMEM;
    return code;
}

static int vfs_close(sqlite3_file *base) {
    struct vfs_file *f = file_of(base);
    file_unref(f->file);
    f->file = NULL;
    return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *p, int n, sqlite3_int64 offset) {
    struct vfs_file *f = file_of(base);
    size_t got = 0;
    enum err err = file_read(f->file, p, (size_t)n, (uint64_t)offset, &got);
    if (err != ERR_OK)
        return failed(f->vfs, err, SQLITE_IOERR_READ);
    if (got < (size_t)n) {
        memset((uint8_t *)p + got, 0, (size_t)n - got);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int vfs_write(sqlite3_file *base, const void *p, int n, sqlite3_int64 offset) {
    struct vfs_file *f = file_of(base);
    if (f->is_log && offset < WAL_HEADER_SIZE)
        f->is_new_header = true;
    enum err err = file_write(f->file, view_of(p, (size_t)n), (uint64_t)offset);
    return err == ERR_OK ? SQLITE_OK : failed(f->vfs, err, SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size) {
    struct vfs_file *f = file_of(base);
    enum err err = file_truncate(f->file, (uint64_t)size);
    return err == ERR_OK ? SQLITE_OK : failed(f->vfs, err, SQLITE_IOERR_TRUNCATE);
}

static int vfs_sync(sqlite3_file *base, int flags) {
    struct vfs_file *f = file_of(base);
    if (f->is_temporary)
        return SQLITE_OK;
    if (f->vfs->is_checkpointing || !f->is_log || f->is_new_header)
        f->vfs->counters.checkpoint_syncs++;
    else
        f->vfs->counters.commit_syncs++;
    f->is_new_header = false;
    enum err err = file_sync(f->file, (flags & SQLITE_SYNC_DATAONLY) != 0);
    if (err == ERR_OK && f->is_new) {
        f->vfs->counters.directory_syncs++;
        err = disk_sync_dir(f->vfs->disk, ".");
        f->is_new = err != ERR_OK;
    }
    return err == ERR_OK ? SQLITE_OK : failed(f->vfs, err, SQLITE_IOERR_FSYNC);
}

static int vfs_file_size(sqlite3_file *base, sqlite3_int64 *size) {
    struct vfs_file *f = file_of(base);
    uint64_t n;
    enum err err = file_size(f->file, &n);
    if (err != ERR_OK)
        return failed(f->vfs, err, SQLITE_IOERR_FSTAT);
    *size = (sqlite3_int64)n;
    return SQLITE_OK;
}

/* One connection in exclusive mode: there is nobody to lock out. */
static int vfs_lock(sqlite3_file *base, int level) {
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int vfs_check_lock(sqlite3_file *base, int *is_reserved) {
    (void)base;
    *is_reserved = 0;
    return SQLITE_OK;
}

static int vfs_file_control(sqlite3_file *base, int op, void *arg) {
    (void)base;
    if (op == SQLITE_FCNTL_PERSIST_WAL) {
        /* The log stays when the database is closed: no name to make durable at the next opening. */
        *(int *)arg = 1;
        return SQLITE_OK;
    }
    return SQLITE_NOTFOUND;
}

static int vfs_sector_size(sqlite3_file *base) {
    (void)base;
    return 4096;
}

static int vfs_characteristics(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods io_methods = {
    .iVersion = 1,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_lock,
    .xCheckReservedLock = vfs_check_lock,
    .xFileControl = vfs_file_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
};

static int vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *out, int flags, int *out_flags) {
    struct vfs *vfs = vfs_of(base);
    struct vfs_file *f = file_of(out);
    memset(f, 0, sizeof(*f));
    f->vfs = vfs;
    unsigned how = flags & SQLITE_OPEN_READWRITE ? DISK_READ | DISK_WRITE : DISK_READ;
    enum err err = ERR_OK;
    if (path == NULL) {
        f->is_temporary = true;
        err = disk_open(vfs->disk, ".", DISK_READ | DISK_WRITE | DISK_TEMPORARY, &f->file);
    } else {
        bool is_there = false;
        if (flags & SQLITE_OPEN_CREATE) {
            how |= DISK_CREATE;
            err = disk_exists(vfs->disk, path, &is_there);
            f->is_new = !is_there;
        }
        f->is_log = (flags & SQLITE_OPEN_WAL) != 0;
        if (err == ERR_OK)
            err = disk_open(vfs->disk, path, how, &f->file);
    }
    if (err != ERR_OK)
        return failed(vfs, err, SQLITE_CANTOPEN);
    f->base.pMethods = &io_methods;
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_dir) {
    struct vfs *vfs = vfs_of(base);
    enum err err = disk_remove(vfs->disk, path);
    if (err == ERR_NOT_FOUND)
        return SQLITE_IOERR_DELETE_NOENT;
    if (err == ERR_OK && sync_dir) {
        vfs->counters.directory_syncs++;
        err = disk_sync_dir(vfs->disk, ".");
    }
    return err == ERR_OK ? SQLITE_OK : failed(vfs, err, SQLITE_IOERR_DELETE);
}

static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *out) {
    struct vfs *vfs = vfs_of(base);
    (void)flags;
    bool is_there;
    enum err err = disk_exists(vfs->disk, path, &is_there);
    if (err != ERR_OK)
        return failed(vfs, err, SQLITE_IOERR_ACCESS);
    *out = is_there;
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *path, int n, char *out) {
    (void)base;
    struct view v = view_cstr(path);
    if (n <= 0 || v.n >= (size_t)n)
        return SQLITE_CANTOPEN;
    memcpy(out, path, v.n + 1);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *base, int n, char *out) {
    random_fill(vfs_of(base)->random, out, (size_t)n);
    return n;
}

/* Only a busy handler would sleep, and there is none. */
static int vfs_sleep(sqlite3_vfs *base, int us) {
    (void)base;
    return us;
}

static int vfs_current_time64(sqlite3_vfs *base, sqlite3_int64 *out) {
    struct clock *clock = vfs_of(base)->clock;
    *out = 210866760000000 + clock->wall_us(clock) / 1000; /* Julian day of 1970-01-01 in milliseconds */
    return SQLITE_OK;
}

static int vfs_current_time(sqlite3_vfs *base, double *out) {
    sqlite3_int64 ms;
    (void)vfs_current_time64(base, &ms);
    *out = (double)ms / 86400000.0;
    return SQLITE_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): SQLite's type */
static int vfs_last_error(sqlite3_vfs *base, int n, char *out) {
    (void)base;
    (void)n;
    (void)out;
    return 0;
}

enum err vfs_new(struct disk *disk, struct clock *clock, struct random *random, struct vfs **out) {
    if (sqlite3_initialize() != SQLITE_OK)
        return ERR_NO_MEMORY;
    struct vfs *vfs = calloc(1, sizeof(*vfs));
    if (vfs == NULL)
        return ERR_NO_MEMORY;
    vfs->disk = disk;
    vfs->clock = clock;
    vfs->random = random;
    (void)snprintf(vfs->name, sizeof(vfs->name), "veredus-%p", (void *)vfs);
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct vfs_file),
        .mxPathname = VFS_PATH_MAX,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_current_time64,
    };
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        free(vfs);
        return ERR_NO_MEMORY;
    }
    *out = vfs;
    return ERR_OK;
}

void vfs_free(struct vfs *vfs) {
    if (vfs == NULL)
        return;
    (void)sqlite3_vfs_unregister(&vfs->base);
    free(vfs);
}

const char *vfs_name(const struct vfs *vfs) {
    return vfs->name;
}

void vfs_set_checkpointing(struct vfs *vfs, bool is_checkpointing) {
    vfs->is_checkpointing = is_checkpointing;
}

enum err vfs_take_error(struct vfs *vfs) {
    enum err err = vfs->error;
    vfs->error = ERR_OK;
    return err;
}

const struct vfs_counters *vfs_counters(const struct vfs *vfs) {
    return &vfs->counters;
}
