/* Zab's events and actions, and what peers say. */
#include "tests/sim/server_internal.h"

#include <assert.h>
#include <string.h>

void say(struct server *server, unsigned to, const struct peer_message *message, struct item *const *items,
         size_t count)
{
    network_send(server->cluster, server->index, to, packet_of_peer(message, items, count));
}

void zab_happens(struct server *server, struct zab_event event)
{
    event.now_ms = server_ms(server);
    zab_step(server->zab, &event, &server->update);
}

/* --- actions --- */

static void set_epochs(struct server *server, const struct zab_epochs *epochs)
{
    int code = ERR_OK;
    if (!PLANTED(EPOCHS_NOT_DURABLE))
        code = store_set_epochs(server->store, (struct epochs){epochs->accepted, epochs->current, epochs->voter});
    if (code != ERR_OK) {
        log_failed(server, ERR_IO, "epochs not durable");
        return;
    }
    if (epochs->voter && !server->voter)
        server->damaged = false; /* named, or one of the founders */
    server->voter = epochs->voter;
    server_block(server, server->sync_us + server->slow_us);
    NOTE(server, "%u: epochs accepted %u, current %u%s", server->id, epochs->accepted, epochs->current,
         epochs->voter ? "" : ", no voter");
}

static void take_role(struct server *server, const struct zab_action *action)
{
    static const char *const names[] = {"", "is looking", "follows", "leads"};
    NOTE(server, "%u %s (leader %u, epoch %u)", server->id, names[action->role], action->leader, action->epoch);
    note(server->cluster, 'L', server->index, (uint64_t)action->role << 32 | action->epoch);
    lead_end(server);
    server->role = action->role;
    server->leader = action->role == ZAB_LOOKING ? 0 : action->leader;
    if (action->role == ZAB_LOOKING) {
        snap_forget(server);
        return;
    }
    if (action->role == ZAB_LEADING) {
        check_leads(server->cluster, server->id, action->epoch, zab_last(server->zab), state_zxid(server->state));
        lead_begin(server);
    } else {
        check_follows(server->cluster, server->id, action->epoch, state_zxid(server->state));
    }
    mounts_new_leader(server);
}

static void reset_link(struct server *server, unsigned peer, int code)
{
    NOTE(server, "%u drops its link to %u: %s", server->id, peer + 1, error_name(code));
    feed_end(server, peer);
    if (server->incoming.on && server->incoming.from == peer)
        snap_forget(server);
    network_drop(server->cluster, server->index, peer);
}

void lose_peer(struct server *server, unsigned peer)
{
    reset_link(server, peer, ERR_UNREACHABLE);
    zab_happens(server, (struct zab_event){.kind = ZAB_LINK_DOWN, .peer = peer + 1});
}

static void trace_zab(struct server *server, const struct zab_action *action)
{
    static const char *const kinds[] = {"",     "VOTE",       "FOLLOWER_INFO",  "NEW_EPOCH",  "ACK_EPOCH",
                                        "SYNC", "NEW_LEADER", "ACK_NEW_LEADER", "UP_TO_DATE", "ENTRIES",
                                        "ACK",  "COMMIT",     "PING",           "PONG"};
    const struct zab_message *message = &action->message;
    if (message->kind != ZAB_PING && message->kind != ZAB_PONG && message->kind != ZAB_VOTE)
        NOTE(server, "%u → %u: %s epoch %u, zxid %llx%s", server->id, action->peer, kinds[message->kind],
             message->epoch, (unsigned long long)message->zxid,
             message->sync == ZAB_TRUNC  ? ", TRUNC"
             : message->sync == ZAB_SNAP ? ", SNAP"
                                         : "");
}

/* Pings may overtake what else is on its way, as in the mesh. */
static void send_zab(struct server *server, const struct zab_action *action)
{
    struct peer_message message = {.kind = PEER_ZAB, .zab = action->message};
    struct packet *packet = packet_of_peer(&message, NULL, 0);
    packet->urgent = action->message.kind == ZAB_PING || action->message.kind == ZAB_PONG;
    trace_zab(server, action);
    network_send(server->cluster, server->index, action->peer - 1, packet);
}

