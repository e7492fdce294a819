/* data.h - a znode's data: one immutable, reference-counted version of at most LIMIT_DATA_BYTES.
 *
 * Data is held in blocks of LIMIT_BLOCK_BYTES that versions share, so that an append or a small edit of a large file
 * costs its own size. Counts are atomic: a reader in another thread may keep a version while the tree moves on. */
#ifndef PACT_DATA_H
#define PACT_DATA_H

#include "replica/state/request.h"

struct data;

/* A version holding a copy of the bytes. len ≤ LIMIT_DATA_BYTES (asserted). Never NULL; the caller owns one count. */
struct data *data_new(const void *at, size_t len);

/* NULL is allowed in all of the following and means empty. */
struct data *data_ref(struct data *data);
void data_unref(struct data *data);
size_t data_size(const struct data *data);

/* The sum over blocks of a hash of (block, index): part of the digest. 0 for empty data. */
uint64_t data_hash(const struct data *data);

/* Copies up to len bytes from offset; returns how many (0 at or past the end). */
size_t data_read(const struct data *data, uint64_t offset, void *to, size_t len);

/* Carries out the edits on `from` and gives a new version in *to (one count, the caller's; NULL if it is empty);
 * `from` is untouched.
 * ERR_OK, or ERR_TOO_BIG or ERR_INVALID with *to untouched. Blocks not edited are shared. */
int data_edit(const struct data *from, const struct edit *edits, size_t count, struct data **to);

#endif
