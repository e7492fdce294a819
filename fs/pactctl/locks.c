/* locks: who holds and who waits, in the whole tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/pactctl/pactctl.h"

/* A lock and what is known of where it is and whose. */
struct listed {
    struct lock_info lock;
    char path[LIMIT_PATH_BYTES + 1]; /* "": the file was removed */
    const char *kind, *mode, *state, *host;
};

static void print_text(const struct listed *listed)
{
    const struct lock_info *lock = &listed->lock;
    char since[40], range[48];
    time_t seconds = (time_t)(lock->since_ns / 1000000000);
    struct tm tm;
    strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    if (lock->end >= INT64_MAX)
        snprintf(range, sizeof range, "%llu-end", (unsigned long long)lock->start);
    else
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)lock->start, (unsigned long long)lock->end);
    printf("%-5s %-9s %-5s %-16s %8u %-20s %-12s 0x%-16llx %-16s %s\n", listed->kind, listed->mode, listed->state,
           listed->host, lock->pid, since, range, (unsigned long long)lock->granted_zxid,
           *lock->command ? lock->command : "-", *listed->path ? listed->path : "(removed)");
}

static void print_json(const struct listed *listed)
{
    const struct lock_info *lock = &listed->lock;
    json_t *path = *listed->path ? json_text(listed->path, strlen(listed->path)) : json_null();
    json_t *end = lock->end >= INT64_MAX ? json_null() : json_integer((json_int_t)lock->end);
    json_print(json_pack("{s:o,s:I,s:s,s:b,s:b, s:I,s:o,s:I,s:o, s:I,s:I,s:o,s:I}", "path", path, "id",
                         (json_int_t)lock->id, "kind", listed->kind, "exclusive", (int)lock->exclusive, "waits",
                         (int)lock->waiting, "session", (json_int_t)lock->session, "host",
                         json_text(listed->host, strlen(listed->host)), "pid", (json_int_t)lock->pid, "command",
                         json_text(lock->command, strlen(lock->command)), "since_ns", (json_int_t)lock->since_ns,
                         "start", (json_int_t)lock->start, "end", end, "zxid", (json_int_t)lock->granted_zxid));
}

static void print_lock(const struct tool *tool, const struct state *state, struct listed *listed)
{
    struct session_info session = {0};
    state_session(state, listed->lock.session, &session);
    listed->kind = listed->lock.space == LOCK_FLOCK ? "flock" : "posix";
    listed->mode = listed->lock.exclusive ? "exclusive" : "shared";
    listed->state = listed->lock.waiting ? "waits" : "holds";
    listed->host = *session.host ? session.host : "-";
    if (tool->json)
        print_json(listed);
    else
        print_text(listed);
}

int command_locks(struct tool *tool, int count, char **words)
{
    struct listed listed = {0};
    uint64_t id = 0;
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    if (!tool->json)
        printf("%-5s %-9s %-5s %-16s %8s %-20s %-12s %-18s %-16s %s\n", "KIND", "MODE", "STATE", "HOST", "PID", "SINCE",
               "RANGE", "ZXID", "COMMAND", "PATH");
    const struct state *state = client_lock(tool->client);
    while (state_next_locked(state, &id)) {
        const struct node *node = state_node(state, id);
        listed.path[0] = '\0';
        if (node != NULL)
            path_of(state, node, listed.path);
        for (size_t i = 0; state_lock_at(state, id, i, &listed.lock); i++)
            print_lock(tool, state, &listed);
    }
    client_unlock(tool->client);
    return EXIT_DONE;
}
