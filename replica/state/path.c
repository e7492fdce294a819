#include <string.h>

#include "replica/state/internal.h"

static struct bytes part(struct bytes of, size_t from, size_t len)
{
    return (struct bytes){len == 0 ? "" : (const char *)of.at + from, len};
}

bool path_next(struct bytes *path, struct bytes *component)
{
    if (path->len == 0)
        return false;
    const char *slash = memchr(path->at, '/', path->len);
    size_t len = slash == NULL ? path->len : (size_t)(slash - (const char *)path->at);
    *component = part(*path, 0, len);
    *path = slash == NULL ? (struct bytes){"", 0} : part(*path, len + 1, path->len - len - 1);
    return true;
}

void path_split(struct bytes path, struct bytes *before, struct bytes *last)
{
    const char *slash = path.len == 0 ? NULL : memrchr(path.at, '/', path.len);
    if (slash == NULL) {
        *before = (struct bytes){"", 0};
        *last = part(path, 0, path.len);
        return;
    }
    size_t len = (size_t)(slash - (const char *)path.at);
    *before = part(path, 0, len);
    *last = part(path, len + 1, path.len - len - 1);
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

int name_check(struct bytes name)
{
    if (name.len == 0 || bytes_equal(name, (struct bytes){".", 1}) || bytes_equal(name, (struct bytes){"..", 2}))
        return ERR_INVALID;
    if (name.len > LIMIT_NAME_BYTES)
        return ERR_NAME_TOO_LONG;
    if (memchr(name.at, '/', name.len) != NULL || memchr(name.at, 0, name.len) != NULL)
        return ERR_INVALID;
    return ERR_OK;
}

int path_check(struct bytes path)
{
    if (path.len > LIMIT_PATH_BYTES)
        return ERR_NAME_TOO_LONG;
    if (path.len > 0 && ((const char *)path.at)[path.len - 1] == '/')
        return ERR_INVALID;
    struct bytes component;
    while (path_next(&path, &component)) {
        int code = name_check(component);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}
