#include "tests/support/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(bool good, const char *text)
{
    if (good)
        return;
    fprintf(stderr, "cannot make keys: %s\n", text);
    abort();
}

static void take(const char *directory, const char *name, struct link_keys *keys)
{
    char path[256], text[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    check(keys_read(path, keys, text, sizeof text) == ERR_OK, text);
    unlink(path);
}

void make_keys(struct link_keys *mount, struct link_keys *replica)
{
    char directory[] = "/tmp/pact-test-XXXXXX", text[512];
    check(mkdtemp(directory) != NULL, "no directory");
    check(keys_generate(directory, text, sizeof text) == ERR_OK, text);
    take(directory, "mount.key", mount);
    take(directory, "replica.key", replica);
    rmdir(directory);
}
