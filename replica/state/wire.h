/* wire.h - little-endian numbers in records: a writer over memory that is known to suffice, a reader over any. */
#ifndef PACT_WIRE_H
#define PACT_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "replica/state/request.h"

struct writer {
    uint8_t *at;
};

static inline void put_bytes(struct writer *writer, const void *at, size_t len)
{
    if (len > 0)
        memcpy(writer->at, at, len);
    writer->at += len;
}

static inline void put_u8(struct writer *writer, uint8_t value)
{
    *writer->at++ = value;
}

static inline void put_u16(struct writer *writer, uint16_t value)
{
    value = htole16(value);
    put_bytes(writer, &value, sizeof value);
}

static inline void put_u32(struct writer *writer, uint32_t value)
{
    value = htole32(value);
    put_bytes(writer, &value, sizeof value);
}

static inline void put_u64(struct writer *writer, uint64_t value)
{
    value = htole64(value);
    put_bytes(writer, &value, sizeof value);
}

static inline void put_i64(struct writer *writer, int64_t value)
{
    put_u64(writer, (uint64_t)value);
}

struct reader {
    const uint8_t *at;
    size_t left; /* bytes */
    bool bad;    /* more was asked for than there is: everything read since is zero */
};

static inline struct bytes get_bytes(struct reader *reader, size_t len)
{
    if (len > reader->left) {
        reader->bad = true;
        reader->left = 0;
        return (struct bytes){"", 0};
    }
    struct bytes bytes = {reader->at, len};
    reader->at += len;
    reader->left -= len;
    return bytes;
}

/* Copies len bytes, or zeros if they are not there. */
static inline void get_copy(struct reader *reader, void *to, size_t len)
{
    struct bytes bytes = get_bytes(reader, len);
    if (bytes.len == len)
        memcpy(to, bytes.at, len);
    else
        memset(to, 0, len);
}

static inline uint8_t get_u8(struct reader *reader)
{
    uint8_t value;
    get_copy(reader, &value, sizeof value);
    return value;
}

static inline uint16_t get_u16(struct reader *reader)
{
    uint16_t value;
    get_copy(reader, &value, sizeof value);
    return le16toh(value);
}

static inline uint32_t get_u32(struct reader *reader)
{
    uint32_t value;
    get_copy(reader, &value, sizeof value);
    return le32toh(value);
}

static inline uint64_t get_u64(struct reader *reader)
{
    uint64_t value;
    get_copy(reader, &value, sizeof value);
    return le64toh(value);
}

static inline int64_t get_i64(struct reader *reader)
{
    return (int64_t)get_u64(reader);
}

#endif
