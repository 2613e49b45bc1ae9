/* test/sim/sim_peer.h — one end of a tunnel at work: says what its script tells, checks what it hears, ends
 * or breaks off as told. Over a connection that was opened, asked for or accepted by somebody else.
 */
#pragma once

#include "io/list.h"
#include "io/sim_net.h"
#include "sim_channel.h"
#include "sim_tunnel.h"

struct sim_peer {
    struct list node; /* its owner's */
    struct sim_tunnels *book;
    struct sim_channel *channel;
    uint32_t end;
    uint64_t before_out, before_in; /* bytes of the connection that were not the tunnel's */
    uint64_t since_ns;
    struct sim_event begin, pause, rest, life;
    bool begun, pausing, stopped;
    void *owner;
    void (*over)(struct sim_peer *);
    /* Last of all; the connection was let go of. Frees it. */
};

struct sim_peer_options {
    struct sim_tunnels *book;
    struct sim_channel *channel; /* taken; its events are this end's from now on */
    uint32_t end;                /* with its script; what it has said already is counted there */
    uint64_t before_out, before_in;
    void *owner;
    void (*over)(struct sim_peer *);
};

struct sim_peer *sim_peer_new(const struct sim_peer_options *);
/* Begins by itself, as an event. */
void sim_peer_input(struct sim_peer *, const uint8_t *, size_t);
/* Bytes that came with what was before. Before returning to the world. */
void sim_peer_input_end(struct sim_peer *);
void sim_peer_break(struct sim_peer *);
/* Resets; `over` is called. */
void sim_peer_free(struct sim_peer **);
/* After `over`. */
void sim_peer_check_held(const struct sim_peer *, uint32_t held_max);
/* Of a client's end: no direction of the tunnel has more bytes between the ends than that. */
void sim_peer_check_told(const struct sim_peer *, uint64_t told_ns);
/* The other end did not break off longer ago than that. */
