/* signals.h - those that end a mount: blocked in every thread of both processes, and waited for. */
#ifndef PACT_SIGNALS_H
#define PACT_SIGNALS_H

#include <signal.h>

static inline sigset_t signals_awaited(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1); /* a worker's own: the mount, or its replica, has ended */
    return signals;
}

#endif
