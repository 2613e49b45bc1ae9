/* io/sim_stream.h — the streams of one simulated engine. For engine_sim.c alone; owner worker only, and they
 * live as long as their engine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/list.h"
#include "io/slab.h"
#include "io/stream.h"

struct sim_net;
struct sim_sock;

struct sim_streams {
    struct sim_net *net;
    struct worker *worker;
    uint64_t *last_id; /* of the whole world: a trace names each stream once */
    struct list ready; /* those that have something to do or to tell */
    struct list all;
    struct slab slab, seg_nodes;
};

void sim_streams_init(struct sim_streams *, struct sim_net *, struct worker *, uint64_t *last_id);
void sim_streams_fini(struct sim_streams *);
/* Asserts that every stream has been freed. */
bool sim_streams_have_work(const struct sim_streams *);
void sim_streams_turn(struct sim_streams *);
/* Serves each that was ready when it began, in an order left to chance. */

MUST_USE struct stream *sim_stream_new(struct sim_streams *, struct sim_sock *, bool connected);
/* The socket is the stream's from now on; NULL when out of memory, and the socket is reset. */
