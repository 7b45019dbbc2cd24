/*
 * The inside of the simulated disk: inodes. Each holds what its users see and
 * what the platter holds, and between them the changes not synced yet. Used by
 * disk_sim.c only.
 */
#ifndef BASE_DISK_SIM_INODE_H
#define BASE_DISK_SIM_INODE_H

#include "base/random.h"
#include "base/vec.h"

struct sim_content {
    uint8_t *p;
    size_t n, cap;
};

/* A write (octets != NULL or n = 0) or a truncation to `offset`. */
struct sim_data_change {
    bool is_truncation;
    uint64_t offset;
    uint8_t *octets;
    size_t n;
};

struct sim_entry {
    uint8_t *name;
    size_t name_n;
    struct sim_inode *inode;
};

/* A name that came to stand for inode, or (NULL) was removed. */
struct sim_name_change {
    uint64_t id; /* in order of time; both halves of a rename have the same */
    struct sim_entry entry;
};

struct sim_inode {
    struct sim_inode *prev, *next; /* all of the storage */
    unsigned refs;                 /* entries, changes, open files, disks */
    bool is_dir;
    struct sim_content seen, durable; /* file */
    struct vec data_changes;
    struct vec seen_names, durable_names; /* directory: struct sim_entry */
    struct vec name_changes;
    struct sim_inode *twin; /* its copy while a power cut is played */
};
/* Ends the test program when there is no memory. */
void *sim_need(void *p);

/* head is the list that the inode joins; made with one reference. */
struct sim_inode *sim_inode_new(struct sim_inode *head, bool is_dir);
void sim_inode_unref(struct sim_inode *inode);
/* Frees all of a list, whatever references are left. */
void sim_inodes_free(struct sim_inode *head);

/* The entry of a name, or NULL. */
struct sim_entry *sim_names_find(const struct vec *names, struct view name);
struct sim_entry sim_entry_new(struct view name, struct sim_inode *inode);
void sim_entry_fini(struct sim_entry *entry);
/* Makes name stand for inode, or for nothing (NULL): seen at once, durable after sim_names_sync(). */
void sim_change_name(struct sim_inode *dir, uint64_t id, struct view name, struct sim_inode *inode);
void sim_names_sync(struct sim_inode *dir);

/* Writing and resizing: seen at once, durable after sim_data_sync(). */
void sim_change_data(struct sim_inode *inode, struct view v, uint64_t offset);
void sim_change_size(struct sim_inode *inode, uint64_t size);
void sim_data_sync(struct sim_inode *inode);
/* The changes of content so far will never be durable. */
void sim_data_changes_forget(struct sim_inode *inode);

/* Copies what a power cut leaves of a tree into the list `to`; the copy of its root, with one reference. next_id is
 * above every id of a change of names; random NULL: everything unsynced is lost. */
struct sim_inode *sim_inode_power_cut(struct sim_inode *root, struct sim_inode *head, uint64_t next_id,
                                      struct random *random, struct sim_inode *to);

#endif
