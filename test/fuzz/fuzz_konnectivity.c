/* test/fuzz/fuzz_konnectivity.c — libFuzzer target: gRPC's framing and Konnectivity's packets.
 *
 * The input's first byte says how the rest is cut. What must hold: however it is cut, the same packets and
 * the same bytes of DATA come out, or the same failure; no buffer is kept; a packet that we write is read
 * back.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/konnectivity/reader.h"
#include "io/buf.h"
#include "test/fuzz/fuzz.h"

/* What was read, as one number and the status. */
struct result {
    uint64_t hash, packets;
    uint32_t status;
};

static void mix(struct result *r, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++)
        r->hash = (r->hash ^ from[i]) * 1099511628211ull;
}

static void mix_slice(struct result *r, struct slice s)
{
    mix(r, &s.len, sizeof(s.len));
    mix(r, s.data, s.len);
}

static void check_written(const struct packet *p)
{
    static _Alignas(16) uint8_t room[8192];
    uint8_t bytes[PACKET_BYTES_MAX];
    struct packet again;
    if (p->type != PACKET_DIAL_RSP && p->type != PACKET_CLOSE_REQ && p->type != PACKET_CLOSE_RSP)
        return;
    uint32_t len = packet_encode(p, bytes);
    ASSERT(packet_decode(slice_of((const char *)bytes + GRPC_PREFIX, len - GRPC_PREFIX), room, sizeof(room),
                         &again));
    ASSERT(again.type == p->type && again.connect_id == p->connect_id);
    ASSERT(again.random == (p->type == PACKET_DIAL_RSP ? p->random : 0));
}

static void note(struct result *r, enum reader_result what, const struct packet *p)
{
    mix(r, &p->type, sizeof(p->type));
    mix(r, &p->connect_id, sizeof(p->connect_id));
    if (what == READ_BYTES) { /* byte by byte, since they may come in any pieces */
        for (uint32_t i = 0; i < p->data.len; i++)
            mix(r, p->data.data + i, 1);
        return;
    }
    r->packets++;
    mix(r, &p->random, sizeof(p->random));
    mix_slice(r, p->protocol);
    mix_slice(r, p->address);
    mix_slice(r, p->error);
    mix_slice(r, p->data);
    check_written(p);
}

static struct result read_all(struct buf_pool *bufs, const uint8_t *data, size_t size, size_t step)
{
    struct reader reader = {0};
    struct result r = {0};
    int64_t within = 0; /* the connection whose DATA goes on */
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        char *piece = malloc(len); /* of its own, so that a byte too many is seen */
        ASSERT(piece != NULL);
        memcpy(piece, data + at, len);
        struct slice left = slice_of(piece, len);
        struct reader_failure failure;
        struct packet p;
        enum reader_result what;
        while ((what = reader_read(&reader, bufs, &left, &p, &failure)) != READ_MORE) {
            if (what == READ_FAILED)
                r.status = failure.status;
            else if (what == READ_BYTES && p.connect_id == within)
                mix(&r, p.data.data, p.data.len);
            else
                note(&r, what, &p);
            within = what == READ_BYTES && reader.state == READER_DATA ? p.connect_id : 0;
        }
        free(piece);
    }
    reader_reset(&reader);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf_pool bufs;
    static bool ready;
    if (size < 1)
        return 0;
    if (!ready)
        buf_pool_init(&bufs, 0,
                      &(struct buf_limits){
                          {4, 4, 0}
        });
    ready = true;
    struct result whole = read_all(&bufs, data + 1, size - 1, size),
                  pieces = read_all(&bufs, data + 1, size - 1, data[0] + 1u),
                  bytes = read_all(&bufs, data + 1, size - 1, 1);
    ASSERT(whole.packets == pieces.packets && whole.packets == bytes.packets);
    ASSERT(whole.status == pieces.status && whole.status == bytes.status);
    ASSERT(whole.hash == pieces.hash && whole.hash == bytes.hash);
    ASSERT(bufs.classes[BUF_SMALL].used == 0 && bufs.classes[BUF_BIG].used == 0);
    return 0;
}
