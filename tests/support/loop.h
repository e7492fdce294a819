/* loop.h - servers and clients on ports and dials, and a loop in one thread that drives them all. */
#ifndef PACT_TEST_LOOP_H
#define PACT_TEST_LOOP_H

#include "replica/net/port.h"

enum { LOOP_PATIENCE_MS = 20000, LOOP_MOST = 8 };

struct loop_server { /* answers each message with the same */
    struct port *port;
    struct peer *peer; /* the one that came up last */
    unsigned ups, downs, refused, messages;
    int down_code, refused_code;
    size_t bytes; /* received */
};

struct loop_client {
    struct dial *dial;
    unsigned ups, downs, messages;
    int down_code;
    size_t last_len;
    char last[64]; /* the start of the last message */
};

extern const struct link_keys loop_no_keys;

uint64_t loop_now_us(void); /* CLOCK_MONOTONIC */
uint64_t loop_now_ms(void);

void loop_serve_with(struct loop_server *server, const char *const *addresses, size_t count,
                     const struct link_keys *keys);
void loop_serve(struct loop_server *server, const char *address);
/* "127.0.0.1:PORT" of a server, in a buffer that the next call uses again. */
const char *loop_address(const struct loop_server *server);
void loop_dial(struct loop_client *client, const char *address, const struct link_keys *keys);
void loop_say(struct loop_client *client, const char *text);

/* What the loop drives: these two (NULL: none), and what is put into the lists besides. */
extern struct loop_server *loop_servers[LOOP_MOST];
extern struct loop_client *loop_clients[LOOP_MOST];
void loop_watch(struct loop_server *server, struct loop_client *client);
void loop_turn(void);
void loop_turn_for(uint64_t ms);
int loop_wait_ms(uint64_t next_ms); /* for poll: until then, at most 100 ms */

/* Turns until the condition holds; fails the test if that takes too long. */
#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        const uint64_t end_ms_ = loop_now_ms() + LOOP_PATIENCE_MS;                                                     \
        bool holds_;                                                                                                   \
        while (!(holds_ = (condition)) && loop_now_ms() < end_ms_)                                                     \
            loop_turn();                                                                                               \
        assert_true(holds_);                                                                                           \
    } while (0)

#endif
