/* readdir: everything once, also while names come and go; seekdir, telldir, rewinddir; directories without a name. */
#include "tests/mount/posix/posix.h"

#include <dirent.h>
#include <stdlib.h>

enum { FILES = 1000 };

static void make(const char *dir, int count)
{
    char name[64];
    mkdir(dir, 0755);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s/%04d", dir, i);
        mkdir(name, 0755);
    }
}

/* How often each of FILES names comes, as "once N, never N, more N"; other names are counted. */
static void count_rest(const char *what, DIR *dir, bool dots)
{
    static int times[FILES];
    int once = 0, never = 0, more = 0, others = 0;
    const struct dirent *entry;
    memset(times, 0, sizeof times);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            others += dots;
        else if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            times[atoi(entry->d_name) % FILES]++;
        else
            others++;
    }
    for (int i = 0; i < FILES; i++) {
        once += times[i] == 1;
        never += times[i] == 0;
        more += times[i] > 1;
    }
    says(what, "once %d, never %d, more %d, others %d", once, never, more, others);
}

static void reads_all(void)
{
    const struct dirent *entry;
    make("dir", FILES);
    DIR *dir = opendir("dir");
    count_rest("all", dir, true);
    CALL(readdir(dir) != NULL);
    rewinddir(dir);
    count_rest("again", dir, true);
    closedir(dir);
    mkdir("empty", 0755);
    dir = opendir("empty");
    entry = readdir(dir);
    says("first", "%s", entry->d_name);
    entry = readdir(dir);
    says("second", "%s", entry->d_name);
    CALL(readdir(dir) == NULL);
    CALL(readdir(dir) == NULL);
    put("empty/new", "");
    rewinddir(dir);
    CALL(readdir(dir) && readdir(dir) && readdir(dir));
    closedir(dir);
    CALL(opendir("none") != NULL);
    put("file", "");
    CALL(opendir("file") != NULL);
}

static void kinds(void)
{
    put("file", "");
    mkdir("dir", 0755);
    symlink("file", "link");
    see_list(".");
    struct stat stat;
    const struct dirent *entry;
    int equal = 0;
    DIR *dir = opendir(".");
    while ((entry = readdir(dir)))
        equal += !lstat(entry->d_name, &stat) && stat.st_ino == entry->d_ino;
    says("numbers as stat's", "%d", equal);
}

static void positions(void)
{
    char names[20][16] = {{0}};
    long at[20];
    int same = 0;
    make("dir", 17);
    DIR *dir = opendir("dir");
    for (int i = 0; i < 19; i++) {
        at[i] = telldir(dir);
        snprintf(names[i], sizeof names[i], "%.15s", readdir(dir)->d_name);
    }
    CALL(readdir(dir) == NULL);
    for (int i = 18; i >= 0; i--) {
        seekdir(dir, at[i]);
        same += !strcmp(readdir(dir)->d_name, names[i]);
    }
    says("found again", "%d", same);
    seekdir(dir, at[10]);
    int left = 0;
    while (readdir(dir))
        left++;
    says("left from the tenth on", "%d", left);
}

static void remove_numbers(const char *of, int from, int to, int step)
{
    char name[64];
    for (int i = from; i < to; i += step) {
        snprintf(name, sizeof name, "%s/%04d", of, i);
        rmdir(name);
    }
}

/* What is there all the time comes once, whatever comes and goes beside it. */
static void under_change(void)
{
    char name[32];
    make("dir", FILES);
    DIR *dir = opendir("dir");
    for (int i = 0; i < 2; i++)
        readdir(dir);
    remove_numbers("dir", 0, FILES, 1);
    rewinddir(dir);
    count_rest("after all were removed", dir, true);
    make("dir", FILES);
    rewinddir(dir);
    count_rest("after all were made again", dir, true);
    rewinddir(dir);
    int removed = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof name, "dir/%.15s", entry->d_name);
            removed += !rmdir(name);
        }
    says("removed while reading", "%d", removed);
    rewinddir(dir);
    count_rest("what is left", dir, false);
    CALL(rmdir("dir"));
}

static void gone(void)
{
    struct stat stat;
    make("dir", 2);
    DIR *dir = opendir("dir");
    int fd = dirfd(dir);
    CALL(readdir(dir) != NULL);
    remove_numbers("dir", 0, 2, 1);
    CALL(rmdir("dir"));
    rewinddir(dir);
    int entries = 0;
    while (readdir(dir))
        entries++;
    says("entries of a removed directory", "%d", entries);
    CALL(fstat(fd, &stat));
    says("its links", "%d", (int)stat.st_nlink);
    CALL(mkdirat(fd, "x", 0755));
    CALL(openat(fd, "x", O_WRONLY | O_CREAT, 0644));
    CALL(symlinkat("y", fd, "x"));
    CALL(faccessat(fd, "x", F_OK, 0));
    CALL(openat(fd, "..", O_RDONLY) >= 0);
    CALL(fchmod(fd, 0700));
    CALL(fsync(fd));
    CALL(mkdir("dir", 0755));
    CALL(faccessat(fd, ".", F_OK, 0));
}

/* A process whose working directory goes. */
static void working_directory(void)
{
    char path[4096];
    mkdir("dir", 0755);
    mkdir("dir/below", 0755);
    CALL(chdir("dir/below"));
    CALL(rename("../../dir", "../../moved"));
    CALL(access("../../moved/below", F_OK));
    CALL(getcwd(path, sizeof path) && strstr(path, "/moved/below"));
    CALL(rmdir("../below"));
    CALL(getcwd(path, sizeof path) != NULL);
    CALL(mkdir("x", 0755));
    CALL(open("x", O_WRONLY | O_CREAT, 0644));
    CALL(access(".", F_OK));
    CALL(open(".", O_RDONLY) >= 0);
    CALL(access("..", F_OK));
    see_list(".");
    CALL(chdir(".."));
}

const struct cases directory_groups[] = {
    {"readdir", reads_all}, {"kinds", kinds},           {"telldir", positions}, {"changing", under_change},
    {"removed-dir", gone},  {"cwd", working_directory}, {NULL, NULL},
};
