/* test/support/pipe_stream.c — see pipe_stream.h. */
#include "test/support/pipe_stream.h"

#include <stdlib.h>
#include <string.h>

void fifo_put(struct bytes_fifo *f, const void *bytes, size_t len)
{
    if (f->from > 0) {
        memmove(f->bytes, f->bytes + f->from, f->len);
        f->from = 0;
    }
    if (f->len + len > f->cap) {
        f->cap = (f->len + len) * 2;
        f->bytes = realloc(f->bytes, f->cap);
        ASSERT(f->bytes);
    }
    if (len > 0)
        memcpy(f->bytes + f->len, bytes, len);
    f->len += len;
}

size_t fifo_get(struct bytes_fifo *f, void *to, size_t room)
{
    size_t n = f->len < room ? f->len : room;
    if (n > 0)
        memcpy(to, f->bytes + f->from, n);
    f->from += n;
    f->len -= n;
    return n;
}

void fifo_free(struct bytes_fifo *f)
{
    free(f->bytes);
    *f = (struct bytes_fifo){0};
}

static struct pipe *pipe_of(struct stream *s)
{
    return container_of(s, struct pipe, stream);
}

static void pipe_grant(struct stream *s, uint32_t bytes)
{
    struct pipe *p = pipe_of(s);
    ASSERT(!p->closed);
    p->credit += bytes;
    if (p->credit > p->credit_max)
        p->credit_max = p->credit;
}

static void pipe_send(struct stream *s, struct seg seg)
{
    struct pipe *p = pipe_of(s);
    if (p->owner_finished || p->aborted || p->closed) {
        worker_release_seg(s->worker, seg);
        return;
    }
    struct pipe_sent *n = malloc(sizeof(*n));
    ASSERT(n);
    *n = (struct pipe_sent){.seg = seg};
    *p->sending_tail = n;
    p->sending_tail = &n->next;
    p->outstanding += seg.len;
    if (p->outstanding > p->outstanding_max)
        p->outstanding_max = p->outstanding;
}

static void pipe_finish(struct stream *s)
{
    pipe_of(s)->owner_finished = true;
}

static void pipe_abort(struct stream *s, enum ending reason)
{
    struct pipe *p = pipe_of(s);
    if (p->aborted || p->closed)
        return;
    p->aborted = true;
    p->abort_reason = reason;
    if (p->peer)
        p->peer->reset = true;
}

static void pipe_free(struct stream *s)
{
    struct pipe *p = pipe_of(s);
    ASSERT(p->closed);
    if (p->peer)
        p->peer->peer = NULL;
    fifo_free(&p->to_owner);
    fifo_free(&p->from_owner);
    list_remove(&p->node);
    free(p);
}

static uint64_t pipe_owed(struct stream *s)
{
    return pipe_of(s)->outstanding + pipe_of(s)->under_way;
}

static const struct stream_ops ops = {.kind = "pipe",
                                      .grant = pipe_grant,
                                      .send = pipe_send,
                                      .finish = pipe_finish,
                                      .abort = pipe_abort,
                                      .free = pipe_free,
                                      .owed = pipe_owed};

struct pipe *pipe_new(struct world *w)
{
    struct pipe *p = calloc(1, sizeof(*p));
    ASSERT(p);
    p->stream.ops = &ops;
    p->stream.worker = &w->worker;
    p->world = w;
    p->is_open = true;
    p->sending_tail = &p->sending;
    list_init(&p->node);
    list_add_tail(&w->pipes, &p->node);
    return p;
}

void pipe_link(struct pipe *a, struct pipe *b)
{
    a->peer = b;
    b->peer = a;
}

void pipe_give(struct pipe *p, const void *bytes, size_t len)
{
    fifo_put(&p->to_owner, bytes, len);
}

void pipe_end(struct pipe *p)
{
    p->test_finished = true;
}

void pipe_reset(struct pipe *p)
{
    p->reset = true;
}

size_t pipe_take(struct pipe *p, void *to, size_t room)
{
    return fifo_get(&p->from_owner, to, room);
}

static void close_pipe(struct pipe *p, enum ending reason)
{
    while (p->sending) {
        struct pipe_sent *n = p->sending;
        p->sending = n->next;
        worker_release_seg(p->stream.worker, n->seg);
        free(n);
    }
    p->sending_tail = &p->sending;
    p->closed = true;
    p->stream.events->closed(&p->stream, reason); /* may free it */
}

static void take_sent(struct pipe *p)
{
    uint32_t left = p->take_turn ? p->take_turn : UINT32_MAX;
    while (p->sending && !p->stalled && left > 0 && !p->aborted) {
        struct pipe_sent *n = p->sending;
        p->sending = n->next;
        if (!p->sending)
            p->sending_tail = &p->sending;
        fifo_put(p->peer ? &p->peer->to_owner : &p->from_owner, n->seg.data, n->seg.len);
        p->outstanding -= n->seg.len;
        p->segs_sent++;
        left -= n->seg.len < left ? n->seg.len : left;
        p->stream.events->sent(&p->stream, n->seg);
        free(n);
    }
    if (p->owner_finished && !p->sending && p->peer)
        p->peer->test_finished = true;
}

static void give_data(struct pipe *p)
{
    uint32_t pieces = p->pieces_turn ? p->pieces_turn : UINT32_MAX;
    while (p->to_owner.len > 0 && p->credit > 0 && pieces-- > 0 && !p->aborted) {
        uint32_t n = p->credit;
        if (n > p->to_owner.len)
            n = (uint32_t)p->to_owner.len;
        if (p->piece && n > p->piece)
            n = p->piece;
        if (n > BUF_BIG_BYTES)
            n = BUF_BIG_BYTES;
        struct buf *b = buf_get_bytes(&p->world->worker.bufs, n);
        if (!b)
            return;
        fifo_get(&p->to_owner, b->mem, n);
        p->credit -= n;
        p->stream.events->data(&p->stream, (struct seg){.buf = b, .data = b->mem, .len = n});
    }
    if (p->to_owner.len == 0 && p->test_finished && !p->owner_end_told && !p->aborted && p->credit > 0) {
        p->owner_end_told = true;
        p->stream.events->end(&p->stream);
    }
}

static void pipe_turn(struct pipe *p)
{
    if (p->says_open && p->is_open && !p->aborted) {
        p->says_open = false;
        p->stream.events->open(&p->stream);
    }
    if (!p->aborted && !p->reset && p->is_open)
        take_sent(p);
    if (!p->aborted && !p->reset && p->is_open)
        give_data(p);
    if (p->aborted)
        close_pipe(p, p->abort_reason);
    else if (p->reset)
        close_pipe(p, ENDING_PEER_RESET);
    else if (p->owner_finished && !p->sending && p->owner_end_told)
        close_pipe(p, ENDING_DONE);
}

void pipes_turn(struct world *w)
{
    list_each_safe(it, tmp, &w->pipes)
    {
        struct pipe *p = list_entry(it, struct pipe, node);
        if (p->stream.events && !p->closed)
            pipe_turn(p);
    }
}
