#include "fs/mount/inode.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#include "fs/mount/estate.h"
#include "fs/mount/mount.h"

struct inode {
    uint64_t id;
    uint64_t lookups; /* what the kernel owes in FORGETs */
    bool seen;        /* by others than ghosts */
    bool inherited;   /* a worker before had it looked up: the kernel owes more than `lookups` */
    bool paged, attr_cached, attr_late;
    bool content_void;     /* of what is cached, the kernel has voided size and times by itself */
    uint64_t named;        /* the value of inodes.names when its name was cached; 0: it was not */
    uint64_t barred_ms[2]; /* by enum inode_bar */
    mode_t mode;           /* 0: nothing told yet */
    uid_t uid;
    gid_t gid;
    off_t size;
    struct timespec atime, mtime, ctime;
    UT_hash_handle hh;
};

struct inodes {
    pthread_mutex_t lock;
    struct estate *estate;
    bool inherits; /* from a worker before */
    struct inode *table;
    uint64_t names; /* raised when all names are forgotten */
};

struct inodes *inodes_new(struct estate *estate)
{
    struct inodes *inodes = calloc(1, sizeof *inodes);
    if (!inodes)
        return NULL;
    pthread_mutex_init(&inodes->lock, NULL);
    inodes->estate = estate;
    inodes->inherits = estate_left(estate);
    inodes->names = 1;
    return inodes;
}

/* --- what the next worker must know: whom others than ghosts have looked up --- */

static bool is_left(const struct inodes *inodes, uint64_t id)
{
    if (id >= ESTATE_KNOWN_IDS)
        return inodes->inherits;
    return (atomic_load(&inodes->estate->known[id / 64]) >> (id % 64)) & 1;
}

static void leave(struct inodes *inodes, uint64_t id, bool known)
{
    if (id >= ESTATE_KNOWN_IDS)
        return;
    if (known)
        atomic_store(&inodes->estate->known_pages[id / ESTATE_KNOWN_PAGE], true);
    if (known)
        atomic_fetch_or(&inodes->estate->known[id / 64], 1ull << (id % 64));
    else
        atomic_fetch_and(&inodes->estate->known[id / 64], ~(1ull << (id % 64)));
}

void inodes_free(struct inodes *inodes)
{
    struct inode *inode, *next;
    if (!inodes)
        return;
    HASH_ITER(hh, inodes->table, inode, next)
    {
        HASH_DEL(inodes->table, inode);
        free(inode);
    }
    pthread_mutex_destroy(&inodes->lock);
    free(inodes);
}

/* Under root=/sub the kernel's 1 is sub; the true root cannot be reached from below it. */
fuse_ino_t inode_of(const struct mount *mount, uint64_t id)
{
    return id == mount->root ? FUSE_ROOT_ID : id;
}

uint64_t znode_of(const struct mount *mount, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? mount->root : ino;
}

static struct inode *find(struct inodes *inodes, uint64_t id)
{
    struct inode *inode;
    HASH_FIND(hh, inodes->table, &id, sizeof id, inode);
    return inode;
}

static struct inode *find_or_add(struct inodes *inodes, uint64_t id)
{
    struct inode *inode = find(inodes, id);
    if (inode)
        return inode;
    inode = calloc(1, sizeof *inode);
    assert(inode);
    inode->id = id;
    inode->inherited = inode->seen = is_left(inodes, id);
    HASH_ADD(hh, inodes->table, id, sizeof inode->id, inode);
    return inode;
}

static void forget(struct inodes *inodes, struct inode *inode)
{
    HASH_DEL(inodes->table, inode);
    leave(inodes, inode->id, false);
    free(inode);
}

/* The kernel forgets an inode at once, whatever its count is; a smaller number is an entry that it had no use for. */
static void count_down(struct inodes *inodes, uint64_t id, uint64_t by)
{
    struct inode *inode = find(inodes, id);
    if (!inode && is_left(inodes, id)) {
        leave(inodes, id, false);
        return;
    }
    if (!inode)
        return;
    bool all = by >= inode->lookups && !(inode->inherited && by == inode->lookups);
    inode->lookups -= by <= inode->lookups ? by : inode->lookups;
    if (all)
        forget(inodes, inode);
}

static void count_up(struct inodes *inodes, uint64_t id, uint64_t by)
{
    struct inode *inode = find_or_add(inodes, id);
    inode->lookups += by;
    if (!inode->seen)
        leave(inodes, id, true);
    inode->seen = true;
}

