/* io/uring_socket.c — a TCP or Unix socket as a stream on the ring.
 *
 * Receiving: one multishot receive into provided buffers, armed while there is credit and nothing
 * undelivered. The kernel may run ahead of the credit by URING_READ_AHEAD bytes: it is told so where it knows
 * the byte cap, and is cancelled at that mark where it does not. What ran ahead waits in `rx`. Sending: one
 * send in flight, made at the start of the next turn from all that was queued until then. Closing: cancel
 * what is out, wait for the last completion, close, then say `closed`. close() alone would not stop an armed
 * receive, which pins the file.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/engine_uring.h"
#include "io/worker.h"

static struct uring *uring_of(const struct uring_socket *s)
{
    return s->object.uring;
}

static struct worker *worker_of(const struct uring_socket *s)
{
    return s->stream.worker;
}

/* The stream has something to tell that no completion will bring. */
static void make_ready(struct uring_socket *s)
{
    if (list_empty(&s->ready))
        list_add_tail(&uring_of(s)->ready, &s->ready);
}

static void make_dirty(struct uring_socket *s)
{
    if (list_empty(&s->dirty))
        list_add_tail(&uring_of(s)->dirty, &s->dirty);
}

static void drop_queues(struct uring_socket *s)
{
    struct uring *u = uring_of(s);
    while (s->state != SOCK_OPEN && !segq_empty(&s->rx))
        worker_release_seg(worker_of(s), segq_pop(&s->rx, &u->seg_nodes));
    /* The kernel still reads from segments of a send in flight: they wait for its completion. */
    while (!s->send_out && !segq_empty(&s->tx))
        worker_release_seg(worker_of(s), segq_pop(&s->tx, &u->seg_nodes));
}

static void settle_closing(struct uring_socket *s)
{
    drop_queues(s);
    if (s->object.ops_out == 0)
        make_ready(s);
}

