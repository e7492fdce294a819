/* treap.h - an intrusive search tree by a 64-bit key: a treap, whose heap order is that of the keys' hashes. Its shape
 * follows from the keys alone. */
#ifndef PACT_TREAP_H
#define PACT_TREAP_H

#include <stddef.h>
#include <stdint.h>

struct branch {
    struct branch *left, *right;
    uint64_t key;
};

struct treap {
    struct branch *top;
    size_t count;
};

/* The branch whose key is the lowest that is at least this; NULL: none. */
struct branch *treap_from(const struct treap *treap, uint64_t key);
struct branch *treap_find(const struct treap *treap, uint64_t key); /* NULL: none */
void treap_insert(struct treap *treap, struct branch *branch);      /* its key is set, and not there yet */
void treap_remove(struct treap *treap, struct branch *branch);      /* which is there (asserted) */

#endif
