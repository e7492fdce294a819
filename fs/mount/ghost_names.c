/* What waits, by its names; and what is done here before it was told. */
#include <string.h>
#include <utlist.h>

#include "fs/mount/ghost_queue_internal.h"
#include "replica/state/hash.h"

enum { AGAIN_MAX = 65536 /* own changes that are told once more, over the limit */ };

static struct named **bucket_of(struct ghost_queue *queue, uint64_t directory, const char *name)
{
    return &queue->buckets[hash_bytes(name, strlen(name), directory) % NAME_BUCKETS];
}

static void index_name(struct ghost_queue *queue, struct named *named, uint64_t directory, const char *name)
{
    struct named **bucket = bucket_of(queue, directory, name);
    named->directory = directory;
    named->name = name;
    DL_PREPEND(*bucket, named);
}

void ghost_index_names(struct ghost_queue *queue, struct waiting *job)
{
    const struct ghost_change *change = &job->job.change;
    bool two = change->kind == GHOST_RENAME || change->kind == GHOST_EXCHANGE;
    job->names[0].job = job->names[1].job = job;
    if (change->parent)
        index_name(queue, &job->names[0], change->parent, change->name);
    if (two)
        index_name(queue, &job->names[1], change->to_parent, change->to_name);
}

void ghost_unindex_names(struct ghost_queue *queue, struct waiting *job)
{
    for (size_t i = 0; i < sizeof job->names / sizeof *job->names; i++) {
        struct named *named = &job->names[i];
        if (named->name)
            DL_DELETE(*bucket_of(queue, named->directory, named->name), named);
    }
}

/* What an own change makes of one name: who had it before, and whether anybody has it after. */
struct own_name {
    uint64_t directory;
    const char *name;
    uint64_t before; /* 0: nobody */
    bool gone;       /* `before` is removed */
    bool taken;      /* there is somebody after */
};

static void make_void(struct ghost_queue *queue, struct waiting *job)
{
    job->job.is_void = true;
    ghost_forget_repeated(queue, job);
}

/* Of content and attributes the node's own watchers are told, under the name that the kernel has it by. */
static void overtake_content(struct ghost_queue *queue, const struct own_name *own, struct waiting *job)
{
    if (job->taken || job->job.change.id != own->before)
        return;
    if (own->gone)
        make_void(queue, job);
    else
        job->job.change.nameless = true;
}

/* Whether somebody has the name when this has been told. */
static bool leaves_somebody(const struct named *named)
{
    enum ghost_kind kind = named->job->job.change.kind;
    return kind == GHOST_CREATE || kind == GHOST_EXCHANGE || named == &named->job->names[1];
}

/* Whether the name will be wrong when all that waits has been told. What waits may end with the making of the node that
 * has gone from here since: that is void. */
static bool overtake_name(struct ghost_queue *queue, const struct own_name *own)
{
    bool newest = true, remains = false, wrong = false;
    struct named *named;
    DL_FOREACH(*bucket_of(queue, own->directory, own->name), named)
    {
        struct waiting *job = named->job;
        if (job->told || job->job.is_void || named->directory != own->directory || strcmp(named->name, own->name))
            continue;
        if (!ghost_structural(job->job.change.kind)) {
            overtake_content(queue, own, job);
            continue;
        }
        if (newest && job->job.change.kind == GHOST_CREATE && job->job.change.id == own->before) {
            make_void(queue, job);
        } else if (!remains) {
            wrong = own->taken || leaves_somebody(named);
            remains = true;
        }
        newest = false;
    }
    return wrong;
}

void ghost_queue_overtake(struct ghost_queue *queue, const struct ghost_change *change)
{
    bool exchange = change->kind == GHOST_EXCHANGE, two = exchange || change->kind == GHOST_RENAME;
    bool deleted = change->kind == GHOST_DELETE, created = change->kind == GHOST_CREATE;
    struct ghost_change late[2];
    size_t count;
    bool wrong = overtake_name(queue, &(struct own_name){.directory = change->parent,
                                                         .name = change->name,
                                                         .before = created ? 0 : change->id,
                                                         .gone = deleted,
                                                         .taken = created || exchange});
    if (two)
        wrong |= overtake_name(queue, &(struct own_name){.directory = change->to_parent,
                                                         .name = change->to_name,
                                                         .before = change->other,
                                                         .gone = !exchange,
                                                         .taken = true});
    /* Over the limit, as each is a call that has waited for its commit; but where a directory is stuck for long, who
     * watches it has to look again. */
    if (wrong && queue->jobs < queue->limit + AGAIN_MAX)
        ghost_enqueue(queue, change);
    count = ghost_diff_overtake(queue->diff, change, late);
    for (size_t i = 0; i < count; i++)
        ghost_enqueue(queue, &late[i]);
}
