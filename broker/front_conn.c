/* broker/front_conn.c — the life of a client connection.
 *
 * One enum, one table: which state may follow which, and how long a state may last. Only front_set_state()
 * writes the state, so timer and state cannot disagree. What has been received waits in `pending` and is
 * bounded by the credit (broker_worker.budget): credit comes back only for what was consumed.
 */
#include "broker/front.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_bridge.h"
#include "broker/front_http2.h"
#include "io/tls/tls.h"
#include "io/worker.h"

enum { LINGER_CREDIT = 256 * 1024 };

#define B(s) (1u << FRONT_##s)
static const struct {
    const char *name;
    uint32_t next;
    size_t limit_ms; /* offset into struct broker_times, or NO_LIMIT */
} states[FRONT_STATES] = {
#define T(field) offsetof(struct broker_times, field)
#define NO_LIMIT SIZE_MAX
    [FRONT_HANDSHAKE] = {"handshake", B(IDLE) | B(CLOSING),                                                  T(client_tls_ms) },
    [FRONT_IDLE] = {"idle",      B(HEAD) | B(EXCHANGE) | B(LINGER) | B(CLOSING),                        T(client_idle_ms)},
    [FRONT_HEAD] = {"head",      B(IDLE) | B(EXCHANGE) | B(LINGER) | B(CLOSING),                        T(head_ms)       },
    [FRONT_EXCHANGE] = {"exchange",  B(IDLE) | B(HOLD) | B(TUNNEL) | B(HANDSHAKE) | B(LINGER) | B(CLOSING),
                         NO_LIMIT                                                                                             },
    [FRONT_HOLD] = {"hold",      B(HOLD) | B(TUNNEL) | B(CLOSING),                                      T(hold_ms)       },
    [FRONT_TUNNEL] = {"tunnel",    B(LINGER) | B(CLOSING),                                                T(tunnel_idle_ms)},
    [FRONT_LINGER] = {"linger",    B(CLOSING),                                                            T(linger_ms)     },
    [FRONT_CLOSING] = {"closing",   0,                                                                     NO_LIMIT         },
#undef T
};
#undef B

static const struct stream_events front_events;

static struct worker *worker_of(const struct front_conn *c)
{
    return c->bw->worker;
}

static void watch_half_closed(struct front_conn *c);

bool front_serves_agents(const struct front_conn *c)
{
    const struct config_listener *config = c->listener->config;
    return config && config->serves == CONFIG_SERVES_AGENTS;
}

void front_set_state(struct front_conn *c, enum front_state next)
{
    ASSERT(states[c->state].next & (1u << next));
    c->state = next;
    size_t offset = states[next].limit_ms;
    uint32_t ms = offset == NO_LIMIT ? 0 : *(const uint32_t *)((const char *)&c->bw->broker->times + offset);
    if (ms)
        worker_arm_ms(worker_of(c), &c->timer, ms);
    else
        worker_disarm(worker_of(c), &c->timer);
    watch_half_closed(c);
}

/* A client that ended its direction may still want its answer, or may be gone: the bytes are the same. It is
 * taken for gone when the answer makes no step for a while, or a silent log stream would be kept for nobody.
 */
static void watch_half_closed(struct front_conn *c)
{
    if (c->state != FRONT_EXCHANGE || !c->input_ended)
        return;
    c->owed_ns = worker_of(c)->now_ns;
    worker_arm_ms(worker_of(c), &c->timer, c->bw->broker->times.half_closed_ms);
}

/* It has bytes to take, and may be slow and pause like anybody who reads, but not for ever. The kernel says
 * of a socket's client if it is gone; of one in a tunnel nobody does. */
static bool takes_nothing(struct front_conn *c)
{
    uint64_t now = worker_of(c)->now_ns, owed = stream_owed(c->stream);
    if (owed != c->owed)
        c->owed_ns = now;
    c->owed = owed;
    return now - c->owed_ns >= c->bw->broker->times.client_idle_ms * 1000000ull;
}

static void half_closed_for_long(struct front_conn *c)
{
    ASSERT(c->input_ended);
    if (outbox_is_empty(&c->out))
        front_abort(c, ENDING_CLIENT_GONE);
    else if (takes_nothing(c))
        front_abort(c, ENDING_SLOW_READER);
    else
        worker_arm_ms(worker_of(c), &c->timer, c->bw->broker->times.half_closed_ms);
}

