/* broker/http2_client.c — see http2_client.h: bytes in and out, what the peer says of the connection as a
 * whole, and the ends of it.
 *
 * nghttp2 is never entered from within itself: its callbacks change objects and queue frames, and what was
 * queued is fetched by the pump at the end of the turn. A session that has failed ends its requests at once
 * and is then unused, which lets the pool end it (end()) when it likes. */
#include "broker/http2_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "io/tls/tls.h"
#include "io/worker.h"

enum { DETAIL_MAX = 160 };

static struct worker *worker_of(const struct http2_client *s)
{
    return s->bw->worker;
}

/* A line a second and worker: who fails by the connection would fill the log. */
static void warn(struct http2_client *s, const char *detail)
{
    struct worker *w = worker_of(s);
    struct broker_worker *bw = s->bw;
    counter_add(w, COUNTER_http2_client_failed, 1);
    if (bw->http2_warned_ns && w->now_ns - bw->http2_warned_ns < 1000000000u) {
        bw->http2_unwarned++;
        return;
    }
    log_begin(w, LOG_WARN, "http2_failed");
    log_u64(w, "conn", conn_id(s->conn));
    log_str(w, "peer", conn_address_text(s->conn));
    log_str(w, "detail", detail);
    log_u64(w, "suppressed", bw->http2_unwarned);
    log_end(w);
    bw->http2_warned_ns = w->now_ns;
    bw->http2_unwarned = 0;
}

/* -- failure ------------------------------------------------------------------------------------------------
 */

static struct egress *first_request(struct http2_client *s)
{
    return list_empty(&s->requests) ? NULL : list_entry(s->requests.next, struct egress, h2.node);
}

/* The connection is gone or useless, by whatever is no fault of the protocol. */
static void lose(struct http2_client *s, enum ending reason)
{
    struct egress *e;
    s->failed = true;
    conn_set_shares(s->conn, 0);
    while ((e = first_request(s)))
        egress_http2_lost(e, reason);
}

/* The peer broke the rules: it is told so, and nothing more is read of it. */
static void fail(struct http2_client *s, uint32_t code, const char *detail)
{
    struct egress *e;
    if (s->failed)
        return;
    s->failed = true;
    warn(s, detail);
    conn_set_shares(s->conn, 0);
    while ((e = first_request(s)))
        egress_http2_failed(e, detail);
    if (nghttp2_session_terminate_session(s->session, code) < 0)
        stream_abort(s->stream, ENDING_LIMIT);
    http2_client_pump(s);
}

static const char *error_text(const struct http2_client *s, char detail[DETAIL_MAX], int error)
{
    snprintf(detail, DETAIL_MAX, "HTTP/2: %s", s->error[0] ? s->error : nghttp2_strerror(error));
    return detail;
}

/* nghttp2 or the buffers are out of memory, in the middle of something. */
static void break_off(struct http2_client *s)
{
    lose(s, ENDING_LIMIT);
    stream_abort(s->stream, ENDING_LIMIT);
}

/* -- output -------------------------------------------------------------------------------------------------
 */

/* Requests that the session no longer took when they were begun. */
static void refuse_late_ones(struct http2_client *s)
{
    list_each_safe(n, tmp, &s->requests)
    {
        struct egress *e = list_entry(n, struct egress, h2.node);
        if (e->h2.id == 0)
            egress_http2_closed(e, NGHTTP2_REFUSED_STREAM);
    }
}

/* Until nothing is left, or nothing more may be. */
static bool write_frames(struct http2_client *s)
{
    while (s->unsent < HTTP2_CLIENT_UNSENT_MAX) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(s->session, &data);
        if (n < 0)
            return false;
        if (n == 0)
            return true;
        if (!outbox_put(&s->out, data, (size_t)n))
            return false;
        s->unsent += (uint32_t)n;
    }
    return true;
}

/* Requests that nghttp2 keeps back when it could have sent them: the peer has lowered its limit since.
 * Elsewhere there may be room, and what is on this connection may stay for hours. */
static void withdraw_surplus(struct http2_client *s)
{
    list_each_safe(n, tmp, &s->requests)
    {
        struct egress *e = list_entry(n, struct egress, h2.node);
        if (e->head_taken || e->h2.id == 0)
            continue;
        if (nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, e->h2.id, NGHTTP2_CANCEL) == 0)
            egress_http2_closed(e, NGHTTP2_REFUSED_STREAM);
    }
}

