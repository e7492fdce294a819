/* .pact/locks: who holds, who waits. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/client/lock_words.h"
#include "fs/mount/lock.h"

static void print_lock(FILE *to, const struct state *state, const char *name, const struct lock_info *info)
{
    struct lock_words words;
    char word[ESCAPED * LIMIT_NAME_BYTES + 1];
    lock_describe(state, info, &words);
    escape_word(name, word, sizeof word);
    fprintf(to, "%s %s %s %s %s %" PRIu32 " %s %s 0x%" PRIx64 " %s\n", word, words.kind, words.mode, words.state,
            words.host, info->pid, words.since, words.range, info->granted_zxid, words.command);
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
        for (struct lock_walk walk = {.id = id}; name && state_lock_next(state, &walk, &info);)
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
