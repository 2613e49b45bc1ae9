/* broker/front_http2_request.c — what a stream asks: its head judged and opened, its body and trailers passed
 * on.
 *
 * DATA comes as pieces of what the connection received. Large ones are lent to the exchange where they are;
 * small ones are put together first, so that a client that sends a frame for each byte costs a message for
 * each read. What a stream may have under way is its window, and credit comes back only by grants.
 */
#include "broker/front_http2.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "io/worker.h"

static struct worker *worker_of(const struct http2_stream *s)
{
    return s->session->conn->bw->worker;
}

/* -- head ------------------------------------------------------------------------------------------
 */

static void refuse_request(struct http2_stream *s, enum http2_refusal refusal)
{
    struct worker *w = worker_of(s);
    const struct front_conn *c = s->session->conn;
    uint16_t status = http2_refusal_status(refusal);
    counter_add(w, COUNTER_requests_malformed, 1);
    log_begin(w, LOG_INFO, "request_refused");
    front_log_client(c);
    log_u64(w, "status", status);
    log_str(w, "refusal", http2_refusal_name(refusal));
    log_end(w);
    if (status == 400)
        s->last_code = NGHTTP2_PROTOCOL_ERROR;
    http2_reply_text(s, status, status == 503 ? ENDING_LIMIT : ENDING_BAD_REQUEST,
                     http2_refusal_text(refusal));
    http2_wasted(s->session);
}

static enum http2_refusal read_request(const struct http2_stream *s, bool call, bool ended,
                                       struct head_view *view)
{
    const struct broker *b = s->session->conn->bw->broker;
    const struct field_block *block = &s->session->block;
    view->method = HTTP_METHOD_GET; /* should it not be read at all */
    if (block->refusal != HTTP2_NONE)
        return block->refusal;
    if (call)
        return http2_read_own_request(&b->request_limits, field_block_records(block), ended, view);
    enum http2_refusal refusal = http2_read_request(&b->request_limits, field_block_records(block), ended,
                                                    view);
    if (refusal == HTTP2_NONE && view->method == HTTP_METHOD_CONNECT &&
        block->list_bytes > b->connect_limits.head_bytes_max)
        return HTTP2_HEAD_TOO_LARGE;
    return refusal;
}

void http2_stream_request(struct http2_stream *s, bool ended)
{
    struct head_view view;
    bool call = !s->session->conn->bridge && http2_call_is_named(field_block_records(&s->session->block));
    enum http2_refusal refusal = read_request(s, call, ended, &view);
    s->request_ended = ended;
    s->is_head = view.method == HTTP_METHOD_HEAD;
    if (refusal != HTTP2_NONE) {
        refuse_request(s, refusal);
        return;
    }
    if (call) {
        http2_call_begin(s, &view, ended);
        return;
    }
    if (front_serves_agents(s->session->conn)) {
        http2_reply_text(s, 403, ENDING_NOT_ALLOWED, "this listener serves agents, and nothing else");
        http2_wasted(s->session);
        return;
    }
    s->is_connect = view.method == HTTP_METHOD_CONNECT;
    s->has_length = view.has_length;
    s->length_left = view.length;
    http2_stream_set_state(s, HTTP2_ASKED);
    if (!exchange_begin(s->session->conn, &http2_asker, s, &s->exchange, &view))
        http2_reply_text(s, 503, ENDING_LIMIT, ending_text(ENDING_LIMIT));
}

/* -- body ------------------------------------------------------------------------------------------
 */

static void give(struct http2_stream *s, struct seg seg, bool ended)
{
    struct broker_worker *bw = s->session->conn->bw;
    if (s->is_connect && s->state == HTTP2_ASKED) {
        if (segq_push(&s->early, &bw->seg_nodes, seg))
            return;
        worker_release_seg(bw->worker, seg);
        http2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM, ENDING_LIMIT);
    } else {
        exchange_body(s->exchange, seg, ended);
    }
}

static void give_gathered(struct http2_stream *s, bool ended)
{
    struct seg seg = gather_take(&s->gathered);
    if (seg.len > 0)
        give(s, seg, ended);
}

