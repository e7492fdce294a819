/* holder.h - the processes whose work hangs on the session: they hold or own something that is lost with it, or have
 * made an ephemeral that is.
 *
 * Noted as long as they hold anything, each with a pidfd, so that its death is seen at once and its number never taken
 * for another's. When the session is lost they are fenced (fence.h); the record (record.h) has them, so that a pactfs
 * that is killed and started again can do the same.
 *
 * A thread, "pact-holders", waits for deaths and has what the dead owned removed (owner.h). */
#ifndef PACT_HOLDER_H
#define PACT_HOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount;
struct holders;
struct process;

/* What a process can be noted for. */
enum holding {
    HOLDS, /* a lock, a znode that it owns: when it has died, its process group may still count on that */
    MADE,  /* an ephemeral, which outlives it: counts as long as it lives itself */
    ASKS,  /* something that is under way: nothing is lost with that */
    HOLDINGS
};

/* At most `limit` processes are noted. NULL: no memory or no descriptors. */
struct holders *holders_new(struct mount *mount, size_t limit);
int holders_start(struct holders *holders); /* the thread: ERR_OK or TOO_MANY */
void holders_stop(struct holders *holders); /* ends it; the functions below still work */
void holders_free(struct holders *holders); /* NULL is allowed */
void holders_wake(struct mount *mount);     /* there is something to be tried again, or to be swept */
uint64_t holders_new_key(struct mount *mount);

/* Notes that the process (thread group) of thread `tid` holds one thing more; of the first thread of one that was seen
 * before, only if it is still that (`identity`: process.h; 0: whoever has the number). *key gives it back, once; keys
 * are never reused. ERR_OK; or *key is 0, and there is nothing to give back: INVALID (no such process any more, or none
 * that can be seen from here), TOO_MANY (the limit, or no descriptors). From any thread; never waits. */
int holders_note(struct mount *mount, pid_t tid, uint64_t identity, enum holding holding, uint64_t *key);
/* The same for a process on which there is a pidfd, which is taken over. */
int holders_note_process(struct mount *mount, const struct process *process, int pidfd, enum holding holding,
                         uint64_t *key);
/* What was under way is done: it holds that. */
void holders_turn(struct mount *mount, uint64_t key, enum holding to);
/* It holds one thing less. A key whose session was lost since, or 0, is no matter. */
void holders_drop(struct mount *mount, uint64_t key, enum holding holding);
bool holders_alive(struct mount *mount, uint64_t key);
pid_t holders_process(struct mount *mount, uint64_t key, uint64_t *identity); /* 0: nobody has that key */
uint64_t holders_count(struct mount *mount);                                  /* processes that hold something */

/* The session is lost, and all that was held: who held it is fenced. In the client thread. */
void holders_lose(struct mount *mount);

#endif
