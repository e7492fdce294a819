#include "tests/sim/network.h"

#include <assert.h>
#include <stdlib.h>

enum { REDIAL_US = 40 * MS };

/* One end's view of the link with another. */
struct side {
    uint32_t link; /* 0: down */
    uint32_t sent, received;
};

struct way {
    bool cut;
    uint64_t clogged_until_us, last_arrival_us;
};

struct wire {
    uint32_t links; /* how many there have been */
    bool dialing;
    struct side side[2]; /* of the lower end, of the other */
    struct way way[2];   /* from the lower end, from the other */
};

struct network {
    struct network_config config;
    struct wire wires[ENDS_MAX][ENDS_MAX]; /* [lower][higher] */
};

static struct wire *wire_of(const struct cluster *cluster, unsigned end, unsigned other)
{
    assert(end != other && end < ENDS_MAX && other < ENDS_MAX);
    return end < other ? &cluster->network->wires[end][other] : &cluster->network->wires[other][end];
}

static struct side *side_of(const struct cluster *cluster, unsigned end, unsigned other)
{
    return &wire_of(cluster, end, other)->side[end < other ? 0 : 1];
}

static struct way *way_of(const struct cluster *cluster, unsigned from, unsigned to)
{
    return &wire_of(cluster, from, to)->way[from < to ? 0 : 1];
}

struct network *network_new(struct cluster *cluster)
{
    struct network *network = calloc(1, sizeof *network);
    assert(network);
    network->config = (struct network_config){.delay_us = pick_between(cluster, 50, 1500),
                                              .jitter_us = pick_between(cluster, 20, 3 * MS),
                                              .silence_us = pick_between(cluster, 200, 800) * MS};
    return network;
}

void network_free(struct network *network)
{
    free(network);
}

struct network_config *network_config(struct cluster *cluster)
{
    return &cluster->network->config;
}

static uint64_t delay(struct cluster *cluster)
{
    const struct network_config *config = &cluster->network->config;
    return config->delay_us + pick(cluster, config->jitter_us + 1);
}

/* When what is sent now arrives: after all that was sent before it. */
static uint64_t arrival(struct cluster *cluster, unsigned from, unsigned to)
{
    struct way *way = way_of(cluster, from, to);
    uint64_t at_us = cluster->now_us + delay(cluster), stalled_us;
    if (end_stalled(cluster, from, &stalled_us)) /* its disk holds it up: what it does now is done then */
        at_us += stalled_us - cluster->now_us;
    if (at_us < way->clogged_until_us)
        at_us = way->clogged_until_us;
    if (at_us <= way->last_arrival_us)
        at_us = way->last_arrival_us + 1;
    way->last_arrival_us = at_us;
    return at_us;
}

/* --- up and down --- */

static void tell(struct cluster *cluster, unsigned end, unsigned other, bool up)
{
    note(cluster, up ? 'U' : 'D', end, other);
    if (end < SERVERS_MAX)
        server_link(cluster, end, other, up);
    else
        mount_link(cluster, end - SERVERS_MAX, other, up);
}

static void dial_later(struct cluster *cluster, unsigned end, unsigned other, uint64_t delay_us);
static void run_check(struct cluster *cluster, struct event *event);
static void run_reset(struct cluster *cluster, struct event *event);

static void add(struct cluster *cluster, void (*run)(struct cluster *, struct event *), unsigned end, unsigned other,
                uint64_t tag, uint64_t delay_us)
{
    event_add(cluster, (struct event){.run = run, .end = end, .other = other, .tag = tag}, delay_us);
}

/* This end has given the link up: the other one hears of it, or no more of anything. */
static void leave(struct cluster *cluster, unsigned end, unsigned other, uint32_t link)
{
    if (!way_of(cluster, end, other)->cut && end_alive(cluster, end))
        add(cluster, run_reset, other, end, link, delay(cluster));
    add(cluster, run_check, other, end, link, cluster->network->config.silence_us);
    if (end < SERVERS_MAX && other < SERVERS_MAX)
        dial_later(cluster, end, other, REDIAL_US / 4);
}

static void go_down(struct cluster *cluster, unsigned end, unsigned other)
{
    struct side *side = side_of(cluster, end, other);
    uint32_t link = side->link;
    *side = (struct side){0};
    leave(cluster, end, other, link);
    tell(cluster, end, other, false);
}

