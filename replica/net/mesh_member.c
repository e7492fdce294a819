/* One peer of a mesh.
 *
 * How the end of a peer, and its return, are noticed
 * 1. The connection of our NN_PUSH to it ends with its process. nanomsg does not say so, but counts: we look every
 *    MESH_LOOK_MS. Any change takes the link with it (link_carrier_lost). A new connection starts a HELLO at once.
 * 2. A LINK_REPLICA end that is not UP knocks every MESH_LOOK_MS: an empty frame, "I have no link with you". So a
 * client knows that there is a way back, and that the peer may have been started again.
 * 3. Anyone can forge a knock, so it proves nothing. A client that is not UP only sends the HELLO it waits to send. One
 *    that is UP sends a probe, an empty message, which a peer that still has the link acknowledges by a sealed frame
 *    within LINK_ACK_MS; if nothing genuine comes within MESH_DOUBT_MS, the link is given up and opened again.
 * 4. A host that is gone or cut off ends no connection: the link's silence does, or the caller (mesh_drop). Then TCP's
 *    own retries may be seconds apart: a connection over which no link opens is made anew every MESH_RECONNECT_MS. */
#include "replica/net/mesh_internal.h"

#include <nanomsg/pipeline.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* --- events of its link --- */

static void on_send(void *arg, const void *frame, size_t len)
{
    const struct member *member = arg;
    socket_push(member->socket, member->head, sizeof member->head, frame, len); /* what is lost shows as a gap */
}

static void on_up(void *arg)
{
    struct member *member = arg;
    const struct mesh_events *events = &member->mesh->events;
    member->up = true;
    member->doubted = false;
    member->connections = socket_connections(member->socket); /* what changed earlier is no concern of this link */
    events->up(events->arg, member->id);
}

static void on_down(void *arg, int code)
{
    struct member *member = arg;
    const struct mesh_events *events = &member->mesh->events;
    member->mesh->next_ms = member->mesh->now_ms; /* a new HELLO, or a knock */
    if (member->up) {
        member->up = false;
        events->down(events->arg, member->id, code);
    } else if (code == ERR_BAD_KEY || code == ERR_BAD_FORMAT) {
        mesh_refuse(member->mesh, &member->refused_ms, member->id, code);
    }
}

static void on_message(void *arg, const void *message, size_t len)
{
    const struct member *member = arg;
    const struct mesh_events *events = &member->mesh->events;
    if (len > 0 && member->up) /* empty: a probe; not up: the caller has dropped the link */
        events->message(events->arg, member->id, message, len);
}

static void on_writable(void *arg)
{
    const struct member *member = arg;
    const struct mesh_events *events = &member->mesh->events;
    if (events->writable != NULL && member->up)
        events->writable(events->arg, member->id);
}

/* --- opening and closing --- */

static void put_id(uint8_t *to, uint32_t id)
{
    for (size_t i = 0; i < sizeof id; i++)
        to[i] = (uint8_t)(id >> (8 * i));
}

static int open_link(struct member *member, const struct link_keys *keys, char *text, size_t text_len)
{
    const uint32_t self = member->mesh->id, id = member->id;
    struct link_keys between;
    keys_between(keys, self < id ? self : id, self < id ? id : self, &between);
    member->link = link_new(member->side, &between,
                            &(struct link_events){member, on_send, on_up, on_down, on_message, on_writable});
    sodium_memzero(&between, sizeof between);
    if (member->link != NULL)
        return ERR_OK;
    snprintf(text, text_len, "no memory");
    return ERR_TOO_MANY;
}

int member_open(struct member *member, const struct mesh_peer *peer, const struct link_keys *keys, char *text,
                size_t text_len)
{
    const uint32_t self = member->mesh->id;
    member->id = peer->id;
    member->side = self < peer->id ? LINK_CLIENT : LINK_REPLICA;
    put_id(member->head, self);
    put_id(member->head + 4, peer->id);
    int err = address_find(peer->address, &member->address, text, text_len);
    if (err != ERR_OK)
        return err;
    err = socket_open(NN_PUSH, &member->socket, text, text_len);
    if (err != ERR_OK)
        return err;
    err = socket_connect(member->socket, &member->address, &member->endpoint, text, text_len);
    if (err == ERR_OK)
        err = open_link(member, keys, text, text_len);
    if (err != ERR_OK)
        socket_close(member->socket);
    return err;
}

void member_close(struct member *member)
{
    link_close(member->link, member->mesh->now_ms);
    link_free(member->link);
    socket_close(member->socket);
}

/* --- what arrives --- */

static void heed(struct member *member)
{
    const uint64_t now_ms = member->mesh->now_ms;
    if (member->side == LINK_REPLICA || now_ms - member->heeded_ms < MESH_KNOCK_MS)
        return;
    member->heeded_ms = now_ms;
    if (link_state(member->link) != LINK_UP) {
        link_carrier_lost(member->link, now_ms);
    } else if (!member->doubted) {
        member->doubted = true;
        member->doubt_received = link_received(member->link);
        member->doubt_ms = 0;
        link_send_urgent(member->link, "", 0, now_ms);
    }
}

void member_receive(struct member *member, const void *frame, size_t len)
{
    if (len == 0)
        heed(member);
    else if (member->up || socket_can_push(member->socket)) /* else its answer would be lost, and the link with it */
        link_receive(member->link, frame, len, member->mesh->now_ms);
    if (!member->up)
        member->mesh->next_ms = member->mesh->now_ms; /* a HELLO may be due */
}

/* --- what time brings --- */

static void look(struct member *member)
{
    const uint64_t now_ms = member->mesh->now_ms, connections = socket_connections(member->socket);
    const bool severed = member->up && !socket_connected(member->socket); /* it ended just before the link came up */
    if (connections == member->connections && !severed)
        return;
    member->connections = connections;
    member->idle_ms = 0;
    link_carrier_lost(member->link, now_ms);
}

static void judge_doubt(struct member *member)
{
    if (!member->doubted)
        return;
    member->doubt_ms += member->mesh->passed_ms;
    if (!member->up || link_received(member->link) != member->doubt_received) {
        member->doubted = false;
    } else if (member->doubt_ms >= MESH_DOUBT_MS) {
        member->doubted = false;
        link_carrier_lost(member->link, member->mesh->now_ms);
    }
}

static void connect_anew(struct member *member)
{
    member->idle_ms = member->up ? 0 : member->idle_ms + member->mesh->passed_ms;
    if (member->idle_ms < MESH_RECONNECT_MS)
        return;
    member->idle_ms = 0;
    socket_reconnect(member->socket, &member->address, &member->endpoint);
}

uint64_t member_tend(struct member *member)
{
    const uint64_t now_ms = member->mesh->now_ms;
    look(member);
    judge_doubt(member);
    connect_anew(member);
    if (member->side == LINK_REPLICA && !member->up)
        socket_push(member->socket, member->head, sizeof member->head, NULL, 0);
    const uint64_t tick_ms = link_tick(member->link, now_ms);
    return tick_ms < now_ms + MESH_LOOK_MS ? tick_ms : now_ms + MESH_LOOK_MS;
}
