#include "replica/store/format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static void put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint64_t hash(const void *at, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(at, len, seed);
}

bool all_zero(const uint8_t *at, size_t len)
{
    return len == 0 || (at[0] == 0 && memcmp(at, at + 1, len - 1) == 0);
}

/* --- pages --- */

void page_seal(uint8_t *at, const char *magic, const struct page *page)
{
    assert(strlen(magic) == 8);
    memset(at, 0, LOG_SECTOR_BYTES);
    memcpy(at + 8, magic, 8);
    put(at + 16, FORMAT_VERSION, 4);
    memcpy(at + 24, page->identity, STORE_IDENTITY_BYTES);
    for (size_t i = 0; i < PAGE_FIELDS; i++)
        put(at + 40 + 8 * i, page->field[i], 8);
    put(at, hash(at + 8, LOG_SECTOR_BYTES - 8, 0), 8);
}

enum page_state page_check(const uint8_t *at, const char *magic, struct page *page)
{
    if (get(at, 8) != hash(at + 8, LOG_SECTOR_BYTES - 8, 0) || memcmp(at + 8, magic, 8) != 0)
        return PAGE_BAD;
    if (get(at + 16, 4) != FORMAT_VERSION)
        return PAGE_NEWER;
    memcpy(page->identity, at + 24, STORE_IDENTITY_BYTES);
    for (size_t i = 0; i < PAGE_FIELDS; i++)
        page->field[i] = get(at + 40 + 8 * i, 8);
    return PAGE_WHOLE;
}

/* --- stamped sectors --- */

uint64_t segment_seed(const uint8_t *identity, uint64_t number)
{
    return hash(identity, STORE_IDENTITY_BYTES, number);
}

void sector_seal(uint8_t *at, uint64_t seed, uint64_t sector, const struct stamp *stamp)
{
    put(at + 8, stamp->batch, 8);
    put(at + 16, stamp->index, 4);
    put(at + 20, stamp->count, 4);
    put(at, hash(at + 8, LOG_SECTOR_BYTES - 8, seed + sector), 8);
}

enum sector_state sector_check(const uint8_t *at, uint64_t seed, uint64_t sector, struct stamp *stamp)
{
    if (get(at, 8) != hash(at + 8, LOG_SECTOR_BYTES - 8, seed + sector))
        return all_zero(at, LOG_SECTOR_BYTES) ? SECTOR_UNWRITTEN : SECTOR_BAD;
    *stamp =
        (struct stamp){.batch = get(at + 8, 8), .index = (uint32_t)get(at + 16, 4), .count = (uint32_t)get(at + 20, 4)};
    return SECTOR_WHOLE;
}

/* --- records --- */

static uint64_t record_hash(const uint8_t *head, const uint8_t *identity, struct bytes content)
{
    uint64_t seed = hash(head, 16, hash(identity, STORE_IDENTITY_BYTES, 0));
    return hash(content.len > 0 ? content.at : "", content.len, seed);
}

void record_head(uint8_t *head, const uint8_t *identity, const struct record *record)
{
    put(head, record->content.len, 4);
    put(head + 4, record->kind, 4);
    put(head + 8, record->zxid, 8);
    put(head + 16, record_hash(head, identity, record->content), 8);
}

int64_t record_parse(const uint8_t *stream, size_t len, const uint8_t *identity, struct record *record)
{
    if (len < RECORD_HEAD_BYTES || get(stream + 4, 4) == RECORD_PADDING)
        return all_zero(stream, len) ? 0 : -1;
    size_t content = (size_t)get(stream, 4);
    if (content > LIMIT_ENTRY_BYTES || content > len - RECORD_HEAD_BYTES)
        return -1;
    *record = (struct record){.kind = (uint32_t)get(stream + 4, 4),
                              .zxid = get(stream + 8, 8),
                              .content = {stream + RECORD_HEAD_BYTES, content}};
    if (get(stream + 16, 8) != record_hash(stream, identity, record->content))
        return -1;
    return (int64_t)(RECORD_HEAD_BYTES + content);
}

/* --- blocks --- */

static uint64_t block_hash(const uint8_t *block, size_t bytes, const uint8_t *identity, uint64_t zxid)
{
    return hash(block + 8, bytes - 8, hash(identity, STORE_IDENTITY_BYTES, zxid));
}

static size_t block_bytes(uint32_t len)
{
    size_t sectors = (BLOCK_HEAD_BYTES + (size_t)len + LOG_SECTOR_BYTES - 1) / LOG_SECTOR_BYTES;
    return sectors * LOG_SECTOR_BYTES;
}

size_t block_seal(uint8_t *block, const uint8_t *identity, uint64_t zxid, uint32_t index, uint32_t len)
{
    assert(len <= BLOCK_ROOM_BYTES);
    size_t bytes = block_bytes(len);
    memset(block + BLOCK_HEAD_BYTES + len, 0, bytes - BLOCK_HEAD_BYTES - len);
    put(block + 8, len, 4);
    put(block + 12, index, 4);
    put(block, block_hash(block, bytes, identity, zxid), 8);
    return bytes;
}

bool block_check(const uint8_t *block, size_t bytes, const uint8_t *identity, uint64_t zxid, uint32_t index,
                 uint32_t len)
{
    return bytes == block_bytes(len) && get(block + 8, 4) == len && get(block + 12, 4) == index &&
           get(block, 8) == block_hash(block, bytes, identity, zxid);
}

/* --- names --- */

static bool name_parse(const char *name, const char *prefix, uint64_t *number)
{
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0 || strlen(name) != len + 16 || strspn(name + len, "0123456789abcdef") != 16)
        return false;
    return sscanf(name + len, "%" SCNx64, number) == 1;
}

void segment_name(uint64_t number, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "log-%016" PRIx64, number);
}

void snapshot_name(uint64_t zxid, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "snapshot-%016" PRIx64, zxid);
}

bool segment_name_parse(const char *name, uint64_t *number)
{
    return name_parse(name, "log-", number);
}

bool snapshot_name_parse(const char *name, uint64_t *zxid)
{
    return name_parse(name, "snapshot-", zxid);
}
