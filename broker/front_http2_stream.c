/* broker/front_http2_stream.c — one stream of a client: a request in, its exchange, and how both end.
 *
 * A stream is nghttp2's and ours at the same time. nghttp2 forgets it when both directions have ended or it
 * was reset; ours stays until its exchange has heard its last word, too, because the exchange calls it. A
 * reset of the client's is an abort and never a clean end: a tunnel ends cleanly only when END_STREAM went
 * both ways.
 */
#include "broker/front_http2.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "io/worker.h"

enum {
    DRAIN_MS = 30000 /* for bytes of a tunnel that the client does not take after both sides have ended, as in
                        front_tunnel.c */
};

#define B(s) (1u << HTTP2_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[HTTP2_STREAM_STATES] = {
    [HTTP2_HEAD] = {"head",   B(ASKED) | B(CALL) | B(LAST) | B(CUT)   },
    [HTTP2_ASKED] = {"asked",  B(ANSWER) | B(TUNNEL) | B(LAST) | B(CUT)},
    [HTTP2_ANSWER] = {"answer", B(LAST) | B(CUT)                        },
    [HTTP2_TUNNEL] = {"tunnel", B(LAST) | B(CUT)                        },
    [HTTP2_CALL] = {"call",   B(LAST) | B(CUT)                        },
    [HTTP2_LAST] = {"last",   B(CUT) | B(CLOSED)                      },
    [HTTP2_CUT] = {"cut",    0                                       },
    [HTTP2_CLOSED] = {"closed", 0                                       },
};
#undef B

static struct worker *worker_of(const struct http2_stream *s)
{
    return s->session->conn->bw->worker;
}

void http2_stream_set_state(struct http2_stream *s, enum http2_stream_state next)
{
    ASSERT(states[s->state].next & (1u << next));
    s->state = next;
}

/* -- birth and end ------------------------------------------------------------------------------------------
 */

/* RFC 9113 section 8.1: what is still to come of the request is not wanted. */
static void stop_request(struct http2_stream *s)
{
    http2_submitted(s->session,
                    nghttp2_submit_rst_stream(s->session->session, NGHTTP2_FLAG_NONE, s->id, s->last_code));
}

/* A tunnel that was cut when its destination had ended already: the client has its last bytes to take. */
static bool is_cut_after_its_end(const struct http2_stream *s)
{
    return s->state == HTTP2_LAST && s->last_code == NGHTTP2_CONNECT_ERROR && !s->reply_sent;
}

static void on_timer(struct timer *t)
{
    struct http2_stream *s = container_of(t, struct http2_stream, timer);
    if (is_cut_after_its_end(s))
        http2_stream_reset(s, NGHTTP2_CANCEL, ENDING_SLOW_READER);
    else if (s->state == HTTP2_LAST)
        stop_request(s);
    else
        http2_stream_reset(s, NGHTTP2_CANCEL,
                           s->exchange->last_heard ? ENDING_SLOW_READER : ENDING_IDLE_TIMEOUT);
}

struct http2_stream *http2_stream_new(struct front_http2 *h, int32_t id)
{
    struct http2_stream *s = slab_take(&h->conn->bw->http2_streams);
    if (!s)
        return NULL;
    s->session = h;
    s->id = id;
    s->began_ns = worker_of(s)->now_ns;
    s->last_code = NGHTTP2_NO_ERROR;
    list_init(&s->node);
    list_init(&s->dirty);
    timer_init(&s->timer, on_timer);
    list_add_tail(&h->streams, &s->node);
    h->stream_count++;
    return s;
}

static void drop_request(struct http2_stream *s)
{
    struct broker_worker *bw = s->session->conn->bw;
    list_remove(&s->dirty);
    gather_drop(&s->gathered);
    while (!segq_empty(&s->early))
        worker_release_seg(bw->worker, segq_pop(&s->early, &bw->seg_nodes));
    http2_consumed(s->session, s->uncredited);
    s->uncredited = 0;
}

static void forget(struct http2_stream *s)
{
    ASSERT(!s->exchange && !s->call);
    drop_request(s);
    http2_reply_drop(s);
    worker_disarm(worker_of(s), &s->timer);
    list_remove(&s->node);
    slab_give(&s->session->conn->bw->http2_streams, s);
}

/* Its exchange is over for this client, for that reason. */
static void leave_exchange(struct http2_stream *s, enum ending reason)
{
    struct exchange *ex = s->exchange;
    s->exchange = NULL;
    worker_disarm(worker_of(s), &s->timer);
    if (ex)
        exchange_client_gone(ex, reason);
    struct http2_call *call = s->call;
    s->call = NULL;
    if (call)
        call->ops->gone(call, reason);
}

static bool has_heard_all(const struct exchange *ex)
{
    return ex->last_heard || ex->progress == EXCHANGE_BEGUN;
}

static void complete(struct http2_stream *s)
{
    struct exchange *ex = s->exchange;
    s->exchange = NULL;
    drop_request(s);
    exchange_complete(ex);
}

void http2_stream_reset(struct http2_stream *s, uint32_t code, enum ending reason)
{
    struct front_http2 *h = s->session;
    if (s->state == HTTP2_CUT)
        return;
    http2_stream_set_state(s, HTTP2_CUT);
    leave_exchange(s, reason);
    drop_request(s);
    http2_reply_drop(s);
    http2_submitted(h, nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, code));
}

/* A client that is still sending is told to stop, but not at once: curl 7.88 throws the answer away when the
 * RST_STREAM comes together with it, and clients that know better have stopped by then. Its window stays shut
 * meanwhile. */
