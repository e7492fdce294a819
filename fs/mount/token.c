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

/* A process number: digits alone, from 1. */
static int take_owner(const struct token *token, bool by_policy, struct tokens *tokens)
{
    int64_t number = 0;
    if (tokens->owner || (token->value != NULL) == by_policy || (token->value && !token->value_len))
        return ERR_INVALID;
    for (size_t i = 0; i < token->value_len; i++) {
        if (!isdigit((unsigned char)token->value[i]))
            return ERR_INVALID;
        number = 10 * number + token->value[i] - '0';
        if (number > INT32_MAX)
            return ERR_INVALID;
    }
    if (!number && !by_policy)
        return ERR_INVALID;
    tokens->owner = true;
    tokens->owner_number = (int32_t)number;
    return ERR_OK;
}

/* What a token asks for; a second one of its kind is refused, as is a value where none belongs. */
static int take(const struct token *token, bool by_policy, struct tokens *tokens)
{
    struct lifetime *lifetime = &tokens->lifetime;
    if (token->word == WORD_OWNER)
        return take_owner(token, by_policy, tokens);
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

/* ZooKeeper's modes exclude each other: a znode ends with its session, with its children or with time. One that ends
 * with a process is the session's as well. */
static int settle(struct tokens *tokens)
{
    struct lifetime *lifetime = &tokens->lifetime;
    lifetime->ephemeral |= tokens->owner;
    return lifetime->ephemeral + lifetime->container + (lifetime->ttl_ms > 0) > 1 ? ERR_INVALID : ERR_OK;
}

static int check_final(const struct token_name *to)
{
    bool sequential = to->tokens.lifetime.sequential;
    size_t len = to->len + (sequential ? SEQUENCE_DIGITS : 0);
    if (len > LIMIT_NAME_BYTES)
        return ERR_NAME_TOO_LONG;
    if (!len || (!sequential && (!strcmp(to->name, ".") || !strcmp(to->name, ".."))))
        return ERR_INVALID;
    return ERR_OK;
}

int token_parse(const char *name, struct token_name *to)
{
    size_t left = strlen(name);
    to->any = false;
    to->tokens = (struct tokens){0};
    to->len = 0;
    if (left >= sizeof to->name)
        return ERR_NAME_TOO_LONG;
    while (left) {
        struct token token;
        int code = token_at(name, left, &token);
        if (!code && token.word != WORD_NONE) {
            to->any = true;
            code = take(&token, false, &to->tokens);
            if (token.word == WORD_SEQ)
                to->tokens.lifetime.sequence_at = (uint32_t)to->len;
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
    int code = settle(&to->tokens);
    return code ? code : check_final(to);
}

int token_policy(struct bytes policy, struct tokens *tokens)
{
    const char *at = policy.at;
    size_t left = policy.len;
    *tokens = (struct tokens){0};
    while (left) {
        struct token token = {.len = 1};
        int code = ERR_OK;
        if (!isspace((unsigned char)*at)) {
            code = token_at(at, left, &token);
            if (!code)
                code = token.word == WORD_NONE ? ERR_INVALID : take(&token, true, tokens);
        }
        if (code)
            return code;
        at += token.len;
        left -= token.len;
    }
    return settle(tokens);
}

int token_combine(struct tokens *tokens, size_t name_len, struct tokens policy, enum node_kind kind)
{
    struct lifetime *lifetime = &tokens->lifetime;
    bool lives = lifetime->ephemeral || lifetime->container || lifetime->ttl_ms;
    bool sequential = lifetime->sequential;
    uint32_t sequence_at = lifetime->sequence_at;
    if (!lives)
        *tokens = policy;
    if (!lives && kind != KIND_DIRECTORY)
        lifetime->container = false;
    lifetime->sequential = sequential || policy.lifetime.sequential;
    lifetime->sequence_at = sequential ? sequence_at : (uint32_t)name_len;
    if (!lifetime->sequential)
        lifetime->sequence_at = 0;
    return lifetime->sequential && name_len + SEQUENCE_DIGITS > LIMIT_NAME_BYTES ? ERR_NAME_TOO_LONG : ERR_OK;
}
