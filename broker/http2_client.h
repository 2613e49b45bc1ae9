/* broker/http2_client.h — HTTP/2 towards a destination: one session for each shared connection of the pool,
 * and requests as its streams (egress_http2.c).
 *
 * The session has the connection's stream from the handshake to its end. It lives from the pool's begin() to
 * its end(), or until its stream says `closed`. Owner worker only. Internal to broker/.
 *
 *   memory      nghttp2's own is counted and bounded; bodies are not in it: those of requests wait as lent
 * segments, within their exchange's credit, until the peer's windows take them; those of responses are passed
 * on as they come, within windows that are the exchange's credit.
 *   windows     A stream's is opened by what the client took over. The connection's is opened at once, so
 * that a reader who stops stops nobody but his own sender.
 */
#pragma once

#include "broker/egress.h"
#include "broker/field_block.h"
#include "broker/http/http2_watch.h"
#include "broker/http2_memory.h"

enum {
    HTTP2_CLIENT_WINDOW = 1024 * 1024,    /* of the connection: 10 Gbit/s over 0.8 ms (arithmetic) */
    HTTP2_CLIENT_INPUT = 256 * 1024,      /* credit of the connection's stream */
    HTTP2_CLIENT_UNSENT_MAX = 128 * 1024, /* given to it and not taken; more waits in windows and queues */
    HTTP2_CLIENT_MEMORY_MAX = 4 * 1024 * 1024,
    HTTP2_CLIENT_MEMORY_SPARE = 1024 * 1024, /* what requests leave free for frames of other kinds */
    HTTP2_CLIENT_SHARES_FIRST = 100,         /* before the peer has said: RFC 9113 section 6.5.2 */
    HTTP2_CLIENT_SHARES_MAX = 256,           /* a guess; Go allows 250 */
    HTTP2_CLIENT_INTERIMS_MAX = 32,          /* 1xx heads to a request: no window bounds them. A guess */
    HTTP2_CLIENT_STRAYS_MAX = 1000,  /* besides four to a request, which may cross its cancelling. A guess */
    HTTP2_CLIENT_SILENCE_MS = 30000, /* with requests open: then a PING. client-go's numbers */
    HTTP2_CLIENT_PING_MS = 15000,
};

struct http2_client {
    struct broker_worker *bw;
    struct conn *conn;
    struct stream *stream;
    nghttp2_session *session;
    struct http2_memory memory;
    struct http2_watch watch;
    struct field_block block; /* of the stream whose block is open */
    struct list requests, dirty;
    const struct seg *input; /* what nghttp2 is reading */
    struct outbox out;
    uint32_t credit, unsent;
    struct task pump;
    struct timer liveness;
    uint64_t begun, strays;       /* requests; frames that begin or end a stream nobody asked for */
    uint64_t heard_ns, pinged_ns; /* pinged: 0: no PING is unanswered */
    bool failed;                  /* no request begins, none is open; it only says its goodbye */
    char error[96];               /* what nghttp2 said last */
};

int http2_client_begin(struct conn *, void *bw);
void http2_client_end(struct conn *, enum ending, void *bw);
/* pool_sharing's. */
void http2_client_pump(struct http2_client *);
/* There is something to send: it leaves at the end of the turn. */
void http2_client_watch(struct http2_client *);
/* A request was added: the peer must show that it is alive. */
bool http2_client_has_room(const struct http2_client *, const struct head *);
/* For one more request with this head, in memory. */

/* http2_client_frames.c */
MUST_USE int http2_client_callbacks(nghttp2_session_callbacks **ret);
/* 0 or -ENOMEM. */

/* egress_http2.c: what the session reports of a request. Each may free it. */
void egress_http2_fields(struct egress *, const struct field_block *, bool ended);
void egress_http2_data(struct egress *, const uint8_t *data, uint32_t len);
void egress_http2_end(struct egress *);
/* END_STREAM, without trailers. */
void egress_http2_flush(struct egress *);
/* Passes on what was gathered. */
void egress_http2_closed(struct egress *, uint32_t code);
/* The stream ended before the response did. */
void egress_http2_lost(struct egress *, enum ending);
/* The connection did, as for any protocol. */
void egress_http2_failed(struct egress *, const char *detail);
/* The session cannot go on, by what the destination did. */
int egress_http2_send(nghttp2_session *, nghttp2_frame *, const uint8_t *header, size_t len,
                      nghttp2_data_source *, void *);
/* nghttp2's callback: writes a DATA frame. */
