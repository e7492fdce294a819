/* Messages on their way: copied whole, as what they borrow goes on changing. */
#include "tests/sim/network.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct packet *packet_new(size_t extra, struct item *const *items, size_t count)
{
    struct packet *packet = calloc(1, sizeof *packet + extra);
    assert(packet);
    packet->refs = 1;
    if (count == 0)
        return packet;
    packet->items = malloc(count * sizeof(struct item *));
    assert(packet->items);
    for (size_t i = 0; i < count; i++)
        packet->items[i] = item_ref(items[i]);
    packet->item_count = count;
    return packet;
}

void packet_unref(struct packet *packet)
{
    if (--packet->refs > 0)
        return;
    for (size_t i = 0; i < packet->item_count; i++)
        item_unref(packet->items[i]);
    free(packet->items);
    free(packet);
}

/* Moves what `bytes` borrows behind the packet. */
static void keep(struct packet *packet, struct bytes *bytes)
{
    if (bytes->len > 0)
        memcpy(packet + 1, bytes->at, bytes->len);
    bytes->at = packet + 1;
}

static const struct bytes *borrowed(const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_ATTACH:
        return &message->attach.host;
    case MESSAGE_SNAPSHOT_CHUNK:
        return &message->chunk;
    case MESSAGE_SUBMIT:
        return &message->submit.request;
    default:
        return NULL;
    }
}

struct packet *packet_of_message(const struct message *message, struct item *const *items, size_t count)
{
    const struct bytes *bytes = borrowed(message);
    struct packet *packet = packet_new(bytes ? bytes->len : 0, items, count);
    packet->of_mount = true;
    packet->message = *message;
    if (message->kind == MESSAGE_REFUSED)
        packet->message.refused.text = (struct bytes){"", 0};
    if (bytes)
        keep(packet, (struct bytes *)(uintptr_t)borrowed(&packet->message));
    return packet;
}

struct packet *packet_of_peer(const struct peer_message *message, struct item *const *items, size_t count)
{
    size_t extra = 0;
    bool heartbeats =
        message->kind == PEER_HEARTBEATS || message->kind == PEER_HEARTBEAT_ACKS || message->kind == PEER_RESEND;
    if (message->kind == PEER_SNAPSHOT_CHUNK)
        extra = message->chunk.len;
    else if (message->kind == PEER_FORWARD)
        extra = message->forward.request.len;
    else if (heartbeats)
        extra = message->heartbeats.count * sizeof(uint64_t);
    struct packet *packet = packet_new(extra, items, count);
    packet->peer = *message;
    if (message->kind == PEER_SNAPSHOT_CHUNK)
        keep(packet, &packet->peer.chunk);
    else if (message->kind == PEER_FORWARD)
        keep(packet, &packet->peer.forward.request);
    else if (heartbeats) {
        if (extra > 0)
            memcpy(packet + 1, message->heartbeats.sessions, extra);
        packet->peer.heartbeats.sessions = (uint64_t *)(packet + 1);
    }
    return packet;
}
