/* linearizable.h - is a history of one register's operations linearizable? Stands alone: knows nothing of replicas.
 *
 * The search of Wing and Gong with Lowe's memory of what was tried: some order of the operations, each between its call
 * and its return, must explain every answer. An operation whose outcome is not known may have happened at any time
 * after its call, or never. Values are unique: no two writes write the same one, and none writes the initial 0. */
#ifndef PACT_SIM_LINEARIZABLE_H
#define PACT_SIM_LINEARIZABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind {
    HISTORY_READ,  /* gave `value` */
    HISTORY_WRITE, /* wrote `value` */
    HISTORY_SWAP,  /* wrote `value` if `expected` was there; `done` says whether it was */
};

struct history_op {
    enum history_kind kind;
    uint64_t called, returned; /* any clock; UINT64_MAX: never returned, or nothing is known */
    uint64_t value, expected;
    bool done; /* SWAP that returned */
};

enum { HISTORY_OPS_MAX = 1024 };

/* At most HISTORY_OPS_MAX operations (asserted). */
bool history_linearizable(const struct history_op *ops, size_t count);

#endif
