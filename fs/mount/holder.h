/* holder.h - the processes whose work hangs on the session: they hold or own something that is lost with it.
 *
 * Noted as long as they hold anything, each with a pidfd, so that its death is seen at once and its number never taken
 * for another's. When the session is lost they are fenced (fence.h); the record (record.h) has them, so that a pactfs
 * that is killed and started again can do the same.
 *
 * One thread, "pact-holders", waits for deaths; then it removes what they owned (owner.h). No lock of this is held
 * while another part is called. */
#ifndef PACT_HOLDER_H
#define PACT_HOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount;
struct holders;

/* The thread is started, if it can be: NULL if not. */
struct holders *holders_start(struct mount *mount);
/* Ends the thread; the functions below still work. Then, once no handler and no client thread runs any more, frees. */
void holders_stop(struct holders *holders);
void holders_free(struct holders *holders);

/* Notes that the process (thread group) of thread `tid` holds one thing more: a lock that was granted, an ephemeral.
 * The key gives it back, once; keys are never reused. 0: there is no such process any more, or LIMIT_HOLDERS are noted:
 * there is nothing to give back. From any thread, the client's included; never waits. A lock is held by the process
 * that asked for it and by the one that opened the file, which need not be the same (`flock 9` in a script): note
 * both. */
uint64_t holders_note(struct mount *mount, pid_t tid);
/* It holds one thing less. A key whose session was lost since, or 0, is no matter. */
void holders_drop(struct mount *mount, uint64_t key);
/* Whether the process is alive, as far as is known without waiting. */
bool holders_alive(struct mount *mount, uint64_t key);

/* The session was lost, or begins: everything that was held is gone. Those who held it are fenced. */
void holders_lose(struct mount *mount);
/* How many processes hold something. */
uint64_t holders_count(struct mount *mount);

#endif
