/* open(2): every flag, on everything that a name can stand for. */
#include "tests/mount/posix/posix.h"

static void set_up(void)
{
    put("file", "content");
    mkdir("dir", 0755);
    symlink("file", "link");
    symlink("dir", "dirlink");
    symlink("none", "dangling");
    symlink("loop", "loop");
}

static void opens_what_is_there(void)
{
    set_up();
    OPENS(open("file", O_RDONLY));
    OPENS(open("file", O_WRONLY));
    OPENS(open("file", O_RDWR));
    OPENS(open("file", O_ACCMODE));
    OPENS(open("dir", O_RDONLY));
    OPENS(open("dir", O_WRONLY));
    OPENS(open("dir", O_RDWR));
    OPENS(open("none", O_RDONLY));
    OPENS(open("none/x", O_RDONLY));
    OPENS(open("file/x", O_RDONLY));
    OPENS(open("file/", O_RDONLY));
    OPENS(open("dir/", O_RDONLY));
    OPENS(open("dir/.", O_RDONLY));
    OPENS(open("", O_RDONLY));
    OPENS(open("link", O_RDONLY));
    OPENS(open("dangling", O_RDONLY));
    OPENS(open("loop", O_RDONLY));
    OPENS(open("loop/x", O_RDONLY));
    OPENS(open("link/", O_RDONLY));
    OPENS(open("dirlink/", O_RDONLY));
    OPENS(open("file", O_RDONLY | O_DIRECTORY));
    OPENS(open("dir", O_RDONLY | O_DIRECTORY));
    OPENS(open("dirlink", O_RDONLY | O_DIRECTORY));
    OPENS(open("file", O_RDONLY | O_NOFOLLOW));
    OPENS(open("link", O_RDONLY | O_NOFOLLOW));
    OPENS(open("dirlink", O_RDONLY | O_NOFOLLOW));
    OPENS(open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    OPENS(open("loop", O_RDONLY | O_NOFOLLOW));
    OPENS(open("file", O_RDONLY | O_NONBLOCK));
    OPENS(open("file", O_RDONLY | O_NOATIME));
    OPENS(open("file", O_RDWR | O_SYNC));
    OPENS(open("file", O_RDWR | O_DSYNC));
    see_text("file");
}

static void creates(void)
{
    set_up();
    OPENS(open("new", O_WRONLY | O_CREAT, 0640));
    see("new");
    OPENS(open("exclusive", O_WRONLY | O_CREAT | O_EXCL, 0600));
    see("exclusive");
    OPENS(open("exclusive", O_WRONLY | O_CREAT | O_EXCL, 0600));
    OPENS(open("read-only", O_RDONLY | O_CREAT, 0444));
    see("read-only");
    OPENS(open("unreadable", O_RDWR | O_CREAT, 0));
    see("unreadable");
    OPENS(open("all-bits", O_WRONLY | O_CREAT, 07777));
    see("all-bits");
    OPENS(open("file", O_WRONLY | O_CREAT, 0600));
    see("file");
    see_text("file");
    OPENS(open("dir", O_RDONLY | O_CREAT, 0600));
    OPENS(open("dir", O_WRONLY | O_CREAT, 0600));
    OPENS(open("dir", O_RDONLY | O_CREAT | O_EXCL, 0600));
    OPENS(open("link", O_WRONLY | O_CREAT | O_EXCL, 0600));
    OPENS(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600));
    OPENS(open("dangling", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
    OPENS(open("dangling", O_WRONLY | O_CREAT, 0600));
    see("dangling");
    see("none");
    OPENS(open("loop", O_WRONLY | O_CREAT, 0600));
    OPENS(open("nowhere/new", O_WRONLY | O_CREAT, 0600));
    OPENS(open("file/new", O_WRONLY | O_CREAT, 0600));
    OPENS(open("new2/", O_WRONLY | O_CREAT, 0600));
    OPENS(open("new3", O_RDONLY | O_CREAT | O_DIRECTORY, 0600));
    OPENS(open("dir/../dir/new", O_WRONLY | O_CREAT, 0600));
    see_list(".");
    see_list("dir");
}

static void truncates(void)
{
    set_up();
    OPENS(open("file", O_WRONLY | O_TRUNC));
    see("file");
    put("file", "content");
    OPENS(open("file", O_RDONLY | O_TRUNC));
    see("file");
    put("file", "content");
    OPENS(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    see("file");
    put("file", "content");
    OPENS(open("file", O_RDWR | O_CREAT | O_EXCL | O_TRUNC, 0600));
    see_text("file");
    OPENS(open("dir", O_RDONLY | O_TRUNC));
    OPENS(open("link", O_WRONLY | O_TRUNC));
    see("file");
    see("link");
}

static void by_path_only(void)
{
    char text[8];
    struct stat stat;
    set_up();
    int file = OPENS(open("file", O_PATH)), dir = OPENS(open("dir", O_PATH | O_DIRECTORY));
    int link = OPENS(open("link", O_PATH | O_NOFOLLOW));
    OPENS(open("file", O_PATH | O_DIRECTORY));
    OPENS(open("loop", O_PATH));
    OPENS(open("none", O_PATH));
    CALL(read(file, text, sizeof text));
    CALL(write(file, "x", 1));
    CALL(fstat(file, &stat));
    CALL(fchmod(file, 0600));
    CALL(ftruncate(file, 0));
    CALL(fchdir(file));
    CALL(readlinkat(link, "", text, sizeof text));
    CALL(fchownat(link, "", ANN, STAFF, AT_EMPTY_PATH));
    see("link");
    CALL(faccessat(dir, "none", F_OK, 0));
    CALL(mkdirat(dir, "below", 0755));
    OPENS(openat(dir, "below", O_RDONLY));
    OPENS(openat(dir, "../file", O_RDONLY));
    OPENS(openat(file, "x", O_RDONLY));
    see_list("dir");
}

static void unnamed(void)
{
    char path[64];
    set_up();
    int fd = OPENS(open("dir", O_TMPFILE | O_RDWR, 0600));
    if (fd >= 0) {
        write(fd, "text", 4);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW);
    }
    OPENS(open("file", O_TMPFILE | O_RDWR, 0600));
    OPENS(open("none", O_TMPFILE | O_RDWR, 0600));
    OPENS(open("dir", O_TMPFILE | O_RDONLY, 0600));
    see("named");
    see_list("dir");
}

static void descriptors(void)
{
    char text[8];
    set_up();
    int in = open("file", O_RDONLY | O_CLOEXEC), out = open("file", O_WRONLY), dir = open("dir", O_RDONLY);
    CALL(write(in, "x", 1));
    CALL(read(out, text, sizeof text));
    CALL(read(dir, text, sizeof text));
    CALL(write(dir, "x", 1));
    CALL(ftruncate(in, 0));
    CALL(ftruncate(dir, 0));
    CALL(fallocate(in, 0, 0, 10));
    CALL(fcntl(in, F_GETFD));
    CALL(fcntl(out, F_GETFD));
    CALL(fcntl(in, F_GETFL) & O_ACCMODE);
    CALL(fcntl(out, F_GETFL) & O_ACCMODE);
    CALL(fcntl(out, F_SETFL, O_APPEND));
    CALL(fcntl(out, F_GETFL) & O_APPEND);
    CALL(write(out, "+", 1));
    CALL(fcntl(out, F_SETFL, 0));
    CALL(lseek(out, 0, SEEK_SET));
    CALL(write(out, "C", 1));
    CALL(close(out));
    CALL(close(out));
    CALL(fchdir(in));
    CALL(fchdir(dir));
    see_text("../file");
}

const struct cases open_groups[] = {
    {"open", opens_what_is_there}, {"create", creates},         {"trunc", truncates}, {"path", by_path_only},
    {"tmpfile", unnamed},          {"descriptor", descriptors}, {NULL, NULL},
};
