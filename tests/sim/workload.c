/* What the programs on a mount do: writes, conditional writes and synced reads of a few registers; znodes made under
 * names of their own, ephemerals and some with a TTL among them, touched and removed again; locks (programs.c). Each
 * request is unlike all others, so that it is known again in the log. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/mount.h"

/* --- the tree --- */

static struct where below_root(const char *name)
{
    return (struct where){ROOT_ID, {name, strlen(name)}};
}

static void key_name(unsigned key, char *name)
{
    name[0] = 'k';
    name[1] = (char)('0' + key);
    name[2] = '\0';
}

static const struct node *key_node(const struct mount *mount, unsigned key)
{
    char name[3];
    int code;
    key_name(key, name);
    return state_find(mount->tree, below_root(name), &code);
}

uint64_t work_key_id(const struct mount *mount, unsigned key)
{
    struct node_stat stat = {0};
    const struct node *node = key_node(mount, key);
    if (node)
        node_stat(node, &stat);
    return stat.id;
}

static uint64_t key_value(const struct mount *mount, unsigned key)
{
    const struct node *node = key_node(mount, key);
    struct data *data = node ? node_data(node) : NULL;
    uint64_t value = 0;
    if (data)
        data_read(data, 0, &value, sizeof value);
    return value;
}

/* --- answers --- */

static void touch_later(struct mount *mount, const char *name, uint64_t ttl_ms);

static void forget(struct mount *mount, const struct op *op)
{
    for (size_t i = 0; i < MOUNT_OPS; i++)
        if (mount->ops[i] == op)
            mount->ops[i] = NULL;
}

static void returned(void *arg, const struct result *result)
{
    struct op *op = arg;
    struct mount *mount = op->owner;
    bool definite = result->zxid != 0 || result->code != ERR_OUTCOME_UNKNOWN;
    forget(mount, op);
    if (op->type == DO_LOCK || op->type == DO_UNLOCK)
        programs_returned(mount, op, result);
    trace(mount->cluster, "mount %u: #%llu returns %s at %llx", mount->index, (unsigned long long)op->uid,
          error_name(result->code), (unsigned long long)result->zxid);
    check_returned(mount->cluster, op, definite, result);
    if (result->code != ERR_OK)
        return;
    if (op->called_us > mount->done_called_us)
        mount->done_called_us = op->called_us;
    if (op->type == DO_MAKE && mount->made_count < 16)
        memcpy(mount->made[mount->made_count++], result->name, sizeof mount->made[0]);
    if (op->type == DO_MAKE)
        touch_later(mount, result->name, op->expected);
}

static void read_back(void *arg, const struct result *result)
{
    struct op *op = arg;
    struct mount *mount = op->owner;
    forget(mount, op);
    if (result->code == ERR_OK)
        op->value = key_value(mount, op->key);
    trace(mount->cluster, "mount %u: #%llu reads k%u: %s, %llu", mount->index, (unsigned long long)op->uid, op->key,
          error_name(result->code), (unsigned long long)op->value);
    check_returned(mount->cluster, op, result->code == ERR_OK, result);
}

void work_forget(struct mount *mount)
{
    for (size_t i = 0; i < MOUNT_OPS; i++) {
        if (mount->ops[i])
            check_returned(mount->cluster, mount->ops[i], false, &(struct result){.code = ERR_OUTCOME_UNKNOWN});
        mount->ops[i] = NULL;
    }
}

bool work_has_room(const struct mount *mount)
{
    for (size_t i = 0; i < MOUNT_OPS; i++)
        if (!mount->ops[i])
            return true;
    return false;
}

/* --- what has a TTL --- */

/* Sets the times of a znode back to long ago: its TTL begins anew. */
static void touch(struct mount *mount, const char *name)
{
    struct op op = {.type = DO_TOUCH, .value = check_next_uid(mount->cluster)};
    struct request request = {.kind = OP_SET_ATTR};
    request.set_attr = (struct op_set_attr){
        .at = below_root(name), .aversion = NO_VERSION_CHECK, .mask = ATTR_MTIME, .mtime_ns = (int64_t)op.value};
    work_submit(mount, op, &request);
}

static void run_touch(struct cluster *cluster, struct event *event)
{
    touch(cluster->mounts[event->end - SERVERS_MAX], event->load);
}

/* At some time, or just when it is due. */
static void touch_later(struct mount *mount, const char *name, uint64_t ttl_ms)
{
    struct cluster *cluster = mount->cluster;
    struct event event = {.run = run_touch, .end = SERVERS_MAX + mount->index, .other = ENDS_MAX, .drop = free};
    if (ttl_ms == 0 || chance(cluster, 300))
        return;
    event.load = strdup(name);
    assert(event.load);
    event_add(cluster, event,
              chance(cluster, 300) ? pick(cluster, ttl_ms * MS) : ttl_ms * MS + pick(cluster, 120 * MS));
}

/* --- questions --- */

