/* ports.h - ports of this machine for the tests' replicas. */
#ifndef PACT_TEST_PORTS_H
#define PACT_TEST_PORTS_H

#include <stddef.h>

/* "127.0.0.1:PORT" of a port that nobody listens at. The kernel gives it to nobody else while this process lives,
 * whoever listens at it in between. Asserts with cmocka. */
void hold_address(char *address, size_t len);

#endif
