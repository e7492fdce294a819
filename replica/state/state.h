/* state.h - the replicated state machine: the tree, sessions and their results (design §2).
 *
 * Pure and deterministic: no clock, file, socket, thread or random. The same entries in the same order give the same
 * state, results and changes on every replica and every mount. Memory exhaustion ends the process (asserted): the
 * state has no way to refuse that would be the same everywhere. Not thread-safe: the caller locks; data versions
 * taken with node_data may outlive the lock. */
#ifndef PACT_STATE_H
#define PACT_STATE_H

#include "proto/errors.h"
#include "proto/limits.h"
#include "replica/state/data.h"
#include "replica/state/request.h"

/* The semantics that this code can apply. A state begins at STATE_VERSION_MIN; OP_SET_STATE_VERSION raises it, once all
 * who apply entries know the new one (higher than STATE_VERSION: BAD_FORMAT; lower than the state's: INVALID). Until
 * then entries, digests and snapshots are those of the old version, to the byte.
 *
 *   1  the tree, sessions and their results, the cluster's id
 *   2  OP_SET_MEMBER and the table of members; in version 1 it is INVALID, as any unknown operation
 *   3  OP_LOCK, OP_UNLOCK and the table of locks; a quota below what is used is refused
 *   4  who waits for a lock that one holds shared is in nobody's way who asks for it exclusively: no deadlock
 *   5  a deadlock is a circle of who holds what another waits for; one through the queue ends by overtaking */
enum {
    STATE_VERSION = 5,
    STATE_VERSION_MIN = 1,
    STATE_VERSION_MEMBERS = 2,
    STATE_VERSION_LOCKS = 3,
    STATE_VERSION_DEADLOCKS = 4,
    STATE_VERSION_CIRCLES = 5
};

struct state;
struct node;

/* An empty tree: a root directory, mode 0755, owner 0:0, at zxid 0, of state version STATE_VERSION_MIN. */
struct state *state_new(void);
void state_free(struct state *state); /* NULL is allowed; its cursors have been ended (asserted) */

/* --- apply --- */

struct result {
    bool none;       /* a gap or a duplicate number: no result at all, the entry changed nothing but zxid and stamp.
                        An entry of an unknown session has a result that is not kept: NO_SESSION */
    int code;        /* enum error */
    uint64_t zxid;   /* of the entry */
    uint64_t id;     /* the znode created, written, moved …; 0 if none. CREATE_SESSION: the session's id */
    uint32_t failed; /* multi: index of the operation that failed */
    uint32_t name_len;
    char name[LIMIT_NAME_BYTES + 1]; /* the final name of a created or renamed znode, NUL-terminated */
};

enum change_kind {
    CHANGE_CREATE = 1, /* also: an unborn file was born, or a name appeared for other sessions */
    CHANGE_DELETE = 2,
    CHANGE_RENAME = 3, /* parent/name → to_parent/to_name; what it replaced comes just before as a DELETE with
                          `replaced` set; an exchange is two RENAMEs with `exchange` set */
    CHANGE_DATA = 4,
    CHANGE_ATTR = 5, /* mode, owner, times, xattrs */
    CHANGE_SESSION_OPEN = 6,
    CHANGE_SESSION_CLOSE = 7,
    CHANGE_META = 8, /* policy or quota of a directory */
    CHANGE_LOCK = 9, /* of the locks of the znode `id`, which may be gone: only id, lock and lock_session are set */
};

/* One visible consequence of an entry. The changes of an entry are in order; names are NUL-terminated copies owned
 * by the list. */
struct change {
    enum change_kind kind;
    enum node_kind node_kind;
    uint64_t id;     /* the znode, or the session */
    uint64_t parent; /* of the name; 0 for the root */
    uint64_t to_parent;
    uint64_t new_size; /* bytes of data; DATA: after the write; a birth: before it */
    bool replaced, exchange;
    bool unborn;        /* the file is unborn: after a CREATE, before and after any other change */
    bool birth;         /* CREATE: the end of being unborn, by the first write */
    uint64_t unborn_of; /* the session an unborn file belongs to */
    uint64_t lock;      /* LOCK: the lock that was granted to a waiter (its name, see op_lock); 0: any other change */
    uint64_t lock_session; /* LOCK: whose it is */
    char *name;            /* never NULL; the root, a session: "" */
    char *to_name;         /* RENAME; else NULL */
};

struct changes {
    uint64_t zxid;
    uint64_t session; /* whose request it was; 0: the replicas' own */
    uint64_t number;
    struct change *list;
    size_t count, capacity;
};

void changes_clear(struct changes *changes); /* frees the names, keeps the room */
void changes_free(struct changes *changes);

