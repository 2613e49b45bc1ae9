/* broker/front.h — the client's side: listeners, client connections, and the front half of exchanges.
 *
 *   front_listen.c    accepts, places connections on workers, checks who connects
 *   front_conn.c      the life of a client connection: TLS, states, timers, endings
 *   front_http1.c     HTTP/1.1 requests in, responses out
 *   front_tunnel.c    an HTTP/1.1 connection that became a tunnel
 *   front_http2*.c    HTTP/2: many requests and tunnels on one connection (front_http2.h)
 *   front_open.c      judges a request and opens it at its endpoint's home worker
 *   front_exchange.c  the front half once it is open: what goes to egress, what is heard from it
 *
 * Owner worker only. Internal to broker/.
 */
#pragma once

#include "broker/body.h"
#include "broker/broker.h"
#include "broker/callers.h"
#include "broker/crumbs.h"
#include "broker/exchange.h"
#include "broker/http/head.h"
#include "broker/outbox.h"
#include "io/engine.h"
#include "io/segq.h"
#include "io/timer.h"
#include "pool/pool.h"

struct broker_route;
struct config_listener;
struct front_bridge;
struct front_conn;
struct front_http2;
struct tls_context;

/* What a listener without a configuration of its own answers. */
enum front_pages { PAGES_ADMIN, PAGES_HEALTH, PAGES_COUNT };

struct front_listener {
    struct listener listener;
    struct broker_worker *bw;
    const struct config_listener *config; /* NULL: one of pages */
    enum front_pages pages;
    struct tls_context *tls; /* NULL: plain */
    bool listening;
};

enum front_state {
    FRONT_HANDSHAKE, /* TLS with the client */
    FRONT_IDLE,      /* between requests, nothing received */
    FRONT_HEAD,      /* part of a request head is here */
    FRONT_EXCHANGE,  /* a request is being answered */
    FRONT_HOLD,      /* a tunnel; the destination may not speak yet, so that nothing is behind our 200 */
    FRONT_TUNNEL,    /* raw bytes both ways */
    FRONT_LINGER,    /* answered for the last time: our direction is ended, what still comes is thrown away */
    FRONT_CLOSING,   /* aborted: waits for closed */
    FRONT_STATES,
};

/* What a client speaks: by ALPN, else by its first bytes. */
enum front_protocol { FRONT_UNKNOWN, FRONT_HTTP1, FRONT_HTTP2 };

enum { ACCESS_TEXT_MAX = 256 }; /* of broker_worker.texts */

/* What the access log tells, gathered while the exchange runs. */
struct access_record {
    const char *protocol;
    char method[16];
    char host[POOL_NAME_MAX];
    char *path; /* without the query, which may hold secrets; cut when long. NULL: CONNECT has none */
    const char *route;
    uint16_t port, status;
    uint64_t started_ns, bytes_in, bytes_out;
    struct exchange_phases phases;
    enum lease_how how;
    enum exchange_retry retry;
    bool leased, insecure;
    char *detail; /* NULL: there is none */
};

/* Whoever asked, as an exchange sees it: an HTTP/1 connection, or one stream of an HTTP/2 connection. These
 * are the exchange's calls; none comes after exchange_complete(), exchange_client_gone() or
 * exchange_client_done(). */
struct asker_ops {
    const char *protocol; /* for the log */
    void (*head)(void *asker, struct head *);
    /* 1xx, the final head, or the 101 that makes a tunnel. Lent; may be changed in place. */
    void (*connected)(void *asker);
    /* CONNECT: the destination is reached. The asker says so to the client, and calls exchange_release() when
     * the destination may speak. */
    void (*data)(void *asker, struct seg);
    /* Of the response's body or of the tunnel. Takes the segment; its bytes go back by exchange_credit(). */
    void (*fin)(void *asker);
    /* Tunnel: the destination ended its direction. */
    void (*end)(void *asker, const struct head *trailers);
    /* The response is complete; trailers are lent, or NULL. */
    void (*refuse)(void *asker, unsigned status, const char *text);
    /* A whole answer of the broker's own, in place of a head. */
    void (*cut)(void *asker, enum ending);
    /* After the head: only an abort tells the client. */
    void (*grant)(void *asker, uint32_t bytes);
    /* Bytes of the request were taken over: as many more may come. */
    void (*heard)(void *asker);
    /* The last word was said; exchange_complete() is due once the answer has been written. */
    void (*bridge)(void *asker, const struct broker_route *, const struct endpoint_key *);
    /* CONNECT to a route whose tunnels are ended here: the asker's own stream takes part in it
     * (front_bridge.h). NULL: it is shared, and the tunnel stays one. */
};

