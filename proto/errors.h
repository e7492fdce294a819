/* errors.h - the one table of errors: code, text, errno.
 *
 * Codes are part of the wire and log formats: a number, once given, keeps its meaning. The functions are pure. */
#ifndef PACT_ERRORS_H
#define PACT_ERRORS_H

#include <errno.h>

/* X(name, code, errno, text) */
#define ERROR_TABLE(X)                                                                                                 \
    X(OK, 0, 0, "ok")                                                                                                  \
    X(EXISTS, 1, EEXIST, "the name exists already")                                                                    \
    X(NO_NODE, 2, ENOENT, "no such znode")                                                                             \
    X(NOT_EMPTY, 3, ENOTEMPTY, "the directory is not empty")                                                           \
    X(NOT_DIR, 4, ENOTDIR, "not a directory")                                                                          \
    X(IS_DIR, 5, EISDIR, "is a directory")                                                                             \
    X(BAD_VERSION, 6, EAGAIN, "the version is not the expected one")                                                   \
    X(TOO_BIG, 7, EFBIG, "larger than the limit")                                                                      \
    X(NAME_TOO_LONG, 8, ENAMETOOLONG, "the name is too long")                                                          \
    X(INVALID, 9, EINVAL, "invalid argument")                                                                          \
    X(QUOTA, 10, EDQUOT, "over a quota")                                                                               \
    X(NO_QUORUM, 11, EROFS, "no quorum: the write was not done")                                                       \
    X(OUTCOME_UNKNOWN, 12, ETIMEDOUT, "no answer in time: the outcome of the write is not known")                      \
    X(SESSION_EXPIRED, 13, ESTALE, "the session has expired")                                                          \
    X(NOT_PERMITTED, 14, EPERM, "operation not permitted")                                                             \
    X(ACCESS, 15, EACCES, "permission denied")                                                                         \
    X(NO_XATTR, 16, ENODATA, "no such attribute")                                                                      \
    X(XATTR_SPACE, 17, ENOSPC, "no room for more attributes")                                                          \
    X(NO_SPACE, 18, ENOSPC, "the replica's disk is full")                                                              \
    X(EPHEMERAL_PARENT, 19, EPERM, "an ephemeral znode cannot have children")                                          \
    X(TOO_MANY, 20, EMFILE, "too many at once")                                                                        \
    X(IO, 21, EIO, "input or output error")                                                                            \
    X(CORRUPT, 22, EIO, "corrupt data")                                                                                \
    X(BUSY, 23, EBUSY, "in use")                                                                                       \
    X(BAD_FORMAT, 24, EPROTO, "not understood: another format or version")                                             \
    X(BAD_KEY, 25, EACCES, "the key does not match")                                                                   \
    X(OTHER_CLUSTER, 26, EXDEV, "another cluster, or an older history of this one")                                    \
    X(INTERRUPTED, 27, EINTR, "interrupted before it was sent")                                                        \
    X(READ_ONLY, 28, EROFS, "mounted read-only")                                                                       \
    X(UNREACHABLE, 29, ENOTCONN, "no replica can be reached")                                                          \
    X(SEQUENCE_END, 30, EOVERFLOW, "the sequence counter has reached its end")                                         \
    X(ROLLED_BACK, 31, ECANCELED, "undone, as another operation of the same multi failed")                             \
    X(NO_SESSION, 32, ESTALE, "no such session")                                                                       \
    X(NOT_SUPPORTED, 33, EOPNOTSUPP, "not supported")                                                                  \
    X(LOCKED, 34, EAGAIN, "locked by another")                                                                         \
    X(LOCK_WAITS, 35, EAGAIN, "waits for the lock")                                                                    \
    X(DEADLOCK, 36, EDEADLK, "waiting would be a deadlock")                                                            \
    X(NO_LOCKS, 37, ENOLCK, "too many locks")

enum error {
#define X(name, code, number, text) ERR_##name = code,
    ERROR_TABLE(X)
#undef X
};

/* The name ("NO_NODE"), a one-line text and the errno of a code. An unknown code (a newer peer's) gives
 * "UNKNOWN", "unknown error" and EIO. The strings are static. */
const char *error_name(int code);
const char *error_text(int code);
int error_errno(int code);

#endif
