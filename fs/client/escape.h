/* escape.h - other people's text where it is printed: names, hosts and commands could say anything to a terminal, or
 * break a line in two. Pure. */
#ifndef PACT_ESCAPE_H
#define PACT_ESCAPE_H

#include <stddef.h>

enum { ESCAPED = 4 }; /* bytes that one of a text takes at most */

/* Text, NUL-terminated, as part of a line: control characters and the backslash as \ooo, like /proc/mounts. What does
 * not fit into `cap` bytes is left out. */
void escape_line(const char *text, char *to, size_t cap);
/* As one word of a line: blanks as well; an empty one is "-". */
void escape_word(const char *text, char *to, size_t cap);

#endif
