/* Scenarios of the Zab core: readable traces, played and compared line by line.
 *
 * usage: run_scenarios [--rewrite] FILE...
 *
 * A file has commands, each at the start of a line and followed by what happens, indented; '#' begins a comment. The
 * runner plays the commands on an ensemble in which nothing is left to chance (each message and each sync takes 1 ms)
 * and fails with a diff if the trace is another one; --rewrite puts the new one into the file. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/zab_tale.h"

enum { LINE = 512, WORDS = 32, TRACE = 1 << 20 };

struct script {
    struct tale *tale;
    const char *path;
    unsigned line;
    bool failed;
    FILE *out; /* the file as it should be */
};

struct words {
    char *at[WORDS];
    size_t count;
};

static void complain(struct script *script, const char *what, const char *about)
{
    fprintf(stderr, "%s:%u: %s: %s\n", script->path, script->line, what, about);
    script->failed = true;
}

static uint32_t replica(struct script *script, const char *word)
{
    unsigned long id = strtoul(word, NULL, 10);
    if (id >= 1 && id <= script->tale->members)
        return (uint32_t)id;
    complain(script, "no such replica", word);
    return 1;
}

/* "3.7" */
static uint64_t zxid_of(const char *word)
{
    char *end;
    uint64_t epoch = strtoul(word, &end, 10);
    return epoch << 32 | (*end == '.' ? strtoul(end + 1, NULL, 10) : 0);
}

/* disk ID accepted N current N log 1.1-1.5 3.1 …: a disk as it may be found; base N: a snapshot of the first N entries
 */
static void set_disk(struct script *script, const struct words *words)
{
    struct tale *tale = script->tale;
    struct tale_node *node = &tale->nodes[replica(script, words->at[1])];
    node->epochs.voter = true;
    for (size_t i = 2; i < words->count; i++) {
        const char *next = i + 1 < words->count ? words->at[i + 1] : "";
        if (strcmp(words->at[i], "accepted") == 0)
            node->epochs.accepted = (uint32_t)strtoul(next, NULL, 10);
        else if (strcmp(words->at[i], "current") == 0)
            node->epochs.current = (uint32_t)strtoul(next, NULL, 10);
        const char *dash = strchr(words->at[i], '-');
        if (strchr(words->at[i], '.') == NULL)
            continue;
        uint64_t first = zxid_of(words->at[i]), last = dash != NULL ? zxid_of(dash + 1) : first;
        for (uint64_t zxid = first; zxid <= last; zxid++)
            tale_found(tale, node->id, zxid);
    }
}

static void partition(struct script *script, const struct words *words)
{
    uint32_t side[TALE_MEMBERS + 1] = {0}, at = 1;
    struct tale *tale = script->tale;
    for (size_t i = 1; i < words->count; i++) {
        if (strcmp(words->at[i], "|") == 0)
            at++;
        else
            side[replica(script, words->at[i])] = at;
    }
    for (uint32_t a = 1; a <= tale->members; a++)
        for (uint32_t b = a + 1; b <= tale->members; b++)
            tale_block(tale, a, b, side[a] != side[b]);
}

static enum zab_action_kind action_named(struct script *script, const char *word)
{
    static const struct {
        const char *word;
        enum zab_action_kind kind;
    } table[] = {{"epochs", ZAB_SET_EPOCHS}, {"truncate", ZAB_TRUNCATE}, {"append", ZAB_APPEND},
                 {"send", ZAB_SEND},         {"commit", ZAB_COMMITTED},  {"role", ZAB_ROLE}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].word, word) == 0)
            return table[i].kind;
    complain(script, "no such action", word);
    return ZAB_ROLE;
}

/* --- commands --- */

static void play_settle(struct script *script)
{
    uint64_t until_ms = script->tale->now_ms + 5000;
    while (!tale_settled(script->tale) && script->tale->now_ms < until_ms && script->tale->wrong[0] == '\0')
        tale_run(script->tale, 1);
    if (!tale_settled(script->tale))
        tale_wrong(script->tale, "it does not settle");
}

