/* Locks: who holds, who waits, who is next. Locks are told as text: "space kind range owner" of the holders, then of
 * the waiters after a bar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_story.h"

/* A story with three sessions, 1 to 3, and a file, "f", with id 2; session 1 asks first. */
static int begin(void **arg)
{
    struct story *story = story_new();
    story_version(story, STATE_VERSION);
    for (uint8_t i = 3; i > 0; i--)
        story_session(story, i);
    assert_int_equal(story_make(story, "f", KIND_FILE), ERR_OK);
    assert_int_equal(story->result.id, 2);
    story->session = 1;
    *arg = story;
    return 0;
}

static int end(void **story)
{
    story_free(*story);
    return 0;
}

enum how { SHARED = 0, EXCLUSIVE = 1, WAITING = 2 };

static struct op_lock flock_op(enum how how, uint64_t owner)
{
    return (struct op_lock){.id = 2,
                            .space = LOCK_FLOCK,
                            .exclusive = (how & EXCLUSIVE) != 0,
                            .wait = (how & WAITING) != 0,
                            .owner = owner,
                            .handle = owner,
                            .end = UINT64_MAX,
                            .pid = 77,
                            .command = {"sh", 2}};
}

static int lock(struct story *story, uint64_t session, struct op_lock op)
{
    story->session = session;
    return story_apply(story, (struct request){.kind = OP_LOCK, .lock = op});
}

static int flock_as(struct story *story, uint64_t session, enum how how)
{
    return lock(story, session, flock_op(how, 1));
}

static int posix_on(struct story *story, uint64_t id, uint64_t session, enum how how, uint64_t start, uint64_t end_at)
{
    struct op_lock op = flock_op(how, 1);
    op.id = id;
    op.space = LOCK_POSIX;
    op.start = start;
    op.end = end_at;
    return lock(story, session, op);
}

static int posix(struct story *story, uint64_t session, enum how how, uint64_t start, uint64_t end_at)
{
    return posix_on(story, 2, session, how, start, end_at);
}

static int unlock(struct story *story, uint64_t session, struct op_unlock op)
{
    story->session = session;
    op.id = op.id == 0 ? 2 : op.id;
    return story_apply(story, (struct request){.kind = OP_UNLOCK, .unlock = op});
}

static int unflock(struct story *story, uint64_t session)
{
    return unlock(story, session, (struct op_unlock){.scope = UNLOCK_OWNER, .space = LOCK_FLOCK, .owner = 1});
}

static int unposix(struct story *story, uint64_t session, uint64_t start, uint64_t end_at)
{
    struct op_unlock op = {.scope = UNLOCK_RANGE, .space = LOCK_POSIX, .owner = 1, .start = start, .end = end_at};
    return unlock(story, session, op);
}

/* The locks of a znode: "x1" a flock, "x1[0-9]" a range, of session 1; in a static buffer. */
static const char *locks_of(const struct story *story, uint64_t id)
{
    static char text[1024];
    struct lock_info info;
    bool waiting = false;
    text[0] = '\0';
    for (struct lock_walk walk = {.id = id}; state_lock_next(story->state, &walk, &info);) {
        char *at = text + strlen(text);
        at += sprintf(at, "%s%s%s%d", at == text ? "" : " ", info.waiting && !waiting ? "| " : "",
                      info.exclusive ? "x" : "s", (int)info.session);
        if (info.space == LOCK_POSIX)
            sprintf(at, "[%d-%d]", (int)info.start, (int)info.end);
        waiting = info.waiting;
        assert_int_equal(info.id, id);
        assert_int_equal(info.granted_zxid == 0, info.waiting);
    }
    return text;
}

static const char *locks(const struct story *story)
{
    return locks_of(story, 2);
}

