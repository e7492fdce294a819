#include "tests/support/state_workload_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t workload_random(struct workload *workload, uint64_t below)
{
    uint64_t value = (workload->random += 0x9e3779b97f4a7c15ull); /* splitmix64 */
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return (value ^ value >> 31) % below;
}

static bool chance(struct workload *workload, uint64_t percent)
{
    return workload_random(workload, 100) < percent;
}

const void *workload_bytes(size_t offset)
{
    static uint8_t bytes[2 * LIMIT_DATA_BYTES];
    if (bytes[1] == 0)
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(i * i % 251 + 1);
    return bytes + offset % LIMIT_DATA_BYTES;
}

/* --- text of the entry --- */

static struct bytes keep(struct work *work, const char *text, size_t len)
{
    assert(work->text_len + len <= sizeof work->text);
    memcpy(work->text + work->text_len, text, len);
    work->text_len += len;
    return (struct bytes){work->text + work->text_len - len, len};
}

static size_t name_of(struct workload *workload, char *to)
{
    static const char *const names[] = {"a", "b",  "c",  "d",  "e",      "f",
                                        "g", "h1", "h2", "h3", "config", "a name longer than sixteen bytes"};
    if (chance(workload, 2)) {
        static const char *const bad[] = {"", ".", "..", "a/", "/a"};
        return (size_t)sprintf(to, "%s", bad[workload_random(workload, 5)]);
    }
    return (size_t)sprintf(to, "%s", names[workload_random(workload, 12)]);
}

static const struct node *random_child(struct workload *workload, const struct node *node)
{
    struct node_stat stat;
    node_stat(node, &stat);
    if (stat.children == 0)
        return NULL;
    const struct node *child = node_first_child(node);
    for (uint64_t skip = workload_random(workload, stat.children); skip > 0; skip--)
        child = node_next_sibling(child);
    return child;
}

/* A znode that is there: by path from the root, or by id and the rest of the path. */
static struct where existing(struct workload *workload, const struct state *state, struct work *work, bool directory)
{
    char path[512] = "";
    struct where at = {ROOT_ID, {"", 0}};
    const struct node *node = state_node(state, ROOT_ID), *child;
    uint64_t depth = workload_random(workload, 6);
    for (uint64_t i = 0; i < depth && (child = random_child(workload, node)) != NULL; i++) {
        struct bytes name = node_name(child);
        struct node_stat stat;
        node_stat(child, &stat);
        if (directory && stat.kind != KIND_DIRECTORY && chance(workload, 95))
            continue;
        if (strlen(path) + name.len + 2 > sizeof path)
            break;
        node = child;
        if (chance(workload, 30)) {
            at.id = stat.id;
            path[0] = '\0';
        } else {
            strcat(path, path[0] == '\0' ? "" : "/");
            strncat(path, name.at, name.len);
        }
    }
    at.path = keep(work, path, strlen(path));
    return at;
}

/* A name below a znode that is there, mostly a directory. */
static struct where fresh(struct workload *workload, const struct state *state, struct work *work)
{
    char name[300];
    struct where at = existing(workload, state, work, true);
    size_t len = name_of(workload, name);
    if (at.path.len > 0)
        keep(work, "/", 1);
    size_t before = at.path.len > 0 ? at.path.len + 1 : 0;
    struct bytes last = keep(work, name, len);
    at.path = (struct bytes){(const char *)last.at - before, before + len};
    return at;
}

static struct where anywhere(struct workload *workload, const struct state *state, struct work *work)
{
    if (chance(workload, 2))
        return (struct where){workload_random(workload, 500), keep(work, "a", workload_random(workload, 2))};
    return chance(workload, 80) ? existing(workload, state, work, false) : fresh(workload, state, work);
}

/* --- operations --- */

static int64_t some_version(struct workload *workload)
{
    return chance(workload, 85) ? NO_VERSION_CHECK : (int64_t)workload_random(workload, 3);
}

static struct bytes some_data(struct workload *workload)
{
    static const size_t most[] = {10, 200, 5000, 20000};
    size_t len = workload_random(workload, most[workload_random(workload, 4)]);
    return (struct bytes){workload_bytes(workload_random(workload, 100000)), len};
}

static struct lifetime some_lifetime(struct workload *workload, enum node_kind kind)
{
    struct lifetime lifetime = {0};
    lifetime.sequential = chance(workload, 15);
    lifetime.sequence_at = lifetime.sequential ? (uint32_t)workload_random(workload, 2) : 0;
    lifetime.ephemeral = chance(workload, 12);
    lifetime.container = chance(workload, kind == KIND_DIRECTORY ? 8 : 1);
    lifetime.ttl_ms = chance(workload, 6) ? 1 + workload_random(workload, 50) : 0;
    return lifetime;
}

