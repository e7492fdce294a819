/* What it shows: whatever happens to replicas and links, all replicas commit the same entries in the same order, no
 * epoch has two leaders, no leader lacks what was committed, no barrier is answered behind the truth; and when all is
 * well again, all of them soon follow one leader and have the same.
 *
 * How: ensembles of cores (tests/support/zab_tale) from seeds: first faults (power lost at any action, links reset, cut
 * and clogged in one direction, pauses, slow and full disks, disks lost, logs purged), then calm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zab_tale.h"

enum { FAULTS_MS = 4000, CALM_MS = 6000 };

/* How often each thing happens in one run (per mille of the draws): picked per run, so that runs differ in kind. */
struct climate {
    uint32_t propose, power, blackout, reset, block, clog, freeze, full, purge, wipe, barrier, slow, replay;
};

static struct climate choose(struct tale *tale)
{
    struct climate climate = {.propose = 350, .barrier = 50};
    climate.power = (uint32_t)tale_draw(tale, 4) * 10;
    climate.blackout = (uint32_t)tale_draw(tale, 3) * 2;
    climate.replay = (uint32_t)tale_draw(tale, 3) * 10;
    climate.reset = (uint32_t)tale_draw(tale, 3) * 10;
    climate.block = (uint32_t)tale_draw(tale, 3) * 10;
    climate.clog = (uint32_t)tale_draw(tale, 3) * 5;
    climate.freeze = (uint32_t)tale_draw(tale, 3) * 10;
    climate.full = (uint32_t)(tale_draw(tale, 4) == 0) * 5;
    climate.purge = (uint32_t)tale_draw(tale, 3) * 10;
    climate.wipe = (uint32_t)(tale_draw(tale, 3) == 0) * 5;
    climate.slow = (uint32_t)tale_draw(tale, 3) * 5;
    return climate;
}

static uint32_t someone(struct tale *tale)
{
    return 1 + (uint32_t)tale_draw(tale, tale->members);
}

static bool happens(uint64_t *draw, uint32_t weight)
{
    bool yes = *draw < weight;
    *draw -= yes ? 0 : weight;
    if (yes)
        *draw = UINT64_MAX;
    return yes;
}

/* A disk may be lost only while a quorum of voters without it holds everything: one at a time, and all others well. */
static bool may_wipe(const struct tale *tale)
{
    for (uint32_t id = 1; id <= tale->members; id++)
        if (!tale->nodes[id].epochs.voter)
            return false;
    return tale->members > 1 && tale->truth.count > 0;
}

static void toggle_power(struct tale *tale, uint32_t id)
{
    struct tale_node *node = &tale->nodes[id];
    if (node->zab == NULL)
        tale_start(tale, id);
    else if (tale_draw(tale, 2) == 0)
        tale_power(tale, id);
    else
        node->trap_count = 1 + (uint32_t)tale_draw(tale, 30); /* in the middle of something */
}

/* Everywhere, and soon again. */
static void blackout(struct tale *tale)
{
    for (uint32_t id = 1; id <= tale->members; id++)
        if (tale_draw(tale, 4) != 0)
            tale_power(tale, id);
    for (uint32_t id = 1; id <= tale->members; id++)
        if (tale->nodes[id].zab == NULL && tale_draw(tale, 3) != 0)
            tale_start(tale, id);
}

static void toggle_links(struct tale *tale, uint32_t id)
{
    bool blocked = tale_draw(tale, 2) == 0;
    uint32_t only = tale_draw(tale, 2) == 0 ? someone(tale) : 0;
    if (only == 0 && tale_leader(tale) != 0)
        id = tale_leader(tale); /* what it proposes alone will have to be cut */
    for (uint32_t other = 1; other <= tale->members; other++)
        if (other != id && (only == 0 || other == only))
            tale_block(tale, id, other, blocked);
}

static void disturb(struct tale *tale, const struct climate *climate)
{
    uint64_t draw = tale_draw(tale, 1000);
    uint32_t id = someone(tale), other = someone(tale);
    struct tale_node *node = &tale->nodes[id];
    uint32_t leader = tale_leader(tale);
    if (happens(&draw, climate->power))
        toggle_power(tale, id);
    if (happens(&draw, climate->blackout))
        blackout(tale);
    if (happens(&draw, climate->replay) && id != other)
        tale_replay(tale, id, other);
    if (happens(&draw, climate->reset) && id != other)
        tale_reset(tale, id, other);
    if (happens(&draw, climate->block))
        toggle_links(tale, id);
    if (happens(&draw, climate->clog) && id != other)
        tale->pipes[id][other].clogged = !tale->pipes[id][other].clogged;
    if (happens(&draw, climate->freeze) && node->zab != NULL)
        node->frozen = !node->frozen;
    if (happens(&draw, climate->full) && !node->frozen)
        tale_full(tale, id, !node->full);
    if (happens(&draw, climate->slow))
        tale->sync_ms[id] = tale_draw(tale, 2) == 0 ? 1 : (uint32_t)tale_draw(tale, 80);
    if (happens(&draw, climate->wipe) && may_wipe(tale))
        tale_wipe(tale, id);
    if (happens(&draw, climate->purge) && node->zab != NULL && !node->frozen)
        tale_purge(tale, id);
    if (happens(&draw, climate->barrier) && node->zab != NULL && !node->frozen)
        if (zab_role(node->zab) == ZAB_LEADING && zab_phase(node->zab) == ZAB_BROADCAST)
            tale_barrier(tale, id);
    if (happens(&draw, climate->propose) && leader != 0)
        for (uint64_t many = 1 + tale_draw(tale, 6); many > 0 && tale->nodes[leader].zab != NULL; many--)
            tale_propose(tale, leader, "x");
    if (happens(&draw, climate->propose) && node->zab != NULL && !node->frozen)
        tale_propose(tale, id, "y"); /* perhaps a leader that has been replaced */
}

