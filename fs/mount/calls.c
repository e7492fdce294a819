#include "fs/mount/calls.h"

#include <inttypes.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { KINDS = FUSE_SYNCFS + 1 };

struct calls {
    _Atomic uint64_t count[KINDS];
};

static const char *const names[KINDS] = {
    [FUSE_LOOKUP] = "lookup",   [FUSE_FORGET] = "forget",     [FUSE_BATCH_FORGET] = "batch_forget",
    [FUSE_GETATTR] = "getattr", [FUSE_SETATTR] = "setattr",   [FUSE_READLINK] = "readlink",
    [FUSE_SYMLINK] = "symlink", [FUSE_MKNOD] = "mknod",       [FUSE_MKDIR] = "mkdir",
    [FUSE_UNLINK] = "unlink",   [FUSE_RMDIR] = "rmdir",       [FUSE_RENAME] = "rename",
    [FUSE_LINK] = "link",       [FUSE_RENAME2] = "rename2",   [FUSE_OPEN] = "open",
    [FUSE_READ] = "read",       [FUSE_WRITE] = "write",       [FUSE_STATFS] = "statfs",
    [FUSE_RELEASE] = "release", [FUSE_FSYNC] = "fsync",       [FUSE_SETXATTR] = "setxattr",
    [FUSE_FLUSH] = "flush",     [FUSE_GETXATTR] = "getxattr", [FUSE_LISTXATTR] = "listxattr",
    [FUSE_INIT] = "init",       [FUSE_OPENDIR] = "opendir",   [FUSE_REMOVEXATTR] = "removexattr",
    [FUSE_READDIR] = "readdir", [FUSE_FSYNCDIR] = "fsyncdir", [FUSE_RELEASEDIR] = "releasedir",
    [FUSE_GETLK] = "getlk",     [FUSE_SETLK] = "setlk",       [FUSE_SETLKW] = "setlkw",
    [FUSE_ACCESS] = "access",   [FUSE_CREATE] = "create",     [FUSE_INTERRUPT] = "interrupt",
    [FUSE_IOCTL] = "ioctl",     [FUSE_POLL] = "poll",         [FUSE_FALLOCATE] = "fallocate",
    [FUSE_LSEEK] = "lseek",
};

struct calls *calls_new(void)
{
    return calloc(1, sizeof(struct calls));
}

void calls_free(struct calls *calls)
{
    free(calls);
}

void calls_count(struct calls *calls, const void *request, size_t len)
{
    const struct fuse_in_header *header = request;
    if (len >= sizeof *header && header->opcode < KINDS)
        atomic_fetch_add_explicit(&calls->count[header->opcode], 1, memory_order_relaxed);
}

size_t calls_text(const struct calls *calls, char *to, size_t cap)
{
    size_t len = 0;
    to[0] = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t count = atomic_load_explicit(&calls->count[kind], memory_order_relaxed);
        if (!count || !names[kind])
            continue;
        int more = snprintf(to + len, cap - len, "%s %" PRIu64 "\n", names[kind], count);
        if (more < 0 || (size_t)more >= cap - len)
            break;
        len += (size_t)more;
    }
    to[len] = 0;
    return len;
}
