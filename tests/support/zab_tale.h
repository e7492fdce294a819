/* zab_tale.h - an ensemble of Zab cores in one thread, under one clock, from one seed: links as FIFO queues, and for
 * each replica a log that loses what was not synced when the power goes.
 *
 * What it is made of: zab_tale.c (time, and what the test does), zab_tale_node.c (a replica carries out its core's
 * actions), zab_tale_link.c (links), zab_tale_check.c (what must hold at every step, and the trace).
 *
 * Checked at every step (tale->wrong has the first violation, NULL: none):
 *   agreement      all replicas commit the same entries in the same order, also over restarts
 *   integrity      what is committed was proposed, at that zxid, and is durable where it is committed
 *   leadership     an epoch has at most one leader, and that one has everything committed before, and has it applied
 *   synchronised   who follows has applied at least what was committed when its leader's epoch began
 *   barrier        its answer is not behind what was committed anywhere when it was asked */
#ifndef PACT_TEST_ZAB_TALE_H
#define PACT_TEST_ZAB_TALE_H

#include <stdio.h>

#include "replica/zab/zab.h"

enum { TALE_MEMBERS = LIMIT_REPLICAS, TALE_TEXT = 256 };

struct tale_entry {
    uint64_t zxid;
    uint32_t value; /* of tale->values */
};

struct tale_list {
    struct tale_entry *list;
    size_t count, capacity;
};

struct tale_value { /* something proposed */
    char text[24];
    uint64_t zxid;
    uint32_t by;    /* replica */
    uint32_t named; /* names this replica's incarnation; 0: an ordinary entry */
    uint32_t incarnation;
};

struct tale_packet {
    struct tale_packet *next;
    uint64_t due_ms;
    enum { PACKET_ZAB, PACKET_CHUNK, PACKET_END } kind;
    struct zab_message message;
    struct tale_list list; /* ENTRIES; END: the snapshot */
};

struct tale_pipe { /* one direction of a link */
    struct tale_packet *first, *last;
    bool clogged;              /* nothing comes through, nobody is told */
    struct tale_packet *stale; /* the last ENTRIES of some time ago; NULL: none */
};

struct tale_link { /* of two replicas */
    bool up, blocked;
    uint64_t up_ms; /* comes up then; 0: no */
};

struct tale_barrier {
    bool waiting;
    uint64_t committed; /* anywhere, when it was asked */
};

struct tale_node {
    uint32_t id;
    struct zab *zab; /* NULL: off */
    bool frozen;

    /* On its disk. log.list has everything from the first entry on; what is before `base` stands for a snapshot. */
    struct zab_epochs epochs;
    struct tale_list log;
    size_t durable, base, purged; /* counts */
    uint32_t incarnation;
    bool full; /* the next sync finds no space */

    /* In its memory. */
    size_t applied;
    uint64_t sync_ms; /* a sync ends then; 0: none */
    size_t sync_to;
    bool feeding[TALE_MEMBERS + 1];
    size_t fed[TALE_MEMBERS + 1];
    struct tale_packet *snapshot; /* came whole, being written */
    uint64_t snapshot_ms;
    uint32_t snapshot_from;
    const struct tale_packet *hand;
    bool named;
    struct tale_barrier barriers[8];

    /* Trouble to come: the power goes before the next action of this kind (0: none), or before that many actions. */
    enum zab_action_kind trap;
    uint32_t trap_count;
};

struct tale_counts {
    uint64_t steps, leaders, commits, truncations, snapshots, crashes, resets, barriers, named, withdrawn;
};

struct tale {
    size_t members;
    uint64_t random, now_ms;
    bool fixed;                                                 /* scenarios: no chance in it, every delay 1 ms */
    struct tale_node nodes[TALE_MEMBERS + 1];                   /* by id, from 1 */
    struct tale_pipe pipes[TALE_MEMBERS + 1][TALE_MEMBERS + 1]; /* from, to */
    struct tale_link links[TALE_MEMBERS + 1][TALE_MEMBERS + 1]; /* lower, higher */
    uint32_t sync_ms[TALE_MEMBERS + 1];                         /* how long a sync takes */
    uint32_t counter_last;

