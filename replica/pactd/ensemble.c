#include "replica/pactd/ensemble.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/pipeline.h"
#include "replica/pactd/priority.h"

enum {
    MANY_ENTRIES = 10000,  /* which take a while: who lacks them stands back … */
    STAND_BACK_MS = 30000, /* … so long: where the processors are always taken it would never be level */
};

/* --- roles --- */

bool ensemble_leads(const struct replica *replica)
{
    return replica->serving && zab_role(replica->zab) == ZAB_LEADING;
}

/* The first entry of a new cluster names it. */
static void name_cluster(struct replica *replica)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    if (memcmp(state_cluster(replica->state), none, sizeof none) != 0)
        return;
    struct request request = {.kind = OP_SET_CLUSTER};
    randombytes_buf(request.set_cluster.id, sizeof request.set_cluster.id);
    pipeline_propose_own(replica, &request);
}

static void name_member(struct replica *replica, uint32_t id, const uint8_t *incarnation)
{
    uint8_t known[INCARNATION_BYTES];
    struct request request = {.kind = OP_SET_MEMBER, .set_member = {.id = id}};
    if (state_version(replica->state) < STATE_VERSION_MEMBERS)
        return; /* once every member knows it */
    if (state_member(replica->state, id, known) && memcmp(known, incarnation, sizeof known) == 0)
        return;
    memcpy(request.set_member.incarnation, incarnation, sizeof request.set_member.incarnation);
    report(REPORT_INFO, "member %u is named: its data directory is a new one", id);
    pipeline_propose_own(replica, &request);
}

bool ensemble_knows(const struct replica *replica, const struct entry *entry)
{
    return entry->request.kind != OP_SET_STATE_VERSION || entry->request.state_version <= replica->state_version_max;
}

/* The semantics of a newer version begin when every member knows them (design §2): in one entry, the newest that all
 * know. In a new ensemble it comes before the first session, so that nobody meets the old semantics. */
static void raise_version(struct replica *replica)
{
    uint32_t version = replica->state_version_max;
    for (size_t i = 0; i < replica->member_count; i++) {
        if (!replica->members[i].greeted)
            return;
        if (replica->members[i].state_version_max < version)
            version = replica->members[i].state_version_max;
    }
    if (version <= state_version(replica->state) || version == replica->raising)
        return;
    struct request request = {.kind = OP_SET_STATE_VERSION, .state_version = version};
    if (pipeline_propose_own(replica, &request) == ERR_OK)
        replica->raising = version;
}

/* Everything in the log is committed and applied now; the sessions have their full timeouts from here (design §4). */
static void begin_to_lead(struct replica *replica)
{
    pipeline_sync(replica);
    pipeline_apply(replica, SIZE_MAX);
    roster_withdraw(&replica->roster, replica->state);
    roster_hear_all(&replica->roster);
    replica->raising = 0;
    name_cluster(replica);
    raise_version(replica);
}

void ensemble_mind_others(struct replica *replica)
{
    if (zab_lacks(replica->zab) < MANY_ENTRIES)
        return;
    uint64_t now_ms = clock_ms();
    if (replica->back_until_ms == 0)
        replica->back_until_ms = now_ms + STAND_BACK_MS;
    if (now_ms < replica->back_until_ms)
        priority_stand_back(BACK_FAR);
    else
        priority_come_forward();
}

static void on_role(struct replica *replica, const struct zab_action *action)
{
    bool serves = action->role != ZAB_LOOKING;
    if (replica->serving && !serves)
        replica->alone_ms = clock_ms();
    replica->serving = serves;
    priority_come_forward();
    replica->back_until_ms = 0;
    peers_untell(replica);
    if (replica->member_count > 0)
        report(REPORT_INFO, "replica %u: %s, epoch %u", replica->id,
               action->role == ZAB_LEADING     ? "leads"
               : action->role == ZAB_FOLLOWING ? "follows"
                                               : "looks for a leader",
               action->epoch);
    if (!serves)
        install_abort(replica);
    if (action->role != ZAB_LEADING)
        roster_withdraw(&replica->roster, replica->state);
    if (action->role == ZAB_LEADING)
        begin_to_lead(replica);
    questions_ask_anew(replica);
    attach_new_leader(replica);
}

