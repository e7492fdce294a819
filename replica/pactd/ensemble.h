/* ensemble.h - this replica among the others: carries out what Zab asks for (ensemble.c), talks to its peers
 * (peers.c), feeds its followers (follower.c) and takes snapshots from its leader (install.c). */
#ifndef PACT_ENSEMBLE_H
#define PACT_ENSEMBLE_H

#include "replica/pactd/runtime.h"

/* Tells Zab (now_ms is filled in) and carries out what follows. From within an update it waits until that is carried
 * out (not ZAB_RECEIVE, which borrows). */
void ensemble_step(struct replica *replica, const struct zab_event *event);
/* Resets a link, and tells Zab. */
void ensemble_drop(struct replica *replica, struct member *member, int code);
/* A follower's snapshot has begun, at zxid. */
void ensemble_snapshot_begun(struct replica *replica, uint32_t peer, uint64_t zxid);
/* What is overdue of Zab's; when it wants to be called next. */
uint64_t ensemble_tick(struct replica *replica);
/* Every TICK_MS: what a leader sees to, and mounts of a replica that has been alone for too long. */
void ensemble_look(struct replica *replica, uint64_t now_ms);
/* Without a leader for so long that mounts had better look elsewhere. */
bool ensemble_is_alone(const struct replica *replica, uint64_t now_ms);
/* After each apply: names of members. */
void ensemble_applied(struct replica *replica, const struct entry *entry, const struct result *result);
/* While it lacks much of what the others have, they come first. */
void ensemble_mind_others(struct replica *replica);
bool ensemble_leads(const struct replica *replica);
/* Whether this replica knows the semantics that the entry begins; to apply it without would be another history. */
bool ensemble_knows(const struct replica *replica, const struct entry *entry);

/* --- peers.c --- */

int peers_open(struct replica *replica, const struct replica_options *options, char *text, size_t text_len);
void peers_close(struct replica *replica);
struct member *peers_find(struct replica *replica, uint32_t id); /* NULL: not a member */
/* Errors show as the link going down. */
void peers_send(struct replica *replica, uint32_t id, const struct peer_message *message);
void peers_send_encoded(struct replica *replica, const struct member *member, const struct buffer *message);
/* To the leader; ERR_NO_QUORUM: none is known. */
int ensemble_forward(struct replica *replica, const struct peer_forward *forward);
/* The leader tells all who is what: `status` says it on each. */
void peers_tell(struct replica *replica);
/* What was told counts for its leader's term only. */
void peers_untell(struct replica *replica);

/* --- follower.c: the leader's side of a follower --- */

void follower_feed(struct replica *replica, struct member *member, uint64_t after, bool snapshot);
void follower_unfeed(struct replica *replica, struct member *member);
/* Sends each what it can take; true: there may be more, in another turn. */
bool followers_pump(struct replica *replica);

/* --- install.c: the follower's side of a snapshot --- */

/* `peer` says that one follows, of this zxid. */
void install_announced(struct replica *replica, uint32_t peer, uint64_t zxid);
/* From whom it comes; 0: none does. */
uint32_t install_from(const struct replica *replica);
/* A piece of a snapshot, of any length, to a loader: loader_feed, giving way in between. */
int install_feed(struct snapshot_loader *loader, const uint8_t *at, size_t len);
void install_chunk(struct replica *replica, struct bytes chunk);
void install_end(struct replica *replica);
void install_abort(struct replica *replica);

#endif
