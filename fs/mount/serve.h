/* serve.h - a mount's life: the client, the FUSE session and its threads, the ghosts. */
#ifndef PACT_SERVE_H
#define PACT_SERVE_H

#include "replica/net/link.h"

struct mount;

struct mount_options {
    const char *name;       /* what `mount` and `df` show as the device */
    const char *mountpoint; /* an absolute path */
    const char *servers;    /* as client_open takes them */
    struct link_keys keys;
    const char *root;                           /* the directory to mount: "/", "/sub" … */
    const char *flags;                          /* for the kernel: "" or ",noexec,noatime" … */
    uint32_t session_timeout_ms, op_timeout_ms; /* 0: the defaults */
    bool background;                            /* whoever started us must not wait for our descriptors */
    bool read_only;                             /* enforced here; the kernel sees rw, or it would refuse ghosts */
    bool literal;                               /* tokens in names are not looked for */
    bool linearizable;
    bool embedded;            /* the replica is in this process: it is there, however long it takes to begin */
    int lost;                 /* the signal for those who are fenced; 0: none */
    void (*ended)(void *arg); /* the mount was unmounted from outside; in another thread */
    void *arg;
    struct estate *estate; /* what a mount_start before this one left, in a process that is dead; and will leave */
    int device;            /* the descriptor of /dev/fuse, kept by another process; -1: attach gives it */
    int (*attach)(void);   /* called when the tree is there: mounts (mount_attach, in that process); -1: it cannot */
};

/* Whether what is mounted there is a mount whose daemon has died: `stat` alone the kernel may still answer. */
bool mount_is_dead(const char *mountpoint);
/* Mounts, without serving; the kernel's calls wait for whoever does. A dead mount there is detached just before. NULL:
 * it cannot, libfuse has said why. */
struct fuse_session *mount_attach(const struct mount_options *options);
int mount_attached_device(struct fuse_session *attached);
/* Closes the descriptor; unmounts, if nobody has. `keep`: the mount stays, dead, so that nothing shows below it. */
void mount_detach(struct fuse_session *attached, const struct mount_options *options, bool keep);

/* Returns when the mount answers. The caller has blocked the signals it waits for: no thread started here takes them.
 * ERR_OK, or an error and a text. Everything in options must outlive the mount. One that goes on with what another
 * process left waits without limit for replicas; if it cannot go on, what is mounted stays. */
int mount_start(const struct mount_options *options, struct mount **mount, char *text, size_t text_len);

/* Ends ghosts, mount and session, and frees. What is staged and not yet closed is lost, as with any unmount by force.
 */
void mount_stop(struct mount *mount);

#endif
