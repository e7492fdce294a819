/* What changed while there was no worker: between the last change that was announced and the tree that the next worker
 * begins with. Nobody has the tree of then; but the kernel has what counts: where it believes each inode to be that
 * somebody may watch. So it is asked, of all that changed since, by opening the inode by its number and reading where
 * the descriptor is. The rest follows from the zxids of the znodes.
 *
 *   the kernel has it at  the tree has it at  announced
 *   a name                nowhere             DELETE
 *   a name                another             RENAME
 *   the same, or none     a name, new         CREATE
 *   not at all            a name, new there   CREATE, where the directory may be watched
 *   not at all            nowhere             nothing: nobody has the name
 *
 * and changes of content and attributes. Some of it may have been announced already: twice is better than never. Of a
 * removed name that the kernel does not have nothing is left but its directory's pzxid: so a directory that names came
 * to or went from is announced as changed itself (ATTRIB), and who watches it looks again. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "fs/mount/ghost_thread.h"
#include "fs/mount/inode.h"

enum { BATCH = 256 }; /* znodes looked at under one lock of the tree */

/* An inode that the kernel knows, and that has changed. */
struct known {
    uint64_t id;
    enum node_kind kind;
    bool there;    /* in the tree */
    bool unhashed; /* the kernel has expired the name, or taken it away */
    char *path;    /* where the kernel has it, from the mount's root; NULL: nowhere */
    UT_hash_handle hh, hh_path;
};

struct catching {
    struct ghosts *ghosts;
    struct mount *mount;
    uint64_t since;         /* zxid */
    uint64_t content_since; /* of content less: what was resting has not been announced (ghost_queue.h) */
    size_t base;            /* bytes of a path before the mount's root */
    struct known *by_id, *by_path;
    struct changes changes;
};

static uint64_t last_change(const struct node_stat *stat)
{
    return stat->pzxid > stat->change_zxid ? stat->pzxid : stat->change_zxid;
}

/* --- what has changed --- */

static void add_known(struct catching *catching, uint64_t id, bool there, enum node_kind kind)
{
    struct known *known = calloc(1, sizeof *known);
    assert(known);
    *known = (struct known){.id = id, .there = there, .kind = kind};
    HASH_ADD(hh, catching->by_id, id, sizeof known->id, known);
}

static void find_changed(struct catching *catching)
{
    struct mount *mount = catching->mount;
    struct node_stat stat;
    uint64_t id = 0;
    bool more = true;
    catching->changes.zxid = state_zxid(client_lock(mount->client));
    client_unlock(mount->client);
    add_known(catching, mount->root, true, KIND_DIRECTORY);
    while (more) {
        const struct state *state = client_lock(mount->client);
        for (size_t i = 0; i < BATCH && (more = inodes_next_left(mount->inodes, &id)); i++) {
            const struct node *node = state_node(state, id);
            if (node)
                node_stat(node, &stat);
            if (id != mount->root && (!node || last_change(&stat) > catching->content_since))
                add_known(catching, id, node, node ? stat.kind : KIND_FILE);
        }
        client_unlock(mount->client);
    }
}

/* --- where the kernel has it --- */

/* The path of a descriptor, perhaps one that it had; NULL: none. The caller frees it. */
static char *path_of(const struct catching *catching, int fd, bool *unhashed)
{
    char link[64], path[PATH_MAX];
    const char *deleted = " (deleted)";
    snprintf(link, sizeof link, "/proc/thread-self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= (ssize_t)catching->base)
        return len >= 0 ? strdup("") : NULL;
    path[len] = 0;
    size_t end = (size_t)len - strlen(deleted);
    *unhashed = len > (ssize_t)strlen(deleted) && !strcmp(path + end, deleted);
    if (*unhashed)
        path[end] = 0;
    if (strlen(path) <= catching->base)
        return NULL;
    return strdup(path + catching->base);
}

static void find_path(struct catching *catching, struct known *known)
{
    struct statx stat;
    int fd = known->id == catching->mount->root ? -1 : ghost_open_inode(known->id);
    known->path = fd >= 0 ? path_of(catching, fd, &known->unhashed) : NULL;
    if (fd < 0 && known->id == catching->mount->root)
        known->path = strdup("");
    else if (fd >= 0 && !known->there && !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stat))
        known->kind = S_ISDIR(stat.stx_mode) ? KIND_DIRECTORY : S_ISLNK(stat.stx_mode) ? KIND_SYMLINK : KIND_FILE;
    if (fd >= 0)
        close(fd);
    if (known->path && !known->unhashed)
        HASH_ADD_KEYPTR(hh_path, catching->by_path, known->path, strlen(known->path), known);
}

/* False: the mount is about to go, and must not be touched any more. */
static bool find_paths(struct catching *catching)
{
    struct known *known;
    char root[PATH_MAX];
    ssize_t len = readlink("/proc/thread-self/cwd", root, sizeof root);
    catching->base = len > 1 ? (size_t)len : 0; /* "/": that of the clone */
    for (known = catching->by_id; known && !atomic_load(&catching->ghosts->stopping); known = known->hh.next)
        find_path(catching, known);
    return !atomic_load(&catching->ghosts->stopping);
}

/* The directory that the kernel has an inode in, which has changed as well if the inode has another place now; 0: it is
 * not known. *name is in the path. */
static uint64_t parent_of(const struct catching *catching, const struct known *known, const char **name)
{
    const char *slash = known->path ? strrchr(known->path, '/') : NULL;
    struct known *parent;
    if (!slash)
        return 0;
    *name = slash + 1;
    HASH_FIND(hh_path, catching->by_path, known->path, (size_t)(slash - known->path), parent);
    return parent ? parent->id : 0;
}

/* --- what is announced --- */

