#include <string.h>

#include "replica/pactd/attach.h"

static struct bytes text(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

void status_fill(const struct replica *replica, struct message_member *member, struct message *message)
{
    const struct state *state = replica->state;
    struct session_info info;
    uint64_t id = 0, sessions = 0;
    while (state_next_session(state, &id, &info))
        sessions++;
    *member = (struct message_member){
        .id = replica->id, .role = text("leader"), .address = text(replica->member_address), .zxid = state_zxid(state)};
    *message = (struct message){.kind = MESSAGE_STATUS_REPLY};
    message->status = (struct message_status){
        .replica = replica->id,
        .leader = replica->full ? 0 : replica->id,
        .epoch = replica->order.epoch,
        .zxid = state_zxid(state),
        .digest = state_digest(state),
        .nodes = state_nodes(state),
        .data_bytes = state_bytes(state),
        .sessions = sessions,
        .mounts = attach_count(replica),
        .state_version = state_version(state),
        .log_bytes = store_log_bytes(replica->store),
        .snapshot_zxid = store_snapshot_zxid(replica->store),
        .uptime_ms = clock_ms() - replica->started_ms,
        .version = text(PACT_VERSION),
        .members = member,
        .member_count = 1,
    };
    memcpy(message->status.cluster, state_cluster(state), CLUSTER_ID_BYTES);
}