void http2_stream_replied(struct http2_stream *s)
{
    s->reply_sent = true;
    if (s->state != HTTP2_LAST)
        return;
    if (s->exchange && has_heard_all(s->exchange))
        complete(s);
    if (!s->request_ended && s->last_code != NGHTTP2_NO_ERROR)
        stop_request(s);
    else if (!s->request_ended)
        worker_arm_ms(worker_of(s), &s->timer, s->session->conn->bw->broker->times.linger_ms);
}

void http2_stream_closed(struct http2_stream *s)
{
    struct exchange *ex = s->exchange;
    bool clean = s->reply_sent && !s->reset_by_client;
    s->session->stream_count--;
    if (ex && s->state == HTTP2_TUNNEL && clean && s->request_ended) {
        s->exchange = NULL;
        if (ex->last_heard)
            exchange_complete(ex);
        else
            exchange_client_done(ex);
    } else if (ex && s->state == HTTP2_LAST && s->reply_sent) {
        worker_disarm(worker_of(s), &s->timer);
        http2_stream_set_state(s, HTTP2_CLOSED);
        return;
    } else {
        leave_exchange(s, ENDING_CLIENT_GONE);
    }
    forget(s);
}

void http2_stream_leave(struct http2_stream *s, enum ending reason)
{
    if (s->state != HTTP2_CLOSED) {
        nghttp2_session_set_stream_user_data(s->session->session, s->id, NULL);
        s->session->stream_count--;
    }
    leave_exchange(s, reason);
    forget(s);
}

void http2_stream_touch(struct http2_stream *s)
{
    bool cut = is_cut_after_its_end(s);
    if (!cut && (s->state != HTTP2_TUNNEL || !s->exchange))
        return;
    uint32_t ms = cut || s->exchange->last_heard ? DRAIN_MS
                                                 : s->session->conn->bw->broker->times.tunnel_idle_ms;
    if (ms > 0)
        worker_arm_ms(worker_of(s), &s->timer, ms);
}

/* -- the exchange's calls -----------------------------------------------------------------------------------
 */

static void on_head(void *asker, struct head *head)
{
    http2_reply_head(asker, head);
}

/* Gives what came before the tunnel stood. */
static void on_connected(void *asker)
{
    struct http2_stream *s = asker;
    struct broker_worker *bw = s->session->conn->bw;
    http2_reply_connected(s);
    if (s->state != HTTP2_TUNNEL)
        return;
    while (!segq_empty(&s->early))
        exchange_body(s->exchange, segq_pop(&s->early, &bw->seg_nodes), false);
    if (s->request_ended)
        exchange_request_end(s->exchange, NULL);
    exchange_release(s->exchange);
    http2_stream_touch(s);
}

static void on_data(void *asker, struct seg seg)
{
    http2_stream_touch(asker);
    http2_reply_data(asker, seg);
}

static void on_fin(void *asker)
{
    http2_reply_end(asker, NULL);
}

static void on_end(void *asker, const struct head *trailers)
{
    http2_reply_end(asker, trailers);
}

static void on_refuse(void *asker, unsigned status, const char *text)
{
    struct http2_stream *s = asker;
    http2_watch_answered(&s->session->watch);
    http2_reply_text(s, status, s->exchange->ending, text);
}

/* What was queued before the end goes, and the end with it; a client that is still sending is told afterwards
 * that nobody takes it. */
static void cut_after_its_end(struct http2_stream *s, enum ending reason)
{
    s->last_code = NGHTTP2_CONNECT_ERROR;
    http2_stream_set_state(s, HTTP2_LAST);
    leave_exchange(s, reason);
    drop_request(s);
    http2_stream_touch(s);
}

/* RFC 9113 section 8.5: what a TCP connection's end that was no FIN becomes. */
static void on_cut(void *asker, enum ending reason)
{
    struct http2_stream *s = asker;
    if (s->state == HTTP2_CLOSED)
        http2_stream_leave(s, reason);
    else if (s->state == HTTP2_TUNNEL && s->reply_ended && !s->reply_sent)
        cut_after_its_end(s, reason);
    else
        http2_stream_reset(s, s->state == HTTP2_TUNNEL ? NGHTTP2_CONNECT_ERROR : NGHTTP2_INTERNAL_ERROR,
                           reason);
}

static void on_grant(void *asker, uint32_t bytes)
{
    struct http2_stream *s = asker;
    struct front_http2 *h = s->session;
    ASSERT(s->uncredited >= bytes);
    s->uncredited -= bytes;
    http2_consumed(h, bytes);
    if (s->uncredited == 0)
        gather_settle(&s->gathered);
    http2_stream_touch(s);
    if (s->state == HTTP2_CLOSED || s->request_ended)
        return;
    http2_submitted(h, nghttp2_session_consume_stream(h->session, s->id, bytes));
}

static void on_heard(void *asker)
{
    struct http2_stream *s = asker;
    if (s->state == HTTP2_CLOSED) {
        complete(s);
        forget(s);
    } else if (s->state == HTTP2_LAST && s->reply_sent) {
        complete(s);
    } else if (s->state == HTTP2_TUNNEL) {
        http2_stream_touch(s);
    } else {
        http2_reply_end(s, NULL);
    }
}

const struct asker_ops http2_asker = {.protocol = "h2",
                                      .head = on_head,
                                      .connected = on_connected,
                                      .data = on_data,
                                      .fin = on_fin,
                                      .end = on_end,
                                      .refuse = on_refuse,
                                      .cut = on_cut,
                                      .grant = on_grant,
                                      .heard = on_heard};
