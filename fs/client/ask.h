/* ask.h - STATUS over the mount's own link: what its replica knows of the ensemble, now. Outside the learner: it needs
 * no session, and a replica without a quorum answers as well. Only client*.c include it. */
#ifndef PACT_ASK_H
#define PACT_ASK_H

#include "fs/client/client.h"

enum { ASK_TIMEOUT_MS = 1000 };

struct ask {
    struct ask *next;
    uint64_t until_ms;
    client_told told;
    void *arg;
};

/* The head of the list is the client's, under its mutex. */
void ask_add(struct ask **asks, uint64_t until_ms, client_told told, void *arg);
/* Takes out those whose time is over; UINT64_MAX: all. */
struct ask *ask_take(struct ask **asks, uint64_t now_ms);
/* Tells each and frees it; status NULL: nobody answers. Without the mutex. */
void ask_tell(struct ask *taken, const struct message_status *status);
uint64_t ask_deadline(const struct ask *asks); /* UINT64_MAX: none */

#endif