static void test_first_come_first_served(void **arg)
{
    struct story *story = *arg;
    struct lock_info info;
    assert_int_equal(flock_as(story, 1, EXCLUSIVE), ERR_OK);
    assert_string_equal(story_changes(story), "lock ");
    assert_int_equal(flock_as(story, 2, EXCLUSIVE), ERR_LOCKED);
    assert_int_equal(flock_as(story, 2, EXCLUSIVE | WAITING), ERR_LOCK_WAITS);
    uint64_t second = story->result.zxid;
    assert_true(state_result(story->state, 2, 2, &story->result)); /* kept as any other */
    assert_int_equal(story->result.code, ERR_LOCK_WAITS);
    assert_int_equal(flock_as(story, 3, SHARED | WAITING), ERR_LOCK_WAITS);
    assert_string_equal(locks(story), "x1 | x2 s3");
    story->now_ns += 1000;
    assert_int_equal(unflock(story, 1), ERR_OK);
    assert_string_equal(story_changes(story), "lock , lock 8 of 2");
    assert_string_equal(locks(story), "x2 | s3");
    assert_true(state_lock_named(story->state, 2, second, &info));
    assert_int_equal(info.granted_zxid, story->result.zxid);
    assert_int_equal(info.since_ns, story->now_ns);
    assert_int_equal(info.pid, 77);
    assert_string_equal(info.command, "sh");
    assert_int_equal(state_lock_zxid(story->state, 2), info.granted_zxid);
}

/* Readers that come all the time do not keep a writer out; and all readers in a row are let in together. */
static void test_a_writer_does_not_starve(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(flock_as(story, 1, SHARED), ERR_OK);
    assert_int_equal(flock_as(story, 2, EXCLUSIVE | WAITING), ERR_LOCK_WAITS);
    assert_int_equal(flock_as(story, 3, SHARED), ERR_LOCKED);
    assert_int_equal(flock_as(story, 3, SHARED | WAITING), ERR_LOCK_WAITS);
    assert_int_equal(lock(story, 3, flock_op(SHARED | WAITING, 2)), ERR_LOCK_WAITS);
    assert_int_equal(unflock(story, 1), ERR_OK);
    assert_string_equal(locks(story), "x2 | s3 s3");
    assert_int_equal(unflock(story, 2), ERR_OK);
    assert_string_equal(locks(story), "s3 s3");
}

/* flock(2): who changes the kind and may wait gives up what he has; who may not wait keeps it. */
static void test_a_flock_changes_kind(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(flock_as(story, 1, SHARED), ERR_OK);
    assert_int_equal(flock_as(story, 2, SHARED), ERR_OK);
    assert_int_equal(flock_as(story, 1, EXCLUSIVE), ERR_LOCKED);
    assert_string_equal(locks(story), "s1 s2");
    assert_int_equal(flock_as(story, 1, EXCLUSIVE | WAITING), ERR_LOCK_WAITS);
    assert_string_equal(locks(story), "s2 | x1");
    assert_int_equal(flock_as(story, 2, EXCLUSIVE), ERR_OK); /* the waiter waits for nobody else */
    assert_string_equal(locks(story), "x2 | x1");
    assert_int_equal(flock_as(story, 2, SHARED), ERR_OK);
    assert_string_equal(locks(story), "s2 | x1");
    assert_int_equal(flock_as(story, 2, EXCLUSIVE | WAITING), ERR_OK);
    assert_int_equal(unflock(story, 2), ERR_OK);
    assert_string_equal(locks(story), "x1");
}

static void test_flock_and_fcntl_do_not_see_each_other(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(flock_as(story, 1, EXCLUSIVE), ERR_OK);
    assert_int_equal(posix(story, 2, EXCLUSIVE, 0, UINT64_MAX), ERR_OK);
    assert_int_equal(flock_as(story, 2, EXCLUSIVE), ERR_LOCKED);
    assert_int_equal(posix(story, 1, SHARED, 5, 5), ERR_LOCKED);
}

