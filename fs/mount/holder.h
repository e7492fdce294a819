/* holder.h - the processes whose work hangs on the session: they hold or own something that is lost with it.
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

/* NULL: no memory or no descriptors. */
struct holders *holders_new(struct mount *mount);
int holders_start(struct holders *holders); /* the thread: ERR_OK or TOO_MANY */
void holders_stop(struct holders *holders); /* ends it; the functions below still work */
void holders_free(struct holders *holders); /* NULL is allowed */
void holders_wake(struct mount *mount);     /* there is something to be tried again, or to be swept */
uint64_t holders_new_key(struct mount *mount);

/* Notes that the process (thread group) of thread `tid` holds one thing more: a lock that was granted, an ephemeral.
 * The key gives it back, once; keys are never reused. 0: there is no such process any more, or LIMIT_HOLDERS are noted:
 * there is nothing to give back. From any thread, the client's included; never waits. A lock is held by the process
 * that asked for it and by the one that opened the file, which need not be the same (`flock 9` in a script): note
 * both. */
uint64_t holders_note(struct mount *mount, pid_t tid);
/* The same for a process on which there is a pidfd, which is taken over. */
uint64_t holders_note_process(struct mount *mount, const struct process *process, int pidfd);
/* It holds one thing less. A key whose session was lost since, or 0, is no matter. */
void holders_drop(struct mount *mount, uint64_t key);
bool holders_alive(struct mount *mount, uint64_t key);
pid_t holders_pid(struct mount *mount, uint64_t key); /* 0: nobody has that key */
uint64_t holders_count(struct mount *mount);          /* processes that hold something */

/* The session is lost, and all that was held: who held it is fenced. In the client thread. */
void holders_lose(struct mount *mount);

#endif
