#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/mount/ghost_queue_internal.h"

enum {
    MOVES = 0,     /* the lane of directories that go to other directories */
    FEED_JOBS = 16 /* taken out of the difference at once, and at most in one lane */
};

struct ghost_queue *ghost_queue_new(size_t limit, ghost_parent_of parent_of, void *arg)
{
    assert(limit >= 2);
    struct ghost_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->limit = limit;
    queue->fresh.tail = &queue->fresh.head;
    queue->backlog.tail = &queue->backlog.head;
    queue->diff = ghost_diff_new(parent_of, arg);
    if (!queue->diff) {
        free(queue);
        return NULL;
    }
    return queue;
}

/* --- rest --- */

static void stand_in_line(struct line *line, struct waiting *job)
{
    job->next = NULL;
    *line->tail = job;
    line->tail = &job->next;
}

static int by_due(const struct waiting *a, const struct waiting *b)
{
    return (a->due_ns > b->due_ns) - (a->due_ns < b->due_ns);
}

/* The head of its lane: nearly always the last one to be due. */
static void lie_down(struct ghost_queue *queue, struct waiting *job)
{
    DL_INSERT_INORDER(queue->resting, job, by_due);
}

static void stand_up(struct ghost_queue *queue, struct place *place)
{
    struct waiting *job = place->job;
    job->due_ns = 0;
    queue->rests--;
    place->lane->resting = place->next;
    if (job->ahead)
        return;
    DL_DELETE(queue->resting, job);
    stand_in_line(&queue->fresh, job);
}

/* Something else is to be announced. */
static void wake_lane(struct ghost_queue *queue, const struct lane *lane)
{
    while (lane->resting)
        stand_up(queue, lane->resting);
}

static void wake_due(struct ghost_queue *queue)
{
    while (queue->resting && queue->resting->due_ns <= queue->now_ns)
        stand_up(queue, &queue->resting->places[0]);
}

void ghost_queue_pass_time(struct ghost_queue *queue, uint64_t now_ns)
{
    queue->now_ns = now_ns;
}

uint64_t ghost_queue_due_ns(const struct ghost_queue *queue)
{
    return queue->resting ? queue->resting->due_ns : 0;
}

/* Until when a change rests; 0: it does not. */
static uint64_t rest_ns(const struct ghost_queue *queue, const struct ghost_change *change)
{
    bool rests = change->kind == GHOST_DATA && change->own && queue->now_ns;
    return rests ? queue->now_ns + GHOST_REST_MS * UINT64_C(1000000) : 0;
}

/* --- lanes --- */

static struct lane *lane_of(struct ghost_queue *queue, uint64_t directory)
{
    struct lane *lane;
    HASH_FIND(hh, queue->lanes, &directory, sizeof directory, lane);
    if (lane)
        return lane;
    lane = calloc(1, sizeof *lane);
    assert(lane);
    lane->directory = directory;
    lane->tail = &lane->head;
    HASH_ADD(hh, queue->lanes, directory, sizeof lane->directory, lane);
    return lane;
}

static void stand_in(struct ghost_queue *queue, struct waiting *job, uint64_t directory)
{
    struct lane *lane = lane_of(queue, directory);
    for (unsigned i = 0; i < job->lanes; i++)
        if (job->places[i].lane == lane)
            return;
    if (!job->due_ns)
        wake_lane(queue, lane);
    assert(job->lanes < LANES_MAX);
    struct place *place = &job->places[job->lanes++];
    *place = (struct place){.job = job, .lane = lane};
    if (lane->head)
        job->ahead++;
    *lane->tail = place;
    lane->tail = &place->next;
    lane->jobs++;
    if (job->due_ns && !lane->resting)
        lane->resting = place;
}

static struct waiting *take_from(struct line *line)
{
    struct waiting *job = line->head;
    line->head = job->next;
    if (!line->head)
        line->tail = &line->head;
    return job;
}

static void leave(struct ghost_queue *queue, struct place *place)
{
    struct lane *lane = place->lane;
    assert(lane->head == place);
    lane->head = place->next;
    lane->jobs--;
    if (!lane->head) {
        HASH_DEL(queue->lanes, lane);
        free(lane);
        return;
    }
    if (--lane->head->job->ahead)
        return;
    if (lane->head->job->due_ns)
        lie_down(queue, lane->head->job);
    else
        stand_in_line(&queue->backlog, lane->head->job);
}

/* --- changes that repeat --- */

bool ghost_structural(enum ghost_kind kind)
{
    return kind == GHOST_CREATE || kind == GHOST_DELETE || kind == GHOST_RENAME || kind == GHOST_EXCHANGE;
}

