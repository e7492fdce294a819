#include "fs/mount/mount.h"

#include <errno.h>
#include <string.h>

#include "fs/mount/control.h"
#include "fs/mount/estate.h"
#include "fs/mount/fence.h"
#include "fs/mount/file.h"
#include "fs/mount/found.h"
#include "fs/mount/inode.h"

struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

bool mount_ghost(struct mount *mount, fuse_req_t req)
{
    return ghosts_own(atomic_load(&mount->ghosts), req);
}

int mount_writable(const struct mount *mount)
{
    return mount->read_only ? ERR_READ_ONLY : client_writable(mount->client);
}

int mount_may_change(fuse_req_t req)
{
    struct mount *mount = mount_of(req);
    int code = mount->read_only ? ERR_READ_ONLY : fence_check(req);
    return code ? code : client_writable(mount->client);
}

int mount_stat(struct mount *mount, uint64_t id, struct node_stat *stat)
{
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, id);
    if (node)
        node_stat(node, stat);
    client_unlock(mount->client);
    return node ? ERR_OK : ERR_NO_NODE;
}

bool mount_child(struct mount *mount, uint64_t parent, const char *name, struct node_stat *stat)
{
    const struct state *state = client_lock(mount->client);
    const struct node *directory = state_node(state, parent);
    const struct node *node = directory ? node_child(state, directory, name, strlen(name)) : NULL;
    if (node)
        node_stat(node, stat);
    client_unlock(mount->client);
    return node;
}

int mount_data(struct mount *mount, uint64_t id, struct node_stat *stat, struct data **data, bool *removed)
{
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, id);
    *data = NULL;
    if (node) {
        node_stat(node, stat);
        *data = data_ref(node_data(node));
    }
    client_unlock(mount->client);
    *removed = !node;
    return node || found_find(mount->found, id, stat, data) ? ERR_OK : ERR_NO_NODE;
}

bool mount_visible(struct mount *mount, const struct node_stat *stat)
{
    if (!stat->unborn_of)
        return true;
    if (files_is_doomed(mount->files, stat->id))
        return false;
    return stat->unborn_of == atomic_load(&mount->own_session) || files_is_open(mount->files, stat->id);
}

void mount_drop_pages(struct mount *mount, uint64_t id)
{
    if (mount->session && inodes_take_paged(mount->inodes, id))
        fuse_lowlevel_notify_inval_inode(mount->session, inode_of(mount, id), 0, 0);
}

bool mount_came_late(fuse_req_t req, uint64_t id, struct node_stat *found)
{
    const struct mount *mount = mount_of(req);
    struct sent_back *back = &mount->estate->sent_back;
    uint64_t key = sent_back_key((uint32_t)fuse_req_ctx(req)->pid, 0, "", 0, "");
    struct data *data;
    if (!found_find(mount->found, id, found, &data))
        return false;
    data_unref(data);
    bool again = sent_back_again(back, key);
    if (!again)
        sent_back_note(back, key);
    return again;
}

void reply_code(fuse_req_t req, int code)
{
    fuse_reply_err(req, code ? error_errno(code) : 0);
}

void reply_inode_code(fuse_req_t req, int code)
{
    if (code == ERR_NO_NODE)
        fuse_reply_err(req, ESTALE);
    else
        reply_code(req, code);
}

void reply_entry(fuse_req_t req, const struct node_stat *stat)
{
    struct mount *mount = mount_of(req); /* the reply frees req */
    struct fuse_entry_param entry;
    inode_entry(mount, stat, &entry);
    if (fuse_reply_entry(req, &entry))
        inodes_count(mount->inodes, stat->id, -1);
}
