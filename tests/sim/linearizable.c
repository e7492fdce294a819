#include "tests/sim/linearizable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = HISTORY_OPS_MAX / 64 };

struct tried {
    uint64_t key; /* of the set that was linearized, and the value then; 0: free */
};

struct search {
    struct history_op *ops; /* by call */
    size_t count;
    uint64_t done[WORDS];
    size_t first; /* all before it are done */
    uint64_t set; /* hash of `done` */
    struct tried *tried;
    size_t tried_count, tried_room; /* a power of two */
};

static uint64_t scramble(uint64_t x)
{
    x = (x + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 29)) * 0x94d049bb133111eb;
    return x ^ (x >> 32);
}

/* --- what was tried --- */

static struct tried *tried_slot(const struct search *search, uint64_t key)
{
    size_t at = (size_t)key & (search->tried_room - 1);
    while (search->tried[at].key != 0 && search->tried[at].key != key)
        at = (at + 1) & (search->tried_room - 1);
    return &search->tried[at];
}

static void tried_grow(struct search *search)
{
    struct tried *old = search->tried;
    size_t room = search->tried_room;
    search->tried_room = room ? 2 * room : 1024;
    search->tried = calloc(search->tried_room, sizeof *search->tried);
    assert(search->tried);
    for (size_t i = 0; i < room; i++)
        if (old[i].key != 0)
            *tried_slot(search, old[i].key) = old[i];
    free(old);
}

/* False: this set with this value was tried before. */
static bool try_now(struct search *search, uint64_t value)
{
    uint64_t key = scramble(search->set + 0x2545f4914f6cdd1d * (value + 1));
    if (2 * search->tried_count >= search->tried_room)
        tried_grow(search);
    struct tried *slot = tried_slot(search, key ? key : 1);
    if (slot->key != 0)
        return false;
    slot->key = key ? key : 1;
    search->tried_count++;
    return true;
}

/* --- the search --- */

static bool is_done(const struct search *search, size_t i)
{
    return search->done[i / 64] >> (i % 64) & 1;
}

static void flip(struct search *search, size_t i)
{
    search->done[i / 64] ^= (uint64_t)1 << (i % 64);
    search->set ^= scramble(i + 1);
}

/* Whether the operation can happen now; *value: the register's, before and after. */
static bool happens(const struct history_op *op, uint64_t *value)
{
    bool known = op->returned != UINT64_MAX;
    if (op->kind == HISTORY_READ)
        return !known || op->value == *value;
    bool matches = op->kind == HISTORY_WRITE || op->expected == *value;
    if (op->kind == HISTORY_SWAP && known && op->done != matches)
        return false;
    if (matches)
        *value = op->value;
    return true;
}

/* The earliest return of those that must still happen: nothing called after it can come before. */
static uint64_t horizon(const struct search *search)
{
    uint64_t earliest = UINT64_MAX;
    for (size_t i = search->first; i < search->count && search->ops[i].called <= earliest; i++)
        if (!is_done(search, i) && search->ops[i].returned < earliest)
            earliest = search->ops[i].returned;
    return earliest;
}

struct frame {
    size_t op;      /* tried at this depth */
    size_t first;   /* before it was */
    uint64_t value; /* before it */
};

/* The next operation from `from` on that can come now; count: none. */
static size_t candidate(const struct search *search, size_t from, uint64_t until, uint64_t value)
{
    for (size_t i = from; i < search->count && search->ops[i].called <= until; i++) {
        uint64_t after = value;
        if (!is_done(search, i) && happens(&search->ops[i], &after))
            return i;
    }
    return search->count;
}

/* Goes deeper as long as it can, takes back the last choice when it cannot. */
static bool explore(struct search *search)
{
    struct frame *frames = malloc((search->count + 1) * sizeof *frames);
    size_t depth = 0, from = 0;
    uint64_t value = 0, until;
    bool found = false;
    assert(frames);
    while (!(found = (until = horizon(search)) == UINT64_MAX)) {
        size_t i = candidate(search, from > search->first ? from : search->first, until, value);
        if (i < search->count) {
            frames[depth++] = (struct frame){i, search->first, value};
            flip(search, i);
            happens(&search->ops[i], &value);
            while (search->first < search->count && is_done(search, search->first))
                search->first++;
            from = 0;
            if (try_now(search, value))
                continue;
        } else if (depth == 0) {
            break;
        }
        const struct frame *frame = &frames[--depth];
        flip(search, frame->op);
        value = frame->value;
        search->first = frame->first;
        from = frame->op + 1;
    }
    free(frames);
    return found;
}

/* --- before the search --- */

static bool observes(const struct history_op *op, uint64_t value)
{
    bool known = op->returned != UINT64_MAX;
    return known && ((op->kind == HISTORY_READ && op->value == value) ||
                     (op->kind == HISTORY_SWAP && op->done && op->expected == value));
}

/* A write of which nothing is known, but that was seen, happened before the first that saw it returned: now that is
 * known of it. True: so it is. */
static bool settle(struct history_op *op, const struct history_op *ops, size_t count)
{
    uint64_t seen = UINT64_MAX;
    for (size_t i = 0; i < count; i++)
        if (observes(&ops[i], op->value) && ops[i].returned < seen)
            seen = ops[i].returned;
    if (seen == UINT64_MAX)
        return false;
    op->returned = seen;
    op->done = true;
    return true;
}

/* What is known now may show that others happened, too. */
static void settle_all(struct history_op *ops, size_t count)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++)
            more =
                (ops[i].returned == UINT64_MAX && ops[i].kind != HISTORY_READ && settle(&ops[i], ops, count)) || more;
    }
}

/* What nobody saw need not have happened, unless a swap that failed may be its doing. */
static size_t leave_out(struct history_op *ops, size_t count)
{
    bool failed_swaps = false;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        failed_swaps = failed_swaps || (ops[i].kind == HISTORY_SWAP && ops[i].returned != UINT64_MAX && !ops[i].done);
    for (size_t i = 0; i < count; i++)
        if (ops[i].returned != UINT64_MAX || (ops[i].kind != HISTORY_READ && failed_swaps))
            ops[kept++] = ops[i];
    return kept;
}

static int by_call(const void *a, const void *b)
{
    const struct history_op *x = a, *y = b;
    return x->called != y->called ? (x->called > y->called) - (x->called < y->called)
                                  : (x->returned > y->returned) - (x->returned < y->returned);
}

bool history_linearizable(const struct history_op *ops, size_t count)
{
    struct search search = {0};
    assert(count <= HISTORY_OPS_MAX);
    search.ops = malloc((count + 1) * sizeof *search.ops);
    assert(search.ops);
    if (count > 0)
        memcpy(search.ops, ops, count * sizeof *ops);
    settle_all(search.ops, count);
    search.count = leave_out(search.ops, count);
    if (search.count > 0)
        qsort(search.ops, search.count, sizeof search.ops[0], by_call);
    bool linearizable = explore(&search);
    free(search.ops);
    free(search.tried);
    return linearizable;
}
