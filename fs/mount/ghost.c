/* Which changes are announced, and as what. */
#include "fs/mount/control.h"
#include "fs/mount/ghost_thread.h"
#include "fs/mount/inode.h"
#include "fs/mount/owner.h"

static bool known(struct mount *mount, uint64_t id)
{
    return id && (id == mount->root || inodes_known(mount->inodes, id));
}

bool ghosts_wanted(struct mount *mount, const struct ghost_change *change)
{
    bool two = change->kind == GHOST_RENAME || change->kind == GHOST_EXCHANGE;
    if (change->kind == GHOST_TOUCH)
        return true;
    return known(mount, change->parent) || known(mount, change->id) ||
           (two && (known(mount, change->to_parent) || known(mount, change->other)));
}

/* The kernel raises the events of its own calls itself; but MODIFY at write(2), before the commit. An unborn file
 * exists only where it is written. */
static bool foreign(const struct mount *mount, const struct changes *changes, const struct change *change)
{
    uint64_t session = mount->own_session;
    if (changes->session && changes->session == session)
        return change->kind == CHANGE_DATA || owners_removed(mount, changes->zxid);
    return !change->unborn || change->birth || (change->unborn_of == session && change->kind != CHANGE_CREATE);
}

/* The kernel tells its watchers of it when the call ends, before the ghosts of what was there before (they wait for the
 * directory that the call holds). The birth of a file is no call. */
static bool overtakes(const struct mount *mount, const struct changes *changes, const struct change *change)
{
    bool own = changes->session && changes->session == mount->own_session && !owners_removed(mount, changes->zxid);
    return own && ((change->kind == CHANGE_CREATE && !change->birth) || change->kind == CHANGE_DELETE ||
                   change->kind == CHANGE_RENAME);
}

static bool set_kind(const struct change *change, struct ghost_change *to)
{
    switch (change->kind) {
    case CHANGE_CREATE:
        to->kind = GHOST_CREATE;
        to->data = change->node_kind == KIND_FILE && change->new_size;
        return true;
    case CHANGE_DELETE:
        to->kind = GHOST_DELETE;
        return true;
    case CHANGE_RENAME:
        to->kind = GHOST_RENAME;
        return true;
    case CHANGE_DATA:
        to->kind = GHOST_DATA;
        return true;
    case CHANGE_ATTR:
        to->kind = GHOST_ATTR;
        return true;
    case CHANGE_SESSION_OPEN:
    case CHANGE_SESSION_CLOSE:
    case CHANGE_META:
    case CHANGE_LOCK:
        break;
    }
    return false;
}

static struct ghost_change ghost_of(const struct change *change, uint64_t zxid)
{
    return (struct ghost_change){.zxid = zxid,
                                 .node_kind = change->node_kind,
                                 .id = change->id,
                                 .parent = change->parent,
                                 .to_parent = change->to_parent,
                                 .name = change->name ? change->name : "",
                                 .to_name = change->to_name ? change->to_name : ""};
}

/* The mount's root under root=/sub has its name outside; only what is done to itself can be announced. */
static bool set_root(const struct mount *mount, struct ghost_change *to)
{
    if (to->id != mount->root)
        return true;
    to->parent = 0;
    to->name = "";
    return to->kind == GHOST_DATA || to->kind == GHOST_ATTR;
}

/* A directory's own data, policy and quota are files in its .pact. */
static void push_control(struct ghosts *ghosts, const struct change *change)
{
    static const enum control of_meta[] = {CONTROL_CHILDREN, CONTROL_QUOTA}, of_data[] = {CONTROL_DATA};
    bool meta = change->kind == CHANGE_META;
    if (!known(ghosts->mount, change->id))
        return;
    for (size_t i = 0; i < (meta ? 2 : 1); i++)
        ghost_queue_push(ghosts->queue,
                         &(struct ghost_change){.kind = GHOST_TOUCH,
                                                .node_kind = KIND_FILE,
                                                .id = control_ino(meta ? of_meta[i] : of_data[i], change->id),
                                                .name = ""});
}

typedef void push_function(struct ghost_queue *queue, const struct ghost_change *change);

static void push(struct ghosts *ghosts, push_function *to_queue, const struct ghost_change *change)
{
    if (ghosts_wanted(ghosts->mount, change))
        to_queue(ghosts->queue, change);
    else
        ghosts->skipped++;
}

