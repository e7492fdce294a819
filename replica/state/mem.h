/* mem.h - memory that is there: exhaustion ends the process (state.h says why). */
#ifndef PACT_MEM_H
#define PACT_MEM_H

#include <stddef.h>

/* Zeroed. The caller frees with free(). */
void *mem_new(size_t bytes);
void *mem_grow(void *old, size_t bytes);

/* The struct that holds `member` at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
