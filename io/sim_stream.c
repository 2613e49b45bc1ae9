/* io/sim_stream.c — see sim_stream.h.
 *
 * A socket of sim_net as a stream, with the manners of the io_uring engine: nothing is read without credit,
 * sends leave at the start of the next turn, `closed` comes when the kernel would have given everything back.
 * What the real engine leaves open is decided by chance here: sizes of segments, when `sent` is told, which
 * stream is served first, how long a close takes, whether a buffer can be had.
 */
#include "io/sim_stream.h"

#include <errno.h>

#include "io/segq.h"
#include "io/sim_net.h"
#include "io/worker.h"

enum {
    READS_PER_TURN = 4, /* of one stream */
    STREAMS_MAX = 1 << 16,
    SEGMENTS_MAX = 1 << 18,
    RETRY_NS = 1000000, /* after a refused buffer or a `sent` held back */
};

enum sim_state { SIM_CONNECTING, SIM_OPEN, SIM_CLOSING, SIM_DEAD };

struct sim_stream {
    struct stream stream;
    struct sim_streams *home;
    struct sim_sock *sock; /* NULL once closing */
    struct list node, ready;
    struct segq tx;   /* not yet taken by the kernel */
    struct segq told; /* taken; `sent` is still to be said */
    struct sim_event retry;
    uint64_t id, credit;
    uint64_t still_ns; /* since when nobody reads, if nobody does */
    uint32_t tx_done;
    enum sim_state state;
    enum ending reason;
    uint8_t close_turns; /* turns until `closed` is said */
    bool finish_wanted, fin_sent, end_told;
    int send_error;
};

static struct sim_stream *stream_of(struct stream *s)
{
    return container_of(s, struct sim_stream, stream);
}

static void trace(const struct sim_stream *s, const char *what, uint64_t detail)
{
    sim_trace(s->home->net, what, s->home->worker->number, s->id, detail);
}

static void make_ready(struct sim_stream *s)
{
    if (list_empty(&s->ready))
        list_add_tail(&s->home->ready, &s->ready);
}

static void make_ready_at(struct sim_stream *s, uint64_t at_ns)
{
    if (s->retry.index == 0 || s->retry.at_ns > at_ns)
        sim_event_at(s->home->net, &s->retry, at_ns);
}

static void make_ready_later(struct sim_stream *s)
{
    struct sim_net *n = s->home->net;
    make_ready_at(s, sim_now_ns(n) + sim_between(n, 1, RETRY_NS));
}

static void on_retry(struct sim_event *e)
{
    make_ready(container_of(e, struct sim_stream, retry));
}

static void on_poke(struct sim_sock *sock)
{
    make_ready(sock->owner);
}

/* -- a stream's turn ----------------------------------------------------------------------------------------
 */

static void release_queue(struct sim_stream *s, struct segq *q)
{
    while (!segq_empty(q))
        worker_release_seg(s->stream.worker, segq_pop(q, &s->home->seg_nodes));
}

static void begin_closing(struct sim_stream *s, enum ending reason)
{
    if (s->state >= SIM_CLOSING)
        return;
    s->state = SIM_CLOSING;
    s->reason = reason;
    s->close_turns = (uint8_t)sim_between(s->home->net, 0, 3);
    if (reason == ENDING_DONE)
        sim_close(s->sock);
    else
        sim_reset(s->sock);
    s->sock = NULL;
    sim_event_cancel(s->home->net, &s->retry);
    make_ready(s);
}

static void say_closed(struct sim_stream *s)
{
    if (s->close_turns > 0) {
        s->close_turns--;
        make_ready(s);
        return;
    }
    release_queue(s, &s->told);
    release_queue(s, &s->tx);
    s->state = SIM_DEAD;
    gauge_sub(s->stream.worker, COUNTER_sockets, 1);
    trace(s, "closed", s->reason);
    s->stream.events->closed(&s->stream, s->reason);
}

static void say_connected(struct sim_stream *s)
{
    int rc = sim_connect_result(s->sock);
    if (rc == -EINPROGRESS)
        return;
    if (rc < 0) {
        begin_closing(s, ending_from_errno(-rc, true));
        return;
    }
    s->state = SIM_OPEN;
    trace(s, "open", 0);
    s->stream.events->open(&s->stream);
}

static void on_send_error(struct sim_stream *s, int error)
{
    s->send_error = error;
    /* The peer may have answered before it closed: what it sent is still worth reading, if anybody does. */
    release_queue(s, &s->tx);
    if (s->end_told)
        begin_closing(s, ending_from_errno(error, false));
}