static void make_create(struct workload *workload, const struct state *state, struct work *work, struct op_create *op)
{
    static const enum node_kind kinds[] = {KIND_DIRECTORY, KIND_DIRECTORY, KIND_FILE, KIND_FILE, KIND_SYMLINK};
    op->kind = kinds[workload_random(workload, 5)];
    op->at = fresh(workload, state, work);
    op->mode = (uint32_t)workload_random(workload, 07777 + 2);
    op->uid = (uint32_t)workload_random(workload, 3);
    op->lifetime = some_lifetime(workload, op->kind);
    op->unborn = op->kind == KIND_FILE && chance(workload, 20);
    op->open_existing = op->kind == KIND_FILE && chance(workload, 30);
    op->data = op->kind == KIND_SYMLINK ? keep(work, "target", workload_random(workload, 7)) : some_data(workload);
}

static void make_write(struct workload *workload, struct op_write *op, struct edit *edits)
{
    op->version = some_version(workload);
    op->edits = edits;
    op->count = workload_random(workload, 4);
    for (size_t i = 0; i < op->count; i++) {
        edits[i].kind = (enum edit_kind)(1 + workload_random(workload, 3));
        edits[i].offset = workload_random(workload, 100) == 0 ? LIMIT_DATA_BYTES : workload_random(workload, 20000);
        edits[i].data = some_data(workload);
    }
}

static void make_set_attr(struct workload *workload, struct op_set_attr *op)
{
    op->aversion = some_version(workload);
    op->mask = (uint32_t)workload_random(workload, chance(workload, 90) ? 32 : 129);
    op->mode = (uint32_t)workload_random(workload, 07777 + 1);
    op->uid = (uint32_t)workload_random(workload, 5);
    op->gid = (uint32_t)workload_random(workload, 5);
    op->atime_ns = (int64_t)workload_random(workload, 3);
    op->mtime_ns = (int64_t)workload_random(workload, 3);
}

static void make_xattr(struct workload *workload, struct work *work, struct op_xattr *op)
{
    static const char *const names[] = {"user.a", "user.b", "user.c", "user.pact.x", "trusted.a", "user."};
    const char *name = names[workload_random(workload, chance(workload, 10) ? 6 : 3)];
    op->name = keep(work, name, strlen(name));
    size_t len = chance(workload, 5) ? workload_random(workload, 60000) : workload_random(workload, 50);
    op->value = (struct bytes){workload_bytes(workload_random(workload, 1000)), len};
    op->flag = (enum xattr_flag)workload_random(workload, 3);
}

static uint64_t znode_there(const struct state *state, struct where at, struct node_stat *stat)
{
    int code;
    const struct node *node = state_find(state, at, &code);
    if (node == NULL)
        return 0;
    node_stat(node, stat);
    return stat->id;
}

static void make_delete(struct workload *workload, const struct state *state, struct op_delete *op)
{
    struct node_stat stat = {0};
    op->type = (enum delete_type)workload_random(workload, 3);
    op->version = some_version(workload);
    znode_there(state, op->at, &stat);
    if (chance(workload, 20))
        op->expect_id = chance(workload, 80) ? stat.id : 2;
    if (chance(workload, 20))
        op->expect_zxid = stat.pzxid > stat.change_zxid ? stat.pzxid : stat.change_zxid;
}

static void make_rename(struct workload *workload, const struct state *state, struct work *work, struct op_rename *op)
{
    op->from = anywhere(workload, state, work);
    op->flag = (enum rename_flag)workload_random(workload, 3);
    op->to = chance(workload, 25) ? existing(workload, state, work, false) : fresh(workload, state, work);
    if (op->flag != RENAME_SWAP && chance(workload, 30))
        op->lifetime = some_lifetime(workload, KIND_DIRECTORY);
}

static void make_policy(struct workload *workload, struct work *work, struct op_set_policy *op)
{
    op->policy = keep(work, "{ephemeral}", chance(workload, 50) ? 11 : 0);
}

static void make_quota(struct workload *workload, struct op_set_quota *op)
{
    op->max_bytes = chance(workload, 30) ? workload_random(workload, 400000) : 0;
    op->max_nodes = chance(workload, 30) ? workload_random(workload, 100) : 0;
    if (op->at.id == ROOT_ID && op->at.path.len == 0)
        *op = (struct op_set_quota){.at = op->at}; /* the root's would stop everything */
}

static enum op_kind some_kind(struct workload *workload)
{
    static const uint8_t kinds[] = {OP_CREATE, OP_CREATE,    OP_CREATE,       OP_CREATE,     OP_CREATE,    OP_DELETE,
                                    OP_WRITE,  OP_WRITE,     OP_WRITE,        OP_SET_ATTR,   OP_RENAME,    OP_RENAME,
                                    OP_RENAME, OP_SET_XATTR, OP_REMOVE_XATTR, OP_SET_POLICY, OP_SET_QUOTA, OP_CHECK};
    return kinds[workload_random(workload, sizeof kinds)];
}

