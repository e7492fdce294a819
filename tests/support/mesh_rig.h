/* mesh_rig.h - up to seven meshes in one process, and a loop in one thread that drives them all. */
#ifndef PACT_TEST_MESH_RIG_H
#define PACT_TEST_MESH_RIG_H

#include "replica/net/mesh.h"
#include "tests/support/loop.h"

struct rig_end { /* what one replica has seen of one peer */
    unsigned ups, downs, writables;
    int down_code;
    uint64_t messages, bytes;
    uint64_t disorder; /* messages that did not carry the number after the last one's */
    uint64_t next;     /* number of the next message expected */
};

struct rig_node {
    uint32_t id;
    struct mesh *mesh; /* NULL: not running */
    char address[32];
    struct link_keys keys;
    struct rig_end ends[LIMIT_REPLICAS + 1]; /* by the peer's id */
    unsigned refused;
    uint32_t refused_peer;
    int refused_code;
    bool echo; /* answers each message with the same */
};

extern struct rig_node rig[LIMIT_REPLICAS + 1]; /* by id, from 1 */
extern unsigned rig_count;

void rig_start(unsigned count, const struct link_keys *keys);
void rig_open(uint32_t id);  /* again, after rig_close */
void rig_close(uint32_t id); /* says goodbye */
void rig_stop(void);         /* all that run */
bool rig_all_up(void);
bool rig_up(uint32_t a, uint32_t b); /* both ends */
uint16_t rig_port(uint32_t id);
/* A message of `len` ≥ 8 bytes, numbered from 0 since the link is up. */
int rig_say(uint32_t from, uint32_t to, uint64_t number, size_t len);
void rig_turn(void);
void rig_turn_for(uint64_t ms);

#define UNTIL_MESH(condition)                                                                                          \
    do {                                                                                                               \
        const uint64_t end_ms_ = loop_now_ms() + LOOP_PATIENCE_MS;                                                     \
        bool holds_;                                                                                                   \
        while (!(holds_ = (condition)) && loop_now_ms() < end_ms_)                                                     \
            rig_turn();                                                                                                \
        assert_true(holds_);                                                                                           \
    } while (0)

#endif
