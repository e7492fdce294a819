#include "tests/support/simdisk_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- files --- */

static struct sim_sector *sector_new(const uint8_t *bytes)
{
    static const uint8_t zeros[SIM_SECTOR];
    if (memcmp(bytes, zeros, SIM_SECTOR) == 0)
        return NULL;
    struct sim_sector *sector = malloc(sizeof *sector);
    assert(sector != NULL);
    sector->refs = 1;
    memcpy(sector->bytes, bytes, SIM_SECTOR);
    return sector;
}

struct sim_sector *sim_sector_ref(struct sim_sector *sector)
{
    if (sector != NULL)
        sector->refs++;
    return sector;
}

void sim_sector_unref(struct sim_sector *sector)
{
    if (sector != NULL && --sector->refs == 0)
        free(sector);
}

/* Takes over the caller's reference. */
void sim_sector_set(struct sim_sector **slot, struct sim_sector *sector)
{
    sim_sector_unref(*slot);
    *slot = sector;
}

void sim_inode_reserve(struct sim_inode *inode, uint64_t bytes)
{
    uint64_t sectors = (bytes + SIM_SECTOR - 1) / SIM_SECTOR;
    if (sectors <= inode->room)
        return;
    uint64_t room = inode->room * 2 > sectors ? inode->room * 2 : sectors;
    inode->current = realloc(inode->current, room * sizeof(void *));
    inode->durable = realloc(inode->durable, room * sizeof(void *));
    assert(inode->current != NULL && inode->durable != NULL);
    memset(inode->current + inode->room, 0, (room - inode->room) * sizeof(void *));
    memset(inode->durable + inode->room, 0, (room - inode->room) * sizeof(void *));
    inode->room = room;
}

struct sim_inode *sim_inode_ref(struct sim_inode *inode)
{
    if (inode != NULL)
        inode->refs++;
    return inode;
}

void sim_inode_forget_pending(struct sim_inode *inode)
{
    for (size_t i = 0; i < inode->pending_count; i++)
        sim_sector_unref(inode->pending[i].sector);
    inode->pending_count = 0;
}

void sim_inode_unref(struct sim_inode *inode)
{
    if (inode == NULL || --inode->refs > 0)
        return;
    sim_inode_forget_pending(inode);
    for (uint64_t i = 0; i < inode->room; i++) {
        sim_sector_unref(inode->current[i]);
        sim_sector_unref(inode->durable[i]);
    }
    free(inode->current);
    free(inode->durable);
    free(inode->pending);
    free(inode);
}

static void pend(struct sim_inode *inode, uint64_t index, struct sim_sector *sector)
{
    if (inode->pending_count == inode->pending_room) {
        inode->pending_room = inode->pending_room == 0 ? 16 : inode->pending_room * 2;
        inode->pending = realloc(inode->pending, inode->pending_room * sizeof *inode->pending);
        assert(inode->pending != NULL);
    }
    inode->pending[inode->pending_count++] =
        (struct sim_pending){.index = index, .sector = sector, .size = inode->current_size};
}

/* One sector's new content, wherever in it the bytes go. */
static void write_sector(struct sim_inode *inode, uint64_t offset, const uint8_t *from, size_t len)
{
    uint64_t index = offset / SIM_SECTOR;
    sim_inode_reserve(inode, offset + len);
    uint8_t bytes[SIM_SECTOR] = {0};
    if (inode->current[index] != NULL)
        memcpy(bytes, inode->current[index]->bytes, SIM_SECTOR);
    memcpy(bytes + offset % SIM_SECTOR, from, len);
    if (offset + len > inode->current_size)
        inode->current_size = offset + len;
    struct sim_sector *sector = sector_new(bytes);
    pend(inode, index, sim_sector_ref(sector));
    sim_sector_set(&inode->current[index], sector);
}

void sim_inode_write(struct sim_inode *inode, uint64_t offset, const void *from, size_t len)
{
    const uint8_t *at = from;
    while (len > 0) {
        size_t room = SIM_SECTOR - (size_t)(offset % SIM_SECTOR);
        size_t piece = len < room ? len : room;
        write_sector(inode, offset, at, piece);
        offset += piece;
        at += piece;
        len -= piece;
    }
}

void sim_inode_sync(struct sim_inode *inode)
{
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct sim_pending *pending = &inode->pending[i];
        sim_sector_set(&inode->durable[pending->index], sim_sector_ref(pending->sector));
    }
    inode->durable_size = inode->current_size;
    sim_inode_forget_pending(inode);
}

/* --- names --- */

struct sim_name *sim_name_find(const struct simdisk *sim, const char *name)
{
    for (size_t i = 0; i < sim->name_count; i++)
        if (strcmp(sim->names[i].name, name) == 0)
            return &sim->names[i];
    return NULL;
}

struct sim_name *sim_name_make(struct simdisk *sim, const char *name)
{
    struct sim_name *found = sim_name_find(sim, name);
    if (found != NULL)
        return found;
    sim->names = realloc(sim->names, (sim->name_count + 1) * sizeof *sim->names);
    assert(sim->names != NULL && strlen(name) < sizeof sim->names[0].name);
    found = &sim->names[sim->name_count++];
    *found = (struct sim_name){.current = NULL};
    strcpy(found->name, name);
    return found;
}

/* Binds it to the inode (NULL: to none), not yet durably. */
void sim_name_bind(struct sim_name *name, struct sim_inode *inode)
{
    sim_inode_ref(inode);
    sim_inode_unref(name->current);
    name->current = inode;
    name->versions = realloc(name->versions, (name->version_count + 1) * sizeof *name->versions);
    assert(name->versions != NULL);
    name->versions[name->version_count++] = sim_inode_ref(inode);
}

