/* The order in which changes are announced, in small stories; test_ghost_histories.c has the random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/mount/ghost_queue.h"

/* --- stories --- */

static uint64_t no_parent(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
    return 0;
}

static struct ghost_change named(enum ghost_kind kind, uint64_t id, uint64_t parent, const char *name)
{
    return (struct ghost_change){.kind = kind, .node_kind = KIND_FILE, .id = id, .parent = parent, .name = name};
}

static void push(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id, uint64_t parent, const char *name)
{
    struct ghost_change change = named(kind, id, parent, name);
    ghost_queue_push(queue, &change);
}

static void push_directory(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id, uint64_t parent,
                           const char *name)
{
    struct ghost_change change = named(kind, id, parent, name);
    change.node_kind = KIND_DIRECTORY;
    ghost_queue_push(queue, &change);
}

static void push_rename(struct ghost_queue *queue, uint64_t id, uint64_t parent, const char *name, uint64_t to_parent,
                        const char *to_name)
{
    struct ghost_change change = named(GHOST_RENAME, id, parent, name);
    change.to_parent = to_parent;
    change.to_name = to_name;
    ghost_queue_push(queue, &change);
}

static struct ghost_job *expect(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id)
{
    struct ghost_job *job = ghost_queue_take(queue);
    assert_non_null(job);
    assert_int_equal(job->change.kind, kind);
    assert_int_equal(job->change.id, id);
    return job;
}

static void expect_done(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id)
{
    ghost_queue_done(queue, expect(queue, kind, id));
}

static void expect_empty(struct ghost_queue *queue)
{
    assert_null(ghost_queue_take(queue));
    assert_int_equal(ghost_queue_info(queue).jobs, 0);
    assert_int_equal(ghost_queue_info(queue).differences, 0);
    ghost_queue_free(queue);
}

/* In one directory one thing happens at a time, in order; another directory does not wait for it. */
static void test_lanes(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push(queue, GHOST_CREATE, 10, 1, "a");
    push(queue, GHOST_DELETE, 10, 1, "a");
    push(queue, GHOST_CREATE, 20, 2, "b");
    struct ghost_job *stuck = expect(queue, GHOST_CREATE, 10);
    expect_done(queue, GHOST_CREATE, 20);
    assert_null(ghost_queue_take(queue));
    ghost_queue_done(queue, stuck);
    expect_done(queue, GHOST_DELETE, 10);
    expect_empty(queue);
}

/* A storm in many directories, then a change in another, again and again: each is the second at the latest, and the
 * storm's go on in between. */
static void test_storm_holds_up_nobody(void **unused)
{
    enum { STORM = 100, EACH = 5, LATER = 1000 };
    struct ghost_job *first[STORM];
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(STORM * EACH + 1, no_parent, NULL);
    for (uint64_t i = 0; i < (uint64_t)STORM * EACH; i++)
        push(queue, GHOST_ATTR, i, LATER + i % STORM, "a");
    for (uint64_t i = 0; i < STORM; i++)
        first[i] = expect(queue, GHOST_ATTR, i);
    for (uint64_t i = 0; i < STORM; i++)
        ghost_queue_done(queue, first[i]);
    for (uint64_t i = 0; i < STORM; i++) {
        push(queue, GHOST_CREATE, LATER + i, 1 + i, "b");
        expect_done(queue, GHOST_ATTR, STORM + i);
        expect_done(queue, GHOST_CREATE, LATER + i);
    }
    for (struct ghost_job *job; (job = ghost_queue_take(queue));)
        ghost_queue_done(queue, job);
    expect_empty(queue);
}

/* A rename across directories waits for both, and both wait for it. */
static void test_rename_is_a_barrier_in_both(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push(queue, GHOST_CREATE, 10, 1, "a");
    push(queue, GHOST_CREATE, 20, 2, "b");
    push_rename(queue, 10, 1, "a", 2, "c");
    push(queue, GHOST_CREATE, 11, 1, "a");
    push(queue, GHOST_DELETE, 10, 2, "c");
    struct ghost_job *one = expect(queue, GHOST_CREATE, 10), *two = expect(queue, GHOST_CREATE, 20);
    ghost_queue_done(queue, two);
    assert_null(ghost_queue_take(queue));
    ghost_queue_done(queue, one);
    struct ghost_job *rename = expect(queue, GHOST_RENAME, 10);
    assert_string_equal(rename->change.to_name, "c");
    assert_null(ghost_queue_take(queue));
    ghost_queue_done(queue, rename);
    expect_done(queue, GHOST_CREATE, 11);
    expect_done(queue, GHOST_DELETE, 10);
    expect_empty(queue);
}

