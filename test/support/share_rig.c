/* test/support/share_rig.c — see share_rig.h. */
#include "test/support/share_rig.h"

struct share_rig share_rig;

void share_rig_start(void)
{
    struct pool_options options = fixture_options();
    options.limits.waiters_per_endpoint_max = 100;
    options.limits.conns_per_endpoint_max = 4;
    options.limits.dials_in_flight_max = 8;
    fixture_start(&share_rig.pool, &options);
    share_rig.pool.shares = 3;
    share_rig.key = fixture_key(&share_rig.pool.shared, "10.0.0.1");
}

void share_rig_stop(void)
{
    fixture_stop(&share_rig.pool);
}

void share_ask(struct client *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        client_ask(&c[i], &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
}

void share_open_next(void)
{
    script_open(script_dialling(&share_rig.pool.engine));
    fixture_settle(&share_rig.pool);
}

void share_give_back(struct client *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (c[i].conn)
            client_give_back(&c[i]);
    fixture_settle(&share_rig.pool);
}

struct conn *share_make_known(void)
{
    struct client c;
    struct conn *conn = client_connect(&c, &share_rig.pool, &share_rig.key);
    client_give_back(&c);
    return conn;
}
