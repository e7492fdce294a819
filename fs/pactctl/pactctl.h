/* pactctl.h - what the commands of pactctl share. */
#ifndef PACT_PACTCTL_H
#define PACT_PACTCTL_H

#include <jansson.h>

#include "fs/client/client.h"

#define DEFAULT_SERVERS "127.0.0.1:7181"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { READY_TIMEOUT_MS = 10000 };

struct tool {
    const char *servers; /* HOST:PORT[,…] or embedded:DIR */
    const char *key_path;
    bool json;
    char address[2048];    /* servers with embedded: resolved */
    struct link_keys keys; /* set by tool_find */
    struct client *client; /* set by tool_open */
};

/* Prints "pactctl: …" to stderr and returns EXIT_FAILED or EXIT_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The line of a file whose words are being looked at, which usage() names; 0: they are the call's own. */
extern size_t usage_line;

/* --- connect.c --- */

/* Resolves the servers and reads the key. EXIT_DONE, or the exit code after a message. */
int tool_find(struct tool *tool);
/* All of a file, `most` bytes of it at most; the caller frees it. NULL: no memory. ferror tells whether it is all. */
char *read_input(FILE *file, size_t most, size_t *len);

/* tool_find, then attaches and waits for the tree. `events` may be NULL. */
int tool_open(struct tool *tool, bool observer, const struct client_events *events);
void tool_close(struct tool *tool);
/* Submits and waits; a refusal is reported with `what` (a path …). EXIT_DONE or EXIT_FAILED. */
int tool_call(struct tool *tool, const struct request *request, const char *what, struct result *result);

/* --- parse.c: words to requests; all borrow from the words --- */

/* "/a/b" → below the root. */
struct where where_of(const char *path);
/* EXIT_USAGE, said: it is empty, as of a variable that is not set. */
int check_path(const char *path);
/* The words of a create, set, rm or check (words[0] is the command). EXIT_DONE, or EXIT_USAGE after a message.
 * `edits` has room for 2. A value of "-" is given back as it is. */
int parse_request(int count, char **words, struct request *request, struct edit *edits);
/* Of a path's last name. */
uint32_t last_name_bytes(struct where at);
bool parse_number(const char *text, int64_t *number); /* 0 … INT64_MAX */

/* --- words.c --- */

enum { LIMIT_WORDS = 16 };
/* Splits a line in place: blanks separate, '…' and "…" quote, a backslash takes the next byte as it is (not within
 * '…'), # begins a comment. Returns how many, or -1: an open quote or too many. */
int words_split(char *line, char **words);

/* --- path.c: paths of znodes --- */

/* A path that is found from its last name up. It can be longer than the LIMIT_PATH_BYTES that a request may name:
 * LIMIT_DEPTH names of LIMIT_NAME_BYTES. Begins as {0}. */
struct path {
    char *room; /* it stands at the end, from `start` on */
    size_t start, capacity;
};
void path_prepend(struct path *path, const char *name);
/* The text, "/" if it has no name; the caller frees it. The path is gone. */
char *path_take(struct path *path);
/* Of a znode, from the root; the caller frees it. */
char *path_of(const struct state *state, const struct node *node);
/* What a create made: the path asked for, with the name that came of it; the caller frees it. */
char *created_path(struct where at, const char *name);
/* A text of any length through one of the functions of fs/client/escape.h. */
void print_escaped(const char *text, void (*escape)(const char *text, char *to, size_t cap));
/* A line, and " -> " with another path unless that is NULL: what would break a line or steer a terminal as \ooo. */
void print_path(const char *path, const char *to);
/* The znode or NULL after a message. */
const struct node *find_or_fail(const struct state *state, const char *path);

/* --- json.c --- */

/* A JSON string of any bytes, UTF-8 or not: it is for json_print alone. */
json_t *json_text(const void *at, size_t len);
/* Prints the object on one line, flushes, releases it. Beside each key whose string, or array of strings, is not all
 * UTF-8 it adds KEY_base64 with the true bytes. */
void json_print(json_t *object);

/* --- the commands: words[0] is the command's name; each returns an exit code --- */

int command_keygen(struct tool *tool, int count, char **words);
int command_status(struct tool *tool, int count, char **words);
int command_ls(struct tool *tool, int count, char **words);
int command_stat(struct tool *tool, int count, char **words);
int command_get(struct tool *tool, int count, char **words);
int command_set(struct tool *tool, int count, char **words);
int command_create(struct tool *tool, int count, char **words);
int command_rm(struct tool *tool, int count, char **words);
int command_txn(struct tool *tool, int count, char **words);
int command_watch(struct tool *tool, int count, char **words);
int command_sync(struct tool *tool, int count, char **words);
int command_sessions(struct tool *tool, int count, char **words);
int command_locks(struct tool *tool, int count, char **words);
int command_digest(struct tool *tool, int count, char **words);

/* For commands that stay until SIGINT, SIGTERM or SIGHUP ends them, with a closed session: before tool_open, which
 * starts threads; and then. */
void block_signals(void);
void wait_for_signal(void);

#endif
