#include "fs/mount/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

static _Atomic bool syslogging;

void log_to_syslog(const char *name)
{
    openlog(name, LOG_PID, LOG_DAEMON);
    syslogging = true;
}

bool log_leave_standard(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int standard = 0; standard <= 2 && null >= 0; standard++)
        dup2(null, standard);
    if (null > 2)
        close(null);
    return null >= 0;
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
