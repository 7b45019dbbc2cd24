/*
 * A simulated disk for tests: files in memory, with a record of what has been
 * synced and what has not, so that a power cut at any moment can be played and
 * every operation can be made to fail.
 *
 * What a power cut leaves: content that file_sync() covered, and names
 * (created, renamed, removed, directories) that disk_sync_dir() of their
 * directory covered. Of the rest each 512-octet sector, each truncation and
 * each change of a name is kept or lost as the randomness decides; a rename
 * within a directory is kept or lost as one. A file whose name was not synced
 * may be gone although its content was synced.
 *
 * All functions take any disk made by disk_sim_new() or by disk_sub() of one;
 * sub-disks share the storage. The storage lives until its last disk and file
 * are gone. When the test program itself has no memory left, it ends.
 */
#ifndef BASE_DISK_SIM_H
#define BASE_DISK_SIM_H

#include "base/disk.h"
#include "base/random.h"

#define DISK_SIM_SECTOR 512 /* octets that reach the disk together or not at all */

/* An empty disk. Never NULL. */
struct disk *disk_sim_new(void);

/*
 * The disk as it would be found after a power cut now; a new storage, owned by
 * the caller. random NULL: everything unsynced is lost. The disk itself goes on
 * as it was: to end it too, call disk_sim_dead(root, true) and free it.
 */
struct disk *disk_sim_power_cut(struct disk *disk, struct random *random);

/*
 * The n-th operation from now (1 = the next) fails with err; ERR_FULL counts
 * only operations that take space. A failing write may have written its first
 * half; after a failing file_sync() the writes before it are never durable,
 * whatever a later sync says (as with a kernel that drops the pages). 0: none.
 */
void disk_sim_fail_at(struct disk *disk, uint64_t n, enum err err);
/* While full, whatever takes more space fails with ERR_FULL; overwriting and removing go on. */
void disk_sim_full(struct disk *disk, bool is_full);
/* The n-th sync (file or directory) from now is answered with ERR_OK and not done. 0: none. */
void disk_sim_skip_sync(struct disk *disk, uint64_t n);
/*
 * The process that holds this disk was killed: every operation through it, its
 * sub-disks and its files fails with ERR_IO, and their locks are released. Files
 * made by file_dup() belong to nobody and die with the root disk only.
 */
void disk_sim_dead(struct disk *disk, bool is_dead);

/* Operations and syncs of the whole storage so far, for loops over every n. */
uint64_t disk_sim_operations(const struct disk *disk);
uint64_t disk_sim_syncs(const struct disk *disk);

#endif