void uring_socket_close(struct uring_socket *s, enum ending reason)
{
    struct uring *u = uring_of(s);
    if (s->state == SOCK_CLOSING || s->state == SOCK_DEAD)
        return;
    bool connecting = s->state == SOCK_CONNECTING;
    s->state = SOCK_CLOSING;
    s->reason = reason;
    list_remove(&s->starved);
    list_remove(&s->dirty);
    list_remove(&s->sweep);
    if (reason != ENDING_DONE && s->fd >= 0) { /* an abort must not look like a clean end to the peer */
        struct linger reset = {.l_onoff = 1};
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    if (connecting && s->object.ops_out > 0)
        uring_cancel(u, &s->object, OP_CONNECT);
    if (s->recv_armed && !s->recv_cancelled) {
        s->recv_cancelled = true;
        uring_cancel(u, &s->object, OP_RECV);
    }
    if (s->send_out)
        uring_cancel(u, &s->object, OP_SEND);
    if (s->watched)
        uring_cancel(u, &s->object, OP_POLL);
    settle_closing(s);
}

static void arm_receive(struct uring_socket *s)
{
    struct uring *u = uring_of(s);
    if (s->full_streak >= URING_BIG_AFTER)
        s->group_big = true;
    else if (s->small_streak >= 2 * URING_BIG_AFTER)
        s->group_big = false;
    struct io_uring_sqe *sqe = uring_sqe(u, &s->object, OP_RECV);
    sqe->opcode = IORING_OP_RECV;
    sqe->fd = s->fd;
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = s->group_big ? GROUP_BIG : GROUP_SMALL;
    if (u->byte_cap)
        sqe->file_index = s->credit > URING_READ_AHEAD ? (uint32_t)s->credit : URING_READ_AHEAD;
    s->recv_armed = true;
    s->recv_cancelled = false;
}

static bool wants_receive(const struct uring_socket *s)
{
    return s->state == SOCK_OPEN && !s->recv_armed && !s->recv_eof && s->recv_error == 0 && s->credit > 0 &&
           segq_empty(&s->rx) && list_empty(&s->starved);
}

void uring_socket_rearm(struct uring_socket *s)
{
    if (wants_receive(s))
        arm_receive(s);
}

static void use_credit(struct uring_socket *s, uint32_t bytes)
{
    s->credit -= bytes;
    if (s->credit == 0)
        uring_sweep_later(s);
}

static void deliver_data(struct uring_socket *s)
{
    struct uring *u = uring_of(s);
    while (s->state == SOCK_OPEN && s->credit > 0 && !segq_empty(&s->rx)) {
        struct seg seg = segq_pop(&s->rx, &u->seg_nodes);
        if (seg.len > s->credit) { /* split: the rest stays at the head */
            struct seg rest = seg_of(seg.buf, seg.data + s->credit, seg.len - (uint32_t)s->credit);
            seg.len = (uint32_t)s->credit;
            struct segq tail = s->rx;
            s->rx = (struct segq){0};
            ASSERT(segq_push(&s->rx, &u->seg_nodes, rest)); /* the node just given back */
            s->rx.head->next = tail.head;
            if (tail.head)
                s->rx.tail = tail.tail;
            s->rx.bytes += tail.bytes;
        }
        use_credit(s, seg.len);
        s->stream.events->data(&s->stream, seg);
    }
}

static void close_and_tell(struct uring_socket *s)
{
    ASSERT(s->object.ops_out == 0 && segq_empty(&s->rx) && segq_empty(&s->tx));
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->state = SOCK_DEAD;
    uring_slot_give(uring_of(s), &s->object);
    gauge_sub(worker_of(s), COUNTER_sockets, 1);
    s->closed_delivered = true;
    s->stream.events->closed(&s->stream, s->reason);
}

/* A reset whose error went to a send looks like an end to the receive. A send that met EPIPE met a reset
 * behind the peer's FIN, or a peer that only reads no more: then the end is one. */
static void deliver_end(struct uring_socket *s)
{
    if (s->recv_error != 0) {
        uring_socket_close(s, ending_from_errno(s->recv_error, false));
    } else if (s->recv_eof && s->send_error != 0 && s->send_error != EPIPE) {
        uring_socket_close(s, ending_from_errno(s->send_error, false));
    } else if (s->recv_eof && !s->end_delivered && s->credit > 0) {
        s->end_delivered = true;
        uring_sweep_later(s);
        s->stream.events->end(&s->stream);
    }
}

/* Delivers what needs no completion: open, data held back by credit, the end, an error behind data, closed.
 */
void uring_socket_deliver(struct uring_socket *s)
{
    if (s->open_pending && s->state == SOCK_OPEN) {
        s->open_pending = false;
        s->stream.events->open(&s->stream);
    }
    deliver_data(s);
    if (s->state == SOCK_OPEN && segq_empty(&s->rx))
        deliver_end(s);
    if (s->state == SOCK_OPEN && s->end_delivered && s->send_error != 0)
        uring_socket_close(s, ending_from_errno(s->send_error, false));
    else if (s->state == SOCK_OPEN && s->end_delivered && s->fin_sent)
        uring_socket_close(s, ENDING_DONE);
    if (s->state == SOCK_CLOSING && s->object.ops_out == 0) {
        list_remove(&s->ready);
        close_and_tell(s);
        return;
    }
    uring_socket_rearm(s);
}

static void on_received(struct uring_socket *s, int res, uint32_t flags, struct buf *b)
{
    struct uring *u = uring_of(s);
    if (!(flags & IORING_CQE_F_MORE))
        s->recv_armed = false;
    if (res > 0 && s->state == SOCK_OPEN) {
        bool full = (uint32_t)res == b->cap;
        s->full_streak = full ? (uint8_t)(s->full_streak < 255 ? s->full_streak + 1 : 255) : 0;
        s->small_streak = res <= BUF_SMALL_BYTES && b->cap > BUF_SMALL_BYTES
                              ? (uint8_t)(s->small_streak < 255 ? s->small_streak + 1 : 255)
                              : 0;
        struct seg seg = {b, b->mem, (uint32_t)res, 0};
        if (LIKELY(segq_empty(&s->rx) && seg.len <= s->credit)) {
            use_credit(s, seg.len);
            s->stream.events->data(&s->stream, seg);
        } else if (!segq_push(&s->rx, &u->seg_nodes, seg)) {
            worker_release_seg(worker_of(s), seg);
            uring_socket_close(s, ENDING_LIMIT);
        } else {
            deliver_data(s);
        }
        if (s->recv_armed && !s->recv_cancelled && s->state == SOCK_OPEN && s->rx.bytes >= URING_READ_AHEAD) {
            s->recv_cancelled = true;
            uring_cancel(u, &s->object, OP_RECV);
        }
    } else if (b) {
        buf_unref(b);
    }
    if (s->state != SOCK_OPEN)
        return;
    if (res == 0) {
        s->recv_eof = true;
        make_ready(s);
    } else if (res == -ENOBUFS) {
        counter_add(worker_of(s), COUNTER_buffers_starved, 1);
        if (list_empty(&s->starved))
            list_add_tail(&u->starved, &s->starved);
    } else if (res < 0 && res != -ECANCELED) {
        s->recv_error = -res;
        make_ready(s);
    }
    uring_socket_rearm(s);
}

static void on_sent(struct uring_socket *s, int res)
{
    struct uring *u = uring_of(s);
    s->send_out = false;
    if (s->state != SOCK_OPEN)
        return;
    if (res < 0) {
        /* The peer may have answered before it closed: what it sent is still worth reading, if anybody does.
         */
        s->send_error = -res;
        drop_queues(s);
        if (s->end_delivered)
            uring_socket_close(s, ending_from_errno(-res, false));
        else if (s->credit == 0)
            uring_sweep_later(s);
        else if (s->recv_eof)
            make_ready(s);
        return;
    }
    uring_window_sent(s);
    uint32_t left = s->tx_done + (uint32_t)res;
    while (!segq_empty(&s->tx) && s->state == SOCK_OPEN) {
        if (s->tx.head->seg.len > left)
            break;
        left -= s->tx.head->seg.len;
        s->stream.events->sent(&s->stream, segq_pop(&s->tx, &u->seg_nodes));
    }
    s->tx_done = left;
    if (s->state == SOCK_OPEN && (!segq_empty(&s->tx) || s->finish_wanted))
        make_dirty(s);
}

static void on_connected(struct uring_socket *s, int res)
{
    if (s->state != SOCK_CONNECTING)
        return;
    if (res < 0) {
        s->state = SOCK_OPEN; /* so that closing sees no connect to cancel */
        uring_socket_close(s, ending_from_errno(-res, true));
        return;
    }
    s->state = SOCK_OPEN;
    s->stream.events->open(&s->stream);
    if (s->state != SOCK_OPEN)
        return;
    if (!segq_empty(&s->tx) || s->finish_wanted)
        make_dirty(s);
    uring_socket_rearm(s);
}

static void on_complete(struct uring_object *o, enum uring_op op, int res, uint32_t flags, struct buf *b)
{
    struct uring_socket *s = container_of(o, struct uring_socket, object);
    switch (op) {
    case OP_RECV: on_received(s, res, flags, b); break;
    case OP_SEND: on_sent(s, res); break;
    case OP_CONNECT: on_connected(s, res); break;
    case OP_POLL: uring_hang_up_told(s, res, flags); break;
    case OP_CANCEL: break;
    case OP_ACCEPT:
    case OP_WAKE: ASSERT(!"not a socket's operation");
    }
    if (s->state == SOCK_CLOSING)
        settle_closing(s);
}

/* Points iov at the first segments of tx. */
static uint32_t gather(const struct uring_socket *s, struct iovec *iov)
{
    uint32_t n = 0;
    for (struct segq_node *node = s->tx.head; node && n < URING_IOV_MAX; node = node->next, n++)
        iov[n] = (struct iovec){node->seg.data, node->seg.len};
    iov[0] = (struct iovec){s->tx.head->seg.data + s->tx_done, s->tx.head->seg.len - s->tx_done};
    return n;
}

static void submit_send(struct uring_socket *s)
{
    struct uring *u = uring_of(s);
    if (u->iovs_used + URING_IOV_MAX > URING_IOVS || u->msgs_used == URING_SQ_ENTRIES)
        uring_submit(u);
    struct iovec *iov = &u->iovs[u->iovs_used];
    uint32_t n = gather(s, iov);
    struct io_uring_sqe *sqe = uring_sqe(u, &s->object, OP_SEND);
    sqe->fd = s->fd;
    sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
    if (n == 1) {
        sqe->opcode = IORING_OP_SEND;
        sqe->addr = (uintptr_t)iov[0].iov_base;
        sqe->len = (uint32_t)iov[0].iov_len;
    } else {
        struct msghdr *msg = &u->msgs[u->msgs_used++];
        *msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = n};
        sqe->opcode = IORING_OP_SENDMSG;
        sqe->addr = (uintptr_t)msg;
        sqe->len = 1;
        u->iovs_used += n;
    }
    s->send_out = true;
}

