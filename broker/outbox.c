/* broker/outbox.c — see outbox.h. A segment's tag tells it apart when it comes back: TAG_LENT for a body
 * segment of the other side, else an own buffer with the number of body bytes copied into it. */
#include "broker/outbox.h"

#include <string.h>

enum { TAG_LENT = 1u << 31 };

static void on_flush(struct task *t)
{
    struct outbox *o = container_of(t, struct outbox, flush);
    if (o->unsent < OUTBOX_SEGS_MAX)
        outbox_flush(o);
}

void outbox_init(struct outbox *o, struct worker *w)
{
    *o = (struct outbox){.worker = w};
    task_init(&o->flush, on_flush);
}

void outbox_open(struct outbox *o, struct stream *s)
{
    ASSERT(o->used == 0);
    o->unsent = 0; /* an earlier stream keeps what it was given */
    o->stream = s;
}

static void give(struct outbox *o, struct seg seg)
{
    o->unsent++;
    stream_send(o->stream, seg);
}

void outbox_flush(struct outbox *o)
{
    if (o->used > 0 && o->stream) {
        struct seg seg = {o->buf, o->buf->mem, o->used, o->body};
        o->buf = NULL;
        o->used = o->body = 0;
        give(o, seg);
    }
    task_cancel(&o->flush);
}

char *outbox_reserve(struct outbox *o, uint32_t bytes)
{
    if (o->buf && o->buf->cap - o->used < bytes) {
        if (o->used > 0)
            outbox_flush(o);
        if (o->buf) { /* no stream to take it, or a small buffer for a large wish */
            buf_unref(o->buf);
            o->buf = NULL;
            o->used = o->body = 0;
        }
    }
    if (!o->buf)
        o->buf = buf_get_bytes(&o->worker->bufs, bytes);
    return o->buf ? (char *)o->buf->mem + o->used : NULL;
}

void outbox_commit(struct outbox *o, uint32_t bytes)
{
    o->used += bytes;
    ASSERT(o->used <= o->buf->cap);
    worker_defer(o->worker, &o->flush);
}

bool outbox_put(struct outbox *o, const void *bytes, size_t len)
{
    const char *from = bytes;
    while (len > 0) {
        uint32_t n = len < BUF_BIG_BYTES ? (uint32_t)len : BUF_BIG_BYTES;
        char *to = outbox_reserve(o, n);
        if (!to)
            return false;
        memcpy(to, from, n);
        outbox_commit(o, n);
        from += n;
        len -= n;
    }
    return true;
}

bool outbox_body(struct outbox *o, struct seg seg)
{
    if (seg.len > OUTBOX_COPY_MAX) {
        outbox_flush(o);
        seg.tag = TAG_LENT;
        give(o, seg);
        return true;
    }
    char *to = outbox_reserve(o, seg.len);
    if (to) {
        memcpy(to, seg.data, seg.len);
        o->body += seg.len;
        outbox_commit(o, seg.len);
    }
    worker_release_seg(o->worker, seg);
    return to != NULL;
}

struct outbox_credit outbox_sent(struct outbox *o, struct seg seg)
{
    ASSERT(o->unsent > 0);
    o->unsent--;
    if (o->used > 0 && o->unsent < OUTBOX_SEGS_MAX)
        worker_defer(o->worker, &o->flush);
    if (seg.tag == TAG_LENT)
        return (struct outbox_credit){seg.len, seg};
    buf_unref(seg.buf);
    return (struct outbox_credit){.bytes = seg.tag};
}

void outbox_reset(struct outbox *o)
{
    task_cancel(&o->flush);
    if (o->buf)
        buf_unref(o->buf);
    o->buf = NULL;
    o->used = o->body = 0;
    o->stream = NULL;
}
