/* watch: a line for each change. The tree may be further on than the change that is being told, so paths come from a
 * mirror of the names that moves with the changes. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define uthash_fatal(message) abort() /* no memory */
#include <uthash.h>

#include "fs/pactctl/pactctl.h"

struct entry_name {
    uint64_t id, parent;
    char *name;
    UT_hash_handle hh;
};

struct watch {
    struct tool *tool;
    const char *path;
    bool deep;
    pthread_mutex_t mutex; /* the client thread tells changes, the main thread begins */
    bool begun;
    uint64_t from; /* changes up to this zxid are in the mirror already */
    uint64_t top;  /* the watched znode; 0 when it is gone */
    struct entry_name *mirror;
};

/* --- the mirror --- */

static struct entry_name *lookup(struct watch *watch, uint64_t id)
{
    struct entry_name *entry;
    HASH_FIND(hh, watch->mirror, &id, sizeof id, entry);
    return entry;
}

static void put(struct watch *watch, uint64_t id, uint64_t parent, const char *name)
{
    struct entry_name *entry = lookup(watch, id);
    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL)
            abort();
        entry->id = id;
        HASH_ADD(hh, watch->mirror, id, sizeof entry->id, entry);
    }
    free(entry->name);
    entry->parent = parent;
    entry->name = strdup(name);
    if (entry->name == NULL)
        abort();
}

static void forget(struct watch *watch, uint64_t id)
{
    struct entry_name *entry = lookup(watch, id);
    if (entry == NULL)
        return;
    HASH_DEL(watch->mirror, entry);
    free(entry->name);
    free(entry);
}

/* The caller frees it. */
static char *mirror_path(struct watch *watch, uint64_t parent, const char *name)
{
    struct path path = {0};
    while (parent != 0) {
        path_prepend(&path, name);
        struct entry_name *above = lookup(watch, parent);
        name = above == NULL ? "?" : above->name;
        parent = above == NULL ? 0 : above->parent;
    }
    return path_take(&path);
}

/* The watched znode itself, its children, or with -r all below. */
static bool is_watched(struct watch *watch, uint64_t id, uint64_t parent)
{
    if (id == watch->top || parent == watch->top)
        return true;
    while (watch->deep && parent != 0) {
        struct entry_name *above = lookup(watch, parent);
        if (parent == watch->top)
            return true;
        parent = above == NULL ? 0 : above->parent;
    }
    return false;
}

/* --- telling --- */

static void tell(struct watch *watch, uint64_t zxid, const char *event, const char *path, const char *to)
{
    if (!watch->tool->json) {
        printf("%s ", event);
        print_path(path, to);
        fflush(stdout);
        return;
    }
    json_t *object =
        json_pack("{s:s,s:o,s:I}", "event", event, "path", json_text(path, strlen(path)), "zxid", (json_int_t)zxid);
    if (to != NULL)
        json_object_set_new(object, "to", json_text(to, strlen(to)));
    json_print(object);
}

static void tell_rename(struct watch *watch, uint64_t zxid, const struct change *change, const char *path)
{
    bool left = is_watched(watch, change->id, change->parent);
    put(watch, change->id, change->to_parent, change->to_name);
    bool came = is_watched(watch, change->id, change->to_parent);
    char *to = mirror_path(watch, change->to_parent, change->to_name);
    if (left || came)
        tell(watch, zxid, "renamed", path, to);
    free(to);
}

static const char *event_of(enum change_kind kind)
{
    return kind == CHANGE_CREATE   ? "created"
           : kind == CHANGE_DELETE ? "deleted"
           : kind == CHANGE_DATA   ? "changed"
                                   : "attributes";
}

static void tell_other(struct watch *watch, uint64_t zxid, const struct change *change, const char *path)
{
    bool watched = is_watched(watch, change->id, change->parent);
    if (change->kind == CHANGE_CREATE)
        put(watch, change->id, change->parent, change->name);
    if (watched)
        tell(watch, zxid, event_of(change->kind), path, NULL);
    if (change->kind == CHANGE_DELETE)
        forget(watch, change->id);
    if (change->kind == CHANGE_DELETE && change->id == watch->top) {
        watch->top = 0;
        kill(getpid(), SIGTERM); /* what the main thread waits for */
    }
}

/* The name an unborn file's creator gives is told when it is born. */
static void tell_change(struct watch *watch, uint64_t zxid, const struct change *change)
{
    if (change->kind == CHANGE_SESSION_OPEN || change->kind == CHANGE_SESSION_CLOSE || change->unborn)
        return;
    char *path = mirror_path(watch, change->parent, change->name);
    if (change->kind == CHANGE_RENAME)
        tell_rename(watch, zxid, change, path);
    else
        tell_other(watch, zxid, change, path);
    free(path);
}

static void on_changes(void *arg, const struct changes *changes)
{
    struct watch *watch = arg;
    pthread_mutex_lock(&watch->mutex);
    if (watch->begun && changes->zxid > watch->from)
        for (size_t i = 0; i < changes->count && watch->top != 0; i++)
            tell_change(watch, changes->zxid, &changes->list[i]);
    pthread_mutex_unlock(&watch->mutex);
}

/* After a long absence the client got the tree whole: what differs is told. */
static void on_resync(void *arg, const struct state *before)
{
    struct watch *watch = arg;
    struct changes changes = {0};
    const struct state *state = client_lock(watch->tool->client);
    state_diff(before, state, &changes);
    changes.zxid = state_zxid(state);
    client_unlock(watch->tool->client);
    on_changes(arg, &changes);
    changes_free(&changes);
}

/* --- beginning --- */

static int begin(struct watch *watch)
{
    struct node_stat stat;
    uint64_t cursor = 0;
    pthread_mutex_lock(&watch->mutex);
    const struct state *state = client_lock(watch->tool->client);
    const struct node *top = find_or_fail(state, watch->path);
    if (top != NULL) {
        node_stat(top, &stat);
        watch->top = stat.id;
        watch->from = state_zxid(state);
        watch->begun = true;
        for (const struct node *node; (node = state_each_node(state, &cursor)) != NULL;) {
            node_stat(node, &stat);
            put(watch, stat.id, stat.parent, node_name(node).at);
        }
    }
    client_unlock(watch->tool->client);
    pthread_mutex_unlock(&watch->mutex);
    return top == NULL ? EXIT_FAILED : EXIT_DONE;
}

int command_watch(struct tool *tool, int count, char **words)
{
    bool deep = count > 1 && strcmp(words[1], "-r") == 0;
    int arguments = count - (deep ? 2 : 1);
    if (arguments > 1 || (arguments == 1 && words[count - 1][0] == '-'))
        return usage("watch takes -r and a path");
    struct watch watch = {.tool = tool, .path = arguments == 1 ? words[count - 1] : "/", .deep = deep};
    pthread_mutex_init(&watch.mutex, NULL);
    const struct client_events events = {.arg = &watch, .changes = on_changes, .resync = on_resync};
    block_signals();
    int code = tool_open(tool, true, &events);
    if (code == EXIT_DONE)
        code = begin(&watch);
    if (code == EXIT_DONE) {
        if (!tool->json)
            fprintf(stderr, "watching %s\n", watch.path);
        wait_for_signal();
    }
    tool_close(tool); /* ends the callbacks before what they use goes */
    if (watch.begun && watch.top == 0)
        code = fail("%s is gone", watch.path);
    struct entry_name *entry, *next;
    HASH_ITER(hh, watch.mirror, entry, next)
    forget(&watch, entry->id);
    pthread_mutex_destroy(&watch.mutex);
    return code;
}
