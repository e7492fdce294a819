/* lock_words.h - a lock as people read it: in .pact/locks and of `pactctl locks`. Pure. */
#ifndef PACT_LOCK_WORDS_H
#define PACT_LOCK_WORDS_H

#include "fs/client/escape.h"
#include "replica/state/state.h"

struct lock_words {
    const char *kind;  /* flock, posix */
    const char *mode;  /* shared, exclusive */
    const char *state; /* holds, waits */
    char host[ESCAPED * LIMIT_HOST_BYTES + 1], command[ESCAPED * LIMIT_COMMAND_BYTES + 1];
    char since[48]; /* UTC, in milliseconds: 2026-01-31T23:59:59.999Z */
    char range[48]; /* first and last byte: 0-end, 5-9 */
};

/* `state` knows the host of its session. */
void lock_describe(const struct state *state, const struct lock_info *info, struct lock_words *words);

#endif
