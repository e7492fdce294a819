/* closing.h - what /proc tells of the process behind a request: its thread group, and whether a FLUSH is the last
 * close of a writer (design §3 "When to commit").
 *
 * FLUSH comes for each close of each duplicate of a descriptor, and its pid is a thread's. So the opener's descriptor
 * table is asked whether it still has the file open for writing. */
#ifndef PACT_CLOSING_H
#define PACT_CLOSING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fdtable;

/* The thread group of a thread; 0 if it is not known (gone, or of a pid namespace that is out of sight). */
pid_t process_of(pid_t tid);

enum closing {
    CLOSING_NOT,     /* the opener can still write */
    CLOSING_COMMIT,  /* its last descriptor is closed */
    CLOSING_DISCARD, /* it is being killed by a signal: half a file must not be committed */
};

/* Judges a FLUSH by thread `flusher` of an inode that the process of a table had opened for writing. `others`: how many
 * more times it has it open for writing. So many open files that its descriptors show are taken to be those. */
enum closing closing_judge(struct fdtable *opener, pid_t flusher, uint64_t ino, dev_t device, unsigned others);

/* Whether no process that descends from the opener has the inode open for writing: one to which it gave a descriptor
 * before it wrote anything. Of too many, or where /proc does not tell, some are taken to have; and where it may have
 * sent them one through a socket. */
bool closing_alone(pid_t opener, uint64_t ino, dev_t device);

#endif
