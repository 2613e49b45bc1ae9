/* io/engine_sim.c — see engine_sim.h.
 *
 * A socket of sim_net as a stream, with the manners of the io_uring engine: nothing is read without credit,
 * sends leave at the start of the next turn, `closed` comes when the kernel would have given everything back.
 * What the real engine leaves open is decided by chance here: sizes of segments, when `sent` is told, which
 * stream is served first, how long a close takes, whether a buffer can be had.
 *
 * tidy: length: a TODO(sim) for its author: listeners and watches may leave for a file of their own.
 */
#include "io/engine_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/mailbox.h"
#include "io/segq.h"
#include "io/worker.h"

enum {
    READS_PER_TURN = 4, /* of one stream */
    STREAMS_MAX = 1 << 16,
    SEGMENTS_MAX = 1 << 18,
    TURN_MIN_NS = 500, /* what a turn costs in virtual time */
    TURN_MAX_NS = 20000,
    RETRY_NS = 1000000, /* after a refused buffer or a `sent` held back */
};

enum sim_state { SIM_CONNECTING, SIM_OPEN, SIM_CLOSING, SIM_DEAD };

struct sim_engine {
    struct engine engine;
    struct sim_world *world;
    struct sim_net *net;
    struct list node;    /* world's engines */
    struct list ready;   /* streams that have something to do or to tell */
    struct list streams; /* all */
    struct list arrivals;
    struct slab stream_slab, seg_nodes;
    struct sim_event wake_event, held_event;
    void (*turn)(struct worker *, uint64_t wait_limit_ns);
    uint64_t sleep_until_ns;
    bool asleep, held;
};

struct sim_stream {
    struct stream stream;
    struct sim_engine *engine;
    struct sim_sock *sock; /* NULL once closing */
    struct list node, ready;
    struct segq tx;   /* not yet taken by the kernel */
    struct segq told; /* taken; `sent` is still to be said */
    struct sim_event retry;
    uint64_t id, credit;
    uint32_t tx_done;
    enum sim_state state;
    enum ending reason;
    uint8_t close_turns; /* turns until `closed` is said */
    bool finish_wanted, fin_sent, end_told;
    int send_error;
};

struct sim_accepting {
    struct sim_listener net;
    struct listener *listener;
    struct sim_engine *engine;
};

struct sim_arrival {
    struct list node;
    struct sim_accepting *from;
    struct net_peer peer;
    int handle;
};

struct sim_world {
    struct sim_net *net;
    struct list engines;
    uint64_t stream_ids;
    bool running;
};

static struct sim_engine *sim_of(struct engine *e)
{
    return container_of(e, struct sim_engine, engine);
}

static struct sim_stream *stream_of(struct stream *s)
{
    return container_of(s, struct sim_stream, stream);
}

static void trace(const struct sim_stream *s, const char *what, uint64_t detail)
{
    sim_trace(s->engine->net, what, s->engine->engine.worker->number, s->id, detail);
}

static void make_ready(struct sim_stream *s)
{
    if (list_empty(&s->ready))
        list_add_tail(&s->engine->ready, &s->ready);
}

static void make_ready_later(struct sim_stream *s)
{
    struct sim_net *n = s->engine->net;
    if (s->retry.index == 0)
        sim_event_at(n, &s->retry, sim_now_ns(n) + sim_between(n, 1, RETRY_NS));
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
        worker_release_seg(s->stream.worker, segq_pop(q, &s->engine->seg_nodes));
}

static void begin_closing(struct sim_stream *s, enum ending reason)
{
    if (s->state >= SIM_CLOSING)
        return;
    s->state = SIM_CLOSING;
    s->reason = reason;
    s->close_turns = (uint8_t)sim_between(s->engine->net, 0, 3);
    if (reason == ENDING_DONE)
        sim_close(s->sock);
    else
        sim_reset(s->sock);
    s->sock = NULL;
    sim_event_cancel(s->engine->net, &s->retry);
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
    /* The peer may have answered before it closed: what it sent is still worth reading. */
    if (s->end_told || s->credit == 0)
        begin_closing(s, ending_from_errno(error, false));
    else
        release_queue(s, &s->tx);
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
        struct seg done = segq_pop(&s->tx, &s->engine->seg_nodes);
        ASSERT(segq_push(&s->told, &s->engine->seg_nodes, done)); /* the node just given back */
    }
    if (s->state == SIM_OPEN && s->finish_wanted && !s->fin_sent && s->send_error == 0) {
        s->fin_sent = true;
        sim_shutdown(s->sock);
    }
}

