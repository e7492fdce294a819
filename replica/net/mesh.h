/* mesh.h - links between the replicas of an ensemble, over one-way nanomsg mailboxes (design §6 "Links over nanomsg").
 *
 * Each replica binds one NN_PULL and connects one NN_PUSH to each peer; a frame carries its sender's id in front. On
 * each pair runs one link of link.h; the replica with the lower id opens it. Peers prove that they hold replica.key,
 * and who they are in the ensemble's list: a mount's key opens nothing here. The end of a peer's process is noticed
 * within some 10 ms; of its host by the link's silence (LINK_SILENCE_MS) if the caller does not drop it earlier. A peer
 * that comes back is up within some 20 ms. One thread. */
#ifndef PACT_MESH_H
#define PACT_MESH_H

#include "replica/net/link.h"

struct mesh;

struct mesh_peer {
    uint32_t id;
    const char *address; /* HOST:PEERPORT */
};

/* Callbacks may send and drop, but not close the mesh. */
struct mesh_events {
    void *arg;
    void (*up)(void *arg, uint32_t peer);
    void (*down)(void *arg, uint32_t peer, int code);                           /* only of a link that was up */
    void (*message)(void *arg, uint32_t peer, const void *message, size_t len); /* in order, each once; borrowed */
    void (*writable)(void *arg, uint32_t peer); /* as link_events.writable; may be NULL */
    /* At most once a second for each peer: BAD_KEY, BAD_FORMAT (another protocol version; peer 0: a stranger);
     * INVALID: the lists of members disagree, as that peer takes this replica for another one (peer = this replica's
     * own id: it stands for two). Only a claim, anyone can make it. May be NULL. */
    void (*refused)(void *arg, uint32_t peer, int code);
};

struct mesh_options {
    uint32_t id;
    const char *address;           /* to bind: this replica's HOST:PEERPORT (port 0: any) */
    const struct mesh_peer *peers; /* the others, each id once; ≤ LIMIT_REPLICAS - 1. Names are looked up once, now */
    size_t peer_count;
    struct link_keys keys; /* of replica.key, or none */
};

/* On error text says what and which. All is copied. */
int mesh_open(const struct mesh_options *options, const struct mesh_events *events, struct mesh **mesh, char *text,
              size_t text_len);
void mesh_close(struct mesh *mesh);            /* says goodbye to all; no callback */
uint16_t mesh_number(const struct mesh *mesh); /* the port it listens on */
int mesh_fd(const struct mesh *mesh);          /* poll for reading; never read it */
/* As port_run. */
uint64_t mesh_run(struct mesh *mesh, uint64_t now_ms, size_t budget, bool *more);

/* As link_send and link_send_urgent, but of at least one byte. `peer` is one of the options. */
int mesh_send(struct mesh *mesh, uint32_t peer, const void *message, size_t len, uint64_t now_ms);
int mesh_send_urgent(struct mesh *mesh, uint32_t peer, const void *message, size_t len, uint64_t now_ms);
size_t mesh_queued_bytes(const struct mesh *mesh, uint32_t peer);
bool mesh_is_up(const struct mesh *mesh, uint32_t peer);
/* Resets the link, without down(); it opens again by itself. */
void mesh_drop(struct mesh *mesh, uint32_t peer, uint64_t now_ms);

#endif