static void flush_sends(struct sim_stream *s)
{
    while (!segq_empty(&s->tx) && s->state == SIM_OPEN) {
        const struct seg *seg = &s->tx.head->seg;
        if (s->tx_done < seg->len) {
            ssize_t n = sim_send(s->sock, seg->data + s->tx_done, seg->len - s->tx_done);
            if (n == -EAGAIN)
                return;
            if (n < 0) {
                on_send_error(s, (int)-n);
                return;
            }
            s->tx_done += (uint32_t)n;
            if (s->tx_done < seg->len)
                continue;
        }
        s->tx_done = 0;
        struct seg done = segq_pop(&s->tx, &s->home->seg_nodes);
        ASSERT(segq_push(&s->told, &s->home->seg_nodes, done)); /* the node just given back */
    }
    if (s->state == SIM_OPEN && s->finish_wanted && !s->fin_sent && s->send_error == 0) {
        s->fin_sent = true;
        sim_shutdown(s->sock);
    }
}

static void say_sent(struct sim_stream *s)
{
    struct sim_net *n = s->home->net;
    while (s->state == SIM_OPEN && !segq_empty(&s->told)) {
        if (sim_chance(n, sim_net_faults(n)->late_sent)) {
            make_ready_later(s);
            return;
        }
        struct seg seg = segq_pop(&s->told, &s->home->seg_nodes);
        trace(s, "sent", seg.len);
        s->stream.events->sent(&s->stream, seg);
    }
}

static struct buf *some_buffer(struct sim_stream *s)
{
    struct sim_net *n = s->home->net;
    struct buf_pool *pool = &s->stream.worker->bufs;
    if (sim_chance(n, sim_net_faults(n)->no_buffer))
        return NULL;
    enum buf_class class = sim_readable(s->sock) > BUF_SMALL_BYTES && sim_chance(n, 500) ? BUF_BIG
                                                                                         : BUF_SMALL;
    struct buf *b = buf_get(pool, class);
    return b ? b : buf_get(pool, class == BUF_BIG ? BUF_SMALL : BUF_BIG);
}

static void read_failed(struct sim_stream *s, int error)
{
    if (error != 0) {
        begin_closing(s, ending_from_errno(error, false));
        return;
    }
    s->end_told = true;
    s->still_ns = sim_now_ns(s->home->net);
    trace(s, "end", 0);
    s->stream.events->end(&s->stream);
    if (s->state == SIM_OPEN && s->send_error != 0)
        begin_closing(s, ending_from_errno(s->send_error, false));
}

/* True when there may be more at once. */
static bool read_some(struct sim_stream *s)
{
    struct buf *b = some_buffer(s);
    if (!b) {
        counter_add(s->stream.worker, COUNTER_buffers_starved, 1);
        make_ready_later(s);
        return false;
    }
    size_t most = s->credit < b->cap ? (size_t)s->credit : b->cap;
    ssize_t n = sim_recv(s->sock, b->mem, most);
    if (n <= 0) {
        buf_unref(b);
        if (n != -EAGAIN)
            read_failed(s, (int)-n);
        return false;
    }
    s->credit -= (uint64_t)n;
    s->still_ns = sim_now_ns(s->home->net);
    trace(s, "data", sim_hash_bytes(b->mem, (size_t)n) << 24 | (uint64_t)n);
    s->stream.events->data(&s->stream, (struct seg){b, b->mem, (uint32_t)n, 0});
    return true;
}

static bool somebody_reads(const struct sim_stream *s)
{
    return s->credit > 0 && !s->end_told;
}

/* Nobody reads: an error is told when that has lasted, or at once if it takes no bytes away: kernels do
 * either. A reset behind a FIN is none until the end was told. */
static void notice_loss(struct sim_stream *s)
{
    struct sim_net *n = s->home->net;
    bool behind_fin = s->send_error == 0 && s->sock->fin_arrived && !s->end_told;
    int error = s->send_error != 0 ? s->send_error : s->sock->error;
    uint64_t at_ns = s->still_ns + (behind_fin ? STREAM_LEFT_MS : STREAM_STILL_MS) * 1000000ull;
    if (error == 0)
        return;
    if (sim_now_ns(n) >= at_ns || (!behind_fin && sim_readable(s->sock) == 0 && sim_chance(n, 500)))
        begin_closing(s, ending_from_errno(error, false));
    else
        make_ready_at(s, at_ns + sim_between(n, 0, STREAM_STILL_MS * 1000000ull));
}

