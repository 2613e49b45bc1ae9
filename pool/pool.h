/* pool/pool.h — upstream connections of one worker: leased, given back, retired. Owner worker only.
 *
 * An endpoint is who must answer: where, over which transport, under which TLS identity. It owns connections,
 * TLS tickets, waiters and health. A lease is answered with exactly one of: a connection (reused, resumed or
 * new), or an ending. Equality of endpoints is equality of the whole key, never of a hash.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/list.h"
#include "io/net.h"
#include "io/stream.h"
#include "io/timer.h"

struct conn;
struct endpoint;
struct pool;
struct resolver;
struct tls_context;
struct tls_info;
struct transport;
struct worker;

enum { POOL_NAME_MAX = 254, POOL_DETAIL_MAX = 160, POOL_WAYS_MAX = 4 };

/* A TLS identity towards endpoints: one per profile and trust generation. Immutable, shared, outlives its
 * users. */
struct pool_profile {
    uint32_t id;         /* of the profile in the configuration */
    uint32_t generation; /* of roots and client certificate: a reload makes a new one */
    bool tls;            /* false: plain TCP, everything below is unused */
    bool insecure;       /* no verification */
    bool resumption;
    bool shared;     /* a connection may turn out to carry many leases: pool_options.sharing is asked */
    bool single_use; /* opaque tunnels, upgrades: each lease has a connection of its own, that is not lent
                        again */
    struct tls_context *context;
    char server_name[POOL_NAME_MAX]; /* expected instead of the dialled name; "" when unused */
};

enum pool_way {
    POOL_WAY_DIRECT,
    POOL_WAY_AGENT,
    POOL_WAYS,
};

const char *pool_way_name(enum pool_way);

/* The ways that a connection may take to an endpoint, in the order in which they are tried. Immutable,
 * shared, outlives its users. Paths that differ have different ids; what differs in `agents` does, too. */
struct pool_path {
    uint32_t id; /* from 1 */
    uint8_t way_count;
    uint8_t ways[POOL_WAYS_MAX]; /* enum pool_way, each once */
    const void *agents; /* which agents may carry it: for pool_options.agents, which knows the type */
};

/* Identity of an endpoint. Zero it before filling: it is compared field by field. */
struct endpoint_key {
    const struct pool_profile *profile;
    const struct pool_path *path; /* NULL: directly */
    char host[POOL_NAME_MAX];     /* IP literal or lower-case DNS name */
    uint16_t port;
    char node_name[POOL_NAME_MAX]; /* expected system:node:<name>; "" when not asked */
    uint32_t rules; /* which addresses the name may lead to: a number for address_allowed(); part of the
                       identity */
};

struct pool_limits {
    uint32_t endpoints_max;
    uint32_t conns_per_endpoint_max; /* single-use ones not counted: how many there may be is the lessee's */
    uint32_t waiters_per_endpoint_max;
    uint32_t
        dials_in_flight_max; /* of this worker: connects and handshakes; dials of agents are not counted */
    uint32_t tickets_per_endpoint_max;
    uint32_t warm_spares; /* connected sockets kept for a single-use endpoint without TLS that was used within
                             idle_ms; 0 to 2 */
    uint32_t wait_ms, idle_ms, age_max_ms, age_jitter_percent;
    uint32_t resolve_ms, connect_ms, tls_ms;
    uint32_t dial_ms; /* all three together, and what a path with ways may take; 0: no limit of its own */
    uint32_t breaker_failures, backoff_min_ms, backoff_max_ms;
};

/* Who makes connections carry many leases at a time (HTTP/2). The owner keeps a session for each of them,
 * which has the stream's events from begin() on. */
struct pool_sharing {
    int (*begin)(struct conn *, void *owner);
    /* Asked for each new connection of a profile that may share. > 0: it has a session now, and so many
     * leases may be on it, or as many as the last one of the endpoint carried, until conn_set_shares(); 0: it
     * is an ordinary one; -ENOMEM. */
    void (*end)(struct conn *, enum ending, void *owner);
    /* No lease is on it and none will be: the session says its goodbye on the stream, tells the credit left
     * (conn_set_credit()) and is gone when this returns; the pool ends the stream. */
    void *owner;
};

struct pool_options {
    struct pool_limits limits;
    struct resolver *resolver; /* NULL: only IP literals can be dialled */
    bool (*address_allowed)(const struct net_address *, const char *host, uint32_t rules, void *policy);
    /* Asked for every address before it is dialled, resolved or literal; NULL: all are allowed. */
    void *policy;
    struct pool_sharing sharing;
    struct transport *agents; /* of POOL_WAY_AGENT; taken by pool_new(), also when it fails. NULL: there are
                                 none, and that way is answered with NO_AGENT */
};

enum lease_how {
    LEASE_REUSED, /* was idle; also a spare that nobody has used */
    LEASE_RESUMED,
    LEASE_NEW, /* full handshake, or plain TCP */
};

