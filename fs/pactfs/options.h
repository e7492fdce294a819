/* options.h - pactfs's command line. */
#ifndef PACT_PACTFS_OPTIONS_H
#define PACT_PACTFS_OPTIONS_H

#include "fs/mount/serve.h"

struct options {
    const char *servers;   /* as given; shown as the device */
    const char *directory; /* of embedded:DIR, absolute; NULL: servers are remote */
    const char *key;       /* file, or NULL */
    bool foreground;
    struct mount_options mount; /* servers, keys and mountpoint are filled in later */
    const char *mountpoint;     /* as given */
};

/* What `ps` shows of a process from now on: a word and the mountpoint. */
void options_set_title(const struct options *options, const char *word);
/* Reads the command line. --help and --version end the process with 0, anything wrong with one line and 2. */
void options_read(int argc, char **argv, struct options *options);

#endif
