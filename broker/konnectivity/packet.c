/* broker/konnectivity/packet.c — see packet.h.
 *
 * protobuf-c copies every string it decodes, and keeps what it does not know: both go into the caller's room
 * from front to back, and nothing of it is freed. When the room is full, decoding fails.
 */
#include "broker/konnectivity/packet.h"

#include <stdalign.h>

#include "broker/konnectivity/packet.pb-c.h"

/* -- decoding -----------------------------------------------------------------------------------------------
 */

struct room {
    uint8_t *at;
    size_t left;
};

static void *room_take(void *arg, size_t size)
{
    struct room *room = arg;
    size_t whole = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (whole < size || whole > room->left)
        return NULL;
    void *taken = room->at;
    room->at += whole;
    room->left -= whole;
    return taken;
}

static void room_keep(void *arg, void *object)
{
    (void)arg;
    (void)object;
}

/* Dispatch is on the type, not on which member is there: one that is not reads as zeros. */
static void take_member(const Konnectivity__Packet *from, struct packet *to)
{
    switch ((int)from->payload_case) { /* generated, with a value for "none" and one for its own size */
    case KONNECTIVITY__PACKET__PAYLOAD_DIAL_REQUEST:
        if (to->type != PACKET_DIAL_REQ)
            return;
        to->protocol = slice_of_text(from->dialrequest->protocol);
        to->address = slice_of_text(from->dialrequest->address);
        to->random = from->dialrequest->random;
        return;
    case KONNECTIVITY__PACKET__PAYLOAD_DIAL_RESPONSE:
        if (to->type != PACKET_DIAL_RSP)
            return;
        to->error = slice_of_text(from->dialresponse->error);
        to->connect_id = from->dialresponse->connectid;
        to->random = from->dialresponse->random;
        return;
    case KONNECTIVITY__PACKET__PAYLOAD_DATA:
        if (to->type != PACKET_DATA)
            return;
        to->connect_id = from->data->connectid;
        to->data = slice_of((const char *)from->data->data.data, from->data->data.len);
        return;
    case KONNECTIVITY__PACKET__PAYLOAD_CLOSE_REQUEST:
        if (to->type == PACKET_CLOSE_REQ)
            to->connect_id = from->closerequest->connectid;
        return;
    case KONNECTIVITY__PACKET__PAYLOAD_CLOSE_RESPONSE:
        if (to->type != PACKET_CLOSE_RSP)
            return;
        to->error = slice_of_text(from->closeresponse->error);
        to->connect_id = from->closeresponse->connectid;
        return;
    case KONNECTIVITY__PACKET__PAYLOAD_CLOSE_DIAL:
        if (to->type == PACKET_DIAL_CLS)
            to->random = from->closedial->random;
        return;
    }
}

bool packet_decode(struct slice bytes, void *room, size_t room_len, struct packet *ret_packet)
{
    struct room left = {room, room_len};
    ProtobufCAllocator allocator = {room_take, room_keep, &left};
    const Konnectivity__Packet *decoded = konnectivity__packet__unpack(&allocator, bytes.len,
                                                                       (const uint8_t *)bytes.data);
    if (!decoded)
        return false;
    *ret_packet = (struct packet){.type = (uint32_t)decoded->type,
                                  .protocol = SLICE(""),
                                  .address = SLICE(""),
                                  .error = SLICE(""),
                                  .data = SLICE("")};
    take_member(decoded, ret_packet);
    return true;
}

/* -- encoding -----------------------------------------------------------------------------------------------
 */

static void put_prefix(uint8_t *to, uint32_t len)
{
    to[0] = 0; /* not compressed */
    for (int i = 0; i < 4; i++)
        to[1 + i] = (uint8_t)(len >> (24 - 8 * i));
}

/* Cut where it does not fit. */
static char *text_of(struct slice from, char *to, uint32_t max)
{
    uint32_t len = from.len < max ? from.len : max;
    if (len > 0)
        memcpy(to, from.data, len);
    to[len] = '\0';
    return to;
}

