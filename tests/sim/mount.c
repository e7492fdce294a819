#include "tests/sim/mount.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/faults.h"
#include "tests/sim/network.h"
#include "tests/sim/plant.h"

enum { NONE = -1, WHO = 100 };

static unsigned end_of(const struct mount *mount)
{
    return SERVERS_MAX + mount->index;
}

uint64_t mount_ms(const struct mount *mount)
{
    int64_t now_us = (int64_t)mount->cluster->now_us;
    return mount->boot_ms + (uint64_t)(now_us + now_us / 1000 * mount->drift_ppm / 1000) / MS;
}

uint64_t mount_stalled_until(const struct mount *mount)
{
    return mount->stalled_us;
}

void mount_stall(struct mount *mount, uint64_t for_us)
{
    mount->stalled_us = mount->cluster->now_us + for_us;
    event_put_off(mount->cluster, end_of(mount), mount->stalled_us);
    network_end_stalls(mount->cluster, end_of(mount));
}

void mount_goes_on(struct mount *mount)
{
    event_put_off(mount->cluster, end_of(mount), mount->cluster->now_us);
    mount->stalled_us = 0;
    mount->freezes = false;
}

/* --- dialling --- */

static void later(struct mount *mount, void (*run)(struct cluster *, struct event *), uint64_t tag, uint64_t delay_us)
{
    event_add(mount->cluster, (struct event){.run = run, .end = end_of(mount), .other = ENDS_MAX, .tag = tag},
              delay_us);
}

static void run_dial(struct cluster *cluster, struct event *event)
{
    struct mount *mount = cluster->mounts[event->end - SERVERS_MAX];
    if (mount->linked || event->tag != mount->dial_number)
        return;
    mount->server = (int)pick(cluster, cluster->server_count);
    if (mount->server == mount->left) /* as the client, which goes on to the next of its list */
        mount->server = (mount->server + 1) % (int)cluster->server_count;
    network_dial(cluster, end_of(mount), (unsigned)mount->server);
    later(mount, run_dial, ++mount->dial_number, pick_between(cluster, 150, 400) * MS);
}

static void dial(struct mount *mount, uint64_t delay_us)
{
    later(mount, run_dial, ++mount->dial_number, delay_us);
}

/* --- what the learner asks for --- */

static void hang_up(struct mount *mount, uint64_t delay_ms)
{
    if (mount->linked)
        network_drop(mount->cluster, end_of(mount), (unsigned)mount->server);
    mount->linked = false;
    mount->left = mount->server;
    mount->server = NONE;
    dial(mount, delay_ms * MS + pick(mount->cluster, 30 * MS));
}

static void run_anew(struct cluster *cluster, struct event *event)
{
    struct mount *mount = cluster->mounts[event->end - SERVERS_MAX];
    if (mount->leaving)
        mount_dies(mount);
}

static void note_state(struct mount *mount, enum client_state state)
{
    static const char *const names[] = {"connecting", "connected", "suspended", "expired", "closed"};
    trace(mount->cluster, "mount %u: %s", mount->index, names[state]);
    if (state == CLIENT_EXPIRED)
        programs_begin(mount);
    if (state == CLIENT_CLOSED && mount->leaving)
        later(mount, run_anew, 0, 0);
    mount->cluster->outcome->counts.expiries += state == CLIENT_EXPIRED;
    mount->cluster->outcome->counts.sessions += state == CLIENT_CONNECTED;
}

static void send(struct mount *mount, const struct learner_action *action)
{
    network_send(mount->cluster, end_of(mount), (unsigned)mount->server, packet_of_message(&action->send, NULL, 0));
    if (!mount->freezes || action->kind != LEARNER_SEND_URGENT)
        return;
    mount->freezes = false;
    faults_freeze(mount->cluster, mount->index);
}

void mount_carry_out(struct mount *mount)
{
    if (mount->carrying)
        return; /* a completion that asks for more: the loop below comes to it */
    mount->carrying = true;
    for (size_t i = 0; i < mount->output.count; i++) {
        struct learner_action action = mount->output.list[i];
        if (action.kind == LEARNER_COMPLETE)
            action.complete.done(action.complete.arg, &action.complete.result);
        else if (action.kind == LEARNER_DROP_LINK)
            hang_up(mount, action.drop.delay_ms);
        else if (action.kind == LEARNER_STATE)
            note_state(mount, action.state.state);
        else if (mount->linked)
            send(mount, &action);
    }
    mount->output.count = 0;
    mount->carrying = false;
}

static void run_tick(struct cluster *cluster, struct event *event)
{
    struct mount *mount = cluster->mounts[event->end - SERVERS_MAX];
    if (event->tag != mount->tick_number)
        return;
    mount->tick_at_us = UINT64_MAX;
    learner_tick(mount->learner, mount_ms(mount), &mount->output);
    mount_settle(mount);
}

void mount_settle(struct mount *mount)
{
    mount_carry_out(mount);
    uint64_t deadline_ms = learner_deadline(mount->learner), now_ms = mount_ms(mount);
    if (deadline_ms == UINT64_MAX)
        return;
    uint64_t delay_us = deadline_ms > now_ms ? (deadline_ms - now_ms) * MS : 500;
    if (mount->cluster->now_us + delay_us >= mount->tick_at_us)
        return;
    mount->tick_at_us = mount->cluster->now_us + delay_us;
    later(mount, run_tick, ++mount->tick_number, delay_us);
}

/* --- the link --- */

