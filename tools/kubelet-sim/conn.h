/* tools/kubelet-sim/conn.h — one accepted connection, from accept to reap. Owner worker only. */
#pragma once
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/kubelet-sim/buffer.h"
#include "tools/kubelet-sim/fault.h"
#include "tools/kubelet-sim/http.h"
#include "tools/kubelet-sim/reply.h"
#include "tools/kubelet-sim/timers.h"
#include "tools/must_use.h"

struct worker;

enum conn_state {
    CONN_HANDSHAKE,
    CONN_HEAD,     /* between requests, or in the middle of a head */
    CONN_WAIT,     /* the answer is ready and a delay holds it back */
    CONN_EXCHANGE, /* request body in, response out */
    CONN_FUSE,     /* a fault will end it as soon as what was sent has arrived */
    CONN_HOLD,     /* a black hole: never answers */
    CONN_LINGER,   /* our end is closed; reads away what the client still sends, so that no reset eats the
                      answer */
    CONN_DEAD,
};

enum conn_end {
    END_CLEAN,  /* close_notify, FIN, linger */
    END_SILENT, /* FIN without close_notify */
    END_RESET,  /* RST */
};

struct conn {
    struct worker *worker;
    struct conn *next, *previous;
    int fd;
    uint32_t node, ordinal; /* ordinal: which connection to this node it is */
    uint32_t requests;
    uint32_t boot;     /* the node's reboots when it was accepted */
    uint32_t interest; /* what epoll was told */
    enum conn_state state;
    bool readable;   /* the socket may have bytes: epoll said so and nothing has said otherwise */
    bool unfinished; /* the turn's budget ran out with work left */
    bool resumed;
    signed char authenticated; /* -1: not judged yet */
    SSL *ssl;
    struct timer timer;
    struct buffer *in, *out;
    struct http_body body;
    struct reply reply;
    struct fault_plan plan;
    bool close_after, fuse_set;
    uint64_t fuse_left; /* response bytes until the fault strikes, if fuse_set */
    uint64_t drip_next_ns;
};

struct conn *conn_new(struct worker *, int fd, uint32_t node);
/* NULL: out of memory, and the descriptor is closed. */
void conn_on_event(struct conn *, uint32_t events);
void conn_on_timer(struct conn *);
void conn_end(struct conn *, enum conn_end);
/* After it the state is LINGER or DEAD. */
void conn_free(struct conn *);
/* Of a dead one, at the end of the turn. */

/* For exchange.c and reply.c. */
void conn_set_state(struct conn *, enum conn_state);
void conn_arm_ms(struct conn *, uint64_t ms);

enum fill { FILL_DATA, FILL_LATER, FILL_GONE };
MUST_USE enum fill conn_fill(struct conn *);
/* Appends to conn->in. GONE: the connection has ended, state LINGER or DEAD. */
enum flush { FLUSH_DONE, FLUSH_LATER, FLUSH_GONE };
MUST_USE enum flush conn_flush(struct conn *);
/* Sends conn->out, as slowly as a drip asks. GONE: as above, or a fuse has burnt down. */