static struct change *add_change(struct catching *catching, enum change_kind kind, const struct node_stat *stat,
                                 const char *name)
{
    struct changes *changes = &catching->changes;
    if (changes->count == changes->capacity) {
        changes->capacity = 2 * changes->capacity + 64;
        changes->list = realloc(changes->list, changes->capacity * sizeof *changes->list);
        assert(changes->list);
    }
    struct change *change = &changes->list[changes->count++];
    *change = (struct change){.kind = kind,
                              .node_kind = stat->kind,
                              .id = stat->id,
                              .parent = stat->parent,
                              .new_size = stat->size,
                              .unborn = stat->unborn_of,
                              .unborn_of = stat->unborn_of,
                              .name = strdup(name)};
    assert(change->name);
    return change;
}

static void announce_there(struct catching *catching, const struct known *known, const struct node_stat *stat,
                           const char *name)
{
    const char *before = NULL;
    uint64_t parent = known->unhashed ? 0 : parent_of(catching, known, &before);
    bool moved = parent && (parent != stat->parent || strcmp(before, name));
    if (moved) {
        struct change *change = add_change(catching, CHANGE_RENAME, stat, before);
        change->parent = parent;
        change->to_parent = stat->parent;
        change->to_name = strdup(name);
        assert(change->to_name);
    } else if (stat->czxid > catching->since && known->id != catching->mount->root) {
        add_change(catching, CHANGE_CREATE, stat, name);
    }
    if (stat->mzxid > catching->content_since)
        add_change(catching, CHANGE_DATA, stat, name);
    bool told = stat->mzxid > catching->since && stat->kind != KIND_DIRECTORY; /* its data is a file of its own */
    if (!told && last_change(stat) > catching->since && stat->czxid <= catching->since)
        add_change(catching, CHANGE_ATTR, stat, name);
}

/* What is removed and still open may have been announced: that counts only while nothing else has the name. */
static void announce_gone(struct catching *catching, const struct known *known)
{
    const char *name = NULL;
    struct node_stat stat = {.id = known->id, .kind = known->kind}, now;
    stat.parent = parent_of(catching, known, &name);
    if (stat.parent && !(known->unhashed && mount_child(catching->mount, stat.parent, name, &now)))
        add_change(catching, CHANGE_DELETE, &stat, name);
}

/* Whether a name is new in its directory. Of what was moved there only the directory's last change of names tells: one
 * that comes after the node's own last change, of its attributes or by the move. */
static bool is_new(const struct catching *catching, const struct node_stat *directory, const struct node_stat *stat)
{
    if (stat->czxid > catching->since)
        return true;
    return stat->change_zxid > catching->since && stat->change_zxid != stat->mzxid &&
           directory->pzxid >= stat->change_zxid;
}

/* In a directory, of what the kernel does not know: made there, born, moved there, or changed. */
static void announce_children(struct catching *catching, const struct node *directory)
{
    const struct node *node = node_first_child(directory);
    struct node_stat parent, stat;
    node_stat(directory, &parent);
    for (; node; node = node_next_sibling(node)) {
        node_stat(node, &stat);
        if (stat.change_zxid <= catching->content_since || inodes_known(catching->mount->inodes, stat.id))
            continue;
        if (is_new(catching, &parent, &stat))
            add_change(catching, CHANGE_CREATE, &stat, node_name(node).at);
        else if (stat.mzxid > catching->content_since)
            add_change(catching, CHANGE_DATA, &stat, node_name(node).at);
        else if (stat.change_zxid > catching->since)
            add_change(catching, CHANGE_ATTR, &stat, node_name(node).at);
    }
}

static void announce_known(struct catching *catching, const struct known *known)
{
    struct mount *mount = catching->mount;
    struct node_stat stat;
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, known->id);
    if (node) {
        node_stat(node, &stat);
        announce_there(catching, known, &stat, node_name(node).at);
    }
    client_unlock(mount->client);
    if (!node)
        announce_gone(catching, known);
}

static void announce_names(struct catching *catching)
{
    struct mount *mount = catching->mount;
    uint64_t id = 0;
    while (inodes_next_left(mount->inodes, &id)) {
        const struct state *state = client_lock(mount->client);
        const struct node *node = state_node(state, id);
        if (node)
            announce_children(catching, node);
        client_unlock(mount->client);
    }
}

static void free_known(struct catching *catching)
{
    struct known *known, *next;
    HASH_CLEAR(hh_path, catching->by_path);
    HASH_ITER(hh, catching->by_id, known, next)
    {
        HASH_DEL(catching->by_id, known);
        free(known->path);
        free(known);
    }
}

static void catch_up(struct ghosts *ghosts)
{
    struct catching catching = {
        .ghosts = ghosts, .mount = ghosts->mount, .since = atomic_load(&ghosts->mount->estate->announced)};
    uint64_t resting = atomic_load(&ghosts->mount->estate->resting);
    catching.content_since = resting && resting <= catching.since ? resting - 1 : catching.since;
    if (ghosts->place < 0 && chdir(ghosts->mountpoint) < 0)
        return;
    find_changed(&catching);
    if (find_paths(&catching)) {
        for (const struct known *known = catching.by_id; known; known = known->hh.next)
            announce_known(&catching, known);
        announce_names(&catching);
        ghosts_announce_difference(ghosts, &catching.changes);
    }
    changes_free(&catching.changes);
    free_known(&catching);
}

void *ghosts_catch_up(void *arg)
{
    struct ghosts *ghosts = arg;
    if (ghosts_separate(ghosts))
        catch_up(ghosts);
    pthread_mutex_lock(&ghosts->lock);
    ghosts->catching_up = false;
    ghosts_note_announced(ghosts);
    ghosts_end_thread(ghosts);
    return NULL;
}
