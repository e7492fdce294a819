/* server_internal.h - what the parts of a simulated replica share.
 *
 *   server.c        its life: starting, events, crashing; its clocks
 *   server_load.c   from the disk's content to a state, a log and zab
 *   server_zab.c    zab's actions, and what peers say
 *   server_log.c    appending, syncing, truncating, a full disk; feeding followers
 *   server_snap.c   snapshots: of its own, to a follower, from the leader
 *   server_apply.c  what is committed is applied
 *   server_mounts.c mounts that are attached: their streams, what they ask
 *   server_lead.c   what a leader does: sessions, numbers, heartbeats, barriers, names */
#ifndef PACT_SIM_SERVER_INTERNAL_H
#define PACT_SIM_SERVER_INTERNAL_H

#include "replica/store/store.h"
#include "tests/sim/check.h"
#include "tests/sim/network.h"
#include "tests/sim/plant.h"
#include "tests/sim/server.h"
#include "tests/support/simdisk.h"

enum {
    SEGMENT_BYTES = 24 * 1024,
    BATCH_ITEMS = 16,
    CHUNK_BYTES = 1500,
    PAUSE_MS = 1000, /* longer between two ticks, it was a pause of this process */
    TICK_MS = 100,
};

enum attachment_state { GONE, FRESH, ASKING, CREATING, ATTACHED, DETACHING };

struct attachment {
    enum attachment_state state;
    uint64_t session, position;
    bool snapshot;
    struct message_attach attach; /* its host is not kept */
    uint64_t judge_zxid;          /* ASKING: once this is applied the session is known, or gone */
};

struct roster_session {
    uint64_t id, number; /* number: of the newest proposal */
    uint64_t heard_ms, asked_ms;
    int64_t heard_wall_ms; /* by the wall clock, for a planted bug */
    uint32_t timeout_ms;
    bool closing;
};

enum ask_kind { ASK_HEARTBEAT, ASK_SYNC, ASK_SESSION };

/* A question of one of its mounts, that only the leader can answer. */
struct ask {
    uint64_t tag;
    enum ask_kind kind;
    unsigned mount;
    uint64_t session;
    struct message message;
};

/* A question the leader answers once a quorum has answered a ping. from: a server, itself included. */
struct barrier {
    uint64_t token, tag, session;
    enum ask_kind kind;
    unsigned from;
};

struct feed {
    bool on;
    uint64_t after;
    uint8_t *snapshot; /* owned; still to be sent */
    size_t snapshot_len, snapshot_at;
    uint64_t number; /* of the snapshot's sending */
};

/* A snapshot that arrives. */
struct incoming {
    bool on;
    unsigned from;
    uint64_t zxid;
    uint8_t *bytes;
    size_t len;
};

/* One of its own, on its way to the disk. */
struct checkpoint {
    struct snapshot_cursor *cursor;
    uint64_t zxid;
};

struct server {
    struct cluster *cluster;
    unsigned index;
    uint32_t id, members[SERVERS_MAX];
    struct zab_timing timing;
    uint32_t counter_last;

    /* The machine. */
    struct simdisk *disk;
    struct disk interface;
    uint8_t identity[16];
    bool damaged;               /* what it promised is lost, and it is not named again */
    bool flipped;               /* a bit on its disk is wrong */
    bool voter;                 /* as last made durable */
    bool held;                  /* stays down: nobody starts it again */
    uint64_t sync_us, slow_us;  /* how long a sync takes; slow: more */
    int64_t drift_ppm, wall_ns; /* the clocks' error */
    uint64_t boot_ms;

    /* The process. */
    uint64_t life, lives; /* life 0: down */
    uint64_t stalled_us;
    bool failing, settling;
    unsigned crash_at_action; /* 0: none planned */
    struct store *store;
    struct state *state;
    struct zab *zab;
    struct zab_update update;
    const struct packet *in_hand; /* the ENTRIES that zab looks at */
    struct items log;             /* what the log has above its floor */
    uint64_t durable;             /* by the store; kept when the process is gone */
    uint64_t told_durable;        /* what zab was told last */
    uint64_t tick_at_us, tick_number;
    bool syncing, full;
    uint64_t purged;
    struct checkpoint checkpoint;
    uint64_t checkpoint_every;
    struct feed feeds[SERVERS_MAX];
    struct incoming incoming;
    uint8_t identities[SERVERS_MAX][16];

