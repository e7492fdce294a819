/* Which calls move which times; utimensat in all its variants. */
#include "tests/mount/posix/posix.h"

static void of_files(void)
{
    char text[8];
    put("file", "text");
    struct mark at = mark("file");
    int fd = open("file", O_RDWR);
    moved("open", "file", at);
    read(fd, text, 0);
    write(fd, text, 0);
    moved("reading and writing nothing", "file", at);
    CALL(write(fd, "TE", 2));
    moved("write, before close", "file", at);
    CALL(close(fd));
    moved("write and close", "file", at);
    at = mark("file");
    CALL(close(open("file", O_RDWR)));
    moved("opening to write and closing", "file", at);
    CALL(truncate("file", 4));
    moved("truncate to the same size", "file", at);
    at = mark("file");
    CALL(truncate("file", 2));
    moved("truncate", "file", at);
    at = mark("file");
    fd = open("file", O_RDWR);
    CALL(ftruncate(fd, 2));
    CALL(close(fd));
    moved("ftruncate to the same size", "file", at);
    at = mark("file");
    CALL(close(open("file", O_WRONLY | O_TRUNC)));
    moved("O_TRUNC", "file", at);
    at = mark("file");
    CALL(close(open("file", O_WRONLY | O_TRUNC)));
    moved("O_TRUNC of an empty one", "file", at);
    at = mark("file");
    fd = open("file", O_WRONLY | O_APPEND);
    CALL(write(fd, "more", 4));
    moved("append", "file", at);
    close(fd);
}

static void of_attributes(void)
{
    put("file", "text");
    struct mark at = mark("file");
    CALL(chmod("file", 0600));
    moved("chmod", "file", at);
    at = mark("file");
    CALL(chmod("file", 0600));
    moved("chmod to the same", "file", at);
    at = mark("file");
    CALL(chown("file", ANN, STAFF));
    moved("chown", "file", at);
    at = mark("file");
    CALL(chown("file", (uid_t)-1, (gid_t)-1));
    moved("chown of nothing", "file", at);
    at = mark("file");
    int fd = open("file", O_RDONLY);
    CALL(fsync(fd));
    CALL(close(fd));
    moved("fsync", "file", at);
}

static void of_directories(void)
{
    mkdir("dir", 0755);
    mkdir("dir/sub", 0755);
    struct mark at = mark("dir"), above = mark(".");
    put("dir/file", "text");
    moved("a file made", "dir", at);
    at = mark("dir");
    put("dir/file", "more text");
    moved("a file rewritten", "dir", at);
    CALL(chmod("dir/file", 0600));
    moved("a child's mode", "dir", at);
    CALL(mkdir("dir/new", 0755));
    moved("a directory made", "dir", at);
    at = mark("dir");
    CALL(symlink("x", "dir/link"));
    moved("a symlink made", "dir", at);
    at = mark("dir");
    struct mark sub = mark("dir/sub");
    CALL(rename("dir/file", "dir/moved"));
    moved("a rename within", "dir", at);
    at = mark("dir");
    CALL(unlink("dir/moved"));
    moved("unlink", "dir", at);
    at = mark("dir");
    CALL(rmdir("dir/new"));
    moved("rmdir", "dir", at);
    at = mark("dir");
    CALL(mkdir("dir/sub/below", 0755));
    moved("a directory made below", "dir", at);
    moved("where it was made", "dir/sub", sub);
    moved("the directory above all", ".", above);
    CALL(mkdir("dir/sub", 0755));
    CALL(unlink("dir/none"));
    moved("what fails", "dir", at);
}

static void show(const char *what, const char *path)
{
    struct stat stat;
    lstat(path, &stat);
    says(what, "atime %lld.%09ld mtime %lld.%09ld", (long long)stat.st_atim.tv_sec, stat.st_atim.tv_nsec,
         (long long)stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec);
}

static int set(const char *path, struct timespec atime, struct timespec mtime, int flags)
{
    return utimensat(AT_FDCWD, path, (struct timespec[]){atime, mtime}, flags);
}

static void given(void)
{
    const struct timespec one = {1000000000, 123456789}, two = {2000000000, 999999999}, omit = {0, UTIME_OMIT},
                          now = {0, UTIME_NOW};
    put("file", "text");
    symlink("file", "link");
    CALL(set("file", one, two, 0));
    show("both", "file");
    struct mark at = mark("file");
    CALL(set("file", omit, one, 0));
    show("mtime alone", "file");
    moved("mtime alone", "file", at);
    CALL(set("file", two, omit, 0));
    show("atime alone", "file");
    at = mark("file");
    CALL(set("file", omit, omit, 0));
    moved("neither", "file", at);
    CALL(set("file", now, omit, 0));
    moved("atime now", "file", at);
    at = mark("file");
    CALL(set("file", omit, now, 0));
    moved("mtime now", "file", at);
    CALL(set("file", (struct timespec){-1, 0}, (struct timespec){-1000000, 999999999}, 0));
    show("before 1970", "file");
    CALL(set("file", (struct timespec){0, 0}, (struct timespec){4294967296, 5}, 0));
    show("0, and beyond 32 bits", "file");
    CALL(set("file", (struct timespec){-11676096000, 5}, (struct timespec){10413792000, 5}, 0));
    show("1600 and 2300", "file");
    CALL(set("file", (struct timespec){10413792000, 5}, (struct timespec){-11676096000, 5}, 0));
    show("2300 and 1600", "file");
    CALL(set("file", (struct timespec){-9223372037, 999999999}, (struct timespec){9223372036, 999999999}, 0));
    show("just beyond", "file");
    CALL(set("file", (struct timespec){-9223372036, 1}, (struct timespec){9223372035, 999999999}, 0));
    show("1677 and 2262", "file");
    CALL(set("file", (struct timespec){0, 1000000000}, one, 0));
    CALL(set("none", one, two, 0));
    CALL(set("link", one, two, AT_SYMLINK_NOFOLLOW));
    show("the link's", "link");
    show("not the file's", "file");
    CALL(set("link", two, one, 0));
    show("through the link", "file");
    CALL(utimensat(AT_FDCWD, "file", NULL, 0));
    int fd = open("file", O_RDONLY);
    CALL(futimens(fd, (struct timespec[]){one, two}));
    show("futimens", "file");
    CALL(set(".", one, two, 0));
    show("a directory's", ".");
}

/* As cp -p and tar do: the times are given while the file is open for writing. */
static void given_while_open(void)
{
    const struct timespec one = {1000000000, 123456789};
    int fd = open("file", O_WRONLY | O_CREAT, 0644);
    CALL(write(fd, "text", 4));
    CALL(futimens(fd, (struct timespec[]){one, one}));
    CALL(close(fd));
    show("kept", "file");
    fd = open("file", O_WRONLY);
    CALL(futimens(fd, (struct timespec[]){one, one}));
    CALL(write(fd, "TEXT", 4));
    CALL(close(fd));
    struct stat stat;
    lstat("file", &stat);
    says("written later", "%s", stat.st_mtim.tv_sec > one.tv_sec ? "mtime later" : "mtime kept");
}

const struct cases time_groups[] = {
    {"times", of_files}, {"times-attr", of_attributes},      {"times-dir", of_directories},
    {"utimens", given},  {"utimens-open", given_while_open}, {NULL, NULL},
};
