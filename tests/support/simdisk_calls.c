#include "tests/support/simdisk_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct disk_file {
    struct sim_inode *inode;
};

enum call_kind { READS, CHANGES };
enum outcome { GOES_ON, FAILS, POWER_GOES, POWER_WENT };

/* Counts the call and says what becomes of it; *error: the -errno it then returns. */
static enum outcome call(struct simdisk *sim, enum call_kind kind, int *error)
{
    *error = -EIO;
    if (sim->off)
        return POWER_WENT;
    sim->calls++;
    if (sim->off_at != 0 && sim->calls >= sim->off_at) {
        sim->off = true;
        return POWER_GOES;
    }
    bool planned = sim->calls >= sim->fail_first && sim->calls - sim->fail_first < sim->fail_count;
    if (!planned || (kind == READS && sim->fail_error == ENOSPC))
        return GOES_ON;
    sim->failed = true;
    sim->failed_change = sim->failed_change || kind == CHANGES;
    *error = -sim->fail_error;
    return FAILS;
}

static int open_file(void *self, const char *name, enum disk_open how, struct disk_file **file)
{
    struct simdisk *sim = self;
    int error;
    enum outcome outcome = call(sim, how == DISK_CREATE ? CHANGES : READS, &error);
    if (outcome == FAILS || outcome == POWER_WENT || (outcome == POWER_GOES && how != DISK_CREATE))
        return error;
    struct sim_name *found = sim_name_make(sim, name);
    if (how == DISK_CREATE && found->current != NULL)
        return -EEXIST;
    if (how != DISK_CREATE && found->current == NULL)
        return -ENOENT;
    if (how == DISK_CREATE) {
        struct sim_inode *inode = calloc(1, sizeof *inode);
        assert(inode != NULL);
        inode->refs = 1;
        sim_name_bind(found, inode);
        sim_inode_unref(inode);
    }
    if (outcome == POWER_GOES)
        return error;
    *file = malloc(sizeof **file);
    assert(*file != NULL);
    (*file)->inode = sim_inode_ref(found->current);
    sim->open_files++;
    return 0;
}

static void close_file(void *self, struct disk_file *file)
{
    struct simdisk *sim = self;
    sim->open_files--;
    sim_inode_unref(file->inode);
    free(file);
}

static int64_t size_of(void *self, struct disk_file *file)
{
    (void)self;
    return (int64_t)file->inode->current_size;
}

static int64_t read_at(void *self, struct disk_file *file, uint64_t offset, void *to, size_t len)
{
    int error;
    if (call(self, READS, &error) != GOES_ON)
        return error;
    const struct sim_inode *inode = file->inode;
    if (offset >= inode->current_size)
        return 0;
    if (len > inode->current_size - offset)
        len = (size_t)(inode->current_size - offset);
    for (size_t done = 0; done < len;) {
        uint64_t index = (offset + done) / SIM_SECTOR;
        size_t at = (size_t)((offset + done) % SIM_SECTOR);
        size_t piece = len - done < SIM_SECTOR - at ? len - done : SIM_SECTOR - at;
        if (index < inode->room && inode->current[index] != NULL)
            memcpy((char *)to + done, inode->current[index]->bytes + at, piece);
        else
            memset((char *)to + done, 0, piece);
        done += piece;
    }
    return (int64_t)len;
}

static int write_at(void *self, struct disk_file *file, uint64_t offset, const void *from, size_t len)
{
    struct simdisk *sim = self;
    int error;
    switch (call(sim, CHANGES, &error)) {
    case POWER_WENT:
        return error;
    case FAILS: /* some of it was done */
        sim_inode_write(file->inode, offset, from, len / SIM_SECTOR * (sim->calls % 3) / 2 * SIM_SECTOR);
        return error;
    case POWER_GOES:
        sim_inode_write(file->inode, offset, from, len);
        return error;
    case GOES_ON:
        break;
    }
    sim_inode_write(file->inode, offset, from, len);
    return 0;
}