/* nghttp2 has found an error by itself, and has said GOAWAY: it reads no more. Without an error, and without
 * requests, that is what comes of the peer's GOAWAY. */
static bool has_given_up(const struct http2_client *s)
{
    return !nghttp2_session_want_read(s->session) && (s->error[0] || !list_empty(&s->requests));
}

static void on_pump(struct task *t)
{
    struct http2_client *s = container_of(t, struct http2_client, pump);
    char detail[DETAIL_MAX];
    refuse_late_ones(s);
    if (!write_frames(s)) {
        break_off(s);
        return;
    }
    if (has_given_up(s))
        fail(s, NGHTTP2_PROTOCOL_ERROR, error_text(s, detail, NGHTTP2_ERR_PROTO));
    if (s->unsent < HTTP2_CLIENT_UNSENT_MAX)
        withdraw_surplus(s);
}

void http2_client_pump(struct http2_client *s)
{
    worker_defer(worker_of(s), &s->pump);
}

bool http2_client_has_room(const struct http2_client *s, const struct head *head)
{
    return s->memory.used + 2 * (size_t)head->size < HTTP2_CLIENT_MEMORY_MAX - HTTP2_CLIENT_MEMORY_SPARE;
}

/* -- input --------------------------------------------------------------------------------------------------
 */

static void flush_dirty(struct http2_client *s)
{
    struct list *node;
    while ((node = list_pop(&s->dirty)))
        egress_http2_flush(list_entry(node, struct egress, h2.dirty));
}

static void read_frames(struct http2_client *s, const struct seg *seg)
{
    char detail[DETAIL_MAX];
    enum http2_flood flood = http2_watch_input(&s->watch, worker_of(s)->now_ns, seg->data, seg->len);
    if (flood != HTTP2_FLOOD_NONE) {
        snprintf(detail, sizeof detail, "HTTP/2: %s", http2_flood_text(flood));
        fail(s, NGHTTP2_ENHANCE_YOUR_CALM, detail);
        return;
    }
    s->input = seg;
    s->error[0] = '\0';
    ssize_t n = nghttp2_session_mem_recv(s->session, seg->data, seg->len);
    s->input = NULL;
    flush_dirty(s);
    if (n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE)
        break_off(s);
    else if (n < 0)
        fail(s, NGHTTP2_PROTOCOL_ERROR, error_text(s, detail, (int)n));
    else if (s->strays > HTTP2_CLIENT_STRAYS_MAX + 4 * s->begun)
        fail(s, NGHTTP2_ENHANCE_YOUR_CALM, "HTTP/2: too many frames of streams that are over");
}

static void on_open(struct stream *stream)
{
    (void)stream; /* it was */
}

static void on_data(struct stream *stream, struct seg seg)
{
    struct http2_client *s = stream->owner;
    uint32_t len = seg.len;
    ASSERT(len <= s->credit);
    s->heard_ns = worker_of(s)->now_ns;
    s->pinged_ns = 0;
    if (!s->failed)
        read_frames(s, &seg);
    worker_release_seg(worker_of(s), seg);
    stream_grant(s->stream, len);
    http2_client_pump(s);
}

static void on_sent(struct stream *stream, struct seg seg)
{
    struct http2_client *s = stream->owner;
    ASSERT(seg.len <= s->unsent);
    s->unsent -= seg.len;
    outbox_sent(&s->out, seg);
    http2_client_pump(s);
}

static void session_free(struct http2_client *s)
{
    struct worker *w = worker_of(s);
    ASSERT(list_empty(&s->requests));
    ASSERT(list_empty(&s->dirty));
    worker_disarm(w, &s->liveness);
    task_cancel(&s->pump);
    outbox_reset(&s->out);
    field_block_reset(&s->block);
    nghttp2_session_del(s->session);
    ASSERT(s->memory.used == 0);
    slab_give(&s->bw->http2_clients, s);
}

/* After its direction has ended the peer can answer nothing more. */
static void on_end(struct stream *stream)
{
    struct http2_client *s = stream->owner;
    lose(s, ENDING_DONE);
    stream_finish(stream);
}

static void on_closed(struct stream *stream, enum ending reason)
{
    struct http2_client *s = stream->owner;
    lose(s, reason);
    pool_lost(s->bw->pool, &s->conn, reason);
    session_free(s);
}

static const struct stream_events session_events = {on_open, on_data, on_sent, on_end, on_closed};

/* -- liveness -----------------------------------------------------------------------------------------------
 */

