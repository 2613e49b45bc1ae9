/* test/sim/sim_packet.h — Konnectivity's packets as scripted peers say and hear them, whole, with gRPC's
 * prefix; by protobuf-c alone and not by the broker's own reader, so that a mistake in one is not confirmed
 * by the other.
 */
#pragma once

#include "broker/konnectivity/packet.pb-c.h"
#include "sim_http.h"

struct sim_packet {
    Konnectivity__PacketType type;
    int64_t id, random;
    const char *address; /* DIAL_REQ */
    const char *error;   /* DIAL_RSP, CLOSE_RSP */
    const uint8_t *data;
    size_t len;
};

void sim_packet_put(const struct sim_packet *, struct sim_bytes *out);

enum sim_packet_result { SIM_PACKET_MORE, SIM_PACKET_READ, SIM_PACKET_BAD };

enum sim_packet_result sim_packet_take(struct sim_bytes *in, Konnectivity__Packet **ret);
/* The next one that is whole, off the front; konnectivity__packet__free_unpacked() it. */
