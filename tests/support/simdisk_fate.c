#include "tests/support/simdisk_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP, DROP, MIX, UP_TO, MOSTLY, MODES };

/* splitmix64 */
uint64_t sim_random(uint64_t *random)
{
    uint64_t x = (*random += 0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* Whether the i-th of `count` changes arrives. */
static bool arrives(unsigned mode, size_t i, size_t up_to, uint64_t *random)
{
    switch (mode) {
    case KEEP:
        return true;
    case DROP:
        return false;
    case UP_TO:
        return i < up_to;
    case MOSTLY:
        return sim_random(random) % 8 != 0;
    default:
        return sim_random(random) % 2 == 0;
    }
}

void sim_inode_fate(struct sim_inode *inode, unsigned mode, uint64_t *random)
{
    size_t up_to = inode->pending_count > 0 ? (size_t)(sim_random(random) % inode->pending_count) : 0;
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct sim_pending *pending = &inode->pending[i];
        if (arrives(mode, i, up_to, random))
            sim_sector_set(&inode->durable[pending->index], sim_sector_ref(pending->sector));
        if (arrives(mode, i, up_to, random))
            inode->durable_size = pending->size;
    }
    sim_inode_forget_pending(inode);
}

void sim_name_fate(struct sim_name *name, unsigned mode, uint64_t *random)
{
    struct sim_inode *binding = name->durable;
    size_t up_to = name->version_count > 0 ? (size_t)(sim_random(random) % name->version_count) : 0;
    for (size_t i = 0; i < name->version_count; i++)
        if (arrives(mode, i, up_to, random))
            binding = name->versions[i];
    sim_name_settle(name, binding);
}

/* What shows from now on is what is durable. */
static void settle(struct sim_inode *inode)
{
    for (uint64_t i = 0; i < inode->room; i++) {
        if (i * SIM_SECTOR >= inode->durable_size)
            sim_sector_set(&inode->durable[i], NULL);
        sim_sector_set(&inode->current[i], sim_sector_ref(inode->durable[i]));
    }
    inode->current_size = inode->durable_size;
}

void simdisk_power_loss(struct simdisk *sim, uint64_t seed)
{
    assert(sim->open_files == 0);
    uint64_t random = seed;
    unsigned mode = (unsigned)(seed % MODES);
    for (size_t i = 0; i < sim->name_count; i++) {
        struct sim_name *name = &sim->names[i];
        sim_name_fate(name, mode, &random);
        sim_inode_unref(name->current);
        name->current = sim_inode_ref(name->durable);
    }
    for (size_t i = 0; i < sim->name_count; i++) {
        struct sim_inode *inode = sim->names[i].current;
        if (inode == NULL)
            continue;
        sim_inode_fate(inode, mode, &random); /* of an inode with two names, at the first */
        settle(inode);
    }
    simdisk_reset(sim);
}
