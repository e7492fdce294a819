/* meshes.h - up to seven meshes in one process, and a loop in one thread that drives them all; some may run in
 * processes of their own, to be killed. */
#ifndef PACT_TEST_MESHES_H
#define PACT_TEST_MESHES_H

#include "replica/net/mesh.h"
#include "tests/support/loop.h"

struct meshes_end { /* what one replica has seen of one peer */
    unsigned ups, downs, writables;
    int down_code;
    uint64_t messages, bytes;
    uint64_t disorder; /* messages that did not carry the number after the last one's */
    uint64_t next;     /* number of the next message expected */
};

struct meshes_node {
    uint32_t id;
    struct mesh *mesh; /* NULL: not running */
    char address[32];
    struct link_keys keys;
    struct meshes_end ends[LIMIT_REPLICAS + 1]; /* by the peer's id */
    unsigned refused;
    uint32_t refused_peer;
    int refused_code;
    bool echo; /* answers each message whose number has MESHES_ECHO with the same */
    int pid;   /* of its process; 0: this one */
};

#define MESHES_ECHO (1ull << 63)

extern struct meshes_node meshes[LIMIT_REPLICAS + 1]; /* by id, from 1 */
extern unsigned meshes_count;

/* Chooses addresses for replicas 1 to `count`; meshes_start opens all of them, too. */
void meshes_prepare(unsigned count, const struct link_keys *keys);
void meshes_start(unsigned count, const struct link_keys *keys);
void meshes_open(uint32_t id);
void meshes_close(uint32_t id); /* says goodbye */
void meshes_stop(void);         /* all that run, processes too */

/* Runs a replica in a process of its own, without keys and echoing; returns once its mesh is open. The program's main
 * must begin with meshes_main. */
void meshes_spawn(uint32_t id);
void meshes_kill(uint32_t id); /* -9 */
void meshes_main(int argc, char **argv);

bool meshes_all_up(void);               /* of those in this process */
bool meshes_up(uint32_t a, uint32_t b); /* both ends */
/* Messages that came out of order at any of them, and links that went down. */
uint64_t meshes_disorder(void);
unsigned meshes_downs(void);
/* A message of `len` ≥ 8 bytes, numbered from 0 since the link is up. */
int meshes_say(uint32_t from, uint32_t to, uint64_t number, size_t len);
void meshes_turn(void);
void meshes_turn_for(uint64_t ms);

#define UNTIL_MESH(condition)                                                                                          \
    do {                                                                                                               \
        const uint64_t end_ms_ = loop_now_ms() + LOOP_PATIENCE_MS;                                                     \
        bool holds_;                                                                                                   \
        while (!(holds_ = (condition)) && loop_now_ms() < end_ms_)                                                     \
            meshes_turn();                                                                                             \
        assert_true(holds_);                                                                                           \
    } while (0)

#endif
