/* test/sim/sim_agent_pipe.h — a connection through a simulated agent: a socket that it dialled, on the other
 * side of it a connection of its call, and between them what either has not taken.
 */
#pragma once

#include "sim_call.h"

struct sim_agent_pipe {
    struct list node; /* its owner's */
    struct sim_net *net;
    struct sim_call *call;    /* NULL: it is gone */
    struct sim_sock *dialled; /* until it is connected */
    struct sim_channel *near, *far;
    struct sim_bytes to_near, to_far;
    int64_t random;
    struct sim_event timeout, answer;
    const char *error; /* of the dial; NULL: connected */
    bool answered, far_ended;
    bool plain_ends; /* a destination that resets is told as one that ends, as stock agents do */
    void *owner;
    void (*dialled_to)(struct sim_agent_pipe *);
    /* It is connected, or has an error. Not from within sim_agent_pipe_new(). */
    void (*over)(struct sim_agent_pipe *);
    /* Last of all; frees itself. */
};

struct sim_agent_pipe *sim_agent_pipe_new(struct sim_call *, const struct net_address *to,
                                          const struct net_address *from, void *owner);
/* Dials. Set the callbacks before returning to the world. */
void sim_agent_pipe_open(struct sim_agent_pipe *, int64_t id);
/* It was answered so: bytes may pass. */
void sim_agent_pipe_drop(struct sim_agent_pipe *, bool reset);
/* The agent lets go of the socket, and of the call. */