static void say_sent(struct sim_stream *s)
{
    struct sim_net *n = s->engine->net;
    while (s->state == SIM_OPEN && !segq_empty(&s->told)) {
        if (sim_chance(n, sim_net_faults(n)->late_sent)) {
            make_ready_later(s);
            return;
        }
        struct seg seg = segq_pop(&s->told, &s->engine->seg_nodes);
        trace(s, "sent", seg.len);
        s->stream.events->sent(&s->stream, seg);
    }
}

static struct buf *some_buffer(struct sim_stream *s)
{
    struct sim_net *n = s->engine->net;
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
    if (error == 0 && s->send_error != 0) {
        begin_closing(s, ending_from_errno(s->send_error, false));
    } else if (error == 0) {
        s->end_told = true;
        trace(s, "end", 0);
        s->stream.events->end(&s->stream);
    } else {
        begin_closing(s, ending_from_errno(error, false));
    }
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
    trace(s, "data", sim_hash_bytes(b->mem, (size_t)n) << 24 | (uint64_t)n);
    s->stream.events->data(&s->stream, (struct seg){b, b->mem, (uint32_t)n, 0});
    return true;
}

static void say_received(struct sim_stream *s)
{
    struct sim_net *n = s->engine->net;
    /* An error may be noticed without reading, or only by reading: kernels do either. */
    if (s->credit == 0 && s->sock->error != 0 && sim_readable(s->sock) == 0 && sim_chance(n, 500)) {
        begin_closing(s, ending_from_errno(s->sock->error, false));
        return;
    }
    uint64_t reads = sim_between(n, 1, READS_PER_TURN);
    while (s->state == SIM_OPEN && s->credit > 0 && !s->end_told) {
        if (reads-- == 0) {
            make_ready(s);
            return;
        }
        if (!read_some(s))
            return;
    }
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
        !segq_push(&s->tx, &s->engine->seg_nodes, seg)) {
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
    slab_give(&s->engine->stream_slab, s);
}

static const struct stream_ops sim_stream_ops = {
    .kind = "socket",
    .grant = sim_grant,
    .send = sim_stream_send,
    .finish = sim_finish,
    .abort = sim_abort,
    .free = sim_stream_free,
};

static struct stream *stream_new(struct sim_engine *e, struct sim_sock *sock, enum sim_state state)
{
    struct sim_stream *s = slab_take(&e->stream_slab);
    if (!s) {
        sim_reset(sock);
        return NULL;
    }
    s->stream.ops = &sim_stream_ops;
    s->stream.worker = e->engine.worker;
    s->engine = e;
    s->sock = sock;
    s->id = ++e->world->stream_ids;
    s->state = state;
    s->retry.fire = on_retry;
    list_init(&s->node);
    list_init(&s->ready);
    list_add_tail(&e->streams, &s->node);
    sock->owner = s;
    sock->poke = on_poke;
    counter_add(e->engine.worker, COUNTER_sockets, 1);
    return &s->stream;
}

/* -- the engine's calls -------------------------------------------------------------------------------------
 */

static void on_incoming(struct sim_listener *l, struct sim_sock *sock, const struct net_peer *peer)
{
    struct sim_accepting *a = container_of(l, struct sim_accepting, net);
    struct sim_arrival *arrival = calloc(1, sizeof(*arrival));
    ASSERT(arrival != NULL);
    *arrival = (struct sim_arrival){.from = a, .peer = *peer, .handle = sock->number};
    list_init(&arrival->node);
    list_add_tail(&a->engine->arrivals, &arrival->node);
}

static int sim_engine_listen(struct engine *e, struct listener *listener,
                             const struct listen_options *options)
{
    struct sim_engine *se = sim_of(e);
    if (!options->share_port && sim_is_listening(se->net, &options->address))
        return -EADDRINUSE;
    struct sim_accepting *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->listener = listener;
    a->engine = se;
    a->net.incoming = on_incoming;
    listener->engine = e;
    listener->impl = a;
    sim_listen(se->net, &a->net, &options->address);
    return 0;
}

static void sim_engine_refuse(struct engine *e, int handle)
{
    sim_reset(sim_sock_of(sim_of(e)->net, handle));
}

static void sim_engine_unlisten(struct listener *listener)
{
    struct sim_accepting *a = listener->impl;
    listener->impl = NULL;
    sim_unlisten(&a->net);
    list_each_safe(node, tmp, &a->engine->arrivals)
    {
        struct sim_arrival *arrival = list_entry(node, struct sim_arrival, node);
        if (arrival->from != a)
            continue;
        sim_reset(sim_sock_of(a->engine->net, arrival->handle));
        list_remove(node);
        free(arrival);
    }
    free(a);
}

static struct stream *sim_engine_adopt(struct engine *e, int handle, const struct net_peer *peer)
{
    (void)peer;
    struct sim_engine *se = sim_of(e);
    return stream_new(se, sim_sock_of(se->net, handle), SIM_OPEN);
}

