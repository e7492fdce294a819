#include "replica/pactd/compare.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replica/pactd/ensemble.h"
#include "replica/pactd/pipeline.h"

enum compare_verdict compare_judge(size_t members, size_t same, size_t other, size_t unheard)
{
    size_t quorum = members / 2 + 1;
    if (other == 0)
        return COMPARE_WAIT;
    if (1 + same >= quorum)
        return COMPARE_OTHERS;
    if (other >= quorum)
        return COMPARE_SELF;
    return unheard ? COMPARE_WAIT : COMPARE_ALL;
}

void compare_applied(struct replica *replica)
{
    struct compare_marks *marks = &replica->marks;
    size_t at = marks->next++ & (COMPARE_MARKS - 1);
    marks->ring[at].zxid = state_zxid(replica->state);
    marks->ring[at].digest = state_digest(replica->state);
}

/* False: it was not applied here lately. */
static bool digest_at(const struct compare_marks *marks, uint64_t zxid, uint64_t *digest)
{
    for (size_t back = 1; back <= COMPARE_MARKS && back <= marks->next; back++) {
        size_t at = (marks->next - back) & (COMPARE_MARKS - 1);
        *digest = marks->ring[at].digest;
        if (marks->ring[at].zxid <= zxid)
            return marks->ring[at].zxid == zxid;
    }
    return false;
}

void compare_tell(struct replica *replica)
{
    struct message_member members[LIMIT_REPLICAS];
    struct message message;
    struct buffer encoded = {0};
    status_fill(replica, members, &message);
    int code = encode_message(&message, &encoded);
    assert(code == ERR_OK);
    peers_send(replica, zab_leader(replica->zab),
               &(struct peer_message){.kind = PEER_STATUS, .chunk = {encoded.at, encoded.len}});
    buffer_free(&encoded);
}

static void stop_member(struct replica *replica, const struct member *member, const char *why)
{
    char text[200];
    snprintf(text, sizeof text, "the state of replica %u is not that of replica %u: %s", member->id, replica->id, why);
    report(REPORT_ERROR, "%s", text);
    peers_send(replica, member->id,
               &(struct peer_message){.kind = PEER_REFUSED, .refused = {ERR_CORRUPT, {text, strlen(text)}}});
}

static void carry_out(struct replica *replica, enum compare_verdict verdict)
{
    for (size_t i = 0; i < replica->member_count; i++) {
        const struct member *member = &replica->members[i];
        if (verdict == COMPARE_ALL && member->greeted)
            stop_member(replica, member, "there is no majority for either, all stop");
        else if (verdict == COMPARE_OTHERS && member->greeted && member->compared == COMPARED_OTHER)
            stop_member(replica, member, "the majority is with the latter");
    }
    if (verdict != COMPARE_OTHERS)
        replica_give_up(replica, ERR_CORRUPT, "this replica's state is not that of the others");
}

/* From which zxid on somebody's state is another one. */
static uint64_t first_difference(const struct replica *replica)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < replica->member_count; i++) {
        const struct member *member = &replica->members[i];
        if (member->greeted && member->compared == COMPARED_OTHER && member->compared_zxid < first)
            first = member->compared_zxid;
    }
    return first;
}

/* That a member was the same before the difference says nothing. */
static enum compare_verdict judge(const struct replica *replica)
{
    size_t same = 0, other = 0, unheard = 0;
    uint64_t first = first_difference(replica);
    for (size_t i = 0; i < replica->member_count; i++) {
        const struct member *member = &replica->members[i];
        bool heard = member->greeted && member->compared != COMPARED_NOT && member->compared_zxid >= first;
        same += heard && member->compared == COMPARED_SAME;
        other += heard && member->compared == COMPARED_OTHER;
        unheard += member->greeted && !heard;
    }
    return compare_judge(1 + replica->member_count, same, other, unheard);
}

void compare_told(struct replica *replica, struct member *member, const struct message_status *status)
{
    uint64_t digest;
    if (!digest_at(&replica->marks, status->zxid, &digest))
        return;
    enum compared now = digest == status->digest ? COMPARED_SAME : COMPARED_OTHER;
    if (now == COMPARED_SAME || member->compared != COMPARED_OTHER)
        member->compared_zxid = status->zxid;
    member->compared = now;
    enum compare_verdict verdict = judge(replica);
    if (verdict != COMPARE_WAIT)
        carry_out(replica, verdict);
}
