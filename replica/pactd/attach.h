/* attach.h - the mounts on their links: attaching, sessions (attach.c), and what they say then (messages.c). */
#ifndef PACT_ATTACH_H
#define PACT_ATTACH_H

#include "replica/pactd/runtime.h"

/* Makes and ends attachments, and hears what they say. */
struct port_events messages_events(struct replica *replica);

/* ATTACH: it attaches, waits for its session to be made, or is refused. */
void attach_request(struct replica *replica, struct attachment *attachment, const struct message_attach *attach);
/* Says why, and leaves. */
void attach_refuse(struct replica *replica, struct attachment *attachment, int code, const char *text);
/* Nothing more is heard from it; what is queued still goes out. */
void attach_leave(struct replica *replica, struct attachment *attachment);

/* ASKING: the leader's commit point was zxid after it had asked. */
void attach_level(struct replica *replica, struct attachment *attachment, uint64_t zxid);
/* DETACH: closes its session. */
void attach_detach(struct replica *replica, struct attachment *attachment);

/* After each apply: sessions that came and went, and who waits for them. */
void attach_applied(struct replica *replica, const struct entry *entry, const struct result *result);
/* What was proposed and is not durable never was: the disk is full. Then, when there is space again, the mounts send
 * their requests once more. */
void attach_withdrawn(struct replica *replica);
void attach_resend(struct replica *replica);
/* What the old leader had not logged is asked of the new one. */
void attach_new_leader(struct replica *replica);
/* Mounts that do not know the state's version cannot follow any longer. */
void attach_new_version(struct replica *replica);
/* This replica has been without a leader for too long: another one may have one. */
void attach_send_away(struct replica *replica);
/* Streams to all, and frees those whose link is down. True: there may be more to stream, in another turn. */
bool attach_pump(struct replica *replica);
void attach_free(struct replica *replica);
size_t attach_count(const struct replica *replica); /* of those attached */

/* To one. Errors show as the link going down. */
void attach_send(struct replica *replica, struct attachment *attachment, const struct message *message);
void attach_send_urgent(struct replica *replica, struct attachment *attachment, const struct message *message);

#endif
