/* crash.h - what crash_writer does and crash_check expects, operation by operation.
 *
 * Writer W takes step K = 0, 1, 2…; no step is ever tried twice, so whatever is found twice was applied twice. After
 * each it notes "K OUTCOME" in LOGS/W:
 *
 *   +  the call returned 0: it is durable
 *   -  refused for certain (EROFS): it must not have been done
 *   ?  not known (ETIMEDOUT, or the mount went away): done once or not at all
 *   !  any other error, with its errno: always a fault */
#ifndef PACT_TESTS_CRASH_H
#define PACT_TESTS_CRASH_H

enum step {
    STEP_QUEUE,   /* mkdir DIR/queue/{seq}-W-K: one directory for all writers */
    STEP_CREATE,  /* DIR/W/f-K, exclusively, with its content */
    STEP_APPEND,  /* one line "K" at the end of DIR/W/log */
    STEP_REPLACE, /* DIR/W/value becomes K, padded to VALUE_BYTES */
    STEP_MKDIR,   /* DIR/W/d-K */
    STEP_RENAME,  /* DIR/W/d-(K-1) to DIR/W/e-(K-1); only if that mkdir was '+' */
    STEP_UNLINK,  /* DIR/W/f-(K-5); only if that create was '+' */
    STEPS,
};

enum { VALUE_BYTES = 256, WRITERS_MAX = 64 };

#endif