enum exchange_progress {
    EXCHANGE_BEGUN,  /* not opened: refused, or about to be */
    EXCHANGE_OPENED, /* OPEN was sent: the last word is still owed to us */
    EXCHANGE_HEAD,   /* the final head went to the client */
    EXCHANGE_TUNNEL, /* raw bytes both ways */
};

/* Front half of an exchange. */
struct exchange {
    struct list node; /* broker_worker.exchanges_open */
    struct broker_worker *bw;
    struct front_conn *conn; /* NULL once the client is gone, as asker */
    const struct asker_ops *ops;
    void *asker;
    unsigned home; /* worker of the egress half */
    uint32_t slot;
    enum exchange_form form;
    enum exchange_progress progress;
    uint32_t caller; /* callers.h: counted there as a request or a tunnel */
    bool dialling;   /* and as a dial of dial_use, until a tunnel is answered */
    enum caller_use dial_use;
    bool reset_said;    /* we said RESET */
    bool request_ended; /* we said END in the direction as it stands */
    bool last_heard;    /* egress said its last word */
    bool counted;       /* as its caller's for as long as it lasts, although the client has left */
    bool bridged;       /* CONNECT: its TLS is ended by the broker */
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
    char client_name[128]; /* certificate CN, for logs */
    enum front_state state;
    enum front_protocol protocol;
    struct front_http2 *http2; /* with FRONT_HTTP2 */
    struct timer timer;
    struct segq pending; /* received and not yet consumed */
    struct buf *head_buf;
    uint32_t head_len;
    struct http1_scan head_scan;
    struct exchange *exchange;
    struct front_bridge *bridge; /* TLS inside a tunnel ends, or will end, here; or NULL */
    struct outbox out;
    struct crumbs crumbs;   /* of what was received */
    uint64_t number;        /* of the connection on this worker */
    uint64_t owed, owed_ns; /* bytes on their way to the client, and since when it has taken none of them:
                               while it lingers, or has ended its direction */
    bool input_ended, output_ended;
    bool inside; /* a tunnel of another connection, which counts for both */

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
bool front_serves_agents(const struct front_conn *);
/* Its listener is for agents, and for nothing else. */
struct front_conn *front_conn_new(struct broker_worker *, struct front_listener *, struct stream *,
                                  const struct net_peer *);
/* Takes the stream. NULL: out of memory, the stream is being closed. */
struct front_conn *front_conn_inside(struct front_conn *outer, struct front_bridge *, struct stream *tls);
/* A connection in a tunnel of the outer one: its client is the same, and it lives on its own. Takes the
 * bridge and the stream. NULL: out of memory, the stream is being closed and the bridge is not taken. */
const char *front_peer_text(const struct front_conn *, char text[NET_TEXT_MAX]);
void front_log_client(const struct front_conn *);
/* Peer and client, into the line that was begun. */
void front_set_state(struct front_conn *, enum front_state);
void front_take_stream(struct front_conn *, struct stream *);
/* The connection starts anew on this TLS stream, which took over its own. */
void front_lost(struct front_conn *, enum ending);
/* Its stream has ended and is the caller's to free, or will free itself. Frees the connection. */
void front_grant(struct front_conn *, uint32_t bytes);
void front_end(struct front_conn *);
/* Ends our direction, if it has not been ended. */
void front_finish(struct front_conn *);
/* Ends our direction and lingers. */
void front_abort(struct front_conn *, enum ending);
void front_cut(struct front_conn *, enum ending);
/* The exchange is lost: aborts, or lingers if the client has yet to take what had been ended before. */
void front_drain(struct front_conn *);
/* Closes it if idle, else after the exchange under way. */

/* front_http1.c */
void front_http1_input(struct front_conn *);
/* Consumes what is pending as far as the state allows. */
void front_http1_error(struct front_conn *, unsigned status, const char *detail, bool close);
/* A whole plain-text response of our own; detail goes into the body. */
void front_http1_text(struct front_conn *, unsigned status, const char *type, const char *text, size_t len);
/* A whole response with a body, for the admin pages. */
void front_http1_done(struct front_conn *);
/* Everything that was written is with the kernel: next request, or the end. */

/* front_tunnel.c */
void front_tunnel_connected(struct front_conn *);
/* CONNECT succeeded: says 200 and holds the destination back. */
void front_tunnel_upgraded(struct front_conn *);
/* The 101 was written: what is pending are the tunnel's bytes. */
void front_tunnel_input(struct front_conn *);
/* Passes on what is pending, and the client's end. */
void front_tunnel_touch(struct front_conn *);
/* Bytes have passed: an idle limit begins anew. Harmless in other states. */
void front_tunnel_timer(struct front_conn *);

/* front_open.c */
MUST_USE bool exchange_begin(struct front_conn *, const struct asker_ops *, void *asker,
                             struct exchange **ret_slot, const struct head_view *);
/* Judges the request and opens it, or refuses it through the ops, which may be called before this returns.
 * *ret_slot is set before that, and is the asker's to clear when it completes or leaves. False: a limit of
 * the process is reached, nothing was begun, and the caller answers 503 with the text of ENDING_LIMIT. */

enum counter exchange_gauge(enum exchange_form);
bool exchange_is_http_connect(const struct exchange *);
/* A CONNECT, and not a dial in Konnectivity's protocol. */
enum caller_use exchange_use(enum exchange_form);
/* Where it counts: among requests, or among tunnels, which upgrades are too. */

/* front_audit.c */
void front_audit_exchange(const struct exchange *);
/* When it is over, and its connection still known. */
void front_audit_limit(const struct front_conn *, const struct access_record *);
/* A request that was refused for a limit, before there was an exchange. */

/* front_exchange.c */
void exchange_count_ending(struct worker *, enum ending);
void exchange_note(struct exchange *, struct slice detail);
/* For the log. */
void exchange_refuse(struct exchange *, enum ending, const char *detail);
/* Notes the reason and answers through the ops with the status it is owed. */
void exchange_open_at(struct exchange *, unsigned home, struct seg open, bool with_end);
/* Posts OPEN. Takes the segment. */
void exchange_body(struct exchange *, struct seg, bool ended);
/* Bytes of the request's body or of the tunnel; takes the segment. */
void exchange_request_end(struct exchange *, const struct head_view *trailers);
/* The request's body is complete, or the client ended its direction of the tunnel. trailers: or NULL. */
void exchange_release(struct exchange *);
/* After `connected`: the destination may speak from now on. */
void exchange_credit(struct exchange *, struct outbox_credit);
/* Bytes of the response were taken over by the client's stream. Takes the segment in it. */
void exchange_client_gone(struct exchange *, enum ending);
/* The client has left: the exchange lives on until its last word. */
void exchange_client_done(struct exchange *);
/* Tunnel: the client's side has ended both directions; what it sent is still on its way to the destination.
 */
void exchange_client_closed(struct exchange *);
/* Tunnel: the client has left in peace, as by close(2). What it sent goes on, with its end; what the
 * destination says from now on is thrown away. */
void exchange_give_up(struct exchange *);
/* What a client that is done has left on its way is not waited for any longer. Harmless while it has a
 * client. */
void exchange_complete(struct exchange *);
/* The response has been written (or refused): access line, counters; frees it when its last word was heard.
 */

/* admin.c */
void admin_request(struct front_conn *, const struct head_view *);

/* access_log.c */
void access_log_write(struct front_conn *, const struct exchange *);