static struct stream *sim_engine_dial(struct engine *e, const struct net_address *to)
{
    struct sim_engine *se = sim_of(e);
    struct sim_sock *sock = sim_connect(se->net, to, NULL);
    return sock ? stream_new(se, sock, SIM_CONNECTING) : NULL;
}

static int sim_engine_watch(struct engine *e, struct watch *w, int fd, bool readable, bool writable)
{
    (void)e;
    (void)w;
    (void)fd;
    (void)readable;
    (void)writable;
    return -ENOTSUP; /* there are no foreign descriptors in this world */
}

static void sim_engine_unwatch(struct watch *w)
{
    (void)w;
}

static void on_wake(struct sim_event *e)
{
    container_of(e, struct sim_engine, wake_event)->asleep = false;
}

static void sim_engine_wake(struct engine *e, unsigned worker)
{
    struct sim_engine *target = sim_of(e->worker->peers[worker]->engine);
    struct sim_net *n = target->net;
    sim_trace(n, "wake", e->worker->number, worker, 0);
    if (target->wake_event.index == 0)
        sim_event_at(n, &target->wake_event,
                     sim_now_ns(n) + sim_between(n, 0, sim_net_faults(n)->wake_delay_max_ns));
}

static uint64_t sim_engine_now(struct engine *e)
{
    return sim_now_ns(sim_of(e)->net);
}

static uint64_t sim_engine_wall(struct engine *e)
{
    return sim_now_ns(sim_of(e)->net) + 1767225600000000000u; /* the world begins with 2026 */
}

static void sim_engine_random(struct engine *e, void *bytes, size_t len)
{
    struct sim_net *n = sim_of(e)->net;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)sim_random(n);
}

static void sim_engine_free(struct engine *e)
{
    struct sim_engine *se = sim_of(e);
    ASSERT(list_empty(&se->streams));
    ASSERT(list_empty(&se->arrivals));
    sim_event_cancel(se->net, &se->wake_event);
    sim_event_cancel(se->net, &se->held_event);
    list_remove(&se->node);
    slab_fini(&se->stream_slab);
    slab_fini(&se->seg_nodes);
    free(se);
}

static void deliver_arrivals(struct sim_engine *e)
{
    struct list *node;
    struct list due;
    list_init(&due);
    /* One at a time off the engine's own list: accepted() may stop listening. */
    for (int i = 0; i < 16 && (node = list_pop(&e->arrivals)); i++) {
        struct sim_arrival *arrival = list_entry(node, struct sim_arrival, node);
        struct listener *l = arrival->from->listener;
        sim_trace(e->net, "accepted", e->engine.worker->number, (uint64_t)arrival->handle, 0);
        l->accepted(l, arrival->handle, &arrival->peer);
        free(arrival);
    }
}

static bool has_work(const struct sim_engine *e)
{
    return !list_empty(&e->ready) || !list_empty(&e->arrivals);
}

static void move_time(struct sim_world *w, uint64_t limit_ns)
{
    uint64_t next = sim_next_event_ns(w->net);
    sim_pass(w->net, next < limit_ns ? next : limit_ns);
    sim_net_fire(w->net);
}

static void sim_engine_turn(struct engine *engine, uint64_t wait_until_ns)
{
    struct sim_engine *e = sim_of(engine);
    /* A worker that turns by itself, outside sim_world_run(), is alone in its world and may wait. */
    while (!e->world->running && !has_work(e) && sim_now_ns(e->net) < wait_until_ns)
        move_time(e->world, wait_until_ns);
    if (!e->world->running)
        sim_net_fire(e->net);
    engine->worker->now_ns = sim_now_ns(e->net);
    deliver_arrivals(e);
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &e->ready);
    while (!list_empty(&due)) {
        struct list *node = sim_chance(e->net, 500) ? due.next : due.prev;
        list_remove(node);
        stream_turn(list_entry(node, struct sim_stream, ready));
    }
}

static const struct engine_ops sim_ops = {
    .name = "sim",
    .listen = sim_engine_listen,
    .unlisten = sim_engine_unlisten,
    .adopt = sim_engine_adopt,
    .refuse = sim_engine_refuse,
    .dial = sim_engine_dial,
    .watch = sim_engine_watch,
    .unwatch = sim_engine_unwatch,
    .wake = sim_engine_wake,
    .turn = sim_engine_turn,
    .now_ns = sim_engine_now,
    .wall_ns = sim_engine_wall,
    .random = sim_engine_random,
    .free = sim_engine_free,
};

static void on_held_end(struct sim_event *e)
{
    container_of(e, struct sim_engine, held_event)->held = false;
}

