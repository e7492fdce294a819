/* pactctl - the tool for people and scripts. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/pactctl/pactctl.h"

struct command {
    const char *name;
    int (*run)(struct tool *tool, int count, char **words);
    const char *arguments, *help;
};

static const struct command commands[] = {
    {"keygen", command_keygen, "DIR", "make replica.key and mount.key; DIR is made if missing"},
    {"status", command_status, "", "members, roles, epoch, zxids"},
    {"ls", command_ls, "[-R] [PATH]", "list children (with all below: -R)"},
    {"stat", command_stat, "PATH", "a znode's metadata"},
    {"get", command_get, "PATH", "print a znode's data"},
    {"set", command_set, "[--if-version N] PATH VALUE", "replace data (VALUE -: from standard input)"},
    {"create", command_create, "[-d] [-s] [-e | -t TTL | -c] PATH [VALUE]",
     "a file with VALUE (-: from standard input), or without one a directory (-d: a directory with data); -s "
     "sequential, -e ephemeral (stays until interrupted), -t 30s TTL, -c container"},
    {"rm", command_rm, "[-r | --if-version N] PATH", "delete (with all below: -r)"},
    {"txn", command_txn, "FILE", "create, set, rm and check lines of FILE (-: standard input), all or nothing"},
    {"watch", command_watch, "[-r] [PATH]",
     "a line for each change of PATH and its children (all below: -r), until PATH itself is gone"},
    {"sync", command_sync, "", "wait until all that was committed before is seen here"},
    {"sessions", command_sessions, "", "who is connected"},
    {"locks", command_locks, "", "who holds a lock, who waits for one"},
    {"digest", command_digest, "", "a hash of the whole state, and its zxid"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

size_t usage_line;

static void complain(size_t line, const char *format, va_list arguments)
{
    fputs("pactctl: ", stderr);
    if (line != 0)
        fprintf(stderr, "line %zu: ", line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(0, format, arguments);
    va_end(arguments);
    return EXIT_FAILED;
}

int usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(usage_line, format, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

static void print_help(void)
{
    puts("usage: pactctl [-s SERVERS] [--key FILE] [--json] COMMAND …\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %s %s\n      %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    puts("\n  -s, --servers SERVERS   HOST:CLIENTPORT[,…] or embedded:DIR; else $PACTFS_SERVERS, else " DEFAULT_SERVERS
         "\n  -k, --key FILE          the cluster's mount.key or replica.key"
         "\n  -j, --json              answers as JSON, one object a line"
         "\n  -h, --help  -V, --version"
         "\n\nExit status: 0 done, 1 it failed, 2 the call's words are wrong.");
}

void wait_for_signal(void)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigwait(&set, &number);
}

void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run_command(struct tool *tool, int count, char **words)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, words[0]) != 0)
            continue;
        int code = commands[i].run(tool, count, words);
        tool_close(tool);
        if (fflush(stdout) != 0 || ferror(stdout))
            return fail("cannot write the output");
        return code;
    }
    return usage("no command %s; pactctl --help lists them", words[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"servers", required_argument, NULL, 's'}, {"key", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},          {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},       {0},
    };
    struct tool tool = {.servers = getenv("PACTFS_SERVERS")};
    if (tool.servers == NULL)
        tool.servers = DEFAULT_SERVERS;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+s:k:jhV", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            tool.servers = optarg;
            break;
        case 'k':
            tool.key_path = optarg;
            break;
        case 'j':
            tool.json = true;
            break;
        case 'h':
            print_help();
            return EXIT_DONE;
        case 'V':
            puts("pactctl " PACT_VERSION);
            return EXIT_DONE;
        default:
            return usage("bad option or missing value: %s; see pactctl --help", argv[optind - 1]);
        }
    }
    if (optind == argc)
        return usage("which command? See pactctl --help");
    int first = optind;
    optind = 0; /* commands call getopt anew */
    return run_command(&tool, argc - first, argv + first);
}