void inodes_count(struct inodes *inodes, uint64_t id, int64_t by)
{
    pthread_mutex_lock(&inodes->lock);
    if (by < 0)
        count_down(inodes, id, (uint64_t)-by);
    else
        count_up(inodes, id, (uint64_t)by);
    pthread_mutex_unlock(&inodes->lock);
}

void inodes_count_ghost(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    find_or_add(inodes, id)->lookups++;
    pthread_mutex_unlock(&inodes->lock);
}

bool inodes_next_left(const struct inodes *inodes, uint64_t *id)
{
    for (uint64_t at = *id + 1; at < ESTATE_KNOWN_IDS;) {
        size_t page = at / ESTATE_KNOWN_PAGE;
        uint64_t word = 0;
        if (atomic_load(&inodes->estate->known_pages[page]))
            word = atomic_load(&inodes->estate->known[at / 64]) >> (at % 64);
        else
            at = (page + 1) * ESTATE_KNOWN_PAGE - 64;
        if (word) {
            *id = at + (uint64_t)__builtin_ctzll(word);
            return true;
        }
        at = (at / 64 + 1) * 64;
    }
    return false;
}

bool inodes_known(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    const struct inode *inode = find(inodes, id);
    bool known = inode ? inode->seen : is_left(inodes, id);
    pthread_mutex_unlock(&inodes->lock);
    return known;
}

/* --- what the kernel may have cached --- */

/* Nor of one that the next worker could not find out to be known. */
bool inodes_set_cached(struct inodes *inodes, uint64_t id, bool attr, bool name)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = id < ESTATE_KNOWN_IDS ? find(inodes, id) : NULL;
    if (inode) {
        inode->attr_cached |= attr;
        inode->content_void &= !attr;
        inode->named = name ? inodes->names : inode->named;
    }
    pthread_mutex_unlock(&inodes->lock);
    return inode;
}

bool inodes_take_attr(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    bool cached = inode && inode->attr_cached;
    if (cached)
        inode->attr_cached = inode->content_void = false;
    pthread_mutex_unlock(&inodes->lock);
    return cached;
}

void inodes_void_content(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    if (inode)
        inode->content_void = inode->attr_cached && !inode->attr_late;
    pthread_mutex_unlock(&inodes->lock);
}

bool inodes_content_void(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    const struct inode *inode = find(inodes, id);
    bool is_void = inode && inode->content_void;
    pthread_mutex_unlock(&inodes->lock);
    return is_void;
}

void inodes_set_late(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    if (inode) {
        inode->attr_cached = inode->attr_late = true;
        inode->content_void = false;
    }
    pthread_mutex_unlock(&inodes->lock);
}

bool inodes_take_late(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    bool late = inode && inode->attr_late;
    if (late)
        inode->attr_late = false;
    pthread_mutex_unlock(&inodes->lock);
    return late;
}

uint64_t *inodes_take_attrs(struct inodes *inodes, size_t *count)
{
    pthread_mutex_lock(&inodes->lock);
    uint64_t *ids = calloc(HASH_COUNT(inodes->table) + 1, sizeof *ids);
    struct inode *inode, *next;
    assert(ids);
    *count = 0;
    HASH_ITER(hh, inodes->table, inode, next)
    {
        if (inode->attr_cached)
            ids[(*count)++] = inode->id;
        inode->attr_cached = false;
    }
    pthread_mutex_unlock(&inodes->lock);
    return ids;
}

void inodes_take_over(struct inodes *inodes)
{
    pthread_mutex_lock(&inodes->lock);
    for (uint64_t id = 0; inodes->inherits && inodes_next_left(inodes, &id);) {
        struct inode *inode = find_or_add(inodes, id);
        inode->attr_cached = inode->paged = true;
        inode->named = inodes->names;
    }
    pthread_mutex_unlock(&inodes->lock);
}

static bool has_name(const struct inodes *inodes, const struct inode *inode)
{
    return inode && inode->named == inodes->names;
}

bool inodes_has_name(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    bool cached = has_name(inodes, find(inodes, id));
    pthread_mutex_unlock(&inodes->lock);
    return cached;
}

bool inodes_take_name(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    bool cached = has_name(inodes, inode);
    if (cached)
        inode->named = 0;
    pthread_mutex_unlock(&inodes->lock);
    return cached;
}

void inodes_forget_names(struct inodes *inodes)
{
    pthread_mutex_lock(&inodes->lock);
    inodes->names++;
    pthread_mutex_unlock(&inodes->lock);
}

