/* The order of things. Start: client, tree, FUSE session, its loop in a thread, first answer, ghosts. Stop: ghosts
 * while the mount still answers, the name in the namespace, the loop, the session with the replicas (whose last
 * results still find the kernel's descriptor), and only then the descriptor. */
#include "fs/mount/serve.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount/attach.h"
#include "fs/mount/cache.h"
#include "fs/mount/calls.h"
#include "fs/mount/control.h"
#include "fs/mount/estate.h"
#include "fs/mount/fdtable.h"
#include "fs/mount/fence.h"
#include "fs/mount/file.h"
#include "fs/mount/former.h"
#include "fs/mount/found.h"
#include "fs/mount/handle.h"
#include "fs/mount/holder.h"
#include "fs/mount/inode.h"
#include "fs/mount/lock.h"
#include "fs/mount/log.h"
#include "fs/mount/ops.h"
#include "fs/mount/owner.h"
#include "fs/mount/record.h"
#include "fs/mount/resume.h"
#include "fs/mount/template.h"

enum {
    FUSE_THREADS = 4,
    WAKE_MS = 10,
    INIT_LOOKS = 10000, /* of a millisecond: the kernel asks as soon as it has mounted */
    EMBEDDED_START_MS = 60000,
    /* Mappings of FOPEN_DIRECT_IO files (Linux 6.6); libfuse 3.14 knows 32 flags only. An older kernel ignores it. */
    DIRECT_IO_ALLOW_MMAP_IN_FLAGS2 = 1u << (36 - 32),
};

struct serving {
    struct mount mount; /* first: one pointer for both */
    const struct mount_options *options;
    pthread_t loop;
    bool looping;
    bool stays; /* it could not go on with a mount that was there: its keeper leaves that dead */
    _Atomic bool stopping;
    _Atomic uint64_t copied; /* znodes of a snapshot so far */
};

/* --- what the client tells, in its thread --- */

static void drop_changed_pages(struct mount *mount, const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind == CHANGE_DATA)
            mount_drop_pages(mount, changes->list[i].id);
}

/* Who held something is fenced before the tree's changes say that it is gone: an end of the session that the tree shows
 * comes before EXPIRED is told. */
static void fence_if_lost(struct serving *serving)
{
    struct mount *mount = &serving->mount;
    struct session_info info;
    uint64_t own = atomic_load(&mount->own_session);
    if (!own || atomic_load(&serving->stopping))
        return;
    bool lost = !state_session(client_lock(mount->client), own, &info);
    client_unlock(mount->client);
    if (lost)
        holders_lose(mount);
}

static bool ends_a_session(const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind == CHANGE_SESSION_CLOSE)
            return true;
    return false;
}

static void on_changing(void *arg)
{
    struct mount *mount = arg;
    cache_changing(mount->cache);
}

static void on_changed(void *arg, const struct changes *changes)
{
    struct mount *mount = arg;
    cache_changed(mount->cache, changes);
}

static void on_replaced(void *arg)
{
    struct mount *mount = arg;
    cache_replaced(mount->cache);
}

static void on_changes(void *arg, const struct changes *changes)
{
    struct mount *mount = arg;
    struct ghosts *ghosts = atomic_load(&mount->ghosts);
    if (ends_a_session(changes))
        fence_if_lost(arg);
    files_changed(mount, changes);
    drop_changed_pages(mount, changes);
    owners_changed(mount, changes);
    locks_changed(mount->locks, changes);
    if (ghosts)
        ghosts_announce(ghosts, changes);
}

static void on_told(void *arg)
{
    struct mount *mount = arg;
    struct ghosts *ghosts = atomic_load(&mount->ghosts);
    if (ghosts)
        ghosts_begin(ghosts);
}

static void on_resync(void *arg, const struct state *before)
{
    struct mount *mount = arg;
    struct ghosts *ghosts = atomic_load(&mount->ghosts);
    struct changes changes = {0};
    fence_if_lost(arg);
    files_changed(mount, NULL);
    state_diff(before, client_lock(mount->client), &changes);
    client_unlock(mount->client);
    cache_resynced(mount->cache, &changes);
    drop_changed_pages(mount, &changes);
    owners_changed(mount, &changes);
    locks_resynced(mount->locks);
    if (ghosts)
        ghosts_announce_difference(ghosts, &changes);
    changes_free(&changes);
}

/* Who held something is fenced before anything else: the next session begins when all this is done. */
static void lose_session(struct mount *mount)
{
    atomic_store(&mount->own_session, 0);
    holders_lose(mount);
    owners_lose(mount);
    locks_expired(mount->locks);
    log_line("the session was lost; a new one is being made");
}

