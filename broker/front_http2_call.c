/* broker/front_http2_call.c — gRPC on an HTTP/2 stream, as far as it is not the service's own: which requests
 * are calls, how they are answered, and how they end (grpc's PROTOCOL-HTTP2).
 *
 * Services of the broker's own are known by their path, whatever the authority: gRPC makes that of the name
 * of a socket. Other paths are requests like any, gRPC or not. A call is answered at once, and again by
 * trailers at its end.
 */
#include "broker/front_http2.h"

#include <stdio.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/agent_call.h"
#include "broker/konnectivity/proxy.h"
#include "io/worker.h"

#define PROXY_SERVICE "/ProxyService/"
#define AGENT_SERVICE "/AgentService/"

static bool begins_with(struct slice text, struct slice beginning)
{
    return text.len >= beginning.len && slice_eq(slice_first(text, beginning.len), beginning);
}

bool http2_call_is_named(struct slice records)
{
    struct slice path = http2_find_pseudo(records, SLICE(":path"));
    return path.data && (begins_with(path, SLICE(PROXY_SERVICE)) || begins_with(path, SLICE(AGENT_SERVICE)));
}

/* -- the beginning ------------------------------------------------------------------------------------------
 */

static struct front_http2 *session_of(const struct http2_call *call)
{
    return call->http2->session;
}

/* Nothing in it would have to be encoded: ours are so, and what others said is made so. */
static void make_message(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);
    for (size_t i = 0; i < len; i++)
        to[i] = text[i] < ' ' || text[i] > '~' || text[i] == '%' ? '?' : text[i];
    to[len] = '\0';
}

static void add_status(struct http2_fields *fields, char room[4], enum grpc_status status, const char *text)
{
    snprintf(room, 4, "%d", (int)status);
    http2_add_field(fields, SLICE("grpc-status"), slice_of_text(room));
    if (text[0])
        http2_add_field(fields, SLICE("grpc-message"), slice_of_text(text));
}

/* An answer that is nothing but an end. */
static void refuse(struct http2_stream *s, const char *http_status, enum grpc_status status, const char *text)
{
    struct http2_fields fields = {.n = 0};
    char room[4], message[256];
    make_message(message, sizeof(message), text);
    http2_add_field(&fields, SLICE(":status"), slice_of_text(http_status));
    http2_add_field(&fields, SLICE("content-type"), SLICE("application/grpc"));
    add_status(&fields, room, status, message);
    http2_wasted(s->session);
    http2_stream_set_state(s, HTTP2_LAST);
    s->reply_ended = true;
    http2_reply_submit(s, &fields, false);
}

static bool is_grpc(const struct head_view *view)
{
    static const struct slice type = SLICE_INIT("application/grpc");
    const struct head_field_view *field = head_view_find(view, HTTP_FIELD_CONTENT_TYPE);
    if (!field || field->value.len < type.len || !slice_eq_nocase(slice_first(field->value, type.len), type))
        return false;
    return field->value.len == type.len || field->value.data[type.len] == '+' ||
           field->value.data[type.len] == ';';
}

static bool is_encoded(const struct head_view *view)
{
    for (uint32_t i = 0; i < view->fields_n; i++)
        if (slice_eq(view->fields[i].name, SLICE("grpc-encoding")))
            return !slice_eq(view->fields[i].value, SLICE("identity"));
    return false;
}

static void allow_streams(struct front_http2 *h)
{
    nghttp2_settings_entry more = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_CALL_STREAMS};
    if (h->has_called || h->conn->bw->broker->config->http2.streams_max >= HTTP2_CALL_STREAMS)
        return;
    h->has_called = true;
    http2_submitted(h, nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, &more, 1));
}

/* What a listener serves, and nothing else. */
static const char *method_of(const struct http2_stream *s)
{
    return front_serves_agents(s->session->conn) ? AGENT_SERVICE "Connect" : PROXY_SERVICE "Proxy";
}

static void refuse_method(struct http2_stream *s)
{
    char text[96];
    snprintf(text, sizeof(text), "unknown method; this listener has %s", method_of(s));
    refuse(s, "200", GRPC_UNIMPLEMENTED, text);
}

