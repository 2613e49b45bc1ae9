/* broker/front_http2_reply.c — what a stream answers.
 *
 * A response's body waits as the segments that egress lent, bounded by the exchange's budget. nghttp2 asks
 * for a frame's worth when the stream's turn has come and both windows allow it; then the bytes are copied
 * behind the frame's header, and their credit goes back. A client that opens many streams and takes nothing
 * from them makes the broker hold their budgets: beyond HTTP2_HELD_MAX the stream that has stood still for
 * longest is given up.
 */
#include "broker/front_http2.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/http/http1_scan.h"
#include "broker/http/proxy_status.h"
#include "io/worker.h"

enum { FRAME_HEADER = 9, TEXT_MAX = 512 };

static struct worker *worker_of(const struct http2_stream *s)
{
    return s->session->conn->bw->worker;
}

/* -- the queue ----------------------------------------------------------------------------------------------
 */

/* The segment has been used up, or never will be. Our own text has no tag: nobody waits for credit. */
static void return_seg(struct http2_stream *s, struct seg seg, bool used)
{
    if (used && s->exchange && seg.tag > 0)
        exchange_credit(s->exchange, (struct outbox_credit){seg.tag, seg});
    else
        worker_release_seg(worker_of(s), seg);
}

void http2_reply_drop(struct http2_stream *s)
{
    s->session->held_out -= s->queue.bytes;
    while (!segq_empty(&s->queue))
        return_seg(s, segq_pop(&s->queue, &s->session->conn->bw->seg_nodes), false);
    if (s->trailers)
        buf_unref(s->trailers);
    s->trailers = NULL;
}

/* Takes the segment. False: out of memory, the stream has been reset. */
static bool enqueue(struct http2_stream *s, struct seg seg)
{
    if (segq_empty(&s->queue))
        s->stalled_ns = worker_of(s)->now_ns;
    if (!segq_push(&s->queue, &s->session->conn->bw->seg_nodes, seg)) {
        worker_release_seg(worker_of(s), seg);
        http2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM, ENDING_LIMIT);
        return false;
    }
    s->session->held_out += seg.len;
    return true;
}

static bool has_waiting(const struct http2_stream *s)
{
    return !segq_empty(&s->queue) || (s->call && s->call->held > 0);
}

static struct http2_stream *longest_stalled(struct front_http2 *h)
{
    struct http2_stream *found = NULL;
    list_each_safe(node, tmp, &h->streams)
    {
        struct http2_stream *s = list_entry(node, struct http2_stream, node);
        if (has_waiting(s) && (!found || s->stalled_ns < found->stalled_ns))
            found = s;
    }
    return found;
}

void http2_reply_limit(struct front_http2 *h)
{
    if (h->held_out > HTTP2_HELD_MAX)
        http2_stream_reset(longest_stalled(h), NGHTTP2_ENHANCE_YOUR_CALM, ENDING_SLOW_READER);
}

/* -- nghttp2 takes ------------------------------------------------------------------------------------------
 */

static void submit_trailers(struct http2_stream *s)
{
    struct http2_fields fields;
    http2_write_trailers((const struct head *)s->trailers->mem, &fields);
    http2_submitted(s->session, nghttp2_submit_trailer(s->session->session, s->id, fields.nv, fields.n));
    buf_unref(s->trailers);
    s->trailers = NULL;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                       nghttp2_data_source *source, void *arg)
{
    struct http2_stream *s = source->ptr;
    (void)session;
    (void)id;
    (void)buf;
    (void)arg;
    if (s->session->unsent >= HTTP2_UNSENT_MAX)
        return NGHTTP2_ERR_PAUSE;
    if (s->call)
        return http2_call_read(s, len, flags);
    if (segq_empty(&s->queue) && !s->reply_ended)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (len < s->queue.bytes)
        return (ssize_t)len;
    if (s->reply_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(s);
        }
    }
    return (ssize_t)s->queue.bytes;
}

/* Copies from the front of the queue; used-up segments go back. */
static void take(struct http2_stream *s, char *to, size_t len)
{
    while (len > 0) {
        struct seg *seg = &s->queue.head->seg;
        uint32_t n = len < seg->len ? (uint32_t)len : seg->len;
        memcpy(to, seg->data, n);
        to += n;
        len -= n;
        seg->data += n;
        seg->len -= n;
        s->queue.bytes -= n;
        s->session->held_out -= n;
        if (seg->len == 0)
            return_seg(s, segq_pop(&s->queue, &s->session->conn->bw->seg_nodes), true);
    }
}

int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t len,
                    nghttp2_data_source *source, void *arg)
{
    struct front_http2 *h = arg;
    struct http2_stream *s = source->ptr;
    (void)session;
    (void)frame;
    char *to = outbox_reserve(&h->conn->out, (uint32_t)(FRAME_HEADER + len));
    h->starved = !to;
    if (!to)
        return h->unsent > 0 ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(to, header, FRAME_HEADER);
    if (s->call)
        s->call->ops->take(s->call, (uint8_t *)to + FRAME_HEADER, (uint32_t)len);
    else
        take(s, to + FRAME_HEADER, len);
    outbox_commit(&h->conn->out, (uint32_t)(FRAME_HEADER + len));
    h->unsent += (uint32_t)(FRAME_HEADER + len);
    s->stalled_ns = worker_of(s)->now_ns;
    http2_ping_passed(h, (uint32_t)len);
    http2_watch_sent(&h->watch, (uint32_t)len, segq_empty(&s->queue));
    http2_stream_touch(s);
    return 0;
}

