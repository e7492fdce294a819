/* Any bytes as a message between replicas: no crash, no more memory than the arena, and whatever decodes can be encoded
 * again and then decodes to the same bytes. */
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct arena *arena, *second_arena;
static struct buffer first, second;

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer_message message;
    if (arena == NULL)
        arena = arena_new();
    if (second_arena == NULL)
        second_arena = arena_new();
    arena_reset(arena);
    arena_reset(second_arena);
    if (decode_peer_message((struct bytes){data, size}, arena, &message) != ERR_OK)
        return 0;
    check(encode_peer_message(&message, &first) == ERR_OK);
    check(decode_peer_message((struct bytes){first.at, first.len}, second_arena, &message) == ERR_OK);
    check(encode_peer_message(&message, &second) == ERR_OK);
    check(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
    return 0;
}
