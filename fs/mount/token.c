#include "fs/mount/token.h"

#include <ctype.h>
#include <string.h>

#include "fs/client/duration.h"
#include "proto/limits.h"

enum word { WORD_NONE, WORD_SEQ, WORD_EPHEMERAL, WORD_TTL, WORD_CONTAINER, WORD_OWNER };

static const char *const words[] = {
    [WORD_SEQ] = "seq",     [WORD_EPHEMERAL] = "ephemeral", [WORD_TTL] = "ttl", [WORD_CONTAINER] = "container",
    [WORD_OWNER] = "owner",
};

/* One token, as found in a text. */
struct token {
    enum word word;
    const char *value; /* after '=', or NULL */
    size_t value_len;
    size_t len; /* of the whole token with its braces */
};

/* The word that stands at `at` after a '{', if what follows it makes it a token. */
static enum word word_at(const char *at, size_t len)
{
    for (enum word word = WORD_SEQ; word <= WORD_OWNER; word++) {
        size_t word_len = strlen(words[word]);
        if (len > word_len && !memcmp(at, words[word], word_len) && (at[word_len] == '}' || at[word_len] == '='))
            return word;
    }
    return WORD_NONE;
}

/* Reads the token at `at`, if there is one. ERR_OK with WORD_NONE if not, ERR_INVALID if it has no end. */
static int token_at(const char *at, size_t len, struct token *token)
{
    *token = (struct token){.word = WORD_NONE};
    if (!len || at[0] != '{')
        return ERR_OK;
    token->word = word_at(at + 1, len - 1);
    if (token->word == WORD_NONE)
        return ERR_OK;
    const char *end = memchr(at, '}', len);
    if (!end)
        return ERR_INVALID;
    const char *after = at + 1 + strlen(words[token->word]);
    if (*after == '=') {
        token->value = after + 1;
        token->value_len = (size_t)(end - after - 1);
    }
    token->len = (size_t)(end - at) + 1;
    return ERR_OK;
}

/* What a token asks for; a second one of its kind is refused, as is a value where none belongs. */
static int take(const struct token *token, struct lifetime *lifetime)
{
    if (token->word == WORD_TTL) {
        if (!token->value || lifetime->ttl_ms)
            return ERR_INVALID;
        int code = duration_parse(token->value, token->value_len, &lifetime->ttl_ms);
        return code ? code : lifetime->ttl_ms > LIMIT_TTL_MS ? ERR_INVALID : ERR_OK;
    }
    bool *flag = token->word == WORD_SEQ         ? &lifetime->sequential
                 : token->word == WORD_EPHEMERAL ? &lifetime->ephemeral
                 : token->word == WORD_CONTAINER ? &lifetime->container
                                                 : NULL;
    if (!flag || token->value || *flag)
        return ERR_INVALID;
    *flag = true;
    return ERR_OK;
}

/* ZooKeeper's modes exclude each other: a znode ends with its session, with its children or with time. */
static bool conflicting(const struct lifetime *lifetime)
{
    return lifetime->ephemeral + lifetime->container + (lifetime->ttl_ms > 0) > 1;
}

static int check_final(const struct token_name *to)
{
    size_t len = to->len + (to->lifetime.sequential ? SEQUENCE_DIGITS : 0);
    if (len > LIMIT_NAME_BYTES)
        return ERR_NAME_TOO_LONG;
    if (!len || (!to->lifetime.sequential && (!strcmp(to->name, ".") || !strcmp(to->name, ".."))))
        return ERR_INVALID;
    return ERR_OK;
}

int token_parse(const char *name, struct token_name *to)
{
    size_t left = strlen(name);
    to->any = false;
    to->lifetime = (struct lifetime){0};
    to->len = 0;
    if (left >= sizeof to->name)
        return ERR_NAME_TOO_LONG;
    while (left) {
        struct token token;
        int code = token_at(name, left, &token);
        if (!code && token.word != WORD_NONE) {
            to->any = true;
            code = take(&token, &to->lifetime);
            if (token.word == WORD_SEQ)
                to->lifetime.sequence_at = (uint32_t)to->len;
        }
        if (code)
            return code;
        size_t step = token.word == WORD_NONE ? 1 : token.len;
        if (token.word == WORD_NONE)
            to->name[to->len++] = *name;
        name += step;
        left -= step;
    }
    to->name[to->len] = 0;
    return conflicting(&to->lifetime) ? ERR_INVALID : check_final(to);
}

int token_policy(struct bytes policy, struct lifetime *lifetime)
{
    const char *at = policy.at;
    size_t left = policy.len;
    *lifetime = (struct lifetime){0};
    while (left) {
        struct token token = {.len = 1};
        int code = ERR_OK;
        if (!isspace((unsigned char)*at)) {
            code = token_at(at, left, &token);
            if (!code)
                code = token.word == WORD_NONE || token.word == WORD_SEQ ? ERR_INVALID : take(&token, lifetime);
        }
        if (code)
            return code;
        at += token.len;
        left -= token.len;
    }
    return conflicting(lifetime) ? ERR_INVALID : ERR_OK;
}

struct lifetime token_policy_for(struct lifetime policy, enum node_kind kind)
{
    if (kind != KIND_DIRECTORY)
        policy.container = false;
    return policy;
}
