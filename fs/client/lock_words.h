/* lock_words.h - a lock as people read it: in .pact/locks and of `pactctl locks`. Pure. */
#ifndef PACT_LOCK_WORDS_H
#define PACT_LOCK_WORDS_H

#include "replica/state/state.h"

enum { ESCAPED = 4 }; /* bytes that one of a text takes at most */

/* Text as one word, NUL-terminated: blanks, control characters and the backslash as \ooo, like /proc/mounts; an empty
 * one is "-". What does not fit into `cap` bytes is left out. Names, hosts and commands are other people's: unescaped
 * they could say anything to a terminal. */
void words_escape(const char *text, char *to, size_t cap);
/* The same of all characters up to `last` (a blank, or what comes before it), and an empty one stays so. */
void line_escape(const char *text, char *to, size_t cap, char last);

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
