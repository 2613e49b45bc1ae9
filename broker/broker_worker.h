/* broker/broker_worker.h — what the broker keeps per worker: the pool, both halves of exchanges, listeners.
 * Owner worker only, but for what `broker` shares read-only. Internal to broker/. */
#pragma once

#include "broker/exchange.h"
#include "broker/konnectivity/stats.h"
#include "io/list.h"
#include "io/slab.h"
#include "io/worker.h"

struct agent_home;
struct agents;
struct broker;
struct credentials;
struct egress;
struct front_listener;
struct pool;
struct resolver;
struct tls_mint;

struct egress_table {
    struct egress **slots;
    uint32_t count;
};

struct broker_worker {
    struct broker *broker;
    struct worker *worker;
    struct pool *pool;
    struct resolver *resolver;
    uint32_t budget; /* bytes on their way in each direction of an exchange or tunnel */
    struct slab conns, http2_fronts, http2_streams, proxy_streams, proxy_tunnels, http2_clients, exchanges,
        egresses, bridges, stream_pairs, seg_nodes, agent_nears, token_asks;
    struct slab texts;                     /* of exchanges: a tunnel that stands has none */
    struct agents *agents;                 /* NULL: no listener serves agents */
    const struct credentials *credentials; /* in force here; from one turn to the next it may be another */
    struct list identities_left;           /* replaced ones that the pool may still refer to */
    struct timer identities_timer;         /* the next look for that */
    struct tls_mint **mints;               /* [route]: of those that end TLS, else NULL */
    struct egress_table *by_sender;        /* [worker number]: egress halves by the sender's slot */
    uint64_t proxy_ids;                    /* connectIDs given on this worker */
    uint32_t *free_slots;                  /* of exchanges opened here */
    uint32_t free_count, slots_made;
    struct list fronts;            /* all client connections */
    struct list agent_fronts;      /* but those of agents */
    struct agent_home *agent_home; /* NULL: no listener serves agents */
    struct list exchanges_open;    /* all front halves */
    struct front_listener *listeners;
    unsigned listener_count;
    uint64_t http2_warned_ns; /* last line about a session with a destination that failed */
    uint32_t http2_unwarned;  /* since, without a line */
    bool draining, fronts_drained, pool_drained, agents_drained, drained;
    struct timer drain_timer;
    struct konnectivity_stats stats;
};

void drain_init(struct broker_worker *);
/* broker_run.c: before the first turn. */

static inline struct broker_worker *broker_worker_of(struct worker *w)
{
    return w->app;
}