static void run_reset(struct cluster *cluster, struct event *event)
{
    if (end_alive(cluster, event->end) && side_of(cluster, event->end, event->other)->link == event->tag)
        go_down(cluster, event->end, event->other);
}

static bool hears(const struct cluster *cluster, unsigned end, unsigned other)
{
    uint64_t until_us;
    return end_alive(cluster, other) && !end_stalled(cluster, other, &until_us) &&
           side_of(cluster, other, end)->link == side_of(cluster, end, other)->link &&
           !way_of(cluster, other, end)->cut;
}

/* The end has been silent for long, if it still is. */
static void run_check(struct cluster *cluster, struct event *event)
{
    if (end_alive(cluster, event->end) && side_of(cluster, event->end, event->other)->link == event->tag &&
        event->tag != 0 && !hears(cluster, event->end, event->other))
        go_down(cluster, event->end, event->other);
}

static void check_later(struct cluster *cluster, unsigned end, unsigned other)
{
    uint32_t link = side_of(cluster, end, other)->link;
    if (link != 0)
        add(cluster, run_check, end, other, link, cluster->network->config.silence_us);
}

static void come_up(struct cluster *cluster, unsigned end, unsigned other, uint32_t link)
{
    struct side *side = side_of(cluster, end, other);
    if (side->link != 0) {
        *side = (struct side){0};
        tell(cluster, end, other, false);
    }
    if (!end_alive(cluster, end) || side->link != 0)
        return;
    side->link = link;
    tell(cluster, end, other, true);
}

/* The end of the handshake: if it does not arrive, the opener finds out by the silence. */
static void run_confirm(struct cluster *cluster, struct event *event)
{
    unsigned end = event->end, opener = event->other;
    if (end_alive(cluster, end) && side_of(cluster, opener, end)->link == event->tag &&
        !way_of(cluster, opener, end)->cut)
        come_up(cluster, end, opener, (uint32_t)event->tag);
}

static bool reachable(const struct cluster *cluster, unsigned end, unsigned other)
{
    uint64_t until_us;
    return !way_of(cluster, end, other)->cut && !way_of(cluster, other, end)->cut &&
           !end_stalled(cluster, other, &until_us);
}

static void open_link(struct cluster *cluster, unsigned end, unsigned other)
{
    uint32_t link = ++wire_of(cluster, end, other)->links;
    uint64_t at_us = arrival(cluster, end, other); /* before anything that is said on the link */
    come_up(cluster, end, other, link);
    add(cluster, run_confirm, other, end, link, at_us - cluster->now_us);
    add(cluster, run_check, end, other, link, at_us - cluster->now_us + cluster->network->config.silence_us);
}

static void run_dial(struct cluster *cluster, struct event *event)
{
    unsigned end = event->end, other = event->other;
    wire_of(cluster, end, other)->dialing = false;
    if (!end_alive(cluster, end) || !end_alive(cluster, other))
        return; /* whoever comes to life dials */
    bool up = side_of(cluster, end, other)->link != 0;
    if (up && side_of(cluster, other, end)->link == side_of(cluster, end, other)->link)
        return;
    if (reachable(cluster, end, other) && !up)
        open_link(cluster, end, other);
    else
        dial_later(cluster, end, other, REDIAL_US);
}

/* The lower one opens the link. */
static void dial_later(struct cluster *cluster, unsigned end, unsigned other, uint64_t delay_us)
{
    struct wire *wire = wire_of(cluster, end, other);
    if (wire->dialing)
        return;
    wire->dialing = true;
    add(cluster, run_dial, end < other ? end : other, end < other ? other : end, 0, delay_us + delay(cluster));
}

static void run_mount_dial(struct cluster *cluster, struct event *event)
{
    unsigned end = event->end, other = event->other;
    if (end_alive(cluster, end) && end_alive(cluster, other) && reachable(cluster, end, other) &&
        side_of(cluster, end, other)->link == 0)
        open_link(cluster, end, other);
}

void network_dial(struct cluster *cluster, unsigned from, unsigned to)
{
    add(cluster, run_mount_dial, from, to, 0, delay(cluster));
}

void network_end_lives(struct cluster *cluster, unsigned end)
{
    for (unsigned other = 0; other < cluster->server_count && end < SERVERS_MAX; other++)
        if (other != end)
            dial_later(cluster, end, other, 0);
}

