/* codec_internal.h - what the parts of the codec share. Included by proto/codec*.c alone. */
#ifndef PACT_CODEC_INTERNAL_H
#define PACT_CODEC_INTERNAL_H

#include "proto/codec.h"

#include <proto/pact.pb-c.h>

/* One block that is given out from front to back. A block of LIMIT_ARENA_BYTES is mapped at once, but the kernel
 * gives memory only to the pages that are used. */
struct arena {
    uint8_t *at;
    size_t used, size; /* bytes */
    bool full;         /* something was asked for that did not fit */
    ProtobufCAllocator allocator;
};

void arena_on(struct arena *arena, void *at, size_t size); /* an arena over the caller's memory; not to be freed */
void *arena_alloc(struct arena *arena, size_t size);       /* aligned for any type; NULL (and full): no room */

/* Whether a request, or a message, keeps to the counts, lengths and enums of request.h, message.h and limits.h. Both
 * directions check the same, so that whatever can be encoded can be decoded. ERR_OK, ERR_CORRUPT or ERR_TOO_BIG. */
int form_check_request(const struct request *request);
int form_check_message(const struct message *message);

/* Plain struct → protobuf's struct, in the arena, borrowing all bytes. Incomplete if the arena is then full. */
Pact__Request *pack_request(struct arena *arena, const struct request *from);
Pact__Message *pack_message(struct arena *arena, const struct message *from);

/* And back; arrays are put in the arena, bytes borrow from `from`. ERR_OK, ERR_CORRUPT, ERR_TOO_BIG, ERR_BAD_FORMAT. */
int unpack_request(struct arena *arena, const Pact__Request *from, struct request *to);
int unpack_message(struct arena *arena, const Pact__Message *from, struct message *to);

/* Parses into the arena. ERR_OK, ERR_CORRUPT, or ERR_TOO_BIG: the arena is full. */
int parse(const ProtobufCMessageDescriptor *descriptor, struct bytes from, struct arena *arena, void **message);
/* Whether the message, or one inside it, has a field that this version does not know. */
bool has_unknown_fields(const ProtobufCMessage *message);

/* Packs and serialises, replacing the buffer's contents. ERR_OK, ERR_TOO_BIG: more than `limit` bytes; ERR_TOO_MANY: no
 * memory. */
typedef ProtobufCMessage *(*pack_function)(struct arena *arena, const void *from);
int encode(pack_function pack, const void *from, size_t limit, struct buffer *to);

/* Declares `to`, a new message in the arena; returns NULL from the function if the arena is full. */
#define NEW(type, function)                                                                                            \
    type *to = arena_alloc(arena, sizeof *to);                                                                         \
    if (to == NULL)                                                                                                    \
        return NULL;                                                                                                   \
    pact__##function##__init(to)

static inline ProtobufCBinaryData pack_bytes(struct bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.at};
}

static inline ProtobufCBinaryData pack_fixed(const uint8_t *at, size_t len)
{
    return pack_bytes((struct bytes){at, len});
}

static inline struct bytes unpack_bytes(ProtobufCBinaryData data)
{
    return (struct bytes){data.data, data.len};
}

static inline bool unpack_fixed(ProtobufCBinaryData from, uint8_t *to, size_t len)
{
    if (from.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        to[i] = from.data[i];
    return true;
}

#endif
