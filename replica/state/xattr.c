/* xattr.c - the xattrs of a znode, packed one behind the other: u8 length of the name, u32 of the value, both. */
#include <stdlib.h>

#include "replica/state/internal.h"
#include "replica/state/mem.h"
#include "replica/state/wire.h"

enum { FRAME_BYTES = 5 };

bool xattr_next(struct bytes *packed, struct bytes *name, struct bytes *value)
{
    struct reader in = {packed->at, packed->len, false};
    uint8_t name_len = get_u8(&in);
    uint32_t value_len = get_u32(&in);
    *name = get_bytes(&in, name_len);
    *value = get_bytes(&in, value_len);
    *packed = (struct bytes){in.at, in.left};
    return !in.bad;
}

bool xattr_valid(struct bytes packed)
{
    struct bytes name, value;
    size_t sum = 0;
    while (packed.len > 0) {
        if (!xattr_next(&packed, &name, &value) || xattr_name_check(name) != ERR_OK)
            return false;
        sum += name.len + value.len;
    }
    return sum <= LIMIT_XATTRS_BYTES;
}

static void pack(struct writer *out, struct bytes name, struct bytes value)
{
    put_u8(out, (uint8_t)name.len);
    put_u32(out, (uint32_t)value.len);
    put_bytes(out, name.at, name.len);
    put_bytes(out, value.at, value.len);
}

int xattr_edit(struct bytes packed, struct bytes name, const struct bytes *value, struct blob **to)
{
    size_t sum = value == NULL ? 0 : name.len + value->len;
    uint8_t *room = mem_grow(NULL, packed.len + FRAME_BYTES + sum + 1);
    struct writer out = {room};
    struct bytes other, content;
    while (xattr_next(&packed, &other, &content)) {
        if (bytes_equal(other, name))
            continue;
        pack(&out, other, content);
        sum += other.len + content.len;
    }
    if (value != NULL)
        pack(&out, name, *value);
    bool fits = sum <= LIMIT_XATTRS_BYTES;
    if (fits)
        *to = blob_new(room, (size_t)(out.at - room));
    free(room);
    return fits ? ERR_OK : ERR_XATTR_SPACE;
}
