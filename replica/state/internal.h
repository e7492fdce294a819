/* internal.h - what the files of replica/state share: the structs, and who does what.
 *
 * Invariants
 *  1. Every znode is in `by_id`; every znode but the root is in `by_name` and in its parent's list of children.
 *  2. No znode is changed before journal_touch (or journal_add, when new) has noted it: the before-images are what
 *     undoes a refused entry, what leaves the digest, and what snapshot cursors write. state_apply ends with
 *     journal_commit or journal_rollback; between entries the journal is empty.
 *  3. `nodes_sum` is the sum of digest_node over the tree, `sessions_sum` that of digest_session: between entries.
 *  4. A znode's last touch (node_touched_zxid) is the zxid of the entry that changed it last: what a cursor begun
 *     at that zxid or later has not yet passed, it must write before the next change.
 *  5. subtree_bytes, subtree_nodes, children, subdirs and the lists of sessions and of what may become due follow
 *     from the tree. They are kept, but are no part of digest or snapshot: the loader makes them anew.
 *  6. ephemeral_owner and unborn_of name sessions that exist.
 */
#ifndef PACT_STATE_INTERNAL_H
#define PACT_STATE_INTERNAL_H

#include "replica/state/blob.h"
#include "replica/state/hook.h"
#include "replica/state/state.h"
#include "replica/state/table.h"
#include "replica/state/treap.h"

/* --- a znode: 152 bytes --- */

enum { NAME_NEAR_BYTES = 16 }; /* a name shorter than this is kept inside */

union name {
    char near[NAME_NEAR_BYTES]; /* NUL-terminated */
    struct blob *far;
};

enum touch { TOUCHED = 1, ADDED = 2, REMOVED = 4 }; /* by the entry being applied */

/* What an image in the journal restores. */
struct node_attr {
    struct data *data; /* NULL if empty */
    uint64_t czxid, mzxid, change_zxid;
    int64_t btime_ns, mtime_ns, ctime_ns;
    uint32_t version, aversion, uid, gid;
    uint16_t mode;
    uint8_t kind, name_len, touch;
};

struct node {
    struct link by_id, by_name;
    struct node *parent, *prev, *next; /* siblings in the order of arrival */
    union name name;
    uint64_t id;
    struct more *more; /* a struct directory, or what few files have; NULL: nothing of it */
    struct node_attr attr;
};

struct more_attr {
    uint64_t ephemeral_owner, unborn_of; /* sessions */
    uint64_t ttl_ms;
    int64_t ttl_from_ns;
    int64_t atime_ns; /* if atime_set; else atime is mtime: reading moves neither */
    struct blob *xattrs;
    bool atime_set;
};

struct more {
    struct more_attr attr;
    struct node *node;
    struct hook owned, unborn; /* in its sessions' lists */
    struct hook due;           /* in state.due */
};

struct directory_attr {
    uint64_t pzxid, sequence, max_bytes, max_nodes;
    int64_t data_mtime_ns; /* mtime moves with the children too, this one does not (ZooKeeper's mtime) */
    struct blob *policy;
    uint32_t cversion;
    uint16_t reach; /* at least the height of what is below; 0 if there is nothing */
    bool container;
    bool had_children;
};

struct directory {
    struct more more; /* first: node.more of a directory points here */
    struct directory_attr attr;
    struct node *first, *last;
    uint32_t children, subdirs;
    uint64_t subtree_bytes, subtree_nodes;
    uint64_t touched_zxid;
};

/* --- sessions --- */

struct kept_result {
    uint64_t zxid, id;
    uint32_t code, failed;
    struct blob *name;
};

struct session {
    struct link by_id, by_nonce;
    struct hook order; /* in state.sessions, by id */
    struct hook owned, unborn;
    struct hook held, waits;  /* its locks */
    struct session_info info; /* .ephemerals and .locks are derived */
    uint64_t changed_zxid;
    uint64_t results_sum;        /* of the hashes of the kept results */
    struct kept_result *results; /* a ring: those of the last `kept` numbers */
    uint32_t head, kept, capacity;
};

/* --- locks (lock.h) --- */

struct lock;
struct locked;

