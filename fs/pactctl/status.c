#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "fs/client/servers.h"
#include "fs/pactctl/pactctl.h"
#include "proto/codec.h"

/* A first round finds a server that is well, a second one those that are slow. */
enum { STATUS_QUICK_MS = 500, STATUS_PATIENT_MS = 3000 };

static json_t *member_json(const struct message_member *member)
{
    json_t *lag = member->lag < 0 ? json_null() : json_integer(member->lag);
    return json_pack("{s:I,s:o,s:o,s:I,s:o,s:b,s:I}", "id", (json_int_t)member->id, "role",
                     json_text(member->role.at, member->role.len), "address",
                     json_text(member->address.at, member->address.len), "zxid", (json_int_t)member->zxid, "lag", lag,
                     "reachable", member->reachable, "state_version_max", (json_int_t)member->state_version_max);
}

static void cluster_text(const uint8_t *cluster, char *to)
{
    for (int i = 0; i < CLUSTER_ID_BYTES; i++)
        snprintf(to + 2 * i, 3, "%02x", cluster[i]);
}

static void print_json(const struct message_status *status)
{
    char cluster[2 * CLUSTER_ID_BYTES + 1], digest[17];
    cluster_text(status->cluster, cluster);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)status->digest);
    json_t *members = json_array();
    for (size_t i = 0; i < status->member_count; i++)
        json_array_append_new(members, member_json(&status->members[i]));
    json_print(json_pack("{s:I,s:I,s:o,s:I,s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "leader",
                         (json_int_t)status->leader, "epoch", (json_int_t)status->epoch, "members", members, "replica",
                         (json_int_t)status->replica, "cluster", cluster, "zxid", (json_int_t)status->zxid, "digest",
                         digest, "znodes", (json_int_t)status->nodes, "data_bytes", (json_int_t)status->data_bytes,
                         "sessions", (json_int_t)status->sessions, "mounts", (json_int_t)status->mounts, "log_bytes",
                         (json_int_t)status->log_bytes, "snapshot_zxid", (json_int_t)status->snapshot_zxid,
                         "state_version", (json_int_t)status->state_version, "uptime_ms", (json_int_t)status->uptime_ms,
                         "version", json_text(status->version.at, status->version.len)));
}

static void print_text(const struct message_status *status)
{
    char cluster[2 * CLUSTER_ID_BYTES + 1];
    cluster_text(status->cluster, cluster);
    printf("cluster   %s\n", cluster);
    if (status->leader != 0)
        printf("leader    %u, epoch %u\n", status->leader, status->epoch);
    else
        printf("leader    none is known here, epoch %u\n", status->epoch);
    printf("zxid      0x%llx, digest %016llx\n", (unsigned long long)status->zxid, (unsigned long long)status->digest);
    printf("tree      %llu znodes, %llu bytes of data\n", (unsigned long long)status->nodes,
           (unsigned long long)status->data_bytes);
    printf("clients   %llu sessions, %llu connected here\n", (unsigned long long)status->sessions,
           (unsigned long long)status->mounts);
    printf("disk      %llu bytes of log, snapshot at 0x%llx\n", (unsigned long long)status->log_bytes,
           (unsigned long long)status->snapshot_zxid);
    printf("replica   %u, version %.*s, state version %u, up %.1f s\n\n", status->replica, (int)status->version.len,
           (const char *)status->version.at, status->state_version, (double)status->uptime_ms / 1000);
    status_print_members(stdout, status);
}

static bool decode(const struct buffer *reply, struct arena *arena, struct message *message)
{
    arena_reset(arena);
    return decode_message((struct bytes){reply->at, reply->len}, arena, message) == ERR_OK &&
           message->kind == MESSAGE_STATUS_REPLY;
}

/* Asks the servers in turn until one answers that has a leader: keeps in `best` its answer, or else the first. */
static void ask_all(const struct tool *tool, uint32_t timeout_ms, struct buffer *best, struct arena *arena, char *text,
                    size_t text_len)
{
    char servers[sizeof tool->address], *rest = NULL;
    struct message message;
    memcpy(servers, tool->address, sizeof servers);
    for (char *server = strtok_r(servers, ",", &rest); server != NULL; server = strtok_r(NULL, ",", &rest)) {
        struct buffer reply = {0};
        if (client_status(server, &tool->keys, timeout_ms, &reply, text, text_len) != ERR_OK)
            continue;
        bool leader = decode(&reply, arena, &message) && message.status.leader != 0;
        if (leader || best->len == 0) {
            buffer_free(best);
            *best = reply;
        } else {
            buffer_free(&reply);
        }
        if (leader)
            return;
    }
}

static int print_reply(const struct tool *tool, const struct buffer *reply, struct arena *arena)
{
    struct message message;
    if (!decode(reply, arena, &message))
        return fail("the answer is not understood");
    if (tool->json)
        print_json(&message.status);
    else
        print_text(&message.status);
    return EXIT_DONE;
}

/* A host that the resolver does not know is none to ask; what is no address at all was not meant. */
static int check_servers(const struct tool *tool)
{
    struct servers servers;
    char text[256];
    int code = servers_parse(&servers, tool->address, 0, text, sizeof text);
    return code == ERR_OK || code == ERR_UNREACHABLE ? EXIT_DONE : usage("%s", text);
}

int command_status(struct tool *tool, int count, char **words)
{
    char text[256] = "";
    struct buffer reply = {0};
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_find(tool);
    if (code == EXIT_DONE)
        code = check_servers(tool);
    if (code != EXIT_DONE)
        return code;
    struct arena *arena = arena_new();
    assert(arena != NULL);
    ask_all(tool, STATUS_QUICK_MS, &reply, arena, text, sizeof text);
    if (reply.len == 0)
        ask_all(tool, STATUS_PATIENT_MS, &reply, arena, text, sizeof text);
    code = reply.len > 0 ? print_reply(tool, &reply, arena) : fail("%s", text);
    buffer_free(&reply);
    arena_free(arena);
    return code;
}
