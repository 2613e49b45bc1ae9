/* test/support/tls_rig.c — see tls_rig.h. */
#include "test/support/tls_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note_abort(struct tls_owner *o, struct stream *s, int event)
{
    if (o->abort_at == event)
        stream_abort(s, ENDING_CANCELLED);
}

static void owner_open(struct stream *s)
{
    struct tls_owner *o = s->owner;
    ASSERT(o->opened == 0 && o->closed == 0);
    o->opened++;
    o->info = *tls_stream_info(s);
    note_abort(o, s, ABORT_ON_OPEN);
}

static void owner_data(struct stream *s, struct seg seg)
{
    struct tls_owner *o = s->owner;
    ASSERT(o->opened == 1 && o->closed == 0 && o->ended == 0 && seg.len > 0);
    o->data++;
    if (seg.len > o->piece_max)
        o->piece_max = seg.len;
    fifo_put(&o->received, seg.data, seg.len);
    uint32_t n = seg.len;
    worker_release_seg(s->worker, seg);
    ASSERT(n <= o->credit);
    o->credit -= n;
    if (o->regrant) {
        o->credit += n;
        stream_grant(s, n);
    }
    note_abort(o, s, ABORT_ON_DATA);
}

static void owner_sent(struct stream *s, struct seg seg)
{
    struct tls_owner *o = s->owner;
    ASSERT(o->closed == 0);
    o->sent++;
    o->sent_bytes += seg.len;
    worker_release_seg(s->worker, seg);
    note_abort(o, s, ABORT_ON_SENT);
}

static void owner_end(struct stream *s)
{
    struct tls_owner *o = s->owner;
    ASSERT(o->opened == 1 && o->ended == 0 && o->closed == 0);
    o->ended++;
    if (o->finish_on_end)
        stream_finish(s);
    note_abort(o, s, ABORT_ON_END);
}

static void owner_closed(struct stream *s, enum ending reason)
{
    struct tls_owner *o = s->owner;
    ASSERT(o->closed == 0);
    o->closed++;
    o->reason = reason;
    o->info = *tls_stream_info(s);
    o->stream = NULL;
    stream_free(s);
}

static const struct stream_events owner_events = {owner_open, owner_data, owner_sent, owner_end,
                                                  owner_closed};

static void owner_ticket(struct stream *s, const uint8_t *ticket, size_t len)
{
    struct tls_owner *o = s->owner;
    free(o->ticket);
    o->ticket = malloc(len);
    ASSERT(o->ticket);
    memcpy(o->ticket, ticket, len);
    o->ticket_len = len;
    o->tickets++;
    note_abort(o, s, ABORT_ON_TICKET);
}

struct tls_context *rig_context(const struct tls_context_options *options)
{
    struct tls_context *c = NULL;
    char detail[256];
    if (tls_context_new(options, &c, detail, sizeof(detail)) != 0) {
        fprintf(stderr, "context: %s\n", detail);
        abort();
    }
    return c;
}

void rig_init(struct tls_rig *r, const struct buf_limits *limits)
{
    memset(r, 0, sizeof(*r));
    world_init(&r->world, limits);
}

void rig_fini(struct tls_rig *r)
{
    world_fini(&r->world);
}

static bool rig_send_on(struct tls_rig *r, struct stream *s, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        uint32_t n = len < BUF_BIG_BYTES ? (uint32_t)len : BUF_BIG_BYTES;
        struct buf *b = buf_get_bytes(&r->world.worker.bufs, n);
        if (!b)
            return false;
        memcpy(b->mem, from, n);
        stream_send(s, (struct seg){.buf = b, .data = b->mem, .len = n});
        from += n;
        len -= n;
    }
    return true;
}

enum { FORMER_SEGS = 4096 };

/* Who had the stream below before it was taken over. */
struct former_owner {
    struct seg segs[FORMER_SEGS];
    unsigned count;
    uint32_t credit;
};

