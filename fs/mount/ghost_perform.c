/* The ghost's side of a ghost: the operation on our own mount that makes the kernel raise the events. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/mount/ghost_thread.h"

enum {
    ATTEMPTS = 4,       /* a name may need to be looked up anew, and a directory may be moving in the kernel's cache */
    HANDLE_TYPE = 0x81, /* FUSE's: node id high, low, generation */
};

static int result_of(int returned)
{
    return returned < 0 ? -errno : 0;
}

/* Makes the mount's root the working directory, unless it is that of the clone. Something else may be mounted over it
 * by now. */
static int enter(const struct ghosts *ghosts)
{
    struct statx stat;
    if (ghosts->place >= 0)
        return 0;
    if (chdir(ghosts->mountpoint) < 0 || statx(AT_FDCWD, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stat) < 0)
        return -errno;
    return makedev(stat.stx_dev_major, stat.stx_dev_minor) == ghosts->device ? 0 : -ESTALE;
}

static void leave(const struct ghosts *ghosts)
{
    if (ghosts->place < 0 && chdir("/") < 0)
        perror("pactfs: a ghost cannot leave the mount");
}

static int open_inode(fuse_ino_t ino, int flags)
{
    struct {
        unsigned bytes;
        int type;
        uint32_t words[3];
    } handle = {sizeof handle.words, HANDLE_TYPE, {(uint32_t)(ino >> 32), (uint32_t)ino, 0}};
    int fd = (int)syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int ghost_open_inode(fuse_ino_t ino)
{
    return open_inode(ino, O_PATH);
}

/* As inode_of, but a thread that was left behind by ghosts_stop may outlive the mount. Under root=/sub the true root
 * has no inode: 0, which is stale to the kernel. */
static fuse_ino_t ino_of(const struct ghost_thread *thread, uint64_t id)
{
    return id == thread->ghosts->root ? FUSE_ROOT_ID : id == ROOT_ID ? 0 : id;
}

static int open_directory(const struct ghost_thread *thread, uint64_t id)
{
    return open_inode(ino_of(thread, id), O_PATH | O_DIRECTORY);
}

/* Never a file of another file system that is mounted on the name. */
static int open_name(int directory, const char *name, int flags, mode_t mode)
{
    struct open_how how = {.flags = (unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
                           .mode = mode,
                           .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
    int fd = (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
    return fd < 0 ? -errno : fd;
}

/* Space that is there already: MODIFY, and nothing else. (The time of modification alone would take one request less,
 * and no open file: fanotify hands out descriptors, and would say nothing.) Where a byte is written, or a size set, the
 * kernel counts its attributes as changed: it drops the answer to a question about them that is under way, and who
 * asked (lseek to the end, under a lock) is given the size of before. */
static int modify_and_close(int fd)
{
    int code = result_of(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1));
    close(fd);
    return code;
}

/* --- one for each kind; each in the directory `at` --- */

static int create(const struct ghost_change *change, int at)
{
    if (change->node_kind == KIND_DIRECTORY)
        return result_of(mkdirat(at, change->name, 0755));
    if (change->node_kind == KIND_SYMLINK)
        return result_of(symlinkat(".", at, change->name));
    int fd = open_name(at, change->name, O_CREAT | O_EXCL | O_WRONLY | O_NONBLOCK, 0600);
    if (fd < 0)
        return fd;
    if (change->data)
        return modify_and_close(fd);
    close(fd);
    return 0;
}

static int remove_name(const struct ghost_change *change, int at)
{
    return result_of(unlinkat(at, change->name, change->node_kind == KIND_DIRECTORY ? AT_REMOVEDIR : 0));
}

static int touch_times(int fd)
{
    struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    return result_of(utimensat(fd, "", now, AT_EMPTY_PATH));
}

static int attr(const struct ghost_thread *thread, const struct ghost_change *change, int at)
{
    struct statx stat;
    int fd = open_name(at, change->name, O_PATH, 0);
    if (fd < 0)
        return fd;
    int code = result_of(statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stat));
    if (!code && stat.stx_ino != ino_of(thread, change->id))
        code = -ESTALE; /* another has the name now: the old one's removal is announced next */
    if (!code)
        code = touch_times(fd);
    close(fd);
    return code;
}

/* The kernel has the inode, with its name: no need to look that up. The time of modification alone is MODIFY, too, and
 * a single request: a size would ask for the attributes first, and for a capability. */
static int own_data(const struct ghost_thread *thread, const struct ghost_change *change)
{
    static const struct timespec modified[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    int fd = open_inode(ino_of(thread, change->id), O_PATH);
    if (fd == -ESTALE) /* forgotten: nobody watches */
        return 0;
    if (fd < 0)
        return fd;
    int code = result_of(utimensat(fd, "", modified, AT_EMPTY_PATH));
    close(fd);
    return code;
}

static int data(const struct ghost_thread *thread, const struct ghost_change *change, int at)
{
    int fd = open_name(at, change->name, O_WRONLY | O_NONBLOCK, 0);
    if (fd == -ETXTBSY) /* a running program */
        return attr(thread, change, at);
    return fd < 0 ? fd : modify_and_close(fd);
}

/* It has got another name through this mount: the events have the one that the kernel knows. */
static int nameless(const struct ghost_thread *thread, const struct ghost_change *change)
{
    fuse_ino_t ino = ino_of(thread, change->id);
    int fd = change->kind == GHOST_DATA ? open_inode(ino, O_WRONLY | O_NONBLOCK) : -ETXTBSY;
    if (fd >= 0)
        return modify_and_close(fd);
    if (fd == -ETXTBSY)
        fd = open_inode(ino, O_PATH);
    if (fd == -ESTALE) /* forgotten: nobody watches */
        return 0;
    if (fd < 0)
        return fd;
    int code = touch_times(fd);
    close(fd);
    return code;
}

static int touch_virtual(const struct ghost_change *change)
{
    int fd = open_inode(change->id, O_WRONLY | O_NONBLOCK);
    if (fd == -ESTALE) /* the kernel does not know it: nobody watches */
        return 0;
    return fd < 0 ? fd : modify_and_close(fd);
}

static int in_directory(const struct ghost_thread *thread, const struct ghost_change *change)
{
    int at = open_directory(thread, change->parent), code = -EINVAL;
    if (at < 0)
        return at;
    if (change->kind == GHOST_CREATE)
        code = create(change, at);
    else if (change->kind == GHOST_DELETE)
        code = remove_name(change, at);
    else if (change->kind == GHOST_DATA)
        code = data(thread, change, at);
    else if (change->kind == GHOST_ATTR)
        code = attr(thread, change, at);
    close(at);
    return code;
}

static int rename_between(const struct ghost_thread *thread, const struct ghost_change *change)
{
    int from = open_directory(thread, change->parent);
    if (from < 0)
        return from;
    int to = open_directory(thread, change->to_parent), code = to;
    if (to >= 0) {
        unsigned flags = change->kind == GHOST_EXCHANGE ? RENAME_EXCHANGE : 0;
        code = result_of(renameat2(from, change->name, to, change->to_name, flags));
        close(to);
    }
    close(from);
    return code;
}

static int perform_once(const struct ghost_thread *thread, const struct ghost_change *change)
{
    switch (change->kind) {
    case GHOST_CREATE:
    case GHOST_DELETE:
        return in_directory(thread, change);
    case GHOST_DATA:
        if (change->own && change->parent)
            return own_data(thread, change);
        __attribute__((fallthrough));
    case GHOST_ATTR:
        if (change->nameless)
            return nameless(thread, change);
        return change->parent ? in_directory(thread, change) : touch_times(AT_FDCWD); /* the root's own */
    case GHOST_RENAME:
    case GHOST_EXCHANGE:
        return rename_between(thread, change);
    case GHOST_TOUCH:
        return touch_virtual(change);
    }
    return -EINVAL;
}

static void begin(struct ghost_thread *thread, const struct ghost_change *change)
{
    pthread_mutex_lock(&thread->lock);
    thread->change = change;
    thread->met = false;
    pthread_mutex_unlock(&thread->lock);
}

/* What another look may help: a name that was bound to something else, a directory on the move. */
static bool worth_repeating(int code)
{
    return code == -ENOENT || code == -ESTALE || code == -EEXIST;
}

static int attempts(struct ghost_thread *thread, const struct ghost_change *change)
{
    int code = -EINVAL;
    for (int i = 0; i < ATTEMPTS && !thread->ghosts->stopping; i++) {
        begin(thread, change);
        code = perform_once(thread, change);
        if (!worth_repeating(code))
            break;
    }
    return code;
}

/* A rename of which the kernel cannot have one of the directories any more, or which crosses the edge of root=/sub:
 * what is left of it is a creation, or a removal. */
static int half_rename(struct ghost_thread *thread, const struct ghost_change *change)
{
    struct ghost_change half = *change;
    half.kind = GHOST_CREATE;
    half.parent = change->to_parent;
    half.name = change->to_name;
    int code = attempts(thread, &half);
    if (code != -ESTALE)
        return code;
    half = *change;
    half.kind = GHOST_DELETE;
    return attempts(thread, &half);
}

int ghost_perform(struct ghost_thread *thread, const struct ghost_change *change)
{
    ghost_mounts_update(&thread->mounts, thread->ghosts->device);
    int code = enter(thread->ghosts);
    if (!code)
        code = attempts(thread, change);
    if (code == -ESTALE && change->kind == GHOST_RENAME)
        code = half_rename(thread, change);
    begin(thread, NULL);
    leave(thread->ghosts);
    return code;
}
