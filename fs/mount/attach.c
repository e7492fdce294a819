/* The FUSE session: what the kernel is told when it mounts, and which calls are handled. */
#include "fs/mount/attach.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount/estate.h"
#include "fs/mount/lock.h"
#include "fs/mount/ops.h"
#include "fs/mount/serve.h"

static void on_init(void *arg, struct fuse_conn_info *conn)
{
    (void)arg;
    /* Nothing that caches: no writeback, no readdirplus, no asynchronous direct reads, which come in any order. */
    conn->want = conn->capable &
                 (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA |
                  FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
    conn->max_background = 64;
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
    .access = op_access,
    .create = op_create,
    .fallocate = op_fallocate,
    .getlk = op_getlk,
    .setlk = op_setlk,
    .flock = op_flock,
};

/* "a,b" → "a\\,b": a comma would end the option. */
static void escape(const char *from, char *to, size_t cap)
{
    size_t len = 0;
    for (; *from && len + 3 < cap; from++) {
        if (*from == ',' || *from == '\\')
            to[len++] = '\\';
        to[len++] = *from;
    }
    to[len] = 0;
}

struct fuse_session *attach_session(const struct mount_options *options, struct mount *mount)
{
    char name[1024], arguments[2048];
    escape(options->name, name, sizeof name);
    snprintf(arguments, sizeof arguments, "fsname=%s,subtype=pactfs,nosuid,nodev%s%s", name,
             geteuid() == 0 ? ",allow_other,default_permissions" : "", options->flags);
    char *argv[] = {"pactfs", "-o", arguments, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, mount);
    fuse_opt_free_args(&args);
    return session;
}

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static bool is_escaped(const char *text, const char *path)
{
    for (; text && *path && *text; path++) {
        unsigned octal = (unsigned char)*text;
        bool escaped = *text == '\\' && sscanf(text + 1, "%3o", &octal) == 1;
        text += escaped ? 4 : 1;
        if (octal != (unsigned char)*path)
            return false;
    }
    return text && !*path && !*text;
}

dev_t attach_device(const char *mountpoint)
{
    FILE *table = fopen("/proc/self/mountinfo", "re");
    char *text = NULL;
    size_t room = 0;
    dev_t device = 0;
    while (table && getline(&text, &room, table) > 0) {
        unsigned major_number, minor_number;
        int at = 0;
        if (sscanf(text, "%*u %*u %u:%u %*s %n", &major_number, &minor_number, &at) == 2 && at &&
            is_escaped(strtok(text + at, " "), mountpoint))
            device = makedev(major_number, minor_number); /* the last one is on top */
    }
    free(text);
    if (table)
        fclose(table);
    return device;
}

static bool is_gone(const struct fuse_session *attached)
{
    struct pollfd look = {.fd = fuse_session_fd((struct fuse_session *)attached)};
    return poll(&look, 1, 0) == 1 && (look.revents & POLLERR);
}

/* The device of one that is gone may be its successor's at the same place. */
void attach_unmount(const struct fuse_session *session, const char *mountpoint, dev_t device)
{
    if (device && !is_gone(session) && attach_device(mountpoint) == device)
        umount2(mountpoint, MNT_DETACH);
}

bool mount_is_dead(const char *mountpoint)
{
    struct statfs statfs_of;
    return statfs(mountpoint, &statfs_of) && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Without root only the setuid fusermount3 may. */
static void detach_dead(const char *mountpoint)
{
    char *arguments[] = {"fusermount3", "-u", "-q", "-z", "--", (char *)mountpoint, NULL};
    pid_t child;
    if (geteuid() == 0)
        umount2(mountpoint, MNT_DETACH);
    else if (!posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ))
        waitpid(child, NULL, 0);
}

struct fuse_session *mount_attach(const struct mount_options *options)
{
    struct fuse_session *session = attach_session(options, NULL);
    if (session && mount_is_dead(options->mountpoint))
        detach_dead(options->mountpoint);
    if (session && fuse_session_mount(session, options->mountpoint)) {
        fuse_session_destroy(session);
        session = NULL;
    }
    return session;
}

int mount_attached_device(struct fuse_session *attached)
{
    return fuse_session_fd(attached);
}

static struct fuse_session *volatile left;

/* libfuse frees a session only as it unmounts, by its path, whatever is there: which may by now be what was below. Of a
 * mount that is gone it only frees; one that stays in use is left to the end of the process. */
void mount_detach(struct fuse_session *attached, const struct mount_options *options, bool keep)
{
    bool root = geteuid() == 0;
    if (root && !keep)
        attach_unmount(attached, options->mountpoint, options->estate->device);
    if ((!root && !keep) || is_gone(attached)) {
        fuse_session_unmount(attached);
        fuse_session_destroy(attached);
        return;
    }
    close(fuse_session_fd(attached));
    left = attached;
}