/* The file is new: its sectors are zeros already, only the size changes. */
static int allocate(void *self, struct disk_file *file, uint64_t len)
{
    int error;
    enum outcome outcome = call(self, CHANGES, &error);
    if (outcome == POWER_WENT)
        return error;
    struct sim_inode *inode = file->inode;
    assert(inode->current_size == 0 && len % SIM_SECTOR == 0);
    static const uint8_t zero;
    uint64_t size = outcome == GOES_ON ? len : len / 2;
    sim_inode_reserve(inode, len);
    sim_inode_write(inode, size - 1, &zero, 1);
    return outcome == GOES_ON ? 0 : error;
}

/* After a failure some of it has become durable, and nobody will try the rest again: it is no longer pending. */
static int sync_file(void *self, struct disk_file *file)
{
    struct simdisk *sim = self;
    int error;
    enum outcome outcome = call(sim, CHANGES, &error);
    uint64_t random = sim->calls;
    if (outcome == GOES_ON)
        sim_inode_sync(file->inode);
    else if (outcome == FAILS)
        sim_inode_fate(file->inode, (unsigned)(sim->calls % 5), &random);
    return outcome == GOES_ON ? 0 : error;
}

static int rename_file(void *self, const char *from, const char *to)
{
    struct simdisk *sim = self;
    int error;
    enum outcome outcome = call(sim, CHANGES, &error);
    if (outcome == FAILS || outcome == POWER_WENT)
        return error;
    struct sim_name *source = sim_name_find(sim, from);
    if (source == NULL || source->current == NULL)
        return -ENOENT;
    struct sim_inode *inode = sim_inode_ref(source->current);
    sim_name_bind(sim_name_make(sim, to), inode);
    sim_name_bind(sim_name_find(sim, from), NULL);
    sim_inode_unref(inode);
    return outcome == GOES_ON ? 0 : error;
}

static int unlink_file(void *self, const char *name)
{
    struct simdisk *sim = self;
    int error;
    enum outcome outcome = call(sim, CHANGES, &error);
    if (outcome == FAILS || outcome == POWER_WENT)
        return error;
    struct sim_name *found = sim_name_find(sim, name);
    if (found == NULL || found->current == NULL)
        return -ENOENT;
    sim_name_bind(found, NULL);
    return outcome == GOES_ON ? 0 : error;
}

static int sync_directory(void *self)
{
    struct simdisk *sim = self;
    int error;
    enum outcome outcome = call(sim, CHANGES, &error);
    uint64_t random = sim->calls;
    for (size_t i = 0; i < sim->name_count; i++) {
        if (outcome == GOES_ON)
            sim_name_settle(&sim->names[i], sim->names[i].current);
        else if (outcome == FAILS)
            sim_name_fate(&sim->names[i], (unsigned)(sim->calls % 5), &random);
    }
    return outcome == GOES_ON ? 0 : error;
}

static int list(void *self, int (*each)(void *arg, const char *name), void *arg)
{
    struct simdisk *sim = self;
    int error;
    if (call(sim, READS, &error) != GOES_ON)
        return error;
    for (size_t i = 0; i < sim->name_count; i++) {
        int rc = sim->names[i].current != NULL ? each(arg, sim->names[i].name) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

void simdisk_interface(struct simdisk *sim, struct disk *disk)
{
    *disk = (struct disk){.self = sim,
                          .open = open_file,
                          .close = close_file,
                          .size = size_of,
                          .read = read_at,
                          .write = write_at,
                          .allocate = allocate,
                          .sync = sync_file,
                          .rename = rename_file,
                          .unlink = unlink_file,
                          .sync_directory = sync_directory,
                          .list = list};
}

uint64_t simdisk_calls(const struct simdisk *sim)
{
    return sim->calls;
}

void simdisk_reset(struct simdisk *sim)
{
    sim->calls = sim->fail_first = sim->fail_count = sim->off_at = 0;
    sim->off = sim->failed = sim->failed_change = false;
}

void simdisk_fail(struct simdisk *sim, uint64_t first, uint64_t count, int error)
{
    sim->fail_first = first;
    sim->fail_count = count;
    sim->fail_error = error;
}

bool simdisk_failed(const struct simdisk *sim)
{
    return sim->failed;
}

bool simdisk_failed_change(const struct simdisk *sim)
{
    return sim->failed_change;
}

void simdisk_power_off(struct simdisk *sim, uint64_t call_number)
{
    sim->off_at = call_number;
}

bool simdisk_is_off(const struct simdisk *sim)
{
    return sim->off;
}
