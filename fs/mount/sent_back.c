#include "fs/mount/sent_back.h"

#include <string.h>

#include "replica/state/hash.h"

static uint64_t add_name(uint64_t hash, uint64_t parent, const char *name)
{
    return hash_bytes(name, strlen(name), hash_mix(hash ^ parent));
}

uint64_t sent_back_key(uint32_t tid, uint64_t parent, const char *name, uint64_t to_parent, const char *to_name)
{
    uint64_t key = add_name(add_name(hash_mix(tid), parent, name), to_parent, to_name);
    return key ? key : 1;
}

static _Atomic uint64_t *place(struct sent_back *back, uint64_t key, unsigned i)
{
    return &back->calls[(key + i) % SENT_BACK_CALLS];
}

void sent_back_note(struct sent_back *back, uint64_t key)
{
    for (unsigned i = 0; i < SENT_BACK_PLACES; i++) {
        uint64_t nobody = 0;
        if (atomic_compare_exchange_strong(place(back, key, i), &nobody, key))
            return;
    }
    atomic_store(place(back, key, (unsigned)(key >> 32) % SENT_BACK_PLACES), key);
}

bool sent_back_again(struct sent_back *back, uint64_t key)
{
    for (unsigned i = 0; i < SENT_BACK_PLACES; i++) {
        uint64_t noted = key;
        if (atomic_compare_exchange_strong(place(back, key, i), &noted, 0))
            return true;
    }
    return false;
}
