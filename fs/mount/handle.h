/* handle.h - open descriptions: what the kernel's fh stands for.
 *
 * fh is a number, never reused, not a pointer: one that is not known answers EBADF. A handle is locked while it is
 * used; a commit under way holds a count. */
#ifndef PACT_HANDLE_H
#define PACT_HANDLE_H

#include <pthread.h>

#include "fs/mount/control.h"
#include "fs/mount/estate.h"
#include "fs/mount/file.h"
#include "fs/mount/mount.h"
#include "fs/mount/stage.h"

struct listing;

struct handle {
    uint64_t fh;
    struct estate_handle *left; /* what the next worker will know of it */
    struct mount *mount;
    unsigned refs; /* under the table's lock */
    pthread_mutex_t lock;

    fuse_ino_t ino;
    uint64_t id;             /* the znode */
    enum control control;    /* CONTROL_NONE: the znode's own data, as for CONTROL_DATA */
    struct file *file;       /* NULL for a directory */
    struct listing *listing; /* a directory's names, once they were asked for */

    /* Reading: sequential reads stay on the version they began on, which is the newest when they began. */
    struct data *version; /* owned */
    uint64_t next;        /* the offset after the last read */
    bool at_end;          /* the last read found the end: the next one moves on */

    /* Locks. */
    _Atomic bool locked_anew; /* one was taken since the last read: that moves on, too */
    _Atomic bool lock_lost;   /* one was lost with its session: nothing is written or locked through it any more */

    /* Writing. */
    bool writable;
    bool unborn;     /* created here and not committed yet: closing makes it visible to all */
    bool by_user;    /* somebody but root writes: the commit takes the set-user-ID and set-group-ID bits away */
    bool written;    /* more is staged than creation and O_TRUNC */
    bool discarded;  /* the writer was killed: RELEASE commits nothing */
    bool ended;      /* released: nothing is committed through it any more */
    bool bereft;     /* the file was removed, and what it held went with a worker that was killed */
    int error;       /* a commit failed, or a part of a new version could not be written: everything after fails, too */
    pid_t tgid;      /* the opener's thread group; 0: not known */
    uint64_t opener; /* its identity (process.h); 0: it had ended */
    pid_t writer;    /* the thread that wrote last; 0: none */
    pid_t voider;    /* the thread of the last write(2) or O_TRUNC: when that call has ended, the kernel has voided the
                      * size and times it had; 0: none, or a mapped page was written since */
    bool cut_taken;  /* what it had cut to nothing went with another process's commit */
    uint64_t session;
    struct stage stage;
    struct staged staged;
    unsigned in_flight; /* commits not yet answered: the handle goes on showing what they carry, as `version` */
};

struct handles;
struct handles *handles_new(struct estate *estate);
void handles_free(struct handles *handles);

/* A handle for an inode; counted once for the table (handle_drop ends that). NULL if LIMIT_HANDLES are open.
 * `version` is the data to begin with (borrowed); directories have no file. */
struct handle *handle_new(struct mount *mount, fuse_ino_t ino, bool directory, struct data *version);
/* The handle of an fh, counted and locked; NULL if there is none. */
struct handle *handle_lock(struct mount *mount, uint64_t fh);
void handle_unlock(struct handle *handle); /* and gives up the count */
/* Another count for a locked handle; handle_unref gives it up, handle_relock makes it the count of a lock. */
struct handle *handle_ref(struct handle *handle);
/* Another count for one that is found in a list, if it has any: without, it is about to be freed. */
bool handle_try_ref(struct handle *handle);
void handle_unref(struct handle *handle);
void handle_relock(struct handle *handle);
/* Takes it out of the table. */
void handle_drop(struct handle *handle);
/* Notes it for the next worker. */
void handle_mark(struct handle *handle, enum estate_handle_bit bit, bool set);
/* Makes those anew that the worker before had, once the tree is there. What was staged is lost: they answer ESTALE. */
void handles_restore(struct mount *mount, bool session_lives);
/* Drops what a call had opened that is sent again. */
void handles_forget(struct mount *mount, uint64_t opener);

/* --- with the handle locked --- */

/* The newest committed version of the data behind it (a count for the caller). */
struct data *handle_current(struct handle *handle);
/* The file as its writer sees it, to base a stage on (a count for the caller). */
struct data *handle_base(struct handle *handle);
/* The file as a handle shows it that has staged something (a count for the caller); false: it has not. Not locked. */
bool handle_view(struct mount *mount, uint64_t fh, struct data **view);
/* What a read at this offset by this thread is answered from (borrowed until the next call); moves the handle on. */
struct data *handle_read_from(struct handle *handle, uint64_t offset, pid_t tid);
/* Notes how much a read gave. */
void handle_has_read(struct handle *handle, uint64_t offset, size_t len);

/* Stages. ERR_OK, TOO_BIG, NO_SPACE (LIMIT_STAGED_BYTES), QUOTA, SESSION_EXPIRED, or why nothing can be written. */
int handle_write(struct handle *handle, uint64_t offset, const void *at, size_t len);
int handle_truncate(struct handle *handle, uint64_t size);
/* Whether what it staged, created or held locked was lost with its session. */
bool handle_lost(const struct handle *handle);
/* Why `len` more bytes, for a size of `size`, can't be staged; ERR_OK if they can. */
int handle_may_stage(struct handle *handle, const struct data *base, uint64_t size, uint64_t len);
/* A commit begins: what was staged is in flight, and shown until handle_settle finds none in flight: by this handle as
 * its `version`, by others as before. */
void handle_take(struct handle *handle);
void handle_settle(struct handle *handle);
/* Gives up what is staged. */
void handle_discard(struct handle *handle);
/* Whether closing has something to commit. */
bool handle_owes(const struct handle *handle);

#endif