void front_grant(struct front_conn *c, uint32_t bytes)
{
    crumbs_settle(&c->crumbs);
    if (bytes > 0 && c->state != FRONT_CLOSING && c->state != FRONT_LINGER)
        stream_grant(c->stream, bytes);
}

static void drop_pending(struct front_conn *c)
{
    while (!segq_empty(&c->pending))
        worker_release_seg(worker_of(c), segq_pop(&c->pending, &c->bw->seg_nodes));
    if (c->head_buf)
        buf_unref(c->head_buf);
    c->head_buf = NULL;
    c->head_len = 0;
    crumbs_drop(&c->crumbs);
    body_reset(&c->body);
}

static void leave_exchange(struct front_conn *c, enum ending reason)
{
    struct exchange *ex = c->exchange;
    c->exchange = NULL;
    if (ex && reason == ENDING_DONE)
        exchange_client_done(ex);
    else if (ex)
        exchange_client_gone(ex, reason);
}

void front_end(struct front_conn *c)
{
    if (c->output_ended)
        return;
    c->output_ended = true;
    outbox_flush(&c->out);
    stream_finish(c->stream);
}

void front_finish(struct front_conn *c)
{
    if (c->state == FRONT_CLOSING || c->state == FRONT_LINGER)
        return;
    drop_pending(c);
    front_set_state(c, FRONT_LINGER);
    front_end(c);
    stream_grant(c->stream, LINGER_CREDIT); /* so that a reset does not overtake our last bytes */
}

void front_abort(struct front_conn *c, enum ending reason)
{
    if (c->state == FRONT_CLOSING)
        return;
    front_set_state(c, FRONT_CLOSING);
    leave_exchange(c, reason);
    if (c->http2)
        front_http2_leave(c, reason);
    drop_pending(c);
    outbox_reset(&c->out);
    stream_abort(c->stream, reason);
}

void front_cut(struct front_conn *c, enum ending reason)
{
    if (c->state != FRONT_TUNNEL || !c->output_ended || stream_owed(c->stream) == 0) {
        front_abort(c, reason);
        return;
    }
    front_finish(c);
    leave_exchange(c, reason);
}

void front_drain(struct front_conn *c)
{
    c->keep_alive = false;
    if (c->http2)
        front_http2_drain(c);
    else if (c->state == FRONT_IDLE)
        front_finish(c);
}

void front_lost(struct front_conn *c, enum ending reason)
{
    struct broker_worker *bw = c->bw;
    leave_exchange(c, reason);
    if (c->http2) {
        front_http2_leave(c, reason);
        front_http2_free(c);
    }
    drop_pending(c);
    front_bridge_drop(c);
    outbox_reset(&c->out);
    worker_disarm(bw->worker, &c->timer);
    list_remove(&c->node);
    if (!c->inside)
        gauge_sub(bw->worker, COUNTER_front_connections, 1);
    slab_give(&bw->conns, c);
}

static void idle_for_long(struct front_conn *c)
{
    if (c->http2)
        front_http2_idle(c);
    else
        front_finish(c);
}

/* The client has our last bytes to take, and a reset would take them away. */
static void linger_on(struct front_conn *c)
{
    if (stream_owed(c->stream) == 0)
        front_abort(c, ENDING_IDLE_TIMEOUT);
    else if (takes_nothing(c))
        front_abort(c, ENDING_SLOW_READER);
    else
        worker_arm_ms(worker_of(c), &c->timer, c->bw->broker->times.linger_ms);
}

static void on_timer(struct timer *t)
{
    struct front_conn *c = container_of(t, struct front_conn, timer);
    switch (c->state) {
    case FRONT_HEAD: front_http1_error(c, 408, "request head was not complete in time", true); return;
    case FRONT_IDLE: idle_for_long(c); return;
    case FRONT_HANDSHAKE: front_abort(c, ENDING_TLS_TIMEOUT); return;
    case FRONT_LINGER: linger_on(c); return;
    case FRONT_EXCHANGE: half_closed_for_long(c); return;
    case FRONT_HOLD:
    case FRONT_TUNNEL: front_tunnel_timer(c); return;
    case FRONT_CLOSING:
    case FRONT_STATES: ASSERT(!"a state without a limit");
    }
}

/* -- events -------------------------------------------------------------------------------------------------
 */