static void begin_session(struct mount *mount, uint64_t session)
{
    struct client_identity identity;
    client_identity(mount->client, &identity);
    if (identity.session == session)
        record_begin(mount->record, &identity);
    atomic_store(&mount->own_session, session);
}

static void on_state(void *arg, enum client_state state, uint64_t session)
{
    struct serving *serving = arg;
    struct mount *mount = &serving->mount;
    struct ghosts *ghosts = atomic_load(&mount->ghosts);
    if (atomic_load(&serving->stopping))
        return;
    if (state == CLIENT_CONNECTED)
        begin_session(mount, session);
    else if (state == CLIENT_EXPIRED)
        lose_session(mount);
    if (ghosts) {
        ghosts_touch_virtual(ghosts, control_ino(CONTROL_SESSION, mount->root));
        ghosts_touch_virtual(ghosts, control_ino(CONTROL_ENSEMBLE, mount->root));
    }
}

/* A line a second while a big tree is being copied. */
static void on_progress(void *arg, uint64_t nodes, uint64_t of)
{
    struct serving *serving = arg;
    static time_t said;
    struct timespec now;
    atomic_store(&serving->copied, nodes);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!said)
        said = now.tv_sec;
    if (now.tv_sec == said)
        return;
    said = now.tv_sec;
    log_line("copying the tree: %llu of %llu znodes", (unsigned long long)nodes, (unsigned long long)of);
}

/* --- the FUSE session --- */

/* Every reply passes here; the first, to INIT, gets the flag that libfuse cannot express. An INIT that was left by a
 * worker before has been answered. */
static ssize_t send_reply(int fd, struct iovec *iov, int count, void *userdata)
{
    struct mount *mount = userdata;
    if (!mount->init_patched && estate_left(mount->estate) && mount->resumed) {
        mount->init_patched = true;
        return (ssize_t)iov[0].iov_len + (ssize_t)iov[1].iov_len;
    }
    if (!mount->init_patched && count == 2 && iov[1].iov_len == sizeof(struct fuse_init_out)) {
        struct fuse_init_out *out = iov[1].iov_base;
        out->flags |= FUSE_INIT_EXT;
        out->flags2 |= DIRECT_IO_ALLOW_MMAP_IN_FLAGS2;
        mount->init_patched = true;
    }
    return writev(fd, iov, count);
}

static ssize_t receive_request(int fd, void *at, size_t len, void *userdata)
{
    const struct mount *mount = userdata;
    ssize_t got = resume_receive(fd, at, len, userdata);
    if (got > 0)
        calls_count(mount->calls, at, (size_t)got);
    return got;
}

static int open_session(struct serving *serving, char *text, size_t text_len)
{
    struct mount *mount = &serving->mount;
    const struct mount_options *options = serving->options;
    static const struct fuse_custom_io io = {.writev = send_reply, .read = receive_request};
    int device = options->device >= 0 ? options->device : options->attach();
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", device);
    mount->session = device < 0 ? NULL : attach_session(options, mount);
    if (mount->session && fuse_session_mount(mount->session, path)) {
        fuse_session_destroy(mount->session);
        mount->session = NULL;
    }
    if (!mount->session) {
        snprintf(text, text_len, "cannot mount at %s", options->mountpoint);
        return ERR_IO;
    }
    fuse_session_custom_io(mount->session, &io, device);
    return mount->resumed ? resume_init(mount) : ERR_OK;
}

/* SIGUSR2 only interrupts the loop's wait. */
static void on_wake(int number)
{
    (void)number;
}

static void *run_loop(void *arg)
{
    struct serving *serving = arg;
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_clone_fd(config, 0);
    fuse_loop_cfg_set_max_threads(config, FUSE_THREADS);
    fuse_loop_cfg_set_idle_threads(config, FUSE_THREADS);
    fuse_session_loop_mt(serving->mount.session, config);
    fuse_loop_cfg_destroy(config);
    serving->options->ended(serving->options->arg);
    return NULL;
}

static void end_loop(struct serving *serving)
{
    if (!serving->looping)
        return;
    fuse_session_exit(serving->mount.session);
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WAKE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_kill(serving->loop, SIGUSR2);
        if (!pthread_timedjoin_np(serving->loop, NULL, &until))
            break;
    }
    serving->looping = false;
}

/* --- start --- */

