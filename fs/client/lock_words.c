#include "fs/client/lock_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void describe_time(int64_t ns, char *to, size_t cap)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    size_t len = strftime(to, cap, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(to + len, cap - len, ".%03dZ", (int)(ns % 1000000000 / 1000000));
}

void lock_describe(const struct state *state, const struct lock_info *info, struct lock_words *words)
{
    struct session_info session = {0};
    state_session(state, info->session, &session);
    words->kind = info->space == LOCK_FLOCK ? "flock" : "posix";
    words->mode = info->exclusive ? "exclusive" : "shared";
    words->state = info->waiting ? "waits" : "holds";
    escape_word(session.host, words->host, sizeof words->host);
    escape_word(info->command, words->command, sizeof words->command);
    describe_time(info->since_ns, words->since, sizeof words->since);
    if (info->end >= INT64_MAX) /* the kernel's last byte */
        snprintf(words->range, sizeof words->range, "%" PRIu64 "-end", info->start);
    else
        snprintf(words->range, sizeof words->range, "%" PRIu64 "-%" PRIu64, info->start, info->end);
}
