/* io/uring_turn.c — one turn of the ring: flush what is to be sent, submit and wait in one system call, copy
 * the completions out, then deliver events. Nothing below calls the kernel while events are delivered, but
 * for what events themselves ask for. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/engine_uring.h"
#include "io/mailbox.h"
#include "io/worker.h"

enum {
    DIRECT_SENDS_MAX = 8,
    FLUSH_ROUNDS = 4, /* what was sent at once may bring more to send */
};

struct completion {
    uint64_t name;
    int res;
    uint32_t flags;
};

static void enable(struct uring *u)
{
    /* io_uring_enable_rings() is not exported by liburing 2.3's shared library. */
    long rc = syscall(__NR_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    ASSERT(rc == 0);
    u->enabled = true;
    uring_refill(u);
}

/* Few sockets: each sends by a system call of its own, whose result is known at once, and the wait that
 * follows is not cut short by completions of sends. Many: their sends ride on the one submission (bench/: the
 * break-even is flat). */
static void flush_sends(struct uring *u)
{
    for (unsigned round = 0; round < FLUSH_ROUNDS && !list_empty(&u->dirty); round++) {
        struct list due;
        list_init(&due);
        list_splice_tail(&due, &u->dirty);
        unsigned count = 0;
        for (struct list *it = due.next; it != &due && count <= DIRECT_SENDS_MAX; it = it->next)
            count++;
        struct list *node;
        while ((node = list_pop(&due)))
            uring_socket_flush(list_entry(node, struct uring_socket, dirty), count <= DIRECT_SENDS_MAX);
    }
}

static void deliver_ready(struct uring *u)
{
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &u->ready);
    struct list *node;
    while ((node = list_pop(&due)))
        uring_socket_deliver(list_entry(node, struct uring_socket, ready));
}

static void feed_starved(struct uring *u)
{
    if (list_empty(&u->starved))
        return;
    uring_refill(u);
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &u->starved);
    struct list *node;
    while ((node = list_pop(&due))) {
        struct uring_socket *s = list_entry(node, struct uring_socket, starved);
        if (uring_group_has_buffers(u, s->group_big ? GROUP_BIG : GROUP_SMALL))
            uring_socket_rearm(s);
        else
            list_add_tail(&u->starved, node);
    }
}

static unsigned harvest(struct uring *u, struct completion *out)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        if (n == URING_HARVEST_MAX)
            break;
        out[n++] = (struct completion){cqe->user_data, cqe->res, cqe->flags};
    }
    io_uring_cq_advance(&u->ring, n);
    return n;
}

/* A receive's buffer is found by group and id; the group is the socket's, whose object is still in its slot
 * because the receive counts as out until its last completion. */
static struct buf *buffer_of(struct uring *u, struct uring_object *o, const struct completion *c)
{
    if (!(c->flags & IORING_CQE_F_BUFFER))
        return NULL;
    const struct uring_socket *s = container_of(o, struct uring_socket, object);
    return uring_take_buffer(u, s->group_big ? GROUP_BIG : GROUP_SMALL,
                             (uint16_t)(c->flags >> IORING_CQE_BUFFER_SHIFT),
                             c->res > 0 ? (uint32_t)c->res : 0);
}

static void dispatch(struct uring *u, const struct completion *c)
{
    enum uring_op op = (enum uring_op)(c->name >> 56);
    if (op == OP_WAKE) {
        if (c->res < 0) /* the target was not there yet; its wait is bounded */
            counter_add(u->engine.worker, COUNTER_ring_overflows, 1);
        return;
    }
    uint32_t index = (uint32_t)c->name;
    ASSERT(index < u->slot_count);
    struct uring_object *o = u->slots[index].object;
    ASSERT(o != NULL && uring_name(u, o, op) == c->name); /* ops_out keeps an object in its slot */
    struct buf *b = op == OP_RECV ? buffer_of(u, o, c) : NULL;
    if (!(c->flags & IORING_CQE_F_MORE)) {
        ASSERT(o->ops_out > 0);
        o->ops_out--;
    }
    o->complete(o, op, c->res, c->flags, b);
}

/* Submits, and waits until something happens or the time is reached. What the worker has to do by itself goes
 * first, because it may bring more to submit; but only once, and not before somebody is woken. */
static void submit_and_wait(struct uring *u, uint64_t wait_until_ns)
{
    struct worker *w = u->engine.worker;
    bool busy = !list_empty(&u->ready) || !list_empty(&u->dirty) || !list_empty(&w->tasks) ||
                mailbox_has_mail(w);
    bool quiet = io_uring_cq_ready(&u->ring) == 0;
    if (busy && quiet && !u->put_off && !u->wakes_somebody) {
        u->put_off = true;
        return;
    }
    uint64_t now = u->engine.ops->now_ns(&u->engine);
    bool wait = !busy && quiet && wait_until_ns > now;
    if (wait && !list_empty(&u->starved) && wait_until_ns - now > 10000000u)
        wait_until_ns = now + 10000000u; /* buffers may come home without a completion of ours */
    if (wait) {
        uint64_t ns = wait_until_ns - now;
        struct __kernel_timespec limit = {.tv_sec = (long long)(ns / 1000000000u),
                                          .tv_nsec = (long long)(ns % 1000000000u)};
        struct io_uring_cqe *cqe;
        io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &limit, NULL);
    } else {
        io_uring_submit_and_get_events(&u->ring);
    }
    u->iovs_used = u->msgs_used = u->addrs_used = 0;
    u->put_off = u->wakes_somebody = false;
}

static void count_overflows(struct uring *u)
{
    uint32_t overflows = *u->ring.cq.koverflow;
    if (LIKELY(overflows == u->overflows_seen))
        return;
    counter_add(u->engine.worker, COUNTER_ring_overflows, overflows - u->overflows_seen);
    u->overflows_seen = overflows;
}

void uring_turn(struct engine *e, uint64_t wait_until_ns)
{
    struct uring *u = container_of(e, struct uring, engine);
    struct worker *w = e->worker;
    struct completion done[URING_HARVEST_MAX];
    if (UNLIKELY(!u->enabled))
        enable(u);
    uring_listeners_rearm(u);
    feed_starved(u);
    flush_sends(u);
    /* A close, say, that waits for no completion: its peer shall not wait for the turn either. */
    if (!list_empty(&u->ready)) {
        deliver_ready(u);
        flush_sends(u);
    }
    /* What was told by now may have posted mail or armed timers: neither shall wait out this turn's sleep. */
    if (w->dirty_count > 0)
        mailbox_flush(w);
    if (wait_until_ns != 0 && timer_next_ns(&w->timers) < wait_until_ns)
        wait_until_ns = timer_next_ns(&w->timers);
    if (wait_until_ns > uring_sweep_due_ns(u))
        wait_until_ns = uring_sweep_due_ns(u);

    submit_and_wait(u, wait_until_ns);
    w->now_ns = e->ops->now_ns(e);
    count_overflows(u);
    unsigned n = harvest(u, done);
    for (unsigned i = 0; i < n; i++)
        dispatch(u, &done[i]);
    uring_refill(u);
    uring_sweep(u);
    deliver_ready(u);
}
