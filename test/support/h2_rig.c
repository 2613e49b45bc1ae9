/* test/support/h2_rig.c — see h2_rig.h. */
#include "test/support/h2_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

uint8_t h2_pattern[1 << 20];

void h2_rig_start(void)
{
    for (size_t i = 0; i < sizeof(h2_pattern); i++)
        h2_pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    front_rig_start();
    h2_client_start(false);
}

void h2_rig_stop(void)
{
    h2_client_stop();
    front_rig_stop();
}

struct played *h2_asked(unsigned i)
{
    assert_true(rig.asked > i);
    return &rig.played[i];
}
