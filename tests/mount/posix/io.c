/* Reading, writing, seeking, sizes: of one open file, of several at once. */
#include "tests/mount/posix/posix.h"

#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

static void reads(void)
{
    char text[64] = "";
    struct iovec parts[] = {{text, 2}, {text + 2, 3}};
    put("file", "0123456789");
    int fd = open("file", O_RDONLY);
    CALL(read(fd, text, 4));
    CALL(read(fd, text, 0));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pread(fd, text, 4, 8));
    CALL(pread(fd, text, 4, 10));
    CALL(pread(fd, text, 4, 1000));
    CALL(pread(fd, text, 4, -1));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(readv(fd, parts, 2));
    says("readv gave", "%.5s", text);
    CALL(read(fd, text, 64));
    CALL(read(fd, text, 64));
    CALL(preadv(fd, parts, 2, 7));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(read(fd, nowhere, 4));
    CALL(readahead(fd, 0, 4096));
    CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

static void seeks(void)
{
    put("file", "0123456789");
    int fd = open("file", O_RDWR);
    CALL(lseek(fd, 3, SEEK_SET));
    CALL(lseek(fd, 3, SEEK_CUR));
    CALL(lseek(fd, -7, SEEK_CUR));
    CALL(lseek(fd, -1, SEEK_SET));
    CALL(lseek(fd, 0, SEEK_END));
    CALL(lseek(fd, 5, SEEK_END));
    CALL(lseek(fd, -10, SEEK_END));
    CALL(lseek(fd, -11, SEEK_END));
    CALL(lseek(fd, 0, 99));
    CALL(lseek(fd, 0, SEEK_DATA));
    CALL(lseek(fd, 4, SEEK_DATA));
    CALL(lseek(fd, 10, SEEK_DATA));
    CALL(lseek(fd, 11, SEEK_DATA));
    CALL(lseek(fd, -1, SEEK_DATA));
    CALL(lseek(fd, 0, SEEK_HOLE));
    CALL(lseek(fd, 10, SEEK_HOLE));
    CALL(lseek(fd, 20, SEEK_HOLE));
    CALL(write(fd, "abc", 3));
    CALL(lseek(fd, 0, SEEK_END));
    CALL(lseek(fd, 0, SEEK_HOLE));
}

static void writes(void)
{
    char text[16] = "";
    struct iovec parts[] = {{"ab", 2}, {"cde", 3}};
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    CALL(write(fd, "0123456789", 10));
    CALL(write(fd, "x", 0));
    see_fd("after write", fd);
    CALL(pwrite(fd, "XY", 2, 4));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pwrite(fd, "x", 1, -1));
    CALL(pread(fd, text, 10, 0));
    says("pread gave", "%s", text);
    CALL(writev(fd, parts, 2));
    CALL(pwritev(fd, parts, 2, 0));
    CALL(write(fd, nowhere, 4));
    CALL(lseek(fd, 20, SEEK_SET));
    CALL(write(fd, "end", 3));
    see_fd("after a hole", fd);
    CALL(fsync(fd));
    see_text("file");
    CALL(fdatasync(fd));
    CALL(sync_file_range(fd, 0, 4, SYNC_FILE_RANGE_WRITE));
    CALL(syncfs(fd));
    CALL(close(fd));
    see("file");
    int half = open("file", O_WRONLY);
    CALL(pwrite(half, "--", 2, 21));
    CALL(close(half));
    see_text("file");
}

static void truncates(void)
{
    put("file", "0123456789");
    CALL(truncate("file", 4));
    see_text("file");
    CALL(truncate("file", 8));
    see_text("file");
    CALL(truncate("file", -1));
    CALL(truncate("none", 0));
    CALL(truncate("file/x", 0));
    CALL(truncate(".", 0));
    CALL(truncate("file", 0));
    see("file");
    int fd = open("file", O_RDWR);
    CALL(write(fd, "abcdef", 6));
    CALL(ftruncate(fd, 3));
    see_fd("cut", fd);
    CALL(ftruncate(fd, 5));
    see_fd("longer again", fd);
    CALL(ftruncate(fd, -1));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(write(fd, "X", 1));
    CALL(close(fd));
    see_text("file");
    fd = open("file", O_RDONLY);
    CALL(ftruncate(fd, 0));
    CALL(close(fd));
    symlink("file", "link");
    CALL(truncate("link", 2));
    see_text("file");
}

