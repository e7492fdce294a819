#include "replica/pactd/priority.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

enum {
    SLICE_NS = 10000000,    /* longer than anybody's own: who wakes up with a shorter one goes first (Linux 6.12) */
    WORK_NS = 20000,        /* between giving way and giving way, which costs some 0.5 us */
    LONG_WAIT_NS = 1000000, /* after one of these … */
    RUNS_FOR_A_WAIT = 10    /* … so many times as long */
};

/* sched_setattr(2), as of Linux 3.14: its own header and sched.h exclude each other. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static _Thread_local bool is_back;
static _Thread_local int before;
static _Thread_local uint64_t next_ns; /* it gives way again */

/* The only way to know is to try: one step forward, which takes the same permission as the way back. */
static bool may_return(void)
{
    before = getpriority(PRIO_PROCESS, 0);
    return before > -20 && setpriority(PRIO_PROCESS, 0, before - 1) == 0;
}

/* Slice 0: the system's own. */
static bool set(int nice, uint64_t slice_ns)
{
    struct attr attr = {
        .size = sizeof attr, .policy = (uint32_t)sched_getscheduler(0), .nice = nice, .runtime = slice_ns};
    return syscall(SYS_sched_setattr, 0, &attr, 0) == 0 || setpriority(PRIO_PROCESS, 0, nice) == 0;
}

void priority_stand_back(int steps)
{
    if (is_back || !may_return())
        return;
    is_back = set(before + steps, SLICE_NS);
}

/* Who gives way gives up the rest of a slice, which at a low weight is a second of what others run. */
void priority_give_way(void)
{
    uint64_t from_ns = is_back ? uv_hrtime() : 0;
    if (!is_back || from_ns < next_ns)
        return;
    sched_yield();
    uint64_t now_ns = uv_hrtime(), waited_ns = now_ns - from_ns;
    next_ns = now_ns + (waited_ns < LONG_WAIT_NS ? WORK_NS : RUNS_FOR_A_WAIT * waited_ns);
}

void priority_come_forward(void)
{
    if (is_back)
        is_back = !set(before, 0);
}
