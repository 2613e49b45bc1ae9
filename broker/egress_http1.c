/* broker/egress_http1.c — the request of an exchange as HTTP/1.1 bytes, and the response's bytes as messages.
 * Body bytes are not copied: a received segment is narrowed to its body part (body.h) and posted. */
#include "broker/egress.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/head_buffer.h"
#include "broker/http/http1_parse.h"
#include "broker/http/http1_write.h"
#include "io/worker.h"

static struct worker *worker_of(const struct egress *e)
{
    return e->bw->worker;
}

/* Bytes that will not travel on as body: their credit is free again at once. */
static void regrant(struct egress *e, uint32_t bytes)
{
    if (bytes == 0 || !e->stream)
        return;
    e->credit += bytes;
    stream_grant(e->stream, bytes);
}

/* -- request ------------------------------------------------------------------------------------------------
 */

static bool write_head(struct egress *e)
{
    const struct head *head = egress_request_head(e);
    struct http1_write_options options = {.form = TARGET_ORIGIN, .expect_continue = head->expect_continue};
    uint32_t bound = (uint32_t)http1_write_bound(head);
    char *to = outbox_reserve(&e->out, bound);
    if (!to)
        return false;
    size_t len = 0;
    int rc = http1_write_request(head, &options, to, bound, &len);
    ASSERT(rc == 0);
    e->head_taken = false;
    outbox_commit(&e->out, (uint32_t)len);
    return true;
}

static bool begin(struct egress *e)
{
    stream_bind(e->stream, &egress_http1_events, e);
    e->credit = conn_credit(e->conn);
    if (e->credit < e->bw->budget)
        regrant(e, e->bw->budget - e->credit);
    egress_expect_first_byte(e);
    return write_head(e);
}

/* Out of buffers in the middle of a request: the stream's closed event ends the exchange. */
static void give_up(struct egress *e)
{
    stream_abort(e->stream, ENDING_LIMIT);
}

static void write_data(struct egress *e, struct seg seg)
{
    bool chunked = egress_request_head(e)->body == BODY_CHUNKED;
    char framing[HTTP1_CHUNK_HEAD_MAX];
    e->body_began = true;
    if (chunked && !outbox_put(&e->out, framing, http1_chunk_head(seg.len, framing))) {
        worker_release_seg(worker_of(e), seg);
        give_up(e);
    } else if (!outbox_body(&e->out, seg) || (chunked && !outbox_put(&e->out, "\r\n", 2))) {
        give_up(e);
    }
}

static void write_end(struct egress *e)
{
    e->request_written = true;
    if (egress_request_head(e)->body != BODY_CHUNKED)
        return;
    const struct head *trailers = e->trailers.buf ? (const struct head *)e->trailers.data : NULL;
    uint32_t bound = trailers ? (uint32_t)http1_write_bound(trailers) : (uint32_t)HTTP1_CHUNK_END.len;
    char *to = outbox_reserve(&e->out, bound);
    if (!to) {
        give_up(e);
        return;
    }
    size_t len = 0;
    int rc = http1_write_trailers(trailers, to, bound, &len);
    ASSERT(rc == 0);
    outbox_commit(&e->out, (uint32_t)len);
}

/* -- response: head -----------------------------------------------------------------------------------------
 */

/* The protocol of a 101 must be the one that was asked for, by a request that is complete: while its body is
 * under way, nobody could tell where that ends and the tunnel begins (RFC 9110 section 7.8). NULL: so it is.
 */
static const char *complaint_of_101(const struct egress *e, const struct head_view *view)
{
    const struct head *request = egress_request_head(e);
    const struct head_field_view *now = head_view_find(view, HTTP_FIELD_UPGRADE);
    uint32_t asked = head_find(request, HTTP_FIELD_UPGRADE, 0);
    if (e->form != EXCHANGE_UPGRADE)
        return "101 without an upgrade having been asked for";
    if (!view->upgrade || !now || asked == request->fields_n ||
        !slice_eq_nocase(now->value, head_field_value_at(request, asked)))
        return "101 for another protocol than was asked for";
    return e->request_ended ? NULL : "101 before the request was complete";
}

