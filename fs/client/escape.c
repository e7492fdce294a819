#include "fs/client/escape.h"

#include <stdio.h>

/* All characters up to `last`, and what always is. */
static void escape(const char *text, char *to, size_t cap, unsigned char last)
{
    size_t len = 0;
    for (; *text && len + ESCAPED < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= last || c == '\\' || c == 127)
            len += (size_t)snprintf(to + len, cap - len, "\\%03o", c);
        else
            to[len++] = (char)c;
    }
    to[len] = '\0';
}

void escape_line(const char *text, char *to, size_t cap)
{
    escape(text, to, cap, ' ' - 1);
}

void escape_word(const char *text, char *to, size_t cap)
{
    escape(*text ? text : "-", to, cap, ' ');
}
