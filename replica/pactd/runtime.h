/* runtime.h - what the parts of the replica's runtime share. Only files of replica/pactd include it.
 *
 * One turn of the loop: receive what arrived from peers (peers.c) and mounts (messages.c), give each request its place
 * and append it (pipeline.c), send it to the followers (follower.c), sync once, apply what is committed, stream to the
 * mounts (attach.c). What Zab (replica/zab) asks for in between is carried out by ensemble.c, on the spot. The parts
 * run in the loop's thread; only the writing of snapshots (checkpoint.c) does not.
 *
 *  1. Nothing is applied, streamed to mounts or answered before it is committed, and durable here.
 *  2. `recent` holds every entry that is appended and not yet applied, but for those that replay.c still reads.
 *  3. A stream has no gap: it sends what follows `position` and nothing else.
 *  4. A link may go down inside any send: after one, attachment->peer must be looked at again. Zab hears of it when
 *     the update in hand has been carried out.
 *  5. Only while it `serves` (leads or follows in Zab's broadcast phase) does a replica answer mounts. */
#ifndef PACT_RUNTIME_H
#define PACT_RUNTIME_H

#include <uv.h>

#include "proto/codec.h"
#include "proto/peer.h"
#include "replica/net/mesh.h"
#include "replica/net/port.h"
#include "replica/pactd/compare.h"
#include "replica/pactd/question.h"
#include "replica/pactd/recent.h"
#include "replica/pactd/replica.h"
#include "replica/pactd/report.h"
#include "replica/pactd/roster.h"
#include "replica/pactd/stream.h"
#include "replica/state/state.h"
#include "replica/store/store.h"
#include "replica/zab/zab.h"

enum {
    TICK_MS = 100,             /* the pace of expiry, TTL, containers and checkpoints */
    FULL_RETRY_MS = 2000,      /* a full disk is tried again this often */
    RECEIVE_BUDGET = 1024,     /* frames received in one turn */
    APPLY_BUDGET = 4096,       /* entries applied in one turn: pings must be answered meanwhile */
    TURNED_AWAY_MS = 1000,     /* failed handshakes are reported this often */
    SNAPSHOT_STALL_MS = 30000, /* a mount that takes nothing of its snapshot this long is dropped */
    ENSEMBLE_EVENTS = 16,      /* of Zab's, that come up while an update is carried out */
    ALONE_MS = 500,            /* without a leader this long, the mounts are sent to another replica */
};

/* FRESH ──ATTACH──► ASKING ──level with the leader──► ATTACHED ──DETACH──► DETACHING ──session closed──► CLOSING
 *                     └─new session─► CREATING ──session created──► ATTACHED
 * CLOSING: what is queued is still sent, nothing more is heard. The link may go down in any of them. */
enum attachment_state { FRESH, ASKING, CREATING, ATTACHED, DETACHING, CLOSING };

/* A mount (or pactctl) on its link. */
struct attachment {
    struct attachment *prev, *next;
    struct replica *replica;
    struct peer *peer; /* NULL once down; freed at the end of the turn */
    enum attachment_state state;
    uint64_t session;            /* 0: an observer */
    struct message_attach asked; /* ASKING, CREATING: what it said; asked.host borrows from `host` */
    char host[LIMIT_HOST_BYTES];
    uint64_t level_zxid; /* ASKING: to be applied before it is answered; 0: not known yet */
    uint64_t applied;    /* by the mount, as its last heartbeat said */
    struct stream stream;
};

/* Another member of the ensemble. */
struct member {
    uint32_t id;
    struct mesh *mesh;
    char *address; /* as `status` calls it */
    bool up;       /* the link */
    bool greeted;  /* it said HELLO and fits: Zab knows of it */
    int refused;   /* why it does not fit, as last reported; 0: it does */
    uint8_t identity[REPLICA_IDENTITY_BYTES];
    uint32_t state_version_max;
    uint64_t applied;       /* zxid, lag and role, as the leader last told */
    int64_t lag;            /* -1: not known */
    char role[16];          /* empty: not told in this term */
    enum compared compared; /* its state with this leader's, since the link came up … */
    uint64_t compared_zxid; /* … lately at this zxid; if it is another one: first at this zxid */
    struct stream stream;   /* this replica feeds it */
};

/* A snapshot from the leader on its way to disk and into memory. */
struct install {
    uint32_t peer; /* from whom; 0: none is coming */
    uint64_t zxid; /* as announced */
    struct snapshot_loader *loader;
    struct snapshot_writer *writer;
};

