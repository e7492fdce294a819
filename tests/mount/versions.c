/* versions - readers that loop over a file of 900 KiB while it is replaced many times: each
 * reading from start to end must give one version whole. For versions.sh.
 *
 *   versions read FILE STOP   reads until STOP exists: every byte of a version is the same number; exit 1 on a mix, a
 *                             short or an empty file. Prints how many readings, and of how many versions
 *   versions write FILE ROUNDS HOW   replaces it so many times: HOW is `truncate` (open O_TRUNC, write, close),
 *                             `over` (write over it), or `rename` (write beside, rename over) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 900 * 1024, READ = 128 * 1024 };
static unsigned char content[SIZE], seen[2 * SIZE];

static int fault(const char *what, long detail)
{
    fprintf(stderr, "%s: %ld\n", what, detail);
    return 1;
}

/* One reading; the version in *number, or 1 if it is none. */
static int read_once(const char *path, int *number)
{
    size_t len = 0;
    ssize_t part = 1;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return fault("open", 0);
    while (part > 0 && len < sizeof seen - READ) {
        part = read(fd, seen + len, READ);
        len += part > 0 ? (size_t)part : 0;
    }
    close(fd);
    if (part < 0 || len != SIZE)
        return fault("bytes read", (long)len);
    for (size_t i = 1; memcmp(seen, seen + 1, len - 1) && i < len; i++)
        if (seen[i] != seen[0])
            return fault("another version begins at byte", (long)i);
    *number = seen[0];
    return 0;
}

static int reader(const char *path, const char *stop)
{
    long readings = 0, versions = 0;
    int number = 0, last = -1;
    while (access(stop, F_OK)) {
        if (read_once(path, &number))
            return 1;
        readings++;
        versions += number != last;
        last = number;
    }
    printf("%ld readings, %ld versions\n", readings, versions);
    return versions < 2; /* one that saw no change has shown nothing */
}

static int write_once(const char *path, const char *how)
{
    char beside[4096];
    int rename_it = !strcmp(how, "rename");
    snprintf(beside, sizeof beside, "%s.new", path);
    const char *name = rename_it ? beside : path;
    int fd = open(name, O_WRONLY | O_CREAT | (strcmp(how, "over") ? O_TRUNC : 0), 0644);
    if (fd < 0)
        return fault("open", 0);
    for (size_t done = 0; done < SIZE; done += SIZE / 9)
        if (write(fd, content + done, SIZE / 9) != SIZE / 9)
            return fault("write", (long)done);
    if (close(fd) || (rename_it && rename(beside, path)))
        return fault("close", 0);
    return 0;
}

static int writer(const char *path, long rounds, const char *how)
{
    for (long round = 0; round < rounds; round++) {
        memset(content, (int)(round % 251), sizeof content);
        if (write_once(path, how))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "read"))
        return reader(argv[2], argv[3]);
    if (argc == 5 && !strcmp(argv[1], "write"))
        return writer(argv[2], atol(argv[3]), argv[4]);
    return 2;
}