/* A directory is announced before what is in it, and its removal after. */
static void test_directory_before_and_after_its_children(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push_directory(queue, GHOST_CREATE, 10, 1, "d");
    push(queue, GHOST_CREATE, 11, 10, "f");
    struct ghost_job *job = expect(queue, GHOST_CREATE, 10);
    assert_null(ghost_queue_take(queue));
    ghost_queue_done(queue, job);
    job = expect(queue, GHOST_CREATE, 11);
    push(queue, GHOST_DELETE, 11, 10, "f");
    push_directory(queue, GHOST_DELETE, 10, 1, "d");
    assert_null(ghost_queue_take(queue));
    ghost_queue_done(queue, job);
    expect_done(queue, GHOST_DELETE, 11);
    expect_done(queue, GHOST_DELETE, 10);
    expect_empty(queue);
}

/* A thousand writes to a file that waits are one event; but none is moved before a create, and one that is being
 * announced does not swallow the next. */
static void test_coalescing(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    struct ghost_change data = named(GHOST_DATA, 10, 1, "f");
    for (int i = 0; i < 1000; i++)
        ghost_queue_push(queue, &data);
    push(queue, GHOST_ATTR, 10, 1, "f");
    push(queue, GHOST_ATTR, 10, 1, "f");
    push(queue, GHOST_CREATE, 11, 1, "g");
    ghost_queue_push(queue, &data);
    assert_int_equal(ghost_queue_info(queue).coalesced, 1000);
    struct ghost_job *job = expect(queue, GHOST_DATA, 10);
    ghost_queue_done(queue, job);
    expect_done(queue, GHOST_ATTR, 10);
    expect_done(queue, GHOST_CREATE, 11);
    job = expect(queue, GHOST_DATA, 10);
    ghost_queue_push(queue, &data);
    ghost_queue_done(queue, job);
    expect_done(queue, GHOST_DATA, 10);
    expect_empty(queue);
}

/* Data written to a file not yet announced goes with its CREATE: one open instead of two. */
static void test_data_goes_with_the_create(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    struct ghost_change data = named(GHOST_DATA, 10, 1, "f");
    push(queue, GHOST_CREATE, 10, 1, "f");
    ghost_queue_push(queue, &data);
    struct ghost_job *job = expect(queue, GHOST_CREATE, 10);
    assert_true(job->change.data);
    ghost_queue_done(queue, job);
    expect_empty(queue);
}

/* Beyond the limit only what differs in the end is announced: names that came and went are not, the usual
 * write-and-rename is a new file at the old name. */
static void test_beyond_the_limit(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(2, no_parent, NULL);
    push(queue, GHOST_CREATE, 10, 1, "a");
    push(queue, GHOST_CREATE, 11, 1, "b");
    for (uint64_t id = 100; id < 200; id++) {
        struct ghost_change rename = named(GHOST_RENAME, id, 1, "tmp");
        push(queue, GHOST_CREATE, id, 1, "tmp");
        rename.to_parent = 1;
        rename.to_name = "b";
        rename.other = id == 100 ? 11 : id - 1;
        rename.other_kind = KIND_FILE;
        ghost_queue_push(queue, &rename);
    }
    assert_int_equal(ghost_queue_info(queue).jobs, 2);
    assert_int_equal(ghost_queue_info(queue).differences, 2);
    assert_int_equal(ghost_queue_info(queue).overflows, 1);
    expect_done(queue, GHOST_CREATE, 10);
    expect_done(queue, GHOST_CREATE, 11);
    expect_done(queue, GHOST_DELETE, 11);
    struct ghost_job *job = expect(queue, GHOST_CREATE, 199);
    assert_string_equal(job->change.name, "b");
    ghost_queue_done(queue, job);
    expect_empty(queue);
}

/* The difference between two trees: a znode that is deleted and made anew in it has moved. What comes after the
 * difference is not swallowed. */
