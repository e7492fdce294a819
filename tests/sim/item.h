/* item.h - an entry of the log as everybody here passes it on: encoded, never changed, counted. */
#ifndef PACT_SIM_ITEM_H
#define PACT_SIM_ITEM_H

#include "tests/sim/cluster.h"

struct item {
    unsigned refs;
    uint64_t zxid, hash;
    struct bytes bytes; /* the encoded entry, behind this struct */
};

struct item *item_new(uint64_t zxid, struct bytes entry);
struct item *item_ref(struct item *item);
void item_unref(struct item *item);
/* Decodes into the cluster's arena: valid until the next call. */
void item_decode(struct cluster *cluster, const struct item *item, struct entry *entry);

/* Items in order, all above `floor`. */
struct items {
    struct item **list;
    size_t count, room;
    uint64_t floor;
};

void items_push(struct items *items, struct item *item); /* takes the reference over */
void items_cut(struct items *items, uint64_t zxid);      /* what is above goes */
void items_trim(struct items *items, uint64_t zxid);     /* what is not above goes */
void items_free(struct items *items);
size_t items_after(const struct items *items, uint64_t zxid); /* index of the first above it */
uint64_t items_last(const struct items *items);               /* zxid; without any: the floor */

#endif
