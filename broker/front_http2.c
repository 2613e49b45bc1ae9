/* broker/front_http2.c — the session of a client that speaks HTTP/2: nghttp2 between a connection's bytes and
 * its streams.
 *
 * Bytes that come are fed to nghttp2 at once and their credit goes back at once: what bounds a client is its
 * streams' windows, each tied to its exchange's credit. Frames that go are pulled from nghttp2 once a turn,
 * and only while little is outstanding below, so that PING and SETTINGS are answered ahead of bodies and
 * fairness among streams is decided as late as possible. All streams have the same urgency and take turns,
 * whatever the client says of priorities: a stopped reader stops its own stream, and a large body no other.
 *
 * What a connection can hold, besides its objects: HTTP2_HELD_MAX of request bodies and one window more
 * (pinning at most four times as much, see http2_stream_data()), HTTP2_HELD_MAX of responses, which wait on
 * the workers that read them, one request head, HTTP2_UNSENT_MAX and a frame on its way out, and
 * HTTP2_MEMORY_MAX for nghttp2: streams, compression tables, frames that wait.
 *
 * nghttp2 may not be called from its callbacks, but for submissions. So whatever fails inside is noted, and
 * the connection is ended by the pump, which runs when nothing else does.
 */
#include "broker/front_http2.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/agent_call.h"
#include "io/worker.h"

/* RFC 9113 section 3.4. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
_Static_assert(sizeof(preface) - 1 == HTTP2_PREFACE_BYTES, "what the watch skips");

static struct worker *worker_of(const struct front_http2 *h)
{
    return h->conn->bw->worker;
}

enum front_protocol front_http2_recognize(const struct front_conn *c)
{
    uint32_t at = 0;
    for (const struct segq_node *n = c->pending.head; n && at < HTTP2_PREFACE_BYTES; n = n->next) {
        uint32_t left = HTTP2_PREFACE_BYTES - at, len = n->seg.len < left ? n->seg.len : left;
        if (memcmp(n->seg.data, preface + at, len) != 0)
            return FRONT_HTTP1;
        at += len;
    }
    return at == HTTP2_PREFACE_BYTES ? FRONT_HTTP2 : FRONT_UNKNOWN;
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

void http2_fail(struct front_http2 *h, enum ending reason)
{
    if (h->failed == ENDING_DONE)
        h->failed = reason;
    http2_pump_later(h);
}

/* Not at once: nghttp2 before 1.68.1 may fail an assertion when a callback ends its session (CVE-2026-27135).
 */
void http2_refuse(struct front_http2 *h, uint32_t code)
{
    if (h->refusal == NGHTTP2_NO_ERROR)
        h->refusal = code;
    http2_pump_later(h);
}

void http2_submitted(struct front_http2 *h, int rc)
{
    if (rc != 0)
        http2_fail(h, ENDING_LIMIT); /* out of memory, nothing else is left */
    http2_pump_later(h);
}

void http2_log_client(struct front_http2 *h, const char *event)
{
    struct worker *w = worker_of(h);
    log_begin(w, LOG_WARN, event);
    front_log_client(h->conn);
}

