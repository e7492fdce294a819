/* A link over a carrier that does all that a carrier can do wrong, thousands of times, each time from another seed:
 * nothing arrives twice, out of order or altered; and once the carrier is good again the link comes up by itself and
 * whatever is sent from then on arrives. The relay asserts besides that credit is never exceeded.
 *
 * A run that fails says its seed; PACT_SEED=n runs that one alone, PACT_RUNS=n so many. */
#include "tests/support/keys.h"
#include "tests/support/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RUNS = 600, SOAK_RUNS = 50000, CALM_MESSAGES = 20 };

/* Each message says by which connection of its sender it was sent, and as which; the rest follows from these. */
struct label {
    uint64_t connection, index;
    uint32_t urgent;
    uint32_t len; /* of the whole message */
};

struct peer_end {
    enum link_side side;
    struct link *link;
    struct relay *relay;
    bool up;
    bool waits;            /* the last one was sent to go with the next */
    uint64_t connection;   /* ups so far */
    uint64_t sent[2];      /* messages of this connection, ordinary and urgent */
    uint64_t from;         /* the connection of the other end whose messages come */
    uint64_t received[2];  /* of that connection */
    uint64_t downs, total; /* in all */
};

/* What follows the label: a stretch of noise that depends on it. */
static const uint8_t *filling(const struct label *label)
{
    enum { OFFSETS = 4096 };
    static uint8_t noise[LIMIT_MESSAGE_BYTES + OFFSETS];
    if (noise[0] == 0)
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)(1 + i * 2654435761u / 65536);
    return noise + (label->connection * 131 + label->index * 31 + label->urgent * 17) % OFFSETS;
}

static void on_up(void *arg)
{
    struct peer_end *end = arg;
    assert_false(end->up);
    end->up = true;
    end->connection++;
    end->sent[0] = end->sent[1] = 0;
    end->received[0] = end->received[1] = 0;
}

static void on_down(void *arg, int code)
{
    struct peer_end *end = arg;
    assert_int_not_equal(code, ERR_BAD_KEY); /* damage is never taken for another key */
    end->up = false;
    end->downs++;
}

static void on_message(void *arg, const void *message, size_t len)
{
    struct peer_end *end = arg;
    struct label label;
    assert_true(end->up);
    assert_true(len >= sizeof label);
    memcpy(&label, message, sizeof label);
    assert_int_equal(label.len, len);
    const bool first = end->received[0] == 0 && end->received[1] == 0;
    if (first) /* a connection of this end hears one connection of the other, a newer one each time */
        assert_true(label.connection > end->from);
    else
        assert_true(label.connection == end->from);
    end->from = label.connection;
    assert_true(label.index == end->received[label.urgent]);
    end->received[label.urgent]++;
    end->total++;
    assert_true(memcmp((const uint8_t *)message + sizeof label, filling(&label), len - sizeof label) == 0);
}

static size_t random_len(struct relay *relay, bool urgent)
{
    const uint64_t kind = relay_random(relay) % 1000;
    const size_t most = urgent || kind < 850 ? 600
                        : kind < 990         ? 20 * KIB
                        : kind < 999         ? 200 * KIB
                                             : LIMIT_MESSAGE_BYTES;
    return sizeof(struct label) + relay_random(relay) % (most - sizeof(struct label) + 1);
}

/* `follows`: another one will be sent at once, for which this one may wait. */
static void send_one(struct peer_end *end, bool follows)
{
    static uint8_t message[LIMIT_MESSAGE_BYTES];
    const bool urgent = !end->waits && relay_random(end->relay) % 8 == 0;
    const struct label label = {end->connection, end->sent[urgent], urgent, (uint32_t)random_len(end->relay, urgent)};
    if (!end->up)
        return;
    memcpy(message, &label, sizeof label);
    memcpy(message + sizeof label, filling(&label), label.len - sizeof label);
    end->sent[urgent]++; /* before: the send may bring the link down */
    const uint64_t now_ms = relay_now_ms(end->relay);
    int err;
    end->waits = follows && !urgent && relay_random(end->relay) % 2 == 0;
    if (end->waits)
        err = link_send_more(end->link, message, label.len);
    else if (urgent)
        err = link_send_urgent(end->link, message, label.len, now_ms);
    else
        err = link_send(end->link, message, label.len, now_ms);
    assert_true(err == ERR_OK || (err == ERR_TOO_MANY && !end->up));
}

/* --- one run --- */

struct pair {
    struct relay *relay;
    struct peer_end ends[2];
};

static struct relay_faults random_faults(struct relay *relay)
{
    struct relay_faults faults = {0};
    unsigned *of_1000[] = {&faults.drop, &faults.duplicate, &faults.reorder,
                           &faults.cut,  &faults.alter,     &faults.replay};
    for (size_t i = 0; i < sizeof of_1000 / sizeof of_1000[0]; i++)
        if (relay_random(relay) % 2 == 0)
            *of_1000[i] = (unsigned)(1u << relay_random(relay) % 8); /* 0.1 % to 12.8 % */
    faults.delay_ms = (unsigned)(relay_random(relay) % 4 == 0 ? relay_random(relay) % 100 : relay_random(relay) % 3);
    return faults;
}

