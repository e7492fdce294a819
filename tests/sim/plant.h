/* plant.h - bugs put into the simulated replicas on purpose, to try the simulator. Only sim_planted has them. Those of
 * zab itself stand in replica/zab/plant.h, those of the state machine in replica/state/plant.h. */
#ifndef PACT_SIM_PLANT_H
#define PACT_SIM_PLANT_H

#include <stdbool.h>

#ifdef PACT_PLANT

enum sim_bug {
    SIM_NONE,
    SIM_SNAPSHOT_NOT_DURABLE,     /* the leader's snapshot is in memory, and acknowledged, before it is on disk */
    SIM_TRUNCATE_FAILURE_IGNORED, /* the log could not be cut; the replica goes on as if it were */
    SIM_NUMBERS_NOT_IN_SNAPSHOT,  /* a snapshot has the sessions without their newest numbers */
    SIM_NUMBERS_SURVIVE_TERM,     /* a leader's table of numbers lives on into its next term */
    SIM_DUPLICATES_PROPOSED,      /* a number that was proposed is proposed again */
    SIM_GAP_PROPOSED,             /* a number is proposed though the one before it was not */
    SIM_LEASE_BY_WALL_CLOCK,      /* a session's timeout is counted by a clock that jumps */
    SIM_NO_GRACE,                 /* a new leader grants no full timeouts */
    SIM_HEARTBEAT_WITHOUT_QUORUM, /* a replica acknowledges heartbeats by its own word */
    SIM_BARRIER_WITHOUT_QUORUM,   /* a leader answers syncs by its own word */
    SIM_STREAM_UNCOMMITTED,       /* a mount is sent what is appended, not what is committed */
    SIM_EPOCHS_NOT_DURABLE,       /* epochs are promised, and forgotten with the process */
    SIM_WIPED_VOTER,              /* a replica that lost its disk votes as before */
    SIM_RENEWED_ON_ACK,           /* a mount counts its lease from when an acknowledgement came */
    SIM_LEADER_ACKS_ALONE,        /* a leader acknowledges heartbeats by its own word */
    SIM_HEARTBEAT_NOT_HEARD,      /* heartbeats are acknowledged, and do not count as a sign of life */
    SIM_TTL_UNCHECKED,            /* what was due is deleted, though it has changed since */
    SIM_TTL_TRIED_ONCE,           /* what was not deleted when it was due stays */
    SIM_WAITERS_NOT_IN_SNAPSHOT,  /* a snapshot has only the locks that are held */
    SIM_WAITER_HOLDS,             /* a program in the queue counts on its lock already */
};
extern enum sim_bug sim_planted;
#define PLANTED(name) (sim_planted == SIM_##name)

struct state;
struct learner;
void plant_forget_numbers(struct state *state);
void plant_forget_waiters(struct state *state);
void plant_renew(struct learner *learner);

#else

#define PLANTED(name)               false
#define plant_forget_numbers(state) ((void)(state))
#define plant_forget_waiters(state) ((void)(state))
#define plant_renew(learner)        ((void)(learner))

#endif
#endif
