/* JSON holds text, and names, data and hosts may be any bytes. Those that are no UTF-8 are given twice: as text for
 * people, and beside it, by a key with the suffix _base64, as they are. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/pactctl/pactctl.h"

json_t *json_text(const void *at, size_t len)
{
    json_t *text = json_stringn_nocheck(len > 0 ? at : "", len);
    return text != NULL ? text : json_null();
}

/* Whether it can be printed as it is. What is in an object tells for itself. */
static bool is_exact(const json_t *value)
{
    bool exact = true;
    size_t i;
    const json_t *item;
    if (json_is_string(value)) {
        json_t *text = json_stringn(json_string_value(value), json_string_length(value)); /* checks it */
        exact = text != NULL;
        json_decref(text);
    }
    json_array_foreach(value, i, item) exact = exact && is_exact(item);
    return exact;
}

/* The bytes that are not printable ASCII as \xNN: not to be told from a text with a backslash. */
static json_t *escaped(const json_t *string)
{
    const char *at = json_string_value(string);
    size_t len = json_string_length(string), to = 0;
    char *text = malloc(4 * len + 1);
    if (text == NULL)
        abort();
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)at[i];
        if (byte < ' ' || byte > '~')
            to += (size_t)snprintf(text + to, 5, "\\x%02x", byte);
        else
            text[to++] = (char)byte;
    }
    json_t *made = json_stringn(text, to);
    free(text);
    return made;
}

/* Of a string; of an array of them, that of each. */
static json_t *base64(const json_t *value)
{
    size_t i;
    const json_t *item;
    if (json_is_array(value)) {
        json_t *list = json_array();
        json_array_foreach(value, i, item) json_array_append_new(list, base64(item));
        return list;
    }
    size_t len = json_string_length(value);
    size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room);
    if (text == NULL)
        abort();
    sodium_bin2base64(text, room, (const unsigned char *)json_string_value(value), len, sodium_base64_VARIANT_ORIGINAL);
    json_t *made = json_string(text);
    free(text);
    return made;
}

static json_t *printable(json_t *value);

static json_t *printable_object(json_t *object)
{
    json_t *made = json_object(), *value;
    const char *key;
    json_object_foreach(object, key, value)
    {
        char beside[64];
        json_object_set_new(made, key, printable(value));
        if (is_exact(value))
            continue;
        snprintf(beside, sizeof beside, "%s_base64", key);
        json_object_set_new(made, beside, base64(value));
    }
    return made;
}

/* A value as JSON allows it. */
static json_t *printable(json_t *value)
{
    size_t i;
    json_t *item;
    if (json_is_object(value))
        return printable_object(value);
    if (json_is_array(value)) {
        json_t *list = json_array();
        json_array_foreach(value, i, item) json_array_append_new(list, printable(item));
        return list;
    }
    return is_exact(value) ? json_incref(value) : escaped(value);
}

void json_print(json_t *object)
{
    json_t *shown = printable(object);
    json_dumpf(shown, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    fflush(stdout);
    json_decref(shown);
    json_decref(object);
}
