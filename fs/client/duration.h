/* duration.h - spans of time as people write them: "500ms", "30s", "5m", "2h", "7d"; a bare number is seconds. */
#ifndef PACT_DURATION_H
#define PACT_DURATION_H

#include <stddef.h>
#include <stdint.h>

/* Reads all of text (len bytes, no terminator needed). ERR_OK and *ms above 0, or ERR_INVALID with *ms untouched:
 * nothing else may stand in it, no sign, no blank, no fraction; zero and what exceeds 64 bits of milliseconds are
 * refused too. Ranges are the caller's to judge. Pure. */
int duration_parse(const char *text, size_t len, uint64_t *ms);

#endif
