/* .pact/locks: who holds, who waits. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/mount/lock.h"

/* A name or command as one word: blanks, control characters and the backslash as \ooo, like /proc/mounts. */
static void print_word(FILE *to, const char *word)
{
    for (; *word; word++) {
        unsigned char c = (unsigned char)*word;
        if (c <= ' ' || c == '\\' || c == 127)
            fprintf(to, "\\%03o", c);
        else
            fputc(c, to);
    }
}

static void print_time(FILE *to, int64_t ns)
{
    char text[40];
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    fprintf(to, "%s.%03dZ", text, (int)(ns % 1000000000 / 1000000));
}

static void print_lock(FILE *to, const struct state *state, const char *name, const struct lock_info *info)
{
    struct session_info session = {0};
    state_session(state, info->session, &session);
    print_word(to, name);
    fprintf(to, " %s %s %s ", info->space == LOCK_FLOCK ? "flock" : "posix", info->exclusive ? "exclusive" : "shared",
            info->waiting ? "waits" : "holds");
    print_word(to, *session.host ? session.host : "-");
    fprintf(to, " %" PRIu32 " ", info->pid);
    print_time(to, info->since_ns);
    if (info->end >= INT64_MAX)
        fprintf(to, " %" PRIu64 "-end", info->start);
    else
        fprintf(to, " %" PRIu64 "-%" PRIu64, info->start, info->end);
    fprintf(to, " 0x%" PRIx64 " ", info->granted_zxid);
    print_word(to, *info->command ? info->command : "-");
    fputc('\n', to);
}

/* The name under which a directory shows a znode; NULL: it does not. Its own is ".". */
static const char *shown_as(const struct state *state, uint64_t directory, uint64_t id)
{
    struct node_stat stat;
    const struct node *node = state_node(state, id);
    if (id == directory)
        return ".";
    if (!node)
        return NULL;
    node_stat(node, &stat);
    return stat.parent == directory ? node_name(node).at : NULL;
}

/* Beyond LIMIT_DATA_BYTES the rest is only counted. */
static void print_locks(FILE *to, const struct state *state, uint64_t directory)
{
    struct lock_info info;
    uint64_t id = 0, more = 0;
    while (state_next_locked(state, &id)) {
        const char *name = shown_as(state, directory, id);
        for (size_t i = 0; name && state_lock_at(state, id, i, &info); i++)
            if (ftell(to) < (long)LIMIT_DATA_BYTES)
                print_lock(to, state, name, &info);
            else
                more++;
    }
    if (more)
        fprintf(to, "# and %" PRIu64 " more\n", more);
}

int locks_text(struct mount *mount, uint64_t directory, struct data **text)
{
    char *at = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&at, &len);
    assert(to);
    const struct state *state = client_lock(mount->client);
    bool there = state_node(state, directory);
    if (there)
        print_locks(to, state, directory);
    client_unlock(mount->client);
    fclose(to);
    *text = there && len ? data_new(at, len) : NULL;
    free(at);
    return there ? ERR_OK : ERR_NO_NODE;
}