/* --- what Zab asks for --- */

static void append_received(struct replica *replica, uint32_t skip)
{
    const struct peer_entries *entries = replica->entries_in_hand;
    assert(entries && skip <= entries->count);
    for (size_t i = skip; i < entries->count; i++) {
        struct entry entry;
        arena_reset(replica->request_arena);
        int code = decode_entry(entries->list[i], replica->request_arena, &entry);
        if (code != ERR_OK || entry.zxid <= store_last_zxid(replica->store)) {
            replica_fail(replica, ERR_CORRUPT, "an entry from the leader");
            return;
        }
        zab_stamped(replica->zab, entry.stamp_ns, clocks().running_ns);
        if (!pipeline_append(replica, entry.zxid, entries->list[i]))
            return;
        priority_give_way();
    }
}

static void set_epochs(struct replica *replica, const struct zab_epochs *epochs)
{
    int code = store_set_epochs(replica->store, (struct epochs){epochs->accepted, epochs->current, epochs->voter});
    if (code != ERR_OK)
        replica_fail(replica, code, "making an epoch durable");
}

static void send_message(struct replica *replica, uint32_t peer, const struct zab_message *zab)
{
    peers_send(replica, peer, &(struct peer_message){.kind = PEER_ZAB, .zab = *zab});
}

static void reset(struct replica *replica, struct member *member, int code)
{
    report(REPORT_DEBUG, "the link to member %u is reset: %s", member->id, error_text(code));
    follower_unfeed(replica, member);
    questions_forget_peer(replica, member->id);
    if (member->id == install_from(replica))
        install_abort(replica);
    member->up = member->greeted = false;
    mesh_drop(replica->mesh, member->id, clock_ms());
}

static void on_peer_action(struct replica *replica, const struct zab_action *action)
{
    struct member *member = peers_find(replica, action->peer);
    assert(member);
    switch (action->kind) {
    case ZAB_SEND:
        send_message(replica, member->id, &action->message);
        break;
    case ZAB_FEED:
        follower_feed(replica, member, action->zxid, action->snapshot);
        break;
    case ZAB_UNFEED:
        follower_unfeed(replica, member);
        break;
    case ZAB_DROP:
        reset(replica, member, action->code);
        break;
    default: /* ZAB_FOLLOWER_NEW */
        name_member(replica, member->id, member->identity);
    }
}

static void carry_out(struct replica *replica, const struct zab_action *action)
{
    switch (action->kind) {
    case ZAB_SET_EPOCHS:
        set_epochs(replica, &action->epochs);
        break;
    case ZAB_TRUNCATE:
        report(REPORT_INFO, "the log is cut down to zxid %" PRIx64, action->zxid);
        pipeline_cut(replica, action->zxid);
        break;
    case ZAB_APPEND:
        append_received(replica, action->skip);
        break;
    case ZAB_COMMITTED:
        /* pipeline_apply sees to it at the end of the turn */
        break;
    case ZAB_ROLE:
        on_role(replica, action);
        break;
    case ZAB_BARRIER_DONE:
        questions_led(replica, action->token, action->zxid);
        break;
    case ZAB_FATAL:
        replica_give_up(
            replica, action->code,
            "this replica's history contradicts its leader's: what is committed in one is not in the other");
        break;
    default:
        on_peer_action(replica, action);
    }
}

/* --- stepping --- */

static void wait_in_line(struct replica *replica, const struct zab_event *event)
{
    assert(event->kind != ZAB_RECEIVE);
    for (size_t i = 0; i < replica->waiting_count; i++)
        if (replica->waiting[i].kind == event->kind && replica->waiting[i].peer == event->peer &&
            event->kind != ZAB_BARRIER) {
            replica->waiting[i] = *event;
            return;
        }
    assert(replica->waiting_count < ENSEMBLE_EVENTS);
    replica->waiting[replica->waiting_count++] = *event;
}

