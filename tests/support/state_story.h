/* state_story.h - short words for tests that tell a story about a state: one entry after the other, each checked. */
#ifndef PACT_STATE_STORY_H
#define PACT_STATE_STORY_H

#include "replica/state/state.h"

struct story {
    struct state *state;
    uint64_t session; /* who asks; 0: the replicas themselves */
    int64_t now_ns;   /* the stamp of the next entries */
    struct result result;
    struct changes changes; /* of the last entry */
};

struct story *story_new(void);
void story_free(struct story *story);

/* Applies one entry, numbered as the session has it, and runs state_check. The result's code. */
int story_apply(struct story *story, struct request request);

void story_version(struct story *story, uint32_t version); /* raises the state's */

/* Opens a session and lets it ask from now on. Its id. */
uint64_t story_session(struct story *story, uint8_t nonce);
int story_close(struct story *story, uint64_t session); /* by the replicas: expired */

/* Paths are from the root, "" is the root itself. */
struct where story_at(const char *path);
int story_make(struct story *story, const char *path, enum node_kind kind); /* symlinks lead to "target" */
int story_make_as(struct story *story, const char *path, enum node_kind kind, struct lifetime lifetime);
int story_write(struct story *story, const char *path, const char *text); /* the data is the text then */
int story_delete(struct story *story, const char *path);
int story_rename(struct story *story, const char *from, const char *to);
int story_quota(struct story *story, const char *path, uint64_t max_bytes, uint64_t max_nodes);

/* The stat of what is at a path; id 0 if nothing is. */
struct node_stat story_stat(const struct story *story, const char *path);
/* The names of a directory's children, in order, with spaces between; in a static buffer. */
const char *story_list(const struct story *story, const char *path);
const char *story_text(const struct story *story, const char *path); /* the data, in a static buffer */
/* The last entry's changes as words: "create a, rename b > d/c, lock 5 of 1 …"; in a static buffer. */
const char *story_changes(const struct story *story);

#endif
