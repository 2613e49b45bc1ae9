/* test/sim/sim_packet.c — see sim_packet.h. */
#include "sim_packet.h"

#include <stdlib.h>

#include "broker/konnectivity/packet.pb-c.h"

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
    m.type = (Konnectivity__PacketType)p->type;
    switch (p->type) {
    case SIM_DIAL_REQ:
        dial.protocol = text(p->protocol);
        dial.address = text(p->address);
        dial.random = p->random;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DIAL_REQUEST;
        m.dialrequest = &dial;
        break;
    case SIM_DIAL_RSP:
        dialled.error = text(p->error);
        dialled.connectid = p->id;
        dialled.random = p->random;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DIAL_RESPONSE;
        m.dialresponse = &dialled;
        break;
    case SIM_DATA:
        data.connectid = p->id;
        data.data = (ProtobufCBinaryData){p->len, (uint8_t *)(uintptr_t)p->data};
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DATA;
        m.data = &data;
        break;
    case SIM_CLOSE_REQ:
        close.connectid = p->id;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_REQUEST;
        m.closerequest = &close;
        break;
    case SIM_CLOSE_RSP:
        closed.error = text(p->error);
        closed.connectid = p->id;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_RESPONSE;
        m.closeresponse = &closed;
        break;
    case SIM_DIAL_CLS:
        give_up.random = p->random;
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_DIAL;
        m.closedial = &give_up;
        break;
    case SIM_DRAIN:
        m.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DRAIN;
        m.drain = &drain;
        break;
    }
    put_message(&m, out);
}

/* False: what it is about is not what its type says. */
static bool read_packet(const Konnectivity__Packet *m, struct sim_packet *ret)
{
    struct sim_packet p = {.type = (enum sim_packet_type)m->type, .protocol = "", .address = "", .error = ""};
    switch ((int)m->payload_case) { /* generated, with a value for its own size */
    case KONNECTIVITY__PACKET__PAYLOAD_DIAL_REQUEST:
        p.protocol = m->dialrequest->protocol;
        p.address = m->dialrequest->address;
        p.random = m->dialrequest->random;
        break;
    case KONNECTIVITY__PACKET__PAYLOAD_DIAL_RESPONSE:
        p.error = m->dialresponse->error;
        p.id = m->dialresponse->connectid;
        p.random = m->dialresponse->random;
        break;
    case KONNECTIVITY__PACKET__PAYLOAD_DATA:
        p.id = m->data->connectid;
        p.data = m->data->data.data;
        p.len = m->data->data.len;
        break;
    case KONNECTIVITY__PACKET__PAYLOAD_CLOSE_REQUEST: p.id = m->closerequest->connectid; break;
    case KONNECTIVITY__PACKET__PAYLOAD_CLOSE_RESPONSE:
        p.error = m->closeresponse->error;
        p.id = m->closeresponse->connectid;
        break;
    case KONNECTIVITY__PACKET__PAYLOAD_CLOSE_DIAL: p.random = m->closedial->random; break;
    default: break;
    }
    static const Konnectivity__Packet__PayloadCase members[] = {
        [SIM_DIAL_REQ] = KONNECTIVITY__PACKET__PAYLOAD_DIAL_REQUEST,
        [SIM_DIAL_RSP] = KONNECTIVITY__PACKET__PAYLOAD_DIAL_RESPONSE,
        [SIM_CLOSE_REQ] = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_REQUEST,
        [SIM_CLOSE_RSP] = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_RESPONSE,
        [SIM_DATA] = KONNECTIVITY__PACKET__PAYLOAD_DATA,
        [SIM_DIAL_CLS] = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_DIAL,
        [SIM_DRAIN] = KONNECTIVITY__PACKET__PAYLOAD_DRAIN,
    };
    *ret = p;
    return (unsigned)m->type < ARRAY_SIZE(members) && m->payload_case == members[m->type];
}

enum sim_packet_result sim_packet_take(struct sim_bytes *in, struct sim_packet *ret)
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
    Konnectivity__Packet *m = konnectivity__packet__unpack(NULL, len, bytes + PREFIX);
    sim_bytes_take(in, PREFIX + len);
    if (!m)
        return SIM_PACKET_BAD;
    bool good = read_packet(m, ret);
    ret->heard = m;
    if (!good)
        sim_packet_free(ret);
    return good ? SIM_PACKET_READ : SIM_PACKET_BAD;
}

void sim_packet_free(struct sim_packet *p)
{
    konnectivity__packet__free_unpacked(p->heard, NULL);
    p->heard = NULL;
}