/* As far as the socket takes it now; the ring does the rest. */
static void send_now(struct uring_socket *s)
{
    struct iovec iov[URING_IOV_MAX];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(s, iov)};
    ssize_t n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        submit_send(s);
        return;
    }
    size_t offered = 0;
    for (size_t i = 0; i < msg.msg_iovlen; i++)
        offered += iov[i].iov_len;
    on_sent(s, n < 0 ? -errno : (int)n);
    if (n >= 0 && (size_t)n < offered && s->state == SOCK_OPEN && !segq_empty(&s->tx)) {
        list_remove(&s->dirty);
        submit_send(s);
    }
}

void uring_socket_flush(struct uring_socket *s, bool directly)
{
    if (s->state != SOCK_OPEN || s->send_out)
        return;
    if (!segq_empty(&s->tx)) {
        if (directly)
            send_now(s);
        else
            submit_send(s);
    } else if (s->finish_wanted && !s->fin_sent) {
        s->fin_sent = true;
        if (s->end_delivered)
            make_ready(s); /* close() says it */
        else
            shutdown(s->fd, SHUT_WR);
    }
}

/* -- the stream ---------------------------------------------------------------------------------------------
 */

static void socket_grant(struct stream *stream, uint32_t bytes)
{
    struct uring_socket *s = SOCKET_OF(stream);
    s->credit += bytes;
    if (s->state != SOCK_OPEN)
        return;
    if (!segq_empty(&s->rx) || (s->recv_eof && !s->end_delivered) || s->recv_error != 0)
        make_ready(s);
    else
        uring_socket_rearm(s);
}

