/* simdisk_internal.h - the simulated disk's own structures.
 *   simdisk.c       files and names in memory; their content; copies
 *   simdisk_calls.c the disk interface, with its faults
 *   simdisk_fate.c  power loss: what becomes of the unsynced */
#ifndef PACT_TEST_SIMDISK_INTERNAL_H
#define PACT_TEST_SIMDISK_INTERNAL_H

#include "tests/support/simdisk.h"

#include "proto/limits.h"

enum { SIM_SECTOR = LOG_SECTOR_BYTES };

/* A sector's content, never changed, shared by files and copies. NULL stands for zeros. */
struct sim_sector {
    unsigned refs;
    uint8_t bytes[SIM_SECTOR];
};

/* One sector written and not yet synced, and the file's size then. */
struct sim_pending {
    uint64_t index;
    struct sim_sector *sector;
    uint64_t size;
};

struct sim_inode {
    unsigned refs; /* of names and open files */
    struct sim_sector **current, **durable;
    uint64_t room; /* sectors, of both */
    uint64_t current_size, durable_size;
    struct sim_pending *pending; /* in order of time */
    size_t pending_count, pending_room;
    struct sim_inode *copy; /* while copying */
};

struct sim_name {
    char name[40];
    struct sim_inode *current, *durable; /* NULL: not there */
    struct sim_inode **versions;         /* bindings since the last sync of the directory, in order of time */
    size_t version_count;
};

struct simdisk {
    struct sim_name *names;
    size_t name_count;
    unsigned open_files;
    uint64_t calls;
    uint64_t fail_first, fail_count;
    int fail_error;
    uint64_t off_at; /* call; 0: never */
    bool off, failed, failed_change;
};

struct sim_sector *sim_sector_ref(struct sim_sector *sector);
void sim_sector_unref(struct sim_sector *sector);
void sim_sector_set(struct sim_sector **slot, struct sim_sector *sector);
struct sim_inode *sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode);
void sim_inode_reserve(struct sim_inode *inode, uint64_t bytes);
void sim_inode_write(struct sim_inode *inode, uint64_t offset, const void *from, size_t len);
void sim_inode_sync(struct sim_inode *inode);
void sim_inode_forget_pending(struct sim_inode *inode);
struct sim_name *sim_name_find(const struct simdisk *sim, const char *name);
struct sim_name *sim_name_make(struct simdisk *sim, const char *name);
void sim_name_bind(struct sim_name *name, struct sim_inode *inode);
void sim_name_settle(struct sim_name *name, struct sim_inode *inode);
/* What becomes of one file, of one name, unsynced as it is: chosen by *random. */
void sim_inode_fate(struct sim_inode *inode, unsigned mode, uint64_t *random);
void sim_name_fate(struct sim_name *name, unsigned mode, uint64_t *random);
uint64_t sim_random(uint64_t *random);

#endif
