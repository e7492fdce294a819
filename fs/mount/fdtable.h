/* fdtable.h - descriptor tables of processes, as /proc shows them.
 *
 * Opening what /proc has of a process takes far longer than reading it. So those of the processes that asked last are
 * kept open: with a pidfd, which tells whether the number still is that process's. */
#ifndef PACT_FDTABLE_H
#define PACT_FDTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fdtable;
struct fdtables;

struct fdtables *fdtables_new(void); /* NULL: no memory */
void fdtables_free(struct fdtables *tables);

/* The table of the process that has a number now. It is the caller's, until fdtables_put. Never NULL: one of no process
 * has no descriptors, and identity 0. */
struct fdtable *fdtables_take(struct fdtables *tables, pid_t pid);
void fdtables_put(struct fdtables *tables, struct fdtable *table);

/* The same for once; fdtable_close ends it. */
struct fdtable *fdtable_open(pid_t pid);
void fdtable_close(struct fdtable *table);

pid_t fdtable_pid(const struct fdtable *table);
/* What tells the process from a later one of its number (process_identity); 0: there is none. */
uint64_t fdtable_identity(const struct fdtable *table);
/* Begins anew; then fdtable_next gives the descriptors as they are now, one by one; -1: no more. */
void fdtable_rewind(struct fdtable *table);
int fdtable_next(struct fdtable *table);
/* Reads what /proc/PID/fdinfo tells of a descriptor, at most `cap` - 1 bytes, and a NUL. The length; 0: there is no
 * such descriptor. */
size_t fdtable_info(struct fdtable *table, int fd, char *to, size_t cap);

#endif
