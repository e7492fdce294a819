#include "replica/state/data.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"
#include "proto/limits.h"
#include "replica/state/hash.h"
#include "replica/state/mem.h"

enum { BLOCK = LIMIT_BLOCK_BYTES, BLOCKS_MAX = LIMIT_DATA_BYTES / LIMIT_BLOCK_BYTES };

/* A part of larger data; all but the last hold BLOCK bytes. Its hash includes its index: blocks never move. */
struct block {
    atomic_uint refs;
    uint32_t len;
    uint64_t hash;
    uint8_t bytes[];
};

/* Up to one block the bytes are inside, beyond it pointers to blocks; a NULL block is a hole, all zeros. */
struct data {
    atomic_uint refs;
    uint32_t size;
    uint64_t hash;
    uint8_t bytes[];
};

/* A new version in the making. */
struct draft {
    const struct data *from;
    uint64_t size; /* bytes, now */
    uint64_t kept; /* this much of `from` still counts; what follows is zeros or in `fresh` */
    struct block *fresh[BLOCKS_MAX];
};

static const uint8_t zeros[BLOCK];

static size_t min_size(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

static struct block **blocks_of(const struct data *data)
{
    assert(data->size > BLOCK);
    return (struct block **)(void *)(uintptr_t)data->bytes;
}

static size_t block_count(uint64_t size)
{
    return (size_t)((size + BLOCK - 1) / BLOCK);
}

static uint64_t block_hash(const void *at, size_t len, size_t index)
{
    return hash_bytes(at, len, index);
}

static struct block *block_new(void)
{
    struct block *block = mem_grow(NULL, sizeof *block + BLOCK);
    atomic_init(&block->refs, 1);
    return block;
}

static struct block *block_ref(struct block *block)
{
    if (block != NULL)
        atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
    return block;
}

static void block_unref(struct block *block)
{
    if (block != NULL && atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) == 1)
        free(block);
}

static struct data *data_blank(size_t size, size_t room)
{
    struct data *data = mem_grow(NULL, sizeof *data + room);
    atomic_init(&data->refs, 1);
    data->size = (uint32_t)size;
    data->hash = 0;
    return data;
}

struct data *data_ref(struct data *data)
{
    if (data != NULL)
        atomic_fetch_add_explicit(&data->refs, 1, memory_order_relaxed);
    return data;
}

