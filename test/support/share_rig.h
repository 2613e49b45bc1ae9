/* test/support/share_rig.h — a pool (pool_fixture.h) whose connections carry three leases each, and clients
 * of them. */
#pragma once

#include "test/support/pool_fixture.h"

struct share_rig {
    struct pool_fixture pool;
    struct endpoint_key key;
};

extern struct share_rig share_rig;

void share_rig_start(void);
void share_rig_stop(void);
void share_ask(struct client *, unsigned count);
void share_open_next(void);
/* The oldest dial. */
void share_give_back(struct client *, unsigned count);
/* Of those that have a connection. */
struct conn *share_make_known(void);
/* A connection nobody uses, so that it is known how many leases one carries. */
