/* resume.h - the calls that the kernel sends again after a worker was killed.
 *
 * The kernel keeps each call until it is answered, and numbers it: `unique`, with the highest bit set when it sends it
 * again (FUSE_NOTIFY_RESEND). The number is the tag of the request that the call makes, so that its result, if the
 * worker before had sent one, is found in the estate and given instead of asking for it twice. */
#ifndef PACT_RESUME_H
#define PACT_RESUME_H

#include "fs/mount/mount.h"

/* The number of the call that this thread handles; 0 outside of a handler. */
uint64_t request_unique(void);
/* Another thread, that answers it, does so in its name. */
void request_set_unique(uint64_t unique);
/* Whether it was sent again, and a request was made for it before: *result is what became of that. */
bool request_resumed(const struct mount *mount, uint64_t unique, struct result *result);

/* Reads the next call that is to be handled, as fuse_custom_io.read: notes its number, keeps INIT for the next worker,
 * and refuses what threads of workers before ask for as ghosts. */
ssize_t resume_receive(int fd, void *at, size_t len, void *mount);

/* Before the loop: what was left by the worker before is taken over. */
void resume_calls(struct mount *mount); /* the client is ready, and nothing is submitted yet */
int resume_init(struct mount *mount);   /* INIT, as it came to the first worker: ERR_OK or IO */
/* Asks the kernel for the calls that the worker before had taken; before this one takes any. If it is unmounted, that
 * shows soon enough. */
void resume_resend(struct mount *mount);

#endif
