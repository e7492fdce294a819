/* mount.h - a mount: the learner, and what its runtime and its programs do. */
#ifndef PACT_SIM_MOUNT_H
#define PACT_SIM_MOUNT_H

#include "fs/client/learner.h"
#include "tests/sim/check.h"
#include "tests/sim/programs.h"

enum { MOUNT_OPS = 12 }; /* outstanding at once */

struct mount {
    struct cluster *cluster;
    unsigned index;
    int64_t drift_ppm;
    uint64_t boot_ms, stalled_us;

    struct learner *learner;
    struct learner_output output;
    struct state *tree;
    struct snapshot_loader *loader;
    int server; /* linked with, or dialling; -1: none */
    int left;   /* the one it was with, or dialled, before; -1: none */
    bool linked;
    uint64_t dial_number, tick_number, tick_at_us;
    bool carrying;

    struct op *ops[MOUNT_OPS]; /* not yet returned */
    uint64_t think_us;
    char made[16][LIMIT_NAME_BYTES + 1]; /* names of znodes of its own, to be removed */
    unsigned made_count;
    struct program programs[PROGRAMS];
    struct changes changes;  /* of the entry in hand */
    bool freezes;            /* with its next heartbeat */
    bool leaving;            /* it closes its session, and then begins anew */
    uint64_t done_called_us; /* when the newest write that succeeded was called */
};

struct mount *mount_new(struct cluster *cluster, unsigned index);
void mount_free(struct mount *mount);
uint64_t mount_stalled_until(const struct mount *mount);
void mount_stall(struct mount *mount, uint64_t for_us);
void mount_goes_on(struct mount *mount); /* it stalls no more */
void mount_dies(struct mount *mount);    /* and begins anew, with another session */
void mount_leaves(struct mount *mount);  /* the same, but it closes its session first */
uint64_t mount_ms(const struct mount *mount);

/* --- between mount.c and workload.c --- */

void mount_carry_out(struct mount *mount);
void mount_settle(struct mount *mount);
void work_begin(struct mount *mount);
uint64_t work_key_id(const struct mount *mount, unsigned key); /* of its znode; 0: there is none */
bool work_has_room(const struct mount *mount);                 /* for one more request */
void work_forget(struct mount *mount);                         /* what it waits for will never be known */

#endif
