/* broker/front_http2.h — a client connection that speaks HTTP/2: its session, and its streams as askers.
 *
 *   front_http2.c         the connection: bytes in and out, abuse, draining
 *   front_http2_session.c nghttp2's session and its callbacks
 *   front_http2_stream.c  a stream's life, and what its exchange calls
 *   front_http2_request.c what a stream asks: heads, bodies, trailers
 *   front_http2_reply.c   what a stream answers: heads, lent bodies, trailers, answers of our own
 *   front_http2_ping.c    when the client's PINGs are answered
 *   front_http2_call.c    a stream that calls a gRPC service of the broker's own (front_http2_call.h)
 *
 * Owner worker only. Internal to broker/.
 */
#pragma once

#include "broker/field_block.h"
#include "broker/front.h"
#include "broker/front_http2_call.h"
#include "broker/gather.h"
#include "broker/http/http2_watch.h"
#include "broker/http2_memory.h"

enum {
    HTTP2_WINDOW = 1024 * 1024,         /* of the connection: refilled at once */
    HTTP2_HELD_MAX = 16 * 1024 * 1024,  /* bytes of one direction that wait in a connection's streams */
    HTTP2_UNSENT_MAX = 128 * 1024,      /* given to the connection's stream and not taken yet */
    HTTP2_MEMORY_MAX = 4 * 1024 * 1024, /* of nghttp2's session */
    HTTP2_MEMORY_SPARE = 1024 *
                         1024, /* kept free of response heads, or a reader that stands still fills it */
    HTTP2_CALL_STREAMS = 4096, /* on a connection with calls: Konnectivity's client has one for each dial, and
                                  waits for ever beyond; nghttp2 needs some 600 bytes for each */
    HTTP2_RAPID_MS =
        1000, /* a request cancelled later than that was no attack: many a deadline may pass at once */
    HTTP2_DRAIN_MS = 1000, /* for what was on its way to us when we said GOAWAY; a guess */
    HTTP2_STEP_MS = 25, /* what may wait for a moment goes at the next multiple of it: one turn and one record
                           for all that is due. A guess */
    HTTP2_PING_FLOW = 16384, /* bytes of DATA since the last answer that are a flow: a frame */
    HTTP2_PING_BYTES = 8,
};

enum http2_ping_state {
    HTTP2_PING_NONE, /* is unanswered */
    HTTP2_PING_HELD, /* until the next step */
    HTTP2_PING_DUE,  /* its answer goes behind what the pump finds */
};

struct http2_ping {
    struct timer timer;
    uint64_t answered_ns; /* when the last one was; 0: none */
    uint32_t passed;      /* bytes of DATA sent since, as far as they matter */
    uint8_t data[HTTP2_PING_BYTES];
    enum http2_ping_state state;
    bool parting; /* nothing is held any more */
};

enum http2_stream_state {
    HTTP2_HEAD,   /* its first field block is not complete */
    HTTP2_ASKED,  /* an exchange was begun, the final head is not here */
    HTTP2_ANSWER, /* the head was submitted, the body may go on */
    HTTP2_TUNNEL, /* CONNECT: raw bytes both ways */
    HTTP2_CALL,   /* gRPC messages both ways; there is no exchange */
    HTTP2_LAST,   /* all that will be sent is queued */
    HTTP2_CUT,    /* RST_STREAM was submitted, there is no exchange any more */
    HTTP2_CLOSED, /* nghttp2 has forgotten it: the exchange's last word is awaited */
    HTTP2_STREAM_STATES,
};

struct front_http2;

struct http2_stream {
    struct list node;  /* front_http2.streams */
    struct list dirty; /* front_http2.dirty: has gathered bytes */
    struct front_http2 *session;
    struct exchange *exchange; /* NULL: none was begun, or it has settled */
    struct http2_call *call;   /* in place of an exchange */
    int32_t id;
    enum http2_stream_state state;
    uint64_t began_ns;
    struct timer timer; /* of a tunnel: idle, or its last bytes are not taken; of an answered upload */

    /* Request. */
    struct gather gathered; /* small DATA */
    struct segq early;      /* of a tunnel that does not stand yet */
    uint32_t uncredited;    /* received, and not taken over by the exchange's other half */
    uint64_t length_left;   /* of Content-Length */
    bool has_length, is_head, is_connect;
    bool request_ended;   /* END_STREAM came */
    bool reset_by_client; /* RST_STREAM came */

    /* Answer. */
    struct segq queue;    /* lent, but for our own; a segment's tag is its length when it came */
    struct buf *trailers; /* struct head */
    uint64_t stalled_ns;  /* when the queue last began to wait */
    uint32_t last_code;   /* of the RST_STREAM that tells a client to stop its request once it is answered */
    bool reply_ended;     /* nothing will be added to the queue */
    bool reply_sent;      /* END_STREAM went */
};

struct front_http2 {
    struct front_conn *conn;
    nghttp2_session *session;
    struct http2_memory memory;
    struct http2_watch watch;
    struct field_block block; /* of the stream whose block is open */
    struct list streams, dirty;
    uint32_t stream_count;
    struct task pump;
    struct timer block_timer, drain_timer;
    struct http2_ping ping;
    const struct seg *input;    /* what nghttp2 is reading */
    uint32_t unsent;            /* bytes in the outbox and below */
    bool starved;               /* a frame waits for a buffer, which what is unsent will give back */
    uint64_t held_in, held_out; /* sums of `uncredited` and of the queues */
    uint32_t window_owed;       /* of the connection's window, while held_in is at its limit */
    bool has_called;            /* a service of the broker's own */
    uint64_t heard_ns;          /* when anything was last received */
    enum ending failed;         /* not DONE: to be aborted for this reason */
    uint32_t refusal;           /* not NO_ERROR: nothing more is read, and GOAWAY with this code is due */
    enum ending leaving;        /* why its streams end when the last GOAWAY has gone */
};

