/* broker/front_http1.c — HTTP/1.1 as its server: requests in, responses out.
 *
 * One exchange at a time per connection; what a client pipelines waits in `pending` under the connection's
 * credit. A request is parsed in place in the segment it came in and only gathered into a buffer of its own
 * when it came in pieces. A malformed request is answered once and the connection ends: after a framing error
 * nothing that follows can be trusted to begin where it seems to.
 */
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/front.h"
#include "broker/front_bridge.h"
#include "broker/head_buffer.h"
#include "broker/http/http1_parse.h"
#include "broker/http/http1_write.h"
#include "io/worker.h"

enum { RETRY_AFTER_S = 1 };

static struct worker *worker_of(const struct front_conn *c)
{
    return c->bw->worker;
}

/* -- responses ----------------------------------------------------------------------------------------------
 */

static bool must_close(const struct front_conn *c)
{
    return !c->keep_alive || c->bw->draining || c->input_ended || c->body.kind != BODY_NONE;
}

static void write_head(struct front_conn *c, struct head *head)
{
    struct http1_write_options options = {.form = TARGET_ORIGIN};
    if (head->status >= 200) {
        if (head->body == BODY_CHUNKED || head->body == BODY_UNTIL_CLOSE)
            head->body = c->client_http10 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
        if (must_close(c) || head->body == BODY_UNTIL_CLOSE)
            c->keep_alive = false;
        c->reply_body = head->body;
        options.close = !c->keep_alive;
    }
    uint32_t bound = (uint32_t)http1_write_bound(head);
    char *to = outbox_reserve(&c->out, bound);
    if (!to) {
        front_abort(c, ENDING_LIMIT);
        return;
    }
    size_t len = 0;
    int rc = http1_write_response(head, &options, to, bound, &len);
    ASSERT(rc == 0);
    outbox_commit(&c->out, (uint32_t)len);
}

static void on_head(void *asker, struct head *head)
{
    struct front_conn *c = asker;
    if (head->status < 200 && c->client_http10)
        return; /* RFC 9110 section 15.2: never to a 1.0 client */
    bool tunnel = head->tunnel;
    write_head(c, head);
    if (tunnel && c->state == FRONT_EXCHANGE)
        front_tunnel_upgraded(c);
}

static void on_connected(void *asker)
{
    front_tunnel_connected(asker);
}

static void on_data(void *asker, struct seg seg)
{
    struct front_conn *c = asker;
    bool chunked = c->reply_body == BODY_CHUNKED;
    char framing[HTTP1_CHUNK_HEAD_MAX];
    if (chunked && !outbox_put(&c->out, framing, http1_chunk_head(seg.len, framing))) {
        worker_release_seg(worker_of(c), seg);
        front_abort(c, ENDING_LIMIT);
        return;
    }
    if (!outbox_body(&c->out, seg) || (chunked && !outbox_put(&c->out, "\r\n", 2)))
        front_abort(c, ENDING_LIMIT);
}

static void on_fin(void *asker)
{
    front_end(asker);
}

static void on_response_end(void *asker, const struct head *trailers)
{
    struct front_conn *c = asker;
    if (c->reply_body != BODY_CHUNKED)
        return;
    uint32_t bound = trailers ? (uint32_t)http1_write_bound(trailers) : (uint32_t)HTTP1_CHUNK_END.len;
    char *to = outbox_reserve(&c->out, bound);
    if (!to) {
        front_abort(c, ENDING_LIMIT);
        return;
    }
    size_t len = 0;
    int rc = http1_write_trailers(trailers, to, bound, &len);
    ASSERT(rc == 0);
    outbox_commit(&c->out, (uint32_t)len);
}

static void on_refuse(void *asker, unsigned status, const char *text)
{
    struct front_conn *c = asker;
    /* Who asked for a tunnel may have begun to speak in it: nothing that follows is a request. */
    front_http1_error(c, status, text, c->exchange->form == EXCHANGE_CONNECT);
}

static void on_cut(void *asker, enum ending reason)
{
    front_cut(asker, reason);
}

static void on_grant(void *asker, uint32_t bytes)
{
    front_grant(asker, bytes);
}

static void on_heard(void *asker)
{
    struct front_conn *c = asker;
    if (c->state == FRONT_TUNNEL)
        front_tunnel_touch(c);
    else if (outbox_is_empty(&c->out) && c->state == FRONT_EXCHANGE)
        front_http1_done(c);
}

static void on_bridge(void *asker, const struct broker_route *route, const struct endpoint_key *key)
{
    front_bridge_connect(asker, route, key);
}

static const struct asker_ops http1_asker = {.protocol = "http/1.1",
                                             .head = on_head,
                                             .connected = on_connected,
                                             .data = on_data,
                                             .fin = on_fin,
                                             .end = on_response_end,
                                             .refuse = on_refuse,
                                             .cut = on_cut,
                                             .grant = on_grant,
                                             .heard = on_heard,
                                             .bridge = on_bridge};

