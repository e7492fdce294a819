/* request.h - what can be asked of the replicated state machine, as plain structs.
 *
 * A request is what a client asks; an entry is a request as the leader stamped and logged it (design §2: the log
 * holds requests, not effects). proto/codec turns both into bytes and back.
 *
 * Ownership: `struct bytes` and the arrays borrow. A decoded request borrows from its codec arena; a request that a
 * caller builds borrows from the caller. state_apply copies what it keeps. */
#ifndef PACT_REQUEST_H
#define PACT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const void *at;
    size_t len; /* bytes */
};

enum { ROOT_ID = 1 };           /* the root's znode id; others count up from 2 and are never reused */
enum { NO_VERSION_CHECK = -1 }; /* an expected version that accepts any */

enum node_kind { KIND_DIRECTORY = 1, KIND_FILE = 2, KIND_SYMLINK = 3 };

/* A znode: `path` relative to the znode `id`, as components separated by single '/', no leading or trailing '/',
 * no "." or "..". An empty path is the znode itself. Symlinks are not followed. */
struct where {
    uint64_t id;
    struct bytes path;
};

/* How a created (or renamed-to) znode lives; the tokens of design §3. With `sequential` the last component may be
 * what no other name may: empty ("q/", or an empty path), "." or "..". */
struct lifetime {
    bool sequential;      /* insert the parent's next counter value, ten digits, at `sequence_at` of the name; numbers
                             whose name is taken are passed over */
    uint32_t sequence_at; /* bytes from the start of the last component */
    bool ephemeral;       /* goes when the entry's session ends; has no children */
    bool container;       /* goes when its last child has gone (directories; not with ephemeral) */
    uint64_t ttl_ms;      /* 0: none; else goes this long after its last change, its children's coming and going
                             included, if it has no children */
};

enum op_kind {
    OP_NOOP = 0, /* takes a number and nothing else: an abandoned request */
    OP_CREATE = 1,
    OP_DELETE = 2,
    OP_WRITE = 3,
    OP_SET_ATTR = 4,
    OP_RENAME = 5,
    OP_SET_XATTR = 6,
    OP_REMOVE_XATTR = 7,
    OP_SET_POLICY = 8,
    OP_SET_QUOTA = 9,
    OP_CHECK = 10, /* only a condition, for multi */
    OP_MULTI = 11, /* all or nothing; no multi, noop or session operation inside */
    OP_CREATE_SESSION = 12,
    OP_CLOSE_SESSION = 13,
    OP_SET_STATE_VERSION = 14,
    OP_SET_CLUSTER = 15, /* the first entry of a new cluster: its random id */
    OP_SET_MEMBER = 16,  /* the data directory that speaks for a replica (state version 2) */
    OP_LOCK = 17,        /* this and the next: advisory locks (state version 3); not in a multi */
    OP_UNLOCK = 18,
};

/* `at` names the new znode: all but the last component exist. */
struct op_create {
    struct where at;
    enum node_kind kind;
    uint32_t mode; /* permission bits, 07777 */
    uint32_t uid, gid;
    struct lifetime lifetime;
    bool unborn;        /* files: hidden from other sessions until the first OP_WRITE (design §3) */
    bool open_existing; /* files: a file of that name is no error: the result names it, nothing changes, but that an
                           unborn file goes over to this session. A directory: IS_DIR; a symlink: EXISTS */
    struct bytes data;  /* a file's or directory's data, a symlink's target (1..4095 bytes) */
};

enum delete_type { DELETE_ANY = 0, DELETE_NOT_DIRECTORY = 1 /* unlink */, DELETE_DIRECTORY = 2 /* rmdir */ };

struct op_delete {
    struct where at;
    enum delete_type type;
    int64_t version;      /* expected version or NO_VERSION_CHECK */
    uint64_t expect_id;   /* 0, or the id the name must be bound to, else NO_NODE */
    uint64_t expect_zxid; /* 0, or the zxid of the last change to the znode or its list of children, else BAD_VERSION:
                             the larger of node_stat.change_zxid and .pzxid (TTL, container) */
};