static void refuse_client(struct front_conn *c, const char *why)
{
    struct worker *w = worker_of(c);
    counter_add(w, COUNTER_front_refused, 1);
    log_begin(w, LOG_WARN, "client_refused");
    front_log_client(c);
    log_str(w, "reason", why);
    log_end(w);
    front_abort(c, ENDING_NOT_ALLOWED);
}

static void on_open(struct stream *s)
{
    struct front_conn *c = s->owner;
    if (c->state != FRONT_HANDSHAKE)
        return;
    const struct tls_info *info = tls_stream_info(s);
    snprintf(c->client_name, sizeof(c->client_name), "%.*s", (int)sizeof(c->client_name) - 1, info->peer_cn);
    if (c->bridge ? !front_bridge_client_allowed(c) : !broker_client_allowed(c->listener->config, s)) {
        refuse_client(c, "the certificate's name is not among allowedNames");
        return;
    }
    if (front_serves_agents(c) && strcmp(info->alpn, "h2") != 0) {
        refuse_client(c, "this listener serves agents, and the client did not offer h2 by ALPN");
        return;
    }
    broker_standing(c->bw, c->listener->config, &c->peer, s, &c->standing);
    front_set_state(c, FRONT_IDLE);
    if (strcmp(info->alpn, "h2") == 0)
        front_http2_start(c);
    else if (info->alpn[0])
        c->protocol = FRONT_HTTP1;
}

/* What is pending are the first bytes of the connection, or more of them. */
static void hear_first_bytes(struct front_conn *c)
{
    c->protocol = c->listener->config ? front_http2_recognize(c) : FRONT_HTTP1;
    if (c->protocol == FRONT_HTTP1 && front_serves_agents(c))
        front_http1_error(c, 400, "this listener serves agents, which speak HTTP/2", true);
    else if (c->protocol == FRONT_HTTP1)
        front_http1_input(c);
    else if (c->protocol == FRONT_HTTP2)
        front_http2_start(c);
    else if (c->state == FRONT_IDLE)
        front_set_state(c, FRONT_HEAD);
}

static void on_data(struct stream *s, struct seg seg)
{
    struct front_conn *c = s->owner;
    if (c->state == FRONT_LINGER || c->state == FRONT_CLOSING) {
        worker_release_seg(worker_of(c), seg);
        return;
    }
    if (c->http2) {
        front_http2_data(c, seg);
        return;
    }
    seg = crumbs_collect(&c->crumbs, seg);
    front_tunnel_touch(c);
    if (c->state == FRONT_TUNNEL) {
        exchange_body(c->exchange, seg, false);
        return;
    }
    if (!segq_push(&c->pending, &c->bw->seg_nodes, seg)) {
        worker_release_seg(worker_of(c), seg);
        front_abort(c, ENDING_LIMIT);
        return;
    }
    if (c->state == FRONT_HOLD)
        front_tunnel_input(c);
    else if (c->protocol == FRONT_UNKNOWN)
        hear_first_bytes(c);
    else
        front_http1_input(c);
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct front_conn *c = s->owner;
    uint32_t len = seg.len;
    struct outbox_credit credit = outbox_sent(&c->out, seg);
    struct exchange *ex = c->exchange;
    if (credit.bytes > 0 && ex)
        exchange_credit(ex, credit);
    else if (credit.seg.buf)
        worker_release_seg(worker_of(c), credit.seg);
    watch_half_closed(c);
    front_tunnel_touch(c);
    if (c->http2)
        front_http2_sent(c, len);
    else if (outbox_is_empty(&c->out) && c->state == FRONT_EXCHANGE)
        front_http1_done(c);
}

