/* mmap: private and shared, for reading and for writing. */
#include "tests/mount/posix/posix.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

/* The mapping, or NULL; prints "ok" or the errno. */
static char *maps(const char *what, int protection, int flags, int fd)
{
    errno = 0;
    char *at = mmap(NULL, PAGE, protection, flags, fd, 0);
    opened(what, at == MAP_FAILED ? -1 : 0);
    return at == MAP_FAILED ? NULL : at;
}

static void privately(void)
{
    put("file", "content");
    int fd = open("file", O_RDONLY);
    char *at = maps("private, to read", PROT_READ, MAP_PRIVATE, fd);
    if (at)
        says("it reads", "%s", at);
    at = maps("private, to write", PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
    if (at) {
        memcpy(at, "CON", 3);
        says("its own copy", "%s", at);
    }
    see_text("file");
    CALL(close(fd));
    if (at)
        says("after close", "%s", at);
    fd = open("file", O_WRONLY);
    maps("of a descriptor that cannot read", PROT_READ, MAP_PRIVATE, fd);
    maps("to execute", PROT_READ | PROT_EXEC, MAP_PRIVATE, open("file", O_RDONLY));
    maps("of a directory", PROT_READ, MAP_PRIVATE, open(".", O_RDONLY));
}

static void shared_to_read(void)
{
    put("file", "content");
    int fd = open("file", O_RDONLY);
    char *at = maps("shared, to read", PROT_READ, MAP_SHARED, fd);
    if (!at)
        return;
    says("it reads", "%s", at);
    int writer = open("file", O_WRONLY);
    CALL(pwrite(writer, "CON", 3, 0));
    CALL(close(writer));
    says("after a write and close", "%s", at);
    put("file", "all new");
    says("after a rewrite", "%s", at);
    CALL(unlink("file"));
    says("after unlink", "%s", at);
    CALL(munmap(at, PAGE));
}

static void shared_to_write(void)
{
    put("file", "content");
    char *at = maps("of a read-only descriptor", PROT_READ | PROT_WRITE, MAP_SHARED, open("file", O_RDONLY));
    int fd = open("file", O_RDWR);
    at = maps("shared, to write", PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    if (!at)
        return;
    memcpy(at, "CON", 3);
    CALL(msync(at, PAGE, MS_SYNC));
    CALL(munmap(at, PAGE));
    CALL(close(fd));
    see_text("file");
}

const struct cases mapping_groups[] = {
    {"mmap-private", privately},
    {"mmap-read", shared_to_read},
    {"mmap-write", shared_to_write},
    {NULL, NULL},
};
