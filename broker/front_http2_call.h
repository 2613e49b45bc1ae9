/* broker/front_http2_call.h — a gRPC call of a service of the broker's own, as its HTTP/2 stream sees it.
 *
 * The service embeds struct http2_call, and is a row of calls: Konnectivity's ProxyService
 * (konnectivity/proxy.h) and AgentService (konnectivity/agent_call.h). Owner worker only. Internal to
 * broker/.
 */
#pragma once

#include <sys/types.h>

#include "broker/konnectivity/reader.h"
#include "io/ending.h"

struct head_view;
struct http2_call;
struct http2_stream;

struct http2_call_ops {
    void (*input)(struct http2_call *, const uint8_t *data, uint32_t len);
    /* Bytes of the input that the connection is reading; pass_on() is due when it was read. */
    void (*pass_on)(struct http2_call *);
    void (*input_end)(struct http2_call *);
    /* The client has ended its direction. */
    void (*drain)(struct http2_call *);
    /* The broker is shutting down: ends when it carries nothing. */
    void (*pong)(struct http2_call *);
    /* A PING of the connection's was answered. NULL: it asks for none. */
    void (*gone)(struct http2_call *, enum ending);
    /* The HTTP/2 stream is over: frees it. */
    uint32_t (*ready)(struct http2_call *);
    /* Bytes that can be taken now: the rest of a packet, or a new one. 0: nothing to send. */
    void (*take)(struct http2_call *, uint8_t *to, uint32_t len);
    /* Not more than are ready. */
};

struct http2_call {
    const struct http2_call_ops *ops;
    struct http2_stream *http2;
    uint32_t window; /* of the stream: the client may have so much under way */
    uint32_t owed;   /* received, and not given back to the window */
    uint32_t held;   /* waits to be sent, and counts as what the client makes us hold */
    bool answered;   /* it has come to something: to give it up is no waste */
    bool over;       /* nothing more is read, and nothing but the packet under way is sent */
    struct reader_failure end;
};

/* What the HTTP/2 stream calls. */
bool http2_call_is_named(struct slice records);
/* Whether the request is for a service of the broker's own, however it asks. */
void http2_call_begin(struct http2_stream *, const struct head_view *, bool ended);
void http2_call_data(struct http2_stream *, const uint8_t *data, uint32_t len);
ssize_t http2_call_read(struct http2_stream *, size_t len, uint32_t *flags);
/* Within nghttp2's read callback. */

/* What a service calls. */
void http2_call_init(struct http2_call *, const struct http2_call_ops *, struct http2_stream *);
void http2_call_answer(struct http2_call *, const struct slice fields[][2], unsigned count);
/* The head of the answer, with so many fields (name, value) of the service's own; they are copied. */
void http2_call_refuse(struct http2_stream *, enum grpc_status, const char *text);
/* An answer that is nothing but an end, in place of http2_call_answer(). */
void http2_call_credit(struct http2_call *, uint32_t bytes);
/* Of the stream's window. */
void http2_call_holds(struct http2_call *, uint32_t bytes);
/* So many bytes more wait to be sent. May end the stream, or another. */
void http2_call_sent(struct http2_call *, uint32_t bytes);
/* They do not wait any more. */
void http2_call_end(struct http2_call *, enum grpc_status, const char *text);
/* It is over: what is ready goes, then trailers. The text must live on. */
