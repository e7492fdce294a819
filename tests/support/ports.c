#include "tests/support/ports.h"
#include "replica/net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

void hold_address(char *address, size_t len)
{
    struct address free_one;
    int hold;
    assert_int_equal(address_resolve("127.0.0.1:0", &free_one), ERR_OK);
    assert_int_equal(address_hold_port(&free_one, &hold), ERR_OK);
    snprintf(address, len, "127.0.0.1:%u", address_port(&free_one));
}