/* propose ID TEXT… */
static void play_propose(struct script *script, const struct words *words)
{
    uint32_t id = replica(script, words->at[1]);
    for (size_t i = 2; i < words->count; i++) {
        int code = tale_propose(script->tale, id, words->at[i]);
        if (code != ERR_OK)
            tale_note(script->tale, id, "refuses %s: %s", words->at[i], error_name(code));
    }
}

/* power ID… | power ID before ACTION */
static void play_power(struct script *script, const struct words *words)
{
    if (words->count == 4 && strcmp(words->at[2], "before") == 0) {
        script->tale->nodes[replica(script, words->at[1])].trap = action_named(script, words->at[3]);
        return;
    }
    for (size_t i = 1; i < words->count; i++)
        tale_power(script->tale, replica(script, words->at[i]));
}

static void play_each(struct script *script, const struct words *words, void (*play)(struct tale *tale, uint32_t id))
{
    for (size_t i = 1; i < words->count; i++)
        play(script->tale, replica(script, words->at[i]));
}

static void freeze(struct tale *tale, uint32_t id)
{
    tale->nodes[id].frozen = true;
}

static void thaw(struct tale *tale, uint32_t id)
{
    tale->nodes[id].frozen = false;
}

static void fill(struct tale *tale, uint32_t id)
{
    tale_full(tale, id, true);
}

static void make_space(struct tale *tale, uint32_t id)
{
    tale_full(tale, id, false);
}

static void heal(struct tale *tale)
{
    for (uint32_t a = 1; a <= tale->members; a++)
        for (uint32_t b = a + 1; b <= tale->members; b++)
            tale_block(tale, a, b, false);
}

static void barrier(struct tale *tale, uint32_t id)
{
    tale_barrier(tale, id);
}

static const struct {
    const char *word;
    void (*play)(struct tale *tale, uint32_t id);
} each[] = {{"start", tale_start}, {"wipe", tale_wipe},   {"freeze", freeze},    {"thaw", thaw},
            {"fill", fill},        {"space", make_space}, {"purge", tale_purge}, {"barrier", barrier}};

/* Two replicas, from and to: what goes from one to the other waits, or comes again. */
static bool play_pair(struct script *script, const struct words *words)
{
    if (words->count != 3)
        return false;
    if (strcmp(words->at[0], "sync-takes") == 0) {
        script->tale->sync_ms[replica(script, words->at[1])] = (uint32_t)strtoul(words->at[2], NULL, 10);
        return true;
    }
    uint32_t from = replica(script, words->at[1]), to = replica(script, words->at[2]);
    if (strcmp(words->at[0], "clog") == 0)
        script->tale->pipes[from][to].clogged = true;
    else if (strcmp(words->at[0], "unclog") == 0)
        script->tale->pipes[from][to].clogged = false;
    else if (strcmp(words->at[0], "reset") == 0)
        tale_reset(script->tale, from, to);
    else if (strcmp(words->at[0], "replay") == 0)
        tale_replay(script->tale, from, to);
    else
        return false;
    return true;
}

static bool play_general(struct script *script, const struct words *words)
{
    const char *word = words->at[0], *value = words->count > 1 ? words->at[1] : "";
    if (strcmp(word, "settle") == 0)
        play_settle(script);
    else if (strcmp(word, "run") == 0)
        tale_run(script->tale, strtoull(value, NULL, 10));
    else if (strcmp(word, "show") == 0)
        tale_print(script->tale, script->out);
    else if (strcmp(word, "messages") == 0)
        script->tale->trace_messages = strcmp(value, "on") == 0;
    else if (strcmp(word, "counters") == 0)
        script->tale->counter_last = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(word, "partition") == 0)
        partition(script, words);
    else if (strcmp(word, "heal") == 0)
        heal(script->tale);
    else
        return false;
    return true;
}

