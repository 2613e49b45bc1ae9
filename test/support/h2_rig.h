/* test/support/h2_rig.h — the front rig with the client of h2_client.h at its other end, and what they say to
 * each other. */
#pragma once

#include "test/support/h2_client.h"

#define BACKEND "10.0.0.1:10250"
#define OK      "HTTP/1.1 200 OK\r\n"

extern uint8_t h2_pattern[1 << 20]; /* bytes for bodies */

void h2_rig_start(void);
void h2_rig_stop(void);
struct played *h2_asked(unsigned i);
/* The exchange that was asked for; fails if there is none. */
