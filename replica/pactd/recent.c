#include "replica/pactd/recent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

enum { FIRST_CAPACITY = 1024 };

static struct recent_entry *slot(const struct recent *recent, size_t index)
{
    return &recent->ring[(recent->first + index) & (recent->capacity - 1)];
}

void recent_start(struct recent *recent, uint64_t floor)
{
    *recent = (struct recent){.capacity = FIRST_CAPACITY, .floor = floor};
    recent->ring = calloc(recent->capacity, sizeof *recent->ring);
    assert(recent->ring);
}

void recent_free(struct recent *recent)
{
    for (size_t i = 0; i < recent->count; i++)
        free((void *)slot(recent, i)->bytes.at);
    free(recent->ring);
    *recent = (struct recent){0};
}

static void drop_oldest(struct recent *recent)
{
    struct recent_entry *oldest = slot(recent, 0);
    recent->floor = oldest->zxid;
    recent->bytes -= oldest->bytes.len;
    free((void *)oldest->bytes.at);
    recent->first = (recent->first + 1) & (recent->capacity - 1);
    recent->count--;
}

static void grow(struct recent *recent)
{
    struct recent_entry *ring = calloc(recent->capacity * 2, sizeof *ring);
    assert(ring);
    for (size_t i = 0; i < recent->count; i++)
        ring[i] = *slot(recent, i);
    free(recent->ring);
    recent->ring = ring;
    recent->first = 0;
    recent->capacity *= 2;
}

void recent_push(struct recent *recent, uint64_t zxid, struct bytes entry, uint64_t committed)
{
    while (recent->count && recent->bytes + entry.len > LIMIT_RECENT_BYTES && slot(recent, 0)->zxid <= committed)
        drop_oldest(recent);
    if (recent->count == recent->capacity)
        grow(recent);
    void *copy = malloc(entry.len);
    assert(copy);
    memcpy(copy, entry.at, entry.len);
    *slot(recent, recent->count) = (struct recent_entry){zxid, {copy, entry.len}};
    recent->count++;
    recent->bytes += entry.len;
}

void recent_withdraw(struct recent *recent, uint64_t zxid)
{
    while (recent->count && slot(recent, recent->count - 1)->zxid > zxid) {
        struct recent_entry *newest = slot(recent, --recent->count);
        recent->bytes -= newest->bytes.len;
        free((void *)newest->bytes.at);
    }
}

void recent_cut(struct recent *recent, uint64_t zxid)
{
    recent_withdraw(recent, zxid);
    if (zxid < recent->floor)
        recent->floor = zxid;
}

size_t recent_after(const struct recent *recent, uint64_t zxid)
{
    assert(zxid >= recent->floor);
    if (recent->count == 0 || zxid >= slot(recent, recent->count - 1)->zxid)
        return recent->count; /* the usual case: up to date */
    size_t low = 0, high = recent->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slot(recent, middle)->zxid > zxid)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct recent_entry *recent_at(const struct recent *recent, size_t index)
{
    assert(index < recent->count);
    return slot(recent, index);
}

bool recent_knows(const struct recent *recent, uint64_t zxid)
{
    if (zxid <= recent->floor)
        return zxid == recent->floor;
    size_t after = recent_after(recent, zxid);
    return after > 0 && slot(recent, after - 1)->zxid == zxid;
}
