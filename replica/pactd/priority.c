#include "replica/pactd/priority.h"

#include <linux/sched/types.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The longest: who wakes up with a shorter one goes first, at once (Linux 6.12). */
enum { SLICE_NS = 100000000 };

static _Thread_local bool is_back;
static _Thread_local int before;

/* The only way to know is to try: one step forward, which takes the same permission as the way back. */
static bool may_return(void)
{
    before = getpriority(PRIO_PROCESS, 0);
    return before > -20 && setpriority(PRIO_PROCESS, 0, before - 1) == 0;
}

/* Slice 0: the system's own. */
static bool set(int nice, uint64_t slice_ns)
{
    struct sched_attr attr = {.size = sizeof attr, .sched_nice = nice, .sched_runtime = slice_ns};
    return syscall(SYS_sched_setattr, 0, &attr, 0) == 0 || setpriority(PRIO_PROCESS, 0, nice) == 0;
}

void priority_stand_back(int steps)
{
    if (is_back || !may_return())
        return;
    is_back = set(before + steps, SLICE_NS);
}

void priority_give_way(void)
{
    if (is_back)
        syscall(SYS_sched_yield); /* glibc's sched.h and the system's types.h exclude each other */
}

void priority_come_forward(void)
{
    if (is_back)
        is_back = !set(before, 0);
}