static void allocates(void)
{
    put("file", "0123456789");
    int fd = open("file", O_RDWR);
    CALL(fallocate(fd, 0, 0, 4));
    see_fd("within", fd);
    CALL(fallocate(fd, 0, 8, 8));
    see_fd("beyond", fd);
    CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
    see_fd("keeping the size", fd);
    CALL(fallocate(fd, 0, 0, 0));
    CALL(fallocate(fd, 0, -1, 4));
    CALL(posix_fallocate(fd, 0, 20));
    see_fd("posix_fallocate", fd);
    CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 4));
    CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 2, 4));
    CALL(fallocate(fd, FALLOC_FL_ZERO_RANGE, 6, 2));
    CALL(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    CALL(close(fd));
    see_text("file");
}

/* Up to the largest size that a file has here. */
static void large(void)
{
    static char text[MIB];
    memset(text, 'x', sizeof text);
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    CALL(write(fd, text, sizeof text));
    see_fd("1 MiB", fd);
    CALL(pwrite(fd, "yz", 2, 4095));
    CALL(ftruncate(fd, MIB - 1));
    CALL(pwrite(fd, "e", 1, MIB - 1));
    CALL(close(fd));
    see_text("file");
    CALL(truncate("sparse", MIB));
    put("sparse", "");
    CALL(truncate("sparse", MIB));
    see_text("sparse");
    fd = open("sparse", O_RDWR);
    CALL(pwrite(fd, "x", 1, 500000));
    CALL(close(fd));
    see_text("sparse");
}

static void copies(void)
{
    int pipe_ends[2];
    off_t from = 2, to = 1;
    put("from", "0123456789");
    put("to", "abcdefghij");
    int in = open("from", O_RDONLY), out = open("to", O_RDWR);
    CALL(copy_file_range(in, &from, out, &to, 4, 0));
    CALL(from);
    CALL(to);
    CALL(copy_file_range(in, NULL, out, NULL, 2, 0));
    CALL(lseek(out, 0, SEEK_CUR));
    CALL(copy_file_range(out, NULL, in, NULL, 2, 0));
    CALL(copy_file_range(out, &(off_t){0}, out, &(off_t){1}, 2, 0));
    CALL(sendfile(out, in, NULL, 100));
    CALL(sendfile(out, in, NULL, 100));
    CALL(fsync(out));
    see_text("to");
    CALL(pipe(pipe_ends));
    CALL(splice(in, &(off_t){0}, pipe_ends[1], NULL, 6, 0));
    CALL(splice(pipe_ends[0], NULL, out, &(off_t){20}, 6, 0));
    CALL(close(out));
    see_text("to");
}

static void two_descriptors(void)
{
    char text[16] = "";
    put("file", "0123456789");
    int one = open("file", O_RDWR), two = open("file", O_RDWR), same = dup(one);
    CALL(read(one, text, 3));
    CALL(lseek(same, 0, SEEK_CUR));
    CALL(lseek(two, 0, SEEK_CUR));
    CALL(lseek(same, 7, SEEK_SET));
    CALL(lseek(one, 0, SEEK_CUR));
    CALL(write(one, "A", 1));
    CALL(write(same, "B", 1));
    CALL(write(two, "C", 1));
    CALL(close(one));
    CALL(write(same, "D", 1));
    CALL(close(same));
    CALL(close(two));
    see_text("file");
    CALL(dup2(5000, 6));
    one = open("file", O_RDONLY);
    CALL(fcntl(fcntl(one, F_DUPFD_CLOEXEC, 50), F_GETFD));
    CALL(fcntl(fcntl(one, F_DUPFD, 60), F_GETFD));
}

static void reader_and_writer(void)
{
    char text[16] = "";
    put("file", "old");
    int reader = open("file", O_RDONLY), writer = open("file", O_WRONLY | O_TRUNC);
    CALL(write(writer, "newer", 5));
    CALL(close(writer));
    CALL(pread(reader, text, sizeof text, 0));
    says("the open reader", "%s", text);
    see_fd("the open reader's size", reader);
    CALL(rename("file", "moved"));
    CALL(pread(reader, text, sizeof text, 0));
    put("file", "another");
    see_fd("after another took the name", reader);
    writer = open("moved", O_WRONLY);
    CALL(rename("moved", "again"));
    CALL(write(writer, "NEW", 3));
    CALL(close(writer));
    see_text("again");
}

