/* A replica at work, spoken to word by word: attaching, numbering, sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/host.h"
#include "tests/support/probe.h"
#include "tests/support/sample.h"

static const struct lifetime plain;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the start --- */

/* A new directory makes a cluster of one with a random id; a restart keeps id and digest and begins an epoch. */
static void a_new_directory_becomes_a_cluster(void **state)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    struct host *host = *state;
    struct probe probe = {0};
    probe_open(&probe, host->address, NULL);
    struct message_status first = probe_status(&probe);
    while (first.state_version < STATE_VERSION) /* logged right at the start */
        first = probe_status(&probe);
    assert_memory_not_equal(first.cluster, none, sizeof none);
    assert_int_equal(first.leader, 1);
    assert_int_equal(first.member_count, 1);
    assert_memory_equal(first.members[0].role.at, "leader", 6);
    uint32_t epoch = first.epoch;
    uint64_t zxid = first.zxid, digest = first.digest;
    uint8_t cluster[CLUSTER_ID_BYTES];
    memcpy(cluster, first.cluster, sizeof cluster);
    probe_close(&probe);
    host_restart(host);
    probe_open(&probe, host->address, NULL);
    struct message_status second = probe_status(&probe);
    assert_memory_equal(second.cluster, cluster, sizeof cluster);
    assert_int_equal(second.epoch, epoch + 1);
    assert_int_equal(second.zxid, zxid);
    assert_int_equal(second.digest, digest);
    probe_free(&probe);
}

/* The semantics are the newest before the first session is made: no mount meets a new cluster that does not know locks.
 */
static void a_new_cluster_begins_with_the_newest_semantics(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "first");
    assert_int_equal(state_version(probe.tree), STATE_VERSION);
    probe_free(&probe);
}

/* A second replica on the directory is told that it is in use. */
static void a_directory_has_one_replica(void **state)
{
    struct host *host = *state;
    const char *const addresses[] = {"127.0.0.1:0"};
    struct replica_options options = {.id = 1,
                                      .data = host->directory,
                                      .addresses = addresses,
                                      .address_count = 1,
                                      .members = &(struct replica_member){1, "x", "x"},
                                      .member_count = 1};
    struct replica *second;
    char text[256] = "";
    assert_int_equal(replica_open(&options, &second, text, sizeof text), ERR_BUSY);
    assert_non_null(strstr(text, host->directory));
    assert_null(second);
}

/* --- attaching --- */

static void expect_refusal(struct probe *probe, const struct message *attach, int code)
{
    probe_send(probe, attach);
    assert_true(probe_expect(probe, MESSAGE_REFUSED));
    assert_int_equal(probe->last.refused.code, code);
    assert_true(probe->last.refused.text.len > 0);
}

/* ATTACH sent twice with one nonce, as a mount does that lost the answer, gives one session. */
static void a_session_is_made_once(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "once");
    uint64_t session = probe.session;
    assert_int_not_equal(session, 0);
    probe_close(&probe);
    probe.session = 0;
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "once");
    assert_int_equal(probe.session, session);
    struct session_info info;
    uint64_t id = 0;
    assert_true(state_next_session(probe.tree, &id, &info));
    assert_int_equal(info.id, session);
    assert_false(state_next_session(probe.tree, &id, &info));
    probe_free(&probe);
}

