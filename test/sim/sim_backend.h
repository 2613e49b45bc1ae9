/* test/sim/sim_backend.h — a scripted HTTP/1.1 server at one address of the simulated network. It does with
 * every request what the ledger says (sim_ledger.h), checks what arrives, and counts connections against the
 * cap.
 */
#pragma once

#include "io/list.h"
#include "io/sim_net.h"
#include "sim_channel.h"
#include "sim_ledger.h"
#include "sim_tls.h"

struct engine;
struct sim_tunnels;

enum { SIM_INPUT_MAX = 64 * 1024 }; /* a backend reads no further ahead */

struct sim_backend_options {
    unsigned number;
    struct net_address address;
    uint32_t conns_cap;   /* connections held to this address at once; 0: no cap */
    uint32_t seen_max;    /* times an idempotent request may arrive: 1, or 2 where retries are made */
    uint32_t idle_close;  /* per thousand: closes a connection that became idle, after a while */
    uint64_t idle_max_ns; /* within this */
    struct engine
        *engine; /* NULL: raw. Else a server stream is taken from this engine, for TLS and the like */
    struct sim_tunnels *tunnels; /* what upgrades are meant to be */
    enum sim_trust trust; /* with an engine: how it proves who it is. Badly: no request may ever be seen */
};

struct sim_backend;

struct sim_backend *sim_backend_new(struct sim_net *, struct sim_ledger *,
                                    const struct sim_backend_options *);
void sim_backend_close(struct sim_backend *);
/* Stops listening and resets its connections. With an engine, they are gone after some turns. */
void sim_backend_free(struct sim_backend **);
/* After close; asserts that no connection is left. */
const char *sim_backend_host(const struct sim_backend *);
/* "10.0.0.1:10250" */
const char *sim_backend_scheme(const struct sim_backend *);
/* "http" or "https" */
bool sim_backend_is_trusted(const struct sim_backend *);
unsigned sim_backend_number(const struct sim_backend *);
uint32_t sim_backend_conns(const struct sim_backend *);
uint64_t sim_backend_accepted(const struct sim_backend *);
/* Connections so far. */
uint64_t sim_backend_requests(const struct sim_backend *);
/* Heads read so far. */
uint32_t sim_backend_tunnels(const struct sim_backend *);
/* Connections that became tunnels, and are there now. */
void sim_backend_check(const struct sim_backend *, uint64_t told_ns, uint32_t held_max);
/* At every step: sim_peer_check_told() for each of them; and of the others, no more bytes of an answer's body
 * than that are between it and the client. */
