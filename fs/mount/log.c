#include "fs/mount/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static _Atomic bool syslogging;

void log_to_syslog(const char *name)
{
    openlog(name, LOG_PID, LOG_DAEMON);
    syslogging = true;
}

void log_line(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (syslogging)
        syslog(LOG_WARNING, "%s", line);
    else
        fprintf(stderr, "pactfs: %s\n", line);
}
