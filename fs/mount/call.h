/* call.h - a request of the kernel that waits for the client thread: submitted by a handler, answered by `finish` in
 * the client thread once the tree shows the result. */
#ifndef PACT_CALL_H
#define PACT_CALL_H

#include "fs/mount/file.h"
#include "fs/mount/mount.h"
#include "fs/mount/owner.h"

struct handle;

struct call {
    struct mount *mount;
    fuse_req_t req;
    uint64_t unique; /* the kernel's number; 0: made outside of a handler */
    /* Replies. In the client thread, or in the handler's if the request is refused at once. Must not wait. */
    void (*finish)(struct call *call, const struct result *result);
    bool interruptible; /* a signal withdraws the request as long as it is unsent */

    /* What finish may need; freed with the call: name. */
    struct handle *handle;
    struct fuse_file_info fi;
    struct node_stat stat; /* of the znode concerned, as far as it is known beforehand */
    uint64_t parent;
    char *name;
    int finish_value;
    struct owning owning;     /* of a create: the process that the new znode hangs on */
    bool was_unborn, appends; /* of a commit */
    struct turn turn;         /* of a RELEASE */
    bool answered;            /* finish has been called */
    struct op_lock lock;      /* F_GETLK */
    struct op_unlock unlock;  /* to be done after a commit */

    _Atomic int refs;
    _Atomic bool interrupted;
    _Atomic uint64_t ticket;
};

/* Never NULL. Interruptible. */
struct call *call_new(fuse_req_t req, void (*finish)(struct call *call, const struct result *result));
void call_set_name(struct call *call, const char *name);
void call_free(struct call *call); /* one that was not submitted */

/* Each takes the call over; it may be gone on return, and req with it. A fenced caller's request is refused
 * (SESSION_EXPIRED), and one that was looked at before the session was lost never goes under the next. */
void call_submit(struct call *call, const struct request *request);
void call_sync(struct call *call); /* finish comes when this mount shows all that was committed before */

/* A finish that replies with the code and nothing else. */
void call_reply_code(struct call *call, const struct result *result);

#endif
