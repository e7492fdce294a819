#include "tests/support/wire.h"

#include <string.h>

uint8_t wire[WIRE_BYTES];
size_t wire_len;

void put_varint(uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        wire[wire_len++] = (uint8_t)(value | 0x80);
    wire[wire_len++] = (uint8_t)value;
}

void put_number(unsigned field, uint64_t value)
{
    put_varint(field << 3);
    put_varint(value);
}

void put_bytes(unsigned field, const void *at, size_t len)
{
    put_varint(field << 3 | 2);
    put_varint(len);
    memcpy(wire + wire_len, at, len);
    wire_len += len;
}

void wrap(unsigned field)
{
    static uint8_t inner[sizeof wire];
    const size_t len = wire_len;
    memcpy(inner, wire, len);
    wire_len = 0;
    put_bytes(field, inner, len);
}