/* Makes `inode` what is durably there under the name; what is not durable is forgotten. */
void sim_name_settle(struct sim_name *name, struct sim_inode *inode)
{
    sim_inode_ref(inode);
    for (size_t i = 0; i < name->version_count; i++)
        sim_inode_unref(name->versions[i]);
    name->version_count = 0;
    sim_inode_unref(name->durable);
    name->durable = inode;
}

/* --- the whole --- */

struct simdisk *simdisk_new(void)
{
    struct simdisk *sim = calloc(1, sizeof *sim);
    assert(sim != NULL);
    return sim;
}

void simdisk_free(struct simdisk *sim)
{
    if (sim == NULL)
        return;
    assert(sim->open_files == 0);
    for (size_t i = 0; i < sim->name_count; i++) {
        sim_name_settle(&sim->names[i], NULL);
        sim_inode_unref(sim->names[i].current);
        free(sim->names[i].versions);
    }
    free(sim->names);
    free(sim);
}

static struct sim_inode *inode_copy(struct sim_inode *inode)
{
    if (inode == NULL)
        return NULL;
    if (inode->copy != NULL)
        return sim_inode_ref(inode->copy);
    struct sim_inode *copy = calloc(1, sizeof *copy);
    assert(copy != NULL);
    copy->refs = 1;
    sim_inode_reserve(copy, inode->room * SIM_SECTOR);
    for (uint64_t i = 0; i < inode->room; i++) {
        copy->current[i] = sim_sector_ref(inode->current[i]);
        copy->durable[i] = sim_sector_ref(inode->durable[i]);
    }
    copy->current_size = inode->current_size;
    copy->durable_size = inode->durable_size;
    for (size_t i = 0; i < inode->pending_count; i++) {
        pend(copy, inode->pending[i].index, sim_sector_ref(inode->pending[i].sector));
        copy->pending[i].size = inode->pending[i].size;
    }
    inode->copy = copy;
    return copy;
}

static void forget_copies(const struct simdisk *sim)
{
    for (size_t i = 0; i < sim->name_count; i++) {
        const struct sim_name *name = &sim->names[i];
        if (name->current != NULL)
            name->current->copy = NULL;
        if (name->durable != NULL)
            name->durable->copy = NULL;
        for (size_t v = 0; v < name->version_count; v++)
            if (name->versions[v] != NULL)
                name->versions[v]->copy = NULL;
    }
}

struct simdisk *simdisk_copy(const struct simdisk *sim)
{
    assert(sim->open_files == 0);
    struct simdisk *copy = simdisk_new();
    *copy = *sim;
    copy->names = calloc(sim->name_count + 1, sizeof *copy->names);
    assert(copy->names != NULL);
    for (size_t i = 0; i < sim->name_count; i++) {
        const struct sim_name *from = &sim->names[i];
        struct sim_name *to = &copy->names[i];
        *to = *from;
        to->current = inode_copy(from->current);
        to->durable = inode_copy(from->durable);
        to->versions = calloc(from->version_count + 1, sizeof *to->versions);
        assert(to->versions != NULL);
        for (size_t v = 0; v < from->version_count; v++)
            to->versions[v] = inode_copy(from->versions[v]);
    }
    forget_copies(sim);
    return copy;
}

/* --- at the content --- */

uint64_t simdisk_size(const struct simdisk *sim, const char *name)
{
    const struct sim_name *found = sim_name_find(sim, name);
    return found != NULL && found->current != NULL ? found->current->current_size : 0;
}

const char *simdisk_name(const struct simdisk *sim, size_t index)
{
    for (size_t i = 0; i < sim->name_count; i++)
        if (sim->names[i].current != NULL && index-- == 0)
            return sim->names[i].name;
    return NULL;
}

void simdisk_get(const struct simdisk *sim, const char *name, uint64_t offset, void *to, size_t len)
{
    const struct sim_inode *inode = sim_name_find(sim, name)->current;
    assert(offset + len <= inode->current_size);
    for (size_t i = 0; i < len; i++) {
        const struct sim_sector *sector = inode->current[(offset + i) / SIM_SECTOR];
        ((uint8_t *)to)[i] = sector != NULL ? sector->bytes[(offset + i) % SIM_SECTOR] : 0;
    }
}

void simdisk_patch(struct simdisk *sim, const char *name, uint64_t offset, const void *at, size_t len)
{
    struct sim_inode *inode = sim_name_find(sim, name)->current;
    assert(offset + len <= inode->current_size);
    sim_inode_write(inode, offset, at, len);
    sim_inode_sync(inode);
}

void simdisk_flip(struct simdisk *sim, const char *name, uint64_t bit)
{
    uint8_t byte;
    simdisk_get(sim, name, bit / 8, &byte, 1);
    byte ^= (uint8_t)(1u << (bit % 8));
    simdisk_patch(sim, name, bit / 8, &byte, 1);
}

void simdisk_put(struct simdisk *sim, const char *name, const void *at, size_t len)
{
    struct sim_name *found = sim_name_make(sim, name);
    struct sim_inode *inode = NULL;
    if (at != NULL) {
        inode = calloc(1, sizeof *inode);
        assert(inode != NULL);
        inode->refs = 1;
        sim_inode_write(inode, 0, at, len);
        sim_inode_sync(inode);
    }
    sim_name_bind(found, inode);
    sim_name_settle(found, inode);
    sim_inode_unref(inode);
}
