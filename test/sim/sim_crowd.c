/* test/sim/sim_crowd.c — see sim_crowd.h. */
#include "sim_crowd.h"

#include <stdlib.h>

#include "sim_case.h"
#include "sim_frontend.h"
#include "sim_h2_client.h"

struct sim_crowd {
    struct sim_case *of;
    struct sim_h2_client *h2_clients[SIM_H2_CLIENTS_MAX];
    struct sim_frontend *frontends[SIM_FRONTENDS_MAX];
};

static struct sim_tunneller_options ask_options(struct sim_case *c)
{
    return (struct sim_tunneller_options){.book = &c->tunnels,
                                          .habits = &c->plan.tunnel_habits,
                                          .promises = &c->mux_promises,
                                          .doors = c->doors,
                                          .backends = c->backends,
                                          .backend_count = c->plan.backends,
                                          .to = &c->listens[0]};
}

struct sim_crowd *sim_crowd_new(struct sim_case *c)
{
    const struct sim_plan *p = &c->plan;
    struct sim_crowd *crowd = calloc(1, sizeof(*crowd));
    ASSERT(crowd != NULL);
    crowd->of = c;
    for (unsigned i = 0; i < p->h2_clients; i++)
        crowd->h2_clients[i] = sim_h2_client_new(&(struct sim_h2_client_options){
            .ask = ask_options(c), .requests = &p->habits, .habits = &p->h2_habits});
    for (unsigned i = 0; i < p->frontends; i++)
        crowd->frontends[i] = sim_frontend_new(
            &(struct sim_frontend_options){.ask = ask_options(c),
                                           .habits = &p->frontend_habits,
                                           .mode = (enum sim_frontend_mode)((p->seed + i) % FRONTEND_MODES)});
    return crowd;
}

void sim_crowd_check(struct sim_crowd *crowd)
{
    const struct sim_plan *p = &crowd->of->plan;
    for (unsigned i = 0; i < p->h2_clients; i++)
        sim_h2_client_check(crowd->h2_clients[i],
                            p->calm ? crowd->of->held_max + crowd->of->mux_promises.held_max : 0);
    for (unsigned i = 0; i < p->frontends; i++)
        sim_frontend_check(crowd->frontends[i]);
}

bool sim_crowd_is_done(const struct sim_crowd *crowd)
{
    const struct sim_plan *p = &crowd->of->plan;
    for (unsigned i = 0; i < p->h2_clients; i++)
        if (!sim_h2_client_is_done(crowd->h2_clients[i]))
            return false;
    for (unsigned i = 0; i < p->frontends; i++)
        if (!sim_frontend_is_done(crowd->frontends[i]))
            return false;
    return true;
}

void sim_crowd_leave(struct sim_crowd *crowd)
{
    for (unsigned i = 0; i < crowd->of->plan.h2_clients; i++)
        sim_h2_client_leave(crowd->h2_clients[i]);
    for (unsigned i = 0; i < crowd->of->plan.frontends; i++)
        sim_frontend_leave(crowd->frontends[i]);
}

void sim_crowd_free(struct sim_crowd **cp)
{
    struct sim_crowd *crowd = *cp;
    *cp = NULL;
    for (unsigned i = 0; i < crowd->of->plan.h2_clients; i++)
        sim_h2_client_free(&crowd->h2_clients[i]);
    for (unsigned i = 0; i < crowd->of->plan.frontends; i++)
        sim_frontend_free(&crowd->frontends[i]);
    free(crowd);
}
