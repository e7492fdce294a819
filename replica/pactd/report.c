#include "replica/pactd/report.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static atomic_int shown = REPORT_INFO;

bool report_parse_level(const char *name, enum report_level *level)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *level = (enum report_level)i;
            return true;
        }
    return false;
}

void report_set_level(enum report_level level)
{
    atomic_store(&shown, (int)level);
}

/* What a client chose (a host name …) must not forge lines. */
static void flatten(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
}

/* Written with one call, so that lines of several threads do not mix. */
void report(enum report_level level, const char *format, ...)
{
    if ((int)level > atomic_load(&shown))
        return;
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char line[1024];
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03ldZ %s ", now.tv_nsec / 1000000, names[level]);
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + len, sizeof line - len - 1, format, args);
    va_end(args);
    len += text < 0 ? 0 : (size_t)text;
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    flatten(line, len);
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* nowhere else to say it */
}