int engine_sim_new(struct sim_world *world, struct worker *w, struct engine **ret)
{
    struct sim_engine *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->engine = (struct engine){.ops = &sim_ops, .worker = w};
    e->world = world;
    e->net = world->net;
    e->turn = worker_turn;
    list_init(&e->node);
    list_init(&e->ready);
    list_init(&e->streams);
    list_init(&e->arrivals);
    e->wake_event.fire = on_wake;
    e->held_event.fire = on_held_end;
    slab_init(&e->stream_slab, "sim streams", sizeof(struct sim_stream), STREAMS_MAX);
    slab_init(&e->seg_nodes, "sim segments", sizeof(struct segq_node), SEGMENTS_MAX);
    list_add_tail(&world->engines, &e->node);
    *ret = &e->engine;
    return 0;
}

/* -- the world ----------------------------------------------------------------------------------------------
 */

int sim_world_new(uint64_t seed, const struct sim_faults *faults, struct sim_world **ret)
{
    struct sim_world *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    int rc = sim_net_new(seed, faults, &w->net);
    if (rc < 0) {
        free(w);
        return rc;
    }
    list_init(&w->engines);
    *ret = w;
    return 0;
}

void sim_world_free(struct sim_world **wp)
{
    struct sim_world *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    ASSERT(list_empty(&w->engines));
    sim_net_free(&w->net);
    free(w);
}

struct sim_net *sim_world_net(struct sim_world *w)
{
    return w->net;
}

void sim_world_turn_by(struct worker *w, void (*turn)(struct worker *, uint64_t wait_limit_ns))
{
    sim_of(w->engine)->turn = turn;
}

static void hold(struct sim_engine *e, uint64_t duration_ns)
{
    e->held = true;
    sim_event_at(e->net, &e->held_event, sim_now_ns(e->net) + duration_ns);
    sim_trace(e->net, "held", e->engine.worker->number, duration_ns, 0);
}

void sim_world_hold(struct sim_world *w, const struct worker *worker, uint64_t duration_ns)
{
    (void)w;
    hold(sim_of(worker->engine), duration_ns);
}

static bool can_turn(const struct sim_engine *e)
{
    return !e->held && (!e->asleep || has_work(e) || e->sleep_until_ns <= sim_now_ns(e->net));
}

/* Picks one that can turn, or now and then one that was not asked to. */
static struct sim_engine *pick(struct sim_world *w)
{
    bool spurious = sim_chance(w->net, sim_net_faults(w->net)->wake_spurious);
    struct sim_engine *choice = NULL;
    uint64_t seen = 0;
    list_each_safe(node, tmp, &w->engines)
    {
        struct sim_engine *e = list_entry(node, struct sim_engine, node);
        if ((can_turn(e) || (spurious && !e->held)) && sim_random(w->net) % ++seen == 0)
            choice = e;
    }
    return choice;
}

/* What worker_turn() does before it waits, so that the wait itself can last while others run. */
static void fall_asleep(struct sim_engine *e)
{
    struct worker *w = e->engine.worker;
    uint64_t now = sim_now_ns(e->net);
    e->sleep_until_ns = worker_wait_until(w, now + WORKER_WAIT_MAX_MS * 1000000ull);
    e->asleep = e->sleep_until_ns > now && mailbox_prepare_sleep(w);
}

static void turn_worker(struct sim_engine *e)
{
    struct sim_net *n = e->net;
    struct sim_world *world = e->world;
    struct worker *w = e->engine.worker;
    /* The turn may end the worker and free the engine with it: only the world is looked at then. */
    e->turn(w, 0);
    sim_pass(n, sim_now_ns(n) + sim_between(n, TURN_MIN_NS, TURN_MAX_NS));
    bool alive = false;
    list_each_safe(node, tmp, &world->engines) alive |= node == &e->node;
    if (!alive)
        return;
    fall_asleep(e);
    if (sim_chance(n, sim_net_faults(n)->worker_held))
        hold(e, sim_between(n, 0, sim_net_faults(n)->held_max_ns));
}

static uint64_t next_moment(const struct sim_world *w)
{
    uint64_t next = sim_next_event_ns(w->net);
    list_each_safe(node, tmp, (struct list *)&w->engines)
    {
        const struct sim_engine *e = list_entry(node, struct sim_engine, node);
        if (!e->held && e->asleep && e->sleep_until_ns < next)
            next = e->sleep_until_ns;
    }
    return next;
}

bool sim_world_run(struct sim_world *w, uint64_t until_ns, bool (*done)(void *), void *arg)
{
    bool finished = false;
    w->running = true;
    while (sim_now_ns(w->net) < until_ns && !(finished = done && done(arg))) {
        sim_net_fire(w->net);
        struct sim_engine *e = pick(w);
        if (e) {
            turn_worker(e);
        } else {
            uint64_t next = next_moment(w);
            sim_pass(w->net, next < until_ns ? next : until_ns);
        }
    }
    w->running = false;
    return finished;
}
