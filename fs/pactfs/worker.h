/* worker.h - the process that serves the mount. */
#ifndef PACT_WORKER_H
#define PACT_WORKER_H

#include "fs/pactfs/options.h"

/* What worker and supervisor say to each other, a byte each. */
enum {
    SAY_ATTACH = 'A',  /* the worker: the tree is there, mount now; answered by the same with the descriptor, or … */
    SAY_NO = 'N',      /* … the supervisor: it cannot be mounted; why has been said */
    SAY_ENDS = 'E',    /* the worker, with its status as a second byte: it ends by itself */
    SAY_ANSWERS = 'M', /* the worker: the mount answers */
    SAY_TOLD = 'T',    /* the worker: somebody else has told it to end; it ends as the supervisor says */
};

/* Into the background: from now on lines go to syslog. */
void leave_terminal(void);

/* From a mountpoint to the end of the mount; the exit status. */
int work(struct options *options, int control);

#endif
