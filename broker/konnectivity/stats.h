/* broker/konnectivity/stats.h — what Konnectivity's proxy-server counts, under its names and labels, so that
 * dashboards and alerts made for it find what they look for.
 *
 * Every worker has its own (broker_worker.stats); the owner worker writes, any thread reads, as with
 * io/counters.h. A gauge may be
 * raised on one worker and lowered on another: what is printed is the sum of all. Only the backends are seen
 * by every worker as a whole, and the page prints what the worker that answers it sees.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "broker/konnectivity/packet.h"

struct broker;
struct broker_worker;

/* Which way a packet goes, between us and whom. */
enum stats_segment {
    STATS_FROM_CLIENT,
    STATS_TO_CLIENT,
    STATS_FROM_AGENT,
    STATS_TO_AGENT,
    STATS_SEGMENTS,
};

enum {
    STATS_PACKETS = 7,             /* enum packet_type */
    STATS_NO_PACKET = 7,           /* an error while none was under way */
    STATS_CODES = 17,              /* gRPC's, by number */
    STATS_STATUS_CANCELED = 1,     /* a stream that its peer reset, or whose connection was lost: */
    STATS_STATUS_UNAVAILABLE = 14, /* the two that no peer is ever told */
    STATS_BUCKETS = 13,            /* of the longest histogram, with the one above all bounds */
    STATS_LEASE_ROWS = 16,         /* pairs of code and reason told apart; the API server has some ten */
    STATS_LEASE_REASON = 40,       /* "RequestEntityTooLarge" is its longest */
};

/* Row: symbol, label. Why a dial did not become a connection; of one dial there may be several. */
#define STATS_DIAL_FAILURES(X)                                                                               \
    X(NO_AGENT, "no_agent")                           /* none may be chosen */                               \
    X(ERROR_RESPONSE, "error_response")               /* the agent said so */                                \
    X(UNRECOGNIZED_RESPONSE, "unrecognized_response") /* DIAL_RSP about no dial of ours */                   \
    X(SEND_RSP, "send_rsp")                           /* it succeeded, and its client could not be told */   \
    X(BACKEND_CLOSE, "backend_close")                 /* DIAL_CLS from the agent, or the agent was lost */   \
    X(BACKEND_DIAL_TIMEOUT, "backend_dial_timeout")   /* no answer in time */                                \
    X(FRONTEND_CLOSE, "frontend_close")               /* the client gave it up */

enum stats_dial_failure {
#define X(symbol, label) STATS_DIAL_##symbol,
    STATS_DIAL_FAILURES(X)
#undef X
        STATS_DIAL_FAILURE_COUNT
};

enum stats_duration {
    STATS_DIAL,           /* from DIAL_REQ to a DIAL_RSP that says yes */
    STATS_FRONTEND_WRITE, /* of a packet to a client: from its making until HTTP/2 took its last byte */
    STATS_CONNECTION,     /* of a connection through an agent */
    STATS_DURATIONS,
};

/* Row: symbol, family, labels. Rows of one family stand together. */
#define STATS_GAUGES(X)                                                                                      \
    X(PROXY_STREAMS, "grpc_connections", "{service_method=\"Proxy\"}")                                       \
    X(CONNECT_STREAMS, "grpc_connections", "{service_method=\"Connect\"}")                                   \
    X(HTTP_CONNECTIONS, "http_connections", "")   /* CONNECTs, from head to end */                           \
    X(PENDING_DIALS, "pending_backend_dials", "") /* DIAL_REQ went to an agent, no answer yet */             \
    X(ESTABLISHED, "established_connections", "") /* through agents */                                       \
    X(FULL_PROXY, "full_receive_channels", "{service_method=\"Proxy\"}") /* kept from the window */          \
    X(FULL_CONNECT, "full_receive_channels", "{service_method=\"Connect\"}")

enum stats_gauge {
#define X(symbol, family, labels) STATS_##symbol,
    STATS_GAUGES(X)
#undef X
        STATS_GAUGE_COUNT
};

