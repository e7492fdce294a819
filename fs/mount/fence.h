/* fence.h - processes that lost a lock, or a node that they owned, with a session get ESTALE on each modifying call for
 * as long as they live, with their descendants and process groups, so that work done under a lost lock cannot land in
 * the next session (design §4).
 *
 * Who is fenced: a process of the table, one with such an ancestor, one of a process group of the table or with an
 * ancestor of one. Descendants at the time of the loss are in the table themselves, so that they stay fenced when
 * their ancestors die; one that is made later, then leaves its process group and loses its parents, escapes. */
#ifndef PACT_FENCE_H
#define PACT_FENCE_H

#include "fs/mount/mount.h"

struct fence;

struct fenced {
    uint64_t key; /* in the record */
    pid_t pid;
    pid_t group;    /* 0: none, or none left */
    int pidfd;      /* -1: the process has died; its group may live */
    uint64_t noted; /* process_now() when it lived; 0: now */
    bool told;      /* it was sent the signal, if there is one */
};

/* `signal`: what those who are fenced are sent, too; 0: nothing. */
struct fence *fence_new(int signal, struct estate *estate);
void fence_free(struct fence *fence);

/* Fences these, takes over their pidfds, and finds their descendants. In the client thread, before a new session. */
void fence_add(struct mount *mount, const struct fenced *list, size_t count);
/* Those that were fenced when the worker before was killed; before anything is served. */
void fence_restore(struct mount *mount);
/* Whether a process (any thread of it) is fenced. Cheap as long as nobody is. */
bool fence_holds(struct mount *mount, pid_t tid);
/* SESSION_EXPIRED if the caller is. */
int fence_check(fuse_req_t req);
/* Forgets who has died; whether anybody is left. In the holders' thread. */
bool fence_sweep(struct mount *mount);
uint64_t fence_count(struct mount *mount); /* processes and groups in the table */

#endif
