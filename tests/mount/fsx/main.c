/* fsx SEED OPERATIONS FILE [FILE-ON-ANOTHER-MOUNT] - random calls on one file of up to 256 KiB against a model in
 * memory (model.h, whose head says what is expected). For fsx.sh.
 *
 * Up to six handles at once, of all kinds, in one process, on one mount or two: read, pread, write, pwrite, append,
 * ftruncate, truncate, fallocate, mmap, fsync, fstat, dup, open and close. After each commit user.pact.version must
 * have grown by exactly one, and the other mount is asked to catch up (fsync of a directory). A close that does not
 * commit by itself (nothing was written after O_TRUNC) commits soon after: that is waited for. Children come and go
 * with all the descriptors: they see the committed size, and their exit commits nothing.
 *
 * Prints how many calls of each kind. At a difference: the last calls, the seed, exit 1. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/mount/fsx/model.h"

enum { LINES = 40, LINE_BYTES = 160, COMMIT_MS = 60000, PAGE = 4096 };

static struct model model;
static uint64_t seed, dice;
static long operation;
static const char *paths[MOUNTS];
static int mounts, directories[MOUNTS];
static char lines[LINES][LINE_BYTES];
static unsigned line_count;
static uint8_t buffer[FILE_BYTES], seen[FILE_BYTES + 1];

/* --- telling --- */

static void tell(const char *format, ...)
{
    va_list arguments;
    char *line = lines[line_count++ % LINES];
    int len = snprintf(line, LINE_BYTES, "%ld: ", operation);
    va_start(arguments, format);
    vsnprintf(line + len, LINE_BYTES - (size_t)len, format, arguments);
    va_end(arguments);
}

static void fault(const char *what, long expected, long got)
{
    for (unsigned i = line_count > LINES ? line_count - LINES : 0; i < line_count; i++)
        printf("%s\n", lines[i % LINES]);
    printf("seed %" PRIu64 ", operation %ld: %s: expected %ld, got %ld\n", seed, operation, what, expected, got);
    exit(1);
}

static void expect(const char *what, long expected, long got)
{
    if (got < 0 && expected != got)
        what = strerrorname_np(errno);
    if (expected != got)
        fault(what, expected, got);
}

/* In a copy from a mapping: no stdio of this program is under way. */
static void on_bus_error(int number)
{
    fault("SIGBUS in a mapping", 0, number);
}

/* --- chance --- */

static size_t chance(size_t below)
{
    dice += 0x9e3779b97f4a7c15u;
    uint64_t z = dice;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (size_t)((z ^ z >> 31) % below);
}

/* From 1 up to 64 KiB, short ones as often as long ones. */
static size_t some_len(void)
{
    return 1 + chance((size_t)1 << (1 + chance(16)));
}

static size_t some_offset(void)
{
    size_t size = model.committed.size;
    if (chance(4) == 0)
        return chance(FILE_BYTES);
    return chance(3) == 0 ? size : chance(size + 1);
}

static size_t within(size_t offset, size_t len)
{
    return offset + len > FILE_BYTES ? FILE_BYTES - offset : len;
}

static void some_bytes(size_t len)
{
    uint8_t first = (uint8_t)chance(256);
    for (size_t i = 0; i < len; i++)
        buffer[i] = (uint8_t)(first + i * 7 + (i >> 8));
}

/* --- seeing --- */

static bool writes(const struct handle *handle)
{
    return (handle->flags & O_ACCMODE) != O_RDONLY;
}

static bool reads(const struct handle *handle)
{
    return (handle->flags & O_ACCMODE) != O_WRONLY;
}

static size_t part_of(const struct content *content, size_t offset, size_t len)
{
    size_t left = content->size > offset ? content->size - offset : 0;
    return len < left ? len : left;
}

static bool is_part(const struct content *content, size_t offset, size_t len, ssize_t got)
{
    return got == (ssize_t)part_of(content, offset, len) && !memcmp(seen, content->bytes + offset, (size_t)got);
}

