/* priority.h - a replica that catches up stands back: what it has missed can wait, what others serve on the same
 * machine, perhaps the other replicas and mounts, can not.
 *
 * For the calling thread. Nothing happens where the system would not let it come forward again (CAP_SYS_NICE,
 * RLIMIT_NICE). */
#ifndef PACT_PRIORITY_H
#define PACT_PRIORITY_H

#include <stdbool.h>

/* Added to the nice value, up to 19: the weight of a thread that stands back is a ninth of what it was, or a
 * seventieth, which is enough only for what has time. */
enum { BACK_A_LITTLE = 10, BACK_FAR = 19 };

/* Both may be called again. A thread that is made meanwhile inherits the lower priority. */
void priority_stand_back(int steps);
void priority_come_forward(void);
/* Between two pieces of long work, some 50 us each at most; nothing but for one who stands back. Its low weight alone
 * is not enough: once it runs, the system lets it run for some ms, also while others are ready (Linux 6.6 and later);
 * only who wakes up goes first, not who was pushed aside by one that woke up, and is ready still. Where the processors
 * are always taken it loses a tenth of its time by this. */
void priority_give_way(void);

#endif
