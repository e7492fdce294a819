/* Who holds something: for what a process is noted, how many may be, and that a number alone is not a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount/fdtable.h"
#include "fs/mount/holder.h"
#include "fs/mount/mount.h"
#include "fs/mount/process.h"
#include "fs/mount/record.h"

enum { LIMIT = 2, CHILDREN = 3 };

static struct mount mount;
static pid_t children[CHILDREN];
static char mountpoint[64];
static const struct client_identity session = {.session = 77, .cluster = {0xff}};

static int begin(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (!children[i])
            for (;;)
                pause();
    }
    snprintf(mountpoint, sizeof mountpoint, "/mnt/test holder %d", getpid());
    mount.record = record_open("127.0.0.1:1", mountpoint);
    record_begin(mount.record, &session);
    mount.holders = holders_new(&mount, LIMIT);
    return !mount.holders;
}

static int end(void **unused)
{
    (void)unused;
    holders_free(mount.holders);
    record_close(mount.record, true);
    for (size_t i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    return 0;
}

static uint64_t note(pid_t pid, enum holding holding)
{
    uint64_t key;
    assert_int_equal(holders_note(&mount, pid, 0, holding, &key), ERR_OK);
    assert_int_not_equal(key, 0);
    return key;
}

/* Beyond the limit nothing is noted, for whatever: the caller can refuse what it is asked for. What is given back makes
 * room; who is noted already needs none. */
static void more_than_the_limit_are_refused(void **unused)
{
    (void)unused;
    uint64_t first = note(children[0], ASKS), second = note(children[1], MADE), third;
    for (enum holding holding = HOLDS; holding < HOLDINGS; holding++) {
        assert_int_equal(holders_note(&mount, children[2], 0, holding, &third), ERR_TOO_MANY);
        assert_int_equal(third, 0);
    }
    assert_int_equal(note(children[0], HOLDS), first);
    holders_drop(&mount, second, MADE);
    third = note(children[2], HOLDS);
    assert_int_equal(holders_note(&mount, children[1], 0, MADE, &second), ERR_TOO_MANY); /* known, but not noted */
    holders_drop(&mount, third, HOLDS);
}

/* Who asks for something is no holder until it has it. */
static void who_asks_does_not_hold(void **unused)
{
    (void)unused;
    uint64_t key = note(children[0], ASKS);
    assert_int_equal(holders_count(&mount), 0);
    holders_turn(&mount, key, HOLDS);
    assert_int_equal(holders_count(&mount), 1);
    holders_drop(&mount, key, ASKS); /* that was turned */
    assert_int_equal(holders_count(&mount), 1);
    holders_drop(&mount, key, HOLDS);
    assert_int_equal(holders_count(&mount), 0);
}

/* A process is known by its identity: another one of its number is not taken for it, be it noted already or not. */
static void a_number_is_no_process(void **unused)
{
    struct fdtable *child = fdtable_open(children[0]);
    uint64_t identity = fdtable_identity(child), key;
    (void)unused;
    fdtable_close(child);
    assert_int_not_equal(identity, 0);
    assert_int_equal(holders_note(&mount, children[0], identity + 1, HOLDS, &key), ERR_INVALID);
    note(children[0], HOLDS);
    assert_int_equal(holders_note(&mount, children[0], identity + 1, HOLDS, &key), ERR_INVALID);
    assert_int_equal(key, 0);
    assert_int_equal(holders_note(&mount, children[0], identity, HOLDS, &key), ERR_OK);
    kill(children[0], SIGKILL);
    waitid(P_PID, (id_t)children[0], NULL, WEXITED | WNOWAIT);
    assert_int_equal(holders_note(&mount, children[0], identity, HOLDS, &key), ERR_INVALID);
}

/* What the record says, which begins anew. */
static pid_t group_on_record(size_t count)
{
    const struct record_holder *list;
    record_close(mount.record, false);
    mount.record = record_open("127.0.0.1:1", mountpoint);
    assert_int_equal(record_former_holders(mount.record, &list), count);
    pid_t group = count ? list[0].group : 0;
    record_begin(mount.record, &session);
    return group;
}

/* On record are those who would lose something; with their group, that of who owns or has a lock counts also when he is
 * dead. */
static void who_would_lose_something_is_on_record(void **unused)
{
    (void)unused;
    uint64_t key = note(children[0], ASKS);
    group_on_record(0);
    holders_drop(&mount, key, ASKS);
    key = note(children[0], MADE);
    assert_int_equal(group_on_record(1), 0);
    note(children[0], HOLDS);
    assert_int_equal(group_on_record(1), getpgid(0));
    holders_drop(&mount, key, HOLDS);
    assert_int_equal(group_on_record(1), 0);
    holders_drop(&mount, key, MADE);
    assert_int_equal(group_on_record(0), 0);
}

#define HOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDER_TEST(more_than_the_limit_are_refused),
        HOLDER_TEST(who_asks_does_not_hold),
        HOLDER_TEST(a_number_is_no_process),
        HOLDER_TEST(who_would_lose_something_is_on_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
