#include "tests/sim/faults.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/sim/liveness.h"
#include "tests/sim/mount.h"
#include "tests/sim/network.h"
#include "tests/sim/server.h"

enum fault {
    KILL,
    POWER,
    POWER_MIDWAY,
    BETWEEN_ACTIONS,
    PAUSE,
    ISOLATE,
    SPLIT,
    ONE_WAY,
    CLOG,
    LOSSY,
    ROTATE,
    SLOW_DISK,
    FAILING_DISK,
    FULL_DISK,
    FLIP,
    WIPE,
    CLOCK_JUMP,
    MOUNT_PAUSE,
    MOUNT_CUT,
    MOUNT_END,
    FAULTS,
};

enum { FIRST_US = 3000 * MS };

struct faults {
    bool enabled[FAULTS];
    uint64_t pace_us, heal_us; /* between faults; until what can be healed is */
    unsigned on_leader;        /* per mille: it is the leader that suffers */
    bool over;
};

static struct server *victim(struct cluster *cluster)
{
    struct server_view view;
    if (chance(cluster, cluster->faults->on_leader))
        for (unsigned i = 0; i < cluster->server_count; i++) {
            server_view(cluster->servers[i], &view);
            if (view.leading)
                return cluster->servers[i];
        }
    return cluster->servers[pick(cluster, cluster->server_count)];
}

static void later(struct cluster *cluster, void (*run)(struct cluster *, struct event *), unsigned who, unsigned other,
                  uint64_t tag, uint64_t delay_us)
{
    event_add(cluster, (struct event){.run = run, .end = ENDS_MAX, .other = who, .life = other, .tag = tag}, delay_us);
}

static uint64_t heal_time(struct cluster *cluster)
{
    return spread(cluster, cluster->faults->heal_us) + 20 * MS;
}

/* --- machines --- */

static unsigned index_of(const struct server *server)
{
    struct server_view view;
    server_view(server, &view);
    return view.id - 1;
}

static void run_start(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->other];
    if (server_life(server) == 0 && !cluster->faults->over)
        server_start(server);
}

static void crash(struct cluster *cluster, struct server *server, enum power power)
{
    server_crash(server, power);
    later(cluster, run_start, index_of(server), 0, 0, heal_time(cluster));
}

/* Whether one more disk may lose what it promised. */
static bool disk_may_go(struct cluster *cluster, const struct server *server)
{
    struct server_view view;
    unsigned lost = 0;
    server_view(server, &view);
    if (view.damaged)
        return true; /* it is lost already */
    for (unsigned i = 0; i < cluster->server_count; i++) {
        server_view(cluster->servers[i], &view);
        lost += view.damaged || !view.voter;
    }
    return lost < (cluster->server_count - 1) / 2;
}

static void wipe(struct cluster *cluster, struct server *server)
{
    if (!disk_may_go(cluster, server))
        return;
    server_crash(server, POWER_LOST);
    server_wipe(server);
    later(cluster, run_start, index_of(server), 0, 0, heal_time(cluster));
}

static void run_heal_disk(struct cluster *cluster, struct event *event)
{
    server_heal_disk(cluster->servers[event->other]);
}

static void trouble_disk(struct cluster *cluster, struct server *server, enum fault fault)
{
    if (fault == SLOW_DISK)
        server_slow_disk(server, pick_between(cluster, 20, 700) * MS);
    else if (fault == FAILING_DISK)
        server_fail_disk(server, pick_between(cluster, 1, 12), pick_between(cluster, 1, 3), EIO);
    else
        server_fail_disk(server, pick_between(cluster, 1, 12), UINT64_MAX / 2, ENOSPC);
    later(cluster, run_heal_disk, index_of(server), 0, 0, heal_time(cluster));
}

void faults_at_truncation(struct cluster *cluster, struct server *server)
{
    const struct faults *faults = cluster->faults;
    if (cluster->options.calm || faults->over || !faults->enabled[FULL_DISK] || !chance(cluster, 100))
        return;
    trace(cluster, "fault: full disk at a truncation");
    server_fail_disk(server, 1, UINT64_MAX / 2, ENOSPC);
    later(cluster, run_heal_disk, index_of(server), 0, 0, heal_time(cluster));
}

static void split(struct cluster *cluster, uint64_t side, bool out, bool in);

/* A stop that is over before anybody's patience is, or a long one; sometimes nobody can tell it what has happened. */
static void pause(struct cluster *cluster, struct server *server)
{
    if (chance(cluster, 400))
        split(cluster, 1u << index_of(server), true, true);
    server_stall(server, chance(cluster, 600) ? pick_between(cluster, 150, 900) * MS : heal_time(cluster) / 2);
}