void inodes_bar(struct inodes *inodes, uint64_t id, enum inode_bar bar, uint64_t until_ms)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    if (inode)
        inode->barred_ms[bar] = until_ms;
    pthread_mutex_unlock(&inodes->lock);
}

uint64_t inodes_barred_ms(struct inodes *inodes, uint64_t id, enum inode_bar bar)
{
    pthread_mutex_lock(&inodes->lock);
    const struct inode *inode = find(inodes, id);
    uint64_t until_ms = inode ? inode->barred_ms[bar] : 0;
    pthread_mutex_unlock(&inodes->lock);
    return until_ms;
}

void inodes_set_paged(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    if (inode)
        inode->paged = true;
    pthread_mutex_unlock(&inodes->lock);
}

bool inodes_take_paged(struct inodes *inodes, uint64_t id)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    bool paged = inode && inode->paged;
    if (paged)
        inode->paged = false;
    pthread_mutex_unlock(&inodes->lock);
    return paged;
}

bool inodes_remains(struct inodes *inodes, uint64_t id, struct stat *attr)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    bool known = inode && inode->mode;
    if (known)
        *attr = (struct stat){.st_ino = id,
                              .st_mode = inode->mode,
                              .st_uid = inode->uid,
                              .st_gid = inode->gid,
                              .st_size = inode->size,
                              .st_atim = inode->atime,
                              .st_mtim = inode->mtime,
                              .st_ctim = inode->ctime};
    pthread_mutex_unlock(&inodes->lock);
    return known;
}

void inodes_told(struct inodes *inodes, uint64_t id, const struct stat *attr)
{
    pthread_mutex_lock(&inodes->lock);
    struct inode *inode = find(inodes, id);
    if (inode) {
        inode->mode = attr->st_mode;
        inode->uid = attr->st_uid;
        inode->gid = attr->st_gid;
        inode->size = attr->st_size;
        inode->atime = attr->st_atim;
        inode->mtime = attr->st_mtim;
        inode->ctime = attr->st_ctim;
    }
    pthread_mutex_unlock(&inodes->lock);
}

bool inodes_told_access(struct inodes *inodes, const struct node_stat *stat)
{
    pthread_mutex_lock(&inodes->lock);
    const struct inode *inode = find(inodes, stat->id);
    bool same = !inode || !inode->mode ||
                ((inode->mode & 07777) == stat->mode && inode->uid == stat->uid && inode->gid == stat->gid);
    pthread_mutex_unlock(&inodes->lock);
    return same;
}

mode_t inode_without_set_id(mode_t mode)
{
    mode &= ~(mode_t)S_ISUID;
    return mode & S_IXGRP ? mode & ~(mode_t)S_ISGID : mode;
}

struct timespec inode_time(int64_t ns)
{
    int64_t second = 1000000000, rest = ns % second;
    if (rest < 0)
        rest += second;
    return (struct timespec){.tv_sec = ns / second - (ns % second < 0), .tv_nsec = rest};
}

static mode_t kind_bits(enum node_kind kind)
{
    switch (kind) {
    case KIND_DIRECTORY:
        return S_IFDIR;
    case KIND_SYMLINK:
        return S_IFLNK;
    case KIND_FILE:
        break;
    }
    return S_IFREG;
}

void inode_attr(const struct mount *mount, const struct node_stat *stat, struct stat *attr)
{
    /* A directory's own data is read through .pact/data; its size here would make no sense to any program. */
    uint64_t size = stat->kind == KIND_DIRECTORY ? stat->children : stat->size;
    *attr = (struct stat){
        .st_ino = inode_of(mount, stat->id),
        .st_mode = kind_bits(stat->kind) | (stat->mode & 07777),
        .st_nlink = stat->kind == KIND_DIRECTORY ? 2 + stat->subdirs : 1,
        .st_uid = stat->uid,
        .st_gid = stat->gid,
        .st_size = (off_t)size,
        .st_blksize = LIMIT_BLOCK_BYTES,
        .st_blocks = (blkcnt_t)((stat->size + 511) / 512),
        .st_atim = inode_time(stat->atime_ns),
        .st_mtim = inode_time(stat->mtime_ns),
        .st_ctim = inode_time(stat->ctime_ns),
    };
}

void inode_entry(struct mount *mount, const struct node_stat *stat, struct fuse_entry_param *entry)
{
    *entry = (struct fuse_entry_param){.ino = inode_of(mount, stat->id)};
    inode_attr(mount, stat, &entry->attr);
    inodes_count(mount->inodes, stat->id, 1);
    inodes_told(mount->inodes, stat->id, &entry->attr);
}
