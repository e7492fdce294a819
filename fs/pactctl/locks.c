/* locks: who holds and who waits, in the whole tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/lock_words.h"
#include "fs/pactctl/pactctl.h"

/* `path`: NULL, if the file was removed. */
static void print_text(const struct lock_info *lock, const struct lock_words *words, const char *path)
{
    printf("%-5s %-9s %-5s %-16s %8u %-24s %-12s 0x%-16llx %-16s ", words->kind, words->mode, words->state, words->host,
           lock->pid, words->since, words->range, (unsigned long long)lock->granted_zxid, words->command);
    print_escaped(path != NULL ? path : "(removed)", escape_word);
    putchar('\n');
}

static void print_json(const struct state *state, const struct lock_info *lock, const char *kind, const char *path_text)
{
    struct session_info session = {0};
    state_session(state, lock->session, &session);
    json_t *path = path_text != NULL ? json_text(path_text, strlen(path_text)) : json_null();
    json_t *end = lock->end >= INT64_MAX ? json_null() : json_integer((json_int_t)lock->end);
    json_print(json_pack("{s:o,s:I,s:s,s:b,s:b, s:I,s:o,s:I,s:o, s:I,s:I,s:o,s:I}", "path", path, "id",
                         (json_int_t)lock->id, "kind", kind, "exclusive", (int)lock->exclusive, "waits",
                         (int)lock->waiting, "session", (json_int_t)lock->session, "host",
                         json_text(session.host, strlen(session.host)), "pid", (json_int_t)lock->pid, "command",
                         json_text(lock->command, strlen(lock->command)), "since_ns", (json_int_t)lock->since_ns,
                         "start", (json_int_t)lock->start, "end", end, "zxid", (json_int_t)lock->granted_zxid));
}

static void print_lock(const struct tool *tool, const struct state *state, const struct lock_info *lock,
                       const char *path)
{
    struct lock_words words;
    lock_describe(state, lock, &words);
    if (tool->json)
        print_json(state, lock, words.kind, path);
    else
        print_text(lock, &words, path);
}

int command_locks(struct tool *tool, int count, char **words)
{
    struct lock_info lock;
    uint64_t id = 0;
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    if (!tool->json)
        printf("%-5s %-9s %-5s %-16s %8s %-24s %-12s %-18s %-16s %s\n", "KIND", "MODE", "STATE", "HOST", "PID", "SINCE",
               "RANGE", "ZXID", "COMMAND", "PATH");
    const struct state *state = client_lock(tool->client);
    while (state_next_locked(state, &id)) {
        const struct node *node = state_node(state, id);
        char *path = node != NULL ? path_of(state, node) : NULL;
        for (struct lock_walk walk = {.id = id}; state_lock_next(state, &walk, &lock);)
            print_lock(tool, state, &lock, path);
        free(path);
    }
    client_unlock(tool->client);
    return EXIT_DONE;
}