static void open_pair(struct pair *pair, uint64_t seed, const struct link_keys keys[2])
{
    *pair = (struct pair){.relay = relay_new(seed)};
    for (size_t i = 0; i < 2; i++) {
        struct peer_end *end = &pair->ends[i];
        const struct link_events events = {end, NULL, on_up, on_down, on_message, NULL};
        *end = (struct peer_end){.side = (enum link_side)i, .relay = pair->relay};
        end->link = relay_link(pair->relay, end->side, &keys[i], &events);
    }
}

static void storm(struct pair *pair)
{
    const struct relay_faults faults = random_faults(pair->relay);
    relay_set_faults(pair->relay, &faults);
    const uint64_t steps = 20 + relay_random(pair->relay) % 60;
    for (uint64_t i = 0; i < steps; i++) {
        struct peer_end *end = &pair->ends[relay_random(pair->relay) % 2];
        const uint64_t burst = relay_random(pair->relay) % 16 == 0 ? 150 : 8;
        for (uint64_t n = relay_random(pair->relay) % burst; n > 0; n--)
            send_one(end, n > 1);
        const uint64_t pause = relay_random(pair->relay) % 20;
        relay_run(pair->relay, pause == 0 ? relay_random(pair->relay) % 4000 : pause * 5, NULL, NULL);
    }
}

static bool both_up(void *arg)
{
    const struct pair *pair = arg;
    return pair->ends[0].up && pair->ends[1].up;
}

static bool all_arrived(void *arg)
{
    const struct pair *pair = arg;
    for (size_t i = 0; i < 2; i++)
        if (memcmp(pair->ends[i].sent, pair->ends[1 - i].received, sizeof pair->ends[i].sent) != 0)
            return false;
    return true;
}

static void calm(struct pair *pair)
{
    const struct relay_faults none = {0};
    relay_set_faults(pair->relay, &none);
    relay_run(pair->relay, LINK_SILENCE_MS + 2 * LINK_HANDSHAKE_MS, NULL, NULL); /* what is still wrong shows */
    assert_true(both_up(pair));
    assert_true(all_arrived(pair)); /* also what was sent since the two came up */
    const uint64_t downs = pair->ends[0].downs + pair->ends[1].downs;
    for (size_t i = 0; i < CALM_MESSAGES; i++)
        send_one(&pair->ends[i % 2], false);
    assert_true(relay_run(pair->relay, 1000, all_arrived, pair));
    assert_true(downs == pair->ends[0].downs + pair->ends[1].downs);
}

struct totals {
    uint64_t frames, faults, downs, messages;
    size_t most_pieces, most_bytes;
};

static void add_up(struct totals *totals, const struct pair *pair)
{
    const struct relay_counts *counts = relay_counts(pair->relay);
    totals->frames += counts->frames;
    totals->faults += counts->dropped + counts->duplicated + counts->reordered + counts->cut + counts->altered;
    totals->faults += counts->replayed;
    for (size_t i = 0; i < 2; i++) {
        totals->downs += pair->ends[i].downs;
        totals->messages += pair->ends[i].total;
    }
    if (counts->most_pieces > totals->most_pieces)
        totals->most_pieces = counts->most_pieces;
    if (counts->most_bytes > totals->most_bytes)
        totals->most_bytes = counts->most_bytes;
}

static void run(uint64_t seed, const struct link_keys keys[2], struct totals *totals)
{
    struct pair pair;
    open_pair(&pair, seed, keys);
    for (uint64_t i = 1 + relay_random(pair.relay) % 2; i > 0; i--) {
        storm(&pair);
        calm(&pair);
    }
    add_up(totals, &pair);
    relay_free(pair.relay);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t running; /* the seed of the run under way */

static int say_seed(void **state)
{
    (void)state;
    if (running != 0)
        print_error("it was PACT_SEED=%llu\n", (unsigned long long)running);
    return 0;
}

static void a_bad_carrier_costs_time_and_nothing_else(void **state)
{
    (void)state;
    struct link_keys keys[2], none[2] = {{0}};
    struct totals totals = {0};
    make_keys(&keys[LINK_CLIENT], &keys[LINK_REPLICA]);
    const uint64_t first = number_from("PACT_SEED", 1);
    const uint64_t runs = number_from("PACT_RUNS", getenv("PACT_SEED") != NULL   ? 1
                                                   : getenv("PACT_SOAK") != NULL ? SOAK_RUNS
                                                                                 : RUNS);
    for (uint64_t seed = first; seed < first + runs; seed++) {
        running = seed;
        run(seed, seed % 2 == 0 ? keys : none, &totals);
    }
    running = 0;
    print_message(
        "%llu runs: %llu frames, %llu faults, %llu times down, %llu messages, each once and in order; at most "
        "%zu pieces and %zu bytes unacknowledged\n",
        (unsigned long long)runs, (unsigned long long)totals.frames, (unsigned long long)totals.faults,
        (unsigned long long)totals.downs, (unsigned long long)totals.messages, totals.most_pieces, totals.most_bytes);
    assert_true(totals.faults > runs && totals.downs > runs); /* the storms were storms */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_bad_carrier_costs_time_and_nothing_else, say_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
