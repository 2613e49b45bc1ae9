/* broker/http2_client_frames.c — what nghttp2 reports of a session's frames. These functions are called from
 * within nghttp2: they change objects and queue frames, and never enter it again. */
#include "broker/http2_client.h"

#include <errno.h>
#include <stdio.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "io/worker.h"

static struct egress *request_of(nghttp2_session *session, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

/* Heads and resets of streams that are over cost work that no window bounds, and no budget of idle frames. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct http2_client *s = arg;
    if ((hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_RST_STREAM) &&
        !request_of(session, hd->stream_id))
        s->strays++;
    return 0;
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
        field_block_add(&s->block, &s->bw->worker->bufs, &s->bw->broker->response_limits,
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

/* What is wrong nghttp2 says to the peer, in GOAWAY, and to nobody else. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2_client *s = arg;
    struct egress *e = request_of(session, frame->hd.stream_id);
    if (e && frame->hd.type == NGHTTP2_HEADERS)
        e->head_taken = true;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        snprintf(s->error, sizeof s->error, "%s (%.*s)", nghttp2_http2_strerror(frame->goaway.error_code),
                 (int)frame->goaway.opaque_data_len, (const char *)frame->goaway.opaque_data);
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

int http2_client_callbacks(nghttp2_session_callbacks **ret)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
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
