/* broker/konnectivity/proxy.h — the server of Konnectivity's ProxyService: a gRPC stream on which a client
 * dials, and the connections it dialled.
 *
 *   proxy_stream.c  the stream: packets in, and its end
 *   proxy_dial.c    a connection's beginning
 *   proxy_tunnel.c  a connection on it, which asks for a tunnel as a CONNECT would
 *   proxy_receive.c bytes from the client to a connection
 *   proxy_send.c    packets out: whose turn it is
 *
 * A tunnel belongs to the stream that dialled it, and no other can name it. Owner worker only. Internal to
 * broker/.
 */
#pragma once

#include "broker/exchange.h"
#include "broker/front_http2_call.h"
#include "broker/gather.h"
#include "io/list.h"
#include "io/segq.h"
#include "io/timer.h"

struct asker_ops;

enum {
    PROXY_TUNNELS_MAX = 1024,    /* of a stream; Kubernetes has one. A guess, like the next two */
    PROXY_STRANGERS_MAX = 64,    /* answers owed about connections that there are not */
    PROXY_CANCELS_MAX = 100,     /* dials given up, besides one for each that was answered */
    PROXY_DATA_MAX = 32768 - 32, /* of a DATA we send, so that it fills two frames */
    PROXY_PATIENCE_MS = 10000,   /* for a destination that takes nothing while others of its stream wait: what
                                    the client itself allows a reader */
    PROXY_BLOCKED_MS = 1000,     /* and if half the stream's window is taken by it */
    PROXY_FINISH_MS = 9000,      /* for what was sent before CLOSE_REQ; the client waits ten seconds */
    PROXY_DRAIN_MS = 30000,      /* for bytes that a client does not take after the destination's end */
    PROXY_BUCKETS = 32,
};

enum proxy_tunnel_state {
    PROXY_DIALLING,  /* an exchange was begun */
    PROXY_REFUSED,   /* DIAL_RSP with the reason is due */
    PROXY_ANSWERED,  /* DIAL_RSP is due */
    PROXY_HELD,      /* it has gone; the destination may not speak yet */
    PROXY_OPEN,      /* bytes both ways */
    PROXY_FINISHING, /* the client has closed; what it sent waits for the destination */
    PROXY_ENDING,    /* the destination has ended: what is queued goes, then CLOSE_RSP */
    PROXY_CLOSED,    /* CLOSE_RSP is due */
    PROXY_TUNNEL_STATES,
};

struct proxy_tunnel {
    struct list node;   /* proxy_stream.tunnels */
    struct list bucket; /* proxy_stream.by_id */
    struct list due;    /* proxy_stream.controls or .ready */
    struct list dirty;  /* proxy_stream.dirty: has gathered bytes */
    struct proxy_stream *stream;
    struct exchange *exchange; /* NULL once it has settled */
    int64_t id, random;        /* connectID, and the client's name for the dial */
    enum proxy_tunnel_state state;
    struct timer timer;
    unsigned holds; /* how often HELD was prolonged */

    /* To the destination. */
    struct gather gathered;
    struct segq spill;      /* beyond the exchange's budget: held back from the stream's window */
    uint32_t given;         /* to the exchange, and not taken over */
    uint64_t progressed_ns; /* when the destination last took something, or began not to */

    /* To the client. */
    struct segq queue; /* lent; a segment's tag is what is left of it */
    char error[PACKET_TEXT_MAX];
};

struct proxy_stream {
    struct http2_call call; /* held: waits in the tunnels' queues and in the message */
    struct reader reader;
    struct list tunnels, controls, ready, dirty;
    struct list by_id[PROXY_BUCKETS];
    uint32_t tunnel_count;
    uint32_t spilt; /* of what is owed, in the tunnels' spills */
    uint32_t cancels;
    struct {
        int64_t id;
        const char *error;
    } strangers[PROXY_STRANGERS_MAX];
    uint32_t strangers_n;

    /* The packet that is being sent. */
    uint8_t head[PACKET_BYTES_MAX];
    uint32_t head_len, head_sent;
    uint64_t begun_ns;
    struct segq data;
    struct proxy_tunnel *sending; /* whose data it is; NULL: that tunnel is no more */
};

/* proxy_stream.c */
static inline struct proxy_stream *proxy_stream_of(struct http2_call *call)
{
    return container_of(call, struct proxy_stream, call);
}
MUST_USE struct http2_call *proxy_stream_new(struct http2_stream *);
/* NULL: out of memory. */

void proxy_stream_drain(struct http2_call *);
/* The broker is shutting down: ends when it carries nothing. */

/* what its tunnels do */
void proxy_stream_fail(struct proxy_stream *, enum grpc_status, const char *text);
/* Ends it from this side; text must live on. Frees all tunnels. */
void proxy_stream_stranger(struct proxy_stream *, int64_t id, const char *error);
/* Owes a CLOSE_RSP about a connection that there is not. May fail the stream. */
void proxy_stream_unspill(struct proxy_stream *, uint32_t bytes);
/* So many bytes left a tunnel's spill. */
struct list *proxy_stream_bucket(struct proxy_stream *, int64_t id);
struct worker *proxy_stream_worker(const struct proxy_stream *);

/* proxy_dial.c */
void proxy_tunnel_dial(struct proxy_stream *, const struct packet *);

/* proxy_tunnel.c */
extern const struct asker_ops proxy_tunnel_asker;
struct proxy_tunnel *proxy_tunnel_new(struct proxy_stream *, int64_t random);
/* NULL: out of memory. */
bool proxy_tunnel_is_unanswered(const struct proxy_tunnel *);
/* Its DIAL_RSP has not gone. */
void proxy_tunnel_set_error(struct proxy_tunnel *, const char *text);
/* What the last packet about it will say. */
void proxy_tunnel_set_state(struct proxy_tunnel *, enum proxy_tunnel_state);
void proxy_tunnel_close(struct proxy_tunnel *);
/* CLOSE_REQ. */
void proxy_tunnel_cancel(struct proxy_tunnel *);
/* DIAL_CLS: frees it without an answer; closes it if that has gone. */
void proxy_tunnel_open(struct proxy_tunnel *);
/* From HELD: the destination may speak from now on. */
void proxy_tunnel_end(struct proxy_tunnel *, enum ending);
/* From this side: the destination has ended, or was given up. */
void proxy_tunnel_answered(struct proxy_tunnel *);
/* Its DIAL_RSP goes. */
void proxy_tunnel_touch(struct proxy_tunnel *);
/* Bytes have passed: an idle limit begins anew. */
void proxy_tunnel_free(struct proxy_tunnel *, enum ending);
/* An exchange that is still there loses its client; DONE: which has closed it. */

/* proxy_receive.c */
void proxy_receive_data(struct proxy_tunnel *, struct slice bytes, const struct seg *input);
/* The bytes lie in the input, or are to be copied where there is none. */
void proxy_receive_pass_on(struct proxy_tunnel *);
/* What was gathered goes to the exchange. */
void proxy_receive_granted(struct proxy_tunnel *, uint32_t bytes);
void proxy_receive_drop(struct proxy_tunnel *);
/* The exchange has settled: nothing of it will be credited any more, nor taken. */

/* proxy_send.c */
void proxy_send_due(struct proxy_tunnel *);
/* It has something to send: puts it where its turn will come, or takes it away from there. */
uint32_t proxy_stream_ready(struct http2_call *);
void proxy_stream_take(struct http2_call *, uint8_t *to, uint32_t len);
/* As struct http2_call_ops has them. */
void proxy_send_drop(struct proxy_stream *);
/* The packet that is being sent will not be. */