static void test_difference_of_two_trees(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    struct ghost_change step = named(GHOST_DELETE, 10, 1, "a");
    step.node_kind = KIND_DIRECTORY;
    ghost_queue_push_difference(queue, &step);
    step.kind = GHOST_CREATE;
    step.name = "b";
    ghost_queue_push_difference(queue, &step);
    assert_int_equal(ghost_queue_info(queue).differences, 1);
    push(queue, GHOST_CREATE, 11, 1, "c");
    push(queue, GHOST_DELETE, 11, 1, "c");
    struct ghost_job *job = expect(queue, GHOST_RENAME, 10);
    assert_string_equal(job->change.to_name, "b");
    ghost_queue_done(queue, job);
    expect_done(queue, GHOST_CREATE, 11);
    expect_done(queue, GHOST_DELETE, 11);
    expect_empty(queue);
}

/* A directory that is stuck with all the queue has room for does not hold up another one. */
static void test_full_of_a_stuck_directory(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(10, no_parent, NULL);
    char name[16];
    for (uint64_t id = 100; id < 400; id++) {
        snprintf(name, sizeof name, "%u", (unsigned)id);
        push(queue, GHOST_CREATE, id, 1, name);
    }
    struct ghost_job *stuck = expect(queue, GHOST_CREATE, 100);
    for (uint64_t id = 500; id < 510; id++) {
        push(queue, GHOST_CREATE, id, 2, "b");
        expect_done(queue, GHOST_CREATE, id);
        push(queue, GHOST_DELETE, id, 2, "b");
        expect_done(queue, GHOST_DELETE, id);
    }
    assert_null(ghost_queue_take(queue));
    ghost_queue_done(queue, stuck);
    for (uint64_t id = 101; id < 400; id++) {
        struct ghost_job *job = ghost_queue_take(queue);
        assert_non_null(job);
        ghost_queue_done(queue, job);
    }
    expect_empty(queue);
}

/* Freed with jobs waiting in several lanes and in the difference: the sanitizer sees to it that nothing is lost. */
static void test_free_while_full(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(3, no_parent, NULL);
    push_directory(queue, GHOST_CREATE, 10, 1, "d");
    push_rename(queue, 20, 1, "a", 10, "b");
    push(queue, GHOST_DATA, 20, 10, "b");
    push_rename(queue, 20, 10, "b", 1, "c");
    push(queue, GHOST_ATTR, 21, 1, "e");
    assert_int_equal(ghost_queue_info(queue).differences, 2);
    ghost_queue_free(queue);
}

/* --- what is done through this mount, of which the kernel tells at once --- */

static void overtake(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id, const char *name)
{
    struct ghost_change change = named(kind, id, 1, name);
    ghost_queue_overtake(queue, &change);
}

static void overtake_rename(struct ghost_queue *queue, uint64_t id, const char *name, const char *to_name,
                            uint64_t other)
{
    struct ghost_change change = named(GHOST_RENAME, id, 1, name);
    change.to_parent = 1;
    change.to_name = to_name;
    change.other = other;
    change.other_kind = KIND_FILE;
    ghost_queue_overtake(queue, &change);
}

static void expect_void(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id)
{
    struct ghost_job *job = expect(queue, kind, id);
    assert_true(job->is_void);
    assert_false(ghost_queue_tell(job));
    ghost_queue_done(queue, job);
}

static void expect_told(struct ghost_queue *queue, enum ghost_kind kind, uint64_t id)
{
    struct ghost_job *job = expect(queue, kind, id);
    assert_true(ghost_queue_tell(job));
    ghost_queue_done(queue, job);
}

/* Where nothing waits, nothing is to be told again; nor where what waits is about other names. */
static void test_own_changes_in_order(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    overtake(queue, GHOST_CREATE, 10, "a");
    push(queue, GHOST_CREATE, 11, 1, "b");
    push(queue, GHOST_CREATE, 12, 2, "a");
    overtake_rename(queue, 10, "a", "c", 0);
    overtake(queue, GHOST_DELETE, 10, "c");
    expect_told(queue, GHOST_CREATE, 11);
    expect_told(queue, GHOST_CREATE, 12);
    expect_empty(queue);
}

/* What was made elsewhere, and removed or moved here before that was told, is never told as made: not even if a thread
 * has it in its hands; but if the kernel has been told, it has. */