/* fcntl(2): ranges are cut, change their kind in part, and grow together. */
static void test_ranges(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(posix(story, 1, EXCLUSIVE, 0, 99), ERR_OK);
    assert_int_equal(unposix(story, 1, 40, 59), ERR_OK);
    assert_string_equal(locks(story), "x1[0-39] x1[60-99]");
    assert_int_equal(posix(story, 2, SHARED, 39, 40), ERR_LOCKED);
    assert_int_equal(posix(story, 2, SHARED, 40, 59), ERR_OK);
    assert_int_equal(unposix(story, 2, 0, 1000), ERR_OK);
    assert_int_equal(posix(story, 1, SHARED, 20, 69), ERR_OK);
    assert_string_equal(locks(story), "x1[0-19] x1[70-99] s1[20-69]");
    assert_int_equal(posix(story, 1, EXCLUSIVE, 20, 69), ERR_OK);
    assert_string_equal(locks(story), "x1[0-99]");
    assert_int_equal(unposix(story, 1, 0, 9), ERR_OK);
    assert_int_equal(unposix(story, 1, 90, UINT64_MAX), ERR_OK);
    assert_string_equal(locks(story), "x1[10-89]");
    assert_int_equal(unposix(story, 1, 0, UINT64_MAX), ERR_OK);
    assert_string_equal(story_changes(story), "lock ");
    assert_int_equal(unposix(story, 1, 0, UINT64_MAX), ERR_OK); /* nothing is there, nothing is told */
    assert_string_equal(story_changes(story), "");
    assert_string_equal(locks(story), "");
}

/* A lock that becomes weaker lets in those that waited for it; one that is given up in part, too. */
static void test_what_is_given_up_in_part_is_granted(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(posix(story, 1, EXCLUSIVE, 0, 99), ERR_OK);
    assert_int_equal(posix(story, 2, SHARED | WAITING, 50, 99), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 3, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 1, SHARED, 0, 99), ERR_OK);
    assert_string_equal(locks(story), "s2[50-99] s1[0-99] | x3[0-9]");
    assert_int_equal(unposix(story, 1, 0, 9), ERR_OK);
    assert_string_equal(locks(story), "s2[50-99] s1[10-99] x3[0-9]");
}

/* Who waits for a lock of whom: a circle is refused, over two files too; flock knows none of it. */
static void test_a_deadlock_is_refused(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(story_make(story, "g", KIND_FILE), ERR_OK);
    assert_int_equal(posix_on(story, 2, 1, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 3, 2, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 3, 3, EXCLUSIVE, 20, 29), ERR_OK);
    assert_int_equal(posix_on(story, 2, 2, SHARED | WAITING, 5, 5), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE, 9, 9), ERR_LOCKED);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE | WAITING, 9, 9), ERR_DEADLOCK);
    assert_string_equal(story_changes(story), "");
    assert_int_equal(posix_on(story, 2, 3, SHARED | WAITING, 5, 5), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE | WAITING, 20, 20), ERR_DEADLOCK);
    assert_string_equal(locks_of(story, 2), "x1[0-9] | s2[5-5] s3[5-5]");
    assert_string_equal(locks_of(story, 3), "x2[0-9] x3[20-29]");
}

/* One may also wait for who is only ahead in the queue: 1 for 3 for 2 for 1. Who is kept by the queue alone overtakes
 * then: 3, of another znode than the one asked for. Version 4 took it for a deadlock. */
static void close_a_circle_through_the_queue(struct story *story, int code)
{
    assert_int_equal(story_make(story, "g", KIND_FILE), ERR_OK);
    assert_int_equal(posix_on(story, 2, 1, SHARED, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 3, 3, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 2, 2, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 2, 3, SHARED | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 3, 1, SHARED | WAITING, 0, 0), code);
}

static void test_no_deadlock_through_the_queue(void **arg)
{
    struct story *story = *arg;
    close_a_circle_through_the_queue(story, ERR_LOCK_WAITS);
    assert_string_equal(locks_of(story, 2), "s1[0-9] s3[0-9] | x2[0-9]");
    assert_string_equal(locks_of(story, 3), "x3[0-9] | s1[0-0]");
    assert_int_equal(posix_on(story, 2, 1, SHARED, 5, 20), ERR_OK); /* 2 waits for 1 anyway */
}

/* 1 holds something, 2 waits for it and for 3, 4 waits behind 2: when 1 asks for what 3 has, and 2 and 4 asked for,
 * nobody whom it would have to wait for waits for what it holds but through the queue. */