/* A process finds by another descriptor, and by name, what it has written and not closed. */
static void own_writes(void)
{
    put("file", "0123456789");
    int one = open("file", O_RDWR), reader = open("file", O_RDONLY);
    CALL(pwrite(one, "AB", 2, 4));
    see_text("file");
    CALL(pread(reader, (char[4]){0}, 4, 8));
    CALL(pwrite(one, "more", 4, 10));
    see_text("file");
    CALL(lseek(reader, 0, SEEK_END));
    CALL(close(one));
    see_text("file");
    one = open("new", O_RDWR | O_CREAT | O_TRUNC, 0644);
    CALL(write(one, "text", 4));
    see_text("new");
    CALL(ftruncate(one, 2));
    see("new");
    see_text("new");
}

/* When close returns it is done, also while the process has the file open once more. */
static void closes_one_of_two(void)
{
    struct stat stat;
    put("file", "0123456789");
    int kept = open("file", O_RDWR);
    for (int i = 0; i < 20; i++) {
        int fd = open("file", O_WRONLY);
        pwrite(fd, (char[]){(char)('a' + i)}, 1, 3);
        close(fd);
        see_text("file");
    }
    CALL(close(open("file", O_WRONLY | O_TRUNC)));
    CALL(fstat(kept, &stat));
    see_fd("kept", kept);
}

/* A child finds in a new file what its parent has written and not closed. */
static void child_reads(void)
{
    int made = open("made", O_RDWR | O_CREAT | O_EXCL, 0644);
    CALL(write(made, "for a child", 11));
    pid_t child = fork();
    if (!child) {
        see("made");
        see_text("made");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    CALL(close(made));
}

/* One that inherited a descriptor finds what was written through it. */
static void inherits(void)
{
    put("file", "old");
    int fd = open("file", O_RDWR | O_TRUNC);
    CALL(write(fd, "parent", 6));
    pid_t child = fork();
    if (!child) {
        CALL(lseek(fd, 0, SEEK_END));
        CALL(write(fd, "child", 5));
        see_fd("in the child", fd);
        CALL(ftruncate(fd, 9));
        see_fd("cut", fd);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    see_fd("in the parent", fd);
    CALL(truncate("file", 8));
    see_fd("cut by name", fd);
    CALL(close(fd));
    see_text("file");
}

/* What O_TRUNC cut off was there before what others write next: closing the descriptor does not cut again. */
static void cut_at_opening(void)
{
    put("written", "before");
    int cut = open("written", O_WRONLY | O_TRUNC);
    put("written", "new");
    CALL(close(cut));
    see_text("written");
    put("appended", "before");
    cut = open("appended", O_RDWR | O_TRUNC);
    int append = open("appended", O_WRONLY | O_APPEND);
    CALL(write(append, "new", 3));
    see_fd("the cut one", cut);
    CALL(pwrite(cut, "N", 1, 0));
    CALL(close(cut));
    see_text("appended");
    put("cut twice", "before");
    cut = open("cut twice", O_WRONLY | O_TRUNC);
    CALL(truncate("cut twice", 3));
    CALL(close(cut));
    see_text("cut twice");
    int first = open("cut twice", O_WRONLY | O_TRUNC), second = open("cut twice", O_WRONLY | O_TRUNC);
    CALL(write(second, "second", 6));
    CALL(close(second));
    CALL(write(first, "F", 1));
    CALL(close(first));
    see_text("cut twice");
}

const struct cases io_groups[] = {
    {"read", reads},
    {"seek", seeks},
    {"write", writes},
    {"size", truncates},
    {"fallocate", allocates},
    {"large", large},
    {"copy", copies},
    {"dup", two_descriptors},
    {"reader", reader_and_writer},
    {"own", own_writes},
    {"one-of-two", closes_one_of_two},
    {"flushed", child_reads},
    {"inherited", inherits},
    {"cut", cut_at_opening},
    {NULL, NULL},
};