struct lock_table {
    struct treap by_id;    /* the znodes with locks */
    struct lock **waiting; /* all waiters, in no order */
    size_t waiting_count, waiting_capacity;
    uint64_t sum; /* of digest_lock over all */
};

/* --- the journal of the entry being applied --- */

struct image {
    struct node node;      /* its data, name and blobs counted */
    struct directory more; /* of a file: only .more; node.more NULL: nothing */
};

enum step_kind { STEP_TOUCH, STEP_ADD, STEP_REMOVE, STEP_PLACE, STEP_UNLINK, STEP_ACCOUNT };

struct step {
    enum step_kind kind;
    uint8_t name_len; /* PLACE: before */
    struct node *node;
    union {
        size_t image;      /* TOUCH: its index */
        struct node *next; /* UNLINK: the sibling that followed */
        struct {
            struct node *parent;
            union name name;
        } was; /* PLACE: before */
        struct {
            int64_t bytes, nodes;
        } delta; /* ACCOUNT */
    };
};

struct journal {
    struct image *images;
    size_t image_count, image_capacity;
    struct step *steps;
    size_t step_count, step_capacity;
};

struct state {
    struct table by_id, by_name;
    struct table sessions_by_id, sessions_by_nonce;
    struct node *root;
    struct hook sessions; /* all, by id */
    struct hook due;      /* znodes with a TTL and containers, by id */
    uint64_t zxid;
    int64_t stamp_ns;
    uint64_t next_id, next_session;
    uint32_t version;
    uint8_t cluster[CLUSTER_ID_BYTES];
    struct member_info members[LIMIT_REPLICAS]; /* by id */
    size_t member_count;
    struct lock_table locks;
    uint64_t nodes_sum, sessions_sum;
    struct journal journal;
    struct snapshot_cursor *cursors[LIMIT_SNAPSHOT_CURSORS];
};

struct state *state_blank(void); /* without even a root: what the loader starts with */

/* --- node.c: one znode --- */

struct node *node_new(uint64_t id, enum node_kind kind);
void node_free(struct node *node); /* also gives up its data, name and blobs */
struct node *node_of(const struct link *by_id);
struct directory *node_directory(const struct node *node); /* which must be one */
bool node_is_directory(const struct node *node);
/* Its `more`, made if it has none yet. */
struct more *node_need_more(struct node *node);
bool more_is_plain(const struct more_attr *more);         /* says nothing */
void node_trim(struct node *node);                        /* frees a `more` that says nothing */
void node_set_data(struct node *node, struct data *data); /* takes over the count */
void name_set(union name *name, struct bytes from);
struct bytes name_bytes(const union name *name, uint8_t len);
void name_free(union name *name, uint8_t len);
uint32_t node_children(const struct node *node);
uint64_t node_touched_zxid(const struct node *node);
uint64_t node_last_change(const struct node *node); /* zxid: of itself or of its children; op_delete.expect_zxid */

/* --- tree.c: the links between znodes --- */

uint64_t tree_hash_of(uint64_t id);
uint64_t tree_hash_id(const struct link *link);
uint64_t tree_hash_name(const struct link *link);
uint64_t tree_hash_below(uint64_t parent, struct bytes name); /* of a name below the znode of this id */
struct node *tree_node(const struct state *state, uint64_t id);
struct node *tree_child(const struct state *state, const struct node *parent, struct bytes name);
/* As state_find, without the const. */
struct node *tree_find(const struct state *state, struct where at, int *code);
/* Makes a new znode known, or a known one unknown; places it below a parent, or takes it from there. Journalled. */
void tree_add(struct state *state, struct node *node);
void tree_remove(struct state *state, struct node *node);
void tree_place(struct state *state, struct node *node, struct node *parent, struct bytes name);
void tree_unlink(struct state *state, struct node *node);
/* Adds to subtree_bytes and subtree_nodes of a directory and all above it. Journalled. */
void tree_account(struct state *state, struct node *directory, int64_t bytes, int64_t nodes);
void tree_weight(const struct node *node, int64_t *bytes, int64_t *nodes);
bool tree_within(const struct node *node, const struct node *top); /* top is node or above it */
const struct node *tree_common(const struct node *a, const struct node *b);
/* How deep below the root the deepest of node's subtree would be under parent. */
uint32_t tree_depth(const struct node *node);
uint32_t tree_reach(const struct node *node);
/* For the journal: links without a note. */
void tree_enter(struct state *state, struct node *node, struct node *before);
void tree_leave(struct state *state, struct node *node);
/* For the loader: as the last child, by the hash of its name there. False: there is another of that name. */
bool tree_adopt(struct state *state, struct node *node, struct node *parent, uint64_t hash);
void tree_add_weight(struct node *directory, int64_t bytes, int64_t nodes);