static void test_no_deadlock_behind_who_queues(void **arg)
{
    struct story *story = *arg;
    story_session(story, 4);
    assert_int_equal(posix(story, 1, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix(story, 3, EXCLUSIVE, 15, 19), ERR_OK);
    assert_int_equal(posix(story, 2, EXCLUSIVE | WAITING, 5, 24), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 4, EXCLUSIVE | WAITING, 12, 21), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 1, EXCLUSIVE | WAITING, 10, 19), ERR_LOCK_WAITS);
    assert_int_equal(unposix(story, 3, 15, 19), ERR_OK);
    assert_string_equal(locks(story), "x1[0-9] x4[12-21] | x2[5-24] x1[10-19]");
    assert_int_equal(unposix(story, 4, 12, 21), ERR_OK);
    assert_string_equal(locks(story), "x1[0-19] | x2[5-24]");
}

/* Two threads of 1: who queues behind the one is in the way of the other, and closes no circle: he goes first. */
static void test_no_deadlock_behind_who_queues_behind_oneself(void **arg)
{
    struct story *story = *arg;
    story_session(story, 4);
    assert_int_equal(posix(story, 2, EXCLUSIVE, 0, 4), ERR_OK);
    assert_int_equal(posix(story, 3, EXCLUSIVE, 15, 19), ERR_OK);
    assert_int_equal(posix(story, 1, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 4, EXCLUSIVE | WAITING, 5, 14), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 1, EXCLUSIVE | WAITING, 10, 19), ERR_LOCK_WAITS);
    assert_string_equal(locks(story), "x2[0-4] x3[15-19] x4[5-14] | x1[0-9] x1[10-19]");
    assert_int_equal(unposix(story, 3, 15, 19), ERR_OK);
    assert_int_equal(unposix(story, 4, 5, 14), ERR_OK);
    assert_string_equal(locks(story), "x2[0-4] x1[10-19] | x1[0-9]");
}

/* A process whose threads wait for several others waits for each of them, whoever asks last. */
static void test_a_deadlock_through_several_waits(void **arg)
{
    struct story *story = *arg;
    for (const char *name = "g"; *name != '\0'; name = *name == 'g' ? "h" : "")
        assert_int_equal(story_make(story, name, KIND_FILE), ERR_OK);
    assert_int_equal(posix_on(story, 2, 1, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 3, 2, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 4, 3, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE | WAITING, 0, 0), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 4, 1, EXCLUSIVE | WAITING, 0, 0), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 2, 2, SHARED | WAITING, 0, 0), ERR_DEADLOCK);
    assert_int_equal(posix_on(story, 2, 3, SHARED | WAITING, 0, 0), ERR_DEADLOCK);
    assert_int_equal(unlock(story, 1, (struct op_unlock){.id = 4, .scope = UNLOCK_HANDLE, .handle = 1}), ERR_OK);
    assert_int_equal(posix_on(story, 2, 3, SHARED | WAITING, 0, 0), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 4, 1, EXCLUSIVE | WAITING, 0, 0), ERR_DEADLOCK); /* its second wait */
}

/* 1 and 3 share the lock, 2 waits to have it alone; then 1 asks to have it alone. As 2 waits for 1 anyway, 1 waits for
 * 3 only: no circle. Version 3 took it for one. */
static void ask_to_upgrade(struct story *story, int code)
{
    assert_int_equal(posix(story, 1, SHARED, 0, 9), ERR_OK);
    assert_int_equal(posix(story, 3, SHARED, 0, 9), ERR_OK);
    assert_int_equal(posix(story, 2, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 1, EXCLUSIVE | WAITING, 0, 9), code);
}

static void test_no_deadlock_with_who_waits_for_oneself(void **arg)
{
    struct story *story = *arg;
    ask_to_upgrade(story, ERR_LOCK_WAITS);
    assert_int_equal(posix(story, 3, EXCLUSIVE | WAITING, 0, 9), ERR_DEADLOCK); /* this is one: 3 for 1 for 3 */
    assert_int_equal(unposix(story, 3, 0, 9), ERR_OK);
    assert_string_equal(locks(story), "x1[0-9] | x2[0-9]");
    assert_int_equal(unposix(story, 1, 0, 9), ERR_OK);
    assert_string_equal(locks(story), "x2[0-9]");
}

