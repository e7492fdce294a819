/* The record of who holds what: what a killed process left is found again, anything else is ignored. In the directory
 * that the programs use; the names are this test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/mount/record.h"

static char mountpoint[64], runtime[] = "/tmp/pact-record-XXXXXX", directory[64];
static const char servers[] = "127.0.0.1:1,127.0.0.1:2";
static const struct client_identity session = {.session = 77, .nonce = {1, 2}, .secret = {3}, .cluster = {0xff}};

static struct record *open_record(void)
{
    return record_open(servers, mountpoint);
}

static struct record *begun(void)
{
    struct record *record = open_record();
    record_begin(record, &session);
    return record;
}

/* The only file in the directory that names our mountpoint. */
static const char *path(void)
{
    static char found[512];
    const struct dirent *entry;
    DIR *files = opendir(directory);
    found[0] = 0;
    while (files && (entry = readdir(files))) {
        char name[400], text[512] = "";
        snprintf(name, sizeof name, "%s/%s", directory, entry->d_name);
        int fd = open(name, O_RDONLY);
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        if (len > 0 && strstr(text, mountpoint))
            strcpy(found, name);
    }
    if (files)
        closedir(files);
    return found;
}

static void append(const char *text)
{
    int fd = open(path(), O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void expect_former(size_t count)
{
    const struct record_holder *list;
    struct record *record = open_record();
    assert_int_equal(record_former(record)->session, count ? 77 : 0);
    assert_int_equal(record_former_holders(record, &list), count);
    record_close(record, false);
}

static void what_a_killed_process_left_is_found(void **unused)
{
    const struct record_holder *list;
    struct stat stat_of;
    (void)unused;
    struct record *record = begun();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    record_add(record, &(struct record_holder){2, 200, 0, 6000});
    record_remove(record, 1);
    record_remove(record, 1234);
    assert_int_equal(stat(path(), &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 07777, 0600);
    record_close(record, false);
    record = open_record();
    assert_memory_equal(record_former(record), &session, sizeof session);
    assert_int_equal(record_former_holders(record, &list), 1);
    assert_true(list[0].pid == 200 && list[0].group == 0 && list[0].noted == 6000);
    record_close(record, true); /* one that began no session leaves what it found */
    expect_former(1);
    record_close(begun(), true);
    assert_string_equal(path(), "");
    expect_former(0);
}

/* What was added before a session began is written with it. */
static void holders_outlive_sessions(void **unused)
{
    (void)unused;
    struct record *record = open_record();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    record_begin(record, &session);
    record_close(record, false);
    expect_former(1);
    record_close(begun(), true);
}

static void half_a_line_counts_for_nothing(void **unused)
{
    (void)unused;
    struct record *record = begun();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    record_close(record, false);
    append("+ 2 200 0 60");
    expect_former(1);
    append("x\n");
    expect_former(0);
    record_close(begun(), true);
}

static void what_is_no_record_is_ignored(void **unused)
{
    static const char *const lines[] = {"\n",   "+\n",   "+ 0 1 1 1\n", "+ 1 -1 1 1\n", "+ 1 1 1\n", "+ 1 1 1 1 1\n",
                                        "- \n", "- x\n", "session 1\n", "+ 1 1 -1 1\n"};
    (void)unused;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct record *record = begun();
        record_add(record, &(struct record_holder){1, 100, 99, 5000});
        record_close(record, false);
        append(lines[i]);
        expect_former(0);
    }
    struct record *record = begun();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    record_close(record, false);
    assert_int_equal(chmod(path(), 0644), 0); /* whoever may write or read it may have made it */
    expect_former(0);
    record_close(begun(), true);
}

static void one_that_is_in_use_is_left_alone(void **unused)
{
    (void)unused;
    struct record *record = begun(), *other = begun();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    record_add(other, &(struct record_holder){2, 200, 99, 5000});
    assert_int_equal(record_former(other)->session, 0);
    record_close(other, true);
    record_close(record, false);
    expect_former(1);
    record_close(begun(), true);
}

/* The machine was started anew, and /run was kept: the session is to be closed, but nobody is left to be fenced. */
static void holders_of_another_boot_are_no_more(void **unused)
{
    static char text[4096];
    const struct record_holder *list;
    (void)unused;
    struct record *record = begun();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    record_close(record, false);
    int fd = open(path(), O_RDWR);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    char *boot = strstr(text, "\nboot ");
    assert_non_null(boot);
    boot[6] = boot[6] == '0' ? '1' : '0';
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
    close(fd);
    record = open_record();
    assert_int_equal(record_former(record)->session, 77);
    assert_int_equal(record_former_holders(record, &list), 0);
    record_close(record, false);
    record_close(begun(), true);
}

/* Locks come and go without end, the file does not grow without end. */
static void it_is_written_anew_when_it_has_grown(void **unused)
{
    struct stat stat_of;
    (void)unused;
    struct record *record = begun();
    record_add(record, &(struct record_holder){1, 100, 99, 5000});
    for (uint64_t key = 2; key < 20000; key++) {
        record_add(record, &(struct record_holder){key, 100, 99, 5000});
        record_remove(record, key);
    }
    assert_int_equal(stat(path(), &stat_of), 0);
    assert_in_range(stat_of.st_size, 100, 64 * 1024);
    record_close(record, false);
    expect_former(1);
    record_close(begun(), true);
}

static int choose_names(void **unused)
{
    (void)unused;
    snprintf(mountpoint, sizeof mountpoint, "/mnt/test record %d", getpid());
    if (geteuid() != 0 && (!mkdtemp(runtime) || setenv("XDG_RUNTIME_DIR", runtime, 1)))
        return -1;
    snprintf(directory, sizeof directory, "%s/pactfs", geteuid() == 0 ? "/run" : runtime);
    return 0;
}

static int remove_names(void **unused)
{
    (void)unused;
    if (geteuid() != 0) {
        rmdir(directory);
        rmdir(runtime);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_process_left_is_found), cmocka_unit_test(holders_outlive_sessions),
        cmocka_unit_test(half_a_line_counts_for_nothing),      cmocka_unit_test(what_is_no_record_is_ignored),
        cmocka_unit_test(one_that_is_in_use_is_left_alone),    cmocka_unit_test(it_is_written_anew_when_it_has_grown),
        cmocka_unit_test(holders_of_another_boot_are_no_more),
    };
    return cmocka_run_group_tests(tests, choose_names, remove_names);
}
