/* log.h - one line an event: to stderr in the foreground, to syslog in the background. */
#ifndef PACT_LOG_H
#define PACT_LOG_H

/* From now on to syslog. */
void log_to_syslog(const char *name);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
