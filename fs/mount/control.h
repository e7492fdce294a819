/* control.h - the hidden .pact directory of every directory (design §3 "`.pact`"): texts about the directory, its
 * policy, quota and own data. Its inodes have the top bit set, then the kind, then the directory's id. */
#ifndef PACT_CONTROL_H
#define PACT_CONTROL_H

#include "fs/mount/mount.h"

enum control {
    CONTROL_NONE,
    CONTROL_DIRECTORY, /* .pact itself */
    CONTROL_STAT,
    CONTROL_CHILDREN,
    CONTROL_QUOTA,
    CONTROL_DATA,
    CONTROL_LOCKS,
    CONTROL_SESSION, /* this and the next: only in the mount's root */
    CONTROL_ENSEMBLE,
    CONTROL_CALLS,
    CONTROL_END,
};

#define CONTROL_NAME ".pact"

bool control_is(fuse_ino_t ino);
bool control_writable(enum control kind);
enum control control_kind(fuse_ino_t ino);
uint64_t control_id(fuse_ino_t ino); /* the directory's */
fuse_ino_t control_ino(enum control kind, uint64_t id);

/* The file of a kind in a directory's .pact, by name; CONTROL_NONE if there is none. */
enum control control_named(const struct mount *mount, uint64_t id, const char *name);
/* The kinds in order, with their names; NULL where a directory's .pact has none. */
const char *control_name(const struct mount *mount, uint64_t id, enum control kind);

/* ERR_OK or ERR_NO_NODE: the directory is gone. */
int control_attr(struct mount *mount, fuse_ino_t ino, struct stat *attr);
void control_lookup(struct mount *mount, fuse_req_t req, fuse_ino_t ino);

/* The content of a control file now, as data (a count for the caller). Of `ensemble` nothing: its replica is asked. */
int control_text(struct mount *mount, fuse_ino_t ino, struct data **text);
/* The content of `ensemble`; NULL: no replica answers. A count for the caller. */
struct data *control_ensemble(struct mount *mount, const struct message_status *status);

/* Whether a text can be written to a directory's control file, as the tree is now. */
int control_check(struct mount *mount, enum control kind, uint64_t id, const struct data *text);
/* The request that writes it; borrows from `room`. */
enum { CONTROL_TEXT_BYTES = 4096 };
int control_request(enum control kind, uint64_t id, const struct data *text, char room[CONTROL_TEXT_BYTES],
                    struct request *request);

#endif
