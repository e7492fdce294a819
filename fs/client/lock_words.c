#include "fs/client/lock_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void words_escape(const char *text, char *to, size_t cap)
{
    line_escape(*text ? text : "-", to, cap, ' ');
}

void line_escape(const char *text, char *to, size_t cap, char last)
{
    size_t len = 0;
    for (; *text && len + ESCAPED < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= (unsigned char)last || c == '\\' || c == 127)
            len += (size_t)snprintf(to + len, cap - len, "\\%03o", c);
        else
            to[len++] = (char)c;
    }
    to[len] = '\0';
}

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
    words_escape(session.host, words->host, sizeof words->host);
    words_escape(info->command, words->command, sizeof words->command);
    describe_time(info->since_ns, words->since, sizeof words->since);
    if (info->end >= INT64_MAX) /* the kernel's last byte */
        snprintf(words->range, sizeof words->range, "%" PRIu64 "-end", info->start);
    else
        snprintf(words->range, sizeof words->range, "%" PRIu64 "-%" PRIu64, info->start, info->end);
}
