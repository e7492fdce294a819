#include "proto/errors.h"

#include <stddef.h>

struct row {
    const char *name;
    int number;
    const char *text;
};

static const struct row rows[] = {
#define X(name, code, number, text) [code] = {#name, number, text},
    ERROR_TABLE(X)
#undef X
};

static const struct row *row_of(int code)
{
    static const struct row unknown = {"UNKNOWN", EIO, "unknown error"};
    if (code < 0 || (size_t)code >= sizeof rows / sizeof rows[0] || rows[code].name == NULL)
        return &unknown;
    return &rows[code];
}

const char *error_name(int code)
{
    return row_of(code)->name;
}

const char *error_text(int code)
{
    return row_of(code)->text;
}

int error_errno(int code)
{
    return row_of(code)->number;
}
