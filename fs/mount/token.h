/* token.h - tokens in names: {seq} {ephemeral} {ttl=30s} {container} (design §3).
 *
 * Pure. A token is '{', a token's word, and '}' or '='; any other brace is a part of the name as it stands. Tokens
 * combine and are taken out of the name; {seq} marks where the ten digits go. */
#ifndef PACT_TOKEN_H
#define PACT_TOKEN_H

#include "proto/errors.h"
#include "replica/state/request.h"

struct token_name {
    bool any; /* the name has tokens */
    struct lifetime lifetime;
    size_t len;
    char name[4096]; /* without the tokens, NUL-terminated */
};

/* Reads a name. ERR_OK; ERR_INVALID for a malformed, doubled or conflicting token, an {owner=} (which needs a
 * process to follow) or a name of which nothing but "." or ".." or nothing at all remains; ERR_NAME_TOO_LONG if the
 * final name would exceed 255 bytes. */
int token_parse(const char *name, struct token_name *to);

/* Reads a directory's policy: tokens with optional white space between, no {seq}. An empty one says nothing and is
 * fine. ERR_OK or ERR_INVALID. */
int token_policy(struct bytes policy, struct lifetime *lifetime);

/* What a policy means for a child of this kind: containers are directories only. */
struct lifetime token_policy_for(struct lifetime policy, enum node_kind kind);

#endif
