/* io/uring_sweep.c — what sockets need a while later, so that the fast path does not pay for it.
 *
 * Every STREAM_STILL_MS, as long as there is one to look at. A dialled connection that has lasted is given
 * its keepalive. One that nobody reads from has no receive in the kernel that would tell of a reset: when it
 * has stood still for STREAM_STILL_MS, a multishot poll is armed, which tells of errors, hang-ups and FINs
 * alone. It stays armed when the reader goes on, and then says nothing that the receive does not.
 *
 * What a hang-up means is in SO_ERROR. If the peer ended its direction before, what it sent waits to be read,
 * and only when its end has been told is it gone. EPIPE is a reset behind a FIN. Without an error both
 * directions were ended, or a Unix peer was closed. Anything else is a loss, and takes what is unread with
 * it.
 */
#include <errno.h>
#include <poll.h>

#include "io/engine_uring.h"
#include "io/worker.h"

static const uint64_t still_ns = STREAM_STILL_MS * 1000000ull, sweep_ns = STREAM_STILL_MS * 1000000ull;
static const uint64_t left_ns = STREAM_LEFT_MS * 1000000ull;

static uint64_t now_of(const struct uring_socket *s)
{
    return s->stream.worker->now_ns;
}

void uring_sweep_look(struct uring_socket *s)
{
    struct uring *u = s->object.uring;
    ASSERT(s->state < SOCK_CLOSING);
    if (!list_empty(&s->sweep))
        return;
    if (list_empty(&u->sweep))
        u->swept_ns = now_of(s);
    list_add_tail(&u->sweep, &s->sweep);
}

void uring_sweep_later(struct uring_socket *s)
{
    s->still_ns = now_of(s);
    uring_sweep_look(s);
}

static bool somebody_reads(const struct uring_socket *s)
{
    return s->credit > 0 && !s->end_delivered;
}

static bool stands_still(const struct uring_socket *s)
{
    return !somebody_reads(s) && now_of(s) - s->still_ns >= still_ns;
}

static void watch(struct uring_socket *s)
{
    struct io_uring_sqe *sqe = uring_sqe(s->object.uring, &s->object, OP_POLL);
    sqe->opcode = IORING_OP_POLL_ADD; /* of no event: POLLERR, POLLHUP and POLLRDHUP come unasked */
    sqe->fd = s->fd;
    sqe->len = IORING_POLL_ADD_MULTI; /* on edges, or a FIN would be told again and again */
    s->watched = true;
}

static void judge(struct uring_socket *s)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    bool behind_fin = error == 0 || error == EPIPE || s->fin_seen || s->recv_eof;
    if (behind_fin && !s->end_delivered) {
        s->hang_up = HANG_UP_BEHIND_FIN;
        uring_sweep_look(s);
    } else {
        uring_socket_close(s, error == 0 ? ENDING_PEER_RESET : ending_from_errno(error, false));
    }
}

void uring_hang_up_told(struct uring_socket *s, int res, uint32_t flags)
{
    s->watched = flags & IORING_CQE_F_MORE;
    if (s->state != SOCK_OPEN || res < 0)
        return;
    if (!(res & (POLLERR | POLLHUP))) {
        s->fin_seen = s->fin_seen || res & POLLRDHUP;
        return;
    }
    if (s->hang_up == HANG_UP_NONE)
        s->hang_up = HANG_UP_SEEN;
    if (stands_still(s) && !s->recv_armed && s->hang_up == HANG_UP_SEEN)
        judge(s);
    else
        uring_sweep_look(s); /* the receive tells, if somebody reads on */
}

static bool has_left(const struct uring_socket *s)
{
    return s->hang_up == HANG_UP_BEHIND_FIN && (s->end_delivered || now_of(s) - s->still_ns >= left_ns);
}

/* An open socket from which nothing has been read for a while. True: look again. */
static bool tend_still(struct uring_socket *s)
{
    int error = s->recv_error != 0 ? s->recv_error : s->send_error;
    if (error != 0 || has_left(s))
        uring_socket_close(s, error != 0 ? ending_from_errno(error, false) : ENDING_PEER_RESET);
    else if (s->recv_armed || s->hang_up == HANG_UP_BEHIND_FIN)
        return true; /* the receive runs ahead of the credit, and tells by itself until it stops */
    else if (s->hang_up == HANG_UP_SEEN)
        judge(s);
    else if (!s->watched)
        watch(s);
    return false;
}

/* True: look again. */
static bool tend(struct uring_socket *s)
{
    struct uring *u = s->object.uring;
    if (s->state == SOCK_CONNECTING)
        return true;
    if (s->options_at_ns != 0 && now_of(s) >= s->options_at_ns) {
        uring_lasting_options(s->fd, &u->engine.sockets);
        s->options_at_ns = 0;
    }
    bool again = uring_window_tend(s) || s->options_at_ns != 0;
    if (s->state != SOCK_OPEN)
        return false;
    if (stands_still(s))
        return tend_still(s) || (again && s->state == SOCK_OPEN);
    return again || !somebody_reads(s);
}

uint64_t uring_sweep_due_ns(const struct uring *u)
{
    return list_empty(&u->sweep) ? UINT64_MAX : u->swept_ns + sweep_ns;
}

void uring_sweep(struct uring *u)
{
    uint64_t now = u->engine.worker->now_ns;
    if (LIKELY(now < uring_sweep_due_ns(u)))
        return;
    u->swept_ns = now;
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &u->sweep);
    struct list *node;
    while ((node = list_pop(&due))) {
        struct uring_socket *s = list_entry(node, struct uring_socket, sweep);
        if (tend(s) && list_empty(node))
            list_add_tail(&u->sweep, node);
    }
}
