/* learner_rig.h - a learner spoken to word by word: what happens to it, and what is expected of it. Asserts with
 * cmocka. */
#ifndef PACT_TEST_LEARNER_RIG_H
#define PACT_TEST_LEARNER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/client/learner.h"

enum { TIMEOUT_MS = 8000, OP_MS = 6000, SESSION = 77 };

struct rig {
    struct learner *learner;
    struct learner_output output;
    size_t next; /* of the output's actions, to be looked at */
    uint64_t now_ms;
    uint64_t commit;
    uint8_t random; /* of the next nonce */
};

struct answer {
    unsigned count;
    int code;
    uint64_t id;
};

/* A client_done; arg is a struct answer. */
void rig_note(void *arg, const struct result *result);

struct rig rig_new(bool observer);
struct rig rig_attached(void); /* connected, with a heartbeat under way */
void rig_free(struct rig *rig);

/* --- what it asks for, in order; completions are carried out on the way --- */

const struct learner_action *rig_next(struct rig *rig); /* NULL: nothing more */
const struct message *expect_send(struct rig *rig, enum message_kind kind);
void expect_submit(struct rig *rig, uint64_t number, uint64_t awaited, const char *request);
void expect_state(struct rig *rig, enum client_state state, uint64_t session);
void expect_drop(struct rig *rig, int code);
void expect_nothing(struct rig *rig);

/* --- what happens to it --- */

const struct message *rig_up(struct rig *rig); /* with a nonce of its own; gives the ATTACH */
void rig_down(struct rig *rig);
enum learner_verdict rig_hear(struct rig *rig, struct message message);
struct message rig_good_answer(const struct rig *rig); /* an ATTACHED */
void rig_attach_again(struct rig *rig);
void rig_acknowledge(struct rig *rig, uint64_t sent_ms);
/* Time passes in steps of a healthy client thread; heartbeats go out and nobody answers. */
void rig_pass(struct rig *rig, uint64_t ms);
/* The same with each heartbeat acknowledged at once. */
void rig_pass_well(struct rig *rig, uint64_t ms);
void rig_stall(struct rig *rig, uint64_t ms); /* the process stands still */
int rig_submit(struct rig *rig, const char *request, struct answer *answer);
void rig_applied(struct rig *rig, uint64_t session, uint64_t number, bool none);
int rig_state_of(const struct rig *rig);

#endif
