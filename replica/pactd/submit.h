/* submit.h - a session's numbered requests, on their way to the leader's log: each number once and in order. */
#ifndef PACT_SUBMIT_H
#define PACT_SUBMIT_H

#include "replica/pactd/runtime.h"

/* A request of a mount here (`attachment`), or of one of a follower's (`peer`). The leader proposes it if its number is
 * the next; a follower forwards it; without a leader it is dropped: a mount sends again what is not answered when
 * there is one. ERR_OK, or ERR_BAD_FORMAT: the request is not understood, or only replicas may ask for it. */
int submit_request(struct replica *replica, const struct peer_forward *request, struct attachment *attachment,
                   uint32_t peer);

#endif
