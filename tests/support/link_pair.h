/* link_pair.h - a client's and a replica's end of one link with a relay between them, and what each has seen. */
#ifndef PACT_TEST_LINK_PAIR_H
#define PACT_TEST_LINK_PAIR_H

#include "tests/support/relay.h"

struct pair_side {
    struct link *link;
    unsigned ups, downs, messages, urgents, writables; /* urgents: messages that begin with 'u' */
    int code;                                          /* of the last down */
    bool closes;                                       /* at each message */
    uint64_t down_ms;                                  /* when it was */
    uint8_t last[64];                                  /* the start of the last message */
    size_t last_len;                                   /* bytes, of all of it */
};

struct link_pair {
    struct relay *relay;
    struct pair_side client, replica;
    struct link_keys no_keys, mount_keys, replica_keys, other_mount_keys;
};

extern struct link_pair pair;

/* cmocka's fixtures: keys for all tests; a relay, with nothing at its ends, for each. */
int pair_setup_keys(void **state);
int pair_setup(void **state);
int pair_teardown(void **state);

void pair_make_side(struct pair_side *side, enum link_side which, const struct link_keys *keys);
void pair_open_with(const struct link_keys *client_keys, const struct link_keys *replica_keys);
void pair_open(void); /* with the right keys; returns when both are up */
bool pair_up(void *unused);
void pair_wait(uint64_t ms);
uint64_t pair_frames(void); /* carried so far */

int pair_say(struct pair_side *side, const char *text);
int pair_say_urgent(struct pair_side *side, const char *text);
void pair_assert_heard(const struct pair_side *side, const char *text);
/* Both are up, nothing has ever happened to the link, and it carries messages. */
void pair_assert_undisturbed(void);

#endif