/* A CREATE of a file goes under the key of its data. Ids are below 2^53, a virtual file's inode has the top bit. */
static uint64_t key_of(const struct ghost_change *change)
{
    bool file = change->node_kind == KIND_FILE;
    switch (change->kind) {
    case GHOST_CREATE:
        return file ? change->id << 2 | 1 : 0;
    case GHOST_DATA:
        return change->id << 2 | 1;
    case GHOST_ATTR:
        return change->id << 2 | 2;
    case GHOST_TOUCH:
        return change->id;
    case GHOST_DELETE:
    case GHOST_RENAME:
    case GHOST_EXCHANGE:
        break;
    }
    return 0;
}

static struct waiting *find_repeated(struct ghost_queue *queue, uint64_t key)
{
    struct waiting *job = NULL;
    if (key)
        HASH_FIND(hh, queue->repeated, &key, sizeof key, job);
    return job;
}

void ghost_forget_repeated(struct ghost_queue *queue, struct waiting *job)
{
    if (find_repeated(queue, job->key) == job)
        HASH_DEL(queue->repeated, job);
}

/* Makes the change a part of a job that waits already, unless something was created, removed or renamed in the
 * directory since: events must not pass those. */
static bool coalesce(struct ghost_queue *queue, const struct ghost_change *change)
{
    if (ghost_structural(change->kind))
        return false;
    struct waiting *job = find_repeated(queue, key_of(change));
    if (!job || job->job.change.parent != change->parent || job->seq < job->places[0].lane->barrier)
        return false;
    if (change->kind == GHOST_DATA) {
        job->job.change.data = true;
        if (job->job.change.own && !change->own) {
            job->job.change.own = false;
            wake_lane(queue, job->places[0].lane); /* of this one somebody may wait */
        }
    }
    queue->coalesced++;
    return true;
}

/* --- jobs --- */

static struct waiting *copy(const struct ghost_change *change)
{
    const char *name = change->name ? change->name : "", *to_name = change->to_name ? change->to_name : "";
    size_t name_size = strlen(name) + 1, to_size = strlen(to_name) + 1;
    struct waiting *job = calloc(1, sizeof *job + name_size + to_size);
    assert(job);
    char *names = (char *)(job + 1);
    memcpy(names, name, name_size);
    memcpy(names + name_size, to_name, to_size);
    job->job.change = *change;
    job->job.change.name = names;
    job->job.change.to_name = names + name_size;
    return job;
}

static bool moves_directory(const struct ghost_change *change)
{
    return change->node_kind == KIND_DIRECTORY ||
           (change->kind == GHOST_EXCHANGE && change->other_kind == KIND_DIRECTORY);
}

static void stand_in_lanes(struct ghost_queue *queue, struct waiting *job)
{
    const struct ghost_change *change = &job->job.change;
    /* The root's own attributes, and a virtual file, stand in a lane of their own. */
    stand_in(queue, job, change->parent ? change->parent : change->id);
    if (change->to_parent)
        stand_in(queue, job, change->to_parent);
    if (change->to_parent && change->to_parent != change->parent && moves_directory(change))
        stand_in(queue, job, MOVES);
    if (change->kind == GHOST_RENAME && change->other && change->other_kind == KIND_DIRECTORY)
        stand_in(queue, job, change->other);
    if ((change->kind == GHOST_CREATE || change->kind == GHOST_DELETE) && change->node_kind == KIND_DIRECTORY)
        stand_in(queue, job, change->id);
    if (ghost_structural(change->kind))
        for (unsigned i = 0; i < job->lanes; i++)
            job->places[i].lane->barrier = job->seq;
}

static void enqueue_until(struct ghost_queue *queue, const struct ghost_change *change, uint64_t due_ns)
{
    struct waiting *job = copy(change);
    job->seq = ++queue->seq;
    job->due_ns = due_ns;
    stand_in_lanes(queue, job);
    ghost_index_names(queue, job);
    job->key = key_of(change);
    if (job->key) {
        struct waiting *earlier = find_repeated(queue, job->key);
        if (earlier)
            ghost_forget_repeated(queue, earlier);
        HASH_ADD(hh, queue->repeated, key, sizeof job->key, job);
    }
    queue->rests += due_ns != 0;
    if (!job->ahead && due_ns)
        lie_down(queue, job);
    else if (!job->ahead)
        stand_in_line(&queue->fresh, job);
    queue->jobs++;
}

void ghost_enqueue(struct ghost_queue *queue, const struct ghost_change *change)
{
    enqueue_until(queue, change, 0);
}