/* False: the object is gone. */
static bool on_head(struct egress *e, const struct head_view *view)
{
    const char *complaint = view->tunnel ? complaint_of_101(e, view) : NULL;
    if (complaint) {
        egress_fail(e, ENDING_BAD_RESPONSE, complaint);
        return false;
    }
    if (view->tunnel) {
        e->state = EGRESS_TUNNEL;
        return egress_post_head(e, view, false);
    }
    if (view->status < 200) {
        e->state = EGRESS_HEAD;
        return egress_post_head(e, view, false);
    }
    e->state = EGRESS_BODY;
    e->keep_alive = view->keep_alive && view->body != BODY_UNTIL_CLOSE && e->form == EXCHANGE_REQUEST;
    body_begin(&e->body, view);
    return egress_post_head(e, view, e->body.kind == BODY_NONE);
}

/* Parses one head at the front of [data, data+len). >0: bytes used, 0: not complete, <0: the object is gone.
 */
static ssize_t read_head(struct egress *e, const char *data, size_t len)
{
    struct head_view view;
    struct http1_error error;
    ssize_t n = http1_parse_response(&e->bw->broker->response_limits, egress_request_head(e)->method,
                                     slice_of(data, len), &e->head_scan, &view, &error);
    if (n < 0) {
        egress_fail(e, ENDING_BAD_RESPONSE, error.text);
        return -1;
    }
    if (n > 0) {
        e->head_scan = (struct http1_scan){0};
        if (!on_head(e, &view))
            return -1;
    }
    return n;
}

/* -- response: body -----------------------------------------------------------------------------------------
 */

static void post_data(struct egress *e, struct seg seg, uint32_t payload, bool with_end)
{
    seg.len = payload;
    if (payload > 0)
        egress_post(e, EX_DATA | (with_end ? EX_WITH_END : 0), seg, 0);
    else
        worker_release_seg(worker_of(e), seg);
}

static void read_body(struct egress *e, struct seg seg)
{
    struct head_view trailers;
    struct http1_error error;
    uint32_t used, payload;
    bool counted = e->body.kind == BODY_LENGTH;
    enum body_result r = body_read(&e->body, &worker_of(e)->bufs, &seg, &used, &payload, &trailers, &error);
    if (r == BODY_REFUSED || r == BODY_NO_BUFFERS) {
        worker_release_seg(worker_of(e), seg);
        if (r == BODY_REFUSED)
            egress_fail(e, ENDING_BAD_RESPONSE, error.text);
        else
            egress_fail(e, ENDING_LIMIT, "out of buffers");
        return;
    }
    regrant(e, seg.len - payload);
    if (r == BODY_MORE) {
        post_data(e, seg, payload, false);
        return;
    }
    if (used < seg.len)
        e->keep_alive = false; /* bytes nobody asked for: never lend this connection again */
    if (counted) {
        post_data(e, seg, payload, true);
    } else {
        buf_ref(seg.buf); /* the trailers may point into it */
        post_data(e, seg, payload, false);
        egress_post_end(e, &trailers);
        buf_unref(seg.buf);
    }
    egress_finish(e);
}

/* The final head had no body to follow and was posted with END. */
static void response_without_body(struct egress *e, struct seg rest)
{
    if (rest.len > 0)
        e->keep_alive = false;
    regrant(e, rest.len);
    worker_release_seg(worker_of(e), rest);
    egress_finish(e);
}

/* -- events of the leased stream ----------------------------------------------------------------------------
 */

