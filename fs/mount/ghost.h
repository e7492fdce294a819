/* ghost.h - inotify events for what other hosts did (design §5).
 *
 * The client thread announces what an entry changed; ghost threads then perform the same operations on this very
 * mount, by directory handle; the kernel asks the daemon, the daemon recognises the ghost by its thread id, changes
 * nothing, answers success, and the kernel raises the events.
 *
 * The rules: no handler and no apply ever waits for a ghost; ghost threads hold no lock that a handler needs. */
#ifndef PACT_GHOST_H
#define PACT_GHOST_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "replica/state/state.h"

struct mount;
struct ghosts;

/* After the mount answers: it looks at the mount's root and remembers its device. ERR_OK or ERR_IO. The mount must
 * offer FUSE_CAP_EXPORT_SUPPORT: LOOKUP of "." and ".." finds a directory that the kernel dropped from its cache. */
int ghosts_start(struct mount *mount, struct ghosts **ghosts);
/* Gives up what is pending and ends the threads, while the mount still answers. A thread that the kernel holds for
 * longer than GHOSTS_STOP_MS (a directory lock, a permission listener) is left behind: it touches nothing afterwards
 * except through the handlers below, which go on knowing it until ghosts_free. */
#define GHOSTS_STOP_MS 1000
void ghosts_stop(struct ghosts *ghosts);
/* After ghosts_stop, when no handler runs any more (after the unmount). */
void ghosts_free(struct ghosts *ghosts);

/* From the client thread: queues what needs announcing. Changes of the mount's own requests are skipped where the
 * kernel raised the event itself (all but data of own commits). Never waits. */
void ghosts_announce(struct ghosts *ghosts, const struct changes *changes);
/* And once the callers have their replies, which the ghosts' requests would hold up: begins with it. */
void ghosts_begin(struct ghosts *ghosts);
/* Both for the difference between two trees (state_diff), after a snapshot took the place of the tree. It is
 * announced in an order of its own: a znode that state_diff makes anew to get out of a circle of moves must not be
 * removed before the kernel's eyes, which would take it for dead ever after. */
void ghosts_announce_difference(struct ghosts *ghosts, const struct changes *changes);
/* After a template create or rename: the kernel has the node under `template`; make it known as `name`. */
void ghosts_rename_template(struct ghosts *ghosts, uint64_t parent, const char *template_name, const char *name,
                            uint64_t id);
/* The content of a virtual file (.pact/session …) changed: MODIFY for its watchers. `ino` is the kernel's. */
void ghosts_touch_virtual(struct ghosts *ghosts, fuse_ino_t ino);

struct ghosts_info {
    uint64_t pending;   /* not yet announced */
    uint64_t done;      /* announced */
    uint64_t skipped;   /* where nobody can watch: the kernel does not know the directory */
    uint64_t coalesced; /* became part of one that was pending */
    uint64_t overflows; /* how often LIMIT_GHOSTS were pending */
    uint64_t failed;    /* refused by the kernel: something is mounted on the name, or it went meanwhile */
};
void ghosts_info(struct ghosts *ghosts, struct ghosts_info *info);

/* Is this request a ghost's? Cheap: called first in each handler below. NULL: no. */
bool ghosts_own(const struct ghosts *ghosts, fuse_req_t req);

/* The handlers for a ghost's requests: each replies. A ghost's open handles are marked in fh (GHOST_FH), as RELEASE
 * has pid 0. */
#define GHOST_FH (1ull << 63)
void ghost_lookup(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name);
void ghost_getattr(struct mount *mount, fuse_req_t req, fuse_ino_t ino);
void ghost_mkdir(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name);
void ghost_create(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi);
void ghost_symlink(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name);
void ghost_remove(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name); /* unlink and rmdir */
void ghost_rename(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                  const char *to_name);
void ghost_setattr(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ghost_open(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* FLUSH, RELEASE, WRITE … on a GHOST_FH handle: reply success. */

#endif