/* Each reason to refuse a mount has its code, and ends the link. */
static void who_does_not_belong_is_refused(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "good");
    const struct {
        int code;
        uint64_t session;
        uint64_t applied, seen;
        uint8_t cluster;
        uint32_t version;
        const char *name;
    } cases[] = {
        {ERR_ACCESS, probe.session, 0, 0, 0, STATE_VERSION, "bad secret"},
        {ERR_SESSION_EXPIRED, 999999, 0, 0, 0, STATE_VERSION, "good"},
        {ERR_OTHER_CLUSTER, 0, 0, 0, 0xee, STATE_VERSION, "other cluster"},
        {ERR_OTHER_CLUSTER, 0, UINT64_MAX, 0, 0, STATE_VERSION, "later history"},
        {ERR_OTHER_CLUSTER, 0, 7, 0, 0, STATE_VERSION, "other history"},
        {ERR_OTHER_CLUSTER, 0, 0, UINT64_MAX, 0, STATE_VERSION, "later, seen"},
        {ERR_OTHER_CLUSTER, 0, 0, 7, 0, STATE_VERSION, "other, seen"},
        {ERR_BAD_FORMAT, 0, 0, 0, 0, STATE_VERSION + 1, "other version"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe other = {0};
        probe_open(&other, host->address, NULL);
        struct message message = probe_attach_message(&other, cases[i].name);
        message.attach.session = cases[i].session;
        message.attach.applied = cases[i].applied;
        message.attach.seen = cases[i].seen;
        memset(message.attach.cluster, cases[i].cluster, CLUSTER_ID_BYTES);
        message.attach.state_version_min = message.attach.state_version_max = cases[i].version;
        expect_refusal(&other, &message, cases[i].code);
        assert_true(probe_expect_down(&other));
        probe_free(&other);
    }
    probe_free(&probe);
}

/* The mount comes back by a new link while the replica still holds the old one: the new one carries the session. */
static void the_newest_link_carries_the_session(void **state)
{
    struct host *host = *state;
    struct probe old = {0}, new = {0};
    probe_open(&old, host->address, NULL);
    probe_attach(&old, "mount");
    probe_open(&new, host->address, NULL);
    new.session = old.session;
    probe_attach(&new, "mount");
    assert_int_equal(new.session, old.session);
    assert_true(probe_expect_down(&old));
    struct request request = probe_create("by-new", plain);
    assert_int_equal(probe_call(&new, &request), ERR_OK);
    probe_free(&old);
    probe_free(&new);
}

/* --- numbers --- */

/* Requests 1, 2, 3 and then 2 and 3 again, as after a lost link: each has one result, the tree changed three times. */
static void a_number_is_done_once(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    struct result result;
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "numbers");
    const struct lifetime sequential = {.sequential = true, .sequence_at = 2};
    struct request request = probe_create("n-", sequential);
    for (int i = 0; i < 3; i++)
        probe_submit(&probe, &request);
    probe_submit_as(&probe, 2, &request);
    probe_submit_as(&probe, 3, &request);
    assert_true(probe_result(&probe, probe_submit(&probe, &request), &result));
    assert_string_equal(result.name, "n-0000000003");
    assert_int_equal(probe.result_count[2], 1);
    assert_int_equal(probe.result_count[3], 1);
    probe_free(&probe);
}

/* Numbers 1, then 3 and 4: the replica asks once to send again, and takes 2, 3, 4 then. */
static void a_gap_is_asked_for(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    struct result result;
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "gap");
    struct request request = probe_create("g-", (struct lifetime){.sequential = true, .sequence_at = 2});
    assert_int_equal(probe_call(&probe, &request), ERR_OK);
    probe_submit_as(&probe, 3, &request);
    probe_submit_as(&probe, 4, &request);
    assert_true(probe_expect(&probe, MESSAGE_RESEND));
    for (uint64_t number = 2; number <= 4; number++)
        probe_submit_as(&probe, number, &request);
    assert_true(probe_result(&probe, 4, &result));
    assert_string_equal(result.name, "g-0000000003");
    assert_int_equal(probe.count[MESSAGE_RESEND], 1);
    probe_free(&probe);
}

/* Sent again after a restart of the replica under the same session: what was done is not done again. */
static void numbers_survive_a_restart(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    struct result result;
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "restart");
    struct request request = probe_create("r-", (struct lifetime){.sequential = true, .sequence_at = 2});
    assert_int_equal(probe_call(&probe, &request), ERR_OK);
    assert_int_equal(probe_call(&probe, &request), ERR_OK);
    probe_close(&probe);
    host_restart(host);
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "restart");
    assert_false(probe.last.attached.snapshot);
    probe_submit_as(&probe, 1, &request);
    probe_submit_as(&probe, 2, &request);
    probe_submit_as(&probe, 3, &request);
    assert_true(probe_result(&probe, 3, &result));
    assert_string_equal(result.name, "r-0000000002");
    assert_int_equal(probe.result_count[1] + probe.result_count[2], 2);
    probe_free(&probe);
}

