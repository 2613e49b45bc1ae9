/* broker/konnectivity/reader.c — see reader.h.
 *
 * A peer that writes as every known one does has its DATA recognised in the first bytes, wherever they are
 * cut. DATA in any other shape that protobuf allows is decoded like the rest and has to be small.
 */
#include "broker/konnectivity/reader.h"

#define B(s) (1u << READER_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[READER_STATES] = {
    [READER_PREFIX] = {"prefix", B(HEAD) | B(FAILED)                        },
    [READER_HEAD] = {"head",   B(DATA) | B(PACKET) | B(PREFIX) | B(FAILED)},
    [READER_PACKET] = {"packet", B(PREFIX) | B(FAILED)                      },
    [READER_DATA] = {"data",   B(PREFIX)                                  },
    [READER_FAILED] = {"failed", 0                                          },
};
#undef B

static void set_state(struct reader *r, enum reader_state next)
{
    ASSERT(states[r->state].next & (1u << next));
    r->state = next;
}

static enum reader_result fail(struct reader *r, struct reader_failure *ret_failure, enum grpc_status status,
                               const char *text)
{
    reader_reset(r);
    set_state(r, READER_FAILED);
    *ret_failure = (struct reader_failure){status, text};
    return READ_FAILED;
}

void reader_reset(struct reader *r)
{
    if (r->buf)
        buf_unref(r->buf);
    r->buf = NULL;
}

/* Up to `most` bytes from the front. */
static struct slice cut(struct slice *bytes, uint32_t most)
{
    struct slice taken = slice_first(*bytes, bytes->len < most ? bytes->len : most);
    *bytes = slice_from(*bytes, taken.len);
    return taken;
}

static void keep_head(struct reader *r, struct slice bytes)
{
    ASSERT(r->head_len + bytes.len <= sizeof(r->head));
    memcpy(r->head + r->head_len, bytes.data, bytes.len);
    r->head_len += bytes.len;
}

/* -- prefix -------------------------------------------------------------------------------------------------
 */

static enum reader_result read_prefix(struct reader *r, struct slice *bytes,
                                      struct reader_failure *ret_failure)
{
    keep_head(r, cut(bytes, GRPC_PREFIX - r->head_len));
    if (r->head_len < GRPC_PREFIX)
        return READ_MORE;
    if (r->head[0] > 1)
        return fail(r, ret_failure, GRPC_INTERNAL, "a message's flag is neither 0 nor 1");
    if (r->head[0] == 1)
        return fail(r, ret_failure, GRPC_UNIMPLEMENTED, "compressed messages are not accepted");
    r->message_len = (uint32_t)r->head[1] << 24 | (uint32_t)r->head[2] << 16 | (uint32_t)r->head[3] << 8 |
                     r->head[4];
    if (r->message_len > READER_MESSAGE_MAX)
        return fail(r, ret_failure, GRPC_RESOURCE_EXHAUSTED, "a message of more than 4194304 bytes");
    r->head_len = r->have = 0;
    set_state(r, READER_HEAD);
    return READ_MORE;
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

/* A quarter for the packet, the rest for what it is decoded into. */
static bool make_room(struct reader *r, struct buf_pool *bufs)
{
    r->buf = buf_get(bufs, r->message_len <= BUF_SMALL_BYTES / 4 ? BUF_SMALL : BUF_BIG);
    return r->buf != NULL;
}

static void append(struct reader *r, const void *bytes, uint32_t len)
{
    if (len > 0)
        memcpy(r->buf->mem + r->have, bytes, len);
    r->have += len;
}

static enum reader_result begin_packet(struct reader *r, struct buf_pool *bufs,
                                       struct reader_failure *ret_failure)
{
    if (r->message_len > READER_PACKET_MAX)
        return fail(r, ret_failure, GRPC_RESOURCE_EXHAUSTED,
                    "a packet of more than 16384 bytes that is not DATA as clients write it");
    if (!make_room(r, bufs))
        return fail(r, ret_failure, GRPC_RESOURCE_EXHAUSTED, "out of buffers");
    set_state(r, READER_PACKET);
    append(r, r->head, r->head_len);
    return READ_MORE;
}

static enum reader_result read_packet(struct reader *r, struct slice *bytes, struct packet *ret_packet,
                                      struct reader_failure *ret_failure)
{
    struct slice more = cut(bytes, r->message_len - r->have);
    append(r, more.data, more.len);
    if (r->have < r->message_len)
        return READ_MORE;
    uint32_t quarter = r->buf->cap / 4;
    if (!packet_decode(slice_of((const char *)r->buf->mem, r->message_len), r->buf->mem + quarter,
                       r->buf->cap - quarter, ret_packet))
        return fail(r, ret_failure, GRPC_INTERNAL, "a message that is no packet");
    r->head_len = 0;
    set_state(r, READER_PREFIX);
    return READ_PACKET;
}

/* -- data ---------------------------------------------------------------------------------------------------
 */

/* As much of the first bytes as tells DATA from others. */
static enum reader_result read_head(struct reader *r, struct buf_pool *bufs, struct slice *bytes,
                                    struct reader_failure *ret_failure)
{
    int n = 0;
    if (r->head_len == 0) { /* mostly it is all there */
        n = packet_data_head((const uint8_t *)bytes->data, bytes->len, r->message_len, &r->connect_id);
        if (n > 0)
            cut(bytes, (uint32_t)n);
        else if (n == 0)
            keep_head(r, cut(bytes, bytes->len));
    }
    while (n == 0 && bytes->len > 0) {
        keep_head(r, cut(bytes, 1));
        n = packet_data_head(r->head, r->head_len, r->message_len, &r->connect_id);
    }
    if (n == 0)
        return READ_MORE;
    if (n < 0)
        return begin_packet(r, bufs, ret_failure);
    r->have = (uint32_t)n;
    set_state(r, READER_DATA);
    return READ_MORE;
}

static enum reader_result read_data(struct reader *r, struct slice *bytes, struct packet *ret_packet)
{
    struct slice data = cut(bytes, r->message_len - r->have);
    r->have += data.len;
    if (r->have == r->message_len) {
        r->head_len = 0;
        set_state(r, READER_PREFIX);
    }
    if (data.len == 0)
        return READ_MORE;
    *ret_packet = (struct packet){.type = PACKET_DATA, .connect_id = r->connect_id, .data = data};
    return READ_BYTES;
}

enum reader_result reader_read(struct reader *r, struct buf_pool *bufs, struct slice *bytes,
                               struct packet *ret_packet, struct reader_failure *ret_failure)
{
    enum reader_result result = READ_MORE;
    if (r->state == READER_PREFIX)
        reader_reset(r); /* of the packet that was handed out */
    /* A message may be empty, and then its packet is complete although nothing is left. */
    while (result == READ_MORE &&
           (bytes->len > 0 || (r->state >= READER_HEAD && r->message_len == r->have))) {
        switch (r->state) {
        case READER_PREFIX: result = read_prefix(r, bytes, ret_failure); break;
        case READER_HEAD: result = read_head(r, bufs, bytes, ret_failure); break;
        case READER_PACKET: result = read_packet(r, bytes, ret_packet, ret_failure); break;
        case READER_DATA: result = read_data(r, bytes, ret_packet); break;
        case READER_FAILED: return READ_MORE;
        case READER_STATES: ASSERT(!"a state of a reader");
        }
    }
    return result;
}
