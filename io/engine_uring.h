/* io/engine_uring.h — the inside of the io_uring engine, shared by its files only.
 *
 * One ring per worker. Every operation in the kernel is counted on its object (ops_out); user_data carries
 * the kind of operation, the slot of the object and the slot's generation, so that a late completion never
 * meets recycled memory. An object leaves its slot only when ops_out is zero.
 *
 *   uring_ring.c    the ring: set-up, probing, submission slots, slots of objects
 *   uring_turn.c    one turn: flush, submit, wait, harvest, deliver
 *   uring_buffers.c provided buffer rings, refilled from the worker's pool
 *   uring_socket.c  a socket as a stream
 *   uring_open.c    how sockets come about: accepted, dialled; their options
 *   uring_sweep.c   what sockets need a while later: keepalive, the watch for a hang-up
 *   uring_window.c  peers whose window is closed
 *   uring_listen.c  listeners, readiness watches
 */
#pragma once

#include <liburing.h>

#include "io/engine.h"
#include "io/list.h"
#include "io/segq.h"
#include "io/slab.h"

struct uring;

enum uring_op { OP_RECV = 1, OP_SEND, OP_CONNECT, OP_CANCEL, OP_ACCEPT, OP_POLL, OP_WAKE };

enum {
    URING_SQ_ENTRIES = 1024,
    URING_CQ_ENTRIES =
        8192, /* buffers of all groups + sends in flight + an accept burst (facts: section 7) */
    URING_HARVEST_MAX = 256,  /* completions handled per turn */
    URING_IOV_MAX = 64,       /* segments gathered into one send */
    URING_READ_AHEAD = 65536, /* bytes a socket may read beyond its credit */
    URING_IOVS = 16384,       /* of one submission; more is submitted early */
    URING_BIG_AFTER = 4,      /* full small buffers in a row before a socket reads into big ones */
};

enum uring_group_id { GROUP_SMALL, GROUP_BIG, GROUP_COUNT };

struct uring_group {
    struct io_uring_buf_ring *ring;
    size_t ring_bytes;
    struct buf **bufs; /* by buffer id; NULL while the id is not in the ring */
    uint16_t *empty;   /* stack of ids that want a buffer */
    uint32_t entries, empty_count;
    uint32_t depth, peak; /* how many buffers it is filled up to; the most that a turn took of late */
    uint64_t peak_until_ns;
    enum buf_class class;
};

/* Head of everything that has operations in the kernel. */
struct uring_object {
    struct uring *uring;
    uint32_t slot;
    uint16_t ops_out;
    void (*complete)(struct uring_object *, enum uring_op, int res, uint32_t flags, struct buf *);
    /* buf: the filled provided buffer, taken by the callee, or NULL */
};

struct uring_slot {
    struct uring_object *object;
    uint32_t generation; /* 24 bits are used */
    uint32_t next_free;
};

enum sock_state { SOCK_CONNECTING, SOCK_OPEN, SOCK_CLOSING, SOCK_DEAD };
enum sock_hang_up { HANG_UP_NONE, HANG_UP_SEEN, HANG_UP_BEHIND_FIN /* counts once the end is told */ };

struct uring_socket {
    struct uring_object object;
    struct stream stream;
    struct list dirty;   /* has something to send or a direction to end */
    struct list ready;   /* has events to deliver without a completion */
    struct list starved; /* wants a receive buffer */
    struct list sweep;   /* the next sweep looks at it */
    struct segq rx, tx;
    uint64_t credit;
    uint64_t still_ns;      /* since when nobody reads, if nobody does */
    uint64_t options_at_ns; /* when it is given what only lasting connections need; 0: it has it */
    uint64_t window_at_ns;  /* when its peer's window is looked at; 0: no bytes are on their way */
    int fd;
    uint32_t tx_done; /* bytes of the first segment of tx that have left */
    enum sock_state state;
    enum ending reason;
    uint8_t full_streak, small_streak;
    bool recv_armed, recv_cancelled, recv_eof, end_delivered;
    bool send_out, finish_wanted, fin_sent;
    bool group_big, open_pending, closed_delivered;
    bool watched, fin_seen; /* the poll for a hang-up is out; it saw the peer's FIN */
    bool window_shut;       /* its TCP_USER_TIMEOUT is off meanwhile */
    enum sock_hang_up hang_up;
    int send_error; /* errno met by a send: nothing more is sent, what the peer sent before is still read */
    int recv_error; /* errno met by the receive while data before it was undelivered */
};