/* Waits for the tree, op_timeout at most; a big one that is still coming is waited for, and an embedded replica. */
static int wait_a_while(struct serving *serving, char *text, size_t text_len)
{
    uint32_t given_ms = serving->options->op_timeout_ms, wait_ms = given_ms ? given_ms : DEFAULT_OP_TIMEOUT_MS;
    if (serving->options->embedded && wait_ms < EMBEDDED_START_MS)
        wait_ms = EMBEDDED_START_MS;
    uint64_t copied;
    int code;
    do {
        copied = atomic_load(&serving->copied);
        code = client_wait_ready(serving->mount.client, wait_ms);
    } while ((code == ERR_UNREACHABLE || code == ERR_NO_QUORUM) && atomic_load(&serving->copied) != copied);
    if (code)
        snprintf(text, text_len, "%s: %s", serving->options->name, client_ready_text(code));
    return code;
}

/* Programs have the mount already: their calls wait as long as the outage lasts. Of an embedded replica nobody but this
 * process could end it. */
static int wait_for_tree(struct serving *serving, char *text, size_t text_len)
{
    int code = wait_a_while(serving, text, text_len);
    if (!code || serving->options->embedded || !estate_left(serving->options->estate))
        return code;
    log_line("%s; the mount at %s waits", text, serving->options->mountpoint);
    client_await_ready(serving->mount.client);
    return ERR_OK;
}

static int open_client(struct serving *serving, char *text, size_t text_len)
{
    const struct mount_options *options = serving->options;
    struct client_options client = {
        .servers = options->servers,
        .keys = options->keys,
        .session_timeout_ms = options->session_timeout_ms,
        .op_timeout_ms = options->op_timeout_ms,
        .former = estate_left(options->estate) ? NULL : record_former(serving->mount.record),
        .estate = &options->estate->client,
        .events = {.arg = serving,
                   .changing = on_changing,
                   .changed = on_changed,
                   .replaced = on_replaced,
                   .changes = on_changes,
                   .told = on_told,
                   .resync = on_resync,
                   .state = on_state,
                   .progress = on_progress},
    };
    int code = client_open(&client, &serving->mount.client, text, text_len);
    return code ? code : wait_for_tree(serving, text, text_len);
}

/* The znode of root=/sub. */
static int look_up_root(const struct state *state, const char *path, uint64_t *id)
{
    struct node_stat stat;
    int code = ERR_OK;
    path += strspn(path, "/");
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    const struct node *node = state_find(state, (struct where){ROOT_ID, {path, len}}, &code);
    if (!node)
        return code ? code : ERR_NO_NODE;
    node_stat(node, &stat);
    *id = stat.id;
    return stat.kind == KIND_DIRECTORY ? ERR_OK : ERR_NOT_DIR;
}

/* As a kernel that knows nothing yet will have it. One that was told before has its root, wherever that is now: even if
 * it was removed, as a directory that is one's own. */
static int begin_root(struct serving *serving, char *text, size_t text_len)
{
    struct mount *mount = &serving->mount;
    const struct state *state = client_lock(mount->client);
    int code = look_up_root(state, serving->options->root, &mount->estate->root);
    atomic_store(&mount->estate->announced, state_zxid(state));
    client_unlock(mount->client);
    if (code)
        snprintf(text, text_len, "root=%s: %s", serving->options->root, error_text(code));
    return code;
}

/* The znode that is mounted, and its session so far. */
static int find_root(struct serving *serving, char *text, size_t text_len)
{
    struct mount *mount = &serving->mount;
    struct client_info info;
    int code = estate_left(mount->estate) ? ERR_OK : begin_root(serving, text, text_len);
    if (code)
        return code;
    mount->root = mount->estate->root;
    inodes_count(mount->inodes, mount->root, 1);
    client_info(mount->client, &info);
    begin_session(mount, info.session);
    return ERR_OK;
}

/* The mount answers once INIT has come. This thread does not touch it: if the process were killed meanwhile, a call of
 * its own, which waits for the next worker, would keep it from dying, and the next from being started. */
static int await_init(struct serving *serving, char *text, size_t text_len)
{
    struct mount *mount = &serving->mount;
    if (!mount->resumed) {
        struct timespec look = {.tv_nsec = WAKE_MS * 100000L};
        for (int i = 0; i < INIT_LOOKS && !estate_left(mount->estate); i++)
            nanosleep(&look, NULL);
        mount->estate->device = attach_device(mount->mountpoint);
    }
    mount->device = mount->estate->device;
    if (mount->device && estate_left(mount->estate))
        return ERR_OK;
    snprintf(text, text_len, "%s does not answer", mount->mountpoint);
    return ERR_IO;
}

