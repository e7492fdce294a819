#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/escape.h"
#include "fs/pactctl/pactctl.h"

void path_of(const struct state *state, const struct node *node, char *to)
{
    char room[LIMIT_PATH_BYTES + 1];
    size_t start = LIMIT_PATH_BYTES;
    room[start] = '\0';
    for (const struct node *parent; (parent = node_parent(state, node)) != NULL; node = parent) {
        struct bytes name = node_name(node);
        if (name.len + 1 + strlen("…") > start) {
            start -= strlen("…");
            memcpy(room + start, "…", strlen("…"));
            break;
        }
        start -= name.len;
        memcpy(room + start, name.at, name.len);
        room[--start] = '/';
    }
    if (start == LIMIT_PATH_BYTES)
        room[--start] = '/';
    memcpy(to, room + start, sizeof room - start);
}

void print_path(const char *path, const char *to)
{
    char line[ESCAPED * LIMIT_PATH_BYTES + 1];
    escape_line(path, line, sizeof line);
    fputs(line, stdout);
    if (to != NULL) {
        escape_line(to, line, sizeof line);
        printf(" -> %s", line);
    }
    putchar('\n');
}

const struct node *find_or_fail(const struct state *state, const char *path)
{
    int code;
    if (check_path(path) != EXIT_DONE)
        return NULL;
    const struct node *node = state_find(state, where_of(path), &code);
    if (node == NULL)
        fail("%s: %s", path, error_text(code));
    return node;
}

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
