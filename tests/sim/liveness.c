#include "tests/sim/liveness.h"

#include <inttypes.h>

#include "tests/sim/check.h"
#include "tests/sim/mount.h"
#include "tests/sim/network.h"
#include "tests/sim/server.h"

enum { PATIENCE_US = 15000 * MS }; /* more than the longest session and the longest request */

/* As many as a majority, of those whose disks hold what they promised. */
static unsigned choose(struct cluster *cluster)
{
    unsigned chosen = 0, wanted = cluster->server_count / 2 + 1;
    unsigned from = (unsigned)pick(cluster, cluster->server_count);
    for (unsigned i = 0; i < cluster->server_count && wanted > 0; i++) {
        unsigned index = (from + i) % cluster->server_count;
        struct server_view view;
        server_view(cluster->servers[index], &view);
        if (!view.voter || view.damaged)
            continue;
        chosen |= 1u << index;
        wanted--;
    }
    return chosen;
}

static void set_ways(struct cluster *cluster, unsigned from, unsigned to, bool cut)
{
    network_cut(cluster, from, to, cut);
    network_clog(cluster, from, to, 0);
}

/* A replica that is not well is cut off from those that are, in one way or both; or it reaches them all, however broken
 * it is. (One that reaches only some of them could lead these, and the others would have nobody to follow.) */
static void heal_links(struct cluster *cluster, unsigned end, unsigned well)
{
    bool is_well = end >= SERVERS_MAX || (well >> end & 1);
    uint64_t cuts = is_well ? 0 : pick(cluster, 4);
    for (unsigned other = 0; other < cluster->server_count; other++)
        if (other != end && (well >> other & 1)) {
            set_ways(cluster, end, other, cuts & 1);
            set_ways(cluster, other, end, cuts & 2);
        }
}

static void heal_network(struct cluster *cluster, unsigned well)
{
    network_config(cluster)->loss_per_10000 = 0;
    for (unsigned i = 0; i < cluster->server_count; i++)
        heal_links(cluster, i, well);
    for (unsigned i = 0; i < cluster->mount_count; i++)
        heal_links(cluster, SERVERS_MAX + i, well);
}

static void run_judge(struct cluster *cluster, struct event *event)
{
    unsigned well = (unsigned)event->tag;
    uint64_t committed = event->life;
    for (unsigned i = 0; i < cluster->server_count; i++) {
        struct server_view view;
        if (!(well >> i & 1))
            continue;
        server_view(cluster->servers[i], &view);
        bool between = cluster->counter_last != 0; /* terms are short: it may be between two */
        if (!view.leading && !view.following && !between)
            violated(cluster, "Liveness", "replica %u neither leads nor follows", view.id);
        else if (view.applied < committed)
            violated(cluster, "Liveness", "replica %u has applied %" PRIx64 ", but %" PRIx64 " was committed", view.id,
                     view.applied, committed);
    }
    check_settled(cluster, cluster->options.duration_ms / 2 * MS);
    for (unsigned i = 0; i < cluster->mount_count; i++)
        if (cluster->mounts[i]->done_called_us < event->other * (uint64_t)MS)
            violated(cluster, "Liveness", "no write of mount %u has succeeded since all is well", i);
}

/* By now everything goes well; what is asked from now on must succeed. */
static void run_expect(struct cluster *cluster, struct event *event)
{
    struct event judge = {.run = run_judge, .end = ENDS_MAX, .tag = event->tag};
    uint64_t left_us = cluster->options.duration_ms * MS - cluster->now_us;
    judge.other = (unsigned)(cluster->now_us / MS);
    judge.life = check_committed(cluster);
    event_add(cluster, judge, left_us - MS);
}

void liveness_begin(struct cluster *cluster)
{
    unsigned well = choose(cluster);
    trace(cluster, "all is well again for the replicas of the set %x and for the mounts", well);
    heal_network(cluster, well);
    for (unsigned i = 0; i < cluster->server_count; i++) {
        struct server *server = cluster->servers[i];
        if (well >> i & 1) {
            server_heal_disk(server);
            server_go_on(server);
            if (server_life(server) == 0)
                server_start(server);
        } else {
            server_hold(server, chance(cluster, 500));
        }
    }
    for (unsigned i = 0; i < cluster->mount_count; i++)
        mount_goes_on(cluster->mounts[i]);
    event_add(cluster, (struct event){.run = run_expect, .end = ENDS_MAX, .tag = well}, PATIENCE_US);
}
