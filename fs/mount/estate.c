#include "fs/mount/estate.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

struct estate *estate_new(void)
{
    void *at =
        mmap(NULL, sizeof(struct estate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

_Atomic uint64_t *estate_add_ghost(struct estate *estate, pid_t tid)
{
    for (size_t i = 0; i < ESTATE_GHOSTS; i++) {
        uint64_t nobody = 0, both = (uint64_t)getpid() << 32 | (uint32_t)tid;
        if (atomic_compare_exchange_strong(&estate->ghosts[i], &nobody, both))
            return &estate->ghosts[i];
    }
    return NULL;
}

bool estate_left(const struct estate *estate)
{
    return estate && atomic_load(&estate->init_len);
}