/* --- journal.c: see invariant 2 --- */

void journal_touch(struct state *state, struct node *node);
struct step *journal_step(struct state *state, enum step_kind kind, struct node *node);
void journal_commit(struct state *state);
void journal_rollback(struct state *state);
void journal_free(struct journal *journal);

/* --- lifetime.c: who goes with a session, what may become due --- */

/* Around each change of ephemeral_owner, unborn_of, ttl_ms and container. */
void lifetime_unindex(struct state *state, struct node *node);
void lifetime_index(struct state *state, struct node *node);
void lifetime_forget(struct state *state, struct node *node); /* it is no longer part of the tree */
/* ERR_OK if a znode of this kind and these children may get this lifetime from that session. */
int lifetime_check(const struct lifetime *lifetime, const struct node *node, uint64_t session);

/* --- quota.c --- */

/* Whether a directory and those above it, up to but not including `stop` (NULL: all), allow this growth. */
int quota_check(const struct node *directory, const struct node *stop, int64_t bytes, int64_t nodes);
/* Whether a directory has more than a quota would allow. */
bool quota_below_use(const struct node *directory, const struct op_set_quota *quota);

/* --- session.c --- */

void session_init(struct state *state); /* the tables */
struct session *session_find(const struct state *state, uint64_t id);
struct session *session_find_nonce(const struct state *state, const uint8_t *nonce);
struct session *session_new(struct state *state, const struct session_info *info); /* not yet in the digest */
void session_sort(struct state *state); /* by id: new ones are so by themselves, those of a snapshot not */
void session_remove(struct state *state, struct session *session); /* owns nothing any more */
void session_free(struct session *session);
/* Around each change of what digest_session covers; the first lets cursors write it as it was. */
void session_before_change(struct state *state, struct session *session);
void session_after_change(struct state *state, struct session *session);
/* Takes note of a numbered request that was carried out. */
void session_record(struct state *state, struct session *session, const struct entry *entry,
                    const struct result *result);
/* Adds the result of the next number; takes over its name. */
void session_keep(struct session *session, uint64_t number, const struct kept_result *result);
const struct kept_result *session_kept(const struct session *session, uint32_t index); /* 0: the oldest */
uint64_t session_kept_number(const struct session *session, uint32_t index);
struct session *session_first(const struct state *state); /* all, in the order of their ids; NULL at the end */
struct session *session_next(const struct state *state, const struct session *session);

/* --- member.c --- */

struct member_info *member_find(struct state *state, uint32_t id);
/* Adds one whose id is not there yet, in its place. False: there are LIMIT_REPLICAS already. */
bool member_add(struct state *state, const struct member_info *member);

/* --- digest.c --- */

uint64_t digest_node(const struct node *node);
uint64_t digest_head(struct bytes head); /* digest_node, of what record_node wrote of it */
uint64_t digest_session(const struct session *session);
uint64_t digest_result(uint64_t number, const struct kept_result *result, uint64_t session);
uint64_t digest_all_sessions(const struct state *state);
uint64_t digest_lock(const struct lock *lock);
uint64_t digest_all_locks(const struct state *state);

/* --- snapshot.c --- */

void snapshot_save_node(struct state *state, const struct node *before); /* for the cursors that still need it */
void snapshot_save_session(struct state *state, const struct session *session);
void snapshot_save_locks(struct state *state, const struct locked *locked);
void snapshot_skip_session(struct state *state, const struct session *session); /* it is about to be freed */

/* --- xattr.c: all xattrs of a znode in one blob --- */