static int start_loop(struct serving *serving, char *text, size_t text_len)
{
    struct mount *mount = &serving->mount;
    struct sigaction wake = {.sa_handler = on_wake};
    struct ghosts *ghosts;
    sigaction(SIGUSR2, &wake, NULL);
    mount->device = mount->estate->device;
    if (mount->resumed) {
        cache_start(mount->cache); /* before anything is answered: what the kernel has kept is of the worker before */
        resume_resend(mount);      /* before the first call is taken: it would be sent again, too */
    }
    if (pthread_create(&serving->loop, NULL, run_loop, serving)) {
        snprintf(text, text_len, "cannot start a thread");
        return ERR_TOO_MANY;
    }
    serving->looping = true;
    int code = await_init(serving, text, text_len);
    if (code)
        return code;
    if (!mount->resumed)
        cache_start(mount->cache);
    code = ghosts_start(mount, &ghosts);
    if (code)
        snprintf(text, text_len, "cannot start announcing changes at %s", mount->mountpoint);
    else
        atomic_store(&mount->ghosts, ghosts);
    return code;
}

/* What the worker before left; `session`: its. If that was lost meanwhile, who held something is fenced, as it would
 * have been. */
static void take_over(struct mount *mount, uint64_t session)
{
    bool lives = session && session == atomic_load(&mount->own_session);
    resume_calls(mount);
    handles_restore(mount, lives);
    if (lives) {
        fence_restore(mount);
        locks_restore(mount->locks);
    } else {
        former_fence(mount);
    }
}

static bool make_parts(struct mount *mount, const struct mount_options *options)
{
    *mount = (struct mount){
        .mountpoint = options->mountpoint,
        .estate = options->estate,
        .inodes = inodes_new(options->estate),
        .calls = calls_new(),
        .files = files_new(),
        .fdtables = fdtables_new(),
        .handles = handles_new(options->estate),
        .templates = templates_new(),
        .found = found_new(),
        .owners = owners_new(options->estate),
        .fence = fence_new(options->lost, options->estate),
        .record = record_open(options->name, options->mountpoint),
        .read_only = options->read_only,
        .background = options->background,
        .tokens = !options->literal,
        .linearizable = options->linearizable,
        .kernel_permissions = geteuid() == 0,
    };
    mount->cache = cache_new(mount);
    mount->holders = holders_new(mount, LIMIT_HOLDERS);
    mount->locks = locks_new(mount);
    return mount->inodes && mount->calls && mount->files && mount->fdtables && mount->handles && mount->templates &&
           mount->found && mount->owners && mount->fence && mount->cache && mount->holders && mount->locks;
}

int mount_start(const struct mount_options *options, struct mount **mount, char *text, size_t text_len)
{
    struct serving *serving = calloc(1, sizeof *serving);
    if (!serving)
        return ERR_TOO_MANY;
    serving->options = options;
    int code = make_parts(&serving->mount, options) ? ERR_OK : ERR_TOO_MANY;
    bool left = estate_left(options->estate);
    uint64_t session = atomic_load(&options->estate->client.session);
    if (!code && !left)
        former_fence(&serving->mount);
    if (!code)
        code = open_client(serving, text, text_len);
    if (!code)
        code = holders_start(serving->mount.holders);
    if (!code)
        code = find_root(serving, text, text_len);
    if (!code && left)
        take_over(&serving->mount, session);
    if (!code)
        code = open_session(serving, text, text_len);
    if (!code)
        code = start_loop(serving, text, text_len);
    serving->stays = code && left;
    if (code)
        mount_stop(&serving->mount);
    else
        *mount = &serving->mount;
    return code;
}

/* --- stop --- */

void mount_stop(struct mount *mount)
{
    struct serving *serving = (struct serving *)mount;
    struct ghosts *ghosts = atomic_load(&mount->ghosts);
    atomic_store(&serving->stopping, true);
    if (ghosts)
        ghosts_stop(ghosts);
    if (serving->looping && mount->kernel_permissions && !serving->stays && !fuse_session_exited(mount->session))
        attach_unmount(mount->session, mount->mountpoint, mount->device);
    end_loop(serving);
    if (mount->locks)
        locks_stop(mount->locks);
    holders_stop(mount->holders);
    if (mount->client)
        client_close(mount->client);
    cache_free(mount->cache);
    locks_free(mount->locks);
    if (mount->session) {
        fuse_session_unmount(mount->session);
        fuse_session_destroy(mount->session);
    }
    if (ghosts)
        ghosts_free(ghosts);
    handles_free(mount->handles);
    files_free(mount->files);
    fdtables_free(mount->fdtables);
    found_free(mount->found);
    templates_free(mount->templates);
    free(mount->resumed);
    record_close(mount->record, true);
    owners_free(mount->owners);
    fence_free(mount->fence);
    holders_free(mount->holders);
    inodes_free(mount->inodes);
    calls_free(mount->calls);
    free(serving);
}