void http2_flooded(struct front_http2 *h, enum http2_flood flood)
{
    static const enum counter counters[HTTP2_FLOOD_COUNT] = {
        [HTTP2_FLOOD_RESET] = COUNTER_http2_flood_reset,
        [HTTP2_FLOOD_CONTINUATION] = COUNTER_http2_flood_continuation,
        [HTTP2_FLOOD_PING] = COUNTER_http2_flood_ping,
        [HTTP2_FLOOD_SETTINGS] = COUNTER_http2_flood_settings,
        [HTTP2_FLOOD_PRIORITY] = COUNTER_http2_flood_priority,
        [HTTP2_FLOOD_EMPTY_DATA] = COUNTER_http2_flood_empty_data,
        [HTTP2_FLOOD_WINDOW_UPDATE] = COUNTER_http2_flood_window_update,
        [HTTP2_FLOOD_OTHER] = COUNTER_http2_flood_other,
    };
    if (h->leaving != ENDING_DONE)
        return;
    h->leaving = ENDING_LIMIT;
    counter_add(worker_of(h), counters[flood], 1);
    http2_log_client(h, "client_flood");
    log_str(worker_of(h), "kind", http2_flood_label(flood));
    log_str(worker_of(h), "reason", http2_flood_text(flood));
    log_end(worker_of(h));
    if (h->unsent >= HTTP2_UNSENT_MAX) /* it does not read: no GOAWAY would reach it */
        http2_fail(h, ENDING_LIMIT);
    else
        http2_refuse(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

void http2_wasted(struct front_http2 *h)
{
    enum http2_flood flood = http2_watch_wasted(&h->watch, worker_of(h)->now_ns);
    if (flood != HTTP2_FLOOD_NONE)
        http2_flooded(h, flood);
}

static void on_block_timer(struct timer *t)
{
    struct front_http2 *h = container_of(t, struct front_http2, block_timer);
    h->leaving = ENDING_HEAD_TIMEOUT;
    counter_add(worker_of(h), COUNTER_http2_errors, 1);
    http2_log_client(h, "client_head_timeout");
    log_end(worker_of(h));
    http2_refuse(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* The second GOAWAY of a drain: what is not here by now will not be served. */
void http2_say_goaway(struct front_http2 *h)
{
    worker_disarm(worker_of(h), &h->drain_timer);
    http2_ping_part(h);
    http2_submitted(h, nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                             nghttp2_session_get_last_proc_stream_id(h->session),
                                             NGHTTP2_NO_ERROR, NULL, 0));
}

static void on_drain_timer(struct timer *t)
{
    http2_say_goaway(container_of(t, struct front_http2, drain_timer));
}

void front_http2_drain(struct front_conn *c)
{
    struct front_http2 *h = c->http2;
    list_each_safe(node, tmp, &h->streams)
    {
        struct http2_stream *s = list_entry(node, struct http2_stream, node);
        if (s->state == HTTP2_CALL)
            s->call->ops->drain(s->call);
    }
    http2_submitted(h, nghttp2_submit_shutdown_notice(h->session));
    http2_submitted(
        h, nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL)); /* its answer follows all requests */
    worker_arm_ms(worker_of(h), &h->drain_timer, HTTP2_DRAIN_MS);
}

void front_http2_idle(struct front_conn *c)
{
    http2_say_goaway(c->http2);
}

void front_http2_leave(struct front_conn *c, enum ending reason)
{
    struct front_http2 *h = c->http2;
    worker_disarm(worker_of(h), &h->block_timer);
    worker_disarm(worker_of(h), &h->drain_timer);
    http2_ping_leave(h);
    list_each_safe(node, tmp, &h->streams)
        http2_stream_leave(list_entry(node, struct http2_stream, node), reason);
    field_block_reset(&h->block);
}

void front_http2_free(struct front_conn *c)
{
    struct front_http2 *h = c->http2;
    c->http2 = NULL;
    ASSERT(list_empty(&h->streams));
    task_cancel(&h->pump);
    nghttp2_session_del(h->session);
    ASSERT(h->memory.used == 0);
    slab_give(&c->bw->http2_fronts, h);
}

void front_http2_end(struct front_conn *c)
{
    struct front_http2 *h = c->http2;
    http2_ping_part(h);
    list_each_safe(node, tmp, &h->streams)
    {
        struct http2_stream *s = list_entry(node, struct http2_stream, node);
        if (!s->request_ended && s->state != HTTP2_CLOSED)
            http2_stream_reset(s, NGHTTP2_CANCEL, ENDING_CLIENT_GONE);
    }
    http2_pump_later(h);
}

/* -- out ----------------------------------------------------------------------------------------------------
 */

void http2_pump_later(struct front_http2 *h)
{
    worker_defer(worker_of(h), &h->pump);
}

static void pull(struct front_http2 *h)
{
    struct front_conn *c = h->conn;
    h->starved = false;
    while (h->unsent < HTTP2_UNSENT_MAX && h->failed == ENDING_DONE) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(h->session, &data);
        if (n == 0)
            return;
        if (n < 0 || !outbox_put(&c->out, data, (size_t)n))
            http2_fail(h, ENDING_LIMIT);
        else
            h->unsent += (uint32_t)n;
    }
}

static bool is_over(const struct front_http2 *h)
{
    if (h->conn->input_ended && h->stream_count == 0)
        return true;
    return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}

static void on_pump(struct task *t)
{
    struct front_http2 *h = container_of(t, struct front_http2, pump);
    struct front_conn *c = h->conn;
    if (c->state == FRONT_LINGER || c->state == FRONT_CLOSING)
        return;
    if (h->refusal != NGHTTP2_NO_ERROR) /* again: harmless */
        http2_submitted(h, nghttp2_session_terminate_session(h->session, h->refusal));
    pull(h);
    if (http2_ping_settle(h))
        pull(h);
    if (h->failed != ENDING_DONE) {
        front_abort(c, h->failed);
    } else if (is_over(h)) {
        front_http2_leave(c, h->leaving != ENDING_DONE ? h->leaving : ENDING_CLIENT_GONE);
        front_finish(c);
    } else if ((c->state == FRONT_IDLE) == (h->stream_count > 0)) {
        front_set_state(c, h->stream_count > 0 ? FRONT_EXCHANGE : FRONT_IDLE);
    }
}

void front_http2_sent(struct front_conn *c, uint32_t bytes)
{
    struct front_http2 *h = c->http2;
    bool was_full = h->unsent >= HTTP2_UNSENT_MAX;
    ASSERT(h->unsent >= bytes);
    h->unsent -= bytes;
    if (was_full || h->starved) /* else nothing waits for it, and a turn is spared */
        http2_pump_later(h);
}

/* -- in -----------------------------------------------------------------------------------------------------
 */

void http2_consumed(struct front_http2 *h, uint32_t bytes)
{
    ASSERT(h->held_in >= bytes);
    h->held_in -= bytes;
    if (h->window_owed > 0 && h->held_in < HTTP2_HELD_MAX) {
        http2_submitted(h, nghttp2_session_consume_connection(h->session, h->window_owed));
        h->window_owed = 0;
    }
}

static void pass_on_gathered(struct front_http2 *h)
{
    struct list *node;
    while ((node = list_pop(&h->dirty)) != NULL)
        http2_stream_pass_on(list_entry(node, struct http2_stream, dirty));
}

static void watch_block(struct front_http2 *h)
{
    if (!http2_watch_in_block(&h->watch))
        worker_disarm(worker_of(h), &h->block_timer);
    else if (!timer_is_armed(&h->block_timer))
        worker_arm_ms(worker_of(h), &h->block_timer, h->conn->bw->broker->times.head_ms);
}

static void failed_to_read(struct front_http2 *h, ssize_t error)
{
    bool ours = error == NGHTTP2_ERR_NOMEM || error == NGHTTP2_ERR_CALLBACK_FAILURE;
    if (error == NGHTTP2_ERR_FLOODED)
        http2_flooded(h, HTTP2_FLOOD_OTHER);
    http2_fail(h, ours || error == NGHTTP2_ERR_FLOODED ? ENDING_LIMIT : ENDING_BAD_REQUEST);
}

void front_http2_data(struct front_conn *c, struct seg seg)
{
    struct front_http2 *h = c->http2;
    h->heard_ns = worker_of(h)->now_ns;
    if (h->leaving == ENDING_DONE && h->failed == ENDING_DONE && h->refusal == NGHTTP2_NO_ERROR) {
        enum http2_flood flood = http2_watch_input(&h->watch, worker_of(h)->now_ns, seg.data, seg.len);
        if (flood != HTTP2_FLOOD_NONE) {
            http2_flooded(h, flood);
        } else {
            h->input = &seg;
            ssize_t n = nghttp2_session_mem_recv(h->session, seg.data, seg.len);
            h->input = NULL;
            if (n < 0)
                failed_to_read(h, n);
            pass_on_gathered(h);
            watch_block(h);
        }
    }
    front_grant(c, seg.len);
    worker_release_seg(worker_of(h), seg);
    http2_pump_later(h);
}

/* -- beginning ----------------------------------------------------------------------------------------------
 */

static int say_settings(struct front_http2 *h)
{
    const struct broker *b = h->conn->bw->broker;
    bool agents = front_serves_agents(h->conn);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, b->config->http2.streams_max                     },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    agents ? AGENT_WINDOW_FIRST : h->conn->bw->budget},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,   b->request_limits.head_bytes_max                 },
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,  1                                                },
    };
    int rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings));
    return rc ? rc
              : nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                      agents ? AGENT_WINDOW_MAX : HTTP2_WINDOW);
}