void http2_reply_wake(struct http2_stream *s)
{
    int rc = nghttp2_session_resume_data(s->session->session, s->id);
    http2_submitted(s->session,
                    rc == NGHTTP2_ERR_INVALID_ARGUMENT ? 0 : rc); /* it was not deferred, or has not begun */
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

void http2_reply_submit(struct http2_stream *s, const struct http2_fields *fields, bool has_body)
{
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_read};
    http2_submitted(s->session, nghttp2_submit_response(s->session->session, s->id, fields->nv, fields->n,
                                                        has_body ? &provider : NULL));
}

/* Heads wait in nghttp2's memory, which is the session's and not the exchange's. */
static bool has_room(const struct http2_stream *s, const struct head *head)
{
    const struct http2_memory *m = &s->session->memory;
    return m->max - m->used > HTTP2_MEMORY_SPARE + (size_t)head->size * 2;
}

void http2_reply_head(struct http2_stream *s, struct head *head)
{
    struct http2_fields fields;
    if (s->state != HTTP2_ASKED)
        return;
    if (!has_room(s, head)) {
        http2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM, ENDING_SLOW_READER);
        return;
    }
    http2_write_response(head, &fields);
    if (head->status < 200) {
        http2_submitted(s->session, nghttp2_submit_headers(s->session->session, NGHTTP2_FLAG_NONE, s->id,
                                                           NULL, fields.nv, fields.n, NULL));
        return;
    }
    http2_watch_answered(&s->session->watch);
    bool has_body = !s->is_head && head->body != BODY_NONE &&
                    !(head->body == BODY_LENGTH && head->length == 0);
    s->reply_ended = !has_body;
    http2_stream_set_state(s, has_body ? HTTP2_ANSWER : HTTP2_LAST);
    http2_reply_submit(s, &fields, has_body);
}

void http2_reply_connected(struct http2_stream *s)
{
    struct http2_fields fields = {.n = 0};
    if (s->state != HTTP2_ASKED)
        return;
    http2_add_field(&fields, SLICE(":status"), SLICE("200"));
    http2_watch_answered(&s->session->watch);
    http2_stream_set_state(s, HTTP2_TUNNEL);
    http2_reply_submit(s, &fields, true);
}

void http2_reply_data(struct http2_stream *s, struct seg seg)
{
    struct front_http2 *h = s->session;
    seg.tag = seg.len;
    if ((s->state != HTTP2_ANSWER && s->state != HTTP2_TUNNEL) || s->reply_ended || seg.len == 0) {
        return_seg(s, seg, seg.len > 0);
        return;
    }
    if (!enqueue(s, seg))
        return;
    http2_reply_wake(s);
    http2_reply_limit(h);
}

static void keep_trailers(struct http2_stream *s, const struct head *trailers)
{
    s->trailers = buf_get_bytes(&worker_of(s)->bufs, trailers->size);
    if (s->trailers)
        memcpy(s->trailers->mem, trailers, trailers->size);
    else
        http2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM, ENDING_LIMIT);
}

void http2_reply_end(struct http2_stream *s, const struct head *trailers)
{
    if ((s->state != HTTP2_ANSWER && s->state != HTTP2_TUNNEL) || s->reply_ended)
        return;
    s->reply_ended = true;
    if (trailers && trailers->fields_n > 0 && s->state == HTTP2_ANSWER) {
        keep_trailers(s, trailers);
        if (s->state == HTTP2_CUT)
            return;
    }
    if (s->state == HTTP2_ANSWER)
        http2_stream_set_state(s, HTTP2_LAST);
    http2_reply_wake(s);
}

/* A line for people; it may quote a peer's bytes. */
static uint32_t make_text(char *to, const char *text)
{
    uint32_t len = (uint32_t)strnlen(text, TEXT_MAX - 1);
    for (uint32_t i = 0; i < len; i++)
        to[i] = http1_is_control(text[i]) ? '?' : text[i];
    to[len] = '\n';
    return len + 1;
}

void http2_reply_text(struct http2_stream *s, unsigned status, enum ending reason, const char *text)
{
    struct http2_fields fields = {.n = 0};
    char status_text[4], length_text[12], room[PROXY_STATUS_MAX];
    struct buf *b = buf_get(&worker_of(s)->bufs, BUF_SMALL);
    if (!b) {
        http2_stream_reset(s, NGHTTP2_ENHANCE_YOUR_CALM, ENDING_LIMIT);
        return;
    }
    uint32_t len = make_text((char *)b->mem, text);
    snprintf(status_text, sizeof(status_text), "%u", status);
    snprintf(length_text, sizeof(length_text), "%u", len);
    http2_add_field(&fields, SLICE(":status"), slice_of_text(status_text));
    http2_add_field(&fields, SLICE("content-type"), SLICE("text/plain; charset=utf-8"));
    http2_add_field(&fields, SLICE("content-length"), slice_of_text(length_text));
    http2_add_field(&fields, SLICE("proxy-status"),
                    proxy_status(reason, slice_of((const char *)b->mem, len - 1), room));
    if (status == 503)
        http2_add_field(&fields, SLICE("retry-after"), SLICE("1"));
    http2_stream_set_state(s, HTTP2_LAST);
    s->reply_ended = true;
    struct seg seg = {b, b->mem, len, 0};
    if (s->is_head)
        buf_unref(b);
    else if (!enqueue(s, seg))
        return;
    http2_reply_submit(s, &fields, !s->is_head);
}
