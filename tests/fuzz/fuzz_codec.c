/* Any bytes as a request, an entry and a message: no crash, no more memory than the arena, and whatever decodes can be
 * encoded again and then decodes to the same bytes. */
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

static struct bytes contents(const struct buffer *buffer)
{
    return (struct bytes){buffer->at, buffer->len};
}

static void try_request(struct bytes from)
{
    struct request request;
    arena_reset(arena);
    arena_reset(second_arena);
    if (decode_request(from, arena, &request) != ERR_OK)
        return;
    check(encode_request(&request, &first) == ERR_OK);
    check(decode_request(contents(&first), second_arena, &request) == ERR_OK);
    check(encode_request(&request, &second) == ERR_OK);
    check(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
}

static void try_message(struct bytes from)
{
    struct message message;
    arena_reset(arena);
    arena_reset(second_arena);
    if (decode_message(from, arena, &message) != ERR_OK)
        return;
    check(encode_message(&message, &first) == ERR_OK);
    check(decode_message(contents(&first), second_arena, &message) == ERR_OK);
    check(encode_message(&message, &second) == ERR_OK);
    check(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
}

static void try_entry(struct bytes from)
{
    struct entry entry;
    arena_reset(arena);
    if (decode_entry(from, arena, &entry) != ERR_OK)
        return;
    check(encode_request(&entry.request, &first) == ERR_OK);
    check(encode_entry(&entry, contents(&first), &second) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (arena == NULL)
        arena = arena_new();
    if (second_arena == NULL)
        second_arena = arena_new();
    const struct bytes from = {data, size};
    try_request(from);
    try_entry(from);
    try_message(from);
    return 0;
}
