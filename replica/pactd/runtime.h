/* runtime.h - what the parts of the replica's runtime share. Only files of replica/pactd include it.
 *
 * One turn of the loop: receive what arrived (attach.c), give each request its place and append it (pipeline.c,
 * order.c), sync once, apply, stream to the mounts (stream.c). The parts run in the loop's thread; only the writing of
 * snapshots (checkpoint.c) does not.
 *
 *  1. Nothing is applied, streamed or answered before it is durable.
 *  2. `recent` holds every entry that is proposed and not yet applied.
 *  3. A mount's stream has no gap: it sends what follows `position` and nothing else.
 *  4. A peer may go down inside any send: after one, attachment->peer must be looked at again. */
#ifndef PACT_RUNTIME_H
#define PACT_RUNTIME_H

#include <uv.h>

#include "proto/codec.h"
#include "replica/net/port.h"
#include "replica/pactd/order.h"
#include "replica/pactd/recent.h"
#include "replica/pactd/replica.h"
#include "replica/pactd/report.h"
#include "replica/pactd/roster.h"
#include "replica/pactd/stream.h"
#include "replica/state/state.h"
#include "replica/store/store.h"

enum {
    TICK_MS = 100,             /* the pace of expiry, TTL, containers and checkpoints */
    FULL_RETRY_MS = 2000,      /* a full disk is tried again this often */
    RECEIVE_BUDGET = 1024,     /* frames received in one turn */
    TURNED_AWAY_MS = 1000,     /* failed handshakes are reported this often */
    SNAPSHOT_STALL_MS = 30000, /* a mount that takes nothing of its snapshot this long is dropped */
};

/* FRESH ──ATTACH──► ATTACHED ──DETACH──► DETACHING ──session closed──► CLOSING
 *   └─ATTACH, new session─► CREATING ──session created──► ATTACHED
 * CLOSING: what is queued is still sent, nothing more is heard. The link may go down in any of them. */
enum attachment_state { FRESH, CREATING, ATTACHED, DETACHING, CLOSING };

/* A mount (or pactctl) on its link. */
struct attachment {
    struct attachment *prev, *next;
    struct peer *peer; /* NULL once down; freed at the end of the turn */
    enum attachment_state state;
    uint64_t session;   /* 0: an observer */
    uint64_t wait_zxid; /* CREATING: of the entry that creates the session */
    uint64_t from_zxid; /* CREATING: what the mount has applied already */
    bool asked_resend;
    uint64_t applied; /* by the mount, as its last heartbeat said */
    struct stream stream;
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
    uint64_t every_bytes, every_entries; /* log since the last one that calls for the next */
    uint64_t begun_ms, not_before_ms;
    uv_work_t work;
};

struct replica {
    uint32_t id;
    char *member_address;
    void (*ready)(void *arg, uint16_t port);
    void *ready_arg;

    struct disk disk;
    struct store *store;
    struct state *state;
    struct order order;
    struct recent recent;
    struct roster roster;
    struct checkpoint checkpoint;
    struct port *port;
    struct attachment *attachments; /* a utlist */
    size_t cursors;                 /* snapshots being sent to mounts */
    struct stream_cache cache;

    size_t pending_bytes;    /* proposed in this turn */
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
    uv_poll_t poll;
    uv_timer_t port_timer, tick_timer;
    uv_async_t stop;
    bool disk_open, loop_open, polling;
};

uint64_t clock_ms(void); /* monotonic */
int64_t wall_ns(void);   /* since 1970 */

/* The replica cannot go on: logs it and ends replica_run with this code. */
void replica_fail(struct replica *replica, int code, const char *what);

/* start.c: snapshot and log into memory, the new epoch; text says what is wrong. */
int start_load(struct replica *replica, char *text, size_t text_len);
int start_epoch(struct replica *replica, char *text, size_t text_len);

/* checkpoint.c */
void checkpoint_tick(struct replica *replica, uint64_t now_ms);
void checkpoint_stop(struct replica *replica); /* waits for the worker, gives up what is under way */

/* due.c: proposes the deletion of what TTLs and empty containers make due. */
void due_run(struct replica *replica, uint64_t now_ms);

/* status.c: the answer to STATUS; borrows from the replica and from *member. */
void status_fill(const struct replica *replica, struct message_member *member, struct message *message);

#endif