static void trouble_server(struct cluster *cluster, enum fault fault)
{
    struct server *server = victim(cluster);
    if (fault == KILL || fault == POWER)
        crash(cluster, server, fault == KILL ? PROCESS_KILLED : POWER_LOST);
    else if (fault == POWER_MIDWAY)
        server_cut_power_at_call(server, pick_between(cluster, 1, 10));
    else if (fault == BETWEEN_ACTIONS)
        server_crash_at_action(server, (unsigned)pick_between(cluster, 1, 40));
    else if (fault == PAUSE)
        pause(cluster, server);
    else if (fault == FLIP && disk_may_go(cluster, server))
        server_flip_bit(server);
    else if (fault == WIPE)
        wipe(cluster, server);
    else if (fault == CLOCK_JUMP)
        server_jump_clock(server, ((int64_t)pick(cluster, 7200001) - 3600000) * 1000000);
    else if (fault == SLOW_DISK || fault == FAILING_DISK || fault == FULL_DISK)
        trouble_disk(cluster, server, fault);
}

/* --- the network --- */

static void run_join(struct cluster *cluster, struct event *event)
{
    if (!cluster->faults->over)
        network_cut(cluster, event->other, (unsigned)event->tag, false);
}

static void cut(struct cluster *cluster, unsigned from, unsigned to, uint64_t for_us)
{
    network_cut(cluster, from, to, true);
    later(cluster, run_join, from, 0, to, for_us);
}

/* Cuts off those whose bit is set from those whose is not: both ways, or one. */
static void split(struct cluster *cluster, uint64_t side, bool out, bool in)
{
    uint64_t for_us = heal_time(cluster);
    for (unsigned a = 0; a < cluster->server_count; a++)
        for (unsigned b = 0; b < cluster->server_count; b++) {
            if (!(side >> a & 1) || (side >> b & 1))
                continue;
            if (out)
                cut(cluster, a, b, for_us);
            if (in)
                cut(cluster, b, a, for_us);
        }
}

static void run_calm_network(struct cluster *cluster, struct event *event)
{
    (void)event;
    network_config(cluster)->loss_per_10000 = 0;
}

/* The second half: who was left behind goes on with one that has just lost its power or its disk; whoever has gone on
 * meanwhile is cut off. Together they are as many as a majority. */
static void run_rotate(struct cluster *cluster, struct event *event)
{
    uint64_t behind = event->tag;
    unsigned other = (unsigned)pick(cluster, cluster->server_count);
    if (cluster->faults->over)
        return;
    while (behind >> other & 1)
        other = (other + 1) % cluster->server_count;
    if (chance(cluster, 700) && disk_may_go(cluster, cluster->servers[other])) {
        server_crash(cluster->servers[other], POWER_LOST);
        server_wipe(cluster->servers[other]);
    } else {
        server_crash(cluster->servers[other], POWER_LOST);
    }
    later(cluster, run_start, other, 0, 0, pick_between(cluster, 10, 200) * MS);
    behind |= 1u << other;
    for (unsigned a = 0; a < cluster->server_count; a++)
        for (unsigned b = 0; b < cluster->server_count; b++)
            if (a != b && (behind >> a & 1) && (behind >> b & 1))
                network_cut(cluster, a, b, false);
    split(cluster, behind, true, true);
}

static void rotate(struct cluster *cluster)
{
    uint64_t behind = 0;
    for (unsigned left = (cluster->server_count - 1) / 2; left > 0;) {
        unsigned one = (unsigned)pick(cluster, cluster->server_count);
        left -= !(behind >> one & 1);
        behind |= 1u << one;
    }
    split(cluster, behind, true, true);
    later(cluster, run_rotate, 0, 0, behind, pick_between(cluster, 300, 2500) * MS);
}

static void trouble_network(struct cluster *cluster, enum fault fault)
{
    unsigned count = cluster->server_count, from = index_of(victim(cluster));
    unsigned to = (from + 1 + (unsigned)pick(cluster, count - 1)) % count;
    if (fault == ISOLATE) {
        split(cluster, 1u << from, true, true);
    } else if (fault == SPLIT) {
        split(cluster, pick(cluster, 1u << count), true, true);
    } else if (fault == ONE_WAY && chance(cluster, 500)) {
        bool out = chance(cluster, 500);
        split(cluster, 1u << from, out, !out);
    } else if (fault == ONE_WAY) {
        cut(cluster, from, to, heal_time(cluster));
    } else if (fault == ROTATE) {
        rotate(cluster);
    } else if (fault == CLOG) {
        network_clog(cluster, from, to, heal_time(cluster) / 2);
    } else {
        network_config(cluster)->loss_per_10000 = (unsigned)pick_between(cluster, 5, 200);
        later(cluster, run_calm_network, 0, 0, 0, heal_time(cluster));
    }
}

/* --- mounts --- */

/* Just after a heartbeat, for as long as the answer may be waiting for it; then it can say nothing more. */
void faults_freeze(struct cluster *cluster, unsigned index)
{
    uint64_t for_us = pick_between(cluster, 300, 4000) * MS;
    trace(cluster, "mount %u freezes", index);
    mount_stall(cluster->mounts[index], for_us);
    for (unsigned server = 0; server < cluster->server_count; server++)
        cut(cluster, SERVERS_MAX + index, server, for_us + 8000 * MS);
}

