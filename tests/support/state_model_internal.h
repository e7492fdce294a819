/* state_model_internal.h - what the files of the model share. */
#ifndef PACT_STATE_MODEL_INTERNAL_H
#define PACT_STATE_MODEL_INTERNAL_H

#include "tests/support/state_model.h"

enum { NODES = 4096, SESSIONS = 1024, XATTRS = 4, GONE = 0 };

struct xattr {
    struct bytes name, value;
};

struct model_node {
    struct node_stat s; /* id GONE: no znode; what can be counted is not kept */
    struct bytes name, data, policy;
    struct xattr xattrs[XATTRS];
    bool had_children;
    int64_t atime_ns; /* if atime_set */
    bool atime_set;
    uint64_t arrival;
};

struct model_session {
    bool open;
    uint8_t nonce, secret;
    uint64_t last_number;
};

struct model_tree {
    struct model_node nodes[NODES];
    size_t count;
    uint64_t next_id, arrivals;
};

enum { MODEL_BYTES = 17, MODEL_HOLDERS = 2048, MODEL_WAITS = 1024 };

struct model_owner {
    uint64_t session;
    enum lock_space space;
    uint64_t number, of; /* a flock's is of one znode; else 0 */
};

/* What one owner holds of one znode, byte by byte. */
struct model_holder {
    uint64_t id;
    struct model_owner owner;
    uint8_t kind[MODEL_BYTES];
    uint64_t handle[MODEL_BYTES]; /* 0 where nothing is held */
};

struct model_wait {
    uint64_t id;
    struct model_owner owner;
    uint64_t handle, name;
    bool exclusive;
    size_t from, to; /* bytes, both included */
    bool threads;    /* its owner asked for something else while it waited */
};

struct model_locks {
    struct model_holder holders[MODEL_HOLDERS];
    struct model_wait waits[MODEL_WAITS]; /* in the order of asking */
    size_t holder_count, wait_count;
    uint64_t granted[MODEL_WAITS]; /* by the last entry, in order */
    size_t granted_count;
};

struct model {
    struct model_tree tree, before;
    uint32_t version;
    struct model_locks locks;
    struct member_info members[LIMIT_REPLICA_ID + 1]; /* at its id; zxid 0: none */
    struct model_session sessions[SESSIONS];
    uint64_t next_session;
    uint64_t zxid, session;
    int64_t now_ns;
    void **memory; /* all copies of bytes, until the end */
    size_t memory_count;
};

/* state_model_tree.c */
struct bytes model_copy(struct model *model, struct bytes from);
bool model_same(struct bytes a, struct bytes b);
struct model_node *model_by_id(struct model *model, uint64_t id);
struct model_node *model_by_name(struct model *model, uint64_t parent, struct bytes name);
uint64_t model_children(struct model *model, uint64_t id);
bool model_within(struct model *model, uint64_t id, uint64_t top); /* `id` is `top` or below it */
/* What is below a znode and itself. */
void model_weigh(struct model *model, uint64_t id, int64_t *bytes, int64_t *nodes);
struct model_node *model_find(struct model *model, struct where at, int *code);
struct model_node *model_find_parent(struct model *model, struct where at, struct bytes *last, int *code);
void model_changed(struct model *model, struct model_node *node);
void model_children_changed(struct model *model, uint64_t id);
/* Quotas of `from` and all above it but those that are also above (or are) `except`. */
bool model_over_quota(struct model *model, uint64_t from, uint64_t except, int64_t bytes, int64_t nodes);

/* Names the znode in the result. */
void model_name_result(struct result *result, const struct model_node *node, bool name);

/* state_model_ops.c: one operation on the tree */
int model_operation(struct model *model, const struct request *request, struct result *result);

/* state_model_locks.c */
int model_lock(struct model *model, const struct op_lock *op, struct result *result);
int model_unlock(struct model *model, const struct op_unlock *op, struct result *result);
void model_drop_session(struct model *model, uint64_t session);

#endif
