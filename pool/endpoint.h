/* pool/endpoint.h — the table of endpoints of one worker, bounded; an endpoint is who must answer. Owner
 * worker only.
 *
 * Whoever needs an endpoint to stay pins it: every connection and every pending lease. Without pins it stays
 * for its tickets and its health until the table is full; then the one unused for longest goes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/list.h"
#include "pool/conn.h"
#include "pool/health.h"
#include "pool/pool.h"
#include "pool/tickets.h"

struct endpoint {
    struct endpoint *bucket_next;
    uint64_t hash;
    struct pool *pool;
    struct endpoint_key key;
    struct net_address literal;   /* of key.host; len 0 when it is a name */
    struct net_address expect_ip; /* what the certificate must name; len 0: a DNS name */
    struct list all_node;         /* of the table, in order of creation */
    struct list unused_node;      /* of the table while pins == 0 */
    struct list hungry_node;      /* of the pool: would dial, but the worker's dials are all taken */
    struct list served_node;      /* of the pool: served a lease, may want spares */
    uint32_t pins;
    uint32_t shares; /* leases that a connection carries, as the last one said; UINT32_MAX: not known yet, 1:
                        it is not shared */
    uint64_t served_ns;           /* single use: when a lease was served last; 0: never */
    bool speaks_first;            /* single use: the destination does, so a spare would not stay fresh */
    bool denied;                  /* the next dial waits for a place, which the last one came to need */
    bool retired;                 /* its generation is over: nothing is kept */
    struct list conns[CONN_DEAD]; /* by state; idle ones newest first */
    uint32_t counts[CONN_DEAD];
    struct list waiters; /* oldest first */
    uint32_t waiting;
    struct tickets tickets;
    struct health health;
    uint64_t full, resumed, failed, requests;
    uint64_t warned_ns; /* last line about a failed dial */
    uint32_t unwarned;  /* failed dials since without a line */
};

struct endpoint_table {
    struct slab slab;
    struct endpoint **buckets;
    uint32_t buckets_mask;
    struct list all;
    struct list unused; /* longest unused first */
};

MUST_USE int endpoint_table_init(struct endpoint_table *, uint32_t endpoints_max);
/* 0 or -ENOMEM. */
void endpoint_table_fini(struct pool *);
struct endpoint *endpoint_get(struct pool *, const struct endpoint_key *);
/* Finds or makes it, pinned. NULL: the table is full of endpoints in use, or out of memory. */
void endpoint_pin(struct endpoint *);
void endpoint_unpin(struct endpoint *);
/* May free it. */
void endpoint_retire(struct endpoint *);
/* Drops its tickets; it goes with its last pin. May free it. */
bool endpoint_key_equal(const struct endpoint_key *, const struct endpoint_key *);

static inline bool endpoint_is_single_use(const struct endpoint *e)
{
    return e->key.profile->single_use;
}

static inline uint32_t endpoint_dials(const struct endpoint *e)
{
    return e->counts[CONN_DIALLING] + e->counts[CONN_QUEUED] + e->counts[CONN_TLS];
}

/* Dials that all who wait need. */
static inline uint32_t endpoint_dials_needed(const struct endpoint *e)
{
    return (uint32_t)(((uint64_t)e->waiting + e->shares - 1) / e->shares);
}

static inline uint32_t endpoint_conns(const struct endpoint *e)
{
    uint32_t n = 0; /* closing ones hold a descriptor here and a place at the peer: they count */
    for (int state = 0; state < CONN_DEAD; state++)
        n += e->counts[state];
    return n;
}
