/* broker/front_http2_ping.c — the answers to a client's PINGs, and when they go.
 *
 * grpc-go sends a PING with the first DATA that it receives while none of its PINGs is unanswered, to measure
 * the path (internal/transport/bdp_estimator.go). An agent that is asked to dial makes two or three of them,
 * and each that is answered at once costs a wake, a TLS record and a send, beside the two that the dial needs
 * (bench/run --only W8). While one is unanswered there is no other. So a PING that comes soon after the last
 * answer is held until the next step, when what else may wait goes too, and its answer goes behind that: DATA
 * ahead of it makes no PING.
 *
 * A PING is never held behind bodies, and rarely while there are any: where DATA flows the client's windows
 * grow by quick answers, so there it is answered at once and ahead of the next frame. One that comes while
 * another is held shows that somebody else asks; then both are answered. So no more than one is held, and
 * what nghttp2 has to send is bounded by it and by http2_watch.h as if it had answered by itself.
 */
#include "broker/front_http2.h"

#include <string.h>

#include "broker/broker_worker.h"
#include "io/worker.h"

static const uint64_t step_ns = HTTP2_STEP_MS * UINT64_C(1000000);

static struct worker *worker_of(const struct front_http2 *h)
{
    return h->conn->bw->worker;
}

uint64_t http2_step_at(uint64_t ns)
{
    return (ns + step_ns - 1) / step_ns * step_ns;
}

static void answer(struct front_http2 *h, const uint8_t *data)
{
    int rc = nghttp2_submit_ping(h->session, NGHTTP2_FLAG_ACK, data);
    h->ping.answered_ns = worker_of(h)->now_ns;
    h->ping.passed = 0;
    if (rc == NGHTTP2_ERR_FLOODED) /* it reads none of them */
        http2_flooded(h, HTTP2_FLOOD_PING);
    else
        http2_submitted(h, rc);
}

static void answer_held(struct front_http2 *h)
{
    worker_disarm(worker_of(h), &h->ping.timer);
    h->ping.state = HTTP2_PING_NONE;
    answer(h, h->ping.data);
}

static void on_timer(struct timer *t)
{
    struct front_http2 *h = container_of(t, struct front_http2, ping.timer);
    h->ping.state = HTTP2_PING_DUE;
    http2_pump_later(h);
}

void http2_ping_init(struct front_http2 *h)
{
    timer_init(&h->ping.timer, on_timer);
}

void http2_ping_came(struct front_http2 *h, const uint8_t data[HTTP2_PING_BYTES])
{
    struct http2_ping *p = &h->ping;
    bool was_held = p->state != HTTP2_PING_NONE;
    if (was_held)
        answer_held(h);
    bool soon = p->answered_ns != 0 && worker_of(h)->now_ns - p->answered_ns < step_ns;
    if (was_held || !soon || p->passed >= HTTP2_PING_FLOW || p->parting) {
        answer(h, data);
        return;
    }
    memcpy(p->data, data, HTTP2_PING_BYTES);
    p->state = HTTP2_PING_HELD;
    timer_arm_at(&worker_of(h)->timers, &p->timer, http2_step_at(worker_of(h)->now_ns + 1));
}

void http2_ping_passed(struct front_http2 *h, uint32_t bytes)
{
    struct http2_ping *p = &h->ping;
    if (p->passed < HTTP2_PING_FLOW)
        p->passed += bytes;
    if (p->state != HTTP2_PING_NONE && p->passed >= HTTP2_PING_FLOW)
        answer_held(h);
}

bool http2_ping_settle(struct front_http2 *h)
{
    if (h->ping.state != HTTP2_PING_DUE)
        return false;
    answer_held(h);
    return true;
}

void http2_ping_part(struct front_http2 *h)
{
    h->ping.parting = true;
    if (h->ping.state != HTTP2_PING_NONE)
        answer_held(h);
}

void http2_ping_leave(struct front_http2 *h)
{
    worker_disarm(worker_of(h), &h->ping.timer);
}
