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

/* Every way between two that are well is open; between one that is and one that is not, it may be cut for good. */
static void heal_network(struct cluster *cluster, unsigned well)
{
    network_config(cluster)->loss_per_10000 = 0;
    for (unsigned a = 0; a < ENDS_MAX; a++)
        for (unsigned b = 0; b < ENDS_MAX; b++) {
            bool a_well = a >= SERVERS_MAX || (well >> a & 1), b_well = b >= SERVERS_MAX || (well >> b & 1);
            if (a == b || (a >= SERVERS_MAX && b >= SERVERS_MAX))
                continue;
            if (a_well && b_well) {
                network_cut(cluster, a, b, false);
                network_clog(cluster, a, b, 0);
            } else if (chance(cluster, 500)) {
                network_cut(cluster, a, b, true);
            }
        }
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
        if (!view.leading && !view.following)
            violated(cluster, "Liveness", "replica %u neither leads nor follows", view.id);
        else if (view.applied < committed)
            violated(cluster, "Liveness", "replica %u has applied %" PRIx64 ", but %" PRIx64 " was committed", view.id,
                     view.applied, committed);
    }
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
        mount_stall(cluster->mounts[i], 0);
    event_add(cluster, (struct event){.run = run_expect, .end = ENDS_MAX, .tag = well}, PATIENCE_US);
}