/* A request that is well formed on the wire and wrong by itself takes its number with an error: the session goes on.
 * One that only replicas may make, or that is not understood, ends the link. */
static void wrong_requests_hurt_nobody_else(void **state)
{
    struct host *host = *state;
    struct probe probe = {0}, bad = {0};
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "wrong");
    struct request request = probe_create("a/../b", plain), good = probe_create("good", plain);
    assert_int_not_equal(probe_call(&probe, &request), ERR_OK);
    assert_int_equal(probe_call(&probe, &good), ERR_OK);

    probe_open(&bad, host->address, NULL);
    probe_attach(&bad, "internal");
    struct request internal = {.kind = OP_CLOSE_SESSION, .close_session = {probe.session, CLOSE_EXPIRED}};
    probe_submit(&bad, &internal);
    assert_true(probe_expect(&bad, MESSAGE_REFUSED));
    assert_true(probe_expect_down(&bad));
    probe_free(&bad);

    probe_open(&bad, host->address, NULL);
    probe_send_raw(&bad, "\xff\xff\xff garbage", 11);
    assert_true(probe_expect_down(&bad));
    probe_free(&bad);

    probe_open(&bad, host->address, NULL);
    probe_submit(&bad, &good); /* before any ATTACH */
    assert_true(probe_expect_down(&bad));
    probe_free(&bad);

    struct request last = probe_create("last", plain);
    assert_int_equal(probe_call(&probe, &last), ERR_OK);
    probe_free(&probe);
}

/* 3,000 messages of every kind with random content, some before and some after attaching: the replica takes them or
 * ends the link, and others do not notice. */
static void any_message_at_any_time_hurts_nobody_else(void **state)
{
    struct host *host = *state;
    struct probe good = {0}, wild = {0};
    static struct sample sample;
    probe_open(&good, host->address, NULL);
    probe_attach(&good, "good");
    probe_open(&wild, host->address, NULL);
    unsigned links = 1;
    for (int i = 0; i < 3000; i++) {
        struct message message;
        struct buffer bytes = {0};
        sample_begin(&sample, (uint64_t)i);
        sample_message(&sample, MESSAGE_ATTACH + sample_random(&sample) % MESSAGE_DETACHED, &message);
        if (encode_message(&message, &bytes) == ERR_OK)
            probe_send_raw(&wild, bytes.at, bytes.len);
        buffer_free(&bytes);
        dial_run(wild.dial, now_ms());
        dial_run(good.dial, now_ms());
        if (wild.up)
            continue;
        probe_free(&wild);
        probe_open(&wild, host->address, NULL);
        if (links++ % 2)
            probe_attach(&wild, "wild");
    }
    probe_free(&wild);
    if (good.down) { /* a machine that stood still for LINK_SILENCE_MS */
        probe_close(&good);
        probe_open(&good, host->address, NULL);
        probe_attach(&good, "good");
    }
    struct request request = probe_create("still here", plain);
    assert_int_equal(probe_call(&good, &request), ERR_OK);
    assert_true(links > 10);
    probe_free(&good);
}

/* --- sessions --- */

static bool flag_is_gone(struct probe *probe)
{
    return !probe_has(probe, "flag");
}

/* A session of 2 s is kept for 3 s by heartbeats alone; silent, it expires, not before its timeout and with its
 * ephemeral. */
