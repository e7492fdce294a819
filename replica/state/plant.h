/* plant.h - bugs that can be planted in the state machine to try the simulator, as replica/zab/plant.h has them of Zab.
 * Off, and no code at all, but with -DPACT_PLANT. */
#ifndef PACT_STATE_PLANT_H
#define PACT_STATE_PLANT_H

#ifdef PACT_PLANT

enum state_bug {
    STATE_BUG_NONE,
    STATE_BUG_READERS_IGNORED, /* a shared lock is in nobody's way */
    STATE_BUG_QUEUE_JUMPED,    /* a request that no holder is against does not look at the queue */
    STATE_BUG_LAST_FIRST,      /* the queue is gone through from its end */
    STATE_BUG_GRANTED_TWICE,   /* who was granted stays in the queue as well, once more */
    STATE_BUG_NO_WAKE_UP,      /* the end of a session grants nothing */
    STATE_BUG_LOCKS_LEFT,      /* a session's locks outlive it */
    STATE_BUG_EPHEMERAL_LEFT,  /* the last of a session's ephemerals outlives it */
    STATE_BUG_TTL_BY_MTIME,    /* a TTL runs from the time that users can set */
};
extern enum state_bug state_planted;
#define STATE_BUG(name) (state_planted == STATE_BUG_##name)

struct lock;
struct node;
struct state;
void plant_keep(struct state *state, struct node *node); /* an ephemeral becomes one that stays */
void plant_wait_again(struct state *state, struct lock *lock);

#else

#define STATE_BUG(name)               0
#define plant_keep(state, node)       ((void)(node))
#define plant_wait_again(state, lock) ((void)(lock))

#endif
#endif