static void carry_out_all(struct replica *replica)
{
    for (size_t i = 0; i < replica->update.count && replica->failure == ERR_OK; i++) {
        struct zab_action action = replica->update.list[i]; /* the list may grow meanwhile */
        carry_out(replica, &action);
    }
    replica->update.count = 0;
}

static void step(struct replica *replica, struct zab_event event)
{
    event.now_ms = clock_ms();
    zab_step(replica->zab, &event, &replica->update);
    carry_out_all(replica);
}

void ensemble_step(struct replica *replica, const struct zab_event *event)
{
    if (replica->failure != ERR_OK)
        return;
    if (replica->carrying_out) {
        wait_in_line(replica, event);
        return;
    }
    replica->carrying_out = true;
    step(replica, *event);
    while (replica->waiting_count > 0 && replica->failure == ERR_OK) {
        struct zab_event next = replica->waiting[0];
        memmove(replica->waiting, replica->waiting + 1, --replica->waiting_count * sizeof next);
        step(replica, next);
    }
    replica->carrying_out = false;
}

void ensemble_drop(struct replica *replica, struct member *member, int code)
{
    bool known = member->greeted;
    reset(replica, member, code);
    if (known)
        ensemble_step(replica, &(struct zab_event){.kind = ZAB_LINK_DOWN, .peer = member->id});
}

void ensemble_snapshot_begun(struct replica *replica, uint32_t peer, uint64_t zxid)
{
    assert(!replica->carrying_out); /* streams are pumped at the end of a turn */
    zab_snapshot_begun(replica->zab, peer, zxid, &replica->update);
    replica->carrying_out = true;
    carry_out_all(replica);
    replica->carrying_out = false;
}

uint64_t ensemble_tick(struct replica *replica)
{
    if (zab_deadline(replica->zab) <= clock_ms())
        ensemble_step(replica, &(struct zab_event){.kind = ZAB_TICK});
    return zab_deadline(replica->zab);
}

/* --- now and then --- */

/* As on ZAB_FOLLOWER_NEW: then the state's version may have been too old, or the entry was lost with a full disk. */
static void name_learners(struct replica *replica)
{
    struct zab_peer_status peers[LIMIT_REPLICAS];
    size_t count = zab_peers(replica->zab, peers, LIMIT_REPLICAS);
    for (size_t i = 0; i < count; i++) {
        const struct member *member = peers_find(replica, peers[i].id);
        if (member && peers[i].synchronised && !peers[i].voter)
            name_member(replica, member->id, member->identity);
    }
}

/* Only what is committed counts: a replica that starts has applied more. */
static void see_own_name(struct replica *replica)
{
    uint8_t named[INCARNATION_BYTES];
    if (zab_voter(replica->zab) || state_zxid(replica->state) > zab_committed(replica->zab) ||
        !state_member(replica->state, replica->id, named))
        return;
    if (memcmp(named, store_identity(replica->store), sizeof named) == 0)
        ensemble_step(replica, &(struct zab_event){.kind = ZAB_NAMED});
}

void ensemble_applied(struct replica *replica, const struct entry *entry, const struct result *result)
{
    if (result->code != ERR_OK)
        return;
    if (entry->request.kind == OP_SET_MEMBER)
        see_own_name(replica);
    if (entry->request.kind != OP_SET_STATE_VERSION)
        return;
    report(REPORT_INFO, "state version %u", state_version(replica->state));
    attach_new_version(replica);
}

bool ensemble_is_alone(const struct replica *replica, uint64_t now_ms)
{
    return !replica->serving && now_ms - replica->alone_ms > ALONE_MS;
}

void ensemble_look(struct replica *replica, uint64_t now_ms)
{
    if (ensemble_leads(replica)) {
        raise_version(replica);
        name_learners(replica);
    }
    if (replica->serving)
        see_own_name(replica);
    if (ensemble_is_alone(replica, now_ms))
        attach_send_away(replica);
    peers_tell(replica);
    if (replica->serving && zab_role(replica->zab) == ZAB_FOLLOWING)
        compare_tell(replica);
}
