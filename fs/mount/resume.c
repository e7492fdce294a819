#include "fs/mount/resume.h"

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/mount/closing.h"
#include "fs/mount/handle.h"
#include "fs/mount/log.h"

/* Of Linux 6.9; Debian 12's headers are older. */
enum { NOTIFY_RESEND = 7, HAS_RESEND_IN_FLAGS2 = 1u << (39 - 32) };
#define UNIQUE_RESENT (1ull << 63)

struct resumed {
    size_t requests, ghosts;
    struct {
        uint64_t unique;
        struct result result;
    } request[ESTATE_REQUESTS];
    struct {
        pid_t tid, process;
    } ghost[ESTATE_GHOSTS];
};

static _Thread_local uint64_t current;

uint64_t request_unique(void)
{
    return current & ~UNIQUE_RESENT;
}

void request_set_unique(uint64_t unique)
{
    current = unique;
}

bool request_resumed(const struct mount *mount, uint64_t unique, struct result *result)
{
    const struct resumed *resumed = mount->resumed;
    for (size_t i = 0; resumed && unique && i < resumed->requests; i++)
        if (resumed->request[i].unique == unique) {
            *result = resumed->request[i].result;
            return true;
        }
    return false;
}

/* --- receiving --- */

/* A ghost that was killed may still ask: what the kernel had begun for it goes on until it is answered. */
static bool is_former_ghost(const struct mount *mount, pid_t tid)
{
    const struct resumed *resumed = mount->resumed;
    for (size_t i = 0; resumed && tid && i < resumed->ghosts; i++)
        if (resumed->ghost[i].tid == tid)
            return process_of(tid) == resumed->ghost[i].process;
    return false;
}

static void refuse(int fd, const struct fuse_in_header *in)
{
    struct fuse_out_header out = {.len = sizeof out, .error = -EINTR, .unique = in->unique};
    if (write(fd, &out, sizeof out) < 0 && errno != ENOENT)
        log_line("cannot answer the kernel: %s", strerror(errno));
}

static void keep_init(struct estate *estate, const void *at, size_t len)
{
    const struct fuse_init_in *in = (const void *)((const char *)at + sizeof(struct fuse_in_header));
    if (len > ESTATE_INIT_BYTES || len < sizeof(struct fuse_in_header) + sizeof *in)
        return;
    memcpy(estate->init, at, len);
    estate->resumable = in->flags2 & HAS_RESEND_IN_FLAGS2;
    atomic_store(&estate->init_len, len);
}

/* Of a call sent again that opens something, what it had opened is known to nobody. */
static void forget_opened(struct mount *mount, const struct fuse_in_header *in)
{
    if ((in->unique & UNIQUE_RESENT) &&
        (in->opcode == FUSE_OPEN || in->opcode == FUSE_OPENDIR || in->opcode == FUSE_CREATE))
        handles_forget(mount, in->unique & ~UNIQUE_RESENT);
}

ssize_t resume_receive(int fd, void *at, size_t len, void *arg)
{
    struct mount *mount = arg;
    const struct fuse_in_header *in = at;
    for (;;) {
        current = 0;
        ssize_t got = read(fd, at, len);
        if (got < (ssize_t)sizeof *in)
            return got;
        if (is_former_ghost(mount, (pid_t)in->pid)) {
            refuse(fd, in);
            continue;
        }
        if (in->opcode == FUSE_INIT)
            keep_init(mount->estate, at, (size_t)got);
        forget_opened(mount, in);
        current = in->unique;
        return got;
    }
}

/* --- taking over --- */

static void take_requests(struct resumed *resumed, const struct client_estate *estate)
{
    for (size_t i = 0; i < ESTATE_REQUESTS; i++) {
        uint64_t unique = estate->requests[i].tag;
        resumed->request[resumed->requests].unique = unique;
        if (estate_find(estate, unique, &resumed->request[resumed->requests].result))
            resumed->requests++;
    }
}

static void take_ghosts(struct resumed *resumed, struct estate *estate)
{
    for (size_t i = 0; i < ESTATE_GHOSTS; i++) {
        uint64_t both = atomic_load(&estate->ghosts[i]);
        pid_t tid = (pid_t)(uint32_t)both, process = (pid_t)(both >> 32);
        if (!both)
            continue;
        if (process_of(tid) != process) {
            atomic_store(&estate->ghosts[i], 0);
            continue;
        }
        resumed->ghost[resumed->ghosts].tid = tid;
        resumed->ghost[resumed->ghosts++].process = process;
    }
}

void resume_calls(struct mount *mount)
{
    mount->resumed = calloc(1, sizeof *mount->resumed);
    assert(mount->resumed);
    take_requests(mount->resumed, &mount->estate->client);
    take_ghosts(mount->resumed, mount->estate);
}

/* libfuse makes its session of INIT; the kernel had its answer long ago (serve.c, send_reply). */
int resume_init(struct mount *mount)
{
    struct fuse_buf buf = {.size = atomic_load(&mount->estate->init_len), .mem = mount->estate->init};
    fuse_session_process_buf(mount->session, &buf);
    return fuse_session_exited(mount->session) ? ERR_IO : ERR_OK;
}

void resume_resend(struct mount *mount)
{
    struct fuse_out_header out = {.len = sizeof out, .error = NOTIFY_RESEND};
    if (write(fuse_session_fd(mount->session), &out, sizeof out) < 0)
        log_line("the kernel does not send calls again: %s", strerror(errno));
}
