/*
 * SQLite's file system on a struct disk: paths are relative to the disk, so it
 * works inside a chroot and on the simulated disk of the tests; every sync is
 * counted. One struct vfs serves one database, opened by one connection in
 * exclusive locking mode (no shared memory; who may open is decided by the
 * owner's lock file, not here).
 *
 * SQLite keeps a process-wide list of file systems by name; each vfs has a name
 * of its own there while it is open. That list is SQLite's, not ours.
 */
#ifndef STORE_SQLITE_VFS_H
#define STORE_SQLITE_VFS_H

#include "base/clock.h"
#include "base/disk.h"
#include "base/random.h"

struct vfs;

struct vfs_counters {
    uint64_t commit_syncs; /* of the write-ahead log at commits */
    uint64_t
        checkpoint_syncs; /* of the database and the log around checkpoints, and of the log's new header after one */
    uint64_t directory_syncs; /* when a database or log file is new */
};

/* disk, clock and random are borrowed. */
enum err vfs_new(struct disk *disk, struct clock *clock, struct random *random, struct vfs **out) MUST_CHECK;
/* After the connection is closed. */
void vfs_free(struct vfs *vfs);
/* For sqlite3_open_v2. */
const char *vfs_name(const struct vfs *vfs);
/* Syncs from now on belong to a checkpoint (or not). */
void vfs_set_checkpointing(struct vfs *vfs, bool is_checkpointing);
/* The first disk error since the last call, ERR_OK when there was none; SQLite's own codes say less. */
enum err vfs_take_error(struct vfs *vfs);
const struct vfs_counters *vfs_counters(const struct vfs *vfs);

#endif
