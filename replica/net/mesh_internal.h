/* mesh_internal.h - the inside of a mesh, shared by mesh.c (opening, closing, frames that arrive, the calls) and
 * mesh_member.c (one peer: its link's events, and what time brings). */
#ifndef PACT_MESH_INTERNAL_H
#define PACT_MESH_INTERNAL_H

#include "replica/net/mesh.h"
#include "replica/net/socket.h"

enum {
    MESH_LOOK_MS = 10,   /* connections made and lost are looked for this often: nanomsg reports neither */
    MESH_KNOCK_MS = 5,   /* knocks nearer to each other than this are not heeded */
    MESH_DOUBT_MS = 150, /* of own running time: a link that was knocked at must bring a genuine frame within this */
    MESH_RECONNECT_MS = 500, /* a connection over which no link opens is made anew after this */
    MESH_REFUSED_MS = 1000,  /* what is refused of one peer is reported once in this time */
    MESH_HEAD_BYTES = 8,     /* in front of each frame: the sender's id and the receiver's, little-endian */
};

struct member { /* another replica */
    struct mesh *mesh;
    uint32_t id;
    uint8_t head[MESH_HEAD_BYTES]; /* of frames to it */
    enum link_side side;           /* of this replica */
    struct address address;
    int socket, endpoint; /* NN_PUSH; endpoint -1: none */
    struct link *link;
    bool up;              /* up() was called, down() not yet */
    uint64_t connections; /* of the socket, as last seen */
    uint64_t idle_ms;     /* of own running time in which no link was over this connection */
    uint64_t heeded_ms;   /* a knock */
    bool doubted;         /* since a knock, until a genuine frame comes after this many: */
    uint64_t doubt_received;
    uint64_t doubt_ms;   /* of own running time, since the knock */
    uint64_t refused_ms; /* last reported; 0: never */
};

struct mesh {
    uint32_t id;
    struct mesh_events events;
    int socket; /* NN_PULL */
    uint16_t number;
    struct member members[LIMIT_REPLICAS - 1];
    size_t count;
    uint64_t now_ms, next_ms;
    uint64_t passed_ms; /* of own running time since the members were last tended */
    uint64_t tended_ms;
    uint64_t stranger_ms; /* last reported; 0: never */
};

/* Connects. On error nothing is left. */
int member_open(struct member *member, const struct mesh_peer *peer, const struct link_keys *keys, char *text,
                size_t text_len);
void member_close(struct member *member);
/* A frame that says it is from this peer; empty: a knock. */
void member_receive(struct member *member, const void *frame, size_t len);
/* What is due. Returns when it wants to be called next, at the latest. */
uint64_t member_tend(struct member *member);
/* Reports a refusal, unless one was reported of late. */
void mesh_refuse(struct mesh *mesh, uint64_t *last_ms, uint32_t peer, int code);

#endif