static void heal(struct tale *tale)
{
    for (uint32_t id = 1; id <= tale->members; id++) {
        struct tale_node *node = &tale->nodes[id];
        node->frozen = false;
        node->trap_count = 0;
        tale->sync_ms[id] = 1;
        tale_full(tale, id, false);
        for (uint32_t other = 1; other <= tale->members; other++) {
            tale->pipes[id][other].clogged = false;
            if (other > id)
                tale_block(tale, id, other, false);
        }
    }
    for (uint32_t id = 1; id <= tale->members; id++)
        if (tale->nodes[id].zab == NULL)
            tale_start(tale, id);
}

static uint64_t play(struct tale *tale)
{
    struct climate climate = choose(tale);
    for (uint32_t id = 1; id <= tale->members; id++)
        tale_start(tale, id);
    uint64_t end_ms = tale->now_ms + FAULTS_MS;
    while (tale->now_ms < end_ms && tale->wrong[0] == '\0') {
        uint64_t pause = 1 + tale_draw(tale, 20);
        tale_run(tale, pause);
        disturb(tale, &climate);
    }
    heal(tale);
    uint64_t calm_ms = tale->now_ms;
    while (tale->wrong[0] == '\0' && !tale_settled(tale) && tale->now_ms < calm_ms + CALM_MS) {
        tale_run(tale, 10);
        if (tale_leader(tale) != 0 && tale_draw(tale, 20) == 0)
            tale_propose(tale, tale_leader(tale), "calm");
    }
    if (!tale_settled(tale))
        tale_wrong(tale, "no agreement after %u ms of calm", (unsigned)CALM_MS);
    return tale->now_ms - calm_ms;
}

static void add(struct tale_counts *total, const struct tale_counts *counts)
{
    uint64_t *to = (uint64_t *)total;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof *counts / sizeof *from; i++)
        to[i] += from[i];
}

static void runs(size_t members, uint64_t seeds)
{
    struct tale_counts total = {0};
    uint64_t most_ms = 0, sum_ms = 0;
    const char *from = getenv("ZAB_SEED"), *many = getenv("ZAB_SEEDS");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    seeds = from != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : seeds;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct tale *tale = tale_new(members, seed * 8 + members);
        tale->trace = from != NULL ? stdout : NULL;
        tale->trace_messages = getenv("ZAB_MESSAGES") != NULL;
        if (seed % 8 == 0)
            tale->counter_last = 5;
        uint64_t calm_ms = play(tale);
        most_ms = calm_ms > most_ms ? calm_ms : most_ms;
        sum_ms += calm_ms;
        add(&total, &tale->counts);
        if (tale->wrong[0] != '\0') {
            tale_print(tale, stdout);
            fail_msg("%zu replicas, ZAB_SEED=%llu: %s", members, (unsigned long long)seed, tale->wrong);
        }
        tale_free(tale);
    }
    print_message(
        "%zu replicas, %llu seeds: %llu steps, %llu leaders, %llu commits, %llu truncations, %llu snapshots,\n"
        "  %llu crashes, %llu resets, %llu barriers, %llu named, %llu withdrawn; calm after %llu ms, at most "
        "%llu ms\n",
        members, (unsigned long long)seeds, (unsigned long long)total.steps, (unsigned long long)total.leaders,
        (unsigned long long)total.commits, (unsigned long long)total.truncations, (unsigned long long)total.snapshots,
        (unsigned long long)total.crashes, (unsigned long long)total.resets, (unsigned long long)total.barriers,
        (unsigned long long)total.named, (unsigned long long)total.withdrawn, (unsigned long long)(sum_ms / seeds),
        (unsigned long long)most_ms);
}

static void one_replica(void **state)
{
    (void)state;
    runs(1, 200);
}

static void three_replicas(void **state)
{
    (void)state;
    runs(3, 400);
}

static void five_replicas(void **state)
{
    (void)state;
    runs(5, 200);
}

static void seven_replicas(void **state)
{
    (void)state;
    runs(7, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_replica),
        cmocka_unit_test(three_replicas),
        cmocka_unit_test(five_replicas),
        cmocka_unit_test(seven_replicas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