static void compare(const struct content *content, size_t offset, size_t len, ssize_t got)
{
    expect("bytes read", (long)part_of(content, offset, len), got);
    for (size_t i = 0; i < (size_t)got; i++)
        if (seen[i] != content->bytes[offset + i]) {
            tell("differs at %zu: %02x, not %02x", offset + i, seen[i], content->bytes[offset + i]);
            fault("content at", (long)(offset + i), (long)(offset + i));
        }
}

static uint64_t version_on(int mount)
{
    char text[32] = "";
    expect("getxattr", 1, getxattr(paths[mount], "user.pact.version", text, sizeof text - 1) > 0);
    return strtoull(text, NULL, 10);
}

static void catch_up(void)
{
    for (int i = 0; i < mounts; i++)
        if (mounts > 1)
            expect("fsync of a directory", 0, fsync(directories[i]));
}

/* Everything that the model has committed is, and is one transaction each. */
static void committed(int mount)
{
    expect("user.pact.version", (long)model.version, (long)version_on(mount));
    catch_up();
}

static void committed_soon(int mount)
{
    struct timespec pause = {.tv_nsec = 100000};
    for (int ms = 0; version_on(mount) < model.version && ms < COMMIT_MS * 10; ms++)
        nanosleep(&pause, NULL);
    committed(mount);
}

/* --- the calls --- */

static void do_read(struct handle *handle, size_t offset, size_t len, bool positioned)
{
    tell("%s(%d, %zu at %zu)", positioned ? "pread" : "read", handle->fd, len, offset);
    ssize_t got = positioned ? pread(handle->fd, seen, len, (off_t)offset) : read(handle->fd, seen, len);
    const struct content *content = model_reads(&model, handle, offset);
    if (!is_part(content, offset, len, got) && model_may_be_new(&model, handle))
        content = &model.committed;
    compare(content, offset, len, got);
    model_has_read(handle, offset, (size_t)got);
    if (!positioned)
        handle->position += (size_t)got;
}

static void seek(struct handle *handle, size_t offset)
{
    tell("lseek(%d, %zu)", handle->fd, offset);
    expect("lseek", (long)offset, lseek(handle->fd, (off_t)offset, SEEK_SET));
    handle->position = offset;
}

static void read_here(struct handle *handle)
{
    if (!reads(handle))
        return;
    if (chance(4) == 0)
        seek(handle, chance(2) ? 0 : some_offset());
    do_read(handle, handle->position, some_len(), false);
}

static void read_there(struct handle *handle)
{
    if (reads(handle))
        do_read(handle, chance(3) ? some_offset() : handle->next, some_len(), true);
}

static void append(struct handle *handle)
{
    size_t len = within(model.committed.size, some_len());
    size_t view = handle->staged ? handle->view.size : 0;
    if (!len || view + len > FILE_BYTES)
        return;
    some_bytes(len);
    tell("append(%d, %zu)", handle->fd, len);
    expect("append", (long)len, write(handle->fd, buffer, len));
    model_commit(&model, handle, buffer, len);
    committed(handle->mount);
    seek(handle, chance(FILE_BYTES));
}

static void write_to(struct handle *handle, bool positioned)
{
    size_t offset = positioned ? some_offset() : handle->position, len = within(offset, some_len());
    if (!writes(handle) || !len || handle->writes >= STAGED_WRITES)
        return;
    if (handle->flags & O_APPEND) {
        append(handle);
        return;
    }
    some_bytes(len);
    tell("%s(%d, %zu at %zu)", positioned ? "pwrite" : "write", handle->fd, len, offset);
    ssize_t done = positioned ? pwrite(handle->fd, buffer, len, (off_t)offset) : write(handle->fd, buffer, len);
    expect("write", (long)len, done);
    model_write(&model, handle, offset, buffer, len);
    if (!positioned)
        handle->position += len;
}

