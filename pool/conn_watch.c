/* pool/conn_watch.c — what befalls a stream that is the pool's: while a connection shakes hands, is idle, is
 * promised to a lease that was not told yet, or closes. */
#include "pool/pool_priv.h"

static void on_open(struct stream *s)
{
    struct conn *c = s->owner;
    if (c->state == CONN_TLS)
        dial_secured(c);
}

/* Bytes nobody asked for: a late answer to somebody else's request, or one to none. Nothing that follows on
 * this connection can be trusted to be an answer to what is asked next. */
static void on_data(struct stream *s, struct seg seg)
{
    struct conn *c = s->owner;
    c->credit -= seg.len < c->credit ? seg.len : c->credit;
    worker_release_seg(c->endpoint->pool->worker, seg);
    if (c->promised)
        pool_on_broken_promise(c, ENDING_BAD_RESPONSE, "the destination spoke before it was asked");
    if (c->state != CONN_IDLE && c->state != CONN_LEASED)
        return;
    if (endpoint_is_single_use(c->endpoint)) {
        c->endpoint->speaks_first = true;
        demand_trim(c->endpoint);
    }
    conn_abort(c, ENDING_STALE_CONNECTION);
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct conn *c = s->owner; /* of a lessee that has gone */
    worker_release_seg(c->endpoint->pool->worker, seg);
}

static void on_end(struct stream *s)
{
    struct conn *c = s->owner;
    if (c->promised)
        pool_on_broken_promise(c, ENDING_TRUNCATED, "the destination closed before it was asked");
    if (c->state == CONN_IDLE || c->state == CONN_LEASED) {
        conn_retire(c, ENDING_STALE_CONNECTION);
    } else if (c->state == CONN_QUEUED) {
        dial_closed(c, ENDING_TRUNCATED);
        conn_abort(c, ENDING_TRUNCATED);
    }
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct conn *c = s->owner;
    if (c->state == CONN_TLS || c->state == CONN_QUEUED)
        dial_closed(c, reason);
    if (c->promised)
        pool_on_broken_promise(c, reason, "the destination closed before it was asked");
    bool unasked = c->state == CONN_IDLE || c->state == CONN_LEASED;
    conn_lost(c, unasked ? ENDING_STALE_CONNECTION : reason);
}

static const struct stream_events events = {on_open, on_data, on_sent, on_end, on_closed};

void conn_bind(struct conn *c)
{
    stream_bind(c->stream, &events, c);
}

void conn_watch(struct conn *c)
{
    conn_bind(c);
    if (c->state == CONN_TLS || c->credit > 0)
        return; /* a TLS stream reads for itself during the handshake */
    c->credit = 1;
    stream_grant(c->stream, 1);
}
