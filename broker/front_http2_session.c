/* broker/front_http2_session.c — nghttp2's side of a client connection: how its session is made, and what it
 * calls.
 *
 * nghttp2 keeps frames, windows, compression and the order of what goes; which requests are good is not asked
 * of it. Callbacks may submit frames and may not call nghttp2 otherwise, so nothing here ends the connection:
 * what went wrong is noted for the pump.
 */
#include "broker/front_http2.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "io/worker.h"

static struct worker *worker_of(const struct front_http2 *h)
{
    return h->conn->bw->worker;
}

/* -- in ------------------------------------------------------------------------------------
 */

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* RFC 9113 section 6.3. nghttp2 does not look at what it was told to ignore. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *arg)
{
    struct front_http2 *h = arg;
    (void)session;
    if (frame->type == NGHTTP2_PRIORITY && frame->stream_id == 0)
        http2_refuse(h, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct front_http2 *h = arg;
    field_block_reset(&h->block);
    if (stream_of(session, frame->hd.stream_id))
        return 0;
    struct http2_stream *s = h->refusal == NGHTTP2_NO_ERROR ? http2_stream_new(h, frame->hd.stream_id) : NULL;
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    nghttp2_extpri equal = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    http2_submitted(h, nghttp2_session_change_extpri_stream_priority(session, s->id, &equal, 1));
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct front_http2 *h = arg;
    struct http1_limits trailer_limits = HTTP1_TRAILER_LIMITS;
    const struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    (void)flags;
    if (s)
        field_block_add(&h->block, &worker_of(h)->bufs,
                        s->state == HTTP2_HEAD ? &h->conn->bw->broker->request_limits : &trailer_limits,
                        slice_of((const char *)name, name_len), slice_of((const char *)value, value_len));
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *arg)
{
    struct front_http2 *h = arg;
    struct http2_stream *s = stream_of(session, id);
    (void)flags;
    h->held_in += len;
    h->window_owed += (uint32_t)len;
    if (s)
        http2_stream_data(s, data, (uint32_t)len);
    else
        http2_consumed(h, (uint32_t)len);
    if (h->held_in < HTTP2_HELD_MAX)
        http2_consumed(h, 0);
    return 0;
}

static void on_reset(struct front_http2 *h, struct http2_stream *s)
{
    bool unanswered = s->state == HTTP2_HEAD || s->state == HTTP2_ASKED ||
                      (s->state == HTTP2_CALL && !s->call->answered);
    s->reset_by_client = true;
    if (unanswered && worker_of(h)->now_ns - s->began_ns < HTTP2_RAPID_MS * UINT64_C(1000000))
        http2_wasted(h);
}

static void on_pong(struct front_http2 *h)
{
    if (timer_is_armed(&h->drain_timer))
        http2_say_goaway(h);
    list_each_safe(node, tmp, &h->streams)
    {
        struct http2_call *call = list_entry(node, struct http2_stream, node)->call;
        if (call && call->ops->pong)
            call->ops->pong(call);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct front_http2 *h = arg;
    struct http2_stream *s = frame->hd.stream_id ? stream_of(session, frame->hd.stream_id) : NULL;
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        http2_ping_part(h);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        on_pong(h);
    else if (frame->hd.type == NGHTTP2_PING)
        http2_ping_came(h, frame->ping.opaque_data);
    if (!s)
        return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        on_reset(h, s);
    } else if (frame->hd.type == NGHTTP2_DATA && ended) {
        http2_stream_request_end(s);
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        if (s->state == HTTP2_HEAD)
            http2_stream_request(s, ended);
        else
            http2_stream_trailers(s, ended);
        field_block_reset(&h->block);
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct front_http2 *h = arg;
    (void)session;
    (void)error;
    if (frame->hd.type == NGHTTP2_GOAWAY && h->leaving == ENDING_DONE)
        h->leaving = ENDING_CLIENT_GONE; /* grpc-go's last word, whose stream id nghttp2 finds wrong */
    else
        http2_wasted(h);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct http2_stream *s = stream_of(session, id);
    (void)code;
    (void)arg;
    if (s)
        http2_stream_closed(s);
    return 0;
}

static void log_protocol_error(struct front_http2 *h, const nghttp2_goaway *goaway)
{
    char detail[128];
    size_t len = goaway->opaque_data_len < sizeof(detail) ? goaway->opaque_data_len : sizeof(detail) - 1;
    memcpy(detail, goaway->opaque_data_len ? (const char *)goaway->opaque_data : "", len);
    detail[len] = '\0';
    h->leaving = ENDING_BAD_REQUEST;
    counter_add(worker_of(h), COUNTER_http2_errors, 1);
    http2_log_client(h, "client_protocol_error");
    log_str(worker_of(h), "code", nghttp2_http2_strerror(goaway->error_code));
    if (len > 0)
        log_str(worker_of(h), "detail", detail);
    log_end(worker_of(h));
    /* nghttp2 may have said so and let the streams go on: nobody would hear them. */
    http2_refuse(h, goaway->error_code);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct front_http2 *h = arg;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        h->leaving == ENDING_DONE)
        log_protocol_error(h, &frame->goaway);
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    if (s)
        http2_stream_replied(s);
    return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    (void)arg;
    if (frame->hd.type == NGHTTP2_HEADERS && error != NGHTTP2_ERR_STREAM_CLOSING &&
        error != NGHTTP2_ERR_STREAM_CLOSED && s)
        http2_stream_reset(s, NGHTTP2_INTERNAL_ERROR, ENDING_INTERNAL);
    return 0;
}

/* -- beginning
 * -----------------------------------------------------------------------------------------------
 */

int http2_session_new(struct front_http2 *h)
{
    const struct broker *b = h->conn->bw->broker;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NGHTTP2_ERR_NOMEM;
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return NGHTTP2_ERR_NOMEM;
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_send_data);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_auto_ping_ack(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1); /* http2_head.h judges */
    nghttp2_option_set_no_closed_streams(option, 1);
#ifdef HAWSER_NGHTTP2_LIMITS_RESETS
    /* http2_watch.h has a limit of its own, which grows with what was answered: a Konnectivity client resets
     * the stream of each connection that it is done with, and would be refused at 33 a second. */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
#endif
    nghttp2_option_set_max_send_header_block_length(option, b->response_limits.head_bytes_max +
                                                                HEAD_FIELDS_MAX * HTTP2_FIELD_OVERHEAD);
    int rc = nghttp2_session_server_new3(&h->session, callbacks, h, option, &h->memory.calls);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return rc;
}
