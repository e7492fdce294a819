/* table.h - an intrusive hash table that grows one bucket at a time (linear hashing): no insert ever stalls for a
 * rehash of everything, and a million elements cost 4 bytes each beside their links.
 *
 * A scan goes by position, a point in the order of the bit-reversed hashes. Splitting a bucket does not change that
 * order, so a scan stays exact while elements come and go: what has passed is what has a lower reversed hash. */
#ifndef PACT_TABLE_H
#define PACT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link {
    struct link *next;
};

struct table {
    struct link **slots;
    size_t capacity, buckets; /* slots there and used */
    size_t mask;              /* 2^k - 1, with 2^k ≤ buckets < 2^(k+1) */
    size_t count;
    uint64_t (*hash)(const struct link *link);
};

void table_init(struct table *table, uint64_t (*hash)(const struct link *link));
void table_free(struct table *table);                  /* not the elements */
void table_reserve(struct table *table, size_t count); /* as large as these will make it; it is empty (asserted) */

/* The chain in which all elements of this hash are. */
struct link *table_chain(const struct table *table, uint64_t hash);
void table_insert(struct table *table, struct link *link);
/* The same for who knows table.hash(link). */
void table_insert_hashed(struct table *table, struct link *link, uint64_t hash);
void table_remove(struct table *table, struct link *link); /* which is there (asserted) */

/* The chain at a position (0: the first), which moves on. When the position is 0 again, that was the last. */
struct link *table_scan(const struct table *table, uint64_t *position);
/* The position of the chain after the one that holds this hash; 0 if that is the last. */
uint64_t table_after(const struct table *table, uint64_t hash);
/* Whether a scan that has got to this position (not 0) is past elements of this hash. */
bool table_passed(uint64_t position, uint64_t hash);

#endif