/* Applies one entry. entry->zxid must be above state_zxid (asserted). Fills *result; appends to *changes if not NULL
 * (cleared first). A refused request is an entry whose result is an error: it changes nothing but zxid, stamp and
 * the session's window. An unusable entry (bad version, name, count …) is such a refusal too: INVALID. */
void state_apply(struct state *state, const struct entry *entry, struct result *result, struct changes *changes);

/* Whether a request is well formed by itself: limits, names, enums, nesting. ERR_OK or the error apply would give.
 * Mounts and replicas call it before a request takes a number. */
int request_check(const struct request *request);

/* --- the state as a whole --- */

uint64_t state_zxid(const struct state *state); /* of the last entry applied */
int64_t state_stamp_ns(const struct state *state);
uint64_t state_digest(const struct state *state); /* everything that a later entry can depend on; kept, not computed */
uint64_t state_digest_recompute(const struct state *state); /* the same from scratch: O(size), for tests and checks */
/* Whether all that is kept agrees with what it follows from: NULL, or a line that says what does not. O(size). */
const char *state_check(const struct state *state);
uint32_t state_version(const struct state *state);
const uint8_t *state_cluster(const struct state *state); /* CLUSTER_ID_BYTES; all zero before OP_SET_CLUSTER */
uint64_t state_nodes(const struct state *state);         /* znodes, the root included */
uint64_t state_bytes(const struct state *state);         /* of data */

/* --- reading the tree --- */

const struct node *state_node(const struct state *state, uint64_t id); /* NULL if there is none */
const struct node *node_child(const struct state *state, const struct node *parent, const void *name, size_t len);
/* Resolves `where` without following symlinks. NULL if there is none; *code then says why. */
const struct node *state_find(const struct state *state, struct where at, int *code);

/* ZooKeeper's stat and POSIX's, by value. */
struct node_stat {
    uint64_t id, parent; /* the root's parent is 0 */
    enum node_kind kind;
    uint32_t mode, uid, gid;
    int64_t btime_ns;                     /* creation: ZooKeeper's ctime */
    int64_t atime_ns, mtime_ns, ctime_ns; /* POSIX; atime is mtime unless it was set: reading does not move it */
    int64_t data_mtime_ns;        /* ZooKeeper's mtime: of a directory, whose mtime moves with its children too */
    uint64_t czxid, mzxid, pzxid; /* created; data changed; children changed (of what has none: czxid) */
    uint64_t change_zxid;         /* last change of any kind, to the znode itself (data, attributes) */
    uint32_t version, cversion, aversion;
    uint64_t ephemeral_owner; /* session, or 0 */
    uint64_t unborn_of;       /* session, or 0 */
    bool container;
    uint64_t ttl_ms;
    int64_t ttl_from_ns;                   /* the stamp from which the TTL runs */
    uint64_t size;                         /* bytes of data, of a symlink's target */
    uint32_t children, subdirs;            /* of a directory; unborn children count */
    uint64_t sequence;                     /* the next counter value */
    uint64_t subtree_bytes, subtree_nodes; /* of a directory: all below and itself */
    uint64_t max_bytes, max_nodes;         /* its quota; 0: none */
};

void node_stat(const struct node *node, struct node_stat *stat);
struct bytes node_name(const struct node *node); /* borrowed until the next apply; NUL-terminated; the root: "" */
struct data *node_data(const struct node *node); /* borrowed: data_ref it to keep it; NULL if empty */
struct bytes node_policy(const struct node *node);
const struct node *node_parent(const struct state *state, const struct node *node);

/* Children in a stable order: of their arrival in the directory, those that came in a snapshot first and by id. NULL
 * at the end. */
const struct node *node_first_child(const struct node *node);
const struct node *node_next_sibling(const struct node *node);

/* Every znode, in no meaningful order; for scans (TTL, differences). Start with *cursor = 0; NULL at the end. The
 * tree must not change meanwhile. */
const struct node *state_each_node(const struct state *state, uint64_t *cursor);

bool node_xattr(const struct node *node, struct bytes name, struct bytes *value); /* borrowed */
/* The index-th xattr; false past the last. */
bool node_xattr_at(const struct node *node, size_t index, struct bytes *name, struct bytes *value);

/* --- sessions --- */

struct session_info {
    uint64_t id;
    uint32_t timeout_ms;
    uint64_t last_number; /* the highest number applied */
    uint64_t ephemerals;  /* znodes that go with it, unborn files included */
    uint64_t locks;       /* held and waited for */
    int64_t opened_ns;
    uint32_t pid;
    uint8_t nonce[SESSION_NONCE_BYTES];
    uint8_t secret_hash[SESSION_HASH_BYTES];
    char host[LIMIT_HOST_BYTES + 1];
};

