/* test/sim/sim_backend_conn.h — inside of sim_backend: a connection to one, and what it is asked on it. For
 * sim_backend.c, sim_answer.c and sim_upgrade.c alone. */
#pragma once

#include "io/engine.h"
#include "sim_backend.h"
#include "sim_http.h"
#include "sim_peer.h"

struct sim_backend {
    struct sim_net *net;
    struct sim_ledger *ledger;
    struct sim_tunnels *tunnels;
    struct sim_backend_options options;
    char host[NET_TEXT_MAX];
    struct sim_listener raw;
    struct listener listener;
    struct list conns;
    struct list peers; /* connections that became tunnels */
    uint32_t conns_now;
    uint64_t accepted, requests;
    bool listening;
};

struct backend_conn {
    struct list node;
    struct sim_backend *backend;
    struct sim_channel *channel;
    struct http_reader reader;
    struct sim_bytes in, out;
    uint64_t in_total, out_total; /* bytes read and written */
    struct sim_event think, idle;
    uint32_t id;            /* of the exchange under way; 0: none */
    uint32_t tunnel;        /* of the upgrade under way; 0: none */
    uint32_t end;           /* of that tunnel, once 101 is said */
    uint64_t answer_at;     /* out_total when the answer began */
    bool asked_for_upgrade; /* on this connection, ever: nothing else may be */
    bool becomes_tunnel;    /* once what is in `out` has been written */
    bool request_done, answer_begun, close_after, reset_after, never, peer_ended;
};

/* sim_answer.c */
void backend_answer(struct backend_conn *);
/* Puts the answer of the exchange under way into `out`, as the ledger says. */
void backend_put_length(struct backend_conn *, uint32_t id, unsigned status, uint32_t len, const char *more);
/* more: complete lines. */
void backend_put_until_close(struct backend_conn *, uint32_t id, unsigned status, uint32_t len);
void backend_cut(struct backend_conn *, uint64_t lowest, uint64_t highest);
/* Leaves so much of what is in `out`, at least one byte short of all, and closes after it. */

/* sim_upgrade.c */
bool backend_asked_for_upgrade(struct backend_conn *);
/* The head just read asks for a tunnel: notes it. False: it does not. */
void backend_answer_upgrade(struct backend_conn *);
void backend_said(struct backend_conn *);
/* More of `out` was written. */
void backend_become_tunnel(struct backend_conn *);
/* Hands the connection over to the tunnel's end: it is not this one's any more. */
