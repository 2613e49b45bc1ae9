/* test/sim/sim_packet.c — see sim_packet.h. */
#include "sim_packet.h"

#include <stdlib.h>

enum { PREFIX = 5, MESSAGE_MAX = 4 * 1024 * 1024 };

static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static void put_message(const Konnectivity__Packet *p, struct sim_bytes *out)
{
    size_t len = konnectivity__packet__get_packed_size(p);
    uint8_t *bytes = malloc(PREFIX + len);
    ASSERT(bytes != NULL);
    bytes[0] = 0;
    for (unsigned i = 0; i < 4; i++)
        bytes[1 + i] = (uint8_t)(len >> (24 - 8 * i));
    konnectivity__packet__pack(p, bytes + PREFIX);
    sim_bytes_put(out, bytes, PREFIX + len);
    free(bytes);
}

void sim_packet_put(const struct sim_packet *p, struct sim_bytes *out)
{
    Konnectivity__Packet m = KONNECTIVITY__PACKET__INIT;
    Konnectivity__DialRequest dial = KONNECTIVITY__DIAL_REQUEST__INIT;
    Konnectivity__DialResponse dialled = KONNECTIVITY__DIAL_RESPONSE__INIT;
    Konnectivity__Data data = KONNECTIVITY__DATA__INIT;
    Konnectivity__CloseRequest close = KONNECTIVITY__CLOSE_REQUEST__INIT;
    Konnectivity__CloseResponse closed = KONNECTIVITY__CLOSE_RESPONSE__INIT;
    Konnectivity__CloseDial give_up = KONNECTIVITY__CLOSE_DIAL__INIT;
    Konnectivity__Drain drain = KONNECTIVITY__DRAIN__INIT;
    m.type = p->type;
    switch ((int)p->type) { /* generated, with a value for its own size */
    case KONNECTIVITY__PACKET_TYPE__DIAL_REQ:
        dial.protocol = text("tcp");
        dial.address = text(p->address);
        dial.random = p->random;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DIAL_REQUEST;
        m.dialrequest = &dial;
        break;
    case KONNECTIVITY__PACKET_TYPE__DIAL_RSP:
        dialled.error = text(p->error);
        dialled.connectid = p->id;
        dialled.random = p->random;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DIAL_RESPONSE;
        m.dialresponse = &dialled;
        break;
    case KONNECTIVITY__PACKET_TYPE__DATA:
        data.connectid = p->id;
        data.data = (ProtobufCBinaryData){p->len, (uint8_t *)(uintptr_t)p->data};
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DATA;
        m.data = &data;
        break;
    case KONNECTIVITY__PACKET_TYPE__CLOSE_REQ:
        close.connectid = p->id;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_REQUEST;
        m.closerequest = &close;
        break;
    case KONNECTIVITY__PACKET_TYPE__CLOSE_RSP:
        closed.error = text(p->error);
        closed.connectid = p->id;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_RESPONSE;
        m.closeresponse = &closed;
        break;
    case KONNECTIVITY__PACKET_TYPE__DIAL_CLS:
        give_up.random = p->random;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_DIAL;
        m.closedial = &give_up;
        break;
    case KONNECTIVITY__PACKET_TYPE__DRAIN:
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DRAIN;
        m.drain = &drain;
        break;
    default: ASSERT(!"a type of packets");
    }
    put_message(&m, out);
}

enum sim_packet_result sim_packet_take(struct sim_bytes *in, Konnectivity__Packet **ret)
{
    const uint8_t *bytes = in->mem + in->at;
    size_t have = in->len - in->at, len = 0;
    if (have < PREFIX)
        return SIM_PACKET_MORE;
    for (unsigned i = 0; i < 4; i++)
        len = len << 8 | bytes[1 + i];
    if (bytes[0] != 0 || len > MESSAGE_MAX)
        return SIM_PACKET_BAD;
    if (have < PREFIX + len)
        return SIM_PACKET_MORE;
    *ret = konnectivity__packet__unpack(NULL, len, bytes + PREFIX);
    sim_bytes_take(in, PREFIX + len);
    return *ret ? SIM_PACKET_READ : SIM_PACKET_BAD;
}
