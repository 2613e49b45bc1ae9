/* broker/konnectivity/agent_transport.h — streams through Konnectivity's agents, for pool_options.agents.
 * Owner worker only. */
#pragma once

#include "io/attributes.h"

struct broker_worker;
struct transport;

MUST_USE int agent_transport_new(struct broker_worker *, struct transport **ret);
/* 0 or -ENOMEM. The worker's agents (agents.h) outlive it. */
