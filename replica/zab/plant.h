/* plant.h - bugs that can be planted to try the simulator: each once a bug of some Zab. Off, and no code at all, but
 * with -DPACT_PLANT. Beside each line that avoids one stands its name in ZAB_BUG(). */
#ifndef PACT_ZAB_PLANT_H
#define PACT_ZAB_PLANT_H

#ifdef PACT_PLANT

enum zab_bug {
    BUG_NONE,
    BUG_ACK_BEFORE_FSYNC,     /* an ACK of what is not durable */
    BUG_EPOCH_BEFORE_HISTORY, /* the current epoch is durable before the history it stands for */
    BUG_NEW_LEADER_EARLY,     /* NEW_LEADER is acknowledged on receipt */
    BUG_HISTORY_KEPT,         /* a follower keeps its history through an election it lost: no TRUNC */
    BUG_OVER_TRUNCATION,      /* one entry too many is cut */
    BUG_UNDER_TRUNCATION,     /* one entry too few */
    BUG_DUPLICATE_REFUSED,    /* a proposal that is there already ends the replica */
    BUG_OLD_COMMIT,           /* UP_TO_DATE carries the commit point from before the synchronisation */
    BUG_OLD_QUEUE,            /* acknowledgements of the old term survive stepping down */
    BUG_ROLLOVER,             /* the counter begins anew within its epoch */
    BUG_LONELY_EPOCH,         /* NEW_EPOCH before a quorum has said which epochs it accepted */
    BUG_MINORITY,             /* commit by one less than a quorum */
    BUG_NON_VOTER,            /* a non-voter counts */
    BUG_OLD_ENTRY,            /* entries of an older term's leader are accepted */
    BUG_LONELY_BARRIER,       /* a barrier is answered without a round to the quorum */
    BUG_COUNT,
};
extern enum zab_bug zab_planted;
#define ZAB_BUG(name) (zab_planted == BUG_##name)

#else

#define ZAB_BUG(name) 0

#endif
#endif
