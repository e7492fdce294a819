#include "fs/mount/closing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/mount/fdtable.h"

/* Reads a small file of /proc. The length; 0 if it can't be read. NUL-terminates. */
static size_t read_proc(pid_t pid, const char *name, char *to, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, to, cap - 1);
    close(fd);
    if (len < 0)
        len = 0;
    to[len] = 0;
    return (size_t)len;
}

pid_t process_of(pid_t tid)
{
    char text[4096];
    if (tid <= 0)
        return 0;
    /* Only the leader of a group is in the group of its own number: far cheaper than /proc/TID/status. */
    if (syscall(SYS_tgkill, tid, tid, 0) == 0 || errno == EPERM)
        return tid;
    if (!read_proc(tid, "status", text, sizeof text))
        return 0;
    const char *at = strstr(text, "\nTgid:");
    return at ? (pid_t)strtol(at + 6, NULL, 10) : 0;
}

/* The number after a name in a text of lines; -1 if it is not there. */
static int64_t field(const char *text, const char *name, int base)
{
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, base) : -1;
}

/* Whether a mount of the process's namespace is on this device. mountinfo: "36 35 98:0 /root /mountpoint …". */
static bool mount_is_on(pid_t pid, int64_t mount_id, dev_t device)
{
    char path[64], line[8192], wanted[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
    snprintf(wanted, sizeof wanted, " %u:%u ", major(device), minor(device));
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file))
        if (strtoll(line, NULL, 10) == mount_id) {
            const char *at = strstr(line, wanted);
            found = at && at < line + 32; /* the third field */
        }
    fclose(file);
    return found;
}

/* Whether a descriptor writes to the inode. (Not by a stat of /proc/PID/fd/N: in an execve that closes its descriptors
 * it waits for us.) */
static bool writes_to(struct fdtable *table, int fd, uint64_t ino, dev_t device)
{
    char text[1024];
    if (!fdtable_info(table, fd, text, sizeof text))
        return false;
    int64_t flags = field(text, "flags:", 8), mount_id = field(text, "mnt_id:", 10);
    const char *at = strstr(text, "ino:");
    if (flags < 0 || !at || strtoull(at + 4, NULL, 10) != ino)
        return false;
    if ((flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY)
        return false;
    return mount_is_on(fdtable_pid(table), mount_id, device);
}

/* The open files of a process that its descriptors have shown so far, a descriptor of each. Beyond FILES_MAX, and where
 * it cannot be told which are duplicates, each descriptor counts. */
enum { FILES_MAX = 16, KIN_MAX = 64 };
struct open_files {
    pid_t pid;
    bool comparable;
    int list[FILES_MAX];
    unsigned count;
};

/* Whether the process has any code, which in an execve that closes its descriptors it has not yet: a lock that kcmp
 * needs is held then until we answer. */
static bool has_code(pid_t pid)
{
    char text[256];
    unsigned long code;
    return read_proc(pid, "statm", text, sizeof text) && sscanf(text, "%*u %*u %*u %lu", &code) == 1 && code > 0;
}

static void count_file(struct open_files *files, int fd)
{
    if (files->count == 1)
        files->comparable = has_code(files->pid);
    for (unsigned i = 0; i < files->count && i < FILES_MAX && files->comparable; i++)
        if (syscall(SYS_kcmp, files->pid, files->pid, KCMP_FILE, fd, files->list[i]) == 0)
            return;
    if (files->count < FILES_MAX)
        files->list[files->count] = fd;
    files->count++;
}

enum table { TABLE_EMPTY, TABLE_HARMLESS, TABLE_WRITES };

/* What the descriptor table of a process has: nothing at all, something, or more than `others` open files that write to
 * the inode. With ino 0 the first descriptor found is enough. */
static enum table look_at_table(struct fdtable *of, uint64_t ino, dev_t device, unsigned others)
{
    enum table table = TABLE_EMPTY;
    struct open_files files = {.pid = fdtable_pid(of)};
    fdtable_rewind(of);
    for (int fd; table != TABLE_WRITES && (fd = fdtable_next(of)) >= 0;) {
        if (ino && writes_to(of, fd, ino, device))
            count_file(&files, fd);
        table = files.count > others ? TABLE_WRITES : TABLE_HARMLESS;
        if (!ino)
            break;
    }
    return table;
}

static enum table look_once(pid_t pid, uint64_t ino, dev_t device)
{
    struct fdtable *of = fdtable_open(pid);
    enum table table = look_at_table(of, ino, device, 0);
    fdtable_close(of);
    return table;
}

/* --- descendants --- */

struct kin {
    uint64_t ino;
    dev_t device;
    unsigned left; /* how many more are looked at */
};

static bool kin_writes(pid_t pid, struct kin *kin);

/* Those that one thread has made: "PID PID …". */
static bool children_write(int tasks, const char *tid, struct kin *kin)
{
    char path[300], text[4096];
    snprintf(path, sizeof path, "%s/children", tid);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (len < 0)
        return errno != ENOENT || faccessat(tasks, tid, F_OK, 0) == 0; /* the thread has ended, or the kernel cannot */
    text[len] = 0;
    for (char *at = text, *end; strtol(at, &end, 10) > 0; at = end) {
        pid_t child = (pid_t)strtol(at, NULL, 10);
        if (!kin->left-- || look_once(child, kin->ino, kin->device) == TABLE_WRITES || kin_writes(child, kin))
            return true;
    }
    return false;
}

static bool kin_writes(pid_t pid, struct kin *kin)
{
    char path[64];
    const struct dirent *entry;
    bool writes = false;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return false;
    while (!writes && (entry = readdir(tasks)))
        if (entry->d_name[0] != '.')
            writes = children_write(dirfd(tasks), entry->d_name, kin);
    closedir(tasks);
    return writes;
}

/* A descriptor on its way through a socket is in no table. */
static bool has_socket(pid_t pid)
{
    char path[64], target[16];
    const struct dirent *entry;
    bool has = false;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *descriptors = opendir(path);
    if (!descriptors)
        return true;
    while (!has && (entry = readdir(descriptors)))
        has =
            readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target) > 7 && !strncmp(target, "socket:", 7);
    closedir(descriptors);
    return has;
}

bool closing_alone(pid_t opener, uint64_t ino, dev_t device)
{
    struct kin kin = {.ino = ino, .device = device, .left = KIN_MAX};
    if (!opener || kin_writes(opener, &kin))
        return false;
    return kin.left == KIN_MAX || !has_socket(opener);
}

/* Whether a process is being killed. Its memory is gone first: statm reads zeros. Only then may `stat` be read:
 * before, in an execve that closes its descriptors, a lock that reading needs is held until we answer. */
static bool is_being_killed(pid_t pid)
{
    char text[4096];
    if (!read_proc(pid, "statm", text, sizeof text) || strncmp(text, "0 ", 2))
        return false;
    if (!read_proc(pid, "stat", text, sizeof text))
        return false;
    const char *code = strrchr(text, ' '); /* the last field */
    return code && (strtol(code, NULL, 10) & 0x7f);
}

enum closing closing_judge(struct fdtable *opener, pid_t flusher, uint64_t ino, dev_t device, unsigned others)
{
    enum table table = look_at_table(opener, ino, device, others);
    if (table == TABLE_WRITES)
        return CLOSING_NOT;
    if (flusher <= 0 || (flusher == fdtable_pid(opener) && table != TABLE_EMPTY))
        return CLOSING_COMMIT;
    if (look_once(flusher, 0, 0) == TABLE_EMPTY && is_being_killed(flusher))
        return CLOSING_DISCARD;
    return CLOSING_COMMIT;
}
