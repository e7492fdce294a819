/* The follower's side of a snapshot: each chunk goes to disk and into a new tree; the old tree serves nobody meanwhile.
 * Only when all of it is durable does it take the old one's place, on disk and in memory: a part of it never counts. */
#include <assert.h>
#include <inttypes.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/priority.h"

enum { PIECE_BYTES = 4096 };

int install_feed(struct snapshot_loader *loader, const uint8_t *at, size_t len)
{
    int code = ERR_OK;
    for (size_t done = 0, piece; code == ERR_OK && done < len; done += piece) {
        piece = len - done < PIECE_BYTES ? len - done : PIECE_BYTES;
        code = loader_feed(loader, at + done, piece);
        priority_give_way();
    }
    return code;
}

void install_abort(struct replica *replica)
{
    struct install *install = &replica->install;
    if (install->writer)
        snapshot_writer_abort(install->writer);
    if (install->loader)
        loader_free(install->loader);
    *install = (struct install){0};
}

void install_announced(struct replica *replica, uint32_t peer, uint64_t zxid)
{
    install_abort(replica);
    replica->install.peer = peer;
    replica->install.zxid = zxid;
}

uint32_t install_from(const struct replica *replica)
{
    return replica->install.peer;
}

/* What the disk says goes for the process; what the leader sent wrong, for its link. */
static void failed(struct replica *replica, int code)
{
    bool disk = code != ERR_CORRUPT && code != ERR_BAD_FORMAT;
    struct member *from = peers_find(replica, replica->install.peer);
    report(REPORT_ERROR, "a snapshot from the leader: %s", error_text(code));
    install_abort(replica);
    if (disk && code != ERR_NO_SPACE)
        replica_fail(replica, code, "writing a snapshot");
    else
        ensemble_drop(replica, from, code);
}

static int begin(struct replica *replica)
{
    struct install *install = &replica->install;
    checkpoint_stop(replica);
    attach_send_away(replica); /* their streams read the old tree */
    install->loader = loader_new();
    report(REPORT_INFO, "a snapshot at zxid %" PRIx64 " comes from the leader", install->zxid);
    return snapshot_writer_begin(replica->store, install->zxid, &install->writer);
}

void install_chunk(struct replica *replica, struct bytes chunk)
{
    struct install *install = &replica->install;
    int code = ERR_OK;
    if (!install->loader)
        code = begin(replica);
    if (code == ERR_OK)
        code = snapshot_writer_add(install->writer, chunk.at, chunk.len);
    if (code == ERR_OK)
        code = install_feed(install->loader, chunk.at, chunk.len);
    if (code != ERR_OK)
        failed(replica, code);
}

/* Disk first, then memory. */
static int exchange(struct replica *replica, struct state *state)
{
    struct install *install = &replica->install;
    int code = store_truncate(replica->store, install->zxid); /* a tail of a higher epoch would seem to follow it */
    if (code == ERR_OK) {
        code = snapshot_writer_commit(install->writer);
        install->writer = NULL;
    }
    if (code == ERR_OK)
        code = store_snapshot_done(replica->store, install->zxid);
    if (code != ERR_OK) {
        state_free(state);
        return code;
    }
    state_free(replica->state);
    replica->state = state;
    start_over(replica);
    return ERR_OK;
}

void install_end(struct replica *replica)
{
    struct install *install = &replica->install;
    struct state *state = NULL;
    uint64_t zxid = install->zxid;
    if (!install->loader)
        return;
    int code = loader_finish(install->loader, &state);
    if (code == ERR_OK) {
        install->loader = NULL;
        if (state_zxid(state) != zxid) {
            state_free(state);
            code = ERR_CORRUPT;
        }
    }
    if (code == ERR_OK)
        code = exchange(replica, state);
    if (code != ERR_OK) {
        failed(replica, code);
        return;
    }
    *install = (struct install){0};
    report(REPORT_INFO, "the leader's snapshot is here: %" PRIu64 " znodes", state_nodes(replica->state));
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_SNAPSHOT_DONE, .zxid = zxid});
}