static void write_here(struct handle *handle)
{
    if (!(handle->flags & O_APPEND) && chance(4) == 0)
        seek(handle, some_offset());
    write_to(handle, false);
}

static void write_there(struct handle *handle)
{
    write_to(handle, true);
}

static void cut(struct handle *handle)
{
    size_t size = some_offset();
    if (!writes(handle) || handle->writes >= STAGED_WRITES)
        return;
    tell("ftruncate(%d, %zu)", handle->fd, size);
    expect("ftruncate", 0, ftruncate(handle->fd, (off_t)size));
    model_cut(&model, handle, size);
}

static void cut_by_name(struct handle *handle)
{
    size_t size = some_offset();
    tell("truncate(%zu) on mount %d", size, handle->mount);
    expect("truncate", 0, truncate(paths[handle->mount], (off_t)size));
    model_truncate(&model, handle->mount, size);
    committed(handle->mount);
}

static void allocate(struct handle *handle)
{
    size_t offset = some_offset(), len = within(offset, some_len());
    size_t size = handle->staged ? handle->view.size : model.committed.size;
    bool punch = chance(2);
    if (!writes(handle) || !len || handle->writes >= STAGED_WRITES)
        return;
    tell("fallocate(%d, %s, %zu at %zu)", handle->fd, punch ? "punch" : "grow", len, offset);
    int mode = punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
    expect("fallocate", 0, fallocate(handle->fd, mode, (off_t)offset, (off_t)len));
    if (punch)
        model_punch(&model, handle, offset, len);
    else if (offset + len > size)
        model_cut(&model, handle, offset + len);
}

static void sync_it(struct handle *handle)
{
    tell("fsync(%d)", handle->fd);
    expect("fsync", 0, fsync(handle->fd));
    model_commit(&model, handle, NULL, 0);
    committed(handle->mount);
}

static void see_size(struct handle *handle)
{
    struct stat stat;
    tell("fstat(%d)", handle->fd);
    expect("fstat", 0, fstat(handle->fd, &stat));
    expect("st_size", (long)model_size(&model, handle->mount), stat.st_size);
}

/* Pages, and the size up to which they can be mapped, are one for all handles of a mount: what is staged through
 * another one may be in them, and whoever asks for the committed size makes the kernel cut them there. */
static void map(struct handle *handle)
{
    const struct content *content = handle->staged ? &handle->view : &model.committed;
    size_t size = content->size < model.committed.size ? content->size : model.committed.size;
    size_t from = size ? chance(size) / PAGE * PAGE : 0;
    if (!size || !reads(handle) || model_others_staged(&model, handle))
        return;
    see_size(handle); /* the kernel takes notice of the size, as it does for every program that asks how much to map */
    tell("mmap(%d, %zu at %zu)", handle->fd, size - from, from);
    uint8_t *at = mmap(NULL, size - from, PROT_READ, chance(2) ? MAP_SHARED : MAP_PRIVATE, handle->fd, (off_t)from);
    expect("mmap", 1, at != MAP_FAILED);
    memcpy(seen, at, size - from);
    compare(content, from, size - from, (ssize_t)(size - from));
    munmap(at, size - from);
}

static void close_it(struct handle *handle)
{
    bool later = !handle->written;
    int fd = handle->fd;
    tell("close(%d)%s", fd, !handle->staged ? "" : later ? ": commits later" : ": commits");
    expect("close", 0, close(fd));
    handle->fd = -1;
    if (!handle->staged)
        return;
    model_commit(&model, handle, NULL, 0);
    if (later)
        committed_soon(handle->mount);
    else
        committed(handle->mount);
}