uint32_t packet_encode(const struct packet *p, uint8_t to[PACKET_BYTES_MAX])
{
    char protocol[8], text[PACKET_ADDRESS_MAX + 1];
    Konnectivity__Packet message = KONNECTIVITY__PACKET__INIT;
    Konnectivity__DialRequest ask = KONNECTIVITY__DIAL_REQUEST__INIT;
    Konnectivity__DialResponse dial = KONNECTIVITY__DIAL_RESPONSE__INIT;
    Konnectivity__CloseRequest request = KONNECTIVITY__CLOSE_REQUEST__INIT;
    Konnectivity__CloseResponse response = KONNECTIVITY__CLOSE_RESPONSE__INIT;
    message.type = (Konnectivity__PacketType)p->type;
    if (p->type == PACKET_DIAL_REQ) {
        ask.protocol = text_of(p->protocol, protocol, sizeof(protocol) - 1);
        ask.address = text_of(p->address, text, PACKET_ADDRESS_MAX);
        ask.random = p->random;
        message.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DIAL_REQUEST;
        message.dialrequest = &ask;
    } else if (p->type == PACKET_DIAL_RSP) {
        dial.error = text_of(p->error, text, PACKET_TEXT_MAX);
        dial.connectid = p->connect_id;
        dial.random = p->random;
        message.payload_case = KONNECTIVITY__PACKET__PAYLOAD_DIAL_RESPONSE;
        message.dialresponse = &dial;
    } else if (p->type == PACKET_CLOSE_REQ) {
        request.connectid = p->connect_id;
        message.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_REQUEST;
        message.closerequest = &request;
    } else {
        ASSERT(p->type == PACKET_CLOSE_RSP);
        response.error = text_of(p->error, text, PACKET_TEXT_MAX);
        response.connectid = p->connect_id;
        message.payload_case = KONNECTIVITY__PACKET__PAYLOAD_CLOSE_RESPONSE;
        message.closeresponse = &response;
    }
    size_t len = konnectivity__packet__get_packed_size(&message);
    ASSERT(GRPC_PREFIX + len <= PACKET_BYTES_MAX);
    put_prefix(to, (uint32_t)len);
    konnectivity__packet__pack(&message, to + GRPC_PREFIX);
    return GRPC_PREFIX + (uint32_t)len;
}

/* -- the head of DATA ---------------------------------------------------------------------------------------
 */

enum { TAG_TYPE = 0x08, TAG_DATA = 0x22, TAG_CONNECT_ID = 0x08, TAG_BYTES = 0x1a, VARINT_MAX = 10 };

struct cursor {
    const uint8_t *at, *end;
    bool failed, short_of_bytes;
};

static uint64_t read_varint(struct cursor *c)
{
    uint64_t value = 0;
    for (int i = 0; i < VARINT_MAX; i++) {
        if (c->at == c->end) {
            c->short_of_bytes = true;
            return 0;
        }
        uint8_t byte = *c->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return value;
    }
    c->failed = true;
    return 0;
}

static void expect(struct cursor *c, uint8_t byte)
{
    if (c->failed || c->short_of_bytes)
        return;
    if (c->at == c->end)
        c->short_of_bytes = true;
    else if (*c->at++ != byte)
        c->failed = true;
}

/* The length of something that ends where the message does. */
static void expect_rest(struct cursor *c, const uint8_t *begin, uint32_t message_len)
{
    if (c->failed || c->short_of_bytes)
        return;
    uint64_t len = read_varint(c);
    if (!c->failed && !c->short_of_bytes)
        c->failed = (uint64_t)(c->at - begin) + len != message_len;
}

int packet_data_head(const uint8_t *bytes, uint32_t len, uint32_t message_len, int64_t *ret_connect_id)
{
    uint32_t seen = len < PACKET_DATA_HEAD_MAX ? len : PACKET_DATA_HEAD_MAX;
    uint64_t id = 0;
    if (seen > message_len)
        seen = message_len;
    struct cursor c = {.at = bytes, .end = bytes + seen};
    expect(&c, TAG_TYPE);
    expect(&c, PACKET_DATA);
    expect(&c, TAG_DATA);
    expect_rest(&c, bytes, message_len);
    expect(&c, TAG_CONNECT_ID);
    if (!c.failed && !c.short_of_bytes)
        id = read_varint(&c);
    expect(&c, TAG_BYTES);
    expect_rest(&c, bytes, message_len);
    bool all_seen = seen == PACKET_DATA_HEAD_MAX || seen == message_len;
    if (c.failed || (c.short_of_bytes && all_seen))
        return -1;
    if (c.short_of_bytes)
        return 0;
    *ret_connect_id = (int64_t)id;
    return (int)(c.at - bytes);
}

static uint8_t *put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

static uint32_t varint_len(uint64_t value)
{
    uint8_t room[VARINT_MAX];
    return (uint32_t)(put_varint(room, value) - room);
}

uint32_t packet_write_data_head(uint8_t to[PACKET_BYTES_MAX], int64_t connect_id, uint32_t data_len)
{
    ASSERT(data_len > 0);
    uint64_t id = (uint64_t)connect_id;
    uint32_t member_len = 1 + varint_len(id) + 1 + varint_len(data_len) + data_len;
    uint8_t *at = to + GRPC_PREFIX;
    *at++ = TAG_TYPE;
    *at++ = PACKET_DATA;
    *at++ = TAG_DATA;
    at = put_varint(at, member_len);
    *at++ = TAG_CONNECT_ID;
    at = put_varint(at, id);
    *at++ = TAG_BYTES;
    at = put_varint(at, data_len);
    uint32_t head_len = (uint32_t)(at - to);
    put_prefix(to, head_len - GRPC_PREFIX + data_len);
    return head_len;
}
