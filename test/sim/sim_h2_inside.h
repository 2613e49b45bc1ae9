/* test/sim/sim_h2_inside.h — inside of sim_h2.c and sim_h2_stream.c. For these two alone. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "sim_channel.h"
#include "sim_h2.h"

struct sim_h2 {
    struct sim_net *net;
    struct sim_channel *channel; /* NULL once let go of */
    nghttp2_session *session;
    struct sim_h2_habits habits;
    struct list streams;
    struct sim_bytes rest; /* made by nghttp2, and not taken by the network */
    uint64_t written, received, ping_ns;
    uint32_t owed; /* of the connection's window */
    struct sim_event pump, late, rest_over;
    void *owner;
    void (*over)(struct sim_h2 *);
    bool leaving, by_reset, gone, goaway, calmed, broken, stalled, frozen, ping_out;
};

void h2_pump_soon(struct sim_h2 *);
/* There may be something to send. */
void h2_start_session(struct sim_h2 *);
void h2_stream_lost(struct sim_h2_stream *);
/* Tells its owner, and frees it. */
void h2_stream_give_back(struct sim_h2_stream *);
/* What is owed to its window. */
