/* token.h - tokens in names and in a directory's policy for its children: {seq} {ephemeral} {owner=PID} {ttl=30s}
 * {container} (design §3).
 *
 * Pure. A token is '{', a token's word, and '}' or '='; any other brace is a part of the name as it stands. Tokens
 * combine and are taken out of the name; {seq} marks where the ten digits go. */
#ifndef PACT_TOKEN_H
#define PACT_TOKEN_H

#include "proto/errors.h"
#include "replica/state/request.h"

struct tokens {
    struct lifetime lifetime; /* an owned node is ephemeral */
    bool owner;               /* {owner=PID}, and in a policy {owner}: it goes when a process dies */
    int32_t owner_number;     /* PID, as the caller numbers processes; 0: the process that makes it */
};

struct token_name {
    bool any; /* the name has tokens */
    struct tokens tokens;
    size_t len;
    char name[4096]; /* without the tokens, NUL-terminated */
};

/* Reads a name. ERR_OK; ERR_INVALID for a malformed, doubled or conflicting token or a name of which nothing but "."
 * or ".." or nothing at all remains; ERR_NAME_TOO_LONG if the final name would exceed 255 bytes. */
int token_parse(const char *name, struct token_name *to);

/* Reads a directory's policy: tokens with optional white space between, {owner} without a number. An empty one says
 * nothing and is fine. ERR_OK or ERR_INVALID. */
int token_policy(struct bytes policy, struct tokens *tokens);

/* What a child of this kind gets: how long it lives and whether it is numbered are two questions, and of each the
 * name's own tokens decide or, if they say nothing, the policy. Containers by policy are directories only. A number by
 * policy is appended to the name of name_len bytes; ERR_NAME_TOO_LONG if that is too long. */
int token_combine(struct tokens *tokens, size_t name_len, struct tokens policy, enum node_kind kind);

#endif
