#include <stdio.h>
#include <string.h>

#include "fs/pactctl/pactctl.h"
#include "proto/codec.h"

enum { STATUS_TIMEOUT_MS = 3000 };

static json_t *member_json(const struct message_member *member)
{
    return json_pack("{s:I,s:o,s:o,s:I}", "id", (json_int_t)member->id, "role",
                     json_text(member->role.at, member->role.len), "address",
                     json_text(member->address.at, member->address.len), "zxid", (json_int_t)member->zxid);
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
    json_print(json_pack(
        "{s:I,s:I,s:o,s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "leader", (json_int_t)status->leader, "epoch",
        (json_int_t)status->epoch, "members", members, "cluster", cluster, "zxid", (json_int_t)status->zxid, "digest",
        digest, "znodes", (json_int_t)status->nodes, "data_bytes", (json_int_t)status->data_bytes, "sessions",
        (json_int_t)status->sessions, "mounts", (json_int_t)status->mounts, "log_bytes", (json_int_t)status->log_bytes,
        "snapshot_zxid", (json_int_t)status->snapshot_zxid, "state_version", (json_int_t)status->state_version,
        "uptime_ms", (json_int_t)status->uptime_ms, "version", json_text(status->version.at, status->version.len)));
}

static void print_text(const struct message_status *status)
{
    char cluster[2 * CLUSTER_ID_BYTES + 1];
    cluster_text(status->cluster, cluster);
    printf("cluster   %s\nleader    %u, epoch %u\n", cluster, status->leader, status->epoch);
    printf("zxid      0x%llx, digest %016llx\n", (unsigned long long)status->zxid, (unsigned long long)status->digest);
    printf("tree      %llu znodes, %llu bytes of data\n", (unsigned long long)status->nodes,
           (unsigned long long)status->data_bytes);
    printf("clients   %llu sessions, %llu connected here\n", (unsigned long long)status->sessions,
           (unsigned long long)status->mounts);
    printf("disk      %llu bytes of log, snapshot at 0x%llx\n", (unsigned long long)status->log_bytes,
           (unsigned long long)status->snapshot_zxid);
    printf("replica   %u, version %.*s, up %.1f s\n\n", status->replica, (int)status->version.len,
           (const char *)status->version.at, (double)status->uptime_ms / 1000);
    printf("%4s  %-12s %-18s %s\n", "ID", "ROLE", "ZXID", "ADDRESS");
    for (size_t i = 0; i < status->member_count; i++) {
        const struct message_member *member = &status->members[i];
        char zxid[19];
        snprintf(zxid, sizeof zxid, "0x%llx", (unsigned long long)member->zxid);
        printf("%4u  %-12.*s %-18s %.*s\n", member->id, (int)member->role.len, (const char *)member->role.at, zxid,
               (int)member->address.len, (const char *)member->address.at);
    }
}

static int print_reply(const struct tool *tool, const struct buffer *reply)
{
    struct message message;
    struct arena *arena = arena_new();
    int code = EXIT_DONE;
    if (arena == NULL || decode_message((struct bytes){reply->at, reply->len}, arena, &message) != ERR_OK ||
        message.kind != MESSAGE_STATUS_REPLY)
        code = fail("the answer is not understood");
    else if (tool->json)
        print_json(&message.status);
    else
        print_text(&message.status);
    arena_free(arena);
    return code;
}

/* The first server that answers speaks for all. */
int command_status(struct tool *tool, int count, char **words)
{
    char text[256] = "no server";
    struct buffer reply = {0};
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_find(tool);
    if (code != EXIT_DONE)
        return code;
    int error = ERR_UNREACHABLE;
    char *rest = NULL;
    for (char *server = strtok_r(tool->address, ",", &rest); server != NULL && error != ERR_OK;
         server = strtok_r(NULL, ",", &rest))
        error = client_status(server, &tool->keys, STATUS_TIMEOUT_MS, &reply, text, sizeof text);
    code = error == ERR_OK ? print_reply(tool, &reply) : fail("%s", text);
    buffer_free(&reply);
    return code;
}
