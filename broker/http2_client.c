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

static struct worker *worker_of(const struct http2_client *s)
{
    return s->bw->worker;
}

static void warn(struct http2_client *s, const char *detail)
{
    struct worker *w = worker_of(s);
    counter_add(w, COUNTER_http2_client_failed, 1);
    log_begin(w, LOG_WARN, "http2_failed");
    log_u64(w, "conn", conn_id(s->conn));
    log_str(w, "peer", conn_address_text(s->conn));
    log_str(w, "detail", detail);
    log_end(w);
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

static void on_pump(struct task *t)
{
    struct http2_client *s = container_of(t, struct http2_client, pump);
    refuse_late_ones(s);
    if (!write_frames(s))
        break_off(s);
}

void http2_client_pump(struct http2_client *s)
{
    worker_defer(worker_of(s), &s->pump);
}

bool http2_client_has_room(const struct http2_client *s, const struct head *head)
{
    return s->memory.used + 2 * (size_t)head->size < HTTP2_CLIENT_MEMORY_MAX - HTTP2_CLIENT_MEMORY_SPARE;
}

/* -- nghttp2's callbacks ------------------------------------------------------------------------------------
 */

static struct egress *request_of(nghttp2_session *session, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2_client *s = arg;
    (void)session;
    (void)frame;
    field_block_reset(&s->block);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct http2_client *s = arg;
    (void)flags;
    if (request_of(session, frame->hd.stream_id))
        field_block_add(&s->block, &worker_of(s)->bufs, &s->bw->broker->response_limits,
                        slice_of((const char *)name, name_len), slice_of((const char *)value, value_len));
    return 0;
}

static void on_settings(struct http2_client *s)
{
    uint32_t max = nghttp2_session_get_remote_settings(s->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (!s->failed && nghttp2_session_check_request_allowed(s->session))
        conn_set_shares(s->conn, max < HTTP2_CLIENT_SHARES_MAX ? max : HTTP2_CLIENT_SHARES_MAX);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2_client *s = arg;
    struct egress *e = request_of(session, frame->hd.stream_id);
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (e)
            egress_http2_fields(e, &s->block, ended);
        field_block_reset(&s->block);
        break;
    case NGHTTP2_DATA:
        if (e && ended)
            egress_http2_end(e);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            on_settings(s);
        break;
    case NGHTTP2_GOAWAY: /* nghttp2 then closes the streams that the peer has not begun */
        conn_set_shares(s->conn, 0);
        break;
    }
    return 0;
}

/* The connection's window is opened at once; a stream's when the client has taken the bytes. */
static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *arg)
{
    struct egress *e = request_of(session, id);
    (void)flags;
    (void)arg;
    if (nghttp2_session_consume_connection(session, len) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (e)
        egress_http2_data(e, data, (uint32_t)len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct egress *e = request_of(session, id);
    (void)arg;
    if (e)
        egress_http2_closed(e, code);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct egress *e = request_of(session, frame->hd.stream_id);
    (void)arg;
    if (e && frame->hd.type == NGHTTP2_HEADERS)
        e->head_taken = true;
    return 0;
}

/* A request that was queued, and that GOAWAY overtook: it has no stream that could be closed. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct http2_client *s = arg;
    (void)session;
    (void)error;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    list_each_safe(n, tmp, &s->requests)
    {
        struct egress *e = list_entry(n, struct egress, h2.node);
        if (e->h2.id != frame->hd.stream_id)
            continue;
        egress_http2_closed(e, NGHTTP2_REFUSED_STREAM);
        break;
    }
    return 0;
}

static int on_error(nghttp2_session *session, int error, const char *text, size_t len, void *arg)
{
    struct http2_client *s = arg;
    (void)session;
    (void)error;
    snprintf(s->error, sizeof s->error, "%.*s", (int)len, text);
    return 0;
}

static int make_callbacks(nghttp2_session_callbacks **ret)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(c, egress_http2_send);
    nghttp2_session_callbacks_set_error_callback2(c, on_error);
    *ret = c;
    return 0;
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
    char detail[160];
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
    bool over = !nghttp2_session_want_read(s->session); /* also after the peer's GOAWAY, without a request */
    if (n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE) {
        break_off(s);
    } else if (n < 0 || (over && (s->error[0] || !list_empty(&s->requests)))) {
        snprintf(detail, sizeof detail, "HTTP/2: %s",
                 s->error[0] ? s->error : nghttp2_strerror(n < 0 ? (int)n : NGHTTP2_ERR_PROTO));
        fail(s, NGHTTP2_PROTOCOL_ERROR, detail);
    }
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
    nghttp2_option_set_no_http_messaging(o, 1); /* http2_head.c judges, and says what was wrong */
    nghttp2_option_set_peer_max_concurrent_streams(o, HTTP2_CLIENT_SHARES_FIRST);
    *ret = o;
    return 0;
}

static int session_new(struct http2_client *s)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *options = NULL;
    int rc = make_callbacks(&callbacks);
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
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,  EXCHANGE_BUDGET                              },
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
