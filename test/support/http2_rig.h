/* test/support/http2_rig.h — the egress half of exchanges on a scripted engine, with nghttp2's server session
 * as the destination of each connection, or raw frames in its place. Link with --wrap=exchange_deliver beside
 * the script engine's own. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/credentials.h"
#include "broker/egress.h"
#include "test/support/script_engine.h"

enum { RIG_PEERS = 24, RIG_STREAMS = 600, RIG_HEADS = 64 };

/* What the front half of an exchange would have heard. */
struct rig_request {
    struct http2_rig *rig;
    uint32_t slot;
    unsigned heads;
    uint16_t statuses[RIG_HEADS];
    char head[4096]; /* the last, as HTTP/1.1 would write it; then the trailers */
    char *body;
    size_t body_len;
    unsigned data_messages;
    bool takes; /* the client takes what comes: credit goes back at once */
    uint32_t uncredited;
    uint32_t credited; /* of the request's body */
    bool ended, reset;
    enum exchange_retry retry;
    enum lease_how how;
    enum ending ending;
    char detail[256];
};

/* A request as the destination sees it. */
struct rig_stream {
    int32_t id;
    struct rig_peer *peer;
    char fields[8192]; /* "name: value\n" */
    size_t body_len;
    uint64_t body_sum;
    char body_text[4096]; /* its beginning, with a NUL behind it */
    bool ended, closed;
    uint32_t close_code;
    const char *reply; /* being sent */
    size_t reply_len, reply_sent;
    bool reply_open; /* there will be more */
    const char *trailer;
};

struct rig_peer {
    struct http2_rig *rig;
    struct script_stream *stream;
    nghttp2_session *session; /* NULL: raw */
    struct rig_stream *streams[RIG_STREAMS];
    unsigned count;
    unsigned pings, goaways;
    uint32_t goaway_code;
    uint8_t raw[65536]; /* what came, of a raw peer */
    size_t raw_len;
};

struct http2_rig {
    struct script_engine engine;
    struct broker broker;
    struct broker_worker bw;
    struct pool_profile profile;
    const struct pool_profile *profiles[2]; /* [its number] */
    struct credentials credentials;
    struct endpoint_key key;
    struct rig_peer *peers[RIG_PEERS];
    unsigned peer_count;
    bool raw;                 /* the next connections have raw peers */
    bool early;               /* their SETTINGS come with the handshake; set for one rig_run() */
    const char *alpn;         /* of the next connections */
    uint32_t settings_max;    /* of theirs: concurrent streams; 0: not said */
    uint32_t settings_window; /* 0: not said */
    uint32_t slots;
};

void rig_start(struct http2_rig *);
void rig_stop(struct http2_rig *);
/* Drains, and asserts that nothing is left. */
void rig_run(struct http2_rig *);
/* Turns, dials that open, frames both ways, until nothing moves any more. */
bool rig_open_dial(struct http2_rig *);
/* One step of it: the oldest dial, or its handshake, succeeds. False: there is none. */
void rig_advance_ms(struct http2_rig *, uint64_t ms);

void rig_ask(struct http2_rig *, struct rig_request *, const char *head, bool ended);
/* head: an HTTP/1.1 request head in absolute form. Nothing runs yet. */
void rig_body(struct rig_request *, const void *bytes, uint32_t len, bool ended);
void rig_end(struct rig_request *, const char *trailers);
/* trailers: lines with CR LF, or NULL. */
void rig_cancel(struct rig_request *);
void rig_credit(struct rig_request *, uint32_t bytes);
void rig_forget(struct rig_request *);

struct rig_stream *rig_stream(struct http2_rig *, unsigned peer, unsigned n);
/* The n-th request of a peer; fails if it is not there. */
void rig_respond(struct rig_stream *, const char *head, const char *body, size_t len);
/* head: "status|name=value|...". body NULL: END_STREAM on the head. */
void rig_send_raw(struct rig_peer *, const void *bytes, size_t len);
void rig_frame(struct rig_peer *, uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t len);
