/* broker/front_tunnel.c — an HTTP/1.1 connection that became a tunnel: after CONNECT, or after a 101.
 *
 * kube-apiserver drops a tunnel if anything stands behind our 200 in the same read, so the destination is not
 * read from before the client has spoken or a few milliseconds have passed. From then on bytes pass unread,
 * each direction with credit and an end of its own: an end is passed on as an end, a reset as a reset. Where
 * nobody says otherwise a tunnel may be silent for ever; keepalive finds dead peers.
 */
#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front.h"
#include "broker/http/http1_write.h"
#include "io/worker.h"

static struct worker *worker_of(const struct front_conn *c)
{
    return c->bw->worker;
}

static void release(struct front_conn *c)
{
    front_set_state(c, FRONT_TUNNEL);
    exchange_release(c->exchange);
}

void front_tunnel_connected(struct front_conn *c)
{
    if (!outbox_put(&c->out, HTTP1_CONNECTED.data, HTTP1_CONNECTED.len)) {
        front_abort(c, ENDING_LIMIT);
        return;
    }
    front_set_state(c, FRONT_HOLD);
    front_tunnel_input(c);
    if (c->state == FRONT_HOLD && c->bw->broker->times.hold_ms == 0)
        release(c);
}

void front_tunnel_upgraded(struct front_conn *c)
{
    front_set_state(c, FRONT_TUNNEL);
    front_tunnel_input(c);
}

void front_tunnel_input(struct front_conn *c)
{
    if (c->state == FRONT_HOLD && !segq_empty(&c->pending))
        release(c);
    while (c->exchange && !segq_empty(&c->pending))
        exchange_body(c->exchange, segq_pop(&c->pending, &c->bw->seg_nodes), false);
    if (c->exchange && c->input_ended && !c->exchange->request_ended)
        exchange_request_end(c->exchange, NULL);
}

/* The destination has gone and the client has its last bytes to take: it may pause like anybody who reads, as
 * long as it goes on. */
static void drain(struct front_conn *c)
{
    uint64_t owed = stream_owed(c->stream);
    if (owed == c->owed)
        front_abort(c, ENDING_SLOW_READER);
    else
        front_tunnel_touch(c);
    c->owed = owed;
}

void front_tunnel_timer(struct front_conn *c)
{
    if (c->state == FRONT_TUNNEL && c->exchange->last_heard)
        drain(c);
    else if (c->state == FRONT_TUNNEL)
        front_abort(c, ENDING_IDLE_TIMEOUT);
    else if (outbox_is_empty(&c->out))
        release(c);
    else /* our 200 is still on its way */
        front_set_state(c, FRONT_HOLD);
}

/* What passes keeps a tunnel from being idle. The destination is held back from when the kernel has our 200:
 * a turn may take longer than the hold. */
void front_tunnel_touch(struct front_conn *c)
{
    if (c->state == FRONT_HOLD && outbox_is_empty(&c->out)) {
        front_set_state(c, FRONT_HOLD);
        return;
    }
    bool is_over = c->exchange && c->exchange->last_heard;
    const struct broker_times *times = &c->bw->broker->times;
    uint32_t ms = is_over ? times->client_idle_ms : times->tunnel_idle_ms;
    if (c->state == FRONT_TUNNEL && ms > 0)
        worker_arm_ms(worker_of(c), &c->timer, ms);
}
