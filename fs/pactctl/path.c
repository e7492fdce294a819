#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/escape.h"
#include "fs/pactctl/pactctl.h"

/* It ends with a NUL from the first time on. */
static void grow(struct path *path, size_t more)
{
    size_t used = path->room != NULL ? path->capacity - path->start : 1, capacity = 2 * (path->capacity + more) + 1;
    char *room = malloc(capacity);
    if (room == NULL)
        abort();
    memcpy(room + capacity - used, path->room != NULL ? path->room + path->start : "", used);
    free(path->room);
    *path = (struct path){room, capacity - used, capacity};
}

void path_prepend(struct path *path, const char *name)
{
    size_t len = strlen(name);
    if (path->start < len + 1)
        grow(path, len + 1);
    path->start -= len;
    memcpy(path->room + path->start, name, len);
    path->room[--path->start] = '/';
}

char *path_take(struct path *path)
{
    if (path->room == NULL) /* the root */
        path_prepend(path, "");
    return memmove(path->room, path->room + path->start, path->capacity - path->start);
}

char *path_of(const struct state *state, const struct node *node)
{
    struct path path = {0};
    for (const struct node *parent; (parent = node_parent(state, node)) != NULL; node = parent)
        path_prepend(&path, node_name(node).at);
    return path_take(&path);
}

char *created_path(struct where at, const char *name)
{
    char *path;
    if (asprintf(&path, "/%.*s%s", (int)(at.path.len - last_name_bytes(at)), (const char *)at.path.at, name) < 0)
        abort();
    return path;
}

void print_escaped(const char *text, void (*escape)(const char *text, char *to, size_t cap))
{
    size_t cap = ESCAPED * strlen(text) + ESCAPED + 1;
    char *escaped = malloc(cap);
    if (escaped == NULL)
        abort();
    escape(text, escaped, cap);
    fputs(escaped, stdout);
    free(escaped);
}

void print_path(const char *path, const char *to)
{
    print_escaped(path, escape_line);
    if (to != NULL) {
        fputs(" -> ", stdout);
        print_escaped(to, escape_line);
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