static void open_it(struct handle *handle)
{
    static const int flags[] = {
        O_RDONLY, O_RDONLY, O_RDWR, O_RDWR, O_WRONLY, O_RDWR | O_APPEND, O_WRONLY | O_APPEND, O_RDWR | O_TRUNC};
    handle->flags = flags[chance(sizeof flags / sizeof *flags)];
    handle->mount = (int)chance((size_t)mounts);
    handle->fd = open(paths[handle->mount], handle->flags | O_CLOEXEC);
    tell("open(%#o) on mount %d: %d", (unsigned)handle->flags, handle->mount, handle->fd);
    expect("open", 1, handle->fd >= 0);
    model_open(&model, handle);
}

/* A close that is not the last one: nothing happens. */
static void dup_and_close(struct handle *handle)
{
    tell("dup(%d) and close", handle->fd);
    int fd = dup(handle->fd);
    expect("dup", 1, fd >= 0);
    expect("close", 0, close(fd));
    committed(handle->mount);
}

static void child(struct handle *handle)
{
    tell("a child sees mount %d", handle->mount);
    struct stat stat;
    pid_t pid = fork();
    if (!pid) /* Not the same size: 1. */
        _exit(lstat(paths[handle->mount], &stat) || stat.st_size != (off_t)model.committed.size);
    int status = -1;
    expect("fork", pid, waitpid(pid, &status, 0));
    expect("the child", 0, status);
    committed(handle->mount);
}

static const struct {
    const char *name;
    unsigned weight;
    void (*call)(struct handle *handle);
} calls[] = {
    {"read", 20, read_here},    {"pread", 15, read_there},
    {"write", 12, write_here},  {"pwrite", 12, write_there},
    {"ftruncate", 5, cut},      {"truncate", 2, cut_by_name},
    {"fallocate", 4, allocate}, {"fsync", 4, sync_it},
    {"fstat", 8, see_size},     {"mmap", 8, map},
    {"close", 7, close_it},     {"dup", 2, dup_and_close},
    {"fork", 1, child},
};
enum { CALLS = sizeof calls / sizeof *calls, WEIGHTS = 100 };
static long counts[CALLS];

static void step(void)
{
    struct handle *handle = &model.handles[chance(HANDLES)];
    size_t thrown = chance(WEIGHTS), call = 0;
    if (handle->fd < 0) {
        open_it(handle);
        return;
    }
    while (thrown >= calls[call].weight)
        thrown -= calls[call++].weight;
    counts[call]++;
    calls[call].call(handle);
}

/* Everything closed, a new descriptor sees what the model has. */
static void see_all(void)
{
    for (int i = 0; i < HANDLES; i++)
        if (model.handles[i].fd >= 0)
            close_it(&model.handles[i]);
    for (int mount = 0; mount < mounts; mount++) {
        int fd = open(paths[mount], O_RDONLY | O_CLOEXEC);
        tell("the end, on mount %d", mount);
        expect("open", 1, fd >= 0);
        compare(&model.committed, 0, FILE_BYTES, pread(fd, seen, sizeof seen, 0));
        close(fd);
    }
}

static void begin(char **files)
{
    for (int i = 0; i < mounts; i++) {
        char copy[PATH_MAX];
        snprintf(copy, sizeof copy, "%s", files[i]);
        paths[i] = files[i];
        directories[i] = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        expect("open the directory", 1, directories[i] >= 0);
    }
    for (int i = 0; i < HANDLES; i++)
        model.handles[i].fd = -1;
    int fd = open(paths[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    expect("create", 1, fd >= 0);
    expect("write", 1, write(fd, "", 1));
    expect("close", 0, close(fd));
    model.committed.size = 1;
    model.version = version_on(0);
    catch_up();
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 3 + MOUNTS)
        return 2;
    seed = dice = strtoull(argv[1], NULL, 10);
    mounts = argc - 3;
    signal(SIGBUS, on_bus_error);
    begin(argv + 3);
    for (long count = strtol(argv[2], NULL, 10); operation < count; operation++)
        step();
    see_all();
    for (size_t i = 0; i < CALLS; i++)
        printf("%s%ld %s", i ? ", " : "", counts[i], calls[i].name);
    printf("; %" PRIu64 " transactions\n", model.version);
    return 0;
}
