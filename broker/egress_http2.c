/* broker/egress_http2.c — a request as a stream of an HTTP/2 session (http2_client.c).
 *
 * Its body waits as it was lent until nghttp2 fetches it within the peer's windows; what was fetched is
 * copied into the session's outbox and goes home with its credit. Of a response large pieces are lent onwards
 * as they were received; small ones are gathered, so that what a peer drips costs memory by its bytes.
 *
 * The object leaves its session before anything is said of its end, so that nothing comes back. */
#include <stdio.h>
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/http2_client.h"
#include "io/worker.h"

static struct worker *worker_of(const struct egress *e)
{
    return e->bw->worker;
}

/* -- request ------------------------------------------------------------------------------------------------
 */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                       nghttp2_data_source *source, void *arg);

static bool begin(struct egress *e)
{
    struct http2_client *s = conn_session(e->conn);
    const struct head *head = egress_request_head(e);
    nghttp2_data_provider provider = {.read_callback = on_read};
    struct http2_fields fields;
    e->h2 = (struct egress_http2){.session = s};
    list_init(&e->h2.node);
    list_init(&e->h2.dirty);
    list_add_tail(&s->requests, &e->h2.node);
    e->head_taken = false;
    e->credit = e->bw->budget;
    if (!s->failed && nghttp2_session_check_request_allowed(s->session)) {
        if (!http2_client_has_room(s, head))
            return false;
        http2_write_request(head, HTTP_SCHEME_HTTPS, &fields);
        int32_t id = nghttp2_submit_request(s->session, NULL, fields.nv, fields.n,
                                            head->body == BODY_NONE ? NULL : &provider, e);
        if (id < 0)
            return false;
        e->h2.id = id;
        e->request_written = head->body == BODY_NONE;
        s->begun++;
    } else {
        conn_set_shares(e->conn, 0); /* the pump refuses it */
    }
    egress_expect_first_byte(e);
    http2_client_watch(s);
    http2_client_pump(s);
    return true;
}

static void resume(struct egress *e)
{
    if (!e->h2.deferred)
        return;
    e->h2.deferred = false;
    if (nghttp2_session_resume_data(e->h2.session->session, e->h2.id) == 0)
        http2_client_pump(e->h2.session);
}

static void write_data(struct egress *e, struct seg seg)
{
    if (segq_push(&e->h2.body, &e->bw->seg_nodes, seg)) {
        resume(e);
        return;
    }
    worker_release_seg(worker_of(e), seg);
    egress_fail(e, ENDING_LIMIT, "out of buffers");
}

static void write_end(struct egress *e)
{
    resume(e);
}

static bool submit_trailers(struct egress *e)
{
    struct http2_fields fields;
    http2_write_trailers((const struct head *)e->trailers.data, &fields);
    return nghttp2_submit_trailer(e->h2.session->session, e->h2.id, fields.nv, fields.n) == 0;
}

/* Says how much of the body the next DATA frame carries, and whether it is the last. */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                       nghttp2_data_source *source, void *arg)
{
    struct egress *e = nghttp2_session_get_stream_user_data(session, id);
    (void)buf;
    (void)source;
    (void)arg;
    if (!e)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    uint32_t waiting = e->h2.body.bytes - e->h2.body_sent;
    size_t n = waiting < len ? waiting : len;
    if (n == waiting && e->request_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        e->request_written = true;
        if (e->trailers.buf) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (!submit_trailers(e))
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    } else if (n == 0) {
        e->h2.deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)n;
}

/* Copies the next bytes of the body. False: out of buffers. */
static bool copy_body(struct egress *e, struct outbox *out, uint32_t len)
{
    while (len > 0) {
        struct seg *seg = &e->h2.body.head->seg;
        uint32_t left = seg->len - e->h2.body_sent, n = left < len ? left : len;
        if (!outbox_put(out, seg->data + e->h2.body_sent, n))
            return false;
        len -= n;
        e->h2.body_sent += n;
        if (n < left)
            break;
        struct seg done = segq_pop(&e->h2.body, &e->bw->seg_nodes);
        e->h2.body_sent = 0;
        egress_post(e, EX_CREDIT, done, done.len);
    }
    return true;
}

