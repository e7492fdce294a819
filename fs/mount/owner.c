#include "fs/mount/owner.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "fs/mount/closing.h"
#include "fs/mount/estate.h"
#include "fs/mount/holder.h"
#include "fs/mount/process.h"

enum { RETRY_MS = 50 };

/* A znode that hangs on a process, or was made by it. */
struct owned {
    uint64_t id;
    bool stays;                /* it does not end with the process */
    uint64_t key;              /* of the holder, counted once for this */
    struct owner *owner;       /* whose death ends it */
    bool in_flight;            /* its removal is under way */
    struct estate_owned *left; /* for the next worker; NULL: there was no room */
    bool alone;                /* a removal together with others was refused */
    struct owned *prev, *next;
    UT_hash_handle hh;
};

/* A process whose death ends znodes, or what is noted of them. */
struct owner {
    uint64_t key;
    bool dead;
    struct owned *nodes; /* never empty */
    UT_hash_handle hh;
};

struct owners {
    pthread_mutex_t lock;
    struct estate *estate;
    size_t free_count;
    uint32_t free[ESTATE_OWNED]; /* places in the estate */
    struct owned *nodes;
    struct owner *owners;
    uint64_t hanging;      /* of the nodes, on processes */
    uint64_t retry_ms;     /* 0: nothing is to be tried again */
    uint64_t removed_zxid; /* the last entry that removed what was in flight; of the client thread */
};

