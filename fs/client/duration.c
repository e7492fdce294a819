#include "fs/client/duration.h"

#include <string.h>

#include "proto/errors.h"

static uint64_t unit_ms(const char *unit, size_t len)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (len == strlen(units[i].name) && memcmp(unit, units[i].name, len) == 0)
            return units[i].ms;
    return 0;
}

int duration_parse(const char *text, size_t len, uint64_t *ms)
{
    uint64_t number = 0;
    size_t digits = 0;
    for (; digits < len && text[digits] >= '0' && text[digits] <= '9'; digits++) {
        uint64_t digit = (uint64_t)(text[digits] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return ERR_INVALID;
        number = number * 10 + digit;
    }
    uint64_t factor = unit_ms(text + digits, len - digits);
    if (digits == 0 || number == 0 || factor == 0 || number > UINT64_MAX / factor)
        return ERR_INVALID;
    *ms = number * factor;
    return ERR_OK;
}