int egress_http2_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t len,
                      nghttp2_data_source *source, void *arg)
{
    struct http2_client *s = arg;
    struct egress *e = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)source;
    ASSERT(frame->data.padlen == 0); /* none was asked for */
    if (!e)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (s->unsent >= HTTP2_CLIENT_UNSENT_MAX)
        return NGHTTP2_ERR_WOULDBLOCK;
    enum { FRAME_HEADER = 9 };
    e->body_began = e->body_began || len > 0;
    if (!outbox_put(&s->out, header, FRAME_HEADER) || !copy_body(e, &s->out, (uint32_t)len))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    s->unsent += FRAME_HEADER + (uint32_t)len;
    if (len > 0)
        http2_watch_sent(&s->watch, (uint32_t)len, e->h2.body.bytes == 0);
    egress_expect_first_byte(e);
    return 0;
}

/* -- leaving ------------------------------------------------------------------------------------------------
 */

/* A body of which nothing was sent may be sent again. */
static void leave_body(struct egress *e)
{
    while (e->body_began && !segq_empty(&e->h2.body))
        worker_release_seg(worker_of(e), segq_pop(&e->h2.body, &e->bw->seg_nodes));
    if (!e->body_began)
        e->early = e->h2.body;
    e->h2.body = (struct segq){0};
}

static void detach(struct egress *e)
{
    struct http2_client *s = e->h2.session;
    list_remove(&e->h2.node);
    list_remove(&e->h2.dirty);
    e->h2.session = NULL;
    if (e->h2.id > 0)
        (void)nghttp2_session_set_stream_user_data(s->session, e->h2.id, NULL);
}

/* What is not complete is cut: the request of a response that came early, or both. */
static void cut(struct http2_client *s, const struct egress *e, enum ending reason)
{
    uint32_t code = reason == ENDING_BAD_RESPONSE ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL;
    if (e->h2.id == 0 || (reason == ENDING_DONE && e->request_written))
        return;
    (void)nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, e->h2.id, code);
    http2_client_pump(s);
}

static void leave(struct egress *e, enum ending reason)
{
    struct http2_client *s = e->h2.session;
    if (s) {
        detach(e);
        cut(s, e, reason);
    }
    leave_body(e);
    crumbs_drop(&e->crumbs);
    pool_give_back(e->bw->pool, &e->conn);
}

static void credit(struct egress *e, uint32_t bytes)
{
    struct http2_client *s = e->h2.session;
    e->credit += bytes;
    if (nghttp2_session_consume_stream(s->session, e->h2.id, bytes) == 0)
        http2_client_pump(s);
}

const struct egress_ops egress_http2_ops = {
    .begin = begin, .data = write_data, .end = write_end, .credit = credit, .leave = leave};

/* -- response -----------------------------------------------------------------------------------------------
 */

static void malformed(struct egress *e, enum http2_refusal refusal)
{
    enum ending reason = refusal == HTTP2_NO_BUFFERS ? ENDING_LIMIT : ENDING_BAD_RESPONSE;
    egress_fail(e, reason, http2_refusal_text(refusal));
}

static void complete(struct egress *e, const struct head_view *trailers)
{
    if (e->body.kind == BODY_LENGTH && e->body.left > 0) {
        malformed(e, HTTP2_LENGTH_MISMATCH);
        return;
    }
    egress_http2_flush(e);
    egress_post_end(e, trailers);
    egress_finish(e);
}

static void on_head(struct egress *e, const struct head_view *view, bool ended)
{
    bool interim = view->status < 200;
    if (interim && ++e->h2.interims > HTTP2_CLIENT_INTERIMS_MAX) {
        malformed(e, HTTP2_INTERIM_FLOOD);
        return;
    }
    if (!interim) {
        e->state = EGRESS_BODY;
        body_begin(&e->body, view);
    }
    if (egress_post_head(e, view, ended) && ended)
        egress_finish(e);
}