/* A removal under way. */
struct removal {
    struct mount *mount;
    size_t count;
    uint64_t ids[LIMIT_MULTI_OPS];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct owners *owners_new(struct estate *estate)
{
    struct owners *owners = calloc(1, sizeof *owners);
    if (!owners)
        return NULL;
    pthread_mutex_init(&owners->lock, NULL);
    owners->estate = estate;
    for (uint32_t i = ESTATE_OWNED; i-- > 0;)
        if (!atomic_load(&estate->owned[i].id))
            owners->free[owners->free_count++] = i;
    return owners;
}

/* --- what the next worker must know, locked --- */

/* What hangs on its process can have all places, what does not only half of them. */
static struct estate_owned *leave(struct owners *owners, uint64_t id, pid_t pid, uint64_t identity, bool stays)
{
    if (owners->free_count <= (stays ? ESTATE_OWNED / 2 : 0))
        return NULL;
    struct estate_owned *left = &owners->estate->owned[owners->free[--owners->free_count]];
    left->pid = pid;
    left->stays = stays;
    left->identity = identity;
    atomic_store(&left->id, id);
    return left;
}

static void give_back(struct owners *owners, struct estate_owned *left)
{
    if (!left)
        return;
    atomic_store(&left->id, 0);
    owners->free[owners->free_count++] = (uint32_t)(left - owners->estate->owned);
}

/* --- the tables, locked --- */

static struct owned *find(struct owners *owners, uint64_t id)
{
    struct owned *owned;
    HASH_FIND(hh, owners->nodes, &id, sizeof id, owned);
    return owned;
}

static struct owner *find_owner(struct owners *owners, uint64_t key)
{
    struct owner *owner;
    HASH_FIND(hh, owners->owners, &key, sizeof key, owner);
    return owner;
}

static void add(struct owners *owners, uint64_t key, uint64_t id, bool stays, struct estate_owned *left)
{
    struct owned *owned = calloc(1, sizeof *owned);
    assert(owned);
    *owned = (struct owned){.id = id, .stays = stays, .key = key, .left = left};
    if (!stays)
        owners->hanging++;
    HASH_ADD(hh, owners->nodes, id, sizeof owned->id, owned);
    owned->owner = find_owner(owners, key);
    if (!owned->owner) {
        owned->owner = calloc(1, sizeof *owned->owner);
        assert(owned->owner);
        owned->owner->key = key;
        HASH_ADD(hh, owners->owners, key, sizeof owned->owner->key, owned->owner);
    }
    if (stays)
        DL_PREPEND(owned->owner->nodes, owned);
    else
        DL_APPEND(owned->owner->nodes, owned);
}

static enum holding holding_of(bool stays)
{
    return stays ? MADE : HOLDS;
}

/* What it counted for: to be given back without the lock. */
static struct owning take_out(struct owners *owners, struct owned *owned)
{
    struct owner *owner = owned->owner;
    struct owning noted = {.key = owned->key, .stays = owned->stays};
    give_back(owners, owned->left);
    if (!owned->stays)
        owners->hanging--;
    HASH_DELETE(hh, owners->nodes, owned);
    DL_DELETE(owner->nodes, owned);
    if (!owner->nodes) {
        HASH_DELETE(hh, owners->owners, owner);
        free(owner);
    }
    free(owned);
    return noted;
}

static void drop(struct mount *mount, const struct owning *noted)
{
    holders_drop(mount, noted->key, holding_of(noted->stays));
}

static void clear(struct owners *owners)
{
    struct owned *owned, *next;
    HASH_ITER(hh, owners->nodes, owned, next) take_out(owners, owned);
    owners->retry_ms = 0;
}

void owners_free(struct owners *owners)
{
    if (!owners)
        return;
    clear(owners);
    pthread_mutex_destroy(&owners->lock);
    free(owners);
}

/* Whether its removal was under way. */
static bool forget(struct mount *mount, uint64_t id)
{
    struct owners *owners = mount->owners;
    pthread_mutex_lock(&owners->lock);
    struct owned *owned = find(owners, id);
    bool in_flight = owned && owned->in_flight;
    struct owning noted = owned ? take_out(owners, owned) : (struct owning){0};
    pthread_mutex_unlock(&owners->lock);
    drop(mount, &noted);
    return in_flight;
}

/* --- removing what the dead owned --- */

static struct request remove_request(uint64_t id)
{
    return (struct request){
        .kind = OP_DELETE,
        .delete = {.at = {.id = id}, .type = DELETE_ANY, .version = NO_VERSION_CHECK, .expect_id = id}};
}

/* What was refused stays, and is tried again: alone, if one of several may have been the reason. */
static void put_back(struct owners *owners, const struct removal *removal, bool alone)
{
    for (size_t i = 0; i < removal->count; i++) {
        struct owned *owned = find(owners, removal->ids[i]);
        if (!owned)
            continue;
        owned->in_flight = false;
        owned->alone = owned->alone || alone;
    }
    owners->retry_ms = now_ms() + (alone ? 0 : RETRY_MS);
}

/* Nodes that were removed were taken out when the tree changed. */
static void finish_removal(void *arg, const struct result *result)
{
    struct removal *removal = arg;
    struct mount *mount = removal->mount;
    if (result->code == ERR_NO_NODE && removal->count == 1) {
        forget(mount, removal->ids[0]);
    } else if (result->code) {
        bool alone = result->code == ERR_NO_NODE;
        pthread_mutex_lock(&mount->owners->lock);
        put_back(mount->owners, removal, alone);
        pthread_mutex_unlock(&mount->owners->lock);
        holders_wake(mount);
    }
    free(removal);
}

static void submit(struct mount *mount, struct removal *removal)
{
    struct request *ops = calloc(removal->count, sizeof *ops);
    assert(ops);
    for (size_t i = 0; i < removal->count; i++)
        ops[i] = remove_request(removal->ids[i]);
    struct request multi = {.kind = OP_MULTI, .multi = {ops, removal->count}};
    removal->mount = mount;
    client_submit(mount->client, removal->count == 1 ? &ops[0] : &multi, finish_removal, removal);
    free(ops);
}

/* Takes up to a transaction's worth of what is to be removed; false: nothing. */
static bool collect(struct owner *owner, struct removal *removal)
{
    struct owned *owned;
    DL_FOREACH(owner->nodes, owned)
    {
        if (owned->stays || owned->in_flight || (owned->alone && removal->count))
            continue;
        owned->in_flight = true;
        removal->ids[removal->count++] = owned->id;
        if (owned->alone || removal->count == LIMIT_MULTI_OPS)
            break;
    }
    return removal->count > 0;
}

/* A transaction for one of the dead, of which something is left; false: none, or what was refused comes first. */
static bool remove_some(struct mount *mount)
{
    struct owners *owners = mount->owners;
    struct owner *owner, *next;
    struct removal *removal = calloc(1, sizeof *removal);
    bool some = false;
    assert(removal);
    pthread_mutex_lock(&owners->lock);
    HASH_ITER(hh, owners->owners, owner, next)
    {
        some = !owners->retry_ms && owner->dead && collect(owner, removal);
        if (some)
            break;
    }
    pthread_mutex_unlock(&owners->lock);
    if (some)
        submit(mount, removal);
    else
        free(removal);
    return some;
}

/* What a process made and left is nobody's. One, of those at the head of its list; false: there is none. */
static bool forget_made(struct mount *mount, uint64_t key)
{
    struct owners *owners = mount->owners;
    struct owning noted = {0};
    struct owned *owned = NULL;
    pthread_mutex_lock(&owners->lock);
    const struct owner *owner = find_owner(owners, key);
    if (owner)
        DL_SEARCH_SCALAR(owner->nodes, owned, stays, true);
    if (owned)
        noted = take_out(owners, owned);
    pthread_mutex_unlock(&owners->lock);
    drop(mount, &noted);
    return owned;
}

void owners_bury(struct mount *mount, uint64_t key)
{
    struct owners *owners = mount->owners;
    while (forget_made(mount, key))
        continue;
    pthread_mutex_lock(&owners->lock);
    struct owner *owner = find_owner(owners, key);
    if (owner)
        owner->dead = true;
    pthread_mutex_unlock(&owners->lock);
    while (owner && remove_some(mount))
        continue;
}

bool owners_retry(struct mount *mount)
{
    struct owners *owners = mount->owners;
    pthread_mutex_lock(&owners->lock);
    bool waits = owners->retry_ms, due = waits && owners->retry_ms <= now_ms();
    if (due)
        owners->retry_ms = 0;
    pthread_mutex_unlock(&owners->lock);
    while (due && remove_some(mount))
        continue;
    pthread_mutex_lock(&owners->lock);
    waits = owners->retry_ms;
    pthread_mutex_unlock(&owners->lock);
    return waits;
}

/* --- from creates and renames --- */

int owner_find(fuse_req_t req, const struct tokens *tokens, struct owning *owning)
{
    struct mount *mount = mount_of(req);
    pid_t tid = fuse_req_ctx(req)->pid, pid;
    int pidfd, code;
    if (!tokens->lifetime.ephemeral)
        return ERR_OK;
    owning->stays = !tokens->owner;
    if (!tokens->owner_number) {
        code = holders_note(mount, tid, 0, ASKS, &owning->key);
        return code == ERR_INVALID && owning->stays ? ERR_OK : code;
    }
    struct process process;
    code = process_open_ancestor(tid, tokens->owner_number, &pid, &pidfd);
    if (code)
        return code;
    code = process_read(pid, &process) && !process_ended(pidfd) ? ERR_OK : ERR_INVALID;
    uid_t uid = fuse_req_ctx(req)->uid;
    if (!code && uid != 0 && uid != process.uid)
        code = ERR_NOT_PERMITTED; /* it would be fenced, with all that descends from it */
    if (code) {
        close(pidfd);
        return code;
    }
    return holders_note_process(mount, &process, pidfd, ASKS, &owning->key);
}

/* Whether the request gave life to a znode, which is there still. */
static bool gave_life(struct mount *mount, const struct owning *owning, const struct result *result)
{
    struct node_stat stat;
    return !result->code && result->id && !mount_stat(mount, result->id, &stat) && stat.ephemeral_owner &&
           (!owning->makes || stat.czxid == result->zxid);
}

/* A node that a rename gave to another process hangs on that alone. */
void owner_settle(struct mount *mount, struct owning *owning, const struct result *result)
{
    struct owners *owners = mount->owners;
    struct owning noted = *owning, before = {0};
    uint64_t id = result->id, identity;
    if (!noted.key)
        return;
    owning->key = 0;
    if (!gave_life(mount, &noted, result)) {
        holders_drop(mount, noted.key, ASKS);
        return;
    }
    holders_turn(mount, noted.key, holding_of(noted.stays));
    pid_t pid = holders_process(mount, noted.key, &identity);
    pthread_mutex_lock(&owners->lock);
    struct owned *old = find(owners, id);
    if (old)
        before = take_out(owners, old);
    add(owners, noted.key, id, noted.stays, leave(owners, id, pid, identity, noted.stays));
    pthread_mutex_unlock(&owners->lock);
    drop(mount, &before);
    if (!holders_alive(mount, noted.key))
        owners_bury(mount, noted.key);
}

/* --- what a worker left --- */

static bool is_ours(struct mount *mount, uint64_t id)
{
    struct node_stat stat;
    return !mount_stat(mount, id, &stat) && stat.ephemeral_owner &&
           stat.ephemeral_owner == atomic_load(&mount->own_session);
}

/* The holder's key of the process that a node hung on; 0: it has died. */
static uint64_t find_holder(struct mount *mount, const struct estate_owned *left)
{
    uint64_t key;
    holders_note(mount, left->pid, left->identity, holding_of(left->stays), &key);
    return key;
}

static void restore(struct mount *mount, struct estate_owned *left)
{
    struct owners *owners = mount->owners;
    uint64_t id = atomic_load(&left->id);
    bool ours = is_ours(mount, id), stays = left->stays;
    uint64_t holder = ours ? find_holder(mount, left) : 0, key = holder ? holder : holders_new_key(mount);
    pthread_mutex_lock(&owners->lock);
    bool needless = !ours || find(owners, id); /* gone, or settled anew by a call that was sent again */
    if (needless)
        give_back(owners, left);
    else
        add(owners, key, id, stays, left);
    pthread_mutex_unlock(&owners->lock);
    if (needless)
        holders_drop(mount, holder, holding_of(stays));
    else if (!holder)
        owners_bury(mount, key);
}

void owners_restore(struct mount *mount)
{
    struct owners *owners = mount->owners;
    bool left[ESTATE_OWNED];
    for (size_t i = 0; i < ESTATE_OWNED; i++)
        left[i] = atomic_load(&mount->estate->owned[i].id);
    pthread_mutex_lock(&owners->lock);
    for (const struct owned *owned = owners->nodes; owned; owned = owned->hh.next)
        if (owned->left)
            left[owned->left - mount->estate->owned] = false;
    pthread_mutex_unlock(&owners->lock);
    for (size_t i = 0; i < ESTATE_OWNED; i++)
        if (left[i])
            restore(mount, &mount->estate->owned[i]);
}

/* --- from the client thread --- */

void owners_changed(struct mount *mount, const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind == CHANGE_DELETE && forget(mount, changes->list[i].id))
            mount->owners->removed_zxid = changes->zxid;
}

bool owners_removed(const struct mount *mount, uint64_t zxid)
{
    return mount->owners->removed_zxid == zxid;
}

void owners_lose(struct mount *mount)
{
    pthread_mutex_lock(&mount->owners->lock);
    clear(mount->owners);
    pthread_mutex_unlock(&mount->owners->lock);
}

uint64_t owners_count(struct mount *mount)
{
    pthread_mutex_lock(&mount->owners->lock);
    uint64_t count = mount->owners->hanging;
    pthread_mutex_unlock(&mount->owners->lock);
    return count;
}