    enum zab_role role; /* as ZAB_ROLE said */
    uint32_t leader;
    struct attachment attachments[MOUNTS_MAX];
    struct ask *asks;
    size_t ask_count, ask_room;
    uint64_t last_tag;

    struct roster_session *roster;
    size_t roster_count, roster_room;
    uint64_t running_ms, running_at_ms;
    uint64_t due_id; /* the znode proposed to be deleted last, for a planted bug */
    struct barrier *barriers;
    size_t barrier_count, barrier_room;
};

/* server.c */
uint64_t server_ms(const struct server *server);
int64_t server_wall_ns(const struct server *server);
struct zab_clocks server_clocks(const struct server *server);
void server_fail(struct server *server, const char *why); /* the process ends with this event */
void server_settle(struct server *server);                /* at the end of each event */
void server_later(struct server *server, void (*run)(struct cluster *, struct event *), uint64_t tag,
                  uint64_t delay_us);
void server_block(struct server *server, uint64_t for_us); /* a call takes its time */
#define NOTE(server, ...) trace((server)->cluster, __VA_ARGS__)

/* server_load.c */
int load_all(struct server *server);

/* server_zab.c */
void zab_happens(struct server *server, struct zab_event event);
void say(struct server *server, unsigned to, const struct peer_message *message, struct item *const *items,
         size_t count);
void carry_out(struct server *server);
void lose_peer(struct server *server, unsigned peer); /* resets the link and tells zab */

/* server_log.c */
int log_append(struct server *server, struct item *item); /* takes the item over */
void log_truncate(struct server *server, uint64_t zxid);
void log_sync_later(struct server *server);
void log_failed(struct server *server, int code, const char *what);
void log_accept(struct server *server, const struct packet *packet, uint32_t skip);
void feed_begin(struct server *server, const struct zab_action *action);
void feed_end(struct server *server, unsigned peer);
void feed_pump(struct server *server);

/* server_snap.c */
void snap_feed(struct server *server, unsigned peer);
void snap_begins(struct server *server, unsigned from, uint64_t zxid);
void snap_chunk(struct server *server, unsigned from, struct bytes chunk);
void snap_ends(struct server *server, unsigned from);
void snap_forget(struct server *server);
void checkpoint_look(struct server *server);
void checkpoint_forget(struct server *server);

/* server_apply.c */
void apply_up_to(struct server *server, uint64_t zxid);
void look_for_name(struct server *server); /* is this incarnation named in the state? */

/* server_mounts.c */
void mounts_applied(struct server *server, const struct entry *entry, const struct result *result);
void mounts_pump(struct server *server);
void mounts_new_leader(struct server *server);
void mounts_loaded(struct server *server);
void mounts_resend(struct server *server, uint64_t session);
void mounts_answer(struct server *server, uint64_t tag, uint64_t zxid);
void mount_says(struct server *server, unsigned mount, const struct message *message);
void mounts_link(struct server *server, unsigned mount, bool up);

/* server_lead.c */
void lead_begin(struct server *server);
void lead_end(struct server *server);
void lead_tick(struct server *server);
void lead_request(struct server *server, unsigned from, const struct peer_forward *forward);
void lead_ask(struct server *server, unsigned from, enum ask_kind kind, uint64_t tag, uint64_t session);
void lead_barrier_done(struct server *server, uint64_t token, uint64_t zxid);
void lead_applied(struct server *server, const struct entry *entry, const struct result *result);
void lead_name(struct server *server, uint32_t peer);
void lead_withdrawn(struct server *server);
void lead_has_space(struct server *server);

#endif