static void begin_proxy(struct http2_stream *s, bool ended)
{
    s->call = proxy_stream_new(s);
    if (!s->call) {
        refuse(s, "200", GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    allow_streams(s->session);
    http2_stream_set_state(s, HTTP2_CALL);
    http2_call_answer(s->call, NULL, 0);
    if (ended)
        s->call->ops->input_end(s->call);
}

void http2_call_begin(struct http2_stream *s, const struct head_view *view, bool ended)
{
    if (!slice_eq(view->method_text, SLICE("POST")))
        refuse(s, "405", GRPC_INTERNAL, "the method of a call is POST");
    else if (!is_grpc(view))
        refuse(s, "415", GRPC_INVALID_ARGUMENT, "the content-type of a call is application/grpc");
    else if (!slice_eq(view->path, slice_of_text(method_of(s))))
        refuse_method(s);
    else if (is_encoded(view))
        refuse(s, "200", GRPC_UNIMPLEMENTED, "compressed messages are not accepted");
    else if (front_serves_agents(s->session->conn))
        agent_call_begin(s, view, ended);
    else
        begin_proxy(s, ended);
}

void http2_call_init(struct http2_call *call, const struct http2_call_ops *ops, struct http2_stream *s)
{
    call->ops = ops;
    call->http2 = s;
    call->window = s->session->conn->bw->budget;
}

void http2_call_answer(struct http2_call *call, const struct slice fields[][2], unsigned count)
{
    struct http2_fields all = {.n = 0};
    http2_add_field(&all, SLICE(":status"), SLICE("200"));
    http2_add_field(&all, SLICE("content-type"), SLICE("application/grpc"));
    for (unsigned i = 0; i < count; i++)
        http2_add_field(&all, fields[i][0], fields[i][1]);
    http2_reply_submit(call->http2, &all, true);
}

void http2_call_refuse(struct http2_stream *s, enum grpc_status status, const char *text)
{
    refuse(s, "200", status, text);
}

/* -- windows and queues -------------------------------------------------------------------------------------
 */

/* nghttp2 hands out what exceeds the window, too. */
void http2_call_data(struct http2_stream *s, const uint8_t *data, uint32_t len)
{
    struct http2_call *call = s->call;
    if (call->owed + len > call->window) {
        http2_consumed(s->session, len);
        http2_wasted(s->session);
        http2_stream_reset(s, NGHTTP2_FLOW_CONTROL_ERROR, ENDING_BAD_REQUEST);
        return;
    }
    if (list_empty(&s->dirty))
        list_add_tail(&s->session->dirty, &s->dirty);
    call->owed += len;
    call->ops->input(call, data, len);
}

void http2_call_credit(struct http2_call *call, uint32_t bytes)
{
    struct http2_stream *s = call->http2;
    if (!s->request_ended)
        http2_submitted(s->session, nghttp2_session_consume_stream(s->session->session, s->id, bytes));
}

void http2_call_holds(struct http2_call *call, uint32_t bytes)
{
    struct front_http2 *h = session_of(call);
    call->held += bytes;
    if (call->held == bytes) /* the first */
        call->http2->stalled_ns = h->conn->bw->worker->now_ns;
    h->held_out += bytes;
    http2_reply_limit(h);
}

void http2_call_sent(struct http2_call *call, uint32_t bytes)
{
    call->held -= bytes;
    session_of(call)->held_out -= bytes;
}

/* -- the end ------------------------------------------------------------------------------------------------
 */

void http2_call_end(struct http2_call *call, enum grpc_status status, const char *text)
{
    call->end = (struct reader_failure){status, text};
    call->over = true;
    http2_stream_set_state(call->http2, HTTP2_LAST);
    http2_reply_wake(call->http2);
}

static void submit_trailers(struct http2_stream *s)
{
    struct http2_fields fields = {.n = 0};
    char room[4];
    add_status(&fields, room, s->call->end.status, s->call->end.text);
    s->reply_ended = true;
    http2_submitted(s->session, nghttp2_submit_trailer(s->session->session, s->id, fields.nv, fields.n));
}

ssize_t http2_call_read(struct http2_stream *s, size_t len, uint32_t *flags)
{
    uint32_t ready = s->call->ops->ready(s->call);
    if (ready == 0 && !s->call->over)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (ready > len)
        return (ssize_t)len;
    if (s->call->over) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(s);
    }
    return (ssize_t)ready;
}