/* front_http2.c */
enum front_protocol front_http2_recognize(const struct front_conn *);
/* By the first bytes, which are all in `pending`: HTTP2, HTTP1, or UNKNOWN while they could be either. */
void front_http2_start(struct front_conn *);
/* Says SETTINGS; what is pending is the client's preface. Aborts when out of memory. */
void front_http2_data(struct front_conn *, struct seg);
/* Takes the segment. */
void front_http2_sent(struct front_conn *, uint32_t bytes);
void front_http2_end(struct front_conn *);
/* The client's direction ended. */
void front_http2_idle(struct front_conn *);
void front_http2_drain(struct front_conn *);
void front_http2_leave(struct front_conn *, enum ending);
/* The connection is being aborted: every exchange loses its client. */
void front_http2_free(struct front_conn *);

void http2_pump_later(struct front_http2 *);
void http2_submitted(struct front_http2 *, int rc);
/* What nghttp2 answered to a submission: all but 0 is a lack of memory, and ends the connection. */
void http2_fail(struct front_http2 *, enum ending);
/* Aborts the connection as soon as nghttp2 is not at work. */
void http2_refuse(struct front_http2 *, uint32_t code);
/* Ends the connection by GOAWAY as soon as nghttp2 is not at work; what has come until then is not heeded. */
void http2_flooded(struct front_http2 *, enum http2_flood);
/* Ends the connection for it. */
void http2_wasted(struct front_http2 *);
/* A request came to nothing by the client's doing. */
void http2_consumed(struct front_http2 *, uint32_t bytes);
/* So many bytes of request bodies are held no longer. */
void http2_say_goaway(struct front_http2 *);
/* The last one of a connection that ends in peace: requests that are not here by now will not be served. */
void http2_log_client(struct front_http2 *, const char *event);
/* Begins a line of the log. */

/* front_http2_session.c */
MUST_USE int http2_session_new(struct front_http2 *);
/* 0, or nghttp2's error: out of memory. */

/* front_http2_ping.c */
void http2_ping_init(struct front_http2 *);
void http2_ping_came(struct front_http2 *, const uint8_t data[HTTP2_PING_BYTES]);
/* Answers it, at once or a little later. */
void http2_ping_passed(struct front_http2 *, uint32_t bytes);
/* Of DATA, to the client. */
MUST_USE bool http2_ping_settle(struct front_http2 *);
/* All that could be sent was pulled. True: the answer that was due follows it. */
void http2_ping_part(struct front_http2 *);
/* The connection is about to end in peace: what is held is answered, and nothing is held from here on. */
void http2_ping_leave(struct front_http2 *);
/* The connection is gone. */
uint64_t http2_step_at(uint64_t ns);
/* The step at that time, or else the next. */

/* front_http2_stream.c */
struct http2_stream *http2_stream_new(struct front_http2 *, int32_t id);
/* NULL: out of memory. */
void http2_stream_set_state(struct http2_stream *, enum http2_stream_state);
void http2_stream_reset(struct http2_stream *, uint32_t code, enum ending);
/* RST_STREAM; the exchange loses its client. */
void http2_stream_replied(struct http2_stream *);
/* END_STREAM was sent. */
void http2_stream_closed(struct http2_stream *);
/* nghttp2 has forgotten it. May free it. */
void http2_stream_leave(struct http2_stream *, enum ending);
/* The connection is gone. May free it. */
void http2_stream_touch(struct http2_stream *);
/* Bytes have passed: limits of a tunnel begin anew. */

extern const struct asker_ops http2_asker;

/* front_http2_request.c */
void http2_stream_request(struct http2_stream *, bool ended);
/* Its field block is complete. */
void http2_stream_trailers(struct http2_stream *, bool ended);
void http2_stream_data(struct http2_stream *, const uint8_t *data, uint32_t len);
void http2_stream_request_end(struct http2_stream *);
void http2_stream_pass_on(struct http2_stream *);
/* What was gathered goes to the exchange. */

/* front_http2_reply.c */
void http2_reply_submit(struct http2_stream *, const struct http2_fields *, bool has_body);
/* The final head. */
void http2_reply_wake(struct http2_stream *);
/* There is something to send. */
void http2_reply_limit(struct front_http2 *);
/* Gives up the stream that has stood still for longest when too much waits. */
void http2_reply_head(struct http2_stream *, struct head *);
void http2_reply_connected(struct http2_stream *);
void http2_reply_text(struct http2_stream *, unsigned status, enum ending, const char *text);
/* A whole answer of our own, in place of a head. */
void http2_reply_data(struct http2_stream *, struct seg);
/* Takes the segment. */
void http2_reply_end(struct http2_stream *, const struct head *trailers);
void http2_reply_drop(struct http2_stream *);
/* Gives back what is queued. */
int http2_send_data(nghttp2_session *, nghttp2_frame *, const uint8_t *header, size_t len,
                    nghttp2_data_source *, void *);
/* nghttp2's callback: writes a DATA frame. */
