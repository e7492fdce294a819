/* Extended attributes of the user. */
#include "tests/mount/posix/posix.h"

#include <stdlib.h>
#include <sys/xattr.h>

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The user's own names, sorted; those of pactfs (user.pact.*) aside. */
static void see_names(const char *path)
{
    static char names[65536], text[4096];
    char *own[64];
    ssize_t len = listxattr(path, names, sizeof names);
    size_t count = 0, at = 0;
    for (char *name = names; name < names + len && count < 64; name += strlen(name) + 1)
        if (strncmp(name, "user.pact.", 10))
            own[count++] = name;
    qsort(own, count, sizeof *own, compare);
    text[0] = 0;
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, " %.60s", own[i]);
    says(path, "%zu attributes:%s", count, text);
}

static void sets(void)
{
    char value[64] = "";
    put("file", "text");
    mkdir("dir", 0755);
    symlink("file", "link");
    CALL(setxattr("file", "user.one", "value", 5, 0));
    CALL(getxattr("file", "user.one", value, sizeof value));
    says("it is", "%s", value);
    CALL(getxattr("file", "user.one", NULL, 0));
    CALL(getxattr("file", "user.one", value, 2));
    CALL(getxattr("file", "user.none", value, sizeof value));
    CALL(setxattr("file", "user.one", "other", 5, XATTR_CREATE));
    CALL(setxattr("file", "user.two", "other", 5, XATTR_CREATE));
    CALL(setxattr("file", "user.one", "changed", 7, XATTR_REPLACE));
    CALL(setxattr("file", "user.three", "x", 1, XATTR_REPLACE));
    CALL(setxattr("file", "user.one", "x", 1, XATTR_CREATE | XATTR_REPLACE));
    CALL(setxattr("file", "user.three", "x", 1, XATTR_CREATE | XATTR_REPLACE));
    CALL(getxattr("file", "user.three", value, sizeof value));
    CALL(setxattr("file", "user.empty", "", 0, 0));
    CALL(getxattr("file", "user.empty", value, sizeof value));
    CALL(setxattr("file", "user.zeros", "a\0b", 3, 0));
    CALL(getxattr("file", "user.zeros", value, sizeof value));
    see_names("file");
    CALL(listxattr("file", value, 1));
    CALL(removexattr("file", "user.two"));
    CALL(removexattr("file", "user.two"));
    see_names("file");
    CALL(setxattr("dir", "user.dir", "x", 1, 0));
    see_names("dir");
    CALL(setxattr("link", "user.link", "x", 1, 0));
    see_names("file");
    CALL(lsetxattr("link", "user.link", "x", 1, 0));
    CALL(lgetxattr("link", "user.link", value, sizeof value));
    CALL(setxattr("none", "user.x", "x", 1, 0));
    int fd = open("file", O_RDONLY);
    CALL(fsetxattr(fd, "user.fd", "x", 1, 0));
    CALL(fgetxattr(fd, "user.fd", value, sizeof value));
    CALL(fremovexattr(fd, "user.fd"));
}

static void limits(void)
{
    char name[300] = "user.";
    char *value = calloc(1, 70000);
    put("file", "text");
    memset(name + 5, 'n', 250);
    CALL(setxattr("file", name, "x", 1, 0));
    name[255] = 'n';
    CALL(setxattr("file", name, "x", 1, 0));
    CALL(setxattr("file", "", "x", 1, 0));
    CALL(setxattr("file", "user.", "x", 1, 0));
    CALL(setxattr("file", "nothing.x", "x", 1, 0));
    CALL(setxattr("file", "user.large", value, 4096, 0));
    CALL(getxattr("file", "user.large", value, 70000));
    CALL(setxattr("file", "user.huge", value, 65537, 0));
    CALL(setxattr("file", "user.flags", "x", 1, 99));
    free(value);
}

static void rights(void)
{
    char value[64];
    put_as("file", ANN, STAFF, 0644);
    dir_as("tmp", ANN, STAFF, 01777);
    CALL(setxattr("file", "user.x", "1", 1, 0));
    struct mark at = mark("file");
    CALL(setxattr("file", "user.x", "2", 1, 0));
    moved("setxattr", "file", at);
    at = mark("file");
    CALL(removexattr("file", "user.x"));
    moved("removexattr", "file", at);
    CALL(setxattr("file", "user.x", "1", 1, 0));
    become(BOB, GUESTS);
    CALL(getxattr("file", "user.x", value, sizeof value));
    CALL(setxattr("file", "user.x", "2", 1, 0));
    CALL(removexattr("file", "user.x"));
    CALL(setxattr("tmp", "user.x", "2", 1, 0));
    become(ANN, STAFF);
    CALL(setxattr("file", "user.x", "2", 1, 0));
    CALL(chmod("file", 0));
    CALL(getxattr("file", "user.x", value, sizeof value));
    CALL(setxattr("file", "user.x", "3", 1, 0));
    become(0, 0);
    CALL(rename("file", "moved"));
    see_names("moved");
    put("moved", "rewritten");
    see_names("moved");
}

const struct cases xattr_groups[] = {
    {"xattr", sets},
    {"xattr-limits", limits},
    {"xattr-rights", rights},
    {NULL, NULL},
};