void data_unref(struct data *data)
{
    if (data == NULL || atomic_fetch_sub_explicit(&data->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (data->size > BLOCK)
        for (size_t i = 0; i < block_count(data->size); i++)
            block_unref(blocks_of(data)[i]);
    free(data);
}

size_t data_size(const struct data *data)
{
    return data == NULL ? 0 : data->size;
}

uint64_t data_hash(const struct data *data)
{
    return data == NULL ? 0 : data->hash;
}

/* The bytes from offset to the end of the block they are in, or of the data. */
static const uint8_t *piece(const struct data *data, uint64_t offset, size_t *len)
{
    *len = min_size(BLOCK - offset % BLOCK, data->size - offset);
    if (data->size <= BLOCK)
        return data->bytes + offset;
    const struct block *block = blocks_of(data)[offset / BLOCK];
    return (block == NULL ? zeros : block->bytes) + offset % BLOCK;
}

size_t data_read(const struct data *data, uint64_t offset, void *to, size_t len)
{
    size_t done = 0;
    while (done < len && offset + done < data_size(data)) {
        size_t part;
        const uint8_t *at = piece(data, offset + done, &part);
        part = min_size(part, len - done);
        memcpy((uint8_t *)to + done, at, part);
        done += part;
    }
    return done;
}

/* Bytes of the draft before its fresh blocks: from `from` as far as it is kept, then zeros. */
static void read_kept(const struct draft *draft, uint64_t offset, uint8_t *to, size_t len)
{
    size_t old = offset < draft->kept ? min_size(len, draft->kept - offset) : 0;
    if (old > 0)
        data_read(draft->from, offset, to, old);
    memset(to + old, 0, len - old);
}

static struct block *fresh_block(struct draft *draft, size_t index)
{
    if (draft->fresh[index] == NULL) {
        draft->fresh[index] = block_new();
        read_kept(draft, (uint64_t)index * BLOCK, draft->fresh[index]->bytes, BLOCK);
    }
    return draft->fresh[index];
}

static int put(struct draft *draft, uint64_t offset, struct bytes bytes)
{
    if (offset > LIMIT_DATA_BYTES || bytes.len > LIMIT_DATA_BYTES - offset)
        return ERR_TOO_BIG;
    for (size_t done = 0; done < bytes.len;) {
        uint64_t at = offset + done;
        size_t part = min_size(BLOCK - at % BLOCK, bytes.len - done);
        memcpy(fresh_block(draft, at / BLOCK)->bytes + at % BLOCK, (const uint8_t *)bytes.at + done, part);
        done += part;
    }
    if (bytes.len > 0 && offset + bytes.len > draft->size)
        draft->size = offset + bytes.len;
    return ERR_OK;
}

static int truncate_to(struct draft *draft, uint64_t size)
{
    if (size > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    for (size_t i = block_count(size); i < block_count(draft->size); i++) {
        block_unref(draft->fresh[i]);
        draft->fresh[i] = NULL;
    }
    if (size < draft->size && size % BLOCK != 0 && draft->fresh[size / BLOCK] != NULL)
        memset(draft->fresh[size / BLOCK]->bytes + size % BLOCK, 0, BLOCK - size % BLOCK);
    draft->kept = min_size(draft->kept, size);
    draft->size = size;
    return ERR_OK;
}

static int edit_one(struct draft *draft, const struct edit *edit)
{
    switch (edit->kind) {
    case EDIT_PUT:
        return put(draft, edit->offset, edit->data);
    case EDIT_TRUNCATE:
        return truncate_to(draft, edit->offset);
    case EDIT_APPEND:
        return put(draft, draft->size, edit->data);
    default:
        return ERR_INVALID;
    }
}

/* The block of the finished version: the fresh one, the old one if it is whole and unchanged, or a hole. */
static struct block *seal_block(struct draft *draft, size_t index, size_t len)
{
    uint64_t start = (uint64_t)index * BLOCK;
    if (draft->fresh[index] == NULL) {
        if (start >= draft->kept && len == BLOCK)
            return NULL;
        bool whole = data_size(draft->from) > BLOCK && start + len <= draft->kept &&
                     (len == BLOCK || start + len == data_size(draft->from));
        if (whole)
            return block_ref(blocks_of(draft->from)[index]);
    }
    struct block *block = fresh_block(draft, index);
    if (len < BLOCK)
        block = mem_grow(block, sizeof *block + len);
    draft->fresh[index] = NULL;
    block->len = (uint32_t)len;
    block->hash = block_hash(block->bytes, len, index);
    return block;
}

static struct data *seal_small(struct draft *draft)
{
    size_t size = (size_t)draft->size;
    struct data *data = data_blank(size, size);
    if (draft->fresh[0] != NULL)
        memcpy(data->bytes, draft->fresh[0]->bytes, size);
    else
        read_kept(draft, 0, data->bytes, size);
    data->hash = block_hash(data->bytes, size, 0);
    return data;
}

static struct data *seal_large(struct draft *draft)
{
    size_t count = block_count(draft->size);
    struct data *data = data_blank((size_t)draft->size, count * sizeof(struct block *));
    for (size_t i = 0; i < count; i++) {
        size_t len = min_size(BLOCK, draft->size - (uint64_t)i * BLOCK);
        struct block *block = seal_block(draft, i, len);
        blocks_of(data)[i] = block;
        data->hash += block != NULL ? block->hash : block_hash(zeros, BLOCK, i);
    }
    return data;
}

static struct data *seal(struct draft *draft)
{
    if (draft->size == 0)
        return NULL;
    return draft->size <= BLOCK ? seal_small(draft) : seal_large(draft);
}

int data_edit(const struct data *from, const struct edit *edits, size_t count, struct data **to)
{
    struct draft draft = {.from = from, .size = data_size(from), .kept = data_size(from)};
    int code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++)
        code = edit_one(&draft, &edits[i]);
    if (code == ERR_OK)
        *to = seal(&draft);
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        block_unref(draft.fresh[i]);
    return code;
}

struct data *data_new(const void *at, size_t len)
{
    assert(len <= LIMIT_DATA_BYTES);
    if (len == 0)
        return data_blank(0, 0);
    if (len <= BLOCK) {
        struct data *data = data_blank(len, len);
        memcpy(data->bytes, at, len);
        data->hash = block_hash(at, len, 0);
        return data;
    }
    struct edit edit = {EDIT_PUT, 0, {at, len}};
    struct data *data = NULL;
    int code = data_edit(NULL, &edit, 1, &data);
    assert(code == ERR_OK);
    return data;
}