/* Heads from the front of what came, then what follows them. Takes the segment. May free the object. */
static void read_response(struct egress *e, struct seg seg)
{
    struct worker *w = worker_of(e); /* what fails below frees the object */
    while (e->state != EGRESS_BODY && e->state != EGRESS_TUNNEL) {
        if (e->head_buf && !head_buffer_add(&e->head_buf, &e->head_len, &worker_of(e)->bufs, seg)) {
            worker_release_seg(w, seg);
            egress_fail(e, ENDING_HEAD_TOO_LARGE, "response head larger than the broker's buffers");
            return;
        }
        uint32_t came = seg.len; /* what was gathered before was granted anew as it came */
        if (e->head_buf) {
            /* The segment's bytes are in the gathered head now; go on from there. */
            worker_release_seg(w, seg);
            seg = (struct seg){e->head_buf, e->head_buf->mem, e->head_len, 0};
        }
        bool gathered = e->head_buf != NULL;
        ssize_t n = read_head(e, (const char *)seg.data, seg.len);
        if (n < 0) {
            if (!gathered)
                worker_release_seg(w, seg);
            return;
        }
        if (n == 0) {
            bool ok = gathered || head_buffer_add(&e->head_buf, &e->head_len, &worker_of(e)->bufs, seg);
            if (!gathered)
                worker_release_seg(w, seg);
            regrant(e, came);
            if (!ok)
                egress_fail(e, ENDING_LIMIT, "out of buffers for a response head");
            return;
        }
        if (gathered) { /* its count is ours now, as a segment's */
            e->head_buf = NULL;
            e->head_len = 0;
        }
        seg.data += n;
        seg.len -= (uint32_t)n;
        regrant(e, came - seg.len); /* the rest is body: it is granted anew when it was taken over */
        if (seg.len == 0 && e->state == EGRESS_HEAD) {
            worker_release_seg(w, seg);
            return;
        }
    }
    if (e->state == EGRESS_TUNNEL)
        egress_tunnel_upgrade(e, seg);
    else if (e->body.kind == BODY_NONE)
        response_without_body(e, seg);
    else if (seg.len > 0)
        read_body(e, seg);
    else
        worker_release_seg(w, seg);
}

static void on_open(struct stream *s)
{
    (void)s; /* leased streams are open already */
}

static void on_data(struct stream *s, struct seg seg)
{
    struct egress *e = s->owner;
    ASSERT(seg.len <= e->credit);
    e->credit -= seg.len;
    if (e->state == EGRESS_WAITING)
        egress_saw_first_byte(e);
    read_response(e, crumbs_collect(&e->crumbs, seg));
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct egress *e = s->owner;
    struct outbox_credit credit = outbox_sent(&e->out, seg);
    e->head_taken = true;
    if (credit.bytes > 0) {
        egress_expect_first_byte(e);
        egress_post(e, EX_CREDIT, credit.seg, credit.bytes);
    }
}

static void on_end(struct stream *s)
{
    struct egress *e = s->owner;
    if (e->state == EGRESS_WAITING) {
        egress_lost(e, ENDING_DONE, false);
    } else if (e->state == EGRESS_BODY && e->body.kind == BODY_UNTIL_CLOSE) {
        egress_post(e, EX_END, (struct seg){0}, 0);
        egress_finish(e);
    } else {
        egress_fail(e, ENDING_TRUNCATED,
                    e->state == EGRESS_BODY ? "closed in the middle of the body"
                                            : "closed in the middle of the response head");
    }
}

static void on_closed(struct stream *s, enum ending reason)
{
    egress_lost(s->owner, reason, true);
}

const struct stream_events egress_http1_events = {on_open, on_data, on_sent, on_end, on_closed};

static void leave(struct egress *e, enum ending reason)
{
    bool clean = e->keep_alive && e->request_written && outbox_is_empty(&e->out);
    conn_set_credit(e->conn, e->credit);
    if (reason == ENDING_DONE && clean)
        pool_give_back(e->bw->pool, &e->conn);
    else
        pool_discard(e->bw->pool, &e->conn, reason);
    e->stream = NULL;
}

const struct egress_ops egress_http1_ops = {
    .begin = begin, .data = write_data, .end = write_end, .credit = regrant, .leave = leave};
