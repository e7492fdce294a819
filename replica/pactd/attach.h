/* attach.h - the mounts on their links: attaching, sessions, requests, heartbeats. */
#ifndef PACT_ATTACH_H
#define PACT_ATTACH_H

#include "replica/pactd/runtime.h"

struct port_events attach_events(struct replica *replica);
/* After each apply: sessions that came and went, and who waits for them. */
void attach_applied(struct replica *replica, const struct entry *entry, const struct result *result);
/* What was proposed and is not durable never was: the disk is full. Then, when there is space again, the mounts send
 * their requests once more. */
void attach_withdrawn(struct replica *replica);
void attach_resend(struct replica *replica);
/* Streams to all, and frees those whose link is down. */
void attach_pump(struct replica *replica);
void attach_free(struct replica *replica);
size_t attach_count(const struct replica *replica); /* of those attached */

/* To one. Errors show as the link going down. */
void attach_send(struct replica *replica, struct attachment *attachment, const struct message *message);

#endif
