#include "replica/net/mesh_internal.h"

#include <assert.h>
#include <nanomsg/pipeline.h>
#include <stdio.h>
#include <stdlib.h>

/* --- opening and closing --- */

static struct member *member_of(struct mesh *mesh, uint32_t id)
{
    for (size_t i = 0; i < mesh->count; i++)
        if (mesh->members[i].id == id)
            return &mesh->members[i];
    return NULL;
}

static int open_members(struct mesh *mesh, const struct mesh_options *options, char *text, size_t text_len)
{
    for (size_t i = 0; i < options->peer_count; i++) {
        const struct mesh_peer *peer = &options->peers[i];
        assert(peer->id != mesh->id && member_of(mesh, peer->id) == NULL);
        struct member *member = &mesh->members[mesh->count];
        member->mesh = mesh;
        const int err = member_open(member, peer, &options->keys, text, text_len);
        if (err != ERR_OK)
            return err;
        mesh->count++;
    }
    return ERR_OK;
}

int mesh_open(const struct mesh_options *options, const struct mesh_events *events, struct mesh **to, char *text,
              size_t text_len)
{
    assert(options->peer_count < LIMIT_REPLICAS);
    if (options->keys.present && !options->keys.replica) {
        snprintf(text, text_len, "a mount's key opens no link between replicas: replica.key is needed");
        return ERR_BAD_KEY;
    }
    struct mesh *mesh = calloc(1, sizeof *mesh);
    if (mesh == NULL) {
        snprintf(text, text_len, "no memory");
        return ERR_TOO_MANY;
    }
    mesh->id = options->id;
    mesh->events = *events;
    int err = socket_open(NN_PULL, &mesh->socket, text, text_len);
    if (err != ERR_OK) {
        free(mesh);
        return err;
    }
    err = socket_listen(mesh->socket, options->address, &mesh->number, text, text_len);
    if (err == ERR_OK)
        err = open_members(mesh, options, text, text_len);
    if (err != ERR_OK) {
        mesh_close(mesh);
        return err;
    }
    *to = mesh;
    return ERR_OK;
}

void mesh_close(struct mesh *mesh)
{
    if (mesh == NULL)
        return;
    for (size_t i = 0; i < mesh->count; i++)
        member_close(&mesh->members[i]);
    socket_close(mesh->socket);
    free(mesh);
}

uint16_t mesh_number(const struct mesh *mesh)
{
    return mesh->number;
}

int mesh_fd(const struct mesh *mesh)
{
    return socket_fd(mesh->socket);
}

/* --- running --- */

void mesh_refuse(struct mesh *mesh, uint64_t *last_ms, uint32_t peer, int code)
{
    if (mesh->events.refused == NULL || (*last_ms != 0 && mesh->now_ms - *last_ms < MESH_REFUSED_MS))
        return;
    *last_ms = mesh->now_ms;
    mesh->events.refused(mesh->events.arg, peer, code);
}

static uint32_t get_id(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* Whose frame it is, and whether it is for this replica, are claims: they choose the link that judges it. */
static void receive(struct mesh *mesh, const uint8_t *at, size_t len)
{
    if (len < MESH_HEAD_BYTES) {
        mesh_refuse(mesh, &mesh->stranger_ms, 0, ERR_BAD_FORMAT);
        return;
    }
    const uint32_t from = get_id(at), to = get_id(at + 4);
    struct member *member = member_of(mesh, from);
    if (member != NULL && to == mesh->id)
        member_receive(member, at + MESH_HEAD_BYTES, len - MESH_HEAD_BYTES);
    else if (member != NULL)
        mesh_refuse(mesh, &member->refused_ms, from, ERR_INVALID);
    else
        mesh_refuse(mesh, &mesh->stranger_ms, from == mesh->id ? from : 0,
                    from == mesh->id ? ERR_INVALID : ERR_BAD_FORMAT);
}

/* Receives up to `budget` frames (0: all); true: frames may be left. */
static bool drain(struct mesh *mesh, size_t budget)
{
    for (size_t i = 0; budget == 0 || i < budget; i++) {
        void *frame;
        size_t len;
        if (!socket_pull(mesh->socket, &frame, &len))
            return false;
        receive(mesh, frame, len);
        frame_release(frame);
    }
    return true;
}

uint64_t mesh_run(struct mesh *mesh, uint64_t now_ms, size_t budget, bool *more)
{
    mesh->now_ms = now_ms;
    *more = drain(mesh, budget);
    if (now_ms < mesh->next_ms)
        return mesh->next_ms;
    /* Time in which this process did not run is not the peers' silence. */
    const uint64_t passed_ms = now_ms - mesh->tended_ms;
    mesh->passed_ms = passed_ms < 2 * MESH_LOOK_MS ? passed_ms : 2 * MESH_LOOK_MS;
    mesh->tended_ms = now_ms;
    mesh->next_ms = now_ms + MESH_LOOK_MS;
    for (size_t i = 0; i < mesh->count; i++) {
        const uint64_t next_ms = member_tend(&mesh->members[i]);
        if (next_ms < mesh->next_ms)
            mesh->next_ms = next_ms;
    }
    return mesh->next_ms;
}

/* --- the calls --- */

static struct member *known(struct mesh *mesh, uint32_t id, uint64_t now_ms)
{
    struct member *member = member_of(mesh, id);
    assert(member != NULL);
    if (now_ms > mesh->now_ms)
        mesh->now_ms = now_ms;
    return member;
}

int mesh_send(struct mesh *mesh, uint32_t peer, const void *message, size_t len, uint64_t now_ms)
{
    const struct member *member = known(mesh, peer, now_ms);
    assert(len > 0);
    return member->up ? link_send(member->link, message, len, now_ms) : ERR_UNREACHABLE;
}

int mesh_send_urgent(struct mesh *mesh, uint32_t peer, const void *message, size_t len, uint64_t now_ms)
{
    const struct member *member = known(mesh, peer, now_ms);
    assert(len > 0);
    return member->up ? link_send_urgent(member->link, message, len, now_ms) : ERR_UNREACHABLE;
}

size_t mesh_queued_bytes(const struct mesh *mesh, uint32_t peer)
{
    for (size_t i = 0; i < mesh->count; i++)
        if (mesh->members[i].id == peer)
            return link_queued_bytes(mesh->members[i].link);
    return 0;
}

bool mesh_is_up(const struct mesh *mesh, uint32_t peer)
{
    for (size_t i = 0; i < mesh->count; i++)
        if (mesh->members[i].id == peer)
            return mesh->members[i].up;
    return false;
}

void mesh_drop(struct mesh *mesh, uint32_t peer, uint64_t now_ms)
{
    struct member *member = known(mesh, peer, now_ms);
    if (!member->up)
        return;
    member->up = false;
    link_drop(member->link, now_ms);
    mesh->next_ms = now_ms; /* its HELLO, or a knock */
}
