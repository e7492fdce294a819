/* log.h - one line an event: to stderr in the foreground, to syslog in the background. */
#ifndef PACT_LOG_H
#define PACT_LOG_H

#include <stdbool.h>

/* From now on to syslog. */
void log_to_syslog(const char *name);
/* 0, 1 and 2 become /dev/null, in this thread's table of descriptors: who started us, and reads what we say until the
 * end, is not to wait for ours. False: it could not be. */
bool log_leave_standard(void);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
