/* posix.h - the cases of the conformance suite: what each system call answers, one line each.
 *
 * A group of cases runs in a process of its own, in a new directory of its own, as root with umask 022. Each case
 * prints "GROUP: WHAT: RESULT"; WHAT is the call as it stands in the source, RESULT its value, the name of its errno,
 * or what can be seen afterwards. No line has anything of the filesystem's own choice (numbers of inodes, sizes of
 * directories, absolute times), so that the output on two filesystems can be compared line by line. */
#ifndef PACT_TESTS_POSIX_H
#define PACT_TESTS_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cases {
    const char *name;
    void (*run)(void);
};

/* By file, each ended by {NULL, NULL}. */
extern const struct cases open_groups[], io_groups[], append_groups[], name_groups[], rename_groups[], attr_groups[],
    time_groups[], access_groups[], directory_groups[], unlinked_groups[], mapping_groups[], xattr_groups[];

/* --- a case --- */

void says(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints a call's value, or its errno; gives it back. */
long called(const char *what, long value);
/* Prints "ok" or the errno of an open; the descriptor, or -1. */
int opened(const char *what, int fd);
#define CALL(...)  (errno = 0, called(#__VA_ARGS__, (long)(__VA_ARGS__)))
#define OPENS(...) (errno = 0, opened(#__VA_ARGS__, (__VA_ARGS__)))

/* --- what can be seen of a name --- */

void see(const char *path); /* kind, mode, owner, links, size (not a directory's); or why not */
void see_fd(const char *what, int fd);
void see_text(const char *path); /* the content, escaped; of more than 40 bytes the length and a sum */
void see_list(const char *path); /* names, sorted, with their kinds */

/* Times, and whether an operation moved them: mark, operate, moved. The clock has ticked in between. Reading moves no
 * atime here, and writing does: it is mtime until it is set, so that only utimensat's is compared. */
struct mark {
    struct timespec mtime, ctime;
};
struct mark mark(const char *path);
void moved(const char *what, const char *path, struct mark since);

/* --- what cases need --- */

extern void *const nowhere; /* an address that no process has */
enum { ANN = 12001, BOB = 12002, STAFF = 13001, GUESTS = 13002 };

void put(const char *path, const char *text);                     /* a file with this content, 0644 */
void put_as(const char *path, uid_t uid, gid_t gid, mode_t mode); /* a file of that owner and mode, with "text" */
void dir_as(const char *path, uid_t uid, gid_t gid, mode_t mode);
void become(uid_t uid, gid_t gid); /* the effective ids, and no other groups; (0, 0) is root again */
void join_group(gid_t gid);        /* until the next become(): in this group as well */

#endif
