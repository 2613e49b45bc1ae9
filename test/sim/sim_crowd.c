/* test/sim/sim_crowd.c — see sim_crowd.h. */
#include "sim_crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_case.h"
#include "sim_frontend.h"
#include "sim_h2_client.h"

struct sim_crowd {
    struct sim_case *of;
    struct sim_h2_client *h2_clients[SIM_H2_CLIENTS_MAX];
    struct sim_frontend *frontends[SIM_FRONTENDS_MAX];
    struct sim_agent *agents[SIM_AGENTS_MAX];
    char ids[SIM_AGENTS_MAX][16], identifiers[SIM_AGENTS_MAX][128];
    bool started;
};

static struct sim_tunneller_options ask_options(struct sim_case *c)
{
    return (struct sim_tunneller_options){.book = &c->tunnels,
                                          .habits = &c->plan.tunnel_habits,
                                          .promises = &c->mux_promises,
                                          .doors = c->doors,
                                          .backends = c->backends,
                                          .backend_count = c->plan.backends,
                                          .to = &c->listens[0],
                                          .by_agent = c->plan.agents > 0};
}

static struct sim_agent *new_agent(struct sim_crowd *crowd, unsigned i)
{
    struct sim_case *c = crowd->of;
    const struct sim_plan *p = &c->plan;
    struct sim_agent_options o = {.net = c->net,
                                  .ledger = &c->ledger,
                                  .habits = &p->agent_habits,
                                  .id = crowd->ids[i],
                                  .identifiers = crowd->identifiers[i],
                                  .plain_ends = p->plain_ends,
                                  .calm = p->calm};
    bool same = i > 0 && sim_chance(c->net, p->agent_habits.same_ids);
    char host[16];
    snprintf(crowd->ids[i], sizeof(crowd->ids[i]), "agent-%u", same ? i - 1 : i);
    snprintf(crowd->identifiers[i], sizeof(crowd->identifiers[i]),
             "ipv4=10.0.0.%u&host=10.0.0.%u&default-route=%s&cidr=10.0.0.0%%2F8", i + 1, 2 * i + 1,
             i % 2 == 0 ? "true" : "0");
    snprintf(host, sizeof(host), "10.9.0.%u", i + 1);
    ASSERT(net_address_parse(host, strlen(host), 40000, &o.from));
    o.to = c->agents_listen;
    return sim_agent_new(&o);
}

struct sim_crowd *sim_crowd_new(struct sim_case *c)
{
    struct sim_crowd *crowd = calloc(1, sizeof(*crowd));
    ASSERT(crowd != NULL);
    crowd->of = c;
    for (unsigned i = 0; i < c->plan.agents; i++)
        crowd->agents[i] = new_agent(crowd, i);
    return crowd;
}

bool sim_crowd_is_served(const struct sim_crowd *crowd)
{
    for (unsigned i = 0; i < crowd->of->plan.agents; i++)
        if (!sim_agent_serves(crowd->agents[i]))
            return false;
    return true;
}

void sim_crowd_start(struct sim_crowd *crowd)
{
    struct sim_case *c = crowd->of;
    const struct sim_plan *p = &c->plan;
    crowd->started = true;
    for (unsigned i = 0; i < p->h2_clients; i++)
        crowd->h2_clients[i] = sim_h2_client_new(&(struct sim_h2_client_options){
            .ask = ask_options(c), .requests = &p->habits, .habits = &p->h2_habits});
    for (unsigned i = 0; i < p->frontends; i++)
        crowd->frontends[i] = sim_frontend_new(
            &(struct sim_frontend_options){.ask = ask_options(c),
                                           .habits = &p->frontend_habits,
                                           .mode = (enum sim_frontend_mode)((p->seed + i) % FRONTEND_MODES)});
}

void sim_crowd_check(struct sim_crowd *crowd)
{
    const struct sim_plan *p = &crowd->of->plan;
    for (unsigned i = 0; i < p->agents; i++)
        sim_agent_check(crowd->agents[i]);
    if (!crowd->started)
        return;
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

void sim_crowd_rest(struct sim_crowd *crowd)
{
    for (unsigned i = 0; i < crowd->of->plan.agents; i++)
        sim_agent_rest(crowd->agents[i]);
}

bool sim_crowd_is_gone(const struct sim_crowd *crowd)
{
    for (unsigned i = 0; i < crowd->of->plan.agents; i++)
        if (!sim_agent_is_done(crowd->agents[i]))
            return false;
    return sim_crowd_is_done(crowd);
}

void sim_crowd_free(struct sim_crowd **cp)
{
    struct sim_crowd *crowd = *cp;
    *cp = NULL;
    for (unsigned i = 0; i < crowd->of->plan.h2_clients; i++)
        sim_h2_client_free(&crowd->h2_clients[i]);
    for (unsigned i = 0; i < crowd->of->plan.frontends; i++)
        sim_frontend_free(&crowd->frontends[i]);
    for (unsigned i = 0; i < crowd->of->plan.agents; i++)
        sim_agent_free(&crowd->agents[i]);
    free(crowd);
}
