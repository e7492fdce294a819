/* pactd: a replica as a daemon. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replica/main/options.h"
#include "replica/pactd/replica.h"
#include "replica/pactd/report.h"

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
    sigaction(SIGHUP, &stop, NULL); /* the terminal it was started from is gone */
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a limit on file sizes is a failed write, and reported as such */
}

static void block_signals(int how)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(how, &signals, NULL);
}

static int serve(struct replica *replica)
{
    serving = replica;
    int code = replica_run(replica);
    block_signals(SIG_BLOCK); /* a second signal has nothing left to stop */
    serving = NULL;
    replica_free(replica);
    return code;
}

/* An epoch found no space on disk: from what is there the replica begins anew, once there is some. */
static int serve_again(const struct replica_options *options)
{
    char text[512] = "";
    struct replica *replica;
    struct replica_options again = *options;
    int code = ERR_NO_SPACE;
    again.needs_space = true;
    report(REPORT_ERROR, "the disk is full: the replica begins anew when there is space");
    block_signals(SIG_UNBLOCK);
    while (code == ERR_NO_SPACE) {
        sleep(1);
        code = replica_open(&again, &replica, text, sizeof text);
    }
    if (code == ERR_OK)
        return serve(replica);
    report(REPORT_ERROR, "%s", text);
    return code;
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
    const struct replica_options opening = {.id = options.id,
                                            .data = options.data,
                                            .addresses = addresses,
                                            .address_count = 1,
                                            .members = members,
                                            .member_count = options.member_count,
                                            .state_version_max = options.state_version_max,
                                            .silence_ms = options.silence_ms,
                                            .adopt = options.adopt,
                                            .snapshot_every_entries = options.snapshot_every,
                                            .keys = options.keys,
                                            .log_level = options.log_level};
    int code = replica_open(&opening, &replica, text, sizeof text);
    if (code != ERR_OK) {
        fprintf(stderr, "pactd: %s\n", *text ? text : error_text(code));
        return 1;
    }
    code = serve(replica);
    while (code == ERR_NO_SPACE)
        code = serve_again(&opening);
    return code == ERR_OK ? 0 : 1;
}
