#include "fs/mount/handle.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#include "fs/mount/directory.h"
#include "fs/mount/inode.h"
#include "fs/mount/resume.h"

struct slot {
    uint64_t fh;
    struct handle *handle;
    UT_hash_handle hh;
};

struct handles {
    pthread_mutex_t lock;
    struct estate *estate;
    struct slot *table;
    size_t free_count;
    uint32_t free[LIMIT_HANDLES]; /* places in the estate */
};

struct handles *handles_new(struct estate *estate)
{
    struct handles *handles = calloc(1, sizeof *handles);
    if (!handles)
        return NULL;
    pthread_mutex_init(&handles->lock, NULL);
    handles->estate = estate;
    for (uint32_t i = LIMIT_HANDLES; i-- > 0;)
        if (!atomic_load(&estate->handles[i].fh))
            handles->free[handles->free_count++] = i;
    return handles;
}

static void give_back(struct handles *handles, struct estate_handle *left)
{
    pthread_mutex_lock(&handles->lock);
    atomic_store(&left->fh, 0);
    handles->free[handles->free_count++] = (uint32_t)(left - handles->estate->handles);
    pthread_mutex_unlock(&handles->lock);
}

static void destroy(struct handle *handle)
{
    struct mount *mount = handle->mount;
    atomic_fetch_sub(&mount->staged_bytes, handle->stage.bytes);
    stage_clear(&handle->stage);
    if (handle->file) {
        files_stage(mount->files, handle);
        files_close(mount->files, handle);
    }
    data_unref(handle->version);
    listing_free(handle->listing);
    pthread_mutex_destroy(&handle->lock);
    give_back(mount->handles, handle->left);
    free(handle);
}

void handles_free(struct handles *handles)
{
    struct slot *slot, *next;
    if (!handles)
        return;
    HASH_ITER(hh, handles->table, slot, next)
    {
        HASH_DEL(handles->table, slot);
        destroy(slot->handle);
        free(slot);
    }
    pthread_mutex_destroy(&handles->lock);
    free(handles);
}

/* Under the lock. */
static struct handle *add(struct mount *mount, struct estate_handle *left)
{
    struct slot *slot = calloc(1, sizeof *slot);
    struct handle *handle = calloc(1, sizeof *handle);
    assert(slot && handle);
    *handle = (struct handle){.fh = atomic_load(&left->fh), .left = left, .mount = mount, .refs = 1, .ino = left->ino};
    *slot = (struct slot){.fh = handle->fh, .handle = handle};
    HASH_ADD(hh, mount->handles->table, fh, sizeof slot->fh, slot);
    pthread_mutex_init(&handle->lock, NULL);
    handle->control = control_is(handle->ino) ? control_kind(handle->ino) : CONTROL_NONE;
    handle->id = control_is(handle->ino) ? control_id(handle->ino) : znode_of(mount, handle->ino);
    return handle;
}

struct handle *handle_new(struct mount *mount, fuse_ino_t ino, bool directory, struct data *version)
{
    struct handles *handles = mount->handles;
    struct estate *estate = handles->estate;
    struct handle *handle = NULL;
    pthread_mutex_lock(&handles->lock);
    if (handles->free_count) {
        uint32_t place = handles->free[--handles->free_count];
        struct estate_handle *left = &estate->handles[place];
        left->ino = ino;
        left->opener = request_unique();
        left->tgid = 0;
        left->identity = 0;
        atomic_store(&left->bits, directory ? ESTATE_DIRECTORY : 0);
        atomic_store(&left->fh, (atomic_fetch_add(&estate->last_handle, 1) + 1) * LIMIT_HANDLES + place);
        handle = add(mount, left);
    }
    pthread_mutex_unlock(&handles->lock);
    if (!handle)
        return NULL;
    /* Nobody else knows the fh yet. */
    handle->version = data_ref(version);
    if (!directory)
        handle->file = files_open(mount->files, ino, handle->id, version);
    return handle;
}

void handle_mark(struct handle *handle, enum estate_handle_bit bit, bool set)
{
    if (set)
        atomic_fetch_or(&handle->left->bits, bit);
    else
        atomic_fetch_and(&handle->left->bits, ~(uint32_t)bit);
}