static void a_silent_session_expires(void **state)
{
    struct host *host = *state;
    struct probe mount = {0}, watcher = {0};
    probe_open(&watcher, host->address, NULL);
    probe_observe(&watcher);
    probe_open(&mount, host->address, NULL);
    struct message attach = probe_attach_message(&mount, "silent");
    attach.attach.timeout_ms = 2000;
    probe_send(&mount, &attach);
    assert_true(probe_expect(&mount, MESSAGE_ATTACHED));
    assert_int_equal(mount.last.attached.timeout_ms, 2000);
    assert_true(probe_catch_up(&mount, 0));
    struct request request = probe_create("flag", (struct lifetime){.ephemeral = true});
    assert_int_equal(probe_call(&mount, &request), ERR_OK);
    assert_true(probe_catch_up(&watcher, state_zxid(mount.tree)));
    assert_true(probe_has(&watcher, "flag"));
    uint64_t heard_ms = 0;
    for (int i = 0; i < 12; i++) {
        heard_ms = now_ms();
        struct message beat = {.kind = MESSAGE_HEARTBEAT, .heartbeat = {.sent_ms = heard_ms}};
        probe_send(&mount, &beat);
        assert_true(probe_expect(&mount, MESSAGE_HEARTBEAT_ACK));
        assert_int_equal(mount.last.heartbeat.sent_ms, beat.heartbeat.sent_ms);
        assert_false(probe_until(&watcher, flag_is_gone, 250));
    }
    assert_true(probe_until(&watcher, flag_is_gone, PROBE_WAIT_MS));
    assert_in_range(now_ms() - heard_ms, 2000, 5000);
    assert_true(probe_expect(&mount, MESSAGE_REFUSED));
    assert_int_equal(mount.last.refused.code, ERR_SESSION_EXPIRED);
    probe_free(&mount);
    probe_free(&watcher);
}

/* DETACH right after a request: its result comes, then DETACHED, and the session and its ephemeral are gone. */
static void detach_closes_the_session(void **state)
{
    struct host *host = *state;
    struct probe mount = {0}, watcher = {0};
    probe_open(&mount, host->address, NULL);
    probe_attach(&mount, "leaving");
    struct request request = probe_create("flag", (struct lifetime){.ephemeral = true});
    uint64_t number = probe_submit(&mount, &request);
    probe_send(&mount, &(struct message){.kind = MESSAGE_DETACH});
    assert_true(probe_expect(&mount, MESSAGE_DETACHED));
    assert_int_equal(mount.result_count[number], 1);
    struct session_info info;
    assert_false(state_session(mount.tree, mount.session, &info));
    assert_false(probe_has(&mount, "flag"));
    probe_free(&mount);
    probe_free(&watcher);
}

/* A znode with a TTL of 300 ms and an emptied container go by themselves. */
static void what_is_due_goes(void **state)
{
    struct host *host = *state;
    struct probe probe = {0};
    probe_open(&probe, host->address, NULL);
    probe_attach(&probe, "due");
    struct request container = probe_create("flag", (struct lifetime){.container = true});
    assert_int_equal(probe_call(&probe, &container), ERR_OK);
    struct request child = probe_create("flag/child", (struct lifetime){.ttl_ms = 300});
    assert_int_equal(probe_call(&probe, &child), ERR_OK);
    assert_true(probe_has(&probe, "flag/child"));
    assert_true(probe_until(&probe, flag_is_gone, 3000));
    probe_free(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TEST(a_new_directory_becomes_a_cluster),
        HOST_TEST(a_new_cluster_begins_with_the_newest_semantics),
        HOST_TEST(a_directory_has_one_replica),
        HOST_TEST(a_session_is_made_once),
        HOST_TEST(who_does_not_belong_is_refused),
        HOST_TEST(the_newest_link_carries_the_session),
        HOST_TEST(a_number_is_done_once),
        HOST_TEST(a_gap_is_asked_for),
        HOST_TEST(numbers_survive_a_restart),
        HOST_TEST(wrong_requests_hurt_nobody_else),
        HOST_TEST(any_message_at_any_time_hurts_nobody_else),
        HOST_TEST(a_silent_session_expires),
        HOST_TEST(detach_closes_the_session),
        HOST_TEST(what_is_due_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