static void pause_mount(struct cluster *cluster, unsigned index)
{
    if (chance(cluster, 400))
        cluster->mounts[index]->freezes = true;
    else
        mount_stall(cluster->mounts[index], heal_time(cluster) * 2);
}

/* Of the mounts that a leader has. */
static bool find_led(const struct cluster *cluster, unsigned *index, unsigned *leader)
{
    struct server_view view;
    for (*index = 0; *index < cluster->mount_count; ++*index) {
        const struct mount *mount = cluster->mounts[*index];
        if (!mount->linked)
            continue;
        *leader = (unsigned)mount->server;
        server_view(cluster->servers[*leader], &view);
        if (view.leading)
            return true;
    }
    return false;
}

/* A mount reaches nobody but a leader that stands still, and then does not know yet that it leads no more. */
static void mislead_mount(struct cluster *cluster)
{
    unsigned index, leader;
    uint64_t for_us = pick_between(cluster, 4000, 12000) * MS;
    bool alone = chance(cluster, 500);
    if (!find_led(cluster, &index, &leader))
        return;
    server_stall(cluster->servers[leader], pick_between(cluster, 400, 900) * MS);
    for (unsigned server = 0; server < cluster->server_count; server++) {
        if (server == leader)
            continue;
        cut(cluster, SERVERS_MAX + index, server, for_us);
        cut(cluster, server, SERVERS_MAX + index, for_us);
        if (alone) {
            cut(cluster, leader, server, for_us);
            cut(cluster, server, leader, for_us);
        }
    }
}

static void cut_mount(struct cluster *cluster, unsigned index, unsigned server)
{
    if (chance(cluster, 700))
        cut(cluster, SERVERS_MAX + index, server, heal_time(cluster));
    cut(cluster, server, SERVERS_MAX + index, heal_time(cluster));
}

static void trouble_mount(struct cluster *cluster, enum fault fault)
{
    unsigned index = (unsigned)pick(cluster, cluster->mount_count), server = index_of(victim(cluster));
    if (fault == MOUNT_PAUSE)
        pause_mount(cluster, index);
    else if (fault == MOUNT_END && chance(cluster, 600))
        mount_dies(cluster->mounts[index]);
    else if (fault == MOUNT_END)
        mount_leaves(cluster->mounts[index]);
    else if (chance(cluster, 600))
        mislead_mount(cluster);
    else
        cut_mount(cluster, index, server);
}

/* --- the run --- */

static void trouble(struct cluster *cluster, enum fault fault)
{
    static const char *const names[FAULTS] = {"kill",         "power",       "power midway", "crash between actions",
                                              "pause",        "isolate",     "split",        "one way",
                                              "clog",         "loss",        "rotate",       "slow disk",
                                              "failing disk", "full disk",   "flip",         "wipe",
                                              "clock jump",   "mount pause", "mount cut",    "mount end"};
    trace(cluster, "fault: %s", names[fault]);
    if (fault >= MOUNT_PAUSE)
        trouble_mount(cluster, fault);
    else if (fault >= ISOLATE && fault <= ROTATE)
        trouble_network(cluster, fault);
    else
        trouble_server(cluster, fault);
    cluster->outcome->counts.partitions += fault >= ISOLATE && fault <= ONE_WAY;
}

static void run_fault(struct cluster *cluster, struct event *event)
{
    struct faults *faults = cluster->faults;
    if (faults->over)
        return;
    unsigned fault = (unsigned)pick(cluster, FAULTS);
    for (unsigned i = 0; i < FAULTS && !faults->enabled[fault]; i++)
        fault = (fault + 1) % FAULTS;
    if (faults->enabled[fault])
        trouble(cluster, (enum fault)fault);
    event_add(cluster, *event, spread(cluster, faults->pace_us));
}

static void run_heal(struct cluster *cluster, struct event *event)
{
    (void)event;
    cluster->faults->over = true;
    liveness_begin(cluster);
}

struct faults *faults_new(struct cluster *cluster)
{
    struct faults *faults = calloc(1, sizeof *faults);
    assert(faults);
    cluster->faults = faults;
    for (unsigned i = 0; i < FAULTS; i++)
        faults->enabled[i] = chance(cluster, 450);
    faults->pace_us = pick_between(cluster, 300, 4000) * MS;
    faults->heal_us = pick_between(cluster, 200, 3000) * MS;
    faults->on_leader = (unsigned)pick(cluster, 700);
    if (chance(cluster, 500))
        network_config(cluster)->duplicate_per_mille = (unsigned)pick_between(cluster, 1, 30);
    for (unsigned i = 0; i < cluster->server_count; i++)
        later(cluster, run_start, i, 0, 0, pick(cluster, 400 * MS));
    if (!cluster->options.calm)
        later(cluster, run_fault, 0, 0, 0, FIRST_US);
    if (cluster->options.liveness)
        later(cluster, run_heal, 0, 0, 0, cluster->options.duration_ms / 2 * MS);
    return faults;
}

void faults_free(struct faults *faults)
{
    free(faults);
}