void network_end_dies(struct cluster *cluster, unsigned end)
{
    for (unsigned other = 0; other < ENDS_MAX; other++) {
        if (other == end)
            continue;
        struct side *side = side_of(cluster, end, other);
        uint32_t link = side_of(cluster, other, end)->link;
        *side = (struct side){0};
        if (link == 0)
            continue;
        if (chance(cluster, 500) && !way_of(cluster, end, other)->cut) /* the system says goodbye for it */
            add(cluster, run_reset, other, end, link, delay(cluster));
        add(cluster, run_check, other, end, link, cluster->network->config.silence_us);
    }
}

void network_end_stalls(struct cluster *cluster, unsigned end)
{
    for (unsigned other = 0; other < ENDS_MAX; other++)
        if (other != end)
            check_later(cluster, other, end);
}

bool network_up(const struct cluster *cluster, unsigned end, unsigned other)
{
    return side_of(cluster, end, other)->link != 0;
}

void network_drop(struct cluster *cluster, unsigned end, unsigned other)
{
    struct side *side = side_of(cluster, end, other);
    uint32_t link = side->link;
    if (link == 0)
        return;
    *side = (struct side){0};
    note(cluster, 'R', end, other);
    leave(cluster, end, other, link);
}

/* --- packets --- */

static void drop_packet(void *load)
{
    packet_unref(load);
}

/* By the number in the frame: a duplicate, a gap, or the next. */
static void run_deliver(struct cluster *cluster, struct event *event)
{
    struct side *side = side_of(cluster, event->end, event->other);
    uint32_t link = (uint32_t)(event->tag >> 32), number = (uint32_t)event->tag;
    const struct packet *packet = event->load;
    if (!end_alive(cluster, event->end) || side->link != link || (number <= side->received && !packet->urgent))
        return;
    if (number != side->received + 1 && !packet->urgent) {
        go_down(cluster, event->end, event->other);
        return;
    }
    if (!packet->urgent)
        side->received = number;
    if (event->end < SERVERS_MAX)
        server_receive(cluster, event->end, event->other, event->load);
    else
        mount_receive(cluster, event->end - SERVERS_MAX, event->other, event->load);
}

/* A packet that was lost, and after which none came: the link's own pings carry the number of the last one sent. */
static void run_lost(struct cluster *cluster, struct event *event)
{
    const struct side *side = side_of(cluster, event->end, event->other);
    uint32_t link = (uint32_t)(event->tag >> 32), number = (uint32_t)event->tag;
    if (end_alive(cluster, event->end) && side->link == link && side->received < number)
        go_down(cluster, event->end, event->other);
}

void network_send(struct cluster *cluster, unsigned from, unsigned to, struct packet *packet)
{
    struct side *side = side_of(cluster, from, to);
    const struct network_config *config = &cluster->network->config;
    if (side->link == 0) {
        packet_unref(packet);
        return;
    }
    struct event event = {.run = run_deliver, .end = to, .other = from, .load = packet, .drop = drop_packet};
    event.tag = (uint64_t)side->link << 32 | (packet->urgent ? 0 : ++side->sent);
    bool lost = way_of(cluster, from, to)->cut ||
                (config->loss_per_10000 != 0 && pick(cluster, 10000) < config->loss_per_10000);
    if (lost) {
        if (!packet->urgent)
            add(cluster, run_lost, to, from, event.tag, LINK_PING_MS * MS);
        packet_unref(packet);
        return;
    }
    if (packet->urgent) {
        event_add(cluster, event, delay(cluster));
        return;
    }
    if (config->duplicate_per_mille != 0 && chance(cluster, config->duplicate_per_mille)) {
        packet->refs++;
        event_add(cluster, event, delay(cluster) + pick(cluster, 3000 * MS));
    }
    event_add(cluster, event, arrival(cluster, from, to) - cluster->now_us);
}

/* --- faults --- */

void network_cut(struct cluster *cluster, unsigned from, unsigned to, bool cut)
{
    struct way *way = way_of(cluster, from, to);
    if (way->cut == cut)
        return;
    way->cut = cut;
    note(cluster, 'X', from << 8 | to, cut);
    if (cut)
        check_later(cluster, to, from);
}

bool network_is_cut(const struct cluster *cluster, unsigned from, unsigned to)
{
    return way_of(cluster, from, to)->cut;
}

void network_clog(struct cluster *cluster, unsigned from, unsigned to, uint64_t for_us)
{
    way_of(cluster, from, to)->clogged_until_us = cluster->now_us + for_us;
}