static void make_simple(struct workload *workload, const struct state *state, struct work *work,
                        struct request *request, struct edit *edits)
{
    request->kind = some_kind(workload);
    struct where at = {0};
    if (request->kind != OP_CREATE && request->kind != OP_RENAME)
        at = anywhere(workload, state, work);
    switch (request->kind) {
    case OP_CREATE:
        make_create(workload, state, work, &request->create);
        break;
    case OP_DELETE:
        request->delete.at = at;
        make_delete(workload, state, &request->delete);
        break;
    case OP_WRITE:
        request->write.at = at;
        make_write(workload, &request->write, edits);
        break;
    case OP_SET_ATTR:
        request->set_attr.at = at;
        make_set_attr(workload, &request->set_attr);
        break;
    case OP_RENAME:
        make_rename(workload, state, work, &request->rename);
        break;
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR:
        request->xattr.at = at;
        make_xattr(workload, work, &request->xattr);
        break;
    case OP_SET_POLICY:
        request->set_policy.at = at;
        make_policy(workload, work, &request->set_policy);
        break;
    case OP_SET_QUOTA:
        request->set_quota.at = at;
        make_quota(workload, &request->set_quota);
        break;
    default:
        request->check = (struct op_check){at, some_version(workload), chance(workload, 20)};
        break;
    }
}

static void make_multi(struct workload *workload, const struct state *state, struct work *work)
{
    size_t count = 1 + workload_random(workload, 5);
    work->entry.request.kind = OP_MULTI;
    work->entry.request.multi = (struct op_multi){work->ops, count};
    for (size_t i = 0; i < count; i++)
        make_simple(workload, state, work, &work->ops[i], work->edits[i]);
}

/* --- entries --- */

static uint64_t some_session(struct workload *workload, const struct state *state, struct session_info *info)
{
    uint64_t id = 0, chosen = 0, seen = 0;
    for (struct session_info each; state_next_session(state, &id, &each);) {
        if (workload_random(workload, ++seen) != 0)
            continue;
        chosen = id;
        *info = each;
    }
    return chosen;
}

static void make_session_request(struct workload *workload, struct request *request, uint64_t session)
{
    if (session == 0 || chance(workload, 70)) {
        request->kind = OP_CREATE_SESSION;
        request->create_session.timeout_ms = chance(workload, 95) ? 5000 : 1;
        request->create_session.host = (struct bytes){"host", 4};
        request->create_session.nonce[0] = (uint8_t)workload_random(workload, 12);
        request->create_session.secret_hash[0] = (uint8_t)workload_random(workload, 20) == 0;
        return;
    }
    request->kind = OP_CLOSE_SESSION;
    request->close_session = (struct op_close_session){session, CLOSE_EXPIRED};
    if (chance(workload, 5))
        request->close_session.session = 999;
}

static void make_member_request(struct workload *workload, struct request *request)
{
    if (chance(workload, 40)) {
        request->kind = OP_SET_STATE_VERSION;
        request->state_version = (uint32_t)workload_random(workload, STATE_VERSION + 2);
        return;
    }
    request->kind = OP_SET_MEMBER;
    request->set_member.id = (uint32_t)workload_random(workload, LIMIT_REPLICAS + 3);
    request->set_member.incarnation[0] = (uint8_t)workload_random(workload, 3 + request->set_member.id);
}

static bool make_due(const struct state *state, struct workload *workload, struct request *request)
{
    uint64_t after = chance(workload, 50) ? 0 : workload_random(workload, 100);
    request->kind = OP_DELETE;
    return state_next_due(state, state_stamp_ns(state), after, &request->delete);
}

static void make_numbers(struct workload *workload, struct entry *entry, const struct session_info *info)
{
    entry->session = info->id;
    entry->number = info->last_number + 1;
    if (chance(workload, 4))
        entry->number = chance(workload, 50) ? info->last_number : info->last_number + 2;
    uint64_t back = workload_random(workload, chance(workload, 2) ? 400 : 8);
    entry->awaited = entry->number > back ? entry->number - back : 1;
    if (chance(workload, 1))
        entry->session = 1000;
}

struct work *workload_next(struct workload *workload, const struct state *state)
{
    struct work *work = calloc(1, sizeof *work);
    assert(work != NULL);
    struct entry *entry = &work->entry;
    struct session_info info = {0};
    uint64_t session = some_session(workload, state, &info);
    workload->zxid += 1 + (uint64_t)chance(workload, 10);
    workload->stamp_ns += (int64_t)workload_random(workload, 3) * 1000000;
    entry->zxid = workload->zxid;
    entry->stamp_ns = workload->stamp_ns;
    if (session != 0 && chance(workload, 3)) {
        make_member_request(workload, &entry->request);
        if (chance(workload, 10))
            make_numbers(workload, entry, &info);
        return work;
    }
    uint64_t turn = workload_random(workload, 100);
    if (session == 0 || turn < 3) {
        make_session_request(workload, &entry->request, session);
        return work;
    }
    if (turn < 8 && make_due(state, workload, &entry->request))
        return work;
    if (turn < 90)
        make_numbers(workload, entry, &info);
    if (chance(workload, workload->locks_percent != 0 ? workload->locks_percent : 15))
        workload_lock_request(workload, state, entry);
    else if (turn < 75)
        make_simple(workload, state, work, &entry->request, work->edits[0]);
    else if (turn < 95)
        make_multi(workload, state, work);
    else
        entry->request.kind = OP_NOOP;
    return work;
}