void front_http2_start(struct front_conn *c)
{
    struct front_http2 *h = slab_take(&c->bw->http2_fronts);
    if (!h) {
        front_abort(c, ENDING_LIMIT);
        return;
    }
    h->conn = c;
    list_init(&h->streams);
    list_init(&h->dirty);
    task_init(&h->pump, on_pump);
    timer_init(&h->block_timer, on_block_timer);
    timer_init(&h->drain_timer, on_drain_timer);
    http2_ping_init(h);
    http2_memory_init(&h->memory, HTTP2_MEMORY_MAX);
    http2_watch_init(&h->watch, worker_of(h)->now_ns, HTTP2_PREFACE_BYTES);
    if (http2_session_new(h) != 0) {
        slab_give(&c->bw->http2_fronts, h);
        front_abort(c, ENDING_LIMIT);
        return;
    }
    c->http2 = h;
    c->protocol = FRONT_HTTP2;
    counter_add(worker_of(h), COUNTER_front_http2, 1);
    http2_submitted(h, say_settings(h));
    if (c->state == FRONT_HEAD)
        front_set_state(c, FRONT_IDLE);
    if (c->bw->draining)
        front_http2_drain(c);
    http2_pump_later(h);
    while (!segq_empty(&c->pending))
        front_http2_data(c, segq_pop(&c->pending, &c->bw->seg_nodes));
    crumbs_drop(&c->crumbs);
}
