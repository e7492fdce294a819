/* zab_tale_link.c - see zab_tale.h: links between replicas, FIFO while they last. */
#include <assert.h>
#include <stdlib.h>

#include "tests/support/zab_tale.h"

struct tale_link *tale_link_of(struct tale *tale, uint32_t a, uint32_t b)
{
    return a < b ? &tale->links[a][b] : &tale->links[b][a];
}

void tale_packet_free(struct tale_packet *packet)
{
    if (packet == NULL)
        return;
    free(packet->list.list);
    free(packet);
}

void tale_pipe_clear(struct tale_pipe *pipe)
{
    while (pipe->first != NULL) {
        struct tale_packet *packet = pipe->first;
        pipe->first = packet->next;
        tale_packet_free(packet);
    }
    pipe->last = NULL;
}

static void close_link(struct tale *tale, uint32_t a, uint32_t b)
{
    struct tale_link *link = tale_link_of(tale, a, b);
    link->up = false;
    link->up_ms = 0;
    for (int i = 0; i < 2; i++) {
        struct tale_node *node = &tale->nodes[i == 0 ? a : b];
        uint32_t other = i == 0 ? b : a;
        node->feeding[other] = false;
        if (node->snapshot != NULL && node->snapshot_from == other) {
            tale_packet_free(node->snapshot); /* came over a link that is gone */
            node->snapshot = NULL;
        }
        tale_pipe_clear(&tale->pipes[node->id][other]);
    }
}

void tale_link_open(struct tale *tale, uint32_t a, uint32_t b)
{
    struct tale_link *link = tale_link_of(tale, a, b);
    if (tale->nodes[a].zab == NULL || tale->nodes[b].zab == NULL || link->blocked)
        return;
    close_link(tale, a, b);
    link->up_ms = tale->now_ms + 2 + (tale->fixed ? 0 : tale_draw(tale, 15));
}

/* A replica is told that its link is down; by chance it is not, and learns of it when the link is up again. */
static void tell_down(struct tale *tale, uint32_t id, uint32_t peer)
{
    struct tale_node *node = &tale->nodes[id];
    if (node->zab != NULL && !node->frozen && (tale->fixed || tale_draw(tale, 2) == 0))
        tale_step(tale, node, (struct zab_event){.kind = ZAB_LINK_DOWN, .peer = peer});
}

void tale_unlink_all(struct tale *tale, uint32_t id)
{
    for (uint32_t other = 1; other <= tale->members; other++) {
        if (other == id || !tale_link_of(tale, id, other)->up) {
            if (other != id)
                close_link(tale, id, other);
            continue;
        }
        close_link(tale, id, other);
        tell_down(tale, other, id);
    }
}

void tale_reset(struct tale *tale, uint32_t a, uint32_t b)
{
    if (!tale_link_of(tale, a, b)->up)
        return;
    tale->counts.resets++;
    close_link(tale, a, b);
    tale_link_open(tale, a, b);
    tell_down(tale, a, b);
    tell_down(tale, b, a);
}

void tale_drop(struct tale *tale, uint32_t from, uint32_t peer)
{
    if (!tale_link_of(tale, from, peer)->up)
        return;
    tale->counts.resets++;
    close_link(tale, from, peer);
    tale_link_open(tale, from, peer);
    tell_down(tale, peer, from);
}

void tale_block(struct tale *tale, uint32_t a, uint32_t b, bool blocked)
{
    struct tale_link *link = tale_link_of(tale, a, b);
    if (link->blocked == blocked)
        return;
    link->blocked = blocked;
    if (blocked)
        close_link(tale, a, b);
    else
        tale_link_open(tale, a, b);
}

static struct tale_packet *copy_of(const struct tale_packet *packet)
{
    struct tale_packet *copy = malloc(sizeof *copy);
    assert(copy != NULL);
    *copy = *packet;
    copy->list = (struct tale_list){0};
    for (size_t i = 0; i < packet->list.count; i++)
        tale_list_add(&copy->list, packet->list.list[i]);
    return copy;
}

/* Of what has been sent, now and then. */
static void keep_stale(struct tale *tale, struct tale_pipe *pipe, const struct tale_packet *packet)
{
    if (pipe->stale != NULL && (tale->fixed || tale_draw(tale, 4) != 0))
        return;
    tale_packet_free(pipe->stale);
    pipe->stale = copy_of(packet);
}

void tale_replay(struct tale *tale, uint32_t from, uint32_t to)
{
    struct tale_packet *stale = tale->pipes[from][to].stale;
    if (stale == NULL)
        return;
    tale->pipes[from][to].stale = NULL;
    tale_send(tale, from, to, *stale);
    free(stale);
}

void tale_send(struct tale *tale, uint32_t from, uint32_t to, struct tale_packet packet)
{
    struct tale_pipe *pipe = &tale->pipes[from][to];
    struct tale_packet *copy = malloc(sizeof *copy);
    if (!tale_link_of(tale, from, to)->up) { /* the sender has not heard of it yet */
        free(copy);
        free(packet.list.list);
        return;
    }
    assert(copy != NULL);
    *copy = packet;
    if (packet.list.count > 0 && packet.kind == PACKET_ZAB)
        keep_stale(tale, pipe, &packet);
    copy->next = NULL;
    copy->due_ms = tale->now_ms + tale_delay(tale);
    if (pipe->last != NULL && copy->due_ms < pipe->last->due_ms)
        copy->due_ms = pipe->last->due_ms;
    if (pipe->last != NULL)
        pipe->last->next = copy;
    else
        pipe->first = copy;
    pipe->last = copy;
}

void tale_receive(struct tale *tale, uint32_t from, uint32_t to)
{
    struct tale_pipe *pipe = &tale->pipes[from][to];
    struct tale_packet *packet = pipe->first;
    pipe->first = packet->next;
    if (pipe->first == NULL)
        pipe->last = NULL;
    tale_receive_kept(tale, &tale->nodes[to], from, packet);
}
