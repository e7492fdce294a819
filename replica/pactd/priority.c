#include <sys/resource.h>

#include "replica/pactd/priority.h"

enum { BACK = 10 /* added to the nice value: a ninth of the weight */ };

static _Thread_local bool is_back;
static _Thread_local int before;

/* The only way to know is to try: one step forward, which takes the same permission as the way back. */
static bool may_return(void)
{
    before = getpriority(PRIO_PROCESS, 0);
    return before > -20 && setpriority(PRIO_PROCESS, 0, before - 1) == 0;
}

void priority_stand_back(void)
{
    if (is_back || !may_return())
        return;
    is_back = setpriority(PRIO_PROCESS, 0, before + BACK) == 0;
}

void priority_come_forward(void)
{
    if (is_back)
        is_back = setpriority(PRIO_PROCESS, 0, before) != 0;
}
