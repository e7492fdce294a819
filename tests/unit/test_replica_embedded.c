/* A replica inside the process: over inproc for this one, over TCP with a key for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/client/client.h"
#include "replica/pactd/embedded.h"
#include "replica/pactd/report.h"

struct place {
    char directory[64];
    struct embedded *embedded;
    char address[128];
    struct link_keys keys;
};

static void on_failed(void *arg, int code)
{
    (void)arg;
    fprintf(stderr, "the embedded replica ended: %d\n", code);
    abort();
}

static int start(struct place *place)
{
    char text[256] = "";
    return embedded_start(place->directory, on_failed, NULL, &place->embedded, place->address, sizeof place->address,
                          &place->keys, text, sizeof text);
}

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/pact-embedded-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    report_set_level(REPORT_ERROR);
    assert_int_equal(start(place), ERR_OK);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    if (place->embedded)
        embedded_stop(place->embedded);
    snprintf(command, sizeof command, "rm -rf '%s'", place->directory);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static struct client *connect_to(const char *address, const struct link_keys *keys, int expected)
{
    char text[256];
    struct client *client;
    struct client_options options = {.servers = address, .keys = *keys, .op_timeout_ms = 5000};
    assert_int_equal(client_open(&options, &client, text, sizeof text), ERR_OK);
    assert_int_equal(client_wait_ready(client, 10000), expected);
    return client;
}

static int create(struct client *client, const char *path)
{
    struct result result;
    struct request request = {.kind = OP_CREATE,
                              .create = {.at = {ROOT_ID, {path, strlen(path)}}, .kind = KIND_DIRECTORY, .mode = 0755}};
    return client_call(client, &request, &result);
}

/* What one writes over inproc the other, who found the replica by its directory, reads over TCP; and the other way. */
static void it_serves_its_process_and_others(void **state)
{
    struct place *place = *state;
    char found[128], text[256];
    struct link_keys keys;
    assert_memory_equal(place->address, "inproc:", 7);
    assert_int_equal(embedded_find(place->directory, found, sizeof found, &keys, text, sizeof text), ERR_OK);
    assert_memory_equal(found, "127.0.0.1:", 10);
    assert_true(keys.present);
    assert_false(keys.replica); /* who finds it cannot pose as it */
    struct client *inside = connect_to(place->address, &place->keys, ERR_OK);
    struct client *outside = connect_to(found, &keys, ERR_OK);
    assert_int_equal(create(inside, "a"), ERR_OK);
    assert_int_equal(create(outside, "a"), ERR_EXISTS);
    assert_int_equal(create(outside, "b"), ERR_OK);
    assert_int_equal(create(inside, "b"), ERR_EXISTS);
    client_close(inside);
    client_close(outside);
}

/* Without the key, or with another one, nobody gets in over TCP. */
static void others_need_the_key(void **state)
{
    struct place *place = *state;
    char found[128], text[256], other[80];
    struct link_keys keys, none = {0}, wrong;
    assert_int_equal(embedded_find(place->directory, found, sizeof found, &keys, text, sizeof text), ERR_OK);
    snprintf(other, sizeof other, "%s/other", place->directory);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(keys_generate(other, text, sizeof text), ERR_OK);
    strcat(other, "/mount.key");
    assert_int_equal(keys_read(other, &wrong, text, sizeof text), ERR_OK);
    client_close(connect_to(found, &wrong, ERR_BAD_KEY));
    client_close(connect_to(found, &none, ERR_BAD_KEY));
    struct stat stat_;
    snprintf(other, sizeof other, "%s/mount.key", place->directory);
    assert_int_equal(stat(other, &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0600);
}

/* A second one on the directory is refused; stopped, it is not found any more; started again, it has what was
 * written. */
static void a_directory_has_one_and_keeps_its_content(void **state)
{
    struct place *place = *state;
    struct place second = {0};
    char found[128], text[256] = "";
    struct link_keys keys;
    strcpy(second.directory, place->directory);
    assert_int_equal(start(&second), ERR_BUSY);
    struct client *client = connect_to(place->address, &place->keys, ERR_OK);
    assert_int_equal(create(client, "kept"), ERR_OK);
    client_close(client);
    embedded_stop(place->embedded);
    place->embedded = NULL;
    assert_int_equal(embedded_find(place->directory, found, sizeof found, &keys, text, sizeof text), ERR_NO_NODE);
    assert_non_null(strstr(text, place->directory));
    assert_int_equal(start(place), ERR_OK);
    client = connect_to(place->address, &place->keys, ERR_OK);
    assert_int_equal(create(client, "kept"), ERR_EXISTS);
    client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_serves_its_process_and_others, setup, teardown),
        cmocka_unit_test_setup_teardown(others_need_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_has_one_and_keeps_its_content, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