/* A snapshot of the state on its way to disk. */
struct checkpoint {
    struct snapshot_cursor *cursor; /* NULL: none under way */
    struct snapshot_writer *writer;
    uint8_t *slice;
    size_t slice_len; /* 0: the end, commit */
    int code;
    bool working; /* the worker has the writer and the slice */
    bool stopping;
    bool none_at_end;
    uint64_t every_bytes, every_entries; /* log since the last one that calls for the next */
    uint64_t begun_ms, not_before_ms;
    uv_work_t work;
};

struct replica {
    uint32_t id;
    char *member_address;
    char *ensemble;             /* all members, as on the command line, in order of id */
    uint32_t state_version_max; /* this replica applies */
    uint32_t silence_ms;        /* a member that has been silent this long is down */
    void (*ready)(void *arg, uint16_t port);
    void *ready_arg;

    struct disk disk;
    struct store *store;
    struct state *state;
    struct recent recent;
    struct roster roster;
    struct checkpoint checkpoint;
    struct port *port;
    struct attachment *attachments; /* a utlist */
    size_t cursors;                 /* snapshots being sent */
    struct stream_cache mount_cache, follower_cache;

    struct zab *zab;
    struct zab_update update;
    bool carrying_out; /* an update is in hand: events wait here meanwhile */
    struct zab_event waiting[ENSEMBLE_EVENTS];
    size_t waiting_count;
    struct mesh *mesh; /* NULL: alone */
    struct member members[LIMIT_REPLICAS - 1];
    size_t member_count;    /* of the others */
    bool serving;           /* leads or follows */
    int64_t lag;            /* of this replica, as the leader last told; -1: not known */
    uint64_t back_until_ms; /* it stands back until then at most; 0: it does not */
    uint64_t alone_ms;      /* not serving: since when */
    uint32_t raising;       /* the state version proposed last, in this term; 0: none */
    struct questions questions;
    struct compare_marks marks;
    struct install install;
    const struct peer_entries *entries_in_hand; /* ZAB_APPEND takes from these */

    size_t pending_bytes;    /* appended and not synced */
    bool full;               /* no space on disk: nothing is accepted */
    uint64_t retry_ms;       /* full: when to try again */
    uint64_t started_ms;     /* for the uptime */
    uint64_t due_ms;         /* of the last look for TTLs that ran out */
    uint64_t turned_away_ms; /* when a failed handshake was last reported */
    int failure;             /* what replica_run returns */

    struct arena *arena;         /* of the message in hand */
    struct arena *request_arena; /* of the request or entry in hand */
    struct buffer encoded;       /* the message being sent */
    struct buffer entry;         /* the entry being appended */
    uint8_t *scratch;            /* STREAM_SCRATCH_BYTES, for the stream in hand */

    uv_loop_t loop;
    uv_poll_t poll, mesh_poll;
    uv_timer_t due_timer, tick_timer;
    uv_async_t stop;
    bool disk_open, loop_open, polling, mesh_polling;
};

uint64_t clock_ms(void); /* monotonic */
struct zab_clocks clocks(void);

/* The replica cannot go on: logs it and ends replica_run with this code. */
void replica_fail(struct replica *replica, int code, const char *what);

/* The same, for another reason than what the disk says. */
void replica_give_up(struct replica *replica, int code, const char *why);

/* start.c: snapshot and log into memory, and what Zab knows of them; text says what is wrong. */
int start_load(struct replica *replica, char *text, size_t text_len);
/* The state was exchanged: what goes with it begins anew. */
void start_over(struct replica *replica);
/* The log was cut behind what is applied: once more, from the disk. Ends the replica if that fails. */
void start_reload(struct replica *replica);

/* checkpoint.c */
void checkpoint_tick(struct replica *replica, uint64_t now_ms);
void checkpoint_stop(struct replica *replica); /* waits for the worker, gives up what is under way */
/* Before a clean end, nobody being served any more: so that the next start need not replay a long log. What cannot be
 * written is reported, and nothing is lost but that. */
void checkpoint_last(struct replica *replica);

/* due.c: proposes the deletion of what TTLs and empty containers make due. */
void due_run(struct replica *replica, uint64_t now_ms);

/* status.c: the answer to STATUS; borrows from the replica and from members (LIMIT_REPLICAS). */
void status_fill(const struct replica *replica, struct message_member *members, struct message *message);

#endif
