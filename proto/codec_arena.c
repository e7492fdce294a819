#include "proto/codec_internal.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(void *arg, size_t size)
{
    return arena_alloc(arg, size);
}

static void release(void *arg, void *at)
{
    (void)arg; /* all goes at once, at arena_reset */
    (void)at;
}

void arena_on(struct arena *arena, void *at, size_t size)
{
    *arena = (struct arena){.at = at, .size = size, .allocator = {allocate, release, arena}};
}

struct arena *arena_new(void)
{
    struct arena *arena = malloc(sizeof *arena);
    void *at = malloc(LIMIT_ARENA_BYTES);
    if (arena == NULL || at == NULL) {
        free(arena);
        free(at);
        return NULL;
    }
    arena_on(arena, at, LIMIT_ARENA_BYTES);
    return arena;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
    arena->full = false;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    free(arena->at);
    free(arena);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t alignment = _Alignof(max_align_t);
    const size_t left = arena->size - arena->used;
    if (size > left || left - size < alignment - 1) {
        arena->full = true;
        return NULL;
    }
    void *at = arena->at + arena->used;
    arena->used += (size + alignment - 1) & ~(alignment - 1);
    return at;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct buffer){0};
}