static void play(struct script *script, const struct words *words)
{
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (strcmp(each[i].word, words->at[0]) == 0) {
            play_each(script, words, each[i].play);
            return;
        }
    if (strcmp(words->at[0], "propose") == 0 && words->count > 2)
        play_propose(script, words);
    else if (strcmp(words->at[0], "power") == 0 && words->count > 1)
        play_power(script, words);
    else if (strcmp(words->at[0], "disk") == 0 && words->count > 2)
        set_disk(script, words);
    else if (!play_pair(script, words) && !play_general(script, words))
        complain(script, "not understood", words->at[0]);
}

static void split(char *line, struct words *words)
{
    words->count = 0;
    for (char *word = strtok(line, " \n"); word != NULL && words->count < WORDS; word = strtok(NULL, " \n"))
        words->at[words->count++] = word;
}

static void play_line(struct script *script, const char *line)
{
    char copy[LINE];
    struct words words;
    snprintf(copy, sizeof copy, "%s", line);
    split(copy, &words);
    if (line[0] == ' ')
        return; /* of the old trace */
    fputs(line, script->out);
    if (words.count == 0 || line[0] == '#')
        return;
    if (strcmp(words.at[0], "ensemble") == 0 && words.count == 2 && script->tale == NULL) {
        script->tale = tale_new(strtoul(words.at[1], NULL, 10) % (TALE_MEMBERS + 1), 1);
        script->tale->fixed = true;
        script->tale->trace = script->out;
    } else if (script->tale == NULL) {
        complain(script, "no ensemble yet", words.at[0]);
    } else {
        play(script, &words);
    }
}

static char *read_whole(const char *path)
{
    char *text = calloc(1, TRACE);
    FILE *file = fopen(path, "r");
    if (file == NULL || text == NULL || fread(text, 1, TRACE - 1, file) == TRACE - 1) {
        free(text);
        text = NULL;
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static void show_diff(const char *path, const char *now)
{
    char command[LINE + 64], copy[] = "/tmp/scenario.XXXXXX";
    int fd = mkstemp(copy);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL)
        return;
    fputs(now, file);
    fclose(file);
    snprintf(command, sizeof command, "diff -u '%s' '%s'", path, copy);
    if (system(command) == 0) /* its text is the point */
        fprintf(stderr, "%s: the same on second sight\n", path);
    remove(copy);
}

static bool rewrite_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool ok = file != NULL && fputs(text, file) >= 0;
    return file != NULL && fclose(file) == 0 && ok;
}

static bool run_file(const char *path, bool rewrite)
{
    struct script script = {.path = path};
    char *old = read_whole(path), *now = NULL;
    size_t size = 0;
    if (old == NULL) {
        fprintf(stderr, "%s: cannot be read, or is too long\n", path);
        return false;
    }
    script.out = open_memstream(&now, &size);
    for (char *at = old; *at != '\0'; script.line++) {
        char line[LINE];
        size_t len = strcspn(at, "\n") + 1;
        snprintf(line, sizeof line, "%.*s", (int)(len < LINE ? len : LINE - 1), at);
        play_line(&script, line);
        at += strlen(at) < len ? strlen(at) : len;
    }
    fclose(script.out);
    bool right = !script.failed && script.tale != NULL && script.tale->wrong[0] == '\0';
    if (script.tale != NULL && script.tale->wrong[0] != '\0')
        fprintf(stderr, "%s: %s\n", path, script.tale->wrong);
    if (rewrite && right)
        right = rewrite_file(path, now);
    else if (strcmp(old, now) != 0) {
        show_diff(path, now);
        right = false;
    }
    if (script.tale != NULL) {
        script.tale->trace = NULL; /* what ends with the tale is no part of it, and the stream is closed */
        tale_free(script.tale);
    }
    free(old);
    free(now);
    return right;
}

int main(int argc, char **argv)
{
    bool rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    int first = rewrite ? 2 : 1, wrong = 0;
    if (argc <= first) {
        fprintf(stderr, "usage: run_scenarios [--rewrite] FILE...\n");
        return 2;
    }
    for (int i = first; i < argc; i++)
        wrong += !run_file(argv[i], rewrite);
    printf("%d of %d scenarios as they should be\n", argc - first - wrong, argc - first);
    return wrong == 0 ? 0 : 1;
}
