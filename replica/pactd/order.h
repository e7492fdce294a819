/* order.h - the ordering core of an ensemble of one: gives each request its place in the one order and says what is
 * committed. Pure: the caller carries out what is between (append, sync, apply, stream).
 *
 *   order_next ──► append ──► sync ──► order_durable ──► apply, stream
 *   proposed                  durable   committed
 *
 *  1. proposed ≥ durable ≥ committed, each a zxid, none goes back but `proposed` by order_withdraw.
 *  2. Nothing above `committed` is applied or shown to anyone.
 *  3. Stamps never go back, neither across epochs nor across restarts.
 *  4. An epoch is durable before an entry carries it. */
#ifndef PACT_ORDER_H
#define PACT_ORDER_H

#include "replica/state/request.h"

struct order {
    uint32_t epoch;
    uint64_t proposed, durable, committed; /* zxids */
    int64_t stamp_ns;                      /* of the newest proposal */
};

/* Begins an epoch after a history that ends (durable and committed) with zxid `last`, stamped `stamp_ns`. The epoch is
 * above any before it (asserted). */
void order_start(struct order *order, uint32_t epoch, uint64_t last, int64_t stamp_ns);
/* Goes on in a newer epoch without a break: what is proposed stays proposed. */
void order_new_epoch(struct order *order, uint32_t epoch);
/* The epoch's 32-bit counter is used up: a new epoch is needed before order_next. */
bool order_exhausted(const struct order *order);
/* The next place: fills entry->zxid and entry->stamp_ns; now_ns is the wall clock. */
void order_next(struct order *order, int64_t now_ns, struct entry *entry);
/* Everything up to zxid is on this replica's disk, and so committed: it is the whole quorum. */
void order_durable(struct order *order, uint64_t zxid);
/* What was proposed and is not durable never was. */
void order_withdraw(struct order *order);

#endif
