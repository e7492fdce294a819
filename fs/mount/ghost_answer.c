/* The daemon's side of a ghost: nothing is changed, the kernel is told that it was done. Before the operation a
 * ghost's name means what it meant before the change; every other name, and everybody else, sees the tree as it is.
 * Names come with timeouts of 0, for what a ghost is told of them must not linger; attributes are everybody's. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/mount/cache.h"
#include "fs/mount/control.h"
#include "fs/mount/ghost_thread.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"

/* What a thread performs, as far as an answer needs it; the names stay behind. */
struct asked {
    struct ghost_thread *thread;
    enum ghost_kind kind;
    uint64_t id;
    enum node_kind node_kind;
    bool met;
    /* What (parent, name) of the question meant before: `named` says whether it is one of the job's names. */
    bool named;
    uint64_t before; /* 0: nothing */
    enum node_kind before_kind;
};

static void set_before(struct asked *asked, const struct ghost_change *change, uint64_t parent, const char *name)
{
    bool first = parent == change->parent && !strcmp(name, change->name);
    bool two = change->kind == GHOST_RENAME || change->kind == GHOST_EXCHANGE;
    bool second = two && parent == change->to_parent && !strcmp(name, change->to_name);
    asked->named = first || second;
    if (first && change->kind != GHOST_CREATE) {
        asked->before = change->id;
        asked->before_kind = change->node_kind;
    } else if (second && !first) {
        asked->before = change->other;
        asked->before_kind = change->other_kind;
    }
}

/* False: no job is under way, and the request has been refused: as interrupted, for then the kernel keeps the name that
 * a ghost of the worker before has looked up, and what became of it can be told (ghost_catch_up.c). */
static bool ask(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, struct asked *asked)
{
    struct ghost_thread *thread = ghosts_thread(mount->ghosts, req);
    *asked = (struct asked){.thread = thread};
    if (thread) {
        pthread_mutex_lock(&thread->lock);
        const struct ghost_change *change = thread->change;
        if (change) {
            asked->kind = change->kind;
            asked->id = change->id;
            asked->node_kind = change->node_kind;
            asked->met = thread->met;
            set_before(asked, change, znode_of(mount, parent), name);
        }
        pthread_mutex_unlock(&thread->lock);
    }
    if (!asked->kind)
        fuse_reply_err(req, EINTR);
    return asked->kind;
}

static bool something_mounted(struct mount *mount, const struct asked *asked, uint64_t id)
{
    pthread_mutex_lock(&asked->thread->lock);
    bool below = ghost_mounts_below(&asked->thread->mounts, mount, id);
    pthread_mutex_unlock(&asked->thread->lock);
    return below;
}

/* The znode as the tree has it; or, if it is gone already, as the kernel was told last. Whether it is there. */
static bool stat_or_remains(struct mount *mount, uint64_t id, enum node_kind kind, struct node_stat *stat)
{
    struct stat attr;
    if (!mount_stat(mount, id, stat))
        return true;
    *stat = (struct node_stat){.id = id, .kind = kind, .mode = 0700};
    if (!inodes_remains(mount->inodes, id, &attr))
        return false;
    stat->mode = attr.st_mode & 07777;
    stat->uid = attr.st_uid;
    stat->gid = attr.st_gid;
    stat->size = (uint64_t)attr.st_size;
    stat->mtime_ns = attr.st_mtim.tv_sec * 1000000000 + attr.st_mtim.tv_nsec;
    stat->ctime_ns = attr.st_ctim.tv_sec * 1000000000 + attr.st_ctim.tv_nsec;
    return false;
}

/* What a name means now; 0: nothing. "." is asked for a directory that the kernel's cache has dropped: one outside of
 * root=/sub must not get in. */
static uint64_t current(struct mount *mount, uint64_t parent_id, const char *name)
{
    struct node_stat stat = {0};
    const struct state *state = client_lock(mount->client);
    const struct node *parent = state_node(state, parent_id), *node = parent;
    if (parent && !strcmp(name, ".")) {
        for (const struct node *up = parent; up && stat.id != mount->root; up = node_parent(state, up))
            node_stat(up, &stat);
        node = stat.id == mount->root ? parent : NULL;
    } else if (parent && !strcmp(name, "..")) {
        node = parent_id == mount->root ? parent : node_parent(state, parent);
    } else if (parent) {
        node = node_child(state, parent, name, strlen(name));
    }
    stat.id = 0;
    if (node)
        node_stat(node, &stat);
    client_unlock(mount->client);
    return stat.id;
}

static void fill_entry(struct mount *mount, uint64_t id, enum node_kind kind, struct fuse_entry_param *entry)
{
    struct node_stat stat;
    bool there = stat_or_remains(mount, id, kind, &stat);
    *entry = (struct fuse_entry_param){.ino = inode_of(mount, id)};
    inode_attr(mount, &stat, &entry->attr);
    inodes_count_ghost(mount->inodes, id);
    inodes_told(mount->inodes, id, &entry->attr);
    entry->attr_timeout = there ? cache_attr_s(mount->cache, entry->ino, &stat) : 0;
}

/* `made`: not to be kept, as the kernel takes it also if it was told since that this is no longer so. */
static void reply_node(struct mount *mount, fuse_req_t req, uint64_t id, enum node_kind kind, bool made)
{
    struct fuse_entry_param entry;
    fill_entry(mount, id, kind, &entry);
    if (made)
        entry.attr_timeout = 0;
    if (fuse_reply_entry(req, &entry))
        inodes_count(mount->inodes, id, -1);
}

