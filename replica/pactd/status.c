#include <string.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/pipeline.h"

static struct bytes text(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

static struct bytes own_role(const struct replica *replica)
{
    if (replica->full)
        return text("full");
    if (!replica->serving)
        return text("looking");
    if (zab_role(replica->zab) == ZAB_LEADING)
        return text("leader");
    return text(zab_voter(replica->zab) ? "follower" : "learner");
}

/* As the leader sees it. */
static struct bytes role_of(const struct zab_peer_status *peer)
{
    if (!peer->linked)
        return text("unreachable");
    if (!peer->following)
        return text("looking");
    return text(!peer->synchronised ? "synchronising" : peer->voter ? "follower" : "learner");
}

/* What the leader sees of a member. Of one that is not there it tells the last that it knows. */
static void see(const struct replica *replica, const struct member *member, struct message_member *to)
{
    struct zab_peer_status peers[LIMIT_REPLICAS];
    size_t count = zab_peers(replica->zab, peers, LIMIT_REPLICAS);
    for (size_t i = 0; i < count; i++) {
        if (peers[i].id != member->id)
            continue;
        to->role = role_of(&peers[i]);
        if (!peers[i].following)
            continue;
        to->zxid = peers[i].durable;
        to->lag = zab_behind(replica->zab, peers[i].durable);
    }
}

/* A follower repeats what its leader told. Without a leader it knows only who is there. */
static void repeat(const struct replica *replica, const struct member *member, struct message_member *to)
{
    if (replica->serving && member->id == zab_leader(replica->zab))
        to->role = text("leader");
    else if (replica->serving && *member->role)
        to->role = text(member->role);
    else
        to->role = text(member->greeted ? "unknown" : "unreachable");
    to->lag = member->lag;
}

static void fill_member(const struct replica *replica, const struct member *member, struct message_member *to)
{
    *to = (struct message_member){
        .id = member->id,
        .address = text(member->address),
        .zxid = member->applied,
        .lag = -1,
        .reachable = member->greeted,
        .state_version_max = member->state_version_max,
    };
    if (ensemble_leads(replica))
        see(replica, member, to);
    else
        repeat(replica, member, to);
}

static size_t members_of(const struct replica *replica, struct message_member *members)
{
    size_t count = 0;
    for (size_t i = 0; i < replica->member_count; i++)
        fill_member(replica, &replica->members[i], &members[count++]);
    members[count++] = (struct message_member){.id = replica->id,
                                               .role = own_role(replica),
                                               .address = text(replica->member_address),
                                               .zxid = pipeline_applied(replica),
                                               .lag = ensemble_leads(replica) ? 0 : replica->lag,
                                               .reachable = true,
                                               .state_version_max = replica->state_version_max};
    for (size_t i = count - 1; i > 0 && members[i].id < members[i - 1].id; i--) {
        struct message_member other = members[i - 1];
        members[i - 1] = members[i];
        members[i] = other;
    }
    return count;
}

void status_fill(const struct replica *replica, struct message_member *members, struct message *message)
{
    const struct state *state = replica->state;
    *message = (struct message){.kind = MESSAGE_STATUS_REPLY};
    message->status = (struct message_status){
        .replica = replica->id,
        .leader = replica->full || !replica->serving ? 0 : zab_leader(replica->zab),
        .epoch = zab_epoch(replica->zab),
        .zxid = pipeline_applied(replica),
        .digest = state_digest(state),
        .nodes = state_nodes(state),
        .data_bytes = state_bytes(state),
        .sessions = HASH_COUNT(replica->roster.sessions),
        .mounts = attach_count(replica),
        .state_version = state_version(state),
        .log_bytes = store_log_bytes(replica->store),
        .snapshot_zxid = store_snapshot_zxid(replica->store),
        .uptime_ms = clock_ms() - replica->started_ms,
        .version = text(PACT_VERSION),
        .members = members,
        .member_count = members_of(replica, members),
    };
    memcpy(message->status.cluster, state_cluster(state), CLUSTER_ID_BYTES);
}
