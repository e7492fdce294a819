/* lock.h - advisory locks through the mount: flock, fcntl and open file description locks are the cluster's (design
 * §4).
 *
 * Locks are replicated state (replica/state, OP_LOCK): whoever asks submits an entry, a waiter is granted within the
 * entry that releases, and this mount learns it by applying that. Here is what ties them to the kernel: who waits for a
 * reply, what open descriptions may hold, and releases that must not be lost.
 *
 * Owners: the kernel's numbers are used again at once, so a flock belongs to the handle (fh), a POSIX lock to (session,
 * znode, the kernel's lock_owner); RELEASE gives up all that was acquired through a handle, open file description locks
 * too, whose owner the kernel does not name at close. */
#ifndef PACT_LOCKS_H
#define PACT_LOCKS_H

#include "fs/mount/handle.h"
#include "fs/mount/mount.h"

/* A signal ends a wait at once, but SA_RESTART sends it again: so long its place in the queue is kept. */
enum { LOCK_KEEP_MS = 100 };
/* The kernel does not wait for the RELEASE of a close, and the threads that take requests overtake each other: whoever
 * would not wait for a lock waits so long for a RELEASE that may be under way. */
enum { LOCK_RELEASE_MS = 20 };

struct locks;

/* Starts its thread. NULL: no memory, or no thread. */
struct locks *locks_new(struct mount *mount);
void locks_stop(struct locks *locks); /* ends its thread; nothing is tried again */
/* After the client has ended; who still waits gets ESTALE. NULL is allowed. */
void locks_free(struct locks *locks);

/* What is held and waited for in the session when a worker takes it over: after handles_restore. Waits are kept until
 * the kernel sends their calls again; what no description holds any more is given up. */
void locks_restore(struct locks *locks);

/* --- what the client tells, in its thread --- */

void locks_changed(struct locks *locks, const struct changes *changes); /* grants */
void locks_resynced(struct locks *locks);                               /* the tree was replaced by a snapshot */
/* The session is lost, and every lock with it: waiters get ESTALE, handles that held something are marked
 * (handle.lock_lost). */
void locks_expired(struct locks *locks);

/* --- unlocking --- */

/* Replies with `code` once that is done; success also if it is only remembered, for lack of a quorum. */
void locks_unlock(struct locks *locks, const struct op_unlock *op, fuse_req_t req, int code);

/* Gives up the POSIX locks that a process's file table has on a znode, at the close of any of its descriptors; replies
 * with `code`, once that is done. */
void locks_flush(const struct handle *handle, uint64_t owner, fuse_req_t req, int code);
/* All that was acquired through a handle, or is waited for; at RELEASE. */
void locks_release(struct locks *locks, const struct handle *handle);

/* --- for people --- */

/* `.pact/locks`: a line for each lock on a directory and its children, holders first: name, kind, mode, holds or
 * waits, host, pid, since when, range, fencing token, command. ERR_OK and a count for the caller, or NO_NODE. */
int locks_text(struct mount *mount, uint64_t directory, struct data **text);

/* --- ops.h --- */

void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep);
void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);

#endif
