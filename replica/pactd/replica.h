/* replica.h - a replica at work: one event loop (libuv) that carries client requests through log, apply and streams.
 *
 * The write path has no hand-off between threads: everything that arrived while the last fdatasync ran is stamped,
 * appended, synced once, applied and streamed to the mounts (group commit). Only snapshots are written elsewhere. */
#ifndef PACT_REPLICA_H
#define PACT_REPLICA_H

#include "replica/net/link.h"

struct replica_member {
    uint32_t id;
    const char *address;      /* for mounts; what `status` shows */
    const char *peer_address; /* for the other replicas */
};

struct replica_options {
    uint32_t id;
    const char *data;             /* directory; not that of an embedded replica, whose data is below it */
    const char *const *addresses; /* to bind for mounts: HOST:PORT (port 0: any) or inproc:NAME */
    size_t address_count;
    const struct replica_member *members; /* of the ensemble, by id, this one included; ≤ LIMIT_REPLICAS */
    size_t member_count;
    bool adopt; /* take over a data directory that another replica wrote, or one of an ensemble of other members */
    uint32_t state_version_max; /* does not go beyond it, though it could; 0: no such limit */
    uint32_t silence_ms;        /* a member that has been silent this long is down; 0: ZAB_SILENCE_MS */
    struct link_keys keys;
    const char *log_level; /* error, warn, info, debug; NULL: the process's, as it is */
    /* Log written since the last snapshot that calls for a new one; 0: LOG_SNAPSHOT_EVERY_… of limits.h. */
    uint64_t snapshot_every_bytes, snapshot_every_entries;
    bool needs_space;                        /* begins only where an epoch can be made durable, else ERR_NO_SPACE */
    bool ends_quickly;                       /* no last snapshot: who starts next waits for the data directory */
    void (*ready)(void *arg, uint16_t port); /* serving: in the loop's thread; NULL: none */
    void *ready_arg;
};

struct replica;

/* Opens the data directory, recovers (printing progress of a long load to stderr), binds. On error text says why.
 * ERR_BUSY: another process has the directory. */
int replica_open(const struct replica_options *options, struct replica **replica, char *text, size_t text_len);
/* Serves until replica_stop, or until it can't go on (a failed sync …): then the error, already logged. It may be that
 * it never served, and `ready` was not called. ERR_NO_SPACE: an epoch found no space; it can be opened again. */
int replica_run(struct replica *replica);
void replica_stop(struct replica *replica); /* from any thread or a signal handler */
void replica_free(struct replica *replica); /* after replica_run has returned */

#endif