void front_http1_error(struct front_conn *c, unsigned status, const char *detail, bool close)
{
    char text[2048];
    if (close || must_close(c))
        c->keep_alive = false;
    struct http1_answer answer = {.status = (uint16_t)status,
                                  .reason = slice_of(detail, strnlen(detail, HTTP1_REASON_MAX)),
                                  .retry_after_s = status == 503 ? RETRY_AFTER_S : 0,
                                  .close = !c->keep_alive,
                                  .head_only = c->is_head};
    ASSERT(http1_write_error_bound(&answer) <= sizeof(text));
    size_t n = 0;
    int rc = http1_write_error(&answer, text, sizeof(text), &n);
    ASSERT(rc == 0);
    if (c->state == FRONT_IDLE || c->state == FRONT_HEAD)
        front_set_state(c, FRONT_EXCHANGE);
    c->reply_body = BODY_NONE;
    if (!outbox_put(&c->out, text, n))
        front_abort(c, ENDING_LIMIT);
    else if (c->exchange == NULL && !c->keep_alive)
        front_finish(c);
}

void front_http1_text(struct front_conn *c, unsigned status, const char *type, const char *text, size_t len)
{
    char head[256];
    bool close = must_close(c);
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s\r\n",
        status, http_status_phrase(status), type, len, close ? "Connection: close\r\n" : "");
    c->keep_alive = c->keep_alive && !close;
    if (c->state == FRONT_IDLE || c->state == FRONT_HEAD)
        front_set_state(c, FRONT_EXCHANGE);
    c->reply_body = BODY_NONE;
    if (!outbox_put(&c->out, head, (size_t)n) || (!c->is_head && !outbox_put(&c->out, text, len)))
        front_abort(c, ENDING_LIMIT);
    else if (close)
        front_finish(c);
}

/* Everything that was written has been taken over: is the exchange over, and what comes next? */
void front_http1_done(struct front_conn *c)
{
    struct exchange *ex = c->exchange;
    if (ex) {
        if (!ex->last_heard && ex->progress != EXCHANGE_BEGUN)
            return;
        c->exchange = NULL;
        exchange_complete(ex);
    }
    if (front_bridge_is_due(c)) {
        front_bridge_start(c);
        return;
    }
    if (!c->keep_alive || c->body.kind != BODY_NONE || c->bw->draining) {
        front_finish(c);
        return;
    }
    front_set_state(c, FRONT_IDLE);
    front_http1_input(c);
}

/* -- requests -----------------------------------------------------------------------------------------------
 */

static void refuse_request(struct front_conn *c, const struct http1_error *error)
{
    struct worker *w = worker_of(c);
    counter_add(w, COUNTER_requests_malformed, 1);
    log_begin(w, LOG_INFO, "request_refused");
    front_log_client(c);
    log_u64(w, "status", error->status);
    log_str(w, "refusal", http1_refusal_name(error->refusal));
    log_end(w);
    front_http1_error(c, error->status, error->text, true);
}

static void push_front(struct front_conn *c, struct seg seg)
{
    struct segq rest = c->pending;
    c->pending = (struct segq){0};
    bool pushed = segq_push(&c->pending, &c->bw->seg_nodes, seg);
    ASSERT(pushed); /* a node was given back just before */
    c->pending.head->next = rest.head;
    if (rest.head)
        c->pending.tail = rest.tail;
    c->pending.bytes += rest.bytes;
}

static void begin_request(struct front_conn *c, const struct head_view *view)
{
    c->client_http10 = view->minor == 0;
    c->keep_alive = view->keep_alive && !c->client_http10 && !c->bw->draining;
    c->is_head = view->method == HTTP_METHOD_HEAD;
    c->reply_body = BODY_NONE;
    body_begin(&c->body, view);
    front_set_state(c, FRONT_EXCHANGE);
    if (!c->listener->config)
        admin_request(c, view);
    else if (!exchange_begin(c, &http1_asker, c, &c->exchange, view))
        front_http1_error(c, 503, ending_text(ENDING_LIMIT), view->method == HTTP_METHOD_CONNECT);
}

/* A CONNECT says nothing but where to: it gets less room than a request. */
static const struct http1_limits *limits_for(const struct front_conn *c, const struct seg *seg)
{
    static const char connect[] = "CONNECT ";
    const struct broker *b = c->bw->broker;
    bool is_connect = seg->len >= sizeof(connect) - 1 && memcmp(seg->data, connect, sizeof(connect) - 1) == 0;
    return is_connect ? &b->connect_limits : &b->request_limits;
}

