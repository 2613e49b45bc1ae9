/* broker/broker_agents.c — what a worker needs for Konnectivity's agents, where a listener serves them: the
 * agents it knows, near halves and their transport, and the home of those that connect to it. */
#include <errno.h>

#include "broker/broker.h"
#include "broker/broker_build.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/agent_call.h"
#include "broker/konnectivity/agent_near.h"
#include "broker/konnectivity/agent_transport.h"
#include "broker/konnectivity/agents.h"

static bool serves_agents(const struct config *config)
{
    for (uint32_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].serves == CONFIG_SERVES_AGENTS)
            return true;
    return false;
}

int build_agents(struct builder *b, struct broker_worker *bw, uint32_t conns_max,
                 struct transport **ret_transport)
{
    slab_init(&bw->agent_nears, "connections through agents", sizeof(struct agent_near), conns_max);
    if (!serves_agents(b->broker->config))
        return 0;
    if (agents_new(bw, &bw->agents) < 0 || !(bw->agent_home = agent_home_new(bw, conns_max)))
        return build_fail(b, -ENOMEM, "agents");
    int rc = agent_transport_new(bw, ret_transport);
    return rc < 0 ? build_fail(b, rc, "agents") : 0;
}

void free_agents(struct broker_worker *bw)
{
    agent_home_free(&bw->agent_home);
    agents_free(&bw->agents);
    slab_fini(&bw->agent_nears);
}