static void former_data(struct stream *s, struct seg seg)
{
    struct former_owner *f = s->owner;
    ASSERT(f->count < FORMER_SEGS && seg.len <= f->credit);
    f->credit -= seg.len;
    f->segs[f->count++] = seg;
}

static const struct stream_events former_events = {.data = former_data};

static struct stream *take_over(struct tls_rig *r, const struct rig_connect *how)
{
    static struct former_owner f;
    struct stream *lower = &r->pipe->stream;
    f.count = 0;
    f.credit = how->former_credit;
    stream_bind(lower, &former_events, &f);
    stream_grant(lower, how->former_credit);
    for (int i = 0; i < how->former_turns; i++) {
        ssl_peer_pump(&r->peer);
        world_turn(&r->world);
    }
    r->before_tls = rig_send_on(r, lower, "200 OK", 6) ? 6 : 0; /* and is still under way */
    struct stream *tls = tls_accept(&r->world.worker, &lower, how->context);
    for (unsigned i = 0; i < f.count; i++)
        tls_accept_early(tls, f.segs[i]);
    tls_accept_credit(tls, f.credit);
    return tls;
}

static struct stream *begin(struct tls_rig *r, const struct rig_connect *how, const struct tls_expect *expect)
{
    struct stream *lower = &r->pipe->stream;
    if (how->former_turns > 0)
        return take_over(r, how);
    if (how->server)
        return tls_accept(&r->world.worker, &lower, how->context);
    return tls_connect(&r->world.worker, &lower, how->context, expect, how->ticket, how->ticket_len,
                       owner_ticket);
}

void rig_connect(struct tls_rig *r, const struct rig_connect *how)
{
    struct net_address ip;
    struct tls_expect expect = {.dns_name = how->dns, .node_name = how->node};
    ASSERT(!r->connected);
    r->connected = true;
    memset(&r->owner, 0, sizeof(r->owner));
    if (how->ip) {
        ASSERT(net_address_parse(how->ip, strlen(how->ip), 10250, &ip));
        expect.ip = &ip;
    }
    r->pipe = pipe_new(&r->world);
    ssl_peer_init(&r->peer, how->peer, !how->server, r->pipe);
    r->pipe->piece = how->piece;
    r->owner.stream = begin(r, how, &expect);
    ASSERT(r->owner.stream);
    stream_bind(r->owner.stream, &owner_events, &r->owner);
}

void rig_step(struct tls_rig *r)
{
    world_turn(&r->world);
    if (!r->owner.stream)
        r->pipe = r->peer.pipe = NULL;
    uint8_t skipped[64];
    ASSERT(r->before_tls <= sizeof(skipped));
    if (r->pipe)
        r->before_tls -= pipe_take(r->pipe, skipped, r->before_tls);
    ssl_peer_pump(&r->peer);
}

bool rig_until(struct tls_rig *r, const unsigned *counter, unsigned value, int turns)
{
    while (*counter < value && turns-- > 0)
        rig_step(r);
    return *counter >= value;
}

void rig_settle(struct tls_rig *r, int turns)
{
    while (turns-- > 0)
        rig_step(r);
}

void rig_disconnect(struct tls_rig *r)
{
    if (r->owner.stream)
        stream_abort(r->owner.stream, ENDING_CANCELLED);
    ASSERT(rig_until(r, &r->owner.closed, 1, 10));
    ssl_peer_fini(&r->peer);
    fifo_free(&r->owner.received);
    free(r->owner.ticket);
    r->owner.ticket = NULL;
    r->pipe = NULL;
    r->before_tls = 0;
    r->connected = false;
}

bool rig_send(struct tls_rig *r, const void *bytes, size_t len)
{
    return rig_send_on(r, r->owner.stream, bytes, len);
}

uint8_t *rig_pattern(size_t len, unsigned seed)
{
    uint8_t *bytes = malloc(len);
    ASSERT(bytes != NULL);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
    return bytes;
}
