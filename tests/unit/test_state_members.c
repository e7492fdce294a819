/* State version 2 and what it brought, the table of members: which data directory speaks for which replica. A state of
 * version 1 behaves, counts and looks, to the byte, as it does in code that knows nothing else; the figures for that
 * were taken from such code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_story.h"

static int begin(void **story)
{
    *story = story_new();
    return 0;
}

static int end(void **story)
{
    story_free(*story);
    return 0;
}

static int set_version(struct story *story, uint32_t version)
{
    return story_apply(story, (struct request){.kind = OP_SET_STATE_VERSION, .state_version = version});
}

static int set_member(struct story *story, uint32_t id, uint8_t incarnation)
{
    struct request request = {.kind = OP_SET_MEMBER, .set_member = {id, {incarnation}}};
    int code = story_apply(story, request);
    assert_int_equal(story->changes.count, 0);
    assert_int_equal(story->result.id, 0);
    return code;
}

/* All members as text: "id=incarnation@zxid …"; in a static buffer. */
static const char *members(const struct story *story)
{
    static char text[256];
    uint32_t id = 0;
    text[0] = '\0';
    for (struct member_info member; state_next_member(story->state, &id, &member);) {
        uint8_t incarnation[INCARNATION_BYTES];
        assert_int_equal(member.id, id);
        assert_true(state_member(story->state, id, incarnation));
        assert_memory_equal(incarnation, member.incarnation, sizeof incarnation);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u=%u@%d", text[0] == '\0' ? "" : " ", id,
                 incarnation[0], (int)member.zxid);
    }
    return text;
}

static void test_the_version_only_rises(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(state_version(story->state), STATE_VERSION_MIN);
    assert_int_equal(set_version(story, 1), ERR_OK);
    assert_int_equal(set_version(story, STATE_VERSION + 1), ERR_BAD_FORMAT);
    assert_int_equal(set_version(story, 0), ERR_INVALID);
    assert_int_equal(state_version(story->state), 1);
    assert_int_equal(set_version(story, STATE_VERSION), ERR_OK);
    assert_int_equal(set_version(story, 1), ERR_INVALID);
    assert_int_equal(set_version(story, STATE_VERSION), ERR_OK);
    assert_int_equal(state_version(story->state), STATE_VERSION);
}

/* Refused as code of version 1 refuses an operation it does not know: the same code, the same digest after it. */
static void test_version_1_has_no_members(void **arg)
{
    struct story *story = *arg;
    uint8_t incarnation[INCARNATION_BYTES];
    assert_int_equal(set_member(story, 1, 7), ERR_INVALID);
    assert_string_equal(members(story), "");
    assert_false(state_member(story->state, 1, incarnation));
    story_session(story, 1);
    assert_int_equal(set_member(story, 1, 7), ERR_INVALID); /* not NOT_PERMITTED: this result is kept, and counts */
    assert_int_equal(state_version(story->state), 1);
}

static void test_members_are_set_and_replaced(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(set_version(story, STATE_VERSION_MEMBERS), ERR_OK);
    assert_int_equal(set_member(story, 3, 30), ERR_OK);
    assert_int_equal(set_member(story, 1, 10), ERR_OK);
    assert_int_equal(set_member(story, LIMIT_REPLICA_ID, 50), ERR_OK);
    assert_int_equal(set_member(story, 2, 20), ERR_OK);
    assert_string_equal(members(story), "1=10@3 2=20@5 3=30@2 255=50@4");
    assert_int_equal(set_member(story, 3, 30), ERR_OK); /* as it is already */
    assert_int_equal(set_member(story, 2, 21), ERR_OK); /* its disk was lost */
    assert_string_equal(members(story), "1=10@3 2=21@7 3=30@2 255=50@4");
}

static void test_what_is_no_member(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(set_version(story, STATE_VERSION_MEMBERS), ERR_OK);
    assert_int_equal(set_member(story, 0, 7), ERR_INVALID);
    assert_int_equal(set_member(story, LIMIT_REPLICA_ID + 1, 7), ERR_INVALID);
    assert_int_equal(set_member(story, 1, 0), ERR_INVALID); /* the incarnation that nothing has */
    story_session(story, 1);
    assert_int_equal(set_member(story, 1, 7), ERR_NOT_PERMITTED);
    assert_string_equal(members(story), "");
}

static void test_members_are_limited(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(set_version(story, STATE_VERSION_MEMBERS), ERR_OK);
    for (uint32_t id = 1; id <= LIMIT_REPLICAS; id++)
        assert_int_equal(set_member(story, 2 * id, 7), ERR_OK);
    assert_int_equal(set_member(story, 1, 7), ERR_TOO_MANY);
    assert_int_equal(set_member(story, 100, 7), ERR_TOO_MANY);
    assert_int_equal(set_member(story, 2 * LIMIT_REPLICAS, 8), ERR_OK);
    assert_string_equal(members(story), "2=7@2 4=7@3 6=7@4 8=7@5 10=7@6 12=7@7 14=8@11");
}

/* Two replicas that disagree about a member must notice. */
static void test_members_are_in_the_digest(void **arg)
{
    struct story *story = *arg;
    uint64_t digests[5];
    assert_int_equal(set_version(story, STATE_VERSION_MEMBERS), ERR_OK);
    digests[0] = state_digest(story->state);
    for (uint8_t i = 1; i < 5; i++) {
        struct story *other = story_new();
        assert_int_equal(set_version(other, STATE_VERSION_MEMBERS), ERR_OK);
        assert_int_equal(set_member(other, 1 + i / 3, 1 + i % 3), ERR_OK); /* another id, another incarnation */
        digests[i] = state_digest(other->state);
        assert_true(digests[i] == state_digest_recompute(other->state));
        for (size_t j = 0; j < i; j++)
            assert_true(digests[i] != digests[j]);
        story_free(other);
    }
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_the_version_only_rises),       STORY(test_version_1_has_no_members),
        STORY(test_members_are_set_and_replaced), STORY(test_what_is_no_member),
        STORY(test_members_are_limited),          STORY(test_members_are_in_the_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
