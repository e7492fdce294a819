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
    bool read_only;                             /* enforced here; the kernel sees rw, or it would refuse ghosts */
    bool literal;                               /* tokens in names are not looked for */
    bool linearizable;
    bool embedded;            /* the replica is in this process: it is there, however long it takes to begin */
    int lost;                 /* the signal for those who are fenced; 0: none */
    void (*ended)(void *arg); /* the mount was unmounted from outside; in another thread */
    void *arg;
};

/* Returns when the mount answers. The caller has blocked the signals it waits for: no thread started here takes them.
 * ERR_OK, or an error and a text. Everything in options must outlive the mount. */
int mount_start(const struct mount_options *options, struct mount **mount, char *text, size_t text_len);

/* Ends ghosts, mount and session, and frees. What is staged and not yet closed is lost, as with any unmount by force.
 */
void mount_stop(struct mount *mount);

#endif
