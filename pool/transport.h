/* pool/transport.h — how a stream to an endpoint comes about. Owner worker only.
 *
 * A transport turns host and port into an open stream: directly (transport_direct.c), through an agent, or by
 * whichever of several ways a path names (transport_path.c). It knows nothing of pools, TLS or HTTP.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/ending.h"
#include "io/net.h"
#include "pool/pool.h"

struct dial;
struct stream;
struct transport;
struct worker;

enum {
    DIAL_ADDRESSES_MAX = 8
}; /* tried of one name; a guess: the answer of a round-robin name is cut here */

/* Lent for the call. Exactly one of stream (open, owned by the receiver, who binds its events) and an ending.
 */
struct dial_answer {
    struct stream *stream;
    enum ending ending;
    const char *address; /* connected, or told of in `detail`; "" when it did not come to dialling */
    const char *detail;
};

struct dial_request {
    const char *host; /* IP literal or name; lent until the dial is answered or cancelled */
    uint16_t port;
    uint32_t rules;               /* of the endpoint, for the policy */
    const struct pool_path *path; /* of the endpoint; NULL: directly */
    uint64_t deadline_ns;
    uint64_t wanted_ns; /* until when somebody waits for it, as far as is known; at most deadline_ns */
    void (*answered)(void *owner, const struct dial_answer *);
    bool (*may_go)(void *owner, enum pool_way);
    /* Asked when a way of the path has its turn, also from within dial(). False: this way fails with LIMIT.
     */
    void *owner;
};

struct transport_ops {
    const char *kind;
    struct dial *(*dial)(struct transport *, const struct dial_request *);
    /* Answers once, as an event, by the deadline at the latest. NULL: out of dials. */
    void (*cancel)(struct transport *, struct dial **);
    /* No answer will come. */
    bool (*is_idle)(const struct transport *);
    /* Nothing is left of any dial, cancelled ones included. */
    void (*free)(struct transport **);
};

struct transport {
    const struct transport_ops *ops;
};

MUST_USE int transport_direct_new(struct worker *, const struct pool_options *, struct transport **ret);
/* 0 or -ENOMEM. */

/* transport_path.c: the ways of a path, one after the other */
MUST_USE int transport_path_new(struct worker *, struct transport *const ways[POOL_WAYS],
                                struct transport **ret);
/* 0 or -ENOMEM. Dials of requests that have a path. The transports of the ways are the caller's and outlive
 * it; NULL: there is none of that way. */
bool path_falls_through(enum ending);
/* Whether a dial that ended so may be tried by the next way: the way failed, and not the destination. */
