/* test/sim/sim_packet.h — Konnectivity's packets as scripted peers say and hear them, whole, with gRPC's
 * prefix; by protobuf-c alone and not by the broker's own reader, so that a mistake in one is not confirmed
 * by the other.
 */
#pragma once

#include "sim_http.h"

/* As numbered on the wire. */
enum sim_packet_type {
    SIM_DIAL_REQ = 0,
    SIM_DIAL_RSP = 1,
    SIM_CLOSE_REQ = 2,
    SIM_CLOSE_RSP = 3,
    SIM_DATA = 4,
    SIM_DIAL_CLS = 5,
    SIM_DRAIN = 6,
};

/* What is not in a packet is 0 and "". To be said, NULL is as good. */
struct sim_packet {
    enum sim_packet_type type;
    int64_t id, random;
    const char *protocol, *address, *error;
    const uint8_t *data;
    size_t len;
    void *heard; /* what the pointers of one that was heard point into */
};

void sim_packet_put(const struct sim_packet *, struct sim_bytes *out);

enum sim_packet_result { SIM_PACKET_MORE, SIM_PACKET_READ, SIM_PACKET_BAD };

enum sim_packet_result sim_packet_take(struct sim_bytes *in, struct sim_packet *ret);
/* The next one that is whole, off the front; sim_packet_free() it. */
void sim_packet_free(struct sim_packet *);
