/* Whether a process still has a file open for writing, asked again and again while its descriptors change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount/closing.h"
#include "fs/mount/fdtable.h"
#include "proto/limits.h"

enum { LOW = 5, HIGH = LIMIT_KEPT_INFOS + 5 }; /* descriptors: one of which the file is kept, one of which it is not */

static char path[] = "/tmp/pact-test-closing-XXXXXX";
static struct fdtables *tables;
static struct stat file;

/* A process that has no descriptors but the two ends of pipes, and does what it is told. */
struct child {
    pid_t pid;
    int commands, answers;
};

static void open_as(int fd, int flags)
{
    int first = open(path, flags), out_of_the_way = fcntl(first, F_DUPFD, HIGH + 1);
    close(first);
    dup2(out_of_the_way, fd);
    close(out_of_the_way);
}

static void obey(int commands, int answers)
{
    char command[3];
    while (read(commands, command, sizeof command) == sizeof command) {
        int fd = command[1], other = command[2];
        if (command[0] == 'w' || command[0] == 'r')
            open_as(fd, command[0] == 'w' ? O_WRONLY : O_RDONLY);
        else if (command[0] == 'd')
            dup2(fd, other);
        else
            close(fd);
        if (write(answers, command, 1) != 1)
            break;
    }
    _exit(0);
}

static struct child begin_child(void)
{
    int commands[2], answers[2];
    struct child child;
    assert_int_equal(pipe(commands) | pipe(answers), 0);
    child.pid = fork();
    if (child.pid == 0) {
        dup2(commands[0], 100);
        dup2(answers[1], 101);
        close_range(0, 99, 0);
        obey(100, 101);
    }
    close(commands[0]);
    close(answers[1]);
    child.commands = commands[1];
    child.answers = answers[0];
    return child;
}

static void tell(const struct child *child, char what, int fd, int other)
{
    char command[3] = {what, (char)fd, (char)other}, answer;
    assert_int_equal(write(child->commands, command, sizeof command), sizeof command);
    assert_int_equal(read(child->answers, &answer, 1), 1);
    assert_int_equal(answer, what);
}

static void end_child(const struct child *child)
{
    close(child->commands);
    close(child->answers);
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

static enum closing judge(pid_t pid, unsigned others)
{
    struct fdtable *table = fdtables_take(tables, pid);
    enum closing closing = closing_judge(table, pid, file.st_ino, file.st_dev, others);
    fdtables_put(tables, table);
    return closing;
}

static void a_descriptor_comes_and_goes(void **unused)
{
    struct child child = begin_child();
    (void)unused;
    for (int turn = 0; turn < 3; turn++)
        for (int fd = LOW; fd <= HIGH; fd += HIGH - LOW) {
            assert_int_equal(judge(child.pid, 0), CLOSING_COMMIT);
            tell(&child, 'w', fd, 0);
            assert_int_equal(judge(child.pid, 0), CLOSING_NOT);
            assert_int_equal(judge(child.pid, 1), CLOSING_COMMIT);
            tell(&child, 'r', fd, 0); /* the same number, for something else */
            assert_int_equal(judge(child.pid, 0), CLOSING_COMMIT);
            tell(&child, 'w', fd, 0);
            assert_int_equal(judge(child.pid, 0), CLOSING_NOT);
            tell(&child, 'c', fd, 0);
        }
    end_child(&child);
}

/* A duplicate is the same open file; another open of the file is one more. */
static void duplicates_count_once(void **unused)
{
    struct child child = begin_child();
    (void)unused;
    tell(&child, 'w', LOW, 0);
    tell(&child, 'd', LOW, HIGH);
    assert_int_equal(judge(child.pid, 0), CLOSING_NOT);
    assert_int_equal(judge(child.pid, 1), CLOSING_COMMIT);
    tell(&child, 'w', LOW, 0);
    assert_int_equal(judge(child.pid, 1), CLOSING_NOT);
    tell(&child, 'c', HIGH, 0);
    assert_int_equal(judge(child.pid, 0), CLOSING_NOT);
    tell(&child, 'c', LOW, 0);
    assert_int_equal(judge(child.pid, 0), CLOSING_COMMIT);
    end_child(&child);
}

/* More processes than are kept, which all are told apart; what is kept of one that has ended says nothing of the next.
 */
static void many_processes(void **unused)
{
    enum { MANY = LIMIT_KEPT_TABLES + 3 };
    struct child children[MANY];
    uint64_t identities[MANY];
    (void)unused;
    for (int i = 0; i < MANY; i++) {
        children[i] = begin_child();
        tell(&children[i], i % 2 ? 'w' : 'r', LOW, 0);
        struct fdtable *table = fdtables_take(tables, children[i].pid);
        identities[i] = fdtable_identity(table);
        assert_int_not_equal(identities[i], 0);
        fdtables_put(tables, table);
    }
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < MANY; i++) {
            struct fdtable *table = fdtables_take(tables, children[i].pid);
            assert_int_equal(fdtable_identity(table), identities[i]);
            fdtables_put(tables, table);
            assert_int_equal(judge(children[i].pid, 0), i % 2 ? CLOSING_NOT : CLOSING_COMMIT);
        }
    for (int i = 0; i < MANY; i++)
        end_child(&children[i]);
    for (int i = 0; i < MANY; i++) {
        struct fdtable *table = fdtables_take(tables, children[i].pid);
        fdtable_rewind(table);
        assert_int_equal(fdtable_identity(table), 0);
        assert_int_equal(fdtable_next(table), -1);
        fdtables_put(tables, table);
    }
}

/* Two at once have a table each. */
static void taken_twice(void **unused)
{
    struct child child = begin_child();
    (void)unused;
    tell(&child, 'w', LOW, 0);
    struct fdtable *one = fdtables_take(tables, child.pid), *two = fdtables_take(tables, child.pid);
    assert_ptr_not_equal(one, two);
    assert_int_equal(closing_judge(one, child.pid, file.st_ino, file.st_dev, 0), CLOSING_NOT);
    assert_int_equal(closing_judge(two, child.pid, file.st_ino, file.st_dev, 0), CLOSING_NOT);
    fdtables_put(tables, one);
    fdtables_put(tables, two);
    tell(&child, 'c', LOW, 0);
    assert_int_equal(judge(child.pid, 0), CLOSING_COMMIT);
    end_child(&child);
}

static int begin(void **unused)
{
    int fd = mkstemp(path);
    (void)unused;
    signal(SIGPIPE, SIG_IGN);
    tables = fdtables_new();
    return fd < 0 || fstat(fd, &file) || close(fd) || !tables;
}

static int end(void **unused)
{
    (void)unused;
    fdtables_free(tables);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor_comes_and_goes),
        cmocka_unit_test(duplicates_count_once),
        cmocka_unit_test(many_processes),
        cmocka_unit_test(taken_twice),
    };
    return cmocka_run_group_tests_name("closing", tests, begin, end);
}
