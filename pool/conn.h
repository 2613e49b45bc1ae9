/* pool/conn.h — an upstream connection and its states. Owner worker only.
 *
 *   dialling -> tls -> idle <-> leased -> closing -> dead
 *     \-> queued -/ \-> shared ----------/
 *
 * The state says which list a connection is on, which clock runs and which gauge counts it; conn_set_state()
 * alone changes any of them. Freed at the end of a turn, never inside a callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/ending.h"
#include "io/list.h"
#include "io/stream.h"
#include "io/timer.h"
#include "pool/pool.h"

struct dial;

enum conn_state {
    CONN_DIALLING, /* the transport works; no stream yet */
    CONN_QUEUED,   /* a stream that came without a place: TLS waits for one */
    CONN_TLS,      /* handshake and verification */
    CONN_IDLE,     /* ours, watched for bytes and its end */
    CONN_LEASED,   /* promised to a lease, or the lessee's */
    CONN_SHARED,   /* its session has the stream's events; carries no lease, or many */
    CONN_CLOSING,  /* we ended it; waits for the stream's `closed` */
    CONN_DEAD,     /* waits for the end of the turn */
    CONN_STATES,
};

/* Among the connects and handshakes that the worker may have under way. */
enum conn_place {
    CONN_PLACE_NONE, /* needs none: an agent dials, or it is dialled no more */
    CONN_PLACE_HELD,
    CONN_PLACE_DENIED, /* there was none when the way had come to a dial of our own */
};

enum {
    CONN_LINGER_MS = 1000, /* a polite close gets so long for the peer's part; a guess, many round trips */
    CONN_ADDRESS_MAX = 96, /* "[v6]:port", and by which agent: an id is a UUID as a rule */
};

struct conn {
    struct list node;            /* of the state's list */
    struct list queue_node;      /* queued: of the pool */
    struct conn *by_stream_next; /* TLS only: pool_conn_of_stream() */
    struct endpoint *endpoint;
    enum conn_state state;
    enum conn_place place;
    uint64_t state_ns; /* when it entered its state; shared: when its last lease ended */
    struct timer clock;
    struct dial *dial;      /* while dialling */
    struct stream *stream;  /* afterwards */
    struct lease *promised; /* leased, but the lessee was not told yet: the stream's events are still ours */
    void *session;          /* shared */
    uint32_t shares;        /* leases on it, promised ones included */
    uint32_t shares_max;    /* what the peer allows */
    bool probe;             /* this dial decides about a half-open breaker */
    enum lease_how how;     /* for the next or present lease */
    uint64_t id;
    uint32_t leases, credit;
    uint64_t started_ns, connected_ns, ready_ns;
    uint64_t age_until_ns;
    enum ending ending; /* why it is closing */
    char address[CONN_ADDRESS_MAX];
};

struct conn *conn_new(struct endpoint *);
/* Dialling, without a dial yet. NULL: no memory. */
void conn_set_state(struct conn *, enum conn_state);
const char *conn_state_name(enum conn_state);
bool conn_take_place(struct conn *);
/* False: all are taken. */
void conn_leave_place(struct conn *);
/* If it has one. Both while it is dialled; a state that is no dial holds none. */
bool conn_is_usable(const struct conn *);
/* Younger than the idle limit (when idle) and its maximum age. */
uint32_t conn_room(const struct conn *);
/* How many leases more a shared one may take; 0 for all others. */
bool conn_is_merely_aged(const struct conn *);
/* It would have room if it were younger. */
void conn_share_begin(struct conn *);
void conn_share_end(struct conn *);
void conn_retire(struct conn *, enum ending reason);
/* Ends a connection that is ours (not the lessee's) politely: DONE, AGED, IDLE_TIMEOUT, DRAINING... A shared
 * one without leases ends its session. */
void conn_abort(struct conn *, enum ending reason);
/* Ends it at once. Both also in the state of dialling, where the dial is cancelled. */
void conn_lost(struct conn *, enum ending reason);
/* `closed` was received for its stream. */
void conn_bind(struct conn *);
/* The stream's events are the pool's from now on. */
void conn_watch(struct conn *);
/* Binds, and sees to it that bytes and the end are noticed. */
void conn_reap(struct conn *);
/* Dead ones only: frees stream and memory, lets go of the endpoint. */
void conn_check(const struct conn *);