static bool any_room(void *arg, uint64_t directory)
{
    (void)arg;
    (void)directory;
    return true;
}

/* Ends the difference when so little is left that nothing more needs to be swallowed. */
static void flush_difference(struct ghost_queue *queue)
{
    struct ghost_change change;
    if (queue->jobs + ghost_diff_count(queue->diff) <= queue->limit / 4)
        while (ghost_diff_next(queue->diff, any_room, NULL, &change))
            ghost_enqueue(queue, &change);
}

void ghost_queue_push(struct ghost_queue *queue, const struct ghost_change *change)
{
    if (ghost_diff_count(queue->diff))
        flush_difference(queue);
    /* While there is a difference, all goes through it: what comes later must not be announced earlier. */
    if (ghost_diff_count(queue->diff)) {
        ghost_diff_note(queue->diff, change);
        return;
    }
    if (coalesce(queue, change))
        return;
    if (queue->jobs < queue->limit) {
        enqueue_until(queue, change, rest_ns(queue, change));
        return;
    }
    queue->overflows++;
    ghost_diff_note(queue->diff, change);
}

void ghost_queue_push_difference(struct ghost_queue *queue, const struct ghost_change *change)
{
    ghost_diff_note(queue->diff, change);
}

/* In the lanes as little as will do: what is still in the difference can meet with what comes. */
static bool has_room(void *arg, uint64_t directory)
{
    struct ghost_queue *queue = arg;
    struct lane *lane;
    HASH_FIND(hh, queue->lanes, &directory, sizeof directory, lane);
    return !lane || lane->jobs < FEED_JOBS;
}

static bool any_ready(const struct ghost_queue *queue)
{
    return queue->fresh.head || queue->backlog.head;
}

/* From the difference into the lanes. Not held up by the limit: a job takes what its record gives back, and lanes
 * full of a stuck directory's jobs must not keep the others waiting. */
static void feed(struct ghost_queue *queue)
{
    struct ghost_change change;
    size_t looks = ghost_diff_count(queue->diff) / GHOST_DIFF_LOOK + 1;
    while (!any_ready(queue) && looks--)
        for (int i = 0; i < FEED_JOBS && ghost_diff_next(queue->diff, has_room, queue, &change); i++)
            ghost_enqueue(queue, &change);
}

bool ghost_queue_ready(struct ghost_queue *queue)
{
    wake_due(queue);
    if (!any_ready(queue) && ghost_diff_count(queue->diff))
        feed(queue);
    return any_ready(queue);
}

struct ghost_job *ghost_queue_take(struct ghost_queue *queue)
{
    if (!ghost_queue_ready(queue))
        return NULL;
    bool backlog = !queue->fresh.head || (queue->backlog.head && queue->backlog_next);
    queue->backlog_next = !backlog;
    struct waiting *job = take_from(backlog ? &queue->backlog : &queue->fresh);
    ghost_forget_repeated(queue, job);
    job->taken = true;
    return &job->job;
}

bool ghost_queue_tell(struct ghost_job *taken)
{
    struct waiting *job = (struct waiting *)taken;
    job->told |= !taken->is_void;
    return job->told;
}

void ghost_queue_done(struct ghost_queue *queue, struct ghost_job *done)
{
    struct waiting *job = (struct waiting *)done;
    assert(queue->jobs);
    for (unsigned i = 0; i < job->lanes; i++)
        leave(queue, &job->places[i]);
    ghost_unindex_names(queue, job);
    queue->jobs--;
    free(job);
}

struct ghost_queue_info ghost_queue_info(const struct ghost_queue *queue)
{
    return (struct ghost_queue_info){.jobs = queue->jobs,
                                     .resting = queue->rests,
                                     .rests = queue->resting ? queue->resting->job.change.zxid : 0,
                                     .differences = ghost_diff_count(queue->diff),
                                     .coalesced = queue->coalesced,
                                     .overflows = queue->overflows};
}

/* A job is freed with the last of its lanes. */
static void drop_lane(struct lane *lane)
{
    struct place *place = lane->head;
    while (place) {
        struct place *next = place->next;
        if (!--place->job->lanes)
            free(place->job);
        place = next;
    }
    free(lane);
}

void ghost_queue_free(struct ghost_queue *queue)
{
    if (!queue)
        return;
    HASH_CLEAR(hh, queue->repeated);
    struct lane *lane, *next;
    HASH_ITER(hh, queue->lanes, lane, next)
    {
        HASH_DEL(queue->lanes, lane);
        drop_lane(lane);
    }
    ghost_diff_free(queue->diff);
    free(queue);
}
