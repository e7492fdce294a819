#include "replica/state/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/state/mem.h"

enum { BUCKETS_MIN = 16, LOAD = 3 /* elements per bucket */ };

void table_init(struct table *table, uint64_t (*hash)(const struct link *link))
{
    *table = (struct table){.capacity = BUCKETS_MIN, .buckets = BUCKETS_MIN, .mask = BUCKETS_MIN - 1, .hash = hash};
    table->slots = mem_new(BUCKETS_MIN * sizeof *table->slots);
}

void table_free(struct table *table)
{
    free(table->slots);
}

void table_reserve(struct table *table, size_t count)
{
    assert(table->count == 0);
    size_t buckets = count / LOAD > BUCKETS_MIN ? count / LOAD : BUCKETS_MIN;
    while ((table->mask + 1) * 2 <= buckets)
        table->mask = table->mask << 1 | 1;
    free(table->slots);
    table->slots = mem_new(buckets * sizeof *table->slots);
    table->capacity = table->buckets = buckets;
}

static size_t bucket_of(const struct table *table, uint64_t hash)
{
    size_t bucket = hash & (table->mask << 1 | 1);
    return bucket < table->buckets ? bucket : bucket & table->mask;
}

struct link *table_chain(const struct table *table, uint64_t hash)
{
    return table->slots[bucket_of(table, hash)];
}

static void push(struct link **chain, struct link *link)
{
    link->next = *chain;
    *chain = link;
}

/* Adds one bucket and moves into it what belongs there, all of it from one other bucket. */
static void split(struct table *table)
{
    if (table->buckets == table->capacity) {
        table->capacity += table->capacity / 8;
        table->slots = mem_grow(table->slots, table->capacity * sizeof *table->slots);
    }
    size_t fresh = table->buckets++;
    struct link **from = &table->slots[fresh & table->mask];
    if (table->buckets == (table->mask + 1) * 2)
        table->mask = table->mask << 1 | 1;
    struct link *moving = *from;
    *from = NULL;
    table->slots[fresh] = NULL;
    while (moving != NULL) {
        struct link *next = moving->next;
        push(&table->slots[bucket_of(table, table->hash(moving))], moving);
        moving = next;
    }
}

void table_insert(struct table *table, struct link *link)
{
    table_insert_hashed(table, link, table->hash(link));
}

void table_insert_hashed(struct table *table, struct link *link, uint64_t hash)
{
    push(&table->slots[bucket_of(table, hash)], link);
    if (++table->count > table->buckets * LOAD)
        split(table);
}

void table_remove(struct table *table, struct link *link)
{
    struct link **at = &table->slots[bucket_of(table, table->hash(link))];
    while (*at != link) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    table->count--;
}

static uint64_t reverse(uint64_t bits)
{
    bits = (bits & 0x5555555555555555ull) << 1 | (bits >> 1 & 0x5555555555555555ull);
    bits = (bits & 0x3333333333333333ull) << 2 | (bits >> 2 & 0x3333333333333333ull);
    bits = (bits & 0x0f0f0f0f0f0f0f0full) << 4 | (bits >> 4 & 0x0f0f0f0f0f0f0f0full);
    return __builtin_bswap64(bits);
}

struct link *table_scan(const struct table *table, uint64_t *position)
{
    uint64_t wide = table->mask << 1 | 1, bucket = reverse(*position) & wide;
    uint64_t hashes = reverse(wide) & ~(reverse(wide) << 1); /* how many the bucket covers: 2^(63-k), if it was split */
    if ((bucket & table->mask) + table->mask + 1 >= table->buckets) {
        bucket &= table->mask;
        hashes <<= 1;
    }
    *position = (*position & ~(hashes - 1)) + hashes;
    return table->slots[bucket];
}

uint64_t table_after(const struct table *table, uint64_t hash)
{
    uint64_t position = reverse(hash);
    table_scan(table, &position);
    return position;
}

bool table_passed(uint64_t position, uint64_t hash)
{
    return reverse(hash) < position;
}