/* As the proxy-server's strategies; the numbers are those of agents.strategies in the configuration. */
#define STATS_STRATEGIES(X) X(DEFAULT, "default") X(DEST_HOST, "destHost") X(DEFAULT_ROUTE, "defaultRoute")

enum stats_strategy {
#define X(symbol, label) STATS_##symbol,
    STATS_STRATEGIES(X)
#undef X
        STATS_STRATEGY_COUNT
};

enum stats_lease_call { STATS_LEASE_LIST, STATS_LEASE_DELETE, STATS_LEASE_CALLS };

struct stats_histogram {
    _Atomic uint64_t buckets[STATS_BUCKETS], sum_ns;
};

struct stats_lease_row {
    unsigned code; /* of HTTP */
    char reason[STATS_LEASE_REASON];
    _Atomic uint64_t count;
    struct stats_histogram latency;
};

struct konnectivity_stats {
    _Atomic uint64_t packets[STATS_SEGMENTS][STATS_PACKETS];
    _Atomic uint64_t errors[STATS_SEGMENTS][STATS_CODES][STATS_PACKETS + 1];
    _Atomic uint64_t dial_failures[STATS_DIAL_FAILURE_COUNT];
    _Atomic uint64_t gauges[STATS_GAUGE_COUNT];
    _Atomic uint64_t backends[STATS_STRATEGY_COUNT];
    _Atomic uint64_t culled_leases;
    struct stats_histogram durations[STATS_DURATIONS];
    struct stats_lease_row leases[STATS_LEASE_CALLS][STATS_LEASE_ROWS];
    _Atomic unsigned lease_rows[STATS_LEASE_CALLS];
};

void stats_duration(struct konnectivity_stats *, enum stats_duration, uint64_t ns);
void stats_lease_call(struct konnectivity_stats *, enum stats_lease_call, unsigned http_code,
                      const char *reason, uint64_t ns);
/* An answer of the API server: 200 and "", or its Status' code and reason. Always on the same worker. */
void stats_print(FILE *, const struct broker *, const struct broker_worker *page);
/* Prometheus' text. page: the worker that answers. */

static inline void stats_bump(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void stats_packet(struct konnectivity_stats *s, enum stats_segment segment, uint32_t type)
{
    if (type < STATS_PACKETS) /* others may come, and are ignored */
        stats_bump(&s->packets[segment][type], 1);
}

/* status: gRPC's, as the end of the stream would be told to a Go program; type: what was to be sent, or
 * STATS_NO_PACKET when nothing could be received. */
static inline void stats_stream_error(struct konnectivity_stats *s, enum stats_segment segment,
                                      unsigned status, uint32_t type)
{
    stats_bump(&s->errors[segment][status < STATS_CODES ? status : 2 /* UNKNOWN */]
                         [type < STATS_PACKETS ? type : STATS_NO_PACKET],
               1);
}

static inline void stats_dial_failed(struct konnectivity_stats *s, enum stats_dial_failure reason)
{
    stats_bump(&s->dial_failures[reason], 1);
}

static inline void stats_gauge_add(struct konnectivity_stats *s, enum stats_gauge gauge, uint64_t n)
{
    stats_bump(&s->gauges[gauge], n);
}

static inline void stats_gauge_sub(struct konnectivity_stats *s, enum stats_gauge gauge, uint64_t n)
{
    stats_bump(&s->gauges[gauge], (uint64_t)-n);
}

/* What a strategy chooses among, in the eyes of this worker: agents, by their ids, or for destHost the hosts
 * that agents stand for. DEFAULT is set whether or not the strategy is in use: it is all agents. */
static inline void stats_set_backends(struct konnectivity_stats *s, enum stats_strategy strategy,
                                      uint64_t keys)
{
    atomic_store_explicit(&s->backends[strategy], keys, memory_order_relaxed);
}

static inline uint64_t stats_backends(const struct konnectivity_stats *s, enum stats_strategy strategy)
{
    return atomic_load_explicit(&s->backends[strategy], memory_order_relaxed);
}

static inline void stats_lease_culled(struct konnectivity_stats *s)
{
    stats_bump(&s->culled_leases, 1);
}
