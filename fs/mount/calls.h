/* calls.h - how often the kernel has asked this mount for what. What it answers from its caches it does not ask. */
#ifndef PACT_CALLS_H
#define PACT_CALLS_H

#include <stddef.h>

struct calls;

struct calls *calls_new(void); /* NULL: no memory */
void calls_free(struct calls *calls);
/* Counts a request as it was read from the kernel. From any thread. */
void calls_count(struct calls *calls, const void *request, size_t len);
/* A line for each kind that was asked: its name and the number. The length, below cap; NUL-terminated. */
size_t calls_text(const struct calls *calls, char *to, size_t cap);

#endif
