/* pactd: a replica as a daemon. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replica/main/options.h"
#include "replica/pactd/replica.h"

static struct replica *volatile serving;

/* Before it serves there is nothing to close: what is on disk is whole at any time. */
static void on_signal(int number)
{
    (void)number;
    if (!serving)
        _exit(0);
    replica_stop(serving);
}

static void handle_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a limit on file sizes is a failed write, and reported as such */
}

static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

int main(int argc, char **argv)
{
    struct options options;
    struct replica *replica;
    char text[512] = "";
    options_read(argc, argv, &options);
    handle_signals();
    size_t self = (size_t)(options.self - options.members);
    const char *const addresses[] = {options.addresses[self]};
    struct replica_member members[ENSEMBLE_MAX];
    for (size_t i = 0; i < options.member_count; i++)
        members[i] = (struct replica_member){options.members[i].id, options.addresses[i], options.peer_addresses[i]};
    int code = replica_open(&(struct replica_options){.id = options.id,
                                                      .data = options.data,
                                                      .addresses = addresses,
                                                      .address_count = 1,
                                                      .members = members,
                                                      .member_count = options.member_count,
                                                      .state_version_max = options.state_version_max,
                                                      .keys = options.keys,
                                                      .log_level = options.log_level},
                            &replica, text, sizeof text);
    if (code != ERR_OK) {
        fprintf(stderr, "pactd: %s\n", *text ? text : error_text(code));
        return 1;
    }
    serving = replica;
    code = replica_run(replica);
    block_signals(); /* a second signal has nothing left to stop */
    replica_free(replica);
    return code == ERR_OK ? 0 : 1;
}