void http2_stream_pass_on(struct http2_stream *s)
{
    if (s->call)
        s->call->ops->pass_on(s->call);
    else
        give_gathered(s, false);
}

static bool is_unwanted(const struct http2_stream *s)
{
    return !s->exchange || s->state == HTTP2_CUT || s->state == HTTP2_LAST;
}

/* False: out of buffers. */
static bool gather(struct http2_stream *s, const uint8_t *data, uint32_t len)
{
    while (len > 0 && !is_unwanted(s)) {
        uint32_t n = gather_add(&s->gathered, &worker_of(s)->bufs, BUF_SMALL, data, len);
        if (n == 0 && gather_is_empty(&s->gathered))
            return false;
        if (n == 0)
            give_gathered(s, false);
        data += n;
        len -= n;
    }
    if (list_empty(&s->dirty) && !is_unwanted(s))
        list_add_tail(&s->session->dirty, &s->dirty);
    return true;
}

void http2_stream_data(struct http2_stream *s, const uint8_t *data, uint32_t len)
{
    struct front_http2 *h = s->session;
    const struct seg *input = h->input;
    if (s->state == HTTP2_CALL) {
        http2_call_data(s, data, len);
        return;
    }
    if (is_unwanted(s)) {
        http2_consumed(h, len);
        return;
    }
    /* nghttp2 hands out what exceeds the window, too. */
    bool too_much = s->uncredited + len > h->conn->bw->budget;
    if (too_much || (s->has_length && len > s->length_left)) {
        http2_consumed(h, len);
        http2_wasted(h);
        http2_stream_reset(s, too_much ? NGHTTP2_FLOW_CONTROL_ERROR : NGHTTP2_PROTOCOL_ERROR,
                           ENDING_BAD_REQUEST);
        return;
    }
    s->length_left -= s->has_length ? len : 0;
    s->uncredited += len;
    http2_stream_touch(s);
    if (gather_is_needless(input, len)) {
        give_gathered(s, false);
        if (s->exchange)
            give(s, seg_of(input->buf, input->data + (data - input->data), len), false);
    } else if (!gather(s, data, len)) {
        http2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM, ENDING_LIMIT);
    }
}

/* False: the body is not what its length promised, and the stream has been reset. */
static bool is_whole(struct http2_stream *s)
{
    if (!s->has_length || s->length_left == 0)
        return true;
    http2_wasted(s->session);
    http2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR, ENDING_BAD_REQUEST);
    return false;
}

void http2_stream_request_end(struct http2_stream *s)
{
    s->request_ended = true;
    if (s->state == HTTP2_CALL)
        s->call->ops->input_end(s->call);
    if (is_unwanted(s) || !is_whole(s))
        return;
    bool gathered = !gather_is_empty(&s->gathered);
    give_gathered(s, gathered && !s->is_connect);
    if (!s->exchange || s->exchange->request_ended || (s->is_connect && s->state == HTTP2_ASKED))
        return;
    exchange_request_end(s->exchange, NULL);
}

void http2_stream_trailers(struct http2_stream *s, bool ended)
{
    struct head_view view;
    const struct field_block *block = &s->session->block;
    if (is_unwanted(s)) {
        s->request_ended = ended;
        if (s->state == HTTP2_CALL && ended)
            s->call->ops->input_end(s->call);
        return;
    }
    enum http2_refusal refusal = block->refusal;
    if (refusal == HTTP2_NONE)
        refusal = s->is_connect ? HTTP2_TRAILER_FORBIDDEN /* RFC 9113 section 8.5: DATA and nothing else */
                                : http2_read_trailers(field_block_records(block), ended, &view);
    if (refusal != HTTP2_NONE) {
        http2_wasted(s->session);
        http2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR, ENDING_BAD_REQUEST);
        return;
    }
    s->request_ended = true;
    if (!is_whole(s))
        return;
    give_gathered(s, false);
    if (s->exchange && !s->exchange->request_ended)
        exchange_request_end(s->exchange, &view);
}
