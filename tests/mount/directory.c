/* directory DIR COUNT - lists a directory of COUNT names "n000000" …, slowly, while it is being changed: each name that
 * was there from start to end must come exactly once; those that come and go ("c…") at most once. For directory.sh. */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char *seen;

static int fault(const char *what, const char *name)
{
    fprintf(stderr, "%s: %s\n", what, name);
    return 1;
}

static int note(const char *name, long count, long *changing)
{
    if (name[0] == 'c')
        (*changing)++;
    if (name[0] != 'n')
        return 0;
    long number = atol(name + 1);
    if (number < 0 || number >= count)
        return fault("no such name was made", name);
    return seen[number]++ ? fault("listed twice", name) : 0;
}

static int list(DIR *directory, long count)
{
    const struct dirent *entry;
    long changing = 0, all = 0;
    bool dot = false, dots = false;
    memset(seen, 0, (size_t)count);
    while ((entry = readdir(directory))) {
        dot |= !strcmp(entry->d_name, ".");
        dots |= !strcmp(entry->d_name, "..");
        if (entry->d_name[0] == 'n' && entry->d_type != DT_REG)
            return fault("not a file by d_type", entry->d_name);
        if (note(entry->d_name, count, &changing))
            return 1;
        all++;
    }
    for (long i = 0; i < count; i++)
        if (!seen[i]) {
            char name[32];
            snprintf(name, sizeof name, "n%06ld", i);
            return fault("not listed", name);
        }
    printf("%ld names, %ld of them coming and going\n", all, changing);
    return dot && dots ? 0 : fault("missing", ". or ..");
}

/* A place in a listing is found again. */
static int seek(DIR *directory)
{
    char first[256];
    rewinddir(directory);
    for (int i = 0; i < 1000; i++)
        if (!readdir(directory))
            return fault("only", "1000 names");
    long place = telldir(directory);
    const struct dirent *entry = readdir(directory);
    snprintf(first, sizeof first, "%s", entry ? entry->d_name : "");
    for (int i = 0; i < 1000; i++)
        readdir(directory);
    seekdir(directory, place);
    entry = readdir(directory);
    return entry && !strcmp(first, entry->d_name) ? 0 : fault("another name after seekdir", first);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    long count = atol(argv[2]);
    DIR *directory = opendir(argv[1]);
    seen = calloc(1, (size_t)count + 1);
    if (!directory || !seen)
        return fault("cannot open", argv[1]);
    int status = list(directory, count);
    rewinddir(directory);
    status |= list(directory, count);
    status |= seek(directory);
    closedir(directory);
    free(seen);
    return status;
}