enum edit_kind { EDIT_PUT = 1, EDIT_TRUNCATE = 2, EDIT_APPEND = 3 };

/* One step of a write; they are carried out in order on the current data. A hole reads as zeros. */
struct edit {
    enum edit_kind kind;
    uint64_t offset;   /* PUT: where; TRUNCATE: the new size; bytes */
    struct bytes data; /* PUT, APPEND */
};

/* Data of a file or directory. Replacing it whole is TRUNCATE 0, PUT 0. No edits is allowed: it gives an unborn file
 * birth, and otherwise only checks the version. With edits `version` and mtime move. */
struct op_write {
    struct where at;
    int64_t version;
    const struct edit *edits;
    size_t count;
};

enum attr_mask {
    ATTR_MODE = 1,
    ATTR_UID = 2,
    ATTR_GID = 4,
    ATTR_ATIME = 8,
    ATTR_MTIME = 16,
    ATTR_ATIME_NOW = 32,
    ATTR_MTIME_NOW = 64
};

struct op_set_attr {
    struct where at;
    int64_t aversion;
    uint32_t mask; /* enum attr_mask; the _NOW bits take the entry's stamp */
    uint32_t mode, uid, gid;
    int64_t atime_ns, mtime_ns; /* since the epoch */
};

enum rename_flag { RENAME_PLAIN = 0, RENAME_NO_REPLACE = 1, RENAME_SWAP = 2 };

/* POSIX rename: a file may replace a file, a directory an empty directory. Onto itself it does nothing. */
struct op_rename {
    struct where from, to;
    enum rename_flag flag;
    struct lifetime lifetime; /* added to what the moved znode has (PLAIN and NO_REPLACE only) */
    uint64_t expect_from_id;  /* as op_delete.expect_id */
};

enum xattr_flag { XATTR_ANY = 0, XATTR_MUST_CREATE = 1, XATTR_MUST_REPLACE = 2 };

struct op_xattr {
    struct where at;
    struct bytes name; /* with its prefix "user.", not "user.pact." */
    struct bytes value;
    enum xattr_flag flag;
};

/* The tokens each child made by an ordinary program gets, as text; empty removes the policy. */
struct op_set_policy {
    struct where at;
    struct bytes policy;
};

/* Maxima for everything below a directory, itself and its own data not counted; 0 lifts one. Below what is used: QUOTA
 * (before state version 3 it was allowed, and stopped growth). */
struct op_set_quota {
    struct where at;
    uint64_t max_bytes, max_nodes;
};

enum { SESSION_NONCE_BYTES = 16, SESSION_SECRET_BYTES = 16, SESSION_HASH_BYTES = 32, CLUSTER_ID_BYTES = 16 };
enum { INCARNATION_BYTES = 16 };

struct op_check {
    struct where at;
    int64_t version; /* NO_VERSION_CHECK: only that it exists */
    bool must_not_exist;
};

/* Idempotent by nonce: a second request with one known nonce gives the same session (ACCESS if the secret's hash is
 * another). */
struct op_create_session {
    uint8_t nonce[SESSION_NONCE_BYTES];
    uint8_t secret_hash[SESSION_HASH_BYTES]; /* of the secret the mount keeps: each mount sees the tree */
    uint32_t timeout_ms;
    struct bytes host; /* for people: where the mount is */
    uint32_t pid;
};

enum close_reason { CLOSE_BY_OWNER = 1, CLOSE_EXPIRED = 2 };

struct op_close_session {
    uint64_t session;
    enum close_reason reason;
};

struct op_set_cluster {
    uint8_t id[CLUSTER_ID_BYTES];
};

/* Names the incarnation (the data directory's identity) whose votes count as those of a replica: one that lost its
 * disk may vote again once this has committed without it. Naming the same one again is OK and changes nothing. */
