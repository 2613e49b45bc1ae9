/* broker/egress.h — the egress half of an exchange: leases a connection on the endpoint's home worker, writes
 * the request to it, reads the response from it. Owner worker only; entered by egress_deliver() (exchange.h).
 */
#pragma once

#include "broker/body.h"
#include "broker/crumbs.h"
#include "broker/exchange.h"
#include "broker/http/head.h"
#include "broker/outbox.h"
#include "io/segq.h"
#include "io/timer.h"
#include "pool/pool.h"

/* Towards the destination: where the request is. */
enum egress_state {
    EGRESS_LEASING, /* waits for a connection */
    EGRESS_WAITING, /* request is being written, no byte of the response seen */
    EGRESS_HEAD,    /* part of a response head is here */
    EGRESS_BODY,    /* final head was passed on */
    EGRESS_TUNNEL,  /* raw bytes both ways */
    EGRESS_DONE,    /* last word said; the object is being freed */
};

struct egress;
struct http2_client;

/* How a request travels on the connection it was lent: HTTP/1.1, a stream of an HTTP/2 session, or a tunnel's
 * raw bytes. */
struct egress_ops {
    bool (*begin)(struct egress *);
    /* Writes the head; false: out of buffers. */
    void (*data)(struct egress *, struct seg);
    /* Of the request; takes the segment. What was taken over goes back by EX_CREDIT. May free the object. */
    void (*end)(struct egress *);
    /* The request is complete; e->trailers may be set. */
    void (*credit)(struct egress *, uint32_t bytes);
    /* The client took over so many bytes of the response. */
    void (*leave)(struct egress *, enum ending);
    /* Gives the connection back, or ends it. DONE: the response is complete, and the request may be. */
};

/* A stream of an HTTP/2 session. */
struct egress_http2 {
    struct http2_client *session; /* NULL: not on one */
    struct list node;             /* of its requests */
    struct list dirty;            /* of its requests with gathered bytes */
    int32_t id;                   /* 0: the session took no more */
    struct segq body;             /* of the request, not sent yet */
    uint32_t body_sent;           /* bytes of its first segment that were */
    bool deferred;                /* nghttp2 waits for more of it */
    uint32_t given;               /* bytes of the crumbs' buffer that were passed on */
    uint32_t interims;            /* 1xx heads */
};

struct egress {
    struct broker_worker *bw;
    const struct egress_ops *ops;                   /* set with the connection */
    void *front;                                    /* opaque */
    void (*deliver)(struct worker *, struct msg *); /* hears for it */
    uint32_t slot;
    unsigned front_worker;
    enum egress_state state;
    enum exchange_form form;
    struct lease lease;
    enum lease_how how;
    struct conn *conn;
    struct stream *stream;
    struct timer deadline; /* of the first response byte */
    uint64_t leased_ns;
    uint32_t credit; /* of the response, as granted and not yet used */
    uint32_t owed;   /* tunnel: credit of a spare's watch, taken off the next CREDIT */

    /* Request. open_seg is kept until the first response byte, for a safe retry; of a CONNECT, which is not
     * repeated, until the lease is asked for. */
    struct seg open_seg;
    struct segq early; /* DATA that came before the connection; or what came from it while held back */
    bool request_ended, request_written, body_began, head_taken;
    bool peer_ended; /* tunnel: the destination ended its direction */
    bool closed;     /* tunnel: the client has left, nobody takes what the destination says */
    bool held_back;  /* tunnel: the front has not yet allowed the destination to speak */
    bool leased;     /* a connection was granted, now or before */
    bool inside; /* tunnel: its stream ends in this process (front_bridge.h), and there is no connection */
    enum exchange_retry retry;
    struct outbox out;
    struct seg trailers;

    /* Response. */
    struct crumbs crumbs;
    struct buf *head_buf; /* a head that came in pieces */
    uint32_t head_len;
    struct http1_scan head_scan;
    struct body body;
    bool keep_alive;
    uint32_t first_byte_us;
    struct egress_http2 h2;
};

static inline bool egress_is_connected(const struct egress *e)
{
    return e->conn || e->inside;
}

const struct head *egress_request_head(const struct egress *);
void egress_fail(struct egress *, enum ending, const char *detail);
/* Says RESET, gives up the connection, frees the object. */
void egress_drop_open(struct egress *);
/* There will be no other try. */
void egress_free(struct egress *);
/* After the last word, without a connection. */
void egress_finish(struct egress *);
/* After END was said: gives the connection back if it is clean, frees the object. */
void egress_post(struct egress *, uint32_t kind, struct seg, uint32_t value);
MUST_USE bool egress_post_head(struct egress *, const struct head_view *, bool with_end);
/* Packs the view and posts it. False: out of buffers, the exchange has failed and is gone. */
void egress_post_end(struct egress *, const struct head_view *trailers);
/* END, with the fields where there are some; NULL: none. */

void egress_lost(struct egress *, enum ending, bool already_closed);
/* The connection ended before the exchange did: retries where that is safe, or fails. */
void egress_refused(struct egress *);
/* The destination said that it has done nothing about the request: retries once, where it is still whole. */
void egress_expect_first_byte(struct egress *);
/* Arms the limit anew: it runs from the last byte of the request that was passed on. */
void egress_saw_first_byte(struct egress *);

/* egress_http1.c: the wire format */
extern const struct egress_ops egress_http1_ops;
extern const struct stream_events egress_http1_events;

/* egress_http2.c */
extern const struct egress_ops egress_http2_ops;

/* egress_tunnel.c */
extern const struct egress_ops egress_tunnel_ops;
void egress_tunnel_upgrade(struct egress *, struct seg rest);
/* 101 was passed on: the rest of what was read are the tunnel's first bytes. Takes the segment. */
