#include "fs/mount/ghost_mounts.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs/mount/mount.h"

struct line {
    unsigned long id, parent;
    dev_t device;
    char *root, *point;
};

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
    char *to = text;
    while (*text) {
        unsigned octal;
        if (*text == '\\' && sscanf(text + 1, "%3o", &octal) == 1) {
            *to++ = (char)octal;
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = 0;
}

static bool parse(char *text, struct line *line)
{
    unsigned major_number, minor_number;
    int at = 0;
    if (sscanf(text, "%lu %lu %u:%u %n", &line->id, &line->parent, &major_number, &minor_number, &at) < 4 || !at)
        return false;
    char *save = NULL;
    line->device = makedev(major_number, minor_number);
    line->root = strtok_r(text + at, " ", &save);
    line->point = strtok_r(NULL, " ", &save);
    if (!line->root || !line->point)
        return false;
    unescape(line->root);
    unescape(line->point);
    return true;
}

/* A place where this file system is mounted: the mount itself, or a bind mount of a part of it. */
struct mine {
    unsigned long id;
    char *root, *point;
    struct mine *next;
};

static void add_mine(struct mine **list, const struct line *line)
{
    struct mine *mine = calloc(1, sizeof *mine);
    if (!mine)
        return;
    mine->id = line->id;
    mine->root = strdup(line->root);
    mine->point = strdup(line->point);
    mine->next = *list;
    *list = mine;
}

static void free_mine(struct mine *list)
{
    while (list) {
        struct mine *next = list->next;
        free(list->root);
        free(list->point);
        free(list);
        list = next;
    }
}

/* What is mounted on a place of ours: its path from our root. */
static void add_path(struct ghost_mounts *mounts, const struct mine *mine, const struct line *line)
{
    size_t skip = mine->point ? strlen(mine->point) : 0;
    char **paths = realloc(mounts->paths, (mounts->count + 1) * sizeof *paths), *path = NULL;
    if (paths)
        mounts->paths = paths;
    if (!paths || !mine->root || !mine->point || strncmp(line->point, mine->point, skip) ||
        asprintf(&path, "%s%s", mine->root, line->point + skip) < 0) {
        mounts->unknown = true;
        return;
    }
    mounts->paths[mounts->count++] = path;
}

static void forget_paths(struct ghost_mounts *mounts)
{
    while (mounts->count)
        free(mounts->paths[--mounts->count]);
    free(mounts->paths);
    mounts->paths = NULL;
    mounts->unknown = false;
}

static void read_table(struct ghost_mounts *mounts, dev_t device)
{
    struct mine *list = NULL;
    struct line line;
    char *text = NULL;
    size_t room = 0;
    forget_paths(mounts);
    rewind(mounts->table);
    while (getline(&text, &room, mounts->table) > 0)
        if (parse(text, &line) && line.device == device)
            add_mine(&list, &line);
    rewind(mounts->table);
    while (getline(&text, &room, mounts->table) > 0) {
        if (!parse(text, &line) || line.device == device)
            continue;
        for (const struct mine *mine = list; mine; mine = mine->next)
            if (mine->id == line.parent)
                add_path(mounts, mine, &line);
    }
    free(text);
    free_mine(list);
}

void ghost_mounts_update(struct ghost_mounts *mounts, dev_t device)
{
    bool fresh = !mounts->table;
    if (fresh)
        mounts->table = fopen("/proc/self/mountinfo", "re");
    if (!mounts->table) {
        mounts->unknown = true;
        return;
    }
    struct pollfd changed = {.fd = fileno(mounts->table), .events = POLLPRI};
    if (poll(&changed, 1, 0) > 0 || fresh)
        read_table(mounts, device);
}

void ghost_mounts_free(struct ghost_mounts *mounts)
{
    forget_paths(mounts);
    if (mounts->table)
        fclose(mounts->table);
    mounts->table = NULL;
}

/* Whether a znode is on the way from the mount's root along a path. */
static bool on_the_way(const struct mount *mount, const struct state *state, const char *path, uint64_t id)
{
    const struct node *node = state_node(state, mount->root);
    struct node_stat stat;
    for (;;) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (!node || !len)
            return false;
        node = node_child(state, node, path, len);
        if (!node)
            return false;
        node_stat(node, &stat);
        if (stat.id == id)
            return true;
        path += len;
    }
}

bool ghost_mounts_below(const struct ghost_mounts *mounts, struct mount *mount, uint64_t id)
{
    bool below = mounts->unknown;
    if (!mounts->count || below)
        return below;
    const struct state *state = client_lock(mount->client);
    for (size_t i = 0; i < mounts->count && !below; i++)
        below = on_the_way(mount, state, mounts->paths[i], id);
    client_unlock(mount->client);
    return below;
}