struct handle *handle_lock(struct mount *mount, uint64_t fh)
{
    struct handles *handles = mount->handles;
    struct slot *slot;
    pthread_mutex_lock(&handles->lock);
    HASH_FIND(hh, handles->table, &fh, sizeof fh, slot);
    struct handle *handle = slot ? slot->handle : NULL;
    if (handle)
        handle->refs++;
    pthread_mutex_unlock(&handles->lock);
    if (handle)
        handle_relock(handle);
    return handle;
}

struct handle *handle_ref(struct handle *handle)
{
    pthread_mutex_lock(&handle->mount->handles->lock);
    handle->refs++;
    pthread_mutex_unlock(&handle->mount->handles->lock);
    return handle;
}

bool handle_try_ref(struct handle *handle)
{
    pthread_mutex_lock(&handle->mount->handles->lock);
    bool used = handle->refs;
    handle->refs += used;
    pthread_mutex_unlock(&handle->mount->handles->lock);
    return used;
}

void handle_unref(struct handle *handle)
{
    pthread_mutex_t *lock = &handle->mount->handles->lock;
    pthread_mutex_lock(lock);
    bool last = !--handle->refs;
    pthread_mutex_unlock(lock);
    if (last)
        destroy(handle);
}

void handle_unlock(struct handle *handle)
{
    pthread_mutex_unlock(&handle->lock);
    handle_unref(handle);
}

/* What others took along with a commit of theirs is not staged any more. */
void handle_relock(struct handle *handle)
{
    pthread_mutex_lock(&handle->lock);
    if (!handle->stage.open || !files_taken(handle->mount->files, handle))
        return;
    handle_discard(handle);
    handle_mark(handle, ESTATE_STAGED, false);
    handle->cut_taken = handle->staged.taken_by_other;
}

void handle_drop(struct handle *handle)
{
    struct handles *handles = handle->mount->handles;
    struct slot *slot;
    pthread_mutex_lock(&handles->lock);
    HASH_FIND(hh, handles->table, &handle->fh, sizeof handle->fh, slot);
    if (slot) {
        HASH_DEL(handles->table, slot);
        handle->refs--; /* the table's; the caller has one of its own */
    }
    pthread_mutex_unlock(&handles->lock);
    free(slot);
}

/* --- what a worker left --- */

/* The data that a handle begins with; false: it is gone. */
static bool find_again(struct mount *mount, struct handle *handle, struct data **data)
{
    struct node_stat stat;
    bool removed;
    *data = NULL;
    if (handle->control == CONTROL_ENSEMBLE)
        *data = control_ensemble(mount, NULL);
    else if (handle->control != CONTROL_NONE)
        return !control_text(mount, handle->ino, data);
    else
        return !mount_data(mount, handle->id, &stat, data, &removed) && !removed;
    return true;
}

static void restore(struct mount *mount, struct estate_handle *left, bool session_lives)
{
    uint32_t bits = atomic_load(&left->bits);
    struct data *data = NULL;
    pthread_mutex_lock(&mount->handles->lock);
    struct handle *handle = add(mount, left);
    pthread_mutex_unlock(&mount->handles->lock);
    if (bits & ESTATE_DIRECTORY)
        return;
    bool there = find_again(mount, handle, &data);
    handle->version = data;
    handle->file = files_open(mount->files, handle->ino, handle->id, data);
    if (!there)
        files_set_removed(mount->files, handle->file);
    handle->bereft = !there;
    handle->writable = bits & ESTATE_WRITABLE;
    handle->by_user = bits & ESTATE_BY_USER;
    handle->unborn = bits & ESTATE_UNBORN;
    handle->tgid = left->tgid;
    handle->opener = left->identity;
    handle->staged.tgid = handle->writable ? left->tgid : 0;
    if (handle->writable)
        (void)files_add_writer(mount->files, handle); /* nothing is doomed yet */
    handle->session = handle->unborn ? atomic_load(&mount->own_session) : 0;
    bool lost = bits & ESTATE_STAGED || (handle->unborn && !session_lives);
    handle->error = lost ? ERR_SESSION_EXPIRED : ERR_OK;
    atomic_store(&handle->lock_lost, (bits & ESTATE_LOCKED) && !session_lives);
}

