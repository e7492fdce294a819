/* op CALL ARGUMENT... - makes one system call and prints OK or the name of its errno; SIGUSR1 interrupts it.
 *
 *   mkdir P | rmdir P | unlink P | creat P (O_EXCL) | open P (O_RDONLY) | openw P (O_WRONLY) | symlink TARGET P
 *   link OLD P | fifo P | device P | file P (mknod) | rename OLD P [noreplace|exchange] | truncate P SIZE | chmod P
 *   write P SIZE (O_TRUNC, write, close) | append P SIZE | stat P | lstat P | setxattr P NAME | removexattr P NAME
 *   getxattr P NAME | fsync P | fallocate P SIZE | unlinked P (what is left of an open file that is removed) */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *argument[8];

static int open_for(int flags)
{
    return open(argument[0], flags | O_CLOEXEC, 0644);
}

static int do_mkdir(void)
{
    return mkdir(argument[0], 0755);
}

static int do_rmdir(void)
{
    return rmdir(argument[0]);
}

static int do_unlink(void)
{
    return unlink(argument[0]);
}

static int do_creat(void)
{
    int fd = open_for(O_WRONLY | O_CREAT | O_EXCL);
    return fd < 0 ? -1 : close(fd);
}

static int do_open(void)
{
    return open_for(O_RDONLY);
}

static int do_openw(void)
{
    return open_for(O_WRONLY);
}

static int do_symlink(void)
{
    return symlink(argument[0], argument[1]);
}

static int do_link(void)
{
    return link(argument[0], argument[1]);
}

static int do_fifo(void)
{
    return mkfifo(argument[0], 0644);
}

static int do_device(void)
{
    return mknod(argument[0], S_IFCHR | 0644, makedev(1, 3));
}

static int do_file(void)
{
    return mknod(argument[0], S_IFREG | 0644, 0);
}

static int do_rename(void)
{
    unsigned flags = !argument[2] ? 0 : strcmp(argument[2], "exchange") ? RENAME_NOREPLACE : RENAME_EXCHANGE;
    return renameat2(AT_FDCWD, argument[0], AT_FDCWD, argument[1], flags);
}

static int do_truncate(void)
{
    return truncate(argument[0], atol(argument[1]));
}

static int do_chmod(void)
{
    return chmod(argument[0], 0600);
}

/* So many bytes, by as many write(2) as it takes. */
static int write_all(int fd)
{
    size_t len = (size_t)atol(argument[1]), done = 0;
    char *at = calloc(1, len + 1);
    ssize_t part = fd < 0 || !at ? -1 : 0;
    while (part >= 0 && done < len) {
        part = write(fd, at + done, len - done);
        done += part > 0 ? (size_t)part : 0;
    }
    free(at);
    return part < 0 ? -1 : 0;
}

static int do_write(void)
{
    int fd = open_for(O_WRONLY | O_CREAT | O_TRUNC);
    return write_all(fd) ? -1 : close(fd);
}

static int do_append(void)
{
    int fd = open_for(O_WRONLY | O_CREAT | O_APPEND);
    return write_all(fd) ? -1 : close(fd);
}

static int do_stat(void)
{
    struct stat stat_of;
    return stat(argument[0], &stat_of);
}

static int do_lstat(void)
{
    struct stat stat_of;
    return lstat(argument[0], &stat_of);
}

static int do_setxattr(void)
{
    return setxattr(argument[0], argument[1], "value", 5, 0);
}

static int do_removexattr(void)
{
    return removexattr(argument[0], argument[1]);
}

static int do_getxattr(void)
{
    char value[256];
    return (int)getxattr(argument[0], argument[1], value, sizeof value);
}

static int do_fsync(void)
{
    int fd = open_for(O_RDONLY);
    return fd < 0 ? -1 : fsync(fd);
}

static int do_fallocate(void)
{
    int fd = open_for(O_WRONLY);
    return fd < 0 || fallocate(fd, 0, 0, atol(argument[1])) ? -1 : close(fd);
}

static int expect(int ok, const char *what)
{
    if (!ok)
        printf("%s: ", what);
    errno = ok ? 0 : errno ? errno : EIO;
    return ok ? 0 : -1;
}

/* A file that is open and removed goes on as a file without a name, for all its descriptors. */
static int do_unlinked(void)
{
    char content[16] = "";
    struct stat stat_of;
    int fd = open_for(O_RDWR | O_CREAT | O_TRUNC), reader = open_for(O_RDONLY);
    if (fd < 0 || reader < 0 || write(fd, "before", 6) != 6 || fsync(fd) || unlink(argument[0]))
        return -1;
    if (expect(!fstat(fd, &stat_of) && stat_of.st_nlink == 0 && stat_of.st_size == 6, "fstat after unlink") ||
        expect(pread(fd, content, 16, 0) == 6 && !memcmp(content, "before", 6), "read after unlink") ||
        expect(pwrite(fd, "after!!", 7, 0) == 7 && !fsync(fd), "write after unlink") ||
        expect(pread(fd, content, 16, 0) == 7 && !memcmp(content, "after!!", 7), "read what was written") ||
        expect(pread(reader, content, 16, 1) == 6 && !memcmp(content, "fter!!", 6), "read it by another descriptor") ||
        expect(!ftruncate(fd, 2) && !fsync(fd) && !fstat(fd, &stat_of) && stat_of.st_nlink == 0, "ftruncate") ||
        expect(access(argument[0], F_OK) && errno == ENOENT, "the name"))
        return -1;
    return expect(!close(fd) && !close(reader), "close");
}

static const struct {
    const char *name;
    int (*run)(void);
} calls[] = {
    {"mkdir", do_mkdir},       {"rmdir", do_rmdir},   {"unlink", do_unlink},       {"creat", do_creat},
    {"open", do_open},         {"openw", do_openw},   {"symlink", do_symlink},     {"link", do_link},
    {"fifo", do_fifo},         {"device", do_device}, {"file", do_file},           {"rename", do_rename},
    {"truncate", do_truncate}, {"chmod", do_chmod},   {"write", do_write},         {"append", do_append},
    {"stat", do_stat},         {"lstat", do_lstat},   {"setxattr", do_setxattr},   {"removexattr", do_removexattr},
    {"getxattr", do_getxattr}, {"fsync", do_fsync},   {"fallocate", do_fallocate}, {"unlinked", do_unlinked},
};

static void on_signal(int number)
{
    (void)number;
}

int main(int argc, char **argv)
{
    struct sigaction interrupt = {.sa_handler = on_signal}; /* without SA_RESTART */
    sigaction(SIGUSR1, &interrupt, NULL);
    for (int i = 2; i < argc && i < 10; i++)
        argument[i - 2] = argv[i];
    for (size_t i = 0; argc > 2 && i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(argv[1], calls[i].name)) {
            puts(calls[i].run() < 0 ? strerrorname_np(errno) : "OK");
            return 0;
        }
    fprintf(stderr, "op: no such call, or nothing to call it on\n");
    return 2;
}