void mount_link(struct cluster *cluster, unsigned index, unsigned server, bool up)
{
    struct mount *mount = cluster->mounts[index];
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES];
    if (mount->server != (int)server || mount->linked == up) {
        if (up)
            network_drop(cluster, end_of(mount), server); /* came too late */
        return;
    }
    trace(cluster, "mount %u: link to %u %s", index, server + 1, up ? "up" : "down");
    mount->linked = up;
    if (mount->loader)
        loader_free(mount->loader);
    mount->loader = NULL;
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = secret[i] = (uint8_t)pick(cluster, 256);
    if (up) {
        learner_up(mount->learner, mount_ms(mount), nonce, secret, &mount->output);
    } else {
        mount->left = mount->server;
        mount->server = NONE;
        learner_down(mount->learner, mount_ms(mount), &mount->output);
        dial(mount, pick(cluster, 60 * MS));
    }
    mount_settle(mount);
}

/* --- the tree --- */

static void apply(struct mount *mount, const struct packet *packet)
{
    struct cluster *cluster = mount->cluster;
    for (size_t i = 0; i < packet->item_count && mount->linked; i++) {
        const struct item *item = packet->items[i];
        struct entry entry;
        struct result result;
        if (item->zxid <= learner_applied_zxid(mount->learner))
            continue;
        item_decode(cluster, item, &entry);
        state_apply(mount->tree, &entry, &result, &mount->changes);
        check_applied(cluster, WHO + mount->index, item->zxid, state_digest(mount->tree), &result);
        learner_applied(mount->learner, mount_ms(mount), &entry, &result, &mount->output);
        mount_carry_out(mount);
        programs_see(mount, &mount->changes);
    }
}

static void load_end(struct mount *mount)
{
    struct state *tree;
    int code = loader_finish(mount->loader, &tree);
    assert(code == ERR_OK);
    mount->loader = NULL;
    if (state_zxid(tree) < state_zxid(mount->tree))
        violated(mount->cluster, "MountOrder", "the tree of mount %u goes back", mount->index);
    state_free(mount->tree);
    mount->tree = tree;
    check_loaded(mount->cluster, WHO + mount->index, tree);
    learner_loaded(mount->learner, mount_ms(mount), tree, &mount->output);
    mount_carry_out(mount);
    programs_loaded(mount);
}

void mount_receive(struct cluster *cluster, unsigned index, unsigned server, struct packet *packet)
{
    struct mount *mount = cluster->mounts[index];
    if (mount->server != (int)server || !mount->linked)
        return;
    const struct message *message = &packet->message;
    enum learner_verdict verdict = learner_message(mount->learner, mount_ms(mount), message, &mount->output);
    if (PLANTED(RENEWED_ON_ACK) && message->kind == MESSAGE_HEARTBEAT_ACK)
        plant_renew(mount->learner);
    mount_carry_out(mount);
    if (verdict == LEARNER_APPLY) {
        apply(mount, packet);
    } else if (verdict == LEARNER_LOAD_BEGIN) {
        if (mount->loader)
            loader_free(mount->loader);
        mount->loader = loader_new();
    } else if (verdict == LEARNER_LOAD_CHUNK) {
        int code = loader_feed(mount->loader, message->chunk.at, message->chunk.len);
        assert(code == ERR_OK);
    } else if (verdict == LEARNER_LOAD_END) {
        load_end(mount);
    }
    mount_settle(mount);
}

/* --- life --- */

static void begin(struct mount *mount)
{
    struct cluster *cluster = mount->cluster;
    struct buffer noop = {0};
    encode_request(&(struct request){.kind = OP_NOOP}, &noop);
    const struct learner_options options = {.session_timeout_ms = (uint32_t)pick_between(cluster, 2000, 8000),
                                            .op_timeout_ms = (uint32_t)pick_between(cluster, 2000, 8000),
                                            .host = {"host", 4},
                                            .pid = mount->index + 1,
                                            .noop = {noop.at, noop.len}};
    mount->learner = learner_new(&options, mount_ms(mount));
    buffer_free(&noop);
    mount->tree = state_new();
    mount->server = mount->left = NONE;
    mount->tick_at_us = UINT64_MAX;
    mount->made_count = 0;
    mount->leaving = false;
    programs_begin(mount);
    dial(mount, pick(cluster, 300 * MS));
}

static void end(struct mount *mount)
{
    mount->output.count = 0;
    learner_free(mount->learner);
    state_free(mount->tree);
    if (mount->loader)
        loader_free(mount->loader);
    mount->loader = NULL;
}

struct mount *mount_new(struct cluster *cluster, unsigned index)
{
    struct mount *mount = calloc(1, sizeof *mount);
    assert(mount);
    mount->cluster = cluster;
    mount->index = index;
    mount->drift_ppm = (int64_t)pick(cluster, 10001) - 5000;
    mount->boot_ms = pick_between(cluster, 1000, 1000000);
    mount->think_us = pick_between(cluster, 80, 500) * MS;
    begin(mount);
    work_begin(mount);
    return mount;
}

void mount_free(struct mount *mount)
{
    end(mount);
    learner_output_free(&mount->output);
    changes_free(&mount->changes);
    free(mount);
}

void mount_dies(struct mount *mount)
{
    trace(mount->cluster, "mount %u dies and begins anew", mount->index);
    work_forget(mount);
    if (mount->linked)
        network_drop(mount->cluster, end_of(mount), (unsigned)mount->server);
    mount->linked = false;
    end(mount);
    begin(mount);
    mount_settle(mount);
}

void mount_leaves(struct mount *mount)
{
    if (mount->leaving)
        return;
    trace(mount->cluster, "mount %u closes its session", mount->index);
    mount->leaving = true;
    programs_begin(mount);
    learner_close(mount->learner, mount_ms(mount), &mount->output);
    mount_settle(mount);
}