void handles_restore(struct mount *mount, bool session_lives)
{
    for (size_t i = 0; i < LIMIT_HANDLES; i++)
        if (atomic_load(&mount->estate->handles[i].fh))
            restore(mount, &mount->estate->handles[i], session_lives);
}

void handles_forget(struct mount *mount, uint64_t opener)
{
    struct handles *handles = mount->handles;
    const struct slot *slot;
    uint64_t fh = 0;
    pthread_mutex_lock(&handles->lock);
    for (slot = handles->table; slot; slot = slot->hh.next)
        if (slot->handle->left->opener == opener)
            fh = slot->fh;
    pthread_mutex_unlock(&handles->lock);
    struct handle *handle = fh ? handle_lock(mount, fh) : NULL;
    if (!handle)
        return;
    handle_drop(handle);
    handle_unlock(handle);
}

/* --- reading --- */

/* Whether it stands for a znode's data, which the tree knows, and not for a text made at opening. */
static bool has_data(const struct handle *handle)
{
    return handle->control == CONTROL_NONE || handle->control == CONTROL_DATA;
}

struct data *handle_current(struct handle *handle)
{
    struct data *data = NULL;
    if (!has_data(handle))
        return data_ref(handle->version);
    if (files_removed(handle->mount->files, handle->file, &data))
        return data;
    const struct state *state = client_lock(handle->mount->client);
    const struct node *node = state_node(state, handle->id);
    bool there = node;
    if (there)
        data = data_ref(node_data(node));
    client_unlock(handle->mount->client);
    return there ? data : data_ref(handle->version);
}

struct data *handle_base(struct handle *handle)
{
    return handle->in_flight ? data_ref(handle->version) : handle_current(handle);
}

/* To this version, whose count is taken over. */
static void move_on(struct handle *handle, struct data *to)
{
    data_unref(handle->version);
    handle->version = to;
    handle->at_end = false;
}

/* The newest version, or what the process that reads has staged itself through another handle. */
static struct data *seen_by(struct handle *handle, pid_t tid)
{
    struct looked looked;
    if (has_data(handle) && files_look(handle->mount, handle->ino, tid, &looked))
        return looked.view;
    return handle_current(handle);
}

bool handle_view(struct mount *mount, uint64_t fh, struct data **view)
{
    struct handle *handle = handle_lock(mount, fh);
    if (!handle)
        return false;
    bool staged = handle->stage.open;
    if (staged)
        *view = data_ref(handle->stage.view);
    handle_unlock(handle);
    return staged;
}

/* A read from the start begins with the newest version, not with that of the open: a program may have taken a lock on
 * another file in between. */
struct data *handle_read_from(struct handle *handle, uint64_t offset, pid_t tid)
{
    if (handle->stage.open)
        return handle->stage.view;
    bool anew = atomic_exchange(&handle->locked_anew, false);
    if (!handle->in_flight && (!offset || offset != handle->next || handle->at_end || anew))
        move_on(handle, seen_by(handle, tid));
    return handle->version;
}

void handle_has_read(struct handle *handle, uint64_t offset, size_t len)
{
    handle->next = offset + len;
    handle->at_end = !len;
}

/* --- writing --- */

/* Whether the quotas of the directories above a znode leave its data room to grow: as replica/state/quota.c. */
static bool quota_allows(struct handle *handle, uint64_t growth)
{
    struct node_stat stat;
    bool allowed = true;
    const struct state *state = client_lock(handle->mount->client);
    const struct node *node = state_node(state, handle->id);
    while (node && allowed && (node = node_parent(state, node))) {
        node_stat(node, &stat);
        allowed = !stat.max_bytes || stat.subtree_bytes - stat.size + growth <= stat.max_bytes;
    }
    client_unlock(handle->mount->client);
    return allowed;
}

bool handle_lost(const struct handle *handle)
{
    if (handle->bereft)
        return true;
    bool staged_before = handle->session && handle->session != atomic_load(&handle->mount->own_session);
    return staged_before || atomic_load(&handle->lock_lost);
}

