/* owner.h - ephemerals and their processes: those that hang on one, `{owner=PID}`, and `{owner}` of a directory's
 * policy; and plain ones, `{ephemeral}`, which hang on the mount alone.
 *
 * To the replicas they are ephemerals of the session. This mount holds a pidfd on each owner and removes what a dead
 * one owned, all of it in one transaction, by id, so that a node made anew is never hit; what is refused for lack of a
 * quorum is tried again until the session ends. The processes count as holders (holder.h): they are fenced when the
 * session is lost.
 *
 * So does the process that made a plain one, as long as that is there and it lives itself: a program that registers
 * itself must learn that it is registered no more. Once it has ended, as mkdir(1) has, nobody stands for the node:
 * the script that called it may make it anew in the next session. */
#ifndef PACT_OWNER_H
#define PACT_OWNER_H

#include "fs/mount/mount.h"
#include "fs/mount/token.h"

struct owners;
struct owners *owners_new(struct estate *estate);
void owners_free(struct owners *owners);

/* A create (or rename) under way: the process that its node will hang on, or that makes it. Zeroed: none. */
struct owning {
    uint64_t key; /* of the holder; 0: nobody is noted */
    bool makes;   /* a create, which may find that the file is there */
    bool stays;   /* the node does not end with the process */
};

/* In the handler, before the request for an ephemeral is submitted, so that no death is missed. ERR_OK; NOT_PERMITTED
 * (`{owner=PID}` of neither the caller nor an ancestor of it, or of another user's), INVALID (no such process),
 * TOO_MANY (LIMIT_HOLDERS). Who makes a plain one and cannot be seen from here is not noted: it cannot be fenced. */
int owner_find(fuse_req_t req, const struct tokens *tokens, struct owning *owning);
/* What became of it. In the client thread, or in the handler's if the request was refused at once. If the process has
 * died meanwhile, the node that hangs on it is removed. */
void owner_settle(struct mount *mount, struct owning *owning, const struct result *result);

/* --- from the client thread --- */

/* Before the changes are announced. */
void owners_changed(struct mount *mount, const struct changes *changes);
/* Whether the entry applied last removed what a dead process owned: then the kernel does not know of it yet, though the
 * entry is of this mount's session. */
bool owners_removed(const struct mount *mount, uint64_t zxid);
void owners_lose(struct mount *mount); /* with the session all is gone */

/* --- from the holders' thread --- */

/* First: what hung on a process when the worker before was killed does so again, and goes with it if that has died; and
 * who made what is noted again. */
void owners_restore(struct mount *mount);

/* A holder has died: what it owned is removed. */
void owners_bury(struct mount *mount, uint64_t key);
/* Tries again what was refused; whether something is left to be tried. */
bool owners_retry(struct mount *mount);

uint64_t owners_count(struct mount *mount); /* znodes that hang on a process */

#endif
