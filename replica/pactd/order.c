#include "replica/pactd/order.h"

#include <assert.h>

enum { COUNTER_BITS = 32 };

static uint32_t epoch_of(uint64_t zxid)
{
    return (uint32_t)(zxid >> COUNTER_BITS);
}

void order_start(struct order *order, uint32_t epoch, uint64_t last, int64_t stamp_ns)
{
    assert(epoch > epoch_of(last));
    *order = (struct order){.epoch = epoch, .proposed = last, .durable = last, .committed = last, .stamp_ns = stamp_ns};
}

void order_new_epoch(struct order *order, uint32_t epoch)
{
    assert(epoch > order->epoch);
    order->epoch = epoch;
}

bool order_exhausted(const struct order *order)
{
    return epoch_of(order->proposed) == order->epoch && (uint32_t)order->proposed == UINT32_MAX;
}

void order_next(struct order *order, int64_t now_ns, struct entry *entry)
{
    assert(!order_exhausted(order));
    bool first = epoch_of(order->proposed) != order->epoch;
    order->proposed = first ? (uint64_t)order->epoch << COUNTER_BITS | 1 : order->proposed + 1;
    if (now_ns > order->stamp_ns)
        order->stamp_ns = now_ns;
    entry->zxid = order->proposed;
    entry->stamp_ns = order->stamp_ns;
}

void order_durable(struct order *order, uint64_t zxid)
{
    assert(zxid >= order->durable && zxid <= order->proposed);
    order->durable = zxid;
    order->committed = zxid;
}

void order_withdraw(struct order *order)
{
    order->proposed = order->durable;
}
