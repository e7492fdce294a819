/* network.h - links between the ends of a cluster. A link is FIFO and without gaps while it lasts, as the mesh and the
 * ports make it of frames that carry the link's id and a number: frames of another link are dropped, after a gap the
 * link is reset, and a link that has been silent for long is down. Both ends learn of each by themselves, at different
 * times, or one of them never. */
#ifndef PACT_SIM_NETWORK_H
#define PACT_SIM_NETWORK_H

#include "proto/peer.h"
#include "tests/sim/item.h"

struct packet {
    unsigned refs;
    bool of_mount; /* between a mount and its replica: `message`; else `peer` */
    bool urgent;   /* may overtake others on its link */
    union {
        struct message message;
        struct peer_message peer;
    };
    struct item **items; /* ENTRIES of either kind; references */
    size_t item_count;
    /* what the message borrows follows */
};

/* Copies of everything the message borrows. */
struct packet *packet_of_message(const struct message *message, struct item *const *items, size_t count);
struct packet *packet_of_peer(const struct peer_message *message, struct item *const *items, size_t count);
void packet_unref(struct packet *packet);

struct network_config {
    uint64_t delay_us, jitter_us;
    uint64_t silence_us;     /* a silent link is down after this */
    unsigned loss_per_10000; /* of packets, each the end of a link */
    unsigned duplicate_per_mille;
};

struct network *network_new(struct cluster *cluster);
void network_free(struct network *network);
struct network_config *network_config(struct cluster *cluster);

/* Takes the packet over. Nothing if the link is down. */
void network_send(struct cluster *cluster, unsigned from, unsigned to, struct packet *packet);
bool network_up(const struct cluster *cluster, unsigned end, unsigned other);
/* This end resets the link. It is not told; the other end learns it. */
void network_drop(struct cluster *cluster, unsigned end, unsigned other);
/* All links of an end are gone, with the end itself. */
void network_end_dies(struct cluster *cluster, unsigned end);
/* Servers connect with each other by themselves. A mount asks for its link; it comes up, or never. */
void network_dial(struct cluster *cluster, unsigned from, unsigned to);
void network_end_lives(struct cluster *cluster, unsigned end);
/* From that moment on nobody hears from a stalled end. */
void network_end_stalls(struct cluster *cluster, unsigned end);

/* --- faults --- */

void network_cut(struct cluster *cluster, unsigned from, unsigned to, bool cut); /* one way */
void network_clog(struct cluster *cluster, unsigned from, unsigned to, uint64_t for_us);
bool network_is_cut(const struct cluster *cluster, unsigned from, unsigned to);

/* --- what the network calls: server.c, mount.c --- */

void server_link(struct cluster *cluster, unsigned server, unsigned other, bool up);
void server_receive(struct cluster *cluster, unsigned server, unsigned other, struct packet *packet);
void mount_link(struct cluster *cluster, unsigned mount, unsigned server, bool up);
void mount_receive(struct cluster *cluster, unsigned mount, unsigned server, struct packet *packet);
bool end_alive(const struct cluster *cluster, unsigned end);

#endif
