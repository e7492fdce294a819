/* Open files that have lost their name, or whose name another took. */
#include "tests/mount/posix/posix.h"

#include <sys/wait.h>

static void lives_on(void)
{
    char text[16] = "";
    put("file", "0123456789");
    int fd = open("file", O_RDWR), second = open("file", O_RDONLY);
    CALL(unlink("file"));
    see_fd("unlinked", fd);
    CALL(read(fd, text, 4));
    CALL(pwrite(fd, "AB", 2, 4));
    CALL(pread(fd, text, 10, 0));
    says("read back", "%s", text);
    CALL(pread(second, text, 10, 0));
    says("by the other descriptor", "%s", text);
    CALL(ftruncate(fd, 5));
    see_fd("cut", fd);
    CALL(lseek(fd, 0, SEEK_END));
    CALL(write(fd, "++", 2));
    see_fd("longer", fd);
    CALL(fchmod(fd, 0600));
    CALL(fchown(fd, ANN, STAFF));
    see_fd("changed", fd);
    CALL(futimens(fd, (struct timespec[]){{5, 0}, {6, 0}}));
    struct stat stat;
    CALL(fstat(fd, &stat));
    says("mtime", "%ld", (long)stat.st_mtime);
    CALL(fsync(fd));
    CALL(close(fd));
    CALL(pread(second, text, 10, 0));
    CALL(close(second));
    see("file");
}

/* By its place in /proc, which needs no name. */
static void cut_by_path(void)
{
    char path[40], text[16] = "";
    put("file", "0123456789");
    int fd = open("file", O_RDWR);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CALL(unlink("file"));
    CALL(truncate(path, 3));
    see_fd("cut", fd);
    CALL(pread(fd, text, 10, 0));
    says("read back", "%s", text);
    CALL(truncate(path, 5));
    see_fd("longer", fd);
    CALL(close(fd));
}

static void made_and_unlinked(void)
{
    char text[16] = "";
    int fd = OPENS(open("temporary", O_RDWR | O_CREAT | O_EXCL, 0600));
    CALL(unlink("temporary"));
    CALL(write(fd, "scratch", 7));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(read(fd, text, sizeof text));
    says("read back", "%s", text);
    see_fd("without a name", fd);
    CALL(close(fd));
    see_list(".");
    fd = open("temporary", O_RDWR | O_CREAT | O_EXCL, 0600);
    CALL(write(fd, "first", 5));
    CALL(unlink("temporary"));
    CALL(pread(fd, text, sizeof text, 0));
    OPENS(open("temporary", O_RDWR | O_CREAT | O_EXCL, 0644));
    CALL(write(fd, "second", 6));
    CALL(close(fd));
    see("temporary");
}

static void replaced(void)
{
    char text[16] = "";
    put("file", "old");
    put("new", "new");
    int fd = open("file", O_RDWR);
    CALL(rename("new", "file"));
    CALL(read(fd, text, sizeof text));
    says("still the old one", "%s", text);
    CALL(write(fd, "+", 1));
    see_fd("the old one", fd);
    CALL(close(fd));
    see_text("file");
    fd = open("file", O_WRONLY | O_APPEND);
    CALL(unlink("file"));
    CALL(write(fd, "x", 1));
    put("file", "another");
    CALL(write(fd, "y", 1));
    CALL(close(fd));
    see_text("file");
}

static void written_then_unlinked(void)
{
    char text[16] = "";
    put("file", "old");
    int fd = open("file", O_RDWR | O_TRUNC);
    CALL(write(fd, "new", 3));
    CALL(unlink("file"));
    CALL(pread(fd, text, sizeof text, 0));
    says("what it wrote", "%s", text);
    CALL(write(fd, "er", 2));
    see_fd("after more", fd);
    CALL(fsync(fd));
    CALL(close(fd));
    see_list(".");
}

/* Sizes of a file without a name: after fsync, and to a child. */
static void keeps_sizes(void)
{
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    CALL(unlink("file"));
    CALL(ftruncate(fd, 1000));
    CALL(fsync(fd));
    see_fd("after fsync", fd);
    CALL(posix_fallocate(fd, 0, 2000));
    CALL(fsync(fd));
    pid_t child = fork();
    if (!child) {
        see_fd("in a child", fd);
        CALL(pwrite(fd, "x", 1, 2000));
        see_fd("written by a child", fd);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    see_fd("in the parent", fd);
}

const struct cases unlinked_groups[] = {
    {"unlinked", lives_on},
    {"temporary", made_and_unlinked},
    {"replaced", replaced},
    {"unlinked-dirty", written_then_unlinked},
    {"unlinked-sizes", keeps_sizes},
    {"unlinked-cut", cut_by_path},
    {NULL, NULL},
};