    struct tale_value *values;
    size_t value_count, value_capacity;
    struct tale_list truth;    /* all that was ever committed */
    uint32_t *leader_of_epoch; /* by epoch */
    size_t *epoch_began;       /* by epoch: how much was committed then */
    size_t epoch_capacity;
    struct tale_counts counts;
    char wrong[TALE_TEXT]; /* the first violation; "": none */
    FILE *trace;           /* NULL: none */
    bool trace_messages;
};

struct tale *tale_new(size_t members, uint64_t seed);
void tale_free(struct tale *tale);

/* What the test does. */
void tale_start(struct tale *tale, uint32_t id);
void tale_found(struct tale *tale, uint32_t id, uint64_t zxid); /* on its disk before it starts: the same everywhere */
void tale_power(struct tale *tale, uint32_t id); /* off: what was not synced is lost (by chance: or not) */
void tale_wipe(struct tale *tale, uint32_t id);  /* off, with an empty disk */
int tale_propose(struct tale *tale, uint32_t id, const char *text);
void tale_barrier(struct tale *tale, uint32_t id);
void tale_purge(struct tale *tale, uint32_t id); /* a snapshot of what is applied; the log begins after it */
void tale_full(struct tale *tale, uint32_t id, bool full);
void tale_block(struct tale *tale, uint32_t a, uint32_t b, bool blocked); /* silently */
void tale_replay(struct tale *tale, uint32_t from, uint32_t to); /* old ENTRIES come again, perhaps over a newer link */
void tale_reset(struct tale *tale, uint32_t a, uint32_t b);      /* the link; both are told */
bool tale_next(struct tale *tale, uint64_t until_ms);            /* the next event; false: none before until_ms */
void tale_run(struct tale *tale, uint64_t ms);

/* What there is. */
uint32_t tale_leader(const struct tale *tale); /* the one in ZAB_BROADCAST with the highest epoch; 0: none */
bool tale_settled(const struct tale *tale);    /* all running replicas follow one leader and have applied the same */
uint64_t tale_draw(struct tale *tale, uint64_t below);
void tale_print(const struct tale *tale, FILE *to); /* each replica in a line */

/* --- between its parts --- */

void tale_note(struct tale *tale, uint32_t id, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tale_wrong(struct tale *tale, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *tale_zxid(uint64_t zxid); /* "epoch.counter"; static, the last four stay */
void tale_note_action(struct tale *tale, const struct tale_node *node, const struct zab_action *action);
void tale_check_commit(struct tale *tale, const struct tale_node *node, size_t at);
void tale_check_leader(struct tale *tale, const struct tale_node *node, uint32_t epoch);
void tale_check_follower(struct tale *tale, const struct tale_node *node, uint32_t epoch);
void tale_check_barrier(struct tale *tale, const struct tale_node *node, const struct zab_action *action);
uint64_t tale_list_zxid(const struct tale_list *list, size_t count); /* of the last of the first `count`; 0: none */
void tale_list_add(struct tale_list *list, struct tale_entry entry);
void tale_step(struct tale *tale, struct tale_node *node, struct zab_event event);
void tale_sync(struct tale *tale, struct tale_node *node); /* begins one, if there is something to sync */
void tale_sync_done(struct tale *tale, struct tale_node *node);
void tale_snapshot_done(struct tale *tale, struct tale_node *node);
void tale_send(struct tale *tale, uint32_t from, uint32_t to, struct tale_packet packet); /* takes its list */
void tale_receive(struct tale *tale, uint32_t from, uint32_t to);
void tale_receive_kept(struct tale *tale, struct tale_node *node, uint32_t from, struct tale_packet *packet);
void tale_drop(struct tale *tale, uint32_t from, uint32_t peer); /* a replica resets its link */
void tale_link_open(struct tale *tale, uint32_t a, uint32_t b);
void tale_unlink_all(struct tale *tale, uint32_t id);
void tale_pipe_clear(struct tale_pipe *pipe);
void tale_packet_free(struct tale_packet *packet);
struct tale_link *tale_link_of(struct tale *tale, uint32_t a, uint32_t b);
uint64_t tale_delay(struct tale *tale);

#endif