/* One head from the front of `pending`. False: nothing more can be done now. */
static bool read_head(struct front_conn *c)
{
    struct seg seg = segq_pop(&c->pending, &c->bw->seg_nodes);
    bool gathered = c->head_buf != NULL;
    if (gathered) {
        bool ok = head_buffer_add(&c->head_buf, &c->head_len, &worker_of(c)->bufs, seg);
        worker_release_seg(worker_of(c), seg);
        if (!ok) {
            front_http1_error(c, 503, "out of buffers", true);
            return false;
        }
        seg = (struct seg){c->head_buf, c->head_buf->mem, c->head_len, 0};
    }
    struct head_view view;
    struct http1_error error;
    ssize_t n = http1_parse_request(limits_for(c, &seg), slice_of((const char *)seg.data, seg.len),
                                    &c->head_scan, &view, &error);
    if (n == 0) {
        if (!gathered) {
            bool ok = head_buffer_add(&c->head_buf, &c->head_len, &worker_of(c)->bufs, seg);
            worker_release_seg(worker_of(c), seg);
            if (!ok) {
                front_http1_error(c, 503, "out of buffers", true);
                return false;
            }
        }
        if (c->state == FRONT_IDLE)
            front_set_state(c, FRONT_HEAD);
        return true;
    }
    c->head_scan = (struct http1_scan){0};
    if (gathered) {
        c->head_buf = NULL;
        c->head_len = 0;
    }
    if (n < 0) {
        worker_release_seg(worker_of(c), seg);
        refuse_request(c, &error);
        return false;
    }
    struct seg rest = {seg.buf, seg.data + n, seg.len - (uint32_t)n, 0};
    buf_ref(seg.buf); /* the view points into it until begin_request() is done */
    if (rest.len > 0)
        push_front(c, rest);
    else
        worker_release_seg(worker_of(c), rest);
    front_grant(c, (uint32_t)n);
    begin_request(c, &view);
    buf_unref(seg.buf);
    crumbs_settle(&c->crumbs); /* it may be long until there is credit again */
    return true;
}

static void body_bytes(struct front_conn *c, struct seg seg, bool ended)
{
    if (c->exchange) {
        exchange_body(c->exchange, seg, ended);
    } else { /* already refused, or the admin pages, which take no body */
        front_grant(c, seg.len);
        worker_release_seg(worker_of(c), seg);
    }
}

/* The request's body is malformed and nothing was answered yet: answers, and ends the connection. */
static void refuse_body(struct front_conn *c, const struct http1_error *error)
{
    struct exchange *ex = c->exchange;
    c->exchange = NULL;
    c->keep_alive = false;
    ex->access.status = error->status;
    exchange_note(ex, slice_of_text(error->text));
    exchange_client_gone(ex, ENDING_BAD_REQUEST);
    front_http1_error(c, error->status, error->text, true);
}

static void read_body(struct front_conn *c)
{
    struct seg seg = segq_pop(&c->pending, &c->bw->seg_nodes);
    struct head_view trailers;
    struct http1_error error;
    uint32_t used, payload;
    bool counted = c->body.kind == BODY_LENGTH;
    enum body_result r = body_read(&c->body, &worker_of(c)->bufs, &seg, &used, &payload, &trailers, &error);
    if (r == BODY_REFUSED || r == BODY_NO_BUFFERS) {
        worker_release_seg(worker_of(c), seg);
        /* A response may be under way already; a body that cannot be framed ends the connection either way.
         */
        if (r == BODY_REFUSED && c->exchange && c->exchange->progress < EXCHANGE_HEAD &&
            outbox_is_empty(&c->out))
            refuse_body(c, &error);
        else
            front_abort(c, r == BODY_REFUSED ? ENDING_BAD_REQUEST : ENDING_LIMIT);
        return;
    }
    if (used < seg.len)
        push_front(c, seg_of(seg.buf, seg.data + used, seg.len - used));
    front_grant(c, used - payload);
    buf_ref(seg.buf); /* trailers may point into it */
    struct buf *held = seg.buf;
    seg.len = payload;
    if (payload > 0)
        body_bytes(c, seg, counted && r == BODY_ENDED);
    else
        worker_release_seg(worker_of(c), seg);
    if (r == BODY_ENDED && !counted && c->exchange)
        exchange_request_end(c->exchange, &trailers);
    buf_unref(held);
}

void front_http1_input(struct front_conn *c)
{
    while (!segq_empty(&c->pending)) {
        if (c->state == FRONT_IDLE || c->state == FRONT_HEAD) {
            if (!read_head(c))
                return;
        } else if (c->state == FRONT_EXCHANGE && c->body.kind != BODY_NONE) {
            read_body(c);
        } else {
            return;
        }
    }
    /* A client that ended its direction inside a body will never complete it. One that ended it after a whole
     * request may still be waiting for the answer; but who asked for a tunnel and closes before it stands,
     * without a byte for it, has gone, and the dial is for nobody. */
    bool never = c->body.kind != BODY_NONE || (c->exchange && c->exchange->form == EXCHANGE_CONNECT &&
                                               c->exchange->progress == EXCHANGE_OPENED);
    if (c->input_ended && c->state == FRONT_EXCHANGE && never)
        front_abort(c, ENDING_CLIENT_GONE);
    else if (c->input_ended && c->state == FRONT_IDLE)
        front_finish(c);
}
