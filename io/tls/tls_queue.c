/* io/tls/tls_queue.c — see tls_queue.h. */
#include "io/tls/tls_queue.h"

#include <stdlib.h>
#include <string.h>

#include "io/worker.h"

enum { QUEUE_PACK_BYTES = 2048 }; /* half a small buffer: at most half of a packed buffer is wasted */

static struct seg *at(const struct tls_queue *q, uint32_t i)
{
    return &q->ring[(q->head + i) & (q->cap - 1)];
}

void tls_queue_init(struct tls_queue *q)
{
    memset(q, 0, sizeof(*q));
    q->ring = q->inline_ring;
    q->cap = TLS_QUEUE_INLINE;
}

void tls_queue_fini(struct tls_queue *q, struct worker *w)
{
    while (q->count > 0)
        worker_release_seg(w, tls_queue_pop(q));
    if (q->ring != q->inline_ring)
        free(q->ring);
    tls_queue_init(q);
}

static bool queue_grow(struct tls_queue *q)
{
    struct seg *ring = malloc(2 * (size_t)q->cap * sizeof(*ring));
    if (!ring)
        return false;
    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = *at(q, i);
    if (q->ring != q->inline_ring)
        free(q->ring);
    q->ring = ring;
    q->cap *= 2;
    q->head = 0;
    return true;
}

bool tls_queue_push(struct tls_queue *q, struct seg seg)
{
    if (q->count == q->cap && !queue_grow(q))
        return false;
    q->count++;
    *at(q, q->count - 1) = seg;
    q->bytes += seg.len;
    return true;
}

/* Room behind the last segment, when its buffer is nobody else's. */
static uint32_t tail_room(const struct tls_queue *q, const struct worker *w)
{
    if (q->count == 0)
        return 0;
    const struct seg *tail = at(q, q->count - 1);
    if (tail->buf->home != &w->bufs || tail->buf->refs != 1)
        return 0;
    return (uint32_t)(tail->buf->mem + tail->buf->cap - (tail->data + tail->len));
}

bool tls_queue_push_packed(struct tls_queue *q, struct worker *w, struct seg seg)
{
    if (q->count == 0 || seg.len > QUEUE_PACK_BYTES)
        return tls_queue_push(q, seg);
    if (tail_room(q, w) < seg.len) {
        struct buf *b = buf_get(&w->bufs, BUF_SMALL);
        if (!b)
            return tls_queue_push(q, seg);
        if (!tls_queue_push(q, (struct seg){.buf = b, .data = b->mem, .len = 0})) {
            buf_unref(b);
            return false;
        }
    }
    struct seg *tail = at(q, q->count - 1);
    memcpy(tail->data + tail->len, seg.data, seg.len);
    tail->len += seg.len;
    q->bytes += seg.len;
    worker_release_seg(w, seg);
    return true;
}

const uint8_t *tls_queue_peek(const struct tls_queue *q, uint32_t *ret_len)
{
    ASSERT(q->count > 0);
    *ret_len = at(q, 0)->len - q->offset;
    return at(q, 0)->data + q->offset;
}

uint32_t tls_queue_pieces(const struct tls_queue *q, uint64_t offset, uint32_t len, struct bytes *ret,
                          uint32_t room, uint32_t *ret_count)
{
    uint32_t done = 0;
    *ret_count = 0;
    offset += q->offset;
    for (uint32_t i = 0; i < q->count && done < len && *ret_count < room; i++) {
        const struct seg *s = at(q, i);
        if (offset >= s->len) {
            offset -= s->len;
            continue;
        }
        uint32_t n = s->len - (uint32_t)offset;
        if (n > len - done)
            n = len - done;
        ret[(*ret_count)++] = (struct bytes){s->data + offset, n};
        done += n;
        offset = 0;
    }
    return done;
}

uint32_t tls_queue_copy(const struct tls_queue *q, uint64_t offset, uint8_t *to, uint32_t len)
{
    uint32_t done = 0, count;
    struct bytes piece;
    while (done < len && tls_queue_pieces(q, offset + done, len - done, &piece, 1, &count) > 0) {
        memcpy(to + done, piece.data, piece.len);
        done += (uint32_t)piece.len;
    }
    return done;
}

void tls_queue_skip(struct tls_queue *q, uint32_t len)
{
    ASSERT(q->count > 0 && len <= at(q, 0)->len - q->offset);
    q->offset += len;
    q->bytes -= len;
}

bool tls_queue_first_is_read(const struct tls_queue *q)
{
    return q->count > 0 && q->offset == at(q, 0)->len;
}

struct seg tls_queue_pop(struct tls_queue *q)
{
    ASSERT(q->count > 0);
    struct seg seg = *at(q, 0);
    q->bytes -= seg.len - q->offset;
    q->offset = 0;
    q->head = (q->head + 1) & (q->cap - 1);
    q->count--;
    return seg;
}

void tls_queue_drop(struct tls_queue *q, struct worker *w, uint32_t len)
{
    ASSERT(len <= q->bytes);
    while (len > 0) {
        uint32_t n;
        (void)tls_queue_peek(q, &n);
        if (n > len)
            n = len;
        tls_queue_skip(q, n);
        len -= n;
        if (tls_queue_first_is_read(q))
            worker_release_seg(w, tls_queue_pop(q));
    }
}

void tls_queue_read(struct tls_queue *q, struct worker *w, uint8_t *to, uint32_t len)
{
    ASSERT(len <= q->bytes);
    tls_queue_copy(q, 0, to, len);
    tls_queue_drop(q, w, len);
}
