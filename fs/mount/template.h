/* template.h - names with tokens, for a moment after the create.
 *
 * `mkdir -m 700 'q/{seq}'` and `install -d` look the name up that they gave: so the creating thread group finds its
 * node under it. The same thread group may also create by that name again, and a create looks the name up as well:
 * what the caller is about is read from /proc/TID/syscall. */
#ifndef PACT_TEMPLATE_H
#define PACT_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct templates;

struct templates *templates_new(void);
void templates_free(struct templates *templates);

/* Remembers that thread `tid` made a znode by this name. */
void templates_add(struct templates *templates, uint64_t parent, const char *name, pid_t tid, uint64_t id);
/* The znode that the thread group of `tid` made by this name; 0 if none, or if it is about to make another. */
uint64_t templates_find(struct templates *templates, uint64_t parent, const char *name, pid_t tid);

#endif
