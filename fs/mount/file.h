/* file.h - files (and control files) that are open on this mount, one for each inode: what its handles share.
 *
 * It keeps the last version of the data, so that a file that was removed lives on for those who have it open, and it
 * knows who has staged what and who is about to finish. Thread-safe, with one lock that nothing blocks under. */
#ifndef PACT_FILE_H
#define PACT_FILE_H

#include <sys/types.h>
#include <uthash.h>

#include "fs/mount/mount.h"

struct files;
struct handle;

struct file {
    fuse_ino_t ino;
    uint64_t id; /* the znode whose data it is */
    unsigned handles;
    struct handle *writers; /* list of the handles that were opened for writing */
    bool removed;           /* no name is left: nothing is committed any more */
    bool lost;              /* unborn, and removed with the session of another host that had opened it */
    bool closing;           /* the last writer has closed; its RELEASE, which commits, is under way */
    bool overdue;           /* but did not come in time: OPEN and GETATTR wait no more */
    bool doomed;            /* unborn and abandoned, about to be removed: nobody may begin to write to it */
    struct data *last;      /* the newest version seen; owned */
    struct handle *staged;  /* list of the handles with staged writes, or such in flight */
    bool queued;            /* closing, and its commit is not submitted yet */
    struct file *queue_prev, *queue_next;
    UT_hash_handle hh;
};

/* A handle's place in its file's list. */
struct staged {
    struct data *view;   /* the file as its writer sees it; owned */
    bool in_flight;      /* the view is that of a commit that is not answered yet; nothing is staged */
    bool emptied;        /* the file was cut to nothing, and nothing was written since */
    struct data *over;   /* if emptied: what was committed then; owned */
    bool clears_set_id;  /* the commit takes the set-user-ID and set-group-ID bits away */
    bool taken_by_other; /* what was emptied went with a commit of another thread group */
    bool joined;         /* its thread group has committed through another descriptor since it was opened */
    pid_t tgid;          /* the opener's thread group */
    pid_t writer;        /* the thread that wrote last */
    uint64_t session;    /* with which it is lost */
    bool keeps_mtime;    /* utimes came after the last write: the commit sets that time */
    int64_t mtime_ns;
    bool listed;
    struct handle *prev, *next;
    bool writes; /* in the list of writers */
    bool left;   /* its opener has no descriptor of it any more */
    struct handle *writer_prev, *writer_next;
};

/* A file, as not all see it. */
struct looked {
    struct data *view;
    bool clears_set_id;
};

struct files *files_new(void);
void files_free(struct files *files);

/* Counts a handle; `last` is the data now (borrowed). Never NULL. */
struct file *files_open(struct files *files, fuse_ino_t ino, uint64_t id, struct data *last);
void files_close(struct files *files, struct handle *handle);
/* Whether any handle of this inode is open. */
bool files_is_open(struct files *files, fuse_ino_t ino);

/* From the client thread: follows the changes of an entry, or of a resynchronisation (changes NULL). */
void files_changed(struct mount *mount, const struct changes *changes);
/* Whether a file was removed; *last is then its data (a count for the caller), if asked for. */
bool files_removed(struct files *files, const struct file *file, struct data **last);
void files_set_removed(struct files *files, struct file *file);
/* Whether it was removed by nobody, but with a session, before it was born: what is written to it is lost. */
bool files_lost(struct files *files, const struct file *file);
/* Gives a removed file new data (a count is taken). */
void files_set_last(struct files *files, struct file *file, struct data *last);
/* Gives a removed file, open as it is, another size. ERR_OK, or ERR_TOO_BIG. */
int files_resize_removed(struct files *files, fuse_ino_t ino, uint64_t size);

/* Notes what a handle has staged by now. */
void files_stage(struct files *files, struct handle *handle);
/* The commit of what is noted begins: it is shown to those who saw it, though it is staged no more; until that is
 * answered, or something else is staged. */
void files_commit(struct files *files, struct handle *handle);
void files_end_commit(struct files *files, struct handle *handle);
/* Puts a handle among the writers, until it is closed. False: the file is doomed. */
bool files_add_writer(struct files *files, struct handle *handle);
/* The file's writer with the next fh after this one (a count for the caller); NULL: there is none. */
struct handle *files_next_writer(struct files *files, fuse_ino_t ino, uint64_t fh);
/* The same among the other writers of a handle's file. NULL: the file is doomed from now on, and closing. */
struct handle *files_heir(struct files *files, const struct handle *handle, uint64_t fh);
/* Whether a file is doomed: who looks for its name is to make another, after the removal that is under way. */
bool files_is_doomed(struct files *files, fuse_ino_t ino);
/* The removal of a doomed file has ended, or failed. */
void files_end_doom(struct files *files, struct file *file);
/* How many more times its opener has its file open for writing; and that it has closed this one. */
unsigned files_other_writers(struct files *files, const struct handle *handle);
void files_set_left(struct files *files, struct handle *handle);
/* Whether a file's attributes may change from here at any time: somebody has it open for writing. */
bool files_in_flux(struct files *files, fuse_ino_t ino);
/* A file as a thread sees it, where that is not what all see: with what its process has staged, or wrote through
 * another's descriptor, until that is committed; an unborn or removed file with what anybody has. looked->view is a
 * count for the caller. False: it sees what all see. */
bool files_look(struct mount *mount, fuse_ino_t ino, pid_t tid, struct looked *looked);
/* The fh of the next handle after `fh` through which a thread's process has staged something; 0: none. */
uint64_t files_next_staged(struct mount *mount, fuse_ino_t ino, pid_t tid, uint64_t fh);
/* What has only been cut to nothing, through handles of this file other than this one (NULL: any), goes with the commit
 * that the caller is about to make and not with a later one: it was done before. Returns whether there is any. */
bool files_take_emptied(struct files *files, fuse_ino_t ino, const struct handle *handle);
/* Whether its process has committed to its file through another handle since it was opened: each commit, with
 * files_take_emptied, notes it with the others' handles. */
bool files_joined(struct files *files, const struct handle *handle);
/* Whether what a handle has staged was taken so. */
bool files_taken(struct files *files, const struct handle *handle);

/* utimes on a file with staged writes (cp -p, tar, rsync): what is staged by now is committed with this time. */
void files_set_mtime(struct files *files, fuse_ino_t ino, int64_t mtime_ns);
/* The mtime with which a handle's staged writes are to be committed; false: that of the commit. */
bool files_staged_mtime(struct files *files, const struct handle *handle, int64_t *mtime_ns);

void files_set_closing(struct files *files, struct file *file, bool closing);
/* Waits, at most UNBORN_WAIT_MS, for a RELEASE under way. If it does not come, somebody else still holds the handle,
 * and nobody waits again. */
void files_wait_closing(struct files *files, fuse_ino_t ino);
/* A RELEASE whose commit is to be submitted. */
struct turn {
    struct file *file;
    void *arg; /* for `go` */
    struct turn *prev, *next;
};

/* Has `go` called for a RELEASE when what was closed before its file is submitted: the kernel sends them in the order
 * of close(), but the threads that take them overtake each other, and what they commit would appear in another order
 * than it was made. One thread stays and calls it for all, the others return at once, lest all wait for a RELEASE that
 * none is left to read. It waits for each file's for TURN_WAIT_MS at most: somebody else may hold it open.
 * files_end_turn, in `go`: it is submitted. */
void files_take_turns(struct files *files, struct turn *turn, void (*go)(void *arg));
void files_end_turn(struct files *files, struct file *file);

#endif