bool state_session(const struct state *state, uint64_t id, struct session_info *info);
bool state_session_by_nonce(const struct state *state, const uint8_t *nonce, struct session_info *info);
/* All sessions in order of id: start with *id = 0; false at the end. */
bool state_next_session(const struct state *state, uint64_t *id, struct session_info *info);

/* The kept result of a session's request; false if it is not kept (never applied, or no longer awaited). */
bool state_result(const struct state *state, uint64_t session, uint64_t number, struct result *result);

/* --- locks --- */

struct lock_info {
    uint64_t id; /* the znode */
    enum lock_space space;
    bool exclusive, waiting;
    uint64_t session, owner, handle; /* as in op_lock */
    uint64_t start, end;
    uint64_t lock;         /* its name: the zxid of the entry that asked for it */
    uint64_t granted_zxid; /* 0: it waits */
    int64_t since_ns;      /* the stamp of the grant; of a waiter: of the request */
    uint32_t pid;
    char command[LIMIT_COMMAND_BYTES + 1];
};

/* The locks of a znode, the holders in the order of their grants, then the waiters in their order: begins as {.id = …},
 * ends as soon as the state has changed. False past the last. */
struct lock_walk {
    uint64_t id;
    const void *last; /* the lock told last */
};
bool state_lock_next(const struct state *state, struct lock_walk *walk, struct lock_info *info);
/* All znodes with locks, in order of id: start with *id = 0; false at the end. */
bool state_next_locked(const struct state *state, uint64_t *id);
/* What would keep this request of `session` from being granted, a holder or a waiter that was first; false: nothing. */
bool state_lock_conflict(const struct state *state, uint64_t session, const struct op_lock *op, struct lock_info *info);
/* The lock of that name, held or waiting, as it is now; a lock that was cut: its first part. False: there is none. */
bool state_lock_named(const struct state *state, uint64_t id, uint64_t lock, struct lock_info *info);
/* The fencing token: the zxid of the last acquisition among the locks held now on a znode; 0: nobody holds one. It
 * grows with each acquisition of an exclusive lock. */
uint64_t state_lock_zxid(const struct state *state, uint64_t id);

/* --- members of the ensemble (OP_SET_MEMBER); at most LIMIT_REPLICAS, more are refused: TOO_MANY --- */

struct member_info {
    uint32_t id;
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t zxid; /* of the entry that named this incarnation first */
};

/* The incarnation that speaks for a replica; false if none was named. */
bool state_member(const struct state *state, uint32_t id, uint8_t incarnation[INCARNATION_BYTES]);
/* All members in order of id: start with *id = 0; false at the end. */
bool state_next_member(const struct state *state, uint32_t *id, struct member_info *member);

/* --- what is due: TTL and containers (the leader turns these into OP_DELETE entries) --- */

/* The next znode whose TTL has run out at `now_ns`, or an empty container that once had children, after the given
 * id in id order (0: from the start). False if there is none. Fills an op_delete with expect_id and expect_zxid;
 * `at` needs no path and borrows nothing. */
bool state_next_due(const struct state *state, int64_t now_ns, uint64_t after_id, struct op_delete *del);

/* --- snapshots --- */

/* A cursor writes the state as it is now, consistent at one zxid, while entries go on being applied: a znode that is
 * about to change is written first (copy-on-write by writing). At most LIMIT_SNAPSHOT_CURSORS; NULL beyond. The
 * bytes are a sequence of self-delimiting records, the last of which carries the digest. What changes before it has
 * been read waits in memory. */
struct snapshot_cursor;
struct snapshot_cursor *snapshot_begin(struct state *state);
uint64_t snapshot_zxid(const struct snapshot_cursor *cursor);
uint64_t snapshot_nodes(const struct snapshot_cursor *cursor); /* how many znodes it will write, for progress */
/* Up to cap bytes of the stream, at least one unless it is at its end (0). Records may straddle calls. */
size_t snapshot_read(struct snapshot_cursor *cursor, void *to, size_t cap);
void snapshot_end(struct snapshot_cursor *cursor); /* at any time: frees it */

/* Builds a state from such bytes, in pieces of any size. All input is checked. */
struct snapshot_loader;
struct snapshot_loader *loader_new(void);
/* ERR_OK, ERR_CORRUPT or ERR_BAD_FORMAT (a state version this code cannot apply). After an error only loader_free. */
int loader_feed(struct snapshot_loader *loader, const void *at, size_t len);
uint64_t loader_nodes(const struct snapshot_loader *loader); /* read so far */
/* The finished state (the caller's) once the end record has come and the digest agrees; else the error. Frees the
 * loader if it succeeds. */
int loader_finish(struct snapshot_loader *loader, struct state **state);
void loader_free(struct snapshot_loader *loader);

#endif