/* The same, but 2, a process with two threads, waits elsewhere for 1, too. Version 4 took it for a deadlock. */
static void ask_to_upgrade_beside_two_threads(struct story *story, int code)
{
    assert_int_equal(story_make(story, "g", KIND_FILE), ERR_OK);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix_on(story, 3, 2, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    ask_to_upgrade(story, code);
}

static void test_no_deadlock_with_who_waits_twice(void **arg)
{
    struct story *story = *arg;
    ask_to_upgrade_beside_two_threads(story, ERR_LOCK_WAITS);
    assert_int_equal(unposix(story, 3, 0, 9), ERR_OK);
    assert_string_equal(locks(story), "x1[0-9] | x2[0-9]");
}

/* Who is overtaken is no way round for others: 3 waits for 2, who waits for 1, and 1 for 3. */
static void test_a_deadlock_behind_who_is_overtaken(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(story_make(story, "g", KIND_FILE), ERR_OK);
    assert_int_equal(posix_on(story, 3, 2, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(posix(story, 1, SHARED, 0, 9), ERR_OK);
    assert_int_equal(posix(story, 3, SHARED, 0, 9), ERR_OK);
    assert_int_equal(posix(story, 2, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 3, 3, EXCLUSIVE | WAITING, 0, 9), ERR_DEADLOCK); /* 3 for 2 for 3 */
    assert_int_equal(unposix(story, 3, 0, 4), ERR_OK);
    assert_int_equal(posix_on(story, 3, 3, EXCLUSIVE | WAITING, 0, 9), ERR_DEADLOCK);
    assert_int_equal(posix(story, 1, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
}

static struct story *story_of_version(uint32_t version)
{
    struct story *story = story_new();
    story_version(story, version);
    for (uint8_t i = 3; i > 0; i--)
        story_session(story, i);
    assert_int_equal(story_make(story, "f", KIND_FILE), ERR_OK);
    return story;
}

static void test_version_4_refuses_more(void **arg)
{
    struct story *story = story_of_version(STATE_VERSION_DEADLOCKS);
    (void)arg;
    close_a_circle_through_the_queue(story, ERR_DEADLOCK);
    story_free(story);
    story = story_of_version(STATE_VERSION_DEADLOCKS);
    ask_to_upgrade_beside_two_threads(story, ERR_DEADLOCK);
    story_free(story);
}

static void test_version_3_refuses_more(void **arg)
{
    struct story *story = story_of_version(STATE_VERSION_LOCKS);
    (void)arg;
    ask_to_upgrade(story, ERR_DEADLOCK);
    story_version(story, STATE_VERSION_DEADLOCKS); /* raised while they wait */
    assert_int_equal(posix(story, 1, EXCLUSIVE | WAITING, 0, 9), ERR_LOCK_WAITS);
    assert_int_equal(unposix(story, 3, 0, 9), ERR_OK);
    assert_string_equal(locks(story), "x1[0-9] | x2[0-9]");
    story_free(story);
}

static void test_giving_up_waiting(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(flock_as(story, 1, SHARED), ERR_OK);
    assert_int_equal(flock_as(story, 2, EXCLUSIVE | WAITING), ERR_LOCK_WAITS);
    uint64_t waiter = story->result.zxid;
    assert_int_equal(flock_as(story, 3, SHARED | WAITING), ERR_LOCK_WAITS);
    struct op_unlock op = {.scope = UNLOCK_WAITER, .lock = waiter};
    assert_int_equal(unlock(story, 3, op), ERR_NO_NODE); /* not his */
    assert_int_equal(unlock(story, 2, op), ERR_OK);
    assert_string_equal(story_changes(story), "lock , lock 8 of 3"); /* it was in the way of one behind it */
    assert_int_equal(unlock(story, 2, op), ERR_NO_NODE);
    assert_string_equal(locks(story), "s1 s3");
    op.lock = state_lock_zxid(story->state, 2);
    assert_int_equal(unlock(story, 3, op), ERR_NO_NODE); /* it waits no more */
}

/* Closing a file gives up what was asked for through it, in both spaces. */
static void test_a_handle_is_closed(void **arg)
{
    struct story *story = *arg;
    struct op_lock other = flock_op(EXCLUSIVE, 1);
    assert_int_equal(lock(story, 1, other), ERR_OK);
    assert_int_equal(posix(story, 1, SHARED, 0, 9), ERR_OK);
    other.space = LOCK_POSIX;
    other.handle = 5;
    other.start = 10;
    assert_int_equal(lock(story, 1, other), ERR_OK);
    assert_string_equal(locks(story), "x1 s1[0-9] x1[10--1]");
    assert_int_equal(unlock(story, 1, (struct op_unlock){.scope = UNLOCK_HANDLE, .handle = 1}), ERR_OK);
    assert_string_equal(locks(story), "x1[10--1]");
    assert_int_equal(unlock(story, 2, (struct op_unlock){.scope = UNLOCK_HANDLE, .handle = 5}), ERR_OK);
    assert_string_equal(locks(story), "x1[10--1]"); /* handles are a session's own */
}

/* Locks outlive the name, for those who have the file open; nobody new gets in. */
static void test_a_file_is_deleted(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(flock_as(story, 1, EXCLUSIVE), ERR_OK);
    assert_int_equal(flock_as(story, 2, EXCLUSIVE | WAITING), ERR_LOCK_WAITS);
    assert_int_equal(story_delete(story, "f"), ERR_OK);
    assert_int_equal(flock_as(story, 3, EXCLUSIVE | WAITING), ERR_NO_NODE);
    assert_int_equal(unflock(story, 1), ERR_OK);
    assert_string_equal(locks(story), "x2");
    assert_int_equal(unflock(story, 2), ERR_OK);
    uint64_t id = 0;
    assert_false(state_next_locked(story->state, &id));
}

/* A session that ends leaves nothing, and lets in who waited for it, on every znode. */
static void test_a_session_ends(void **arg)
{
    struct story *story = *arg;
    struct session_info info;
    assert_int_equal(story_make(story, "g", KIND_FILE), ERR_OK);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE, 0, 9), ERR_OK);
    assert_int_equal(flock_as(story, 1, EXCLUSIVE), ERR_OK);
    assert_int_equal(posix_on(story, 3, 2, EXCLUSIVE, 10, 19), ERR_OK);
    assert_int_equal(posix_on(story, 3, 1, EXCLUSIVE | WAITING, 10, 10), ERR_LOCK_WAITS);
    assert_int_equal(posix_on(story, 3, 3, SHARED | WAITING, 9, 9), ERR_LOCK_WAITS);
    assert_int_equal(flock_as(story, 3, EXCLUSIVE | WAITING), ERR_LOCK_WAITS);
    assert_true(state_session(story->state, 1, &info));
    assert_int_equal(info.locks, 3);
    assert_int_equal(story_close(story, 1), ERR_OK);
    assert_string_equal(story_changes(story), "lock , lock 12 of 3, lock , lock 11 of 3, close ");
    assert_string_equal(locks_of(story, 2), "x3");
    assert_string_equal(locks_of(story, 3), "x2[10-19] s3[9-9]");
}

static void test_what_is_refused(void **arg)
{
    struct story *story = *arg;
    struct op_lock op = flock_op(SHARED, 1);
    char command[LIMIT_COMMAND_BYTES + 1] = {0};
    assert_int_equal(lock(story, 0, op), ERR_NO_SESSION);
    assert_int_equal(unlock(story, 0, (struct op_unlock){.scope = UNLOCK_HANDLE}), ERR_NO_SESSION);
    op.id = 99;
    assert_int_equal(lock(story, 1, op), ERR_NO_NODE);
    assert_int_equal(unlock(story, 1, (struct op_unlock){.id = 99, .scope = UNLOCK_HANDLE}), ERR_OK);
    op.id = 0;
    assert_int_equal(lock(story, 1, op), ERR_INVALID);
    op = flock_op(SHARED, 1);
    op.start = 1;
    assert_int_equal(lock(story, 1, op), ERR_INVALID);
    op = flock_op(SHARED, 1);
    op.command = (struct bytes){command, 1};
    assert_int_equal(lock(story, 1, op), ERR_INVALID);
    memset(command, 'c', sizeof command);
    op.command = (struct bytes){command, sizeof command};
    assert_int_equal(lock(story, 1, op), ERR_INVALID);
    assert_int_equal(posix(story, 1, SHARED, 5, 4), ERR_INVALID);
    assert_int_equal(unlock(story, 1, (struct op_unlock){.scope = UNLOCK_WAITER + 1}), ERR_INVALID);
    assert_int_equal(unlock(story, 1, (struct op_unlock){.scope = UNLOCK_OWNER}), ERR_INVALID);
    assert_int_equal(story_make(story, "link", KIND_SYMLINK), ERR_OK);
    op = flock_op(SHARED, 1);
    op.id = story->result.id;
    assert_int_equal(lock(story, 1, op), ERR_INVALID);
    op.id = ROOT_ID; /* directories can be locked */
    assert_int_equal(lock(story, 1, op), ERR_OK);
}

static void test_locks_are_limited(void **arg)
{
    struct story *story = *arg;
    story->session = 1;
    for (uint64_t i = 0; i < LIMIT_NODE_LOCKS; i++) {
        struct op_lock op = flock_op(SHARED, i);
        uint64_t zxid = state_zxid(story->state) + 1;
        struct session_info info;
        assert_true(state_session(story->state, 1, &info));
        struct entry entry = {zxid, story->now_ns, 1, info.last_number + 1, info.last_number + 1, {.kind = OP_LOCK}};
        entry.request.lock = op;
        state_apply(story->state, &entry, &story->result, NULL);
        assert_int_equal(story->result.code, ERR_OK);
    }
    assert_int_equal(lock(story, 2, flock_op(SHARED, 1)), ERR_NO_LOCKS);
    assert_int_equal(posix(story, 2, SHARED, 0, 9), ERR_NO_LOCKS);
    assert_int_equal(unflock(story, 1), ERR_OK);
    assert_int_equal(posix(story, 2, SHARED, 0, 9), ERR_OK);
    assert_int_equal(unposix(story, 2, 5, 5), ERR_NO_LOCKS); /* it would become two */
    assert_int_equal(unposix(story, 2, 5, 9), ERR_OK);
    assert_int_equal(story_close(story, 1), ERR_OK);
    assert_string_equal(locks(story), "s2[0-4]");
}

/* Earlier versions know no locks: refused as they refuse what they do not know. */
static void test_earlier_versions_have_no_locks(void **arg)
{
    (void)arg;
    for (uint32_t version = STATE_VERSION_MIN; version < STATE_VERSION_LOCKS; version++) {
        struct story *story = story_new();
        story_version(story, version);
        story_session(story, 1);
        assert_int_equal(story_make(story, "f", KIND_FILE), ERR_OK);
        assert_int_equal(flock_as(story, 1, EXCLUSIVE), ERR_INVALID);
        assert_int_equal(unflock(story, 1), ERR_INVALID);
        assert_string_equal(locks(story), "");
        story_free(story);
    }
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_first_come_first_served),
        STORY(test_a_writer_does_not_starve),
        STORY(test_a_flock_changes_kind),
        STORY(test_flock_and_fcntl_do_not_see_each_other),
        STORY(test_ranges),
        STORY(test_what_is_given_up_in_part_is_granted),
        STORY(test_a_deadlock_is_refused),
        STORY(test_no_deadlock_through_the_queue),
        STORY(test_no_deadlock_behind_who_queues),
        STORY(test_no_deadlock_behind_who_queues_behind_oneself),
        STORY(test_a_deadlock_through_several_waits),
        STORY(test_no_deadlock_with_who_waits_for_oneself),
        STORY(test_no_deadlock_with_who_waits_twice),
        STORY(test_a_deadlock_behind_who_is_overtaken),
        cmocka_unit_test(test_version_3_refuses_more),
        cmocka_unit_test(test_version_4_refuses_more),
        STORY(test_giving_up_waiting),
        STORY(test_a_handle_is_closed),
        STORY(test_a_file_is_deleted),
        STORY(test_a_session_ends),
        STORY(test_what_is_refused),
        STORY(test_locks_are_limited),
        cmocka_unit_test(test_earlier_versions_have_no_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
