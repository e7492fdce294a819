/* Making and removing names: mkdir, rmdir, unlink, symlink, link, mknod; what a name and a path may be. */
#include "tests/mount/posix/posix.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static void set_up(void)
{
    put("file", "content");
    mkdir("dir", 0755);
    mkdir("full", 0755);
    put("full/x", "x");
    symlink("file", "link");
    symlink("full", "dirlink");
    symlink("none", "dangling");
    symlink("loop", "loop");
}

static void directories(void)
{
    set_up();
    CALL(mkdir("new", 0750));
    see("new");
    CALL(mkdir("slash/", 0755));
    CALL(mkdir("bits", 07777));
    see("bits");
    CALL(mkdir("none/x", 0755));
    CALL(mkdir("file/x", 0755));
    CALL(mkdir("file", 0755));
    CALL(mkdir("dir", 0755));
    CALL(mkdir("link", 0755));
    CALL(mkdir("dangling", 0755));
    CALL(mkdir(".", 0755));
    CALL(mkdir("..", 0755));
    CALL(mkdir("new/..", 0755));
    CALL(mkdir("", 0755));
    CALL(mkdir("loop/x", 0755));
    CALL(mkdir("dirlink/below", 0755));
    see("full");
    see_list("full");
    CALL(rmdir("new"));
    CALL(rmdir("slash/"));
    CALL(rmdir("full"));
    CALL(rmdir("file"));
    CALL(rmdir("none"));
    CALL(rmdir("dirlink"));
    CALL(rmdir("dirlink/"));
    CALL(rmdir("link"));
    CALL(rmdir("."));
    CALL(rmdir("dir/."));
    CALL(rmdir("full/.."));
    CALL(rmdir("dir/.."));
    CALL(rmdir("full/below"));
    see("full");
    see("..");
    see_list(".");
}

static void unlinks(void)
{
    set_up();
    CALL(unlink("dir"));
    CALL(unlink("full"));
    CALL(unlink("none"));
    CALL(unlink("file/x"));
    CALL(unlink("file/"));
    CALL(unlink("link/"));
    CALL(unlink("."));
    CALL(unlink(""));
    CALL(unlink("dangling"));
    CALL(unlink("link"));
    CALL(unlink("dirlink"));
    CALL(unlink("loop"));
    see_text("file");
    CALL(unlink("file"));
    CALL(unlink("file"));
    CALL(unlinkat(AT_FDCWD, "full", AT_REMOVEDIR));
    CALL(unlinkat(AT_FDCWD, "full/x", AT_REMOVEDIR));
    CALL(unlinkat(AT_FDCWD, "full/x", 0));
    CALL(unlinkat(AT_FDCWD, "full", AT_REMOVEDIR));
    CALL(unlinkat(AT_FDCWD, "dir", 99));
    see_list(".");
}

static void symlinks(void)
{
    char target[PATH_MAX + 2], text[PATH_MAX];
    set_up();
    CALL(readlink("link", text, sizeof text));
    CALL(readlink("link", text, 2));
    CALL(readlink("link", text, 0));
    CALL(readlink("file", text, sizeof text));
    CALL(readlink("dir", text, sizeof text));
    CALL(readlink("none", text, sizeof text));
    see("link");
    see_text("link");
    see_text("dangling");
    see_text("loop");
    CALL(symlink("x", "link"));
    CALL(symlink("x", "dir"));
    CALL(symlink("x", "file/x"));
    CALL(symlink("x", "none/x"));
    CALL(symlink("x", "new/"));
    CALL(symlink("", "empty"));
    memset(target, 'x', sizeof target);
    target[PATH_MAX] = 0;
    CALL(symlink(target, "too-long"));
    target[PATH_MAX - 1] = 0;
    CALL(symlink(target, "long"));
    CALL(readlink("long", text, sizeof text));
    CALL(symlink("/nowhere/at all\n", "odd"));
    see("odd");
    CALL(symlink("two", "one"));
    CALL(symlink("one", "two"));
    see_text("one");
    CALL(chdir("one"));
    CALL(symlink("../full/x", "dir/up"));
    see_text("dir/up");
    CALL(lchown("link", ANN, STAFF));
    see("link");
    see("file");
}

