/* broker/konnectivity/agent_call.h — the home of an agent: its gRPC stream, and the far halves of the
 * connections through it (agent.h).
 *
 *   agent_hello.c    who it says it is
 *   agent_call.c     the stream: its beginning, packets in, its end
 *   agent_conn.c     a connection's far half: its states
 *   agent_far.c      what near halves say, and what the agent answers to dials and closes
 *   agent_receive.c  bytes from the agent to near halves
 *   agent_window.c   what of them the stream's window gets back, and when
 *   agent_send.c     packets out: whose turn it is
 *   agent_watch.c    whether it is alive, and what the log hears of it
 *
 * Owner worker only. Internal to broker/.
 */
#pragma once

#include "broker/front_http2_call.h"
#include "broker/gather.h"
#include "broker/konnectivity/agent.h"
#include "broker/kube/token_review.h"
#include "io/list.h"
#include "io/segq.h"
#include "io/timer.h"

struct agent_conn;
struct head_view;

enum {
    AGENT_WINDOW_FIRST = 1024 * 1024,    /* of its stream */
    AGENT_WINDOW_MAX = 16 * 1024 * 1024, /* grpc-go's own bound; of the connection from the start */
    AGENT_DATA_MAX = 32768 - 32,         /* of a DATA we send, so that it fills two frames */
    AGENT_STRANGERS_MAX = 64,            /* CLOSE_REQs owed about connections that there are not */
    AGENT_NONSENSE_PER_S = 1000,         /* packets about what there is not; races make some. A guess */
    AGENT_SUSPECT_MS = 6000,             /* an unanswered dial: stock agents give up after 5 s */
    AGENT_DOUBT_MS = 60000,              /* for so long it is suspect, unless it answers; a guess */
    AGENT_DUPLICATE_MS = 1500, /* an agent that finds it knows this server leaves at once: no news */
    AGENT_BUCKETS = 4096,      /* of a worker's far halves */
    AGENT_LINES_PER_S = 20,    /* of the log, about agents that come, go and are refused */
    AGENT_HEADS_MAX = 4 * PACKET_BYTES_MAX, /* some dials, or dozens of closes, go together */
};

/* All agents that connected to one worker. */
struct agent_home {
    struct broker_worker *bw;
    struct slab calls, conns, addresses; /* addresses: of dials whose DIAL_REQ is due */
    struct list agents;                  /* agent_call.node */
    struct list by_dial[AGENT_BUCKETS], by_id[AGENT_BUCKETS];
    uint64_t seed; /* so that nobody can fill one bucket */
    uint64_t lines_ns;
    uint32_t lines, unlogged;
};

enum agent_call_state {
    AGENT_CALL_CHECKED, /* its token is; nobody knows of it */
    AGENT_CALL_SERVING, /* announced */
    AGENT_CALL_OVER,    /* withdrawn */
    AGENT_CALL_STATES,
};

/* Lent segments on their way to the agent. */
struct agent_queue {
    struct segq segs;
    uint32_t at; /* bytes of the first that have gone */
};

struct agent_call {
    struct http2_call call;
    struct list node;
    struct agent_home *home;
    struct agent_card *card;
    uint64_t number; /* of the streams of this process */
    enum agent_call_state state;
    struct token_check check;
    struct reader reader;
    struct list conns, controls, ready, dirty;
    uint32_t conn_count;
    uint32_t pending; /* dials that the agent has not answered */
    uint64_t dials, dials_failed, bytes_in, bytes_out;
    const char *why; /* it was ended from this side; NULL: see the reason */

    /* Packets about nothing. */
    int64_t strangers[AGENT_STRANGERS_MAX];
    uint32_t strangers_n, nonsense;
    uint32_t excuses; /* CLOSE_REQs that went: each may be answered although nobody waits for it */
    uint64_t nonsense_ns;

    /* Its window: what is kept from it for a reader that stands still, and how far it has grown. */
    struct list holders; /* connections that hold more than their budget */
    struct timer window_timer;
    bool keeps;         /* something is kept from it */
    uint32_t unsaid;    /* given back, without a WINDOW_UPDATE yet */
    struct list recent; /* near halves' connections, in the order of their last words */
    bool probing;       /* a PING is out: bytes that come before its answer tell the path's need */
    uint32_t probed;
    uint64_t probe_ns;

