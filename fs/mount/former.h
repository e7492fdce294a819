/* former.h - who held something under the session of a pactfs that was killed here. */
#ifndef PACT_FORMER_H
#define PACT_FORMER_H

struct mount;

/* Fences those of the record (record.h) who still live, before the client closes their session. */
void former_fence(struct mount *mount);

#endif
