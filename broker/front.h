/* broker/front.h — the client's side: listeners, client connections, and the front half of exchanges.
 *
 *   front_listen.c    accepts, places connections on workers, checks who connects
 *   front_conn.c      the life of a client connection: TLS, states, timers, endings
 *   front_http1.c     HTTP/1.1 requests in, responses out
 *   front_exchange.c  the front half: judges a request, opens it at its endpoint's home worker, hears the
 * answer Owner worker only. Internal to broker/.
 */
#pragma once

#include "broker/body.h"
#include "broker/broker.h"
#include "broker/crumbs.h"
#include "broker/exchange.h"
#include "broker/http/head.h"
#include "broker/outbox.h"
#include "io/engine.h"
#include "io/segq.h"
#include "io/timer.h"
#include "pool/pool.h"

struct config_listener;
struct front_conn;
struct tls_context;

struct front_listener {
    struct listener listener;
    struct broker_worker *bw;
    const struct config_listener *config; /* NULL: the admin listener */
    struct tls_context *tls;              /* NULL: plain */
    bool listening;
};

enum front_state {
    FRONT_HANDSHAKE, /* TLS with the client */
    FRONT_IDLE,      /* between requests, nothing received */
    FRONT_HEAD,      /* part of a request head is here */
    FRONT_EXCHANGE,  /* a request is being answered */
    FRONT_LINGER,    /* answered for the last time: our direction is ended, what still comes is thrown away */
    FRONT_CLOSING,   /* aborted: waits for closed */
    FRONT_STATES,
};

/* What the access log tells, gathered while the exchange runs. */
struct access_record {
    char method[16];
    char host[POOL_NAME_MAX];
    char path[256]; /* without the query, which may hold secrets; cut when long */
    const char *route;
    uint16_t port, status;
    uint64_t started_ns, bytes_in, bytes_out;
    struct exchange_phases phases;
    enum lease_how how;
    enum exchange_retry retry;
    bool leased, insecure;
    char detail[160];
};

/* Front half of an exchange. */
struct exchange {
    struct list node; /* broker_worker.exchanges_open */
    struct broker_worker *bw;
    struct front_conn *conn; /* NULL once the client is gone */
    unsigned home;           /* worker of the egress half */
    uint32_t slot;
    bool opened;        /* OPEN was sent: the last word is still owed to us */
    bool reset_said;    /* we said RESET */
    bool request_ended; /* we said END */
    bool last_heard;    /* egress said its last word */
    bool head_heard;    /* the final head went to the client */
    enum ending ending;
    uint32_t uncredited; /* request body bytes posted and not credited */
    uint32_t unwoken;    /* response body bytes credited since egress was last woken for it */
    struct access_record access;
};

struct front_conn {
    struct list node; /* broker_worker.fronts */
    struct broker_worker *bw;
    struct stream *stream;
    const struct front_listener *listener;
    struct standing standing; /* not of the admin listener's */
    struct net_peer peer;
    char peer_text[NET_TEXT_MAX];
    char client_name[128]; /* certificate CN, or uid; for logs and policy */
    enum front_state state;
    struct timer timer;
    struct segq pending; /* received and not yet consumed */
    struct buf *head_buf;
    uint32_t head_len;
    struct http1_scan head_scan;
    struct exchange *exchange;
    struct outbox out;
    struct crumbs crumbs; /* of what was received */
    uint64_t number;      /* of the connection on this worker */
    bool input_ended;

    /* Request being read. */
    struct body body;
    bool client_http10, keep_alive, is_head;
    /* Response being written. */
    enum body_kind reply_body;
};

/* front_listen.c */
MUST_USE int front_listeners_start(struct broker_worker *);
/* 0, or -errno with one line already logged. */
void front_listeners_stop(struct broker_worker *);
void front_adopt(struct broker_worker *, struct front_listener *, int handle, const struct net_peer *);

/* front_conn.c */
struct front_conn *front_conn_new(struct broker_worker *, struct front_listener *, struct stream *,
                                  const struct net_peer *);
/* Takes the stream. NULL: out of memory, the stream is being closed. */
void front_set_state(struct front_conn *, enum front_state);
void front_grant(struct front_conn *, uint32_t bytes);
void front_finish(struct front_conn *);
/* Ends our direction and lingers. */
void front_abort(struct front_conn *, enum ending);
void front_drain(struct front_conn *);
/* Closes it if idle, else after the exchange under way. */

/* front_http1.c */
void front_http1_input(struct front_conn *);
/* Consumes what is pending as far as the state allows. */
void front_http1_head(struct front_conn *, struct head *);
/* Writes a response head, 1xx or final; adapts its framing to the client in place. */
void front_http1_data(struct front_conn *, struct seg);
void front_http1_end(struct front_conn *, const struct head *trailers);
void front_http1_error(struct front_conn *, unsigned status, const char *detail, bool close);
/* A whole plain-text response of our own; detail goes into the body. */
void front_http1_text(struct front_conn *, unsigned status, const char *type, const char *text, size_t len);
/* A whole response with a body, for the admin pages. */
void front_http1_done(struct front_conn *);
/* The response is with the kernel: next request, or the end. */

/* front_exchange.c */
void exchange_begin(struct front_conn *, const struct head_view *);
/* Judges the request and opens it, or answers with the refusal. */
void exchange_body(struct exchange *, struct seg, bool ended);
/* Request body bytes; takes the segment. */
void exchange_request_end(struct exchange *, const struct head_view *trailers);
void exchange_credit(struct exchange *, struct outbox_credit);
/* Bytes of the response were taken over by the client's stream. Takes the segment in it. */
void exchange_refuse_body(struct exchange *, const struct http1_error *);
/* The request's body is malformed and nothing was answered yet: answers, and ends the connection. */
void exchange_client_gone(struct exchange *, enum ending);
/* The client's connection is closing: the exchange lives on until its last word. */
void exchange_complete(struct exchange *);
/* The response has been written (or refused): access line, counters; frees it if its last word was heard. */

/* admin.c */
void admin_request(struct front_conn *, const struct head_view *);

/* access_log.c */
void access_log_write(struct front_conn *, const struct exchange *);