static struct op *call(struct mount *mount, struct op op, struct bytes request)
{
    for (size_t i = 0; i < MOUNT_OPS; i++) {
        if (mount->ops[i])
            continue;
        op.mount = mount->index;
        op.owner = mount;
        op.hash = request.len > 0 ? fingerprint(request.at, request.len, 0) : 0;
        mount->ops[i] = check_called(mount->cluster, op);
        return mount->ops[i];
    }
    return NULL;
}

void work_submit(struct mount *mount, struct op new, const struct request *request)
{
    struct cluster *cluster = mount->cluster;
    uint64_t ticket;
    int code = encode_request(request, &cluster->encoded);
    assert(code == ERR_OK);
    struct bytes bytes = {cluster->encoded.at, cluster->encoded.len};
    struct op *op = call(mount, new, bytes);
    if (!op)
        return;
    trace(cluster, "mount %u: #%llu is asked (type %d, k%u, value %llu)", mount->index, (unsigned long long)op->uid,
          op->type, op->key, (unsigned long long)op->value);
    code = learner_submit(mount->learner, mount_ms(mount), bytes, returned, op, &ticket, &mount->output);
    if (code != ERR_OK)
        returned(op, &(struct result){.code = code});
    mount_settle(mount);
}

static void put_or_swap(struct mount *mount, bool swap)
{
    unsigned key = (unsigned)pick(mount->cluster, KEYS);
    const struct node *node = key_node(mount, key);
    struct node_stat stat;
    char name[3];
    key_name(key, name);
    struct op op = {.type = swap && node ? DO_SWAP : DO_PUT, .key = key, .value = check_next_uid(mount->cluster)};
    const struct edit edits[] = {{.kind = EDIT_TRUNCATE}, {.kind = EDIT_PUT, .data = {&op.value, sizeof op.value}}};
    struct request ops[2] = {{.kind = OP_CREATE}, {.kind = OP_WRITE}};
    ops[0].create = (struct op_create){.at = below_root(name), .kind = KIND_FILE, .mode = 0644, .open_existing = true};
    ops[1].write = (struct op_write){below_root(name), NO_VERSION_CHECK, edits, 2};
    struct request both = {.kind = OP_MULTI, .multi = {ops, 2}};
    if (op.type == DO_SWAP) {
        node_stat(node, &stat);
        ops[1].write.version = stat.version;
        op.expected = key_value(mount, key);
    }
    work_submit(mount, op, node ? &ops[1] : &both);
}

static void make(struct mount *mount)
{
    char name[32];
    struct op op = {.type = DO_MAKE, .value = check_next_uid(mount->cluster)};
    int len = snprintf(name, sizeof name, "n%llu-", (unsigned long long)op.value);
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = below_root(name), .kind = KIND_DIRECTORY, .mode = 0755};
    request.create.lifetime =
        (struct lifetime){.sequential = true, .sequence_at = (uint32_t)len, .ephemeral = chance(mount->cluster, 400)};
    if (chance(mount->cluster, 300))
        request.create.lifetime.ttl_ms = op.expected = pick_between(mount->cluster, 300, 5000);
    work_submit(mount, op, &request);
}

static void remove_one(struct mount *mount)
{
    if (mount->made_count == 0)
        return;
    char name[LIMIT_NAME_BYTES + 1];
    memcpy(name, mount->made[--mount->made_count], sizeof name);
    struct op op = {.type = DO_REMOVE};
    struct request request = {.kind = OP_DELETE};
    request.delete = (struct op_delete){.at = below_root(name), .version = NO_VERSION_CHECK};
    work_submit(mount, op, &request);
}

static void get(struct mount *mount)
{
    struct op *op =
        call(mount, (struct op){.type = DO_GET, .key = (unsigned)pick(mount->cluster, KEYS)}, (struct bytes){0});
    if (!op)
        return;
    int code = learner_sync(mount->learner, mount_ms(mount), read_back, op, &mount->output);
    if (code != ERR_OK)
        read_back(op, &(struct result){.code = code});
    mount_settle(mount);
}

static void one(struct mount *mount)
{
    uint64_t kind = pick(mount->cluster, 100);
    if (kind < 20)
        put_or_swap(mount, false);
    else if (kind < 30)
        put_or_swap(mount, true);
    else if (kind < 45)
        get(mount);
    else if (kind < 58)
        make(mount);
    else if (kind < 65)
        remove_one(mount);
    else
        programs_turn(mount);
}

static void run_work(struct cluster *cluster, struct event *event)
{
    struct mount *mount = cluster->mounts[event->end - SERVERS_MAX];
    programs_tend(mount);
    unsigned count = chance(cluster, 80) ? MOUNT_OPS : 1;
    for (unsigned i = 0; i < count; i++)
        one(mount);
    event_add(cluster, *event, spread(cluster, mount->think_us) + MS);
}

void work_begin(struct mount *mount)
{
    event_add(mount->cluster, (struct event){.run = run_work, .end = SERVERS_MAX + mount->index, .other = ENDS_MAX},
              pick(mount->cluster, 1000 * MS));
}
