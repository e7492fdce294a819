#include "tests/sim/cluster.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/faults.h"
#include "tests/sim/mount.h"
#include "tests/sim/network.h"
#include "tests/sim/server.h"

/* --- chance --- */

static uint64_t next_random(struct cluster *cluster)
{
    return mix(cluster->random += 0x9e3779b97f4a7c15);
}

uint64_t pick(struct cluster *cluster, uint64_t below)
{
    assert(below > 0);
    return next_random(cluster) % below;
}

uint64_t pick_between(struct cluster *cluster, uint64_t from, uint64_t to)
{
    return from + pick(cluster, to - from + 1);
}

bool chance(struct cluster *cluster, unsigned per_mille)
{
    return pick(cluster, 1000) < per_mille;
}

uint64_t spread(struct cluster *cluster, uint64_t mean)
{
    uint64_t doubled = mean;
    while (doubled < 4 * mean && chance(cluster, 370))
        doubled += mean;
    return pick(cluster, 2 * doubled + 1);
}

/* --- the trace --- */

uint64_t fingerprint(const void *at, size_t len, uint64_t seed)
{
    const uint8_t *from = at;
    uint64_t hash = mix(seed + len + 1), word;
    for (; len >= sizeof word; from += sizeof word, len -= sizeof word) {
        memcpy(&word, from, sizeof word);
        hash = mix(hash ^ word) + 0x9e3779b97f4a7c15;
    }
    for (word = 0; len > 0; len--)
        word = word << 8 | from[len - 1];
    return mix(hash ^ word);
}

void note(struct cluster *cluster, uint64_t what, uint64_t a, uint64_t b)
{
    uint64_t word = what * 0x9e3779b97f4a7c15 + a * 0xc2b2ae3d27d4eb4f + b * 0x165667b19e3779f9 + cluster->now_us;
    cluster->hash = mix(cluster->hash ^ word);
}