static void test_removed_here_before_it_was_told(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push(queue, GHOST_CREATE, 10, 1, "a");
    struct ghost_job *taken = expect(queue, GHOST_CREATE, 10);
    push(queue, GHOST_CREATE, 11, 1, "b");
    push(queue, GHOST_ATTR, 11, 1, "b");
    push(queue, GHOST_CREATE, 12, 1, "c");
    push(queue, GHOST_ATTR, 12, 1, "c");
    overtake(queue, GHOST_DELETE, 10, "a");
    overtake(queue, GHOST_DELETE, 11, "b");
    overtake_rename(queue, 12, "c", "d", 0);
    assert_false(ghost_queue_tell(taken));
    ghost_queue_done(queue, taken);
    expect_void(queue, GHOST_CREATE, 11);
    expect_void(queue, GHOST_ATTR, 11);
    expect_void(queue, GHOST_CREATE, 12);
    struct ghost_job *job = expect(queue, GHOST_ATTR, 12);
    assert_true(job->change.nameless);
    ghost_queue_done(queue, job);
    push(queue, GHOST_CREATE, 13, 1, "e");
    job = expect(queue, GHOST_CREATE, 13);
    assert_true(ghost_queue_tell(job));
    overtake(queue, GHOST_DELETE, 13, "e");
    assert_false(job->is_void);
    ghost_queue_done(queue, job);
    expect_empty(queue);
}

/* What is made here where something else is still to be told as removed, is told again after that; and not, if it is
 * gone by then. */
static void test_made_here_before_it_was_free(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push(queue, GHOST_DELETE, 10, 1, "a");
    push(queue, GHOST_DELETE, 11, 1, "b");
    overtake(queue, GHOST_CREATE, 20, "a");
    overtake(queue, GHOST_CREATE, 21, "b");
    overtake(queue, GHOST_DELETE, 21, "b");
    expect_told(queue, GHOST_DELETE, 10);
    expect_told(queue, GHOST_DELETE, 11);
    expect_told(queue, GHOST_CREATE, 20);
    expect_void(queue, GHOST_CREATE, 21);
    expect_empty(queue);
}

/* What came by a rename and is removed here: the old name is told to be gone by the rename, the new one after it. */
static void test_removed_here_before_it_came(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push_rename(queue, 10, 1, "a", 1, "b");
    overtake(queue, GHOST_DELETE, 10, "b");
    push(queue, GHOST_CREATE, 11, 1, "c");
    overtake_rename(queue, 12, "d", "c", 11);
    expect_told(queue, GHOST_RENAME, 10);
    expect_told(queue, GHOST_DELETE, 10);
    expect_void(queue, GHOST_CREATE, 11);
    expect_empty(queue);
}

/* Content written after the node got another name does not go with a making that is void. */
static void test_nothing_goes_with_what_is_void(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    push(queue, GHOST_CREATE, 10, 1, "a");
    overtake_rename(queue, 10, "a", "b", 0);
    push(queue, GHOST_DATA, 10, 1, "b");
    expect_void(queue, GHOST_CREATE, 10);
    expect_done(queue, GHOST_DATA, 10);
    expect_empty(queue);
}

/* The same beyond the limit. */
static void test_own_changes_beyond_the_limit(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = ghost_queue_new(8, no_parent, NULL);
    for (uint64_t id = 10; id < 18; id++)
        push(queue, GHOST_CREATE, id, 2, (const char[]){(char)('a' + id - 10), 0});
    push(queue, GHOST_CREATE, 20, 1, "a");
    push(queue, GHOST_CREATE, 21, 1, "b");
    push(queue, GHOST_DELETE, 22, 1, "c");
    push(queue, GHOST_DATA, 23, 1, "d");
    push_rename(queue, 24, 1, "e", 1, "f");
    assert_int_equal(ghost_queue_info(queue).differences, 5);
    overtake(queue, GHOST_DELETE, 20, "a");
    overtake_rename(queue, 21, "b", "z", 0);
    overtake(queue, GHOST_CREATE, 30, "c");
    overtake(queue, GHOST_DELETE, 23, "d");
    overtake(queue, GHOST_DELETE, 24, "f");
    overtake(queue, GHOST_CREATE, 31, "g");
    for (uint64_t id = 10; id < 18; id++)
        expect_told(queue, GHOST_CREATE, id);
    expect_told(queue, GHOST_DELETE, 22);
    expect_told(queue, GHOST_DELETE, 24);
    expect_told(queue, GHOST_CREATE, 30);
    expect_empty(queue);
}

static void push_own(struct ghost_queue *queue, uint64_t id, uint64_t parent, uint64_t zxid)
{
    struct ghost_change change = named(GHOST_DATA, id, parent, "own");
    change.own = true;
    change.zxid = zxid;
    ghost_queue_push(queue, &change);
}

