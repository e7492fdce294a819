#include <string.h>

#include "fs/pactctl/pactctl.h"

/* Copies one word from *from to *to, which never overtakes it, without its quotes. False: an open quote. */
static bool take_word(char **from, char **to)
{
    char quote = '\0';
    for (; **from != '\0'; (*from)++) {
        char c = **from;
        if (quote == '\0' && (c == ' ' || c == '\t'))
            break;
        if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else {
            if (c == '\\' && quote != '\'' && (*from)[1] != '\0')
                c = *++*from;
            *(*to)++ = c;
        }
    }
    return quote == '\0';
}

int words_split(char *line, char **words)
{
    int count = 0;
    char *from = line, *to = line;
    for (;;) {
        from += strspn(from, " \t");
        if (*from == '\0' || *from == '#')
            return count;
        if (count == LIMIT_WORDS)
            return -1;
        words[count++] = to;
        if (!take_word(&from, &to))
            return -1;
        bool last = *from == '\0';
        *to++ = '\0';
        if (last)
            return count;
        from++;
    }
}