/* Embedded by the lessee, zeroed before its first use. Durations are filled when it is answered. */
struct lease {
    struct list node; /* pool's, as everything up to `detail` */
    struct timer wait;
    struct endpoint *endpoint; /* NULL when not pending */
    struct conn *conn;         /* promised, until granted() is called */
    uint64_t asked_ns, deadline_ns;
    bool answered; /* stands in the queue of answers, not among the waiters */
    enum lease_how how;
    enum ending ending;
    char *detail; /* NULL: there is no more to say than the ending does */
    void *owner;
    bool fresh;   /* ask for a connection that was not used before (retry, upgrade) */
    bool at_once; /* of a single-use endpoint: LIMIT instead of waiting until a dial may begin */
    void (*granted)(struct lease *, struct conn *, enum lease_how);
    void (*failed)(struct lease *, enum ending, const char *detail);
    /* detail: one line for people, lent; never secret */
    uint64_t queue_ns, dial_ns, tls_ns;
};

MUST_USE int pool_new(struct worker *, const struct pool_options *, struct pool **ret);
/* 0 or -ENOMEM. */
void pool_drain(struct pool *);
/* Fails waiters with DRAINING, retires idle connections, closes others as they come back. */
bool pool_is_empty(const struct pool *);
/* No connection, dial or waiter is left. After drain this comes true within the linger of the last one. */
void pool_free(struct pool **);
/* Asserts pool_is_empty(). */

void pool_retire_generation(struct pool *, uint32_t profile_id, uint32_t generation);
/* `generation` of this profile is the one that counts from now on: tickets of older ones are dropped, their
 * idle connections are closed, leased ones close when they come back. */
bool pool_uses_generation(const struct pool *, uint32_t profile_id, uint32_t generation);
/* Something still refers to that profile: it must not be freed yet. Walks all endpoints. */

uint64_t endpoint_key_hash(const struct endpoint_key *);
/* Also chooses the home worker: hash modulo workers. The same for all generations of a profile, so that a
 * reload moves no endpoint to another worker. */
void pool_lease(struct pool *, const struct endpoint_key *, struct lease *, uint64_t deadline_ns);
/* Answers by granted or failed, as an event (never from inside this call), by the deadline. A lease that
 * waits for a connection in use, rather than for a dial, is answered after wait_ms at the latest. */
void pool_cancel(struct pool *, struct lease *);
/* The lessee has gone: neither callback will come. A dial under way goes on for the pool, but not one of a
 * single-use endpoint. Harmless if answered. */

struct stream *conn_stream(struct conn *);
/* The lessee (of a shared connection: the session alone) binds its own events while it holds the lease, and
 * grants credit on top of what is there. */
uint32_t conn_credit(const struct conn *);
/* What the stream may still deliver when it is granted to a lease. 0 of a new single-use connection: the peer
 * may be the one who speaks first. */
void conn_set_credit(struct conn *, uint32_t);
/* Said by the lessee before pool_give_back(): granted and not used up. */
const struct tls_info *conn_tls_info(const struct conn *);
/* What the handshake found; NULL for plain TCP. */
uint64_t conn_id(const struct conn *);
/* Number of the connection on this worker, for log lines. */
bool conn_was_reused(const struct conn *);
const char *conn_address_text(const struct conn *);
void *conn_session(const struct conn *);
/* Of a shared connection; NULL: the lessee has the connection for itself. */
void conn_set_session(struct conn *, void *session);
/* From within pool_sharing.begin(). */
void conn_set_shares(struct conn *, uint32_t leases);
/* By the session, when the peer says how many; those that are there stay. 0: no more, and it ends with the
 * last of them. */
void pool_give_back(struct pool *, struct conn **);
/* Takes *conn, nulls it. At a message boundary, nothing buffered, both directions open, all sent segments
 * back. A single-use one is closed. Of a shared connection: this lease is over, by whichever end. */
void pool_discard(struct pool *, struct conn **, enum ending reason);
/* Takes *conn, nulls it: the connection is aborted (or closed politely when reason is DONE). Not after the
 * lessee saw `closed`: that is pool_lost(). Health is judged by the reason. A shared connection goes on. */
void pool_lost(struct pool *, struct conn **, enum ending reason);
/* The lessee received `closed` on the stream: the pool frees it and judges health by the reason. For shared
 * connections by the session, which has ended the leases on it before. */

/* For the status page: walks endpoints in a stable order. */
struct endpoint_status {
    const struct endpoint_key *key;
    uint32_t idle, leased, shared, shares, dialling, waiters, tickets; /* shares: leases on shared ones */
    bool breaker_open;
    uint64_t full, resumed, failed, requests;
    enum ending last_failure;
    char last_detail[POOL_DETAIL_MAX];
};
void pool_each_endpoint(const struct pool *, bool (*visit)(const struct endpoint_status *, void *),
                        void *arg);
/* Stops when visit returns false. */
void pool_check(const struct pool *);
/* Asserts every invariant: lists against states, gauges against lists, caps. For tests and debug builds. */
