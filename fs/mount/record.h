/* record.h - what outlives a pactfs that is killed: its session and who held something under it.
 *
 * A file in /run/pactfs (without root: $XDG_RUNTIME_DIR/pactfs), mode 0600, one for each mountpoint and servers. The
 * next pactfs there fences the holders, who live on, and then closes the session, at once. A clean unmount removes it.
 * It need not outlive the machine, so it is never synced; where it does, nobody of then is fenced.
 *
 * Text: a head, written anew with each session and renamed into place, then lines that are appended:
 *
 *   pactfs-record 2
 *   boot TEXT                                 the machine's boot: those who held something do not outlive it
 *   servers TEXT
 *   mountpoint TEXT
 *   session NUMBER NONCE SECRET CLUSTER       the three in hexadecimal digits
 *   + KEY PID GROUP NOTED                     it holds something; NOTED: clock ticks since boot, when it was alive
 *   - KEY                                     it holds nothing any more, or was fenced and has died
 *
 * A last line without its end was being written: it counts for nothing. Anything else that is not understood makes the
 * whole of no use. */
#ifndef PACT_RECORD_H
#define PACT_RECORD_H

#include <sys/types.h>

#include "fs/client/client.h"

struct record;

struct record_holder {
    uint64_t key;
    pid_t pid, group;
    uint64_t noted; /* process_now() when it lived: a process of this number that began later is another */
};

/* Reads what a killed pactfs left behind; what can't be used is told in a line and ignored. Never NULL; without a
 * directory to write to nothing is recorded, which is told, too. */
struct record *record_open(const char *servers, const char *mountpoint);
/* `clean`: removes the file, if a session was recorded. */
void record_close(struct record *record, bool clean);

/* What was found: the session (0: none), and who held something; borrowed until record_begin. */
const struct client_identity *record_former(const struct record *record);
size_t record_former_holders(const struct record *record, const struct record_holder **list);

/* A session has begun, if it is not known already: the file is written anew, with it and those that were added and not
 * removed. */
void record_begin(struct record *record, const struct client_identity *session);
/* From any thread. */
void record_add(struct record *record, const struct record_holder *holder);
void record_remove(struct record *record, uint64_t key);

#endif