    /* Is it alive? */
    struct timer watch_timer;
    uint64_t ping_ns; /* when it was asked; 0: it was not */
    bool told;        /* the log knows that it came */

    /* The packets that are being sent: all of them, but for the bytes of the last one if that is data. */
    uint8_t head[AGENT_HEADS_MAX];
    uint32_t head_len, head_sent, data_left;
    struct agent_conn *sending; /* whose data it is; NULL: nobody's, or of one that left it in the orphan */
    struct agent_queue orphan;
};

enum agent_conn_state {
    AGENT_CONN_ASKED,     /* DIAL_REQ is due */
    AGENT_CONN_DIALLING,  /* it went: DIAL_RSP is awaited */
    AGENT_CONN_OPEN,      /* bytes both ways */
    AGENT_CONN_FINISHING, /* the near half has ended: what it sent goes, then the destination has to be silent
                           */
    AGENT_CONN_CLOSING,   /* CLOSE_REQ is due, or went: CLOSE_RSP is awaited */
    AGENT_CONN_ENDED,     /* CLOSE_RSP came: what is held goes to the near half, then its end */
    AGENT_CONN_LATE,      /* nobody waits for it any more, but DIAL_RSP may come */
    AGENT_CONN_LEFT,      /* nobody knows it any more: CLOSE_REQ is due, or went */
    AGENT_CONN_STATES,
};

/* The far half. */
struct agent_conn {
    struct list node;           /* agent_call.conns */
    struct list dial_bucket;    /* agent_home.by_dial */
    struct list id_bucket;      /* agent_home.by_id: while the agent knows it */
    struct list due;            /* agent_call.controls or .ready */
    struct list dirty, holding; /* agent_call.dirty, .holders */
    struct list recent;         /* agent_call.recent */
    struct agent_call *agent;
    struct agent_near *near; /* NULL: CLOSED was said */
    unsigned worker;         /* where it lives */
    uint64_t dial;           /* the dial's id, and `random` to the agent */
    int64_t id;              /* connectID */
    enum agent_conn_state state;
    bool fin;        /* the near half has ended its direction */
    bool close_said; /* CLOSE_REQ went */
    struct timer timer;
    uint64_t asked_ns, opened_ns; /* 0: not opened */
    uint64_t limit_ns;            /* of the dial; of what follows a FIN */

    struct agent_queue out; /* to the agent */

    /* To the near half. */
    struct gather gathered;
    bool much;         /* of the input that is being read is for it */
    struct segq held;  /* beyond the credit */
    uint32_t credit;   /* that the near half gave */
    uint64_t taken_ns; /* when it last took something of what is held, or there began to be some */
    uint64_t pace_ns;  /* since when `paced` bytes were taken, while it holds more than its budget */
    uint32_t paced;
    bool moves;         /* it did take some, before that */
    uint64_t active_ns; /* when something was last said by it or to it */
    char *address;      /* ASKED: where to; NULL otherwise */
};

/* broker.c's */
struct agent_home *agent_home_new(struct broker_worker *, uint32_t conns_max);
/* NULL: out of memory. */
void agent_home_free(struct agent_home **);
/* NULL is welcome. */

/* agent_hello.c */
const char *agent_hello_read(const struct head_view *, struct agent_card **ret_card);
/* NULL, or what is wrong with the metadata, in static text. */
const char *agent_hello_token(const struct head_view *, struct slice *ret_token);

/* agent_call.c */
void agent_call_begin(struct http2_stream *, const struct head_view *, bool ended);
/* Serves it or refuses it. */
void agent_call_fail(struct agent_call *, enum grpc_status, const char *why);
/* Ends it from this side, with all its connections. The text must live on. */
void agent_call_nonsense(struct agent_call *);
/* A packet about what there is not. May end it. */
void agent_call_stranger(struct agent_call *, int64_t id);
/* CLOSE_REQ is owed. */
struct worker *agent_worker(const struct agent_call *);
struct front_http2 *agent_session(const struct agent_call *);
const struct config_agents *agent_config(const struct agent_call *);

