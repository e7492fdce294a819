/* wire.h - protobuf's wire format written by hand: messages that no encoder of ours would make. */
#ifndef PACT_TESTS_WIRE_H
#define PACT_TESTS_WIRE_H

#include "proto/limits.h"

#include <stddef.h>
#include <stdint.h>

enum { WIRE_BYTES = 3 * MIB };

extern uint8_t wire[WIRE_BYTES]; /* what was written since wire_len was set to 0 */
extern size_t wire_len;          /* bytes */

void put_varint(uint64_t value);
void put_number(unsigned field, uint64_t value);
void put_bytes(unsigned field, const void *at, size_t len);
/* Puts all that is written so far inside a field. */
void wrap(unsigned field);

#endif