struct uring {
    struct engine engine;
    struct io_uring ring;
    bool enabled, byte_cap;
    bool put_off, wakes_somebody; /* the last turn made no system call; a wake waits for one */
    struct uring_group groups[GROUP_COUNT];
    struct uring_slot *slots;
    uint32_t slot_count, slot_free, slots_used;
    struct slab sockets, seg_nodes;
    struct list dirty, ready, starved, sweep;
    uint64_t swept_ns;
    struct list listeners; /* those whose accept must be armed anew after a pause */
    struct iovec *iovs;    /* of the batch being prepared; reusable after submission */
    struct msghdr *msgs;
    struct net_address *addrs;
    uint32_t iovs_used, msgs_used, addrs_used;
    uint32_t overflows_seen;
};

#define SOCKET_OF(s) container_of(s, struct uring_socket, stream)

/* uring_ring.c */
struct io_uring_sqe *uring_sqe(struct uring *, struct uring_object *, enum uring_op);
/* A cleared SQE that carries the object's name; counts it out. Submits when the queue is full. The caller
 * preps it with uring_prep_* below, which keeps user_data. */
void uring_cancel(struct uring *, struct uring_object *, enum uring_op);
/* Asks the kernel to cancel the object's operation of that kind. */
MUST_USE bool uring_slot_take(struct uring *, struct uring_object *);
void uring_slot_give(struct uring *, struct uring_object *);
uint64_t uring_name(const struct uring *, const struct uring_object *, enum uring_op);
void uring_submit(struct uring *);

/* uring_buffers.c */
MUST_USE int uring_groups_init(struct uring *);
void uring_groups_fini(struct uring *);
struct buf *uring_take_buffer(struct uring *, enum uring_group_id, uint16_t id, uint32_t len);
void uring_refill(struct uring *);
bool uring_group_has_buffers(const struct uring *, enum uring_group_id);

/* uring_socket.c */
MUST_USE struct uring_socket *uring_socket_new(struct uring *, int fd, enum sock_state);
/* The descriptor is the socket's from now on; NULL when out of memory, and it is closed. */
void uring_socket_close(struct uring_socket *, enum ending);
/* Takes back what the kernel holds, then says `closed` with that reason, if no other came first. */
void uring_socket_flush(struct uring_socket *, bool directly);
void uring_socket_deliver(struct uring_socket *);
void uring_socket_rearm(struct uring_socket *);

/* uring_open.c */
struct stream *uring_adopt(struct engine *, int fd, const struct net_peer *);
struct stream *uring_dial(struct engine *, const struct net_address *);
void uring_listener_options(int fd, const struct socket_options *);
/* What is accepted from this listening TCP socket inherits them, which spares each its system calls. */
void uring_lasting_options(int fd, const struct socket_options *);
/* Keepalive and the like: what only a connection that lasts has a use for. */

/* uring_sweep.c */
void uring_sweep_later(struct uring_socket *);
/* The socket is new, or nobody reads from it any more. */
void uring_sweep_look(struct uring_socket *);
/* The next sweep looks at it. */
uint64_t uring_sweep_due_ns(const struct uring *);
/* UINT64_MAX: nothing to look at. */
void uring_sweep(struct uring *);
void uring_hang_up_told(struct uring_socket *, int res, uint32_t flags);
/* The watch's completion. */

/* uring_window.c */
void uring_window_sent(struct uring_socket *);
/* Bytes are on their way. */
bool uring_window_tend(struct uring_socket *);
/* True: bytes are on their way, look again. May close it. */

/* uring_listen.c */
int uring_listen(struct engine *, struct listener *, const struct listen_options *);
void uring_unlisten(struct listener *);
void uring_refuse(struct engine *, int fd);
int uring_watch(struct engine *, struct watch *, int fd, bool readable, bool writable);
void uring_unwatch(struct watch *);
void uring_listeners_rearm(struct uring *);

/* uring_turn.c */
void uring_turn(struct engine *, uint64_t wait_until_ns);
