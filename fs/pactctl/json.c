#include <stdio.h>
#include <stdlib.h>

#include "fs/pactctl/pactctl.h"

json_t *json_text(const void *at, size_t len)
{
    json_t *text = json_stringn(at, len);
    if (text != NULL)
        return text;
    char *escaped = malloc(4 * len + 1);
    size_t to = 0;
    for (size_t i = 0; escaped != NULL && i < len; i++) {
        unsigned char byte = ((const unsigned char *)at)[i];
        if (byte < ' ' || byte > '~')
            to += (size_t)snprintf(escaped + to, 5, "\\x%02x", byte);
        else
            escaped[to++] = (char)byte;
    }
    text = escaped == NULL ? json_null() : json_stringn(escaped, to);
    free(escaped);
    return text;
}

void json_print(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}
