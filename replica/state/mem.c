#include "replica/state/mem.h"

#include <assert.h>
#include <stdlib.h>

void *mem_new(size_t bytes)
{
    void *memory = calloc(1, bytes);
    assert(memory != NULL);
    return memory;
}

void *mem_grow(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes);
    assert(memory != NULL);
    return memory;
}