/* Takes the first off. False at the end, or if what follows is malformed. */
bool xattr_next(struct bytes *packed, struct bytes *name, struct bytes *value);
bool xattr_valid(struct bytes packed); /* well formed and within the limits */
/* A new blob in *to with `name` set, or without it (value NULL). ERR_OK or ERR_XATTR_SPACE. */
int xattr_edit(struct bytes packed, struct bytes name, const struct bytes *value, struct blob **to);

/* --- request_check.c --- */

/* As request_check; of a multi, *failed is the index of the malformed operation (else untouched). */
int request_check_all(const struct request *request, uint32_t *failed);
/* Parts of requests that snapshots hold as well: */
int target_check(struct bytes target); /* of a symlink */
int host_check(struct bytes host);
int timeout_check(uint32_t timeout_ms);
int xattr_name_check(struct bytes name);
int set_member_check(const struct op_set_member *op);
int command_check(struct bytes command);
int range_check(enum lock_space space, uint64_t start, uint64_t end);

/* --- changes.c --- */

struct change *changes_add(struct changes *changes, enum change_kind kind, const struct node *node); /* NULL if NULL */
char *changes_name(struct bytes name);

/* --- apply: one function for each operation, between apply.c and apply_*.c --- */

struct apply {
    struct state *state;
    const struct entry *entry;
    struct result *result;
    struct changes *changes; /* may be NULL */
    int64_t now_ns;
};

/* Each gives ERR_OK, or an error: then whatever it changed is rolled back by the caller. */
int apply_create(struct apply *apply, const struct op_create *op);
int apply_delete(struct apply *apply, const struct op_delete *op);
int apply_write(struct apply *apply, const struct op_write *op);
int apply_set_attr(struct apply *apply, const struct op_set_attr *op);
int apply_rename(struct apply *apply, const struct op_rename *op);
int apply_set_xattr(struct apply *apply, const struct op_xattr *op);
int apply_remove_xattr(struct apply *apply, const struct op_xattr *op);
int apply_set_policy(struct apply *apply, const struct op_set_policy *op);
int apply_set_quota(struct apply *apply, const struct op_set_quota *op);
int apply_check(struct apply *apply, const struct op_check *op);
int apply_create_session(struct apply *apply, const struct op_create_session *op);
int apply_close_session(struct apply *apply, const struct op_close_session *op);
int apply_set_member(struct apply *apply, const struct op_set_member *op);
/* ERR_LOCK_WAITS is no error: it stands. */
int apply_lock(struct apply *apply, const struct op_lock *op);
int apply_unlock(struct apply *apply, const struct op_unlock *op);

/* Touches a znode and notes that it itself was changed; or that its children were. */
void apply_changed(struct apply *apply, struct node *node);
void apply_children_changed(struct apply *apply, struct node *directory);
/* Names the znode in the result. */
void apply_result_id(struct apply *apply, const struct node *node);
void apply_result_name(struct apply *apply, const struct node *node);
void apply_lifetime(struct apply *apply, struct node *node, const struct lifetime *lifetime);
/* Deletes a znode without children, with its CHANGE_DELETE. */
void apply_unlink(struct apply *apply, struct node *node, bool replaced);

/* The place of a new name. */
struct place {
    struct node *parent;
    struct node *existing; /* what has the name now, or NULL */
    char name[LIMIT_NAME_BYTES + 1];
    size_t name_len;
    bool sequential;
    uint64_t sequence; /* the parent's counter once the place is taken */
};
int apply_find_place(struct apply *apply, struct where at, const struct lifetime *lifetime, struct place *place);
/* Puts a znode there: counter, links, weights, the parent's stat. */
void apply_take_place(struct apply *apply, struct node *node, const struct place *place);

/* --- path.c --- */

bool bytes_equal(struct bytes a, struct bytes b);
/* Takes the first component off a path. False if nothing is left. */
bool path_next(struct bytes *path, struct bytes *component);
/* The last component and what comes before it, without the '/' between. */
void path_split(struct bytes path, struct bytes *before, struct bytes *last);
int path_check(struct bytes path);
int name_check(struct bytes name);

#endif
