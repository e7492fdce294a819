#include "proto/codec_internal.h"

#include <stdlib.h>

enum { SCRATCH_BYTES = 4096 };

static bool any_unknown(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;
    const void *const member = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        const size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        ProtobufCMessage *const *list = *(ProtobufCMessage *const *const *)member;
        for (size_t i = 0; i < count; i++)
            if (has_unknown_fields(list[i]))
                return true;
        return false;
    }
    const bool oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (oneof && *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id)
        return false;
    const ProtobufCMessage *inner = *(ProtobufCMessage *const *)member;
    return inner != NULL && has_unknown_fields(inner);
}

bool has_unknown_fields(const ProtobufCMessage *message)
{
    if (message->n_unknown_fields != 0)
        return true;
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        if (descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE && any_unknown(message, &descriptor->fields[i]))
            return true;
    return false;
}

int parse(const ProtobufCMessageDescriptor *descriptor, struct bytes from, struct arena *arena, void **message)
{
    *message = protobuf_c_message_unpack(descriptor, &arena->allocator, from.len, from.at);
    if (*message != NULL)
        return ERR_OK;
    return arena->full ? ERR_TOO_BIG : ERR_CORRUPT;
}

/* --- decoding --- */

int decode_request(struct bytes from, struct arena *arena, struct request *request)
{
    if (from.len > LIMIT_REQUEST_BYTES)
        return ERR_TOO_BIG;
    void *parsed;
    int err = parse(&pact__request__descriptor, from, arena, &parsed);
    if (err == ERR_OK && has_unknown_fields(parsed))
        return ERR_BAD_FORMAT;
    if (err == ERR_OK)
        err = unpack_request(arena, parsed, request);
    return err != ERR_OK ? err : form_check_request(request);
}

int decode_entry(struct bytes from, struct arena *arena, struct entry *entry)
{
    if (from.len > LIMIT_ENTRY_BYTES)
        return ERR_TOO_BIG;
    void *parsed;
    const int err = parse(&pact__entry__descriptor, from, arena, &parsed);
    if (err != ERR_OK)
        return err;
    if (has_unknown_fields(parsed))
        return ERR_BAD_FORMAT;
    const Pact__Entry *in = parsed;
    *entry = (struct entry){.zxid = in->zxid,
                            .stamp_ns = in->stamp_ns,
                            .session = in->session,
                            .number = in->number,
                            .awaited = in->awaited};
    return decode_request(unpack_bytes(in->request), arena, &entry->request);
}

int decode_message(struct bytes from, struct arena *arena, struct message *message)
{
    if (from.len > LIMIT_MESSAGE_BYTES)
        return ERR_TOO_BIG;
    void *parsed;
    int err = parse(&pact__message__descriptor, from, arena, &parsed);
    if (err == ERR_OK)
        err = unpack_message(arena, parsed, message);
    return err != ERR_OK ? err : form_check_message(message);
}

/* --- encoding --- */

static int serialise(const ProtobufCMessage *message, size_t limit, struct buffer *to)
{
    const size_t len = protobuf_c_message_get_packed_size(message);
    if (len > limit)
        return ERR_TOO_BIG;
    if (len > to->capacity) {
        const size_t capacity = len < 256 ? 256 : len + len / 4;
        uint8_t *at = malloc(capacity); /* the old contents are not wanted: no realloc */
        if (at == NULL)
            return ERR_TOO_MANY;
        free(to->at);
        to->at = at;
        to->capacity = capacity;
    }
    to->len = protobuf_c_message_pack(message, to->at);
    return ERR_OK;
}

/* Protobuf's structs are built on the stack; only what is too large for it (a large multi) takes a real arena. */
int encode(pack_function pack, const void *from, size_t limit, struct buffer *to)
{
    _Alignas(max_align_t) uint8_t stack[SCRATCH_BYTES];
    struct arena scratch;
    arena_on(&scratch, stack, sizeof stack);
    const ProtobufCMessage *packed = pack(&scratch, from);
    if (!scratch.full)
        return serialise(packed, limit, to);

    struct arena *arena = arena_new();
    if (arena == NULL)
        return ERR_TOO_MANY;
    packed = pack(arena, from);
    const int err = arena->full ? ERR_TOO_BIG : serialise(packed, limit, to);
    arena_free(arena);
    return err;
}

static ProtobufCMessage *pack_any_request(struct arena *arena, const void *from)
{
    Pact__Request *packed = pack_request(arena, from);
    return packed == NULL ? NULL : &packed->base;
}

static ProtobufCMessage *pack_any_message(struct arena *arena, const void *from)
{
    Pact__Message *packed = pack_message(arena, from);
    return packed == NULL ? NULL : &packed->base;
}

int encode_request(const struct request *request, struct buffer *to)
{
    const int err = form_check_request(request);
    return err != ERR_OK ? err : encode(pack_any_request, request, LIMIT_REQUEST_BYTES, to);
}

int encode_message(const struct message *message, struct buffer *to)
{
    const int err = form_check_message(message);
    return err != ERR_OK ? err : encode(pack_any_message, message, LIMIT_MESSAGE_BYTES, to);
}

int encode_entry(const struct entry *entry, struct bytes request, struct buffer *to)
{
    if (request.len > LIMIT_REQUEST_BYTES)
        return ERR_TOO_BIG;
    Pact__Entry packed = PACT__ENTRY__INIT;
    packed.zxid = entry->zxid;
    packed.stamp_ns = entry->stamp_ns;
    packed.session = entry->session;
    packed.number = entry->number;
    packed.awaited = entry->awaited;
    packed.request = pack_bytes(request);
    return serialise(&packed.base, LIMIT_ENTRY_BYTES, to);
}