void trace(struct cluster *cluster, const char *format, ...)
{
    if (!cluster->options.trace)
        return;
    va_list args;
    va_start(args, format);
    printf("%10.3f ms  ", (double)cluster->now_us / MS);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

void violated(struct cluster *cluster, const char *checker, const char *format, ...)
{
    struct outcome *outcome = cluster->outcome;
    if (outcome->failed)
        return;
    va_list args;
    va_start(args, format);
    outcome->failed = true;
    snprintf(outcome->checker, sizeof outcome->checker, "%s", checker);
    vsnprintf(outcome->text, sizeof outcome->text, format, args);
    va_end(args);
    trace(cluster, "VIOLATION of %s: %s", outcome->checker, outcome->text);
}

/* --- events: a heap, the earliest first, those of one moment in the order they were added --- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static void queue_put(struct event_queue *queue, const struct event *event)
{
    if (queue->count == queue->room) {
        queue->room = queue->room ? 2 * queue->room : 1024;
        queue->heap = realloc(queue->heap, queue->room * sizeof queue->heap[0]);
        assert(queue->heap);
    }
    size_t at = queue->count++;
    for (; at > 0 && before(event, &queue->heap[(at - 1) / 2]); at = (at - 1) / 2)
        queue->heap[at] = queue->heap[(at - 1) / 2];
    queue->heap[at] = *event;
}

/* Puts the event at its place below `at`. */
static void sift_down(struct event_queue *queue, size_t at, struct event event)
{
    for (size_t child; (child = 2 * at + 1) < queue->count; at = child) {
        if (child + 1 < queue->count && before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!before(&queue->heap[child], &event))
            break;
        queue->heap[at] = queue->heap[child];
    }
    queue->heap[at] = event;
}

static bool queue_take(struct event_queue *queue, struct event *event)
{
    if (queue->count == 0)
        return false;
    *event = queue->heap[0];
    queue->count--;
    if (queue->count > 0)
        sift_down(queue, 0, queue->heap[queue->count]);
    return true;
}

/* They stay in their order: it is that in which they were put off. */
void event_put_off(struct cluster *cluster, unsigned end, uint64_t until_us)
{
    struct event_queue *queue = &cluster->queue;
    for (size_t i = 0; i < queue->count; i++)
        if (queue->heap[i].end == end && queue->heap[i].waits)
            queue->heap[i].at_us = until_us;
    for (size_t i = queue->count / 2; i-- > 0;)
        sift_down(queue, i, queue->heap[i]);
}

static void add(struct cluster *cluster, struct event *event, uint64_t at_us, bool waits)
{
    event->at_us = at_us;
    event->order = cluster->queue.order++;
    event->waits = waits;
    queue_put(&cluster->queue, event);
}

void event_add(struct cluster *cluster, struct event event, uint64_t delay_us)
{
    add(cluster, &event, cluster->now_us + delay_us, false);
}

static void event_drop(struct event *event)
{
    if (event->drop)
        event->drop(event->load);
}

/* --- ends --- */

bool end_alive(const struct cluster *cluster, unsigned end)
{
    return end < SERVERS_MAX ? end < cluster->server_count && server_life(cluster->servers[end]) != 0
                             : end - SERVERS_MAX < cluster->mount_count;
}

bool end_stalled(const struct cluster *cluster, unsigned end, uint64_t *until_us)
{
    if (end >= ENDS_MAX)
        return false;
    *until_us = end < SERVERS_MAX ? server_stalled_until(cluster->servers[end])
                                  : mount_stalled_until(cluster->mounts[end - SERVERS_MAX]);
    return *until_us > cluster->now_us;
}

/* --- the run --- */

/* What comes for a stalled process waits, in its order, until it goes on. */
static bool wait_for_end(struct cluster *cluster, struct event *event)
{
    uint64_t until_us;
    if (!end_stalled(cluster, event->end, &until_us))
        return false;
    add(cluster, event, until_us, true);
    return true;
}

static bool stale(const struct cluster *cluster, const struct event *event)
{
    return event->life != 0 && event->end < SERVERS_MAX && server_life(cluster->servers[event->end]) != event->life;
}

static bool step(struct cluster *cluster, uint64_t until_us)
{
    struct event event;
    if (cluster->queue.count == 0 || cluster->queue.heap[0].at_us > until_us)
        return false;
    queue_take(&cluster->queue, &event);
    cluster->now_us = event.at_us;
    if (stale(cluster, &event)) {
        event_drop(&event);
        return true;
    }
    if (wait_for_end(cluster, &event))
        return true;
    cluster->outcome->counts.events++;
    note(cluster, event.tag, event.end, event.other);
    event.run(cluster, &event);
    event_drop(&event);
    return true;
}

static void build(struct cluster *cluster, const struct cluster_options *options, struct outcome *outcome)
{
    static const unsigned sizes[] = {3, 5, 7, 3, 5};
    *outcome = (struct outcome){0};
    *cluster = (struct cluster){.options = *options, .random = mix(options->seed + 1), .outcome = outcome};
    cluster->server_count = options->servers ? options->servers : sizes[pick(cluster, 5)];
    cluster->mount_count = (unsigned)pick_between(cluster, 2, 4);
    if (chance(cluster, 300)) /* a wide network's times */
        cluster->timing = (struct zab_timing){.ping_ms = (uint32_t)pick_between(cluster, 15, 100),
                                              .silence_ms = (uint32_t)pick_between(cluster, 200, 600),
                                              .vote_ms = (uint32_t)pick_between(cluster, 1, 60),
                                              .phase_ms = (uint32_t)pick_between(cluster, 300, 2000)};
    if (!options->calm && chance(cluster, 150))
        cluster->counter_last = (uint32_t)pick_between(cluster, 3, 200);
    cluster->arena = arena_new();
    cluster->network = network_new(cluster);
    cluster->check = check_new(cluster);
    for (unsigned i = 0; i < cluster->server_count; i++)
        cluster->servers[i] = server_new(cluster, i);
    for (unsigned i = 0; i < cluster->mount_count; i++)
        cluster->mounts[i] = mount_new(cluster, i);
    cluster->faults = faults_new(cluster);
}

static void take_down(struct cluster *cluster)
{
    struct event event;
    while (queue_take(&cluster->queue, &event))
        event_drop(&event);
    free(cluster->queue.heap);
    faults_free(cluster->faults);
    for (unsigned i = 0; i < cluster->mount_count; i++)
        mount_free(cluster->mounts[i]);
    for (unsigned i = 0; i < cluster->server_count; i++)
        server_free(cluster->servers[i]);
    check_free(cluster->check);
    network_free(cluster->network);
    arena_free(cluster->arena);
    buffer_free(&cluster->encoded);
}

/* The simulated disk numbers its choices by its calls, the rest by the seed: the run is a function of the seed. */
void cluster_run(const struct cluster_options *options, struct outcome *outcome)
{
    struct cluster cluster;
    build(&cluster, options, outcome);
    uint64_t end_us = options->duration_ms * MS;
    while (!outcome->failed && step(&cluster, end_us))
        ;
    if (!outcome->failed)
        check_end(&cluster);
    outcome->hash = cluster.hash;
    outcome->at_us = cluster.now_us;
    take_down(&cluster);
}
