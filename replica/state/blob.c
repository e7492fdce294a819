#include "replica/state/blob.h"

#include <stdlib.h>
#include <string.h>

#include "replica/state/hash.h"
#include "replica/state/mem.h"

struct blob *blob_new(const void *at, size_t len)
{
    if (len == 0)
        return NULL;
    struct blob *blob = mem_new(sizeof *blob + len + 1);
    blob->refs = 1;
    blob->len = (uint32_t)len;
    blob->hash = hash_bytes(at, len, 0);
    memcpy(blob->bytes, at, len);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob != NULL)
        blob->refs++;
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob != NULL && --blob->refs == 0)
        free(blob);
}

struct bytes blob_bytes(const struct blob *blob)
{
    if (blob == NULL)
        return (struct bytes){"", 0};
    return (struct bytes){blob->bytes, blob->len};
}
