/* report.h - one line an event on stderr: `2026-11-22T10:11:12.345Z level text`. Any thread. */
#ifndef PACT_REPORT_H
#define PACT_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum report_level { REPORT_ERROR, REPORT_WARN, REPORT_INFO, REPORT_DEBUG };

/* "error", "warn", "info" or "debug"; false: none of them. */
bool report_parse_level(const char *name, enum report_level *level);
/* The process's level; lines above it are not written. REPORT_INFO at first. */
void report_set_level(enum report_level level);
__attribute__((format(printf, 2, 3))) void report(enum report_level level, const char *format, ...);

#endif
