/* Key files: what keygen makes, who may read it, and what is said of a file that is not a key. */
#include "replica/net/link.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64], replica_path[96], mount_path[96], other_path[96], text[512];
static struct link_keys keys;

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/pact-test-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(replica_path, sizeof replica_path, "%s/replica.key", directory);
    snprintf(mount_path, sizeof mount_path, "%s/mount.key", directory);
    snprintf(other_path, sizeof other_path, "%s/other", directory);
    text[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(replica_path);
    unlink(mount_path);
    unlink(other_path);
    return rmdir(directory);
}

static int read_keys(const char *path)
{
    memset(&keys, 0xaa, sizeof keys);
    return keys_read(path, &keys, text, sizeof text);
}

static void write_other(const char *content, size_t len)
{
    const int fd = open(other_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
}

static void both_files_fit_each_other_and_no_others(void **state)
{
    (void)state;
    struct link_keys replica, first;
    struct stat stat_of;
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_OK);
    assert_int_equal(stat(replica_path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode, S_IFREG | 0600);
    assert_int_equal(stat(mount_path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode, S_IFREG | 0600);

    assert_int_equal(read_keys(replica_path), ERR_OK);
    replica = keys;
    assert_true(replica.present && replica.replica);
    assert_int_equal(read_keys(mount_path), ERR_OK);
    assert_true(keys.present && !keys.replica);
    assert_memory_equal(keys.psk, replica.psk, LINK_KEY_BYTES);
    assert_memory_equal(keys.public_key, replica.public_key, LINK_KEY_BYTES);
    static const uint8_t none[LINK_KEY_BYTES];
    assert_memory_equal(keys.secret_key, none, LINK_KEY_BYTES); /* a mount cannot pose as a replica */
    first = keys;

    assert_int_equal(unlink(replica_path) + unlink(mount_path), 0);
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_OK);
    assert_int_equal(read_keys(mount_path), ERR_OK);
    assert_memory_not_equal(keys.psk, first.psk, LINK_KEY_BYTES);
    assert_memory_not_equal(keys.public_key, first.public_key, LINK_KEY_BYTES);
}

static void keys_are_never_replaced(void **state)
{
    (void)state;
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_OK);
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_EXISTS);
    assert_non_null(strstr(text, replica_path));
    assert_int_equal(unlink(replica_path), 0);
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_EXISTS);
    assert_non_null(strstr(text, mount_path));
    assert_int_not_equal(access(replica_path, F_OK), 0); /* both or neither */
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0666, 0601};
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_OK);
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        assert_int_equal(chmod(mount_path, open_modes[i]), 0);
        assert_int_equal(read_keys(mount_path), ERR_ACCESS);
        assert_non_null(strstr(text, mount_path));
    }
    assert_int_equal(chmod(mount_path, 0400), 0);
    assert_int_equal(read_keys(mount_path), ERR_OK);
}

static void what_is_not_a_key_is_said_to_be_none(void **state)
{
    (void)state;
    char whole[256];
    assert_int_equal(keys_generate(directory, text, sizeof text), ERR_OK);
    const char *const paths[] = {replica_path, mount_path};
    for (size_t p = 0; p < 2; p++) {
        const int fd = open(paths[p], O_RDONLY);
        const size_t len = (size_t)read(fd, whole, sizeof whole - 1);
        close(fd);
        write_other(whole, len);
        assert_int_equal(read_keys(other_path), ERR_OK);
        for (size_t cut = 0; cut < len; cut++) { /* a copy that broke off */
            write_other(whole, cut);
            assert_int_equal(read_keys(other_path), ERR_BAD_FORMAT);
            assert_non_null(strstr(text, other_path));
        }
        for (size_t at = 0; at < len; at++) { /* a letter that is none of hex, or not of the title */
            const char before = whole[at];
            whole[at] = 'x';
            write_other(whole, len);
            assert_int_equal(read_keys(other_path), ERR_BAD_FORMAT);
            whole[at] = before;
        }
        whole[len] = '\n';
        write_other(whole, len + 1);
        assert_int_equal(read_keys(other_path), ERR_BAD_FORMAT);
    }
    memset(whole, 'a', sizeof whole);
    write_other(whole, sizeof whole);
    assert_int_equal(read_keys(other_path), ERR_BAD_FORMAT);
    assert_false(keys.present);
}

static void what_cannot_be_read_says_why(void **state)
{
    (void)state;
    assert_int_equal(read_keys(other_path), ERR_NO_NODE);
    assert_non_null(strstr(text, other_path));
    assert_non_null(strstr(text, "No such file"));
    assert_int_equal(read_keys(directory), ERR_BAD_FORMAT);
    assert_int_equal(read_keys("/dev/null"), ERR_BAD_FORMAT);
    assert_int_equal(keys_generate(other_path, text, sizeof text), ERR_NO_NODE);
    write_other("", 0);
    assert_int_equal(keys_generate(other_path, text, sizeof text), ERR_NOT_DIR);
    assert_non_null(strstr(text, "Not a directory"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(both_files_fit_each_other_and_no_others),
        CASE(keys_are_never_replaced),
        CASE(a_key_that_others_can_read_is_refused),
        CASE(what_is_not_a_key_is_said_to_be_none),
        CASE(what_cannot_be_read_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