/* agent_conn.c */
struct agent_conn *agent_conn_new(struct agent_call *, const struct msg *dial);
/* ASKED. NULL: out of memory. */
void agent_conn_set_state(struct agent_conn *, enum agent_conn_state);
void agent_conn_leave(struct agent_conn *, enum ending, struct slice detail);
/* CLOSED to the near half; the agent is told what it has to be told. May free it. */
void agent_conn_ended(struct agent_conn *);
/* CLOSE_RSP: both directions are over. May free it. */
void agent_conn_free(struct agent_conn *);
/* CLOSED was said, or is now, with AGENT_LOST. */
void agent_conn_post(struct agent_conn *, enum agent_message, struct seg, uint32_t value);
void agent_conn_identify(struct agent_conn *, int64_t id);
void agent_conn_unidentify(struct agent_conn *);
/* The agent knows it by this number, and no longer. */
struct agent_conn *agent_conn_of_dial(struct agent_home *, uint64_t dial);
struct agent_conn *agent_conn_of_id(struct agent_call *, int64_t id);
void agent_conn_touch(struct agent_conn *);
/* Bytes came from the destination. */
void agent_conn_taken(struct agent_conn *);
/* Bytes went to the agent. */
void agent_conn_gathered(struct agent_conn *);
/* What was gathered was passed on, and its buffer is kept: it goes soon after all was taken. */
void agent_queue_drop(struct agent_queue *, struct agent_home *);
void agent_refuse_dial(struct worker *, const struct msg *dial, enum ending);
/* CLOSED, without a far half. */

/* agent_far.c: packets that are about one connection */
void agent_far_answered(struct agent_call *, const struct packet *);
void agent_far_dial_closed(struct agent_call *, const struct packet *);
void agent_far_closed(struct agent_call *, const struct packet *);
void agent_far_data(struct agent_call *, const struct packet *, const struct seg *input);
/* The bytes lie in the input, or are to be copied where there is none. */
enum ending agent_ending_of(struct slice error);
/* What the text of a DIAL_RSP means. */

/* agent_receive.c */
void agent_receive(struct agent_conn *, struct slice bytes, const struct seg *input);
void agent_receive_pass_on(struct agent_conn *);
/* What was gathered. */
void agent_receive_granted(struct agent_conn *, uint32_t bytes);
void agent_receive_end(struct agent_conn *);
/* The destination's direction is over, behind what is held. May free it. */
void agent_receive_drop(struct agent_conn *);

/* agent_window.c */
void agent_window_init(struct agent_call *);
void agent_window_active(struct agent_call *, struct agent_conn *);
/* Something was said by or to it. */
void agent_window_holds(struct agent_conn *);
/* It has begun to hold more than its budget. */
bool agent_window_has_others(const struct agent_conn *);
/* Another connection or dial of the agent has been active within the last second. */
bool agent_window_judge(struct agent_conn *);
/* What it holds has grown, or others have shown themselves. False: it held too much, or for too long, and was
 * cut. */
void agent_window_settle(struct agent_call *);
/* The input was read, or a near half took something: the window gets back what it may. */
void agent_window_pong(struct agent_call *);

/* agent_send.c */
void agent_send_due(struct agent_conn *);
/* It has something to send: puts it where its turn will come, or takes it away from there. */
void agent_send_orphan(struct agent_conn *);
/* It goes: what is left of a packet of its own stays. */
uint32_t agent_send_ready(struct http2_call *);
void agent_send_take(struct http2_call *, uint8_t *to, uint32_t len);
/* As struct http2_call_ops has them. */

/* agent_watch.c */
void agent_watch_init(struct agent_call *);
void agent_watch_begin(struct agent_call *);
void agent_watch_unanswered(struct agent_call *);
/* A dial has waited for too long. */
void agent_watch_answered(struct agent_call *);
void agent_watch_draining(struct agent_call *);
void agent_watch_end(struct agent_call *, enum ending);
void agent_watch_refused(struct front_http2 *, struct agent_home *, const char *id, const char *why);