void ghost_lookup(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct asked asked;
    if (!ask(mount, req, parent, name, &asked))
        return;
    uint64_t now = control_is(parent) ? 0 : current(mount, znode_of(mount, parent), name);
    if (!asked.named) {
        if (now)
            reply_node(mount, req, now, KIND_DIRECTORY, false);
        else
            fuse_reply_err(req, ENOENT);
        return;
    }
    /* The kernel drops what it has under a name that means something else, with all that is mounted below it; not if
     * the lookup was interrupted. */
    if (now && now != asked.before && something_mounted(mount, &asked, now)) {
        fuse_reply_err(req, EINTR);
        return;
    }
    if (!asked.before) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    pthread_mutex_lock(&asked.thread->lock);
    asked.thread->met |= asked.before == asked.id;
    pthread_mutex_unlock(&asked.thread->lock);
    reply_node(mount, req, asked.before, asked.before_kind, false);
}

/* Another request than the job's can come from a ghost only by a mistake here, or by somebody's reused thread id. */
static bool expect(fuse_req_t req, bool right)
{
    if (!right)
        fuse_reply_err(req, EIO);
    return right;
}

/* The request comes with its directory locked, so that whatever was done here in it has been noted. */
static bool tell(fuse_req_t req, const struct asked *asked)
{
    bool told = ghost_tell(asked->thread);
    if (!told)
        fuse_reply_err(req, ECANCELED);
    return told;
}

static void reply_made(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, enum node_kind kind)
{
    struct asked asked;
    if (ask(mount, req, parent, name, &asked) &&
        expect(req, asked.kind == GHOST_CREATE && asked.named && asked.node_kind == kind) && tell(req, &asked)) {
        cache_begin_read(mount->cache);
        reply_node(mount, req, asked.id, kind, true);
        cache_end_read(mount->cache);
    }
}

void ghost_mkdir(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_made(mount, req, parent, name, KIND_DIRECTORY);
}

void ghost_symlink(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_made(mount, req, parent, name, KIND_SYMLINK);
}

/* No FLUSH: ghosts hold no locks that it would have to release. */
static void set_ghost_handle(struct fuse_file_info *fi)
{
    fi->fh = GHOST_FH;
    fi->direct_io = 1;
    fi->noflush = 1;
}

void ghost_create(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi)
{
    struct asked asked;
    struct fuse_entry_param entry;
    if (!ask(mount, req, parent, name, &asked) ||
        !expect(req, asked.kind == GHOST_CREATE && asked.named && asked.node_kind == KIND_FILE) || !tell(req, &asked))
        return;
    set_ghost_handle(fi);
    cache_begin_read(mount->cache);
    fill_entry(mount, asked.id, KIND_FILE, &entry);
    entry.attr_timeout = 0;
    if (fuse_reply_create(req, &entry, fi))
        inodes_count(mount->inodes, asked.id, -1);
    cache_end_read(mount->cache);
}

/* A name that the kernel has not looked up for this removal may be bound to a newer node, whose watches the events
 * would hit: ENOENT makes it drop the name, and the ghost tries again. EBUSY leaves it, for the sake of what is
 * mounted there. */
static void reply_removed(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name,
                          const struct asked *asked)
{
    if (asked->met) {
        if (tell(req, asked))
            fuse_reply_err(req, 0);
        return;
    }
    uint64_t now = current(mount, znode_of(mount, parent), name);
    fuse_reply_err(req, now && something_mounted(mount, asked, now) ? EBUSY : ENOENT);
}

void ghost_remove(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct asked asked;
    if (ask(mount, req, parent, name, &asked) && expect(req, asked.kind == GHOST_DELETE && asked.named))
        reply_removed(mount, req, parent, name, &asked);
}

void ghost_rename(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                  const char *to_name)
{
    struct asked asked;
    (void)to_parent;
    (void)to_name;
    if (ask(mount, req, parent, name, &asked) &&
        expect(req, (asked.kind == GHOST_RENAME || asked.kind == GHOST_EXCHANGE) && asked.named))
        reply_removed(mount, req, parent, name, &asked);
}

void ghost_getattr(struct mount *mount, fuse_req_t req, fuse_ino_t ino)
{
    struct stat attr;
    double keep_s = 0;
    if (lookup_attr(mount, req, ino, &attr, &keep_s)) {
        struct node_stat stat = {.id = ino, .kind = KIND_DIRECTORY, .mode = 0700};
        inode_attr(mount, &stat, &attr);
    }
    fuse_reply_attr(req, &attr, keep_s);
}

void ghost_setattr(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat attr;
    (void)fi;
    if (lookup_attr(mount, req, ino, &attr, NULL))
        fuse_reply_err(req, ESTALE);
    else
        fuse_reply_attr(req, &attr, 0);
}

/* ESTALE makes the kernel look the name up again. */
void ghost_open(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct asked asked;
    if (!ask(mount, req, ino, "", &asked))
        return;
    fuse_ino_t own = asked.kind == GHOST_TOUCH ? asked.id : inode_of(mount, asked.id);
    if (ino != own) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    set_ghost_handle(fi);
    fuse_reply_open(req, fi);
}