struct op_set_member {
    uint32_t id;                            /* of the replica: 1 … LIMIT_REPLICA_ID */
    uint8_t incarnation[INCARNATION_BYTES]; /* not all zero */
};

/* flock(2) and fcntl(2) locks do not see each other. */
enum lock_space { LOCK_FLOCK = 1, LOCK_POSIX = 2 };

/* Locks a file or directory, or a range of it, for (session, space, owner); first come, first served (design §4). The
 * result's code: OK, it is held; LOCK_WAITS, it waits in the queue (`wait`), and a CHANGE_LOCK tells of the grant;
 * LOCKED, somebody else has it or was first; DEADLOCK (POSIX only); NO_LOCKS, too many; NO_NODE. A lock is named by the
 * zxid of the entry that asked for it (result.zxid).
 * The owner's own locks never stand in its way: in a range that is locked already the new kind takes the place of the
 * old; a flock that changes its kind and has to wait gives up the old one first, as flock(2) does. */
struct op_lock {
    uint64_t id; /* the znode */
    enum lock_space space;
    bool exclusive; /* else shared */
    bool wait;
    uint64_t owner;  /* FLOCK: the open description; POSIX: the process's file table; numbers of the session's own */
    uint64_t handle; /* the open description through which it was asked for */
    uint64_t start, end;  /* bytes, both included, start <= end; FLOCK: 0, UINT64_MAX */
    uint32_t pid;         /* this and the next for people: who asks */
    struct bytes command; /* at most LIMIT_COMMAND_BYTES, no NUL */
};

enum unlock_scope {
    UNLOCK_RANGE = 1,  /* what `owner` holds of the range; locks are cut where need be. No waiter ends */
    UNLOCK_OWNER = 2,  /* all that `owner` holds or waits for on the znode, in this space */
    UNLOCK_HANDLE = 3, /* all that was acquired, or is waited for, through `handle`, in both spaces, on the znode */
    UNLOCK_WAITER = 4, /* the waiter named `lock`; NO_NODE if it waits no more (it may have been granted) */
};

/* Gives up locks of the entry's session: OK, also if there are none, but for UNLOCK_WAITER. Works for a znode that was
 * deleted, too: its locks live until they are given up. */
struct op_unlock {
    uint64_t id; /* the znode */
    enum unlock_scope scope;
    enum lock_space space; /* RANGE, OWNER */
    uint64_t owner;        /* RANGE, OWNER */
    uint64_t handle;       /* HANDLE */
    uint64_t start, end;   /* RANGE: as in op_lock */
    uint64_t lock;         /* WAITER */
};

struct request;

/* The result's id and name are those of the last operation; all of them are in the changes. */
struct op_multi {
    const struct request *ops;
    size_t count;
};

struct request {
    enum op_kind kind;
    union {
        struct op_create create;
        struct op_delete delete;
        struct op_write write;
        struct op_set_attr set_attr;
        struct op_rename rename;
        struct op_xattr xattr;
        struct op_set_policy set_policy;
        struct op_set_quota set_quota;
        struct op_check check;
        struct op_multi multi;
        struct op_create_session create_session;
        struct op_close_session close_session;
        uint32_t state_version;
        struct op_set_cluster set_cluster;
        struct op_set_member set_member;
        struct op_lock lock;
        struct op_unlock unlock;
    };
};

/* A request in the log. Entries of a session are numbered 1, 2, 3…; those of the replicas themselves (session
 * creation, expiry, TTL, cluster id) have session 0 and number 0: no window. CREATE_SESSION, SET_STATE_VERSION,
 * SET_CLUSTER and SET_MEMBER are theirs alone; a session may close only itself: else NOT_PERMITTED. */
struct entry {
    uint64_t zxid;    /* epoch << 32 | counter */
    int64_t stamp_ns; /* the leader's clock, never back */
    uint64_t session; /* 0: none */
    uint64_t number;
    uint64_t awaited; /* the lowest number whose result this session still waits for */
    struct request request;
};

#endif