static void carry_out_one(struct server *server, const struct zab_action *action)
{
    switch (action->kind) {
    case ZAB_SET_EPOCHS:
        set_epochs(server, &action->epochs);
        break;
    case ZAB_TRUNCATE:
        log_truncate(server, action->zxid);
        break;
    case ZAB_APPEND:
        log_accept(server, server->in_hand, action->skip);
        break;
    case ZAB_SEND:
        send_zab(server, action);
        break;
    case ZAB_FEED:
        feed_begin(server, action);
        break;
    case ZAB_UNFEED:
        feed_end(server, action->peer - 1);
        break;
    case ZAB_DROP:
        reset_link(server, action->peer - 1, action->code);
        break;
    case ZAB_COMMITTED:
        apply_up_to(server, action->zxid);
        break;
    case ZAB_ROLE:
        take_role(server, action);
        break;
    case ZAB_BARRIER_DONE:
        lead_barrier_done(server, action->token, action->zxid);
        break;
    case ZAB_FOLLOWER_NEW:
        lead_name(server, action->peer);
        break;
    case ZAB_FATAL:
        violated(server->cluster, "Fatal", "zab of replica %u cannot go on: %s", server->id, error_name(action->code));
        break;
    }
}

/* In order; what is done may ask for more, behind it. */
void carry_out(struct server *server)
{
    for (size_t i = 0; i < server->update.count && !server->failing; i++) {
        struct zab_action action = server->update.list[i];
        if (server->crash_at_action > 0 && --server->crash_at_action == 0) {
            server_fail(server, "it crashes between two actions");
            break;
        }
        note(server->cluster, 'A', action.kind, (uint64_t)action.peer << 48 ^ action.zxid);
        carry_out_one(server, &action);
    }
    server->update.count = 0;
}

/* --- what peers say --- */

static void hear_zab(struct server *server, unsigned from, const struct packet *packet)
{
    const struct zab_message *message =
        packet->peer.kind == PEER_ENTRIES ? &packet->peer.entries.zab : &packet->peer.zab;
    server->in_hand = packet;
    zab_happens(server, (struct zab_event){.kind = ZAB_RECEIVE, .peer = from + 1, .message = message});
    carry_out(server);
    server->in_hand = NULL;
    bool snapshot = message->kind == ZAB_SYNC && message->sync == ZAB_SNAP;
    if (snapshot && !server->failing && network_up(server->cluster, server->index, from))
        snap_begins(server, from, message->zxid);
}

static void hear_heartbeats(struct server *server, unsigned from, const struct peer_heartbeats *heartbeats)
{
    for (size_t i = 0; i < heartbeats->count; i++)
        lead_ask(server, from, ASK_HEARTBEAT, heartbeats->tag, heartbeats->sessions[i]);
}

static void hear(struct server *server, unsigned from, const struct packet *packet)
{
    const struct peer_message *message = &packet->peer;
    switch (message->kind) {
    case PEER_HELLO:
        memcpy(server->identities[from], message->hello.identity, sizeof server->identities[from]);
        break;
    case PEER_ZAB:
    case PEER_ENTRIES:
        hear_zab(server, from, packet);
        break;
    case PEER_SNAPSHOT_CHUNK:
        snap_chunk(server, from, message->chunk);
        break;
    case PEER_SNAPSHOT_END:
        snap_ends(server, from);
        break;
    case PEER_FORWARD:
        lead_request(server, from, &message->forward);
        break;
    case PEER_RESEND:
        for (size_t i = 0; i < message->heartbeats.count; i++)
            mounts_resend(server, message->heartbeats.sessions[i]);
        break;
    case PEER_HEARTBEATS:
        hear_heartbeats(server, from, &message->heartbeats);
        break;
    case PEER_HEARTBEAT_ACKS:
        mounts_answer(server, message->heartbeats.tag, 0);
        break;
    case PEER_BARRIER:
        lead_ask(server, from, ASK_SYNC, message->barrier.tag, 0);
        break;
    case PEER_BARRIER_DONE:
        mounts_answer(server, message->barrier.tag, message->barrier.zxid);
        break;
    case PEER_REFUSED:
    case PEER_STATUS:
        break; /* nobody here refuses, or asks for the status */
    }
}

void server_receive(struct cluster *cluster, unsigned index, unsigned other, struct packet *packet)
{
    struct server *server = cluster->servers[index];
    if (server->life == 0 || server->failing)
        return;
    if (packet->of_mount)
        mount_says(server, other - SERVERS_MAX, &packet->message);
    else
        hear(server, other, packet);
    server_settle(server);
}