/* 40 links in a row are followed, 41 are not. */
static void long_chain(void)
{
    char from[16], to[16];
    put("0", "end");
    for (int i = 0; i < 41; i++) {
        snprintf(to, sizeof to, "%d", i);
        snprintf(from, sizeof from, "%d", i + 1);
        symlink(to, from);
    }
    see_text("40");
    see_text("41");
}

static void hard_links(void)
{
    set_up();
    CALL(link("none", "new"));
    CALL(link("dir", "new"));
    CALL(link("file", "dir"));
    CALL(link("file", "none/new"));
    CALL(link("file", "hard"));
    see("hard");
    CALL(linkat(AT_FDCWD, "link", AT_FDCWD, "hardlink", 0));
    see("hardlink");
}

static void special_files(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    set_up();
    CALL(mknod("regular", S_IFREG | 0640, 0));
    see("regular");
    CALL(mknod("plain", 0600, 0));
    see("plain");
    CALL(mknod("regular", S_IFREG | 0640, 0));
    CALL(mknod("dir2", S_IFDIR | 0755, 0));
    CALL(mknod("none/x", S_IFREG | 0640, 0));
    CALL(mkfifo("fifo", 0640));
    see("fifo");
    CALL(mkfifo("file", 0640));
    CALL(mknod("device", S_IFCHR | 0600, makedev(1, 3)));
    see("device");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CALL(bind(fd, (struct sockaddr *)&address, sizeof address));
    see("socket");
}

static void lengths(void)
{
    char name[300], path[PATH_MAX + 10];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    CALL(mkdir(name, 0755));
    CALL(rmdir(name));
    put(name, "long");
    CALL(rename(name, "short"));
    CALL(rename("short", name));
    see_text(name);
    CALL(unlink(name));
    CALL(symlink("x", name));
    CALL(unlink(name));
    memset(name, 'n', 256);
    name[256] = 0;
    CALL(mkdir(name, 0755));
    CALL(access(name, F_OK));
    CALL(open(name, O_WRONLY | O_CREAT, 0644));
    CALL(symlink("x", name));
    CALL(unlink(name));
    CALL(rename("none", name));
    mkdir("d", 0755);
    memset(path, '/', sizeof path);
    memcpy(path, "d", 1);
    memcpy(path + PATH_MAX - 3, "/x", 3);
    CALL(mkdir(path, 0755));
    memcpy(path + PATH_MAX - 2, "/y", 3);
    CALL(mkdir(path, 0755));
    see_list("d");
}

static void odd_bytes(void)
{
    static const char *const names[] = {
        " ",          "  x ",         "a\nb",  "tab\tx",     "\x01\x7f", "\xff\xfe", "\xc3\xa9t\xc3\xa9",
        "e\xcc\x81t", "\xe6\x97\xa5", "*?[x]", "$(x)`x`'\"", "-rf",      "~",        "back\\slash",
        "...",        ".hidden",      "a:b",   "x{y",        "UPPER",    "upper",    "\xed\xa0\x80",
        "%s%n",       "a|b;c&d",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        put("plain", names[i]);
        CALL(rename("plain", names[i]));
        see_text(names[i]);
    }
    CALL(unlink("upper"));
    CALL(access("UPPER", F_OK));
    see_list(".");
}

const struct cases name_groups[] = {
    {"mkdir", directories},     {"unlink", unlinks}, {"symlink", symlinks}, {"chain", long_chain}, {"link", hard_links},
    {"special", special_files}, {"length", lengths}, {"bytes", odd_bytes},  {NULL, NULL},
};
