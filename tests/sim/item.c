#include "tests/sim/item.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct item *item_new(uint64_t zxid, struct bytes entry)
{
    struct item *item = malloc(sizeof *item + entry.len);
    assert(item);
    memcpy(item + 1, entry.at, entry.len);
    *item = (struct item){1, zxid, fingerprint(entry.at, entry.len, zxid), {item + 1, entry.len}};
    return item;
}

struct item *item_ref(struct item *item)
{
    item->refs++;
    return item;
}

void item_unref(struct item *item)
{
    if (--item->refs == 0)
        free(item);
}

void item_decode(struct cluster *cluster, const struct item *item, struct entry *entry)
{
    arena_reset(cluster->arena);
    int code = decode_entry(item->bytes, cluster->arena, entry);
    assert(code == ERR_OK && entry->zxid == item->zxid);
}

void items_push(struct items *items, struct item *item)
{
    if (items->count == items->room) {
        items->room = items->room ? 2 * items->room : 64;
        items->list = realloc(items->list, items->room * sizeof(struct item *));
        assert(items->list);
    }
    items->list[items->count++] = item;
}

void items_cut(struct items *items, uint64_t zxid)
{
    while (items->count > 0 && items->list[items->count - 1]->zxid > zxid)
        item_unref(items->list[--items->count]);
}

void items_trim(struct items *items, uint64_t zxid)
{
    if (zxid <= items->floor)
        return;
    size_t gone = items_after(items, zxid);
    for (size_t i = 0; i < gone; i++)
        item_unref(items->list[i]);
    items->count -= gone;
    if (items->count > 0)
        memmove(items->list, items->list + gone, items->count * sizeof(struct item *));
    items->floor = zxid;
}

void items_free(struct items *items)
{
    for (size_t i = 0; i < items->count; i++)
        item_unref(items->list[i]);
    free(items->list);
    *items = (struct items){0};
}

size_t items_after(const struct items *items, uint64_t zxid)
{
    size_t low = 0, high = items->count;
    if (high > 0 && items->list[high - 1]->zxid <= zxid)
        return high; /* the usual case */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items->list[middle]->zxid > zxid)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t items_last(const struct items *items)
{
    return items->count > 0 ? items->list[items->count - 1]->zxid : items->floor;
}
