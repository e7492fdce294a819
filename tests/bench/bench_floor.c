/* bench_floor MODE MOUNTPOINT - a file system that does nothing: what FUSE itself costs, for tests/bench/caches to set
 * beside a mount of pactfs.
 *
 *   direct    as pactfs opens files: each read asks
 *   cached    the kernel keeps the content: only open, flush and release ask
 *   noflush   and no flush either (which pactfs cannot do without: it is how POSIX locks are let go)
 *
 * Directories p0 to p63, in each a `file` of 256 zeros. All that changes something is answered and changes nothing, so
 * that `bench_mount cat` and `write` run on it. Stays in the foreground; SIGTERM ends it. */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

/* Ids: the root's 1, then a directory's and its file's in turns. */
enum { FIRST_ID = 2, THREADS = 4 };
static const double kept_s = 3600;            /* names and attributes, by the kernel */
static const char content[BENCH_VALUE_BYTES]; /* of each file */
static bool keep_cache, noflush;              /* MODE */

static bool is_file(fuse_ino_t id)
{
    return id >= FIRST_ID && id % 2 != 0;
}

static struct stat attr_of(fuse_ino_t id)
{
    bool file = is_file(id);
    return (struct stat){.st_ino = id,
                         .st_mode = file ? S_IFREG | 0644 : S_IFDIR | 0755,
                         .st_nlink = file ? 1 : 2,
                         .st_size = file ? BENCH_VALUE_BYTES : 0};
}

static void do_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC; /* as pactfs: an open that truncates is one request */
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fuse_ino_t id = 0;
    unsigned long number = strtoul(name + 1, NULL, 10);
    if (parent == FUSE_ROOT_ID && name[0] == 'p' && number < BENCH_PROCESSES_MAX)
        id = FIRST_ID + number * 2;
    else if (parent != FUSE_ROOT_ID && strcmp(name, "file") == 0)
        id = parent + 1;
    struct fuse_entry_param entry = {.ino = id, .attr = attr_of(id), .attr_timeout = kept_s, .entry_timeout = kept_s};
    if (id == 0)
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_entry(req, &entry);
}

static void do_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *info)
{
    (void)info;
    struct stat attr = attr_of(id);
    fuse_reply_attr(req, &attr, kept_s);
}

static void do_setattr(fuse_req_t req, fuse_ino_t id, struct stat *to, int what, struct fuse_file_info *info)
{
    (void)to, (void)what;
    do_getattr(req, id, info);
}

static void do_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *info)
{
    (void)id;
    info->direct_io = !keep_cache;
    info->keep_cache = keep_cache;
    info->noflush = noflush;
    fuse_reply_open(req, info);
}

static void do_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)id, (void)info;
    size_t left = offset < BENCH_VALUE_BYTES ? BENCH_VALUE_BYTES - (size_t)offset : 0;
    fuse_reply_buf(req, content, size < left ? size : left);
}

static void do_write(fuse_req_t req, fuse_ino_t id, const char *from, size_t size, off_t offset,
                     struct fuse_file_info *info)
{
    (void)id, (void)from, (void)offset, (void)info;
    fuse_reply_write(req, size);
}

static void do_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *info)
{
    (void)id, (void)info;
    fuse_reply_err(req, 0); /* and not ENOSYS, after which no more would come */
}

static bool take_mode(const char *mode)
{
    keep_cache = strcmp(mode, "direct") != 0;
    noflush = strcmp(mode, "noflush") == 0;
    return !keep_cache || noflush || strcmp(mode, "cached") == 0;
}

int main(int argc, char **argv)
{
    static const struct fuse_lowlevel_ops ops = {.init = do_init,
                                                 .lookup = do_lookup,
                                                 .getattr = do_getattr,
                                                 .setattr = do_setattr,
                                                 .open = do_open,
                                                 .read = do_read,
                                                 .write = do_write,
                                                 .flush = do_flush};
    if (argc != 3 || !take_mode(argv[1]))
        bench_fail("usage: bench_floor direct|cached|noflush MOUNTPOINT");
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, NULL);
    if (session == NULL || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, argv[2]) != 0)
        bench_fail("bench_floor: cannot mount");
    fprintf(stderr, "bench_floor: the mount answers at %s\n", argv[2]); /* soon: calls wait for it */
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_max_threads(config, THREADS);
    fuse_loop_cfg_set_idle_threads(config, THREADS);
    int failed = fuse_session_loop_mt(session, config) < 0;
    fuse_loop_cfg_destroy(config);
    fuse_session_unmount(session);
    fuse_remove_signal_handlers(session);
    fuse_session_destroy(session);
    fuse_opt_free_args(&args);
    return failed;
}
