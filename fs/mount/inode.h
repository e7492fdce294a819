/* inode.h - what the kernel knows of this mount: lookup counts by inode, and the attributes last told, which are all
 * that remains of a removed znode that is still open or somebody's working directory. Thread-safe, with a lock of its
 * own that nothing blocks under. */
#ifndef PACT_INODE_H
#define PACT_INODE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "replica/state/state.h"

struct estate;
struct mount;
struct inodes;

struct inodes *inodes_new(struct estate *estate);
void inodes_free(struct inodes *inodes);

/* The kernel's number of a znode of this mount, and back (root=/sub). */
fuse_ino_t inode_of(const struct mount *mount, uint64_t id);
uint64_t znode_of(const struct mount *mount, fuse_ino_t ino);

void inodes_count(struct inodes *inodes, uint64_t id, int64_t by); /* + for each entry replied, - for FORGET */
void inodes_count_ghost(struct inodes *inodes, uint64_t id);       /* + for an entry replied to a ghost */
/* All that the next worker will find to be known (estate.h), in order: start with *id = 0; false at the end. */
bool inodes_next_left(const struct inodes *inodes, uint64_t *id);
/* Whether somebody may watch it: its lookup count is above zero, and not by ghosts alone; or it is the mount's root.
 * (Whoever finds what a ghost has made looks it up once more: a ghost is told names with a timeout of 0.) */
bool inodes_known(struct inodes *inodes, uint64_t id);

/* What the kernel may have cached of a znode (cache.h), until it is taken back: its attributes, its name. False: of one
 * that is not known it must not. */
bool inodes_set_cached(struct inodes *inodes, uint64_t id, bool attr, bool name);
bool inodes_take_attr(struct inodes *inodes, uint64_t id); /* whether it may; and forgets it */
/* Of its attributes the kernel has voided size and times by itself, until others may be cached: a change of these alone
 * need not be told. */
void inodes_void_content(struct inodes *inodes, uint64_t id);
bool inodes_content_void(struct inodes *inodes, uint64_t id);
/* Its attributes are on their way to the kernel, which could not be told that they are void: it may cache them. */
void inodes_set_late(struct inodes *inodes, uint64_t id);
bool inodes_take_late(struct inodes *inodes, uint64_t id); /* whether that was so; and forgets it */
bool inodes_take_name(struct inodes *inodes, uint64_t id);
bool inodes_has_name(struct inodes *inodes, uint64_t id);
void inodes_forget_names(struct inodes *inodes); /* of all */
void inodes_take_over(struct inodes *inodes);    /* whatever the worker before had cached: it may be anything it knew */
/* Those whose attributes it may have, forgotten: an array that the caller frees. */
uint64_t *inodes_take_attrs(struct inodes *inodes, size_t *count);
/* Until when, by CLOCK_MONOTONIC, a znode's name, or any name in a directory, may not be cached; 0: none is known. */
enum inode_bar { BAR_NAME, BAR_NAMES_IN };
void inodes_bar(struct inodes *inodes, uint64_t id, enum inode_bar bar, uint64_t until_ms);
uint64_t inodes_barred_ms(struct inodes *inodes, uint64_t id, enum inode_bar bar);

/* The kernel may hold pages of this file (it is mapped), until inodes_take_paged says so and forgets it. */
void inodes_set_paged(struct inodes *inodes, uint64_t id);
bool inodes_take_paged(struct inodes *inodes, uint64_t id);

/* The attributes last told of a znode that is gone, with no link left. False if the kernel does not know it. */
bool inodes_remains(struct inodes *inodes, uint64_t id, struct stat *attr);
void inodes_told(struct inodes *inodes, uint64_t id, const struct stat *attr);
/* Whether the mode, owner and group last told of it, if any, are these. */
bool inodes_told_access(struct inodes *inodes, const struct node_stat *stat);

/* A mode without the set-user-ID bit, and the set-group-ID bit where it is one: a user's write takes them away. */
mode_t inode_without_set_id(mode_t mode);

/* Attributes as the kernel wants them. */
struct timespec inode_time(int64_t ns);
void inode_attr(const struct mount *mount, const struct node_stat *stat, struct stat *attr);
/* Fills and counts an entry reply for a znode; entry and attribute timeouts included. */
void inode_entry(struct mount *mount, const struct node_stat *stat, struct fuse_entry_param *entry);

#endif
