/* keys.h - fresh keys for a test, by way of files as in real life. */
#ifndef PACT_TEST_KEYS_H
#define PACT_TEST_KEYS_H

#include "replica/net/link.h"

void make_keys(struct link_keys *mount, struct link_keys *replica);

#endif
