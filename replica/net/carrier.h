/* carrier.h - the thread in which nanomsg receives, and how it shares the processors with ours.
 *
 * It wakes ours for each message, and ours, taking the message, wakes it for the next one. On one processor it then
 * comes in between at once, and the two wait in turns for each other's locks: 20 µs before a message is looked at
 * (measured; a write has four such hops). As SCHED_BATCH it *yields*: it runs when ours sleeps. But so it does to every
 * program, and where others keep all processors busy it would wait for milliseconds. So how long it has waited is
 * looked at, and it yields only as long as that is short. */
#ifndef PACT_CARRIER_H
#define PACT_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CARRIER_LOOK_MS = 100,    /* how often its waiting is looked at, and … */
    CARRIER_TURNS = 16,       /* … after how many turns at least */
    CARRIER_WAIT_NS = 150000, /* a wait that is too long, on average; 25 to 75 µs under our own load */
    CARRIER_AGAIN_MS = 30000, /* after which it tries again to yield */
};

/* nn_socket; the thread, if this makes it, yields. */
int carrier_socket(int domain, int protocol);
/* Looks at the thread if that is due: the loops that receive call it in each turn. From any thread. */
void carrier_tend(void);

struct carrier_watch {
    bool yields;
    uint64_t waited_ns, turns; /* when they were looked at last, since the thread began */
    uint64_t again_ms;         /* not yielding: until then */
};
/* Judges by how long in all the thread has waited for a processor, and how often it has got one. Pure. */
void carrier_judge(struct carrier_watch *watch, uint64_t waited_ns, uint64_t turns, uint64_t now_ms);

#endif
