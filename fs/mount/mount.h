/* mount.h - what the parts of the mount share. Only files of fs/mount include it.
 *
 * The one rule that keeps the mount alive: a handler never waits for the client thread. A handler that changes
 * something submits a request (call.h) and returns; the client thread replies once the tree shows the change. A
 * handler that reads answers from the tree under client_lock. So a stuck replica, a stuck ghost or a stuck process
 * never uses up the FUSE threads.
 *
 * Locks, in the order in which they may be taken: a handle's, then one of client_lock, that of the files (file.h), of
 * the inodes (inode.h), of those found last (found.h) or of the templates (template.h). Under client_lock only the
 * files' lock and that of those found last may be taken. Before all of them, but after a handle's, comes the gate of
 * cache.h. Nothing is sent to the kernel under any but a handle's and the gate. */
#ifndef PACT_MOUNT_H
#define PACT_MOUNT_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>

#include "fs/client/client.h"
#include "fs/mount/ghost.h"

/* Inode numbers: a znode's id; the sub-root's is FUSE_ROOT_ID. Control files have the top bit set (control.h). */

struct mount {
    struct client *client;
    struct estate *estate;   /* what the next worker will find: estate.h */
    struct resumed *resumed; /* the calls of the worker before; NULL: there was none */
    struct fuse_session *session;
    const char *mountpoint;
    uint64_t root; /* the znode that is the mount's root: 1, or that of root=/sub */
    _Atomic uint64_t own_session;
    struct inodes *inodes;         /* what the kernel knows: inode.h */
    struct files *files;           /* open files: file.h */
    struct handles *handles;       /* open descriptions of files and directories: handle.h */
    struct locks *locks;           /* advisory locks: lock.h */
    struct cache *cache;           /* what the kernel may keep: cache.h */
    struct found *found;           /* files just looked up: found.h */
    struct templates *templates;   /* names with tokens, for a moment after the create: template.h */
    struct holders *holders;       /* processes that hold something: holder.h */
    struct owners *owners;         /* ephemerals that hang on processes: owner.h */
    struct fence *fence;           /* processes that lost something: fence.h */
    struct record *record;         /* of all that, for the next pactfs here: record.h */
    struct ghosts *_Atomic ghosts; /* NULL until the mount answers */
    _Atomic uint64_t staged_bytes; /* of all handles together; at most LIMIT_STAGED_BYTES */
    struct fdtables *fdtables;     /* of who opens files: fdtable.h */
    struct calls *calls;           /* how often the kernel asked, and what: calls.h */
    dev_t device;                  /* st_dev of the mount; 0 until it answers */
    bool read_only, tokens, linearizable, background;
    bool kernel_permissions; /* default_permissions is on (root); else the daemon checks */
    bool init_patched;       /* the reply to INIT has been seen: serve.c */
};

/* The mount a request belongs to. */
struct mount *mount_of(fuse_req_t req);
/* Is this request a ghost's? */
bool mount_ghost(struct mount *mount, fuse_req_t req);
/* Whether a modifying call would be refused now: ERR_OK, READ_ONLY, NO_QUORUM or SESSION_EXPIRED. */
int mount_writable(const struct mount *mount);
/* The same for this caller: SESSION_EXPIRED at once, if it is fenced (fence.h). What it then submits by call_submit
 * goes under the session that was looked at, or not at all. */
int mount_may_change(fuse_req_t req);

/* A znode's stat, by its id, as the tree is now. ERR_OK or ERR_NO_NODE. */
int mount_stat(struct mount *mount, uint64_t id, struct node_stat *stat);
/* The same of what the tree has under a name; false: nothing. */
bool mount_child(struct mount *mount, uint64_t parent, const char *name, struct node_stat *stat);
/* Whether this mount shows a znode: an unborn file is shown only where it is being written,
 * and not while it is being removed. */
bool mount_visible(struct mount *mount, const struct node_stat *stat);

/* Drops the kernel's pages of a file whose data changed, if it has any. Not under a lock: the kernel may come back
 * with a request to write a mapped page. */
void mount_drop_pages(struct mount *mount, uint64_t id);

/* A file's or symlink's stat and data (a count for the caller): as the tree has it, or, if it was removed after it was
 * looked up, as it was then. ERR_OK or ERR_NO_NODE. */
int mount_data(struct mount *mount, uint64_t id, struct node_stat *stat, struct data **data, bool *removed);

/* Whether a call has found its file gone, though the kernel has looked the name up anew already: others replace it all
 * the time. Then it is as if it had come just before, on what was found (found.h; false as well: that is not known). */
bool mount_came_late(fuse_req_t req, uint64_t id, struct node_stat *found);

/* Replies with the errno of a code; ERR_OK is success. */
void reply_code(fuse_req_t req, int code);
/* The same for a call on an inode that a name led to: if that is gone, the kernel looks the name up again (ESTALE). */
void reply_inode_code(fuse_req_t req, int code);
/* Replies with an entry, counting the lookup, that the kernel is not to keep. */
void reply_entry(fuse_req_t req, const struct node_stat *stat);

#endif
