/* blob.h - a small immutable byte string, counted: long names, policies, xattrs, names of results.
 *
 * Unlike data.h's versions a blob stays under the state's lock: the count is plain. NULL means empty everywhere. */
#ifndef PACT_BLOB_H
#define PACT_BLOB_H

#include "replica/state/request.h"

struct blob {
    uint32_t refs, len;
    uint64_t hash;   /* of the bytes */
    uint8_t bytes[]; /* len, and a NUL */
};

/* A copy with one count, the caller's; NULL if len is 0. */
struct blob *blob_new(const void *at, size_t len);
struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob *blob);
struct bytes blob_bytes(const struct blob *blob); /* NUL-terminated; "" if NULL */

#endif
