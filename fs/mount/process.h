/* process.h - processes: who is whose parent, their numbers in other pid namespaces, and pidfds.
 *
 * /proc/PID/status can be read at any time. /proc/PID/stat can not: in an execve that closes its descriptors the kernel
 * holds a lock that reading needs until this mount has answered. So a process is known again by a pidfd that is held on
 * it, or by its identity, not by its start time. */
#ifndef PACT_PROCESS_H
#define PACT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_NAMESPACES = 33 }; /* nested pid namespaces: the kernel's limit is 32 below the first */

struct process {
    pid_t pid;                         /* of the thread group */
    uid_t uid;                         /* effective */
    pid_t parent;                      /* 0: none, or not to be seen from here */
    pid_t group;                       /* process group; 0: not to be seen from here */
    size_t depth;                      /* numbers in `numbers` */
    pid_t numbers[PROCESS_NAMESPACES]; /* in our pid namespace and those below it, down to its own */
};

/* Reads what /proc tells of the process of thread `tid`; false: there is none. */
bool process_read(pid_t tid, struct process *process);

/* Whether a group is one of the thread's supplementary ones. */
bool process_in_group(pid_t tid, gid_t gid);

/* Shows all there are, until one visit returns true; whether one did. */
bool process_each(bool (*visit)(void *arg, const struct process *process), void *arg);

/* A pidfd on a process, closed by the caller; -1 with errno. */
int process_open(pid_t pid);
/* What tells a process from a later one of its number; never 0, but the same for all before Linux 6.9. */
uint64_t process_identity(int pidfd);
/* Whether the process of a pidfd has ended (it may still be a zombie). */
bool process_ended(int pidfd);
/* Whether a process group has members. */
bool process_group_lives(pid_t group);

/* A pidfd on the process that `caller` (a thread) calls `number`: itself or an ancestor of it in its own pid namespace;
 * *pid: its number here. ERR_OK; NOT_PERMITTED: another process; INVALID: no process has that number. */
int process_open_ancestor(pid_t caller, pid_t number, pid_t *pid, int *pidfd);

/* When the process started, in clock ticks since the machine did; UINT64_MAX if it can't be told. It may wait for
 * what the process does: never from a handler or the client thread, but for the very caller of a modifying request. */
uint64_t process_start(pid_t pid);
uint64_t process_now(void); /* the same clock, now */
/* A pidfd on the process that had this number then; -1: it has died. It may wait, too. */
int process_open_noted(pid_t pid, uint64_t noted);

#endif