enum { MS = 1000000, START = 500 * MS, DUE = START + GHOST_REST_MS * MS };

static struct ghost_queue *new_at(uint64_t now_ns)
{
    struct ghost_queue *queue = ghost_queue_new(100, no_parent, NULL);
    ghost_queue_pass_time(queue, now_ns);
    return queue;
}

/* Content committed here is announced once for all the commits that came while it rested. */
static void test_own_content_rests(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = new_at(START);
    push_own(queue, 7, 1, 40);
    ghost_queue_pass_time(queue, START + MS);
    push_own(queue, 8, 1, 41);
    push_own(queue, 7, 1, 42);
    push(queue, GHOST_DATA, 9, 2, "elsewhere");
    expect_done(queue, GHOST_DATA, 9);
    assert_null(ghost_queue_take(queue));
    assert_int_equal(ghost_queue_due_ns(queue), DUE);
    struct ghost_queue_info info = ghost_queue_info(queue);
    assert_int_equal(info.jobs, 2);
    assert_int_equal(info.resting, 2);
    assert_int_equal(info.rests, 40);
    assert_int_equal(info.coalesced, 1);
    ghost_queue_pass_time(queue, DUE);
    expect_done(queue, GHOST_DATA, 7);
    assert_null(ghost_queue_take(queue));
    assert_int_equal(ghost_queue_due_ns(queue), DUE + MS);
    assert_int_equal(ghost_queue_info(queue).rests, 41);
    ghost_queue_pass_time(queue, DUE + MS);
    expect_done(queue, GHOST_DATA, 8);
    assert_int_equal(ghost_queue_due_ns(queue), 0);
    expect_empty(queue);
}

/* Whatever else is to be announced in the directory does not wait for it, nor pass it. */
static void test_rest_is_disturbed(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = new_at(START);
    push_own(queue, 7, 1, 40);
    push_own(queue, 8, 1, 41);
    push_own(queue, 9, 2, 42);
    push(queue, GHOST_CREATE, 10, 1, "a");
    push_own(queue, 7, 1, 43);
    expect_done(queue, GHOST_DATA, 7);
    expect_done(queue, GHOST_DATA, 8);
    expect_done(queue, GHOST_CREATE, 10);
    assert_null(ghost_queue_take(queue));
    assert_int_equal(ghost_queue_info(queue).resting, 2);
    push(queue, GHOST_DATA, 9, 2, "own"); /* by another host: somebody may wait for that */
    struct ghost_job *job = expect(queue, GHOST_DATA, 9);
    assert_false(job->change.own);
    ghost_queue_done(queue, job);
    ghost_queue_pass_time(queue, DUE);
    expect_done(queue, GHOST_DATA, 7);
    expect_empty(queue);
}

/* Of a file that is removed here while it rests nobody is told any more. */
static void test_removed_while_it_rests(void **unused)
{
    (void)unused;
    struct ghost_queue *queue = new_at(START);
    push_own(queue, 7, 1, 40);
    overtake(queue, GHOST_DELETE, 7, "own");
    assert_null(ghost_queue_take(queue));
    ghost_queue_pass_time(queue, DUE);
    expect_void(queue, GHOST_DATA, 7);
    expect_empty(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_storm_holds_up_nobody),
        cmocka_unit_test(test_rename_is_a_barrier_in_both),
        cmocka_unit_test(test_directory_before_and_after_its_children),
        cmocka_unit_test(test_coalescing),
        cmocka_unit_test(test_data_goes_with_the_create),
        cmocka_unit_test(test_beyond_the_limit),
        cmocka_unit_test(test_difference_of_two_trees),
        cmocka_unit_test(test_full_of_a_stuck_directory),
        cmocka_unit_test(test_free_while_full),
        cmocka_unit_test(test_own_changes_in_order),
        cmocka_unit_test(test_removed_here_before_it_was_told),
        cmocka_unit_test(test_made_here_before_it_was_free),
        cmocka_unit_test(test_removed_here_before_it_came),
        cmocka_unit_test(test_nothing_goes_with_what_is_void),
        cmocka_unit_test(test_own_changes_beyond_the_limit),
        cmocka_unit_test(test_own_content_rests),
        cmocka_unit_test(test_rest_is_disturbed),
        cmocka_unit_test(test_removed_while_it_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
