#include "fs/mount/directory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"

struct name {
    fuse_ino_t ino;
    mode_t type;
    size_t at; /* in text */
};

struct listing {
    struct name *names;
    size_t count, capacity;
    char *text; /* NUL-terminated names one after the other */
    size_t len, text_capacity;
};

void listing_free(struct listing *listing)
{
    if (!listing)
        return;
    free(listing->names);
    free(listing->text);
    free(listing);
}

/* Makes room for `more` elements of a size in an array. */
static void *grow(void *at, size_t count, size_t more, size_t *capacity, size_t size)
{
    if (count + more <= *capacity)
        return at;
    *capacity = 2 * (count + more) + 64;
    at = realloc(at, *capacity * size);
    assert(at);
    return at;
}

static void add(struct listing *listing, const char *name, fuse_ino_t ino, mode_t type)
{
    size_t len = strlen(name) + 1;
    listing->names = grow(listing->names, listing->count, 1, &listing->capacity, sizeof *listing->names);
    listing->text = grow(listing->text, listing->len, len, &listing->text_capacity, 1);
    listing->names[listing->count++] = (struct name){ino, type, listing->len};
    memcpy(listing->text + listing->len, name, len);
    listing->len += len;
}

static void list_children(struct mount *mount, const struct node *directory, struct listing *listing)
{
    struct node_stat stat;
    struct stat attr;
    const struct node *node = node_first_child(directory);
    for (; node; node = node_next_sibling(node)) {
        node_stat(node, &stat);
        if (!mount_visible(mount, &stat))
            continue;
        inode_attr(mount, &stat, &attr);
        add(listing, node_name(node).at, attr.st_ino, attr.st_mode);
    }
}

static void list_control(const struct mount *mount, uint64_t id, struct listing *listing)
{
    for (enum control kind = CONTROL_STAT; kind < CONTROL_END; kind++) {
        const char *name = control_name(mount, id, kind);
        if (name)
            add(listing, name, control_ino(kind, id), S_IFREG);
    }
}

/* All names of a directory as they are now; NULL if it is gone. */
static struct listing *list(struct mount *mount, fuse_ino_t ino)
{
    uint64_t id = control_is(ino) ? control_id(ino) : znode_of(mount, ino);
    struct listing *listing = calloc(1, sizeof *listing);
    struct node_stat stat = {0};
    assert(listing);
    const struct state *state = client_lock(mount->client);
    const struct node *directory = state_node(state, id);
    if (directory) {
        node_stat(directory, &stat);
        uint64_t up = id == mount->root ? id : stat.parent;
        add(listing, ".", ino, S_IFDIR);
        add(listing, "..", inode_of(mount, control_is(ino) ? id : up), S_IFDIR);
        if (!control_is(ino))
            list_children(mount, directory, listing);
    }
    client_unlock(mount->client);
    if (directory && control_is(ino))
        list_control(mount, id, listing);
    if (directory)
        return listing;
    listing_free(listing);
    return NULL;
}

static void drop(struct mount *mount, uint64_t fh)
{
    struct handle *handle = handle_lock(mount, fh);
    if (handle) {
        handle_drop(handle);
        handle_unlock(handle);
    }
}

/* A removed one can still be opened by those who are in it, and is empty. */
static void open_directory(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    struct node_stat stat;
    struct stat remains;
    int code = mount_stat(mount, control_is(ino) ? control_id(ino) : znode_of(mount, ino), &stat);
    if (!code)
        code = access_check(req, &stat, R_OK);
    else if (!control_is(ino) && inodes_remains(mount->inodes, ino, &remains))
        code = ERR_OK;
    struct handle *handle = code ? NULL : handle_new(mount, ino, true, NULL);
    if (!handle) {
        reply_code(req, code ? code : ERR_TOO_MANY);
        return;
    }
    fi->fh = handle->fh;
    if (fuse_reply_open(req, fi))
        drop(mount, fi->fh);
}

static void finish_sync(struct call *call, const struct result *result)
{
    if (result->code)
        reply_code(call->req, result->code);
    else
        open_directory(call->req, call->fi.fh, &call->fi);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    if (!mount->linearizable || mount_ghost(mount, req)) {
        open_directory(req, ino, fi);
        return;
    }
    struct call *call = call_new(req, finish_sync);
    call->fi = *fi;
    call->fi.fh = ino; /* until it is opened */
    call_sync(call);
}

/* Packs entries from `from` on into a buffer; the length. */
static size_t pack(fuse_req_t req, const struct listing *listing, size_t from, char *to, size_t size)
{
    size_t len = 0;
    for (size_t i = from; i < listing->count; i++) {
        const struct name *name = &listing->names[i];
        struct stat attr = {.st_ino = name->ino, .st_mode = name->type};
        size_t needed = fuse_add_direntry(req, to + len, size - len, listing->text + name->at, &attr, (off_t)(i + 1));
        if (needed > size - len)
            break;
        len += needed;
    }
    return len;
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    struct handle *handle = handle_lock(mount, fi->fh);
    if (!handle || offset < 0) {
        reply_code(req, ERR_INVALID);
        if (handle)
            handle_unlock(handle);
        return;
    }
    if (!offset || !handle->listing) {
        listing_free(handle->listing);
        cache_begin_read(mount->cache);
        handle->listing = list(mount, ino);
        cache_end_read(mount->cache);
    }
    char *buffer = malloc(size);
    assert(buffer);
    size_t len = handle->listing ? pack(req, handle->listing, (size_t)offset, buffer, size) : 0;
    handle_unlock(handle);
    fuse_reply_buf(req, buffer, len);
    free(buffer);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    drop(mount_of(req), fi->fh);
    reply_code(req, ERR_OK);
}
