/* hash.h - the hash functions of the tables and the digest. The same on every host. */
#ifndef PACT_HASH_H
#define PACT_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *at, size_t len, uint64_t seed);
/* A bijection that spreads small differences over all bits. */
uint64_t hash_mix(uint64_t value);

#endif
