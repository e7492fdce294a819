#include "tests/support/link_pair.h"
#include "tests/support/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct link_pair pair;

static void on_up(void *arg)
{
    struct pair_side *side = arg;
    side->ups++;
}

static void on_down(void *arg, int code)
{
    struct pair_side *side = arg;
    side->downs++;
    side->code = code;
    side->down_ms = relay_now_ms(pair.relay);
}

static void on_message(void *arg, const void *message, size_t len)
{
    struct pair_side *side = arg;
    side->messages++;
    side->last_len = len;
    memcpy(side->last, message, len < sizeof side->last ? len : sizeof side->last);
    if (len > 0 && side->last[0] == 'u')
        side->urgents++;
    if (side->closes)
        link_close(side->link, relay_now_ms(pair.relay));
}

static void on_writable(void *arg)
{
    struct pair_side *side = arg;
    side->writables++;
}

int pair_setup_keys(void **state)
{
    (void)state;
    struct link_keys unused;
    make_keys(&pair.other_mount_keys, &unused);
    make_keys(&pair.mount_keys, &pair.replica_keys);
    return 0;
}

int pair_setup(void **state)
{
    (void)state;
    pair.relay = relay_new(1);
    return 0;
}

int pair_teardown(void **state)
{
    (void)state;
    relay_free(pair.relay);
    return 0;
}

void pair_make_side(struct pair_side *side, enum link_side which, const struct link_keys *keys)
{
    const struct link_events events = {side, NULL, on_up, on_down, on_message, on_writable};
    *side = (struct pair_side){0};
    side->link = relay_link(pair.relay, which, keys, &events);
}

void pair_open_with(const struct link_keys *client_keys, const struct link_keys *replica_keys)
{
    pair_make_side(&pair.client, LINK_CLIENT, client_keys);
    pair_make_side(&pair.replica, LINK_REPLICA, replica_keys);
}

void pair_open(void)
{
    pair_open_with(&pair.mount_keys, &pair.replica_keys);
    assert_true(relay_run(pair.relay, 100, pair_up, NULL));
}

bool pair_up(void *unused)
{
    (void)unused;
    return link_state(pair.client.link) == LINK_UP && link_state(pair.replica.link) == LINK_UP;
}

void pair_wait(uint64_t ms)
{
    relay_run(pair.relay, ms, NULL, NULL);
}

uint64_t pair_frames(void)
{
    return relay_counts(pair.relay)->frames;
}

int pair_say(struct pair_side *side, const char *text)
{
    return link_send(side->link, text, strlen(text), relay_now_ms(pair.relay));
}

int pair_say_urgent(struct pair_side *side, const char *text)
{
    return link_send_urgent(side->link, text, strlen(text), relay_now_ms(pair.relay));
}

void pair_assert_heard(const struct pair_side *side, const char *text)
{
    assert_int_equal(side->last_len, strlen(text));
    assert_memory_equal(side->last, text, strlen(text));
}

void pair_assert_undisturbed(void)
{
    const unsigned to_client = pair.client.messages, to_replica = pair.replica.messages;
    pair_wait(2 * LINK_PING_MS);
    pair_say(&pair.client, "still");
    pair_say(&pair.replica, "here");
    pair_wait(10);
    assert_int_equal(pair.client.downs + pair.replica.downs, 0);
    assert_int_equal(pair.client.messages, to_client + 1);
    assert_int_equal(pair.replica.messages, to_replica + 1);
    pair_assert_heard(&pair.client, "here");
    pair_assert_heard(&pair.replica, "still");
}