static void on_end(struct stream *s)
{
    struct front_conn *c = s->owner;
    c->input_ended = true;
    if (c->http2) {
        watch_half_closed(c);
        front_http2_end(c);
        return;
    }
    switch (c->state) {
    case FRONT_IDLE: front_finish(c); break;
    case FRONT_HEAD: front_http1_error(c, 400, "the connection ended inside a request head", true); break;
    case FRONT_EXCHANGE:
        watch_half_closed(c);
        front_http1_input(c);
        break;
    case FRONT_HOLD:
    case FRONT_TUNNEL: front_tunnel_input(c); break;
    case FRONT_HANDSHAKE: front_abort(c, ENDING_CLIENT_GONE); break;
    case FRONT_LINGER:
    case FRONT_CLOSING:
    case FRONT_STATES: break;
    }
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct front_conn *c = s->owner;
    struct worker *w = worker_of(c);
    if (c->state == FRONT_HANDSHAKE) {
        char text[NET_TEXT_MAX];
        const struct tls_info *info = tls_stream_info(s);
        counter_add(w, COUNTER_front_tls_failed, 1);
        log_begin(w, LOG_INFO, "client_tls_failed");
        log_str(w, "peer", front_peer_text(c, text));
        log_str(w, "reason", ending_name(reason));
        log_str(w, "detail", info->detail);
        log_end(w);
    }
    bool in_tunnel = c->state == FRONT_HOLD || c->state == FRONT_TUNNEL;
    front_lost(c, in_tunnel && reason == ENDING_DONE ? ENDING_DONE : ENDING_CLIENT_GONE);
    stream_free(s);
}

static const struct stream_events front_events = {on_open, on_data, on_sent, on_end, on_closed};

void front_take_stream(struct front_conn *c, struct stream *tls)
{
    c->stream = tls;
    c->protocol = FRONT_UNKNOWN;
    c->output_ended = false;
    crumbs_drop(&c->crumbs);
    outbox_reset(&c->out);
    outbox_open(&c->out, tls);
    stream_bind(tls, &front_events, c);
    front_set_state(c, FRONT_HANDSHAKE);
    stream_grant(tls, c->bw->budget);
}

/* -- a stream that nobody wanted ----------------------------------------------------------------------------
 */

static void orphan_closed(struct stream *s, enum ending reason)
{
    (void)reason;
    stream_free(s);
}

/* Without credit there is no data, and nothing was sent: only `closed` can come. */
static const struct stream_events orphan_events = {.closed = orphan_closed};

static void abandon(struct stream *s)
{
    stream_bind(s, &orphan_events, NULL);
    stream_abort(s, ENDING_LIMIT);
}

/* -- beginning ----------------------------------------------------------------------------------------------
 */

static void begin_plain(struct front_conn *c)
{
    if (c->listener->config)
        broker_standing(c->bw, c->listener->config, &c->peer, NULL, &c->standing);
    front_set_state(c, FRONT_IDLE);
}

static struct front_conn *conn_new(struct broker_worker *bw, const struct front_listener *l,
                                   struct stream *stream, const struct net_peer *peer)
{
    struct front_conn *c = slab_take(&bw->conns);
    if (!c) {
        abandon(stream);
        return NULL;
    }
    c->bw = bw;
    c->listener = l;
    c->keep_alive = true;
    list_init(&c->node);
    timer_init(&c->timer, on_timer);
    outbox_init(&c->out, bw->worker);
    c->peer = *peer;
    return c;
}

struct front_conn *front_conn_new(struct broker_worker *bw, struct front_listener *l, struct stream *stream,
                                  const struct net_peer *peer)
{
    struct front_conn *c = conn_new(bw, l, stream, peer);
    if (!c)
        return NULL;
    if (l->tls) {
        stream = tls_accept(bw->worker, &stream, l->tls);
        if (!stream) {
            slab_give(&bw->conns, c);
            return NULL;
        }
    }
    c->stream = stream;
    outbox_open(&c->out, stream);
    stream_bind(stream, &front_events, c);
    list_add_tail(front_serves_agents(c) ? &bw->agent_fronts : &bw->fronts, &c->node);
    counter_add(bw->worker, COUNTER_accepted, 1);
    c->number = bw->worker->counters.values[COUNTER_accepted];
    counter_add(bw->worker, COUNTER_front_connections, 1);
    c->state = FRONT_HANDSHAKE;
    if (l->tls)
        worker_arm_ms(bw->worker, &c->timer, bw->broker->times.client_tls_ms);
    else
        begin_plain(c);
    stream_grant(stream, bw->budget);
    return c;
}

struct front_conn *front_conn_inside(struct front_conn *outer, struct front_bridge *bridge,
                                     struct stream *tls)
{
    struct broker_worker *bw = outer->bw;
    struct front_conn *c = conn_new(bw, outer->listener, tls, &outer->peer);
    if (!c)
        return NULL;
    c->bridge = bridge;
    c->inside = true;
    list_add_tail(&bw->fronts, &c->node);
    c->state = FRONT_EXCHANGE; /* as that of a connection that was a CONNECT's itself */
    front_take_stream(c, tls);
    return c;
}