/* Announces the change at `i`, with those after it that belong to it; returns how many they are. */
static size_t push_change(struct ghosts *ghosts, push_function *to_queue, const struct changes *changes, size_t i)
{
    const struct change *change = &changes->list[i], *next = i + 1 < changes->count ? change + 1 : NULL;
    bool told = overtakes(ghosts->mount, changes, change);
    if (!told && !foreign(ghosts->mount, changes, change))
        return 1;
    bool directory_data = change->kind == CHANGE_DATA && change->node_kind == KIND_DIRECTORY;
    if (change->kind == CHANGE_META || directory_data) {
        push_control(ghosts, change);
        return 1;
    }
    bool replaced = change->kind == CHANGE_DELETE && change->replaced && next && next->kind == CHANGE_RENAME;
    struct ghost_change ghost = ghost_of(replaced ? next : change, changes->zxid);
    ghost.own = changes->session && changes->session == ghosts->mount->own_session;
    if (!set_kind(replaced ? next : change, &ghost) || !set_root(ghosts->mount, &ghost))
        return 1;
    if (replaced) {
        ghost.other = change->id;
        ghost.other_kind = change->node_kind;
    }
    bool exchange = change->kind == CHANGE_RENAME && change->exchange && next && next->exchange;
    if (exchange) {
        ghost.kind = GHOST_EXCHANGE;
        ghost.other = next->id;
        ghost.other_kind = next->node_kind;
    }
    if (told)
        ghost_queue_overtake(ghosts->queue, &ghost);
    else
        push(ghosts, to_queue, &ghost);
    return replaced || exchange ? 2 : 1;
}

static void announce(struct ghosts *ghosts, push_function *to_queue, const struct changes *changes)
{
    pthread_mutex_lock(&ghosts->lock);
    ghost_queue_pass_time(ghosts->queue, ghosts_now_ns());
    for (size_t i = 0; i < changes->count && !ghosts->stopping;)
        i += push_change(ghosts, to_queue, changes, i);
    if (changes->zxid > ghosts->zxid)
        ghosts->zxid = changes->zxid;
    ghosts_note_announced(ghosts);
    pthread_mutex_unlock(&ghosts->lock);
}

void ghosts_begin(struct ghosts *ghosts)
{
    pthread_mutex_lock(&ghosts->lock);
    pthread_cond_t *who = ghosts_to_wake(ghosts);
    pthread_mutex_unlock(&ghosts->lock);
    if (who) /* without the lock, which the woken one takes at once */
        pthread_cond_signal(who);
}

void ghosts_note_announced(struct ghosts *ghosts)
{
    struct ghost_queue_info info = ghost_queue_info(ghosts->queue);
    if (info.jobs > info.resting || info.differences || ghosts->catching_up || !ghosts->zxid)
        return;
    atomic_store(&ghosts->estate->resting, info.rests);
    atomic_store(&ghosts->estate->announced, ghosts->zxid);
}

void ghosts_announce(struct ghosts *ghosts, const struct changes *changes)
{
    announce(ghosts, ghost_queue_push, changes);
}

void ghosts_announce_difference(struct ghosts *ghosts, const struct changes *changes)
{
    announce(ghosts, ghost_queue_push_difference, changes);
    ghosts_begin(ghosts);
}

static void announce_one(struct ghosts *ghosts, const struct ghost_change *change)
{
    pthread_mutex_lock(&ghosts->lock);
    if (!ghosts->stopping)
        ghost_queue_push(ghosts->queue, change);
    pthread_mutex_unlock(&ghosts->lock);
    ghosts_begin(ghosts);
}

void ghosts_rename_template(struct ghosts *ghosts, uint64_t parent, const char *template_name, const char *name,
                            uint64_t id)
{
    struct node_stat stat = {.kind = KIND_FILE};
    mount_stat(ghosts->mount, id, &stat);
    announce_one(ghosts, &(struct ghost_change){.kind = GHOST_RENAME,
                                                .node_kind = stat.kind,
                                                .id = id,
                                                .parent = parent,
                                                .to_parent = parent,
                                                .name = template_name,
                                                .to_name = name});
}

void ghosts_touch_virtual(struct ghosts *ghosts, fuse_ino_t ino)
{
    announce_one(ghosts, &(struct ghost_change){.kind = GHOST_TOUCH, .node_kind = KIND_FILE, .id = ino, .name = ""});
}

void ghosts_info(struct ghosts *ghosts, struct ghosts_info *info)
{
    pthread_mutex_lock(&ghosts->lock);
    struct ghost_queue_info queue = ghost_queue_info(ghosts->queue);
    *info = (struct ghosts_info){.pending = queue.jobs + queue.differences,
                                 .done = ghosts->done,
                                 .skipped = ghosts->skipped,
                                 .coalesced = queue.coalesced,
                                 .overflows = queue.overflows,
                                 .failed = ghosts->failed};
    pthread_mutex_unlock(&ghosts->lock);
}