/* What can be known beforehand fails here, at write(2): shells do not see close() fail. */
int handle_may_stage(struct handle *handle, const struct data *base, uint64_t size, uint64_t len)
{
    struct mount *mount = handle->mount;
    if (!handle->writable)
        return ERR_INVALID;
    if (handle->error)
        return handle->error;
    if (handle_lost(handle))
        return ERR_SESSION_EXPIRED;
    if (files_removed(mount->files, handle->file, NULL))
        return size > LIMIT_DATA_BYTES ? ERR_TOO_BIG : ERR_OK;
    int code = mount_writable(mount);
    if (code)
        return code;
    if (size > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    if (atomic_load(&mount->staged_bytes) + len > LIMIT_STAGED_BYTES)
        return ERR_NO_SPACE;
    if (has_data(handle) && size > data_size(base) && !quota_allows(handle, size - data_size(base)))
        return ERR_QUOTA;
    return ERR_OK;
}

/* Brings everything that depends on the stage up to date. */
static void has_staged(struct handle *handle, uint64_t bytes_before)
{
    struct mount *mount = handle->mount;
    atomic_fetch_add(&mount->staged_bytes, handle->stage.bytes - bytes_before);
    if (!handle->session)
        handle->session = atomic_load(&mount->own_session);
    handle->discarded = false;
    handle_mark(handle, ESTATE_STAGED, true);
    files_stage(mount->files, handle);
}

/* Whether a whole file is being written anew. If a part of it fails, the rest must not become the new version. */
static bool replaces(const struct handle *handle)
{
    return handle->unborn || (handle->stage.truncated && handle->stage.low == 0);
}

static int truncate_to(struct handle *handle, uint64_t size)
{
    struct data *base = handle->stage.open ? data_ref(handle->stage.view) : handle_base(handle);
    uint64_t before = handle->stage.bytes;
    int code = handle_may_stage(handle, base, size, 0);
    if (!code)
        code = stage_truncate(&handle->stage, base, size);
    if (!code)
        has_staged(handle, before);
    data_unref(base);
    return code;
}

/* What it had cut to nothing went with another process's commit. What it writes now is still a version of its own: it
 * takes the place of all that was there, and is not mixed with it. */
static int cut_anew(struct handle *handle)
{
    if (!handle->cut_taken)
        return ERR_OK;
    handle->cut_taken = false;
    return truncate_to(handle, 0);
}

int handle_write(struct handle *handle, uint64_t offset, const void *at, size_t len)
{
    int cut = cut_anew(handle);
    if (cut)
        return cut;
    struct data *base = handle->stage.open ? data_ref(handle->stage.view) : handle_base(handle);
    uint64_t before = handle->stage.bytes;
    int code = handle_may_stage(handle, base, offset + len, len);
    if (!code)
        code = stage_write(&handle->stage, base, offset, at, len);
    if (!code) {
        handle->written = true;
        has_staged(handle, before);
    }
    if (!code && !has_data(handle)) /* told at once, and again at the commit: it stays staged */
        code = control_check(handle->mount, handle->control, handle->id, handle->stage.view);
    if (code && replaces(handle))
        handle->error = code;
    data_unref(base);
    return code;
}

int handle_truncate(struct handle *handle, uint64_t size)
{
    int code = cut_anew(handle);
    return code ? code : truncate_to(handle, size);
}

static void clear(struct handle *handle)
{
    atomic_fetch_sub(&handle->mount->staged_bytes, handle->stage.bytes);
    stage_clear(&handle->stage);
    handle->written = false;
    handle->session = 0;
}

void handle_take(struct handle *handle)
{
    if (handle->stage.open) {
        data_unref(handle->version);
        handle->version = data_ref(handle->stage.view);
    }
    handle->in_flight++;
    handle->unborn = false;
    clear(handle);
    files_commit(handle->mount->files, handle);
}

void handle_settle(struct handle *handle)
{
    if (handle->in_flight)
        return;
    if (handle->file)
        files_end_commit(handle->mount->files, handle);
    if (has_data(handle))
        move_on(handle, handle_current(handle));
}

void handle_discard(struct handle *handle)
{
    clear(handle);
    files_stage(handle->mount->files, handle);
}

bool handle_owes(const struct handle *handle)
{
    return handle->stage.open || handle->unborn;
}
