/* estate.h - what a worker leaves to the next if it is killed: in memory that the supervisor keeps for both, written as
 * things happen. Whoever finds it may find it between any two writes; so each table says in one word, written last,
 * what of it counts.
 *
 * With it the next worker goes on with the same session, the same descriptors and the same kernel:
 *
 *   session, requests   learner_estate.h; a call that the kernel sends again finds what became of its request by its
 *                       number (`unique`), which is the request's tag
 *   INIT                as the kernel sent it, for libfuse
 *   root                the znode that is mounted: root=/DIR may be another's path by now
 *   handles             one slot for each open description, by its fh
 *   owned               which znode hangs on which process, or was made by it
 *   fenced              who lost something under an earlier session
 *   ghosts              the threads that acted for the workers before: what they still ask is not answered by doing it
 *   sent_back           calls that the kernel will make again
 *   known               a bit for each inode that the kernel has looked up: it may be watched */
#ifndef PACT_ESTATE_H
#define PACT_ESTATE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "fs/client/learner_estate.h"
#include "fs/mount/sent_back.h"

enum {
    ESTATE_INIT_BYTES = 256,
    ESTATE_OWNED = 65536, /* more hang on nobody after a kill, and go with the session */
    ESTATE_GHOSTS = 1024, /* of all workers whose threads the kernel still holds */
};
#define ESTATE_KNOWN_IDS  (1ull << 32) /* those above are taken for known */
#define ESTATE_KNOWN_PAGE 32768u       /* ids whose bits are in one page of memory */

enum estate_handle_bit {
    ESTATE_DIRECTORY = 1,
    ESTATE_WRITABLE = 2,
    ESTATE_UNBORN = 4,
    ESTATE_BY_USER = 8,
    ESTATE_STAGED = 16, /* something was written and is not committed: it is lost */
    ESTATE_LOCKED = 32, /* it holds a lock, as long as the session lives */
};

struct estate_handle {
    _Atomic uint64_t fh; /* 0: free */
    uint64_t ino;
    uint64_t opener; /* the kernel's number of the call that opened it */
    pid_t tgid;
    uint64_t identity; /* of the thread group */
    pid_t asker;       /* who asked for the lock that it was granted last; 0: nobody */
    uint64_t asker_identity;
    _Atomic uint32_t bits;
};

struct estate_owned {
    _Atomic uint64_t id; /* 0: free */
    pid_t pid;
    bool stays;        /* the process made it, and it outlives that */
    uint64_t identity; /* of the process */
};

struct estate_fenced {
    pid_t pid, group;
    uint64_t noted;
};

struct estate {
    struct client_estate client;
    uint8_t init[ESTATE_INIT_BYTES];
    uint64_t root;           /* set before INIT comes */
    dev_t device;            /* st_dev of the mount */
    bool resumable;          /* the kernel can send calls again */
    bool epochs;             /* the kernel can forget all names at once */
    _Atomic size_t init_len; /* 0: the kernel has not asked yet */
    _Atomic uint64_t last_handle;
    struct estate_handle handles[LIMIT_HANDLES]; /* at fh % LIMIT_HANDLES */
    struct estate_owned owned[ESTATE_OWNED];
    _Atomic uint32_t fenced_current; /* which of the two counts */
    struct {
        size_t count;
        struct estate_fenced list[LIMIT_HOLDERS];
    } fenced[2];
    _Atomic uint64_t ghosts[ESTATE_GHOSTS]; /* thread and, in the upper half, process; 0: free */
    struct sent_back sent_back;
    _Atomic uint64_t announced; /* zxid: all changes up to this have been announced, */
    _Atomic uint64_t resting;   /* but content that this mount has committed from here on; 0: that, too */
    _Atomic bool known_pages[ESTATE_KNOWN_IDS / ESTATE_KNOWN_PAGE]; /* where a bit was ever set */
    _Atomic uint64_t known[ESTATE_KNOWN_IDS / 64];
};

/* Shared with all processes forked from this one; only what is written takes memory. NULL: no memory. */
struct estate *estate_new(void);
/* Whether a worker has served the mount: what it left is to be taken over. */
bool estate_left(const struct estate *estate);
/* Notes a ghost thread of this process. NULL: there is no room. */
_Atomic uint64_t *estate_add_ghost(struct estate *estate, pid_t tid);

#endif