static void say_received(struct sim_stream *s)
{
    uint64_t reads = sim_between(s->home->net, 1, READS_PER_TURN);
    while (s->state == SIM_OPEN && somebody_reads(s)) {
        if (reads-- == 0) {
            make_ready(s);
            return;
        }
        if (!read_some(s))
            break;
    }
    if (s->state == SIM_OPEN && !somebody_reads(s))
        notice_loss(s);
}

static void stream_turn(struct sim_stream *s)
{
    if (s->state == SIM_CLOSING) {
        say_closed(s);
        return;
    }
    if (s->state == SIM_CONNECTING)
        say_connected(s);
    if (s->state == SIM_OPEN)
        flush_sends(s);
    if (s->state == SIM_OPEN)
        say_sent(s);
    if (s->state == SIM_OPEN)
        say_received(s);
    if (s->state == SIM_OPEN && s->end_told && s->fin_sent && segq_empty(&s->told))
        begin_closing(s, ENDING_DONE);
}

/* -- the stream's calls -------------------------------------------------------------------------------------
 */

static void sim_grant(struct stream *stream, uint32_t bytes)
{
    struct sim_stream *s = stream_of(stream);
    s->credit += bytes;
    if (s->state == SIM_OPEN)
        make_ready(s);
}

static void sim_stream_send(struct stream *stream, struct seg seg)
{
    struct sim_stream *s = stream_of(stream);
    if (s->state >= SIM_CLOSING || s->finish_wanted || s->send_error != 0 ||
        !segq_push(&s->tx, &s->home->seg_nodes, seg)) {
        worker_release_seg(stream->worker, seg);
        return;
    }
    make_ready(s);
}

static void sim_finish(struct stream *stream)
{
    struct sim_stream *s = stream_of(stream);
    if (s->state >= SIM_CLOSING)
        return;
    s->finish_wanted = true;
    make_ready(s);
}

static void sim_abort(struct stream *stream, enum ending reason)
{
    begin_closing(stream_of(stream), reason == ENDING_DONE ? ENDING_CANCELLED : reason);
}

static void sim_stream_free(struct stream *stream)
{
    struct sim_stream *s = stream_of(stream);
    ASSERT(s->state == SIM_DEAD);
    list_remove(&s->node);
    slab_give(&s->home->slab, s);
}

static uint64_t sim_owed(struct stream *stream)
{
    const struct sim_stream *s = stream_of(stream);
    return s->tx.bytes - s->tx_done + (s->state == SIM_OPEN ? sim_under_way(s->sock) : 0);
}

static const struct stream_ops sim_stream_ops = {
    .kind = "socket",
    .grant = sim_grant,
    .send = sim_stream_send,
    .finish = sim_finish,
    .abort = sim_abort,
    .free = sim_stream_free,
    .owed = sim_owed,
};

struct stream *sim_stream_new(struct sim_streams *home, struct sim_sock *sock, bool connected)
{
    struct sim_stream *s = slab_take(&home->slab);
    if (!s) {
        sim_reset(sock);
        return NULL;
    }
    s->stream.ops = &sim_stream_ops;
    s->stream.worker = home->worker;
    s->home = home;
    s->sock = sock;
    s->id = ++*home->last_id;
    s->state = connected ? SIM_OPEN : SIM_CONNECTING;
    s->still_ns = sim_now_ns(home->net);
    s->retry.fire = on_retry;
    list_init(&s->node);
    list_init(&s->ready);
    list_add_tail(&home->all, &s->node);
    sock->owner = s;
    sock->poke = on_poke;
    counter_add(home->worker, COUNTER_sockets, 1);
    return &s->stream;
}

/* -- all of them --------------------------------------------------------------------------------------------
 */

void sim_streams_init(struct sim_streams *h, struct sim_net *net, struct worker *w, uint64_t *last_id)
{
    *h = (struct sim_streams){.net = net, .worker = w, .last_id = last_id};
    list_init(&h->ready);
    list_init(&h->all);
    slab_init(&h->slab, "sim streams", sizeof(struct sim_stream), STREAMS_MAX);
    slab_init(&h->seg_nodes, "sim segments", sizeof(struct segq_node), SEGMENTS_MAX);
}

void sim_streams_fini(struct sim_streams *h)
{
    ASSERT(list_empty(&h->all));
    slab_fini(&h->slab);
    slab_fini(&h->seg_nodes);
}

bool sim_streams_have_work(const struct sim_streams *h)
{
    return !list_empty(&h->ready);
}

void sim_streams_turn(struct sim_streams *h)
{
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &h->ready);
    while (!list_empty(&due)) {
        struct list *node = sim_chance(h->net, 500) ? due.next : due.prev;
        list_remove(node);
        stream_turn(list_entry(node, struct sim_stream, ready));
    }
}