static void socket_send(struct stream *stream, struct seg seg)
{
    struct uring_socket *s = SOCKET_OF(stream);
    struct uring *u = uring_of(s);
    if (s->state >= SOCK_CLOSING || s->finish_wanted || s->send_error != 0 ||
        !segq_push(&s->tx, &u->seg_nodes, seg)) {
        worker_release_seg(worker_of(s), seg);
        return;
    }
    if (s->state == SOCK_OPEN && !s->send_out)
        make_dirty(s);
}

static void socket_finish(struct stream *stream)
{
    struct uring_socket *s = SOCKET_OF(stream);
    if (s->state >= SOCK_CLOSING)
        return;
    s->finish_wanted = true;
    if (s->state == SOCK_OPEN)
        make_dirty(s);
}

static void socket_abort(struct stream *stream, enum ending reason)
{
    uring_socket_close(SOCKET_OF(stream), reason == ENDING_DONE ? ENDING_CANCELLED : reason);
}

static void socket_free(struct stream *stream)
{
    struct uring_socket *s = SOCKET_OF(stream);
    ASSERT(s->closed_delivered);
    slab_give(&uring_of(s)->sockets, s);
}

static uint64_t socket_owed(struct stream *stream)
{
    struct uring_socket *s = SOCKET_OF(stream);
    int in_kernel = 0;
    if (s->state != SOCK_OPEN || ioctl(s->fd, SIOCOUTQ, &in_kernel) != 0)
        return 0;
    return s->tx.bytes + (uint64_t)in_kernel;
}

static const struct stream_ops socket_ops = {
    .kind = "socket",
    .grant = socket_grant,
    .send = socket_send,
    .finish = socket_finish,
    .abort = socket_abort,
    .free = socket_free,
    .owed = socket_owed,
};

struct uring_socket *uring_socket_new(struct uring *u, int fd, enum sock_state state)
{
    struct uring_socket *s = slab_take(&u->sockets);
    if (s && !uring_slot_take(u, &s->object)) {
        slab_give(&u->sockets, s);
        s = NULL;
    }
    if (!s) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    s->object.complete = on_complete;
    s->stream.ops = &socket_ops;
    s->stream.worker = u->engine.worker;
    s->fd = fd;
    s->state = state;
    list_init(&s->dirty);
    list_init(&s->ready);
    list_init(&s->starved);
    list_init(&s->sweep);
    counter_add(u->engine.worker, COUNTER_sockets, 1);
    uring_sweep_later(s);
    return s;
}