void egress_http2_fields(struct egress *e, const struct field_block *block, bool ended)
{
    struct head_view view;
    enum http2_refusal refusal = block->refusal;
    bool trailers = e->state == EGRESS_BODY;
    if (e->state == EGRESS_WAITING)
        egress_saw_first_byte(e);
    if (refusal == HTTP2_NONE && trailers)
        refusal = http2_read_trailers(field_block_records(block), ended, &view);
    else if (refusal == HTTP2_NONE)
        refusal = http2_read_response(egress_request_head(e)->method, field_block_records(block), ended,
                                      &view);
    if (refusal != HTTP2_NONE)
        malformed(e, refusal);
    else if (trailers)
        complete(e, &view);
    else
        on_head(e, &view, ended);
}

/* What was gathered since it was last passed on. */
void egress_http2_flush(struct egress *e)
{
    struct crumbs *c = &e->crumbs;
    list_remove(&e->h2.dirty);
    if (!c->buf || c->used == e->h2.given)
        return;
    struct seg seg = seg_of(c->buf, c->buf->mem + e->h2.given, c->used - e->h2.given);
    e->h2.given = c->used;
    egress_post(e, EX_DATA, seg, 0);
}

/* False: out of buffers. */
static bool gather(struct egress *e, const uint8_t *data, uint32_t len)
{
    struct crumbs *c = &e->crumbs;
    if (c->buf && c->buf->refs == 1 && c->used == e->h2.given) /* all was taken */
        c->used = e->h2.given = 0;
    if (c->buf && c->buf->cap - c->used < len) {
        egress_http2_flush(e);
        crumbs_drop(c);
    }
    if (!c->buf) {
        c->buf = buf_get(&worker_of(e)->bufs, BUF_SMALL);
        c->used = e->h2.given = 0;
    }
    if (!c->buf)
        return false;
    memcpy(c->buf->mem + c->used, data, len);
    c->used += len;
    if (list_empty(&e->h2.dirty))
        list_add_tail(&e->h2.session->dirty, &e->h2.dirty);
    return true;
}

/* nghttp2 notices a window that is overrun too, but only after it has passed the bytes on. */
static enum http2_refusal check_data(const struct egress *e, uint32_t len)
{
    if (e->state != EGRESS_BODY)
        return HTTP2_NO_HEAD;
    if (e->body.kind == BODY_NONE)
        return HTTP2_BODY_UNEXPECTED;
    if (e->body.kind == BODY_LENGTH && len > e->body.left)
        return HTTP2_LENGTH_MISMATCH;
    return len > e->credit ? HTTP2_BODY_BEYOND_WINDOW : HTTP2_NONE;
}

void egress_http2_data(struct egress *e, const uint8_t *data, uint32_t len)
{
    const struct seg *input = e->h2.session->input;
    enum http2_refusal refusal = check_data(e, len);
    if (refusal != HTTP2_NONE) {
        malformed(e, refusal);
        return;
    }
    e->credit -= len;
    e->body.left -= e->body.kind == BODY_LENGTH ? len : 0;
    if (len <= CRUMB_MAX) {
        if (!gather(e, data, len))
            egress_fail(e, ENDING_LIMIT, "out of buffers");
        return;
    }
    ASSERT(data >= input->data && data + len <= input->data + input->len);
    egress_http2_flush(e);
    egress_post(e, EX_DATA, seg_of(input->buf, input->data + (data - input->data), len), 0);
}

void egress_http2_end(struct egress *e)
{
    if (e->state != EGRESS_BODY)
        malformed(e, HTTP2_NO_HEAD);
    else
        complete(e, NULL);
}

/* -- the stream, or the connection, ends first --------------------------------------------------------------
 */

void egress_http2_closed(struct egress *e, uint32_t code)
{
    char detail[96];
    detach(e);
    if (code == NGHTTP2_REFUSED_STREAM) {
        egress_refused(e);
        return;
    }
    snprintf(detail, sizeof detail, "the HTTP/2 stream was reset: %s", nghttp2_http2_strerror(code));
    egress_fail(e, ENDING_PEER_RESET, detail);
}

void egress_http2_lost(struct egress *e, enum ending reason)
{
    detach(e);
    egress_lost(e, reason, false);
}

void egress_http2_failed(struct egress *e, const char *detail)
{
    detach(e);
    egress_fail(e, ENDING_BAD_RESPONSE, detail);
}