static void on_liveness(struct timer *t)
{
    struct http2_client *s = container_of(t, struct http2_client, liveness);
    uint64_t now = worker_of(s)->now_ns;
    if (list_empty(&s->requests))
        return;
    uint64_t due = s->pinged_ns ? s->pinged_ns + HTTP2_CLIENT_PING_MS * 1000000ull
                                : s->heard_ns + HTTP2_CLIENT_SILENCE_MS * 1000000ull;
    if (now < due) {
        timer_arm_at(&worker_of(s)->timers, t, due);
    } else if (s->pinged_ns) {
        warn(s, "no answer to a PING");
        lose(s, ENDING_UNREACHABLE);
        stream_abort(s->stream, ENDING_UNREACHABLE);
    } else if (nghttp2_submit_ping(s->session, NGHTTP2_FLAG_NONE, NULL) == 0) {
        s->pinged_ns = now;
        http2_client_pump(s);
        worker_arm_ms(worker_of(s), t, HTTP2_CLIENT_PING_MS);
    } else {
        break_off(s);
    }
}

/* Silence counts from when there was something to answer. */
void http2_client_watch(struct http2_client *s)
{
    struct worker *w = worker_of(s);
    if (timer_is_armed(&s->liveness))
        return;
    s->heard_ns = w->now_ns;
    s->pinged_ns = 0;
    worker_arm_ms(w, &s->liveness, HTTP2_CLIENT_SILENCE_MS);
}

/* -- begin and end ------------------------------------------------------------------------------------------
 */

static int make_options(nghttp2_option **ret)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0)
        return -ENOMEM;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_http_messaging(o, 1);           /* http2_head.c judges, and says what was wrong */
    nghttp2_option_set_max_reserved_remote_streams(o, 0); /* nothing is pushed, not even before it knows */
    nghttp2_option_set_peer_max_concurrent_streams(o, HTTP2_CLIENT_SHARES_FIRST);
    *ret = o;
    return 0;
}

static int session_new(struct http2_client *s)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *options = NULL;
    int rc = http2_client_callbacks(&callbacks);
    if (rc == 0)
        rc = make_options(&options);
    if (rc == 0 && nghttp2_session_client_new3(&s->session, callbacks, s, options, &s->memory.calls) != 0)
        rc = -ENOMEM;
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    return rc;
}

static int say_hello(struct http2_client *s)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH,          0                                            },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,  s->bw->budget                                },
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->bw->broker->response_limits.head_bytes_max},
    };
    if (nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings)) != 0 ||
        nghttp2_session_set_local_window_size(s->session, NGHTTP2_FLAG_NONE, 0, HTTP2_CLIENT_WINDOW) != 0)
        return -ENOMEM;
    return 0;
}

int http2_client_begin(struct conn *conn, void *arg)
{
    struct broker_worker *bw = arg;
    const struct tls_info *info = conn_tls_info(conn);
    if (!info || strcmp(info->alpn, "h2") != 0)
        return 0;
    struct http2_client *s = slab_take(&bw->http2_clients);
    if (!s)
        return -ENOMEM;
    s->bw = bw;
    s->conn = conn;
    s->stream = conn_stream(conn);
    list_init(&s->requests);
    list_init(&s->dirty);
    outbox_init(&s->out, bw->worker);
    task_init(&s->pump, on_pump);
    timer_init(&s->liveness, on_liveness);
    http2_memory_init(&s->memory, HTTP2_CLIENT_MEMORY_MAX);
    http2_watch_init(&s->watch, bw->worker->now_ns, 0);
    int rc = session_new(s);
    if (rc == 0)
        rc = say_hello(s);
    if (rc < 0) {
        nghttp2_session_del(s->session);
        slab_give(&bw->http2_clients, s);
        return rc;
    }
    conn_set_session(conn, s);
    outbox_open(&s->out, s->stream);
    stream_bind(s->stream, &session_events, s);
    s->credit = HTTP2_CLIENT_INPUT;
    stream_grant(s->stream, s->credit - conn_credit(conn));
    http2_client_pump(s);
    return HTTP2_CLIENT_SHARES_FIRST;
}

void http2_client_end(struct conn *conn, enum ending reason, void *arg)
{
    struct http2_client *s = conn_session(conn);
    (void)reason;
    (void)arg;
    ASSERT(list_empty(&s->requests));
    if (nghttp2_session_terminate_session(s->session, NGHTTP2_NO_ERROR) == 0 && write_frames(s))
        outbox_flush(&s->out);
    conn_set_credit(conn, s->credit);
    session_free(s);
}
