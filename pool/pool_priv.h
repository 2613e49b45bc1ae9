/* pool/pool_priv.h — the inside of a pool, for the files of this folder. Owner worker only. */
#pragma once

#include "io/worker.h"
#include "pool/conn.h"
#include "pool/endpoint.h"
#include "pool/lease.h"
#include "pool/pool.h"
#include "pool/tickets.h"
#include "pool/transport.h"

enum { POOL_WARNINGS_PER_SECOND = 20 }; /* lines about failed dials, of all endpoints of a worker; a guess */

/* The generation of a profile that counts; older ones are over. */
struct pool_generation {
    uint32_t profile_id, generation;
};

struct pool {
    struct worker *worker;
    struct pool_options options;
    struct transport *direct, *by_path;
    bool draining;
    struct endpoint_table endpoints;
    struct ticket_store tickets;
    struct slab conns, details; /* details: of failures that are to be told */
    struct conn **by_stream;    /* TLS connections by the address of their stream */
    uint32_t by_stream_mask;
    uint64_t conns_made;
    uint32_t dials;     /* connections that hold a place, of all endpoints: what dials or shakes hands here */
    struct task settle; /* end of the turn: reaps, dials, answers */
    struct list dead;   /* connections to be reaped */
    struct list hungry[POOL_WAYS]; /* endpoints that may want to dial, by the way that needs a place first;
 first come, first served */
    struct list queued;            /* connections to be secured */
    struct list served;            /* endpoints that may want spares */
    struct list answers;           /* leases to be answered */
    uint32_t leases_pending;
    struct pool_generation *generations;
    uint32_t generations_count;
    uint64_t warnings_second; /* of the limit above */
    uint32_t warnings;
};

/* dial.c */
struct transport *dial_transport(const struct endpoint *);
/* Who dials for it. */
void dial_begin(struct endpoint *);
/* A connection for this endpoint; ends in pool_on_dialled() or pool_on_dial_failed(), as an event. */
void dial_secure(struct conn *);
/* A queued one, for which there is a place now. */
void dial_failed(struct conn *, enum ending, const char *detail);
/* Judges, counts and logs; the connection is the caller's to end. */
void dial_closed(struct conn *, enum ending);
/* The stream said `closed` before TLS was `open`. */
void dial_secured(struct conn *);
/* The TLS stream said `open`. */
void dial_forget_stream(struct conn *);

/* demand.c */
void demand_note(struct endpoint *);
/* Somebody may wait for a dial: looked at when the turn ends. */
void demand_feed(struct pool *);
/* Dials what waiters need, as far as the caps allow. */
void demand_served(struct endpoint *);
/* A lease was promised a connection: it may be time for spares. */
void demand_warm(struct pool *);
/* Dials spares where leases were served, unless somebody still waits for a dial. */
uint32_t demand_spares(const struct endpoint *);
/* How many connected sockets nobody waits for it may keep. */

void demand_trim(struct endpoint *);
/* Somebody left the waiters without being served: gives up what nobody else needs. */

/* What connections report. */
void pool_on_dialled(struct conn *);
/* Idle now, never leased. */
void pool_on_dial_failed(struct endpoint *, enum ending, const char *detail, bool opened_breaker);
void pool_on_room(struct endpoint *);
/* A dial of this endpoint has ended, or one of its connections has gone. */
void pool_on_shares(struct conn *);
/* A shared connection may have room for more, or needs others beside it. */
void pool_serve(struct lease *, struct conn *);
/* Promises it the connection. */
void pool_retire_unused(struct endpoint *, enum ending);
void pool_on_broken_promise(struct conn *, enum ending, const char *what);
/* A connection promised to a lease showed bytes or an end before the lessee was told. */
bool pool_generation_is_over(const struct pool *, const struct pool_profile *);
