/* cluster.h - a whole ensemble and its mounts in one process, under one simulated clock, from one seed.
 *
 * The parts:
 *   cluster.c   the queue of events, chance, the trace; the run from its beginning to its judgement
 *   network.c   links between all of them: FIFO, gapless while up; partitions, loss, clogs, late duplicates
 *   server*.c   a replica: zab, state, store on a simulated disk, and what a leader and a replica of mounts must do
 *   mount.c     the pure learner and what a mount's runtime does for it; workload.c what its programs ask for
 *   faults.c    what goes wrong, and when; liveness.c: that all is well again once a majority is
 *   check_*.c   the invariants, looked at after every step
 * The same seed gives the same run: no address, no real clock, no other chance enters. */
#ifndef PACT_SIM_CLUSTER_H
#define PACT_SIM_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/codec.h"
#include "replica/state/state.h"
#include "replica/zab/zab.h"

enum {
    SERVERS_MAX = 7,
    MOUNTS_MAX = 6,
    ENDS_MAX = SERVERS_MAX + MOUNTS_MAX, /* of links: the servers, then the mounts */
    MS = 1000,                           /* in simulated microseconds */
};

struct cluster_options {
    uint64_t seed;
    unsigned servers; /* 0: 3, 5 or 7, as the seed says */
    bool liveness;    /* with the second phase */
    bool calm;        /* without faults */
    bool trace;       /* print what happens */
    uint64_t duration_ms;
};

struct cluster_counts {
    uint64_t events, leaders, entries, written, unknown, refused, synced, expiries;
    uint64_t crashes, power_losses, partitions, wipes, snapshots, truncations, sessions;
    uint64_t locked, granted, ephemerals, timed_out; /* at once; to waiters; gone with a session; by their TTL */
};

struct outcome {
    bool failed;
    char checker[24], text[256];
    uint64_t hash;  /* of all that happened */
    uint64_t at_us; /* when it ended */
    struct cluster_counts counts;
};

/* Runs one seed to its end, or to the first violation. */
void cluster_run(const struct cluster_options *options, struct outcome *outcome);

/* --- for the parts --- */

struct cluster;

struct event {
    uint64_t at_us, order;
    void (*run)(struct cluster *cluster, struct event *event);
    bool waits;          /* for its end, which is stalled */
    unsigned end, other; /* whose it is, or ENDS_MAX; who else has to do with it */
    uint64_t life;       /* of that end, or 0: any. The event of an earlier life does not happen */
    uint64_t tag;
    void *load;               /* owned by the event … */
    void (*drop)(void *load); /* … and freed by this */
};

struct event_queue {
    struct event *heap;
    size_t count, room;
    uint64_t order;
};

struct network;
struct server;
struct mount;
struct faults;
struct check;

struct cluster {
    struct cluster_options options;
    uint64_t random, now_us, hash;
    struct event_queue queue;
    unsigned server_count, mount_count;
    struct zab_timing timing; /* of all replicas */
    uint32_t counter_last;    /* of an epoch; 0: 32 bits */
    struct network *network;
    struct server *servers[SERVERS_MAX];
    struct mount *mounts[MOUNTS_MAX];
    struct faults *faults;
    struct check *check;
    struct arena *arena;   /* of the entry or request in hand */
    struct buffer encoded; /* likewise */
    struct outcome *outcome;
};

uint64_t pick(struct cluster *cluster, uint64_t below);                     /* 0 … below - 1 */
uint64_t pick_between(struct cluster *cluster, uint64_t from, uint64_t to); /* both included */
bool chance(struct cluster *cluster, unsigned per_mille);
uint64_t spread(struct cluster *cluster, uint64_t mean); /* roughly exponential, at most 8 × mean */

void event_add(struct cluster *cluster, struct event event, uint64_t delay_us);
/* What waits for a stalled end comes at this time instead. */
void event_put_off(struct cluster *cluster, unsigned end, uint64_t until_us);
bool end_stalled(const struct cluster *cluster, unsigned end, uint64_t *until_us);

/* Everything that happens goes into the hash, and with --trace onto standard output. */
void note(struct cluster *cluster, uint64_t what, uint64_t a, uint64_t b);
void trace(struct cluster *cluster, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An invariant is broken: the first one is what the run gives. */
void violated(struct cluster *cluster, const char *checker, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

uint64_t fingerprint(const void *at, size_t len, uint64_t seed);
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

#endif
