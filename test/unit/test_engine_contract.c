/* test/unit/test_engine_contract.c — what every engine promises (io/engine.h, io/stream.h), checked on each
 * of them: the simulated one under several seeds, the io_uring one over loopback.
 *
 * Two workers, turned in one thread: worker 0 dials, worker 1 accepts. A `node` is one end of a connection;
 * it records what it is told and asserts, at every event, what must hold at every moment.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/engine.h"
#include "io/engine_sim.h"
#include "io/mailbox.h"
#include "io/worker.h"

enum { WORKERS = 2, BULK = 3000000, PIECE = 30000, SIM_SEEDS = 12 };

struct rig {
    bool uring;
    struct worker workers[WORKERS];
    struct worker *peers[WORKERS];
    struct mailboxes *mail;
    struct sim_world *world;
    struct net_address address;
    struct listener listener;
    bool listening, refusing;
    int accepted;
    struct node *next_accepted; /* who gets the next handle */
    unsigned adopt_on;          /* worker that adopts */
};

struct node {
    struct rig *rig;
    struct stream *stream;
    struct worker *worker;
    uint64_t granted, received, sent, returned, to_send;
    uint32_t next_tag, tag_back, regrant, piece;
    uint8_t salt, peer_salt;
    int opened, ended, closed;
    enum ending reason;
    bool finish_after, abort_on_data, finished;
};

static int calling; /* inside a call of ours: no event may arrive */
static struct rig *current;

static uint8_t byte_at(uint8_t salt, uint64_t at)
{
    return (uint8_t)((at * 2654435761u >> 7) + salt);
}

/* -- rig ----------------------------------------------------------------------------------------------------
 */

static void rig_listen(struct rig *r);

/* In place of a seed: as on kernels before 6.17, which do not know the receive's byte cap. */
enum { URING_WITHOUT_CAP = 1 };

static struct rig *rig_new(bool uring, uint64_t seed)
{
    static unsigned ports;
    static const struct sim_faults faults = {.short_read = 300,
                                             .short_write = 300,
                                             .no_buffer = 50,
                                             .late_sent = 200,
                                             .worker_held = 20,
                                             .wake_spurious = 100,
                                             .delay_max_ns = 2000000,
                                             .dial_delay_max_ns = 5000000,
                                             .wake_delay_max_ns = 500000,
                                             .held_max_ns = 20000000,
                                             .window_min = 500,
                                             .window_max = 100000};
    struct buf_limits limits = {
        {2048, 256, 4}
    };
    struct rig *r = calloc(1, sizeof(*r));
    struct engine_probe probe;
    r->uring = uring;
    engine_uring_probe(&probe);
    if (uring && seed == URING_WITHOUT_CAP)
        probe.byte_cap = false;
    assert_int_equal(mailboxes_new(WORKERS, 4, &r->mail), 0);
    if (!uring)
        assert_int_equal(sim_world_new(seed, &faults, &r->world), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *w = r->peers[i] = &r->workers[i];
        assert_int_equal(worker_init(w, i, WORKERS, r->mail, &limits), 0);
        w->peers = r->peers;
        int rc = uring ? engine_uring_new(w, &probe, &w->engine) : engine_sim_new(r->world, w, &w->engine);
        assert_int_equal(rc, 0);
        worker_start_clock(w);
    }
    char host[32];
    unsigned pid = (unsigned)getpid();
    snprintf(host, sizeof(host), "127.77.%u.%u", pid >> 8 & 255, pid & 255);
    assert_true(net_address_parse(host, strlen(host), (uint16_t)(20000 + ports++ % 10000), &r->address));
    r->adopt_on = 1;
    current = r;
    return r;
}

static void rig_turn(struct rig *r)
{
    if (!r->uring) {
        struct sim_net *n = sim_world_net(r->world);
        sim_world_run(r->world, sim_now_ns(n) + 1000000, NULL, NULL);
        return;
    }
    for (unsigned i = 0; i < WORKERS; i++)
        worker_turn(&r->workers[i], r->workers[i].engine->ops->now_ns(r->workers[i].engine) + 500000);
}

/* Turns until `done` holds; false when it takes too long. */
static bool spin(struct rig *r, bool (*done)(void *), void *arg)
{
    for (int i = 0; i < 40000; i++) {
        if (done(arg))
            return true;
        rig_turn(r);
    }
    return done(arg);
}

static void spin_ms(struct rig *r, int ms)
{
    for (int i = 0; i < ms; i++)
        rig_turn(r);
}

static void rig_free(struct rig *r)
{
    if (r->listening)
        r->listener.engine->ops->unlisten(&r->listener);
    spin_ms(r, 300); /* lent buffers travel home without waking anybody */
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(atomic_load(&r->workers[i].counters.values[COUNTER_sockets]), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_fini(&r->workers[i]);
    mailboxes_free(&r->mail);
    sim_world_free(&r->world);
    free(r);
}

/* -- nodes --------------------------------------------------------------------------------------------------
 */

static void node_grant(struct node *n, uint32_t bytes)
{
    n->granted += bytes;
    calling++;
    stream_grant(n->stream, bytes);
    calling--;
}

static void node_finish(struct node *n)
{
    n->finished = true;
    calling++;
    stream_finish(n->stream);
    calling--;
}

static void node_abort(struct node *n, enum ending reason)
{
    calling++;
    stream_abort(n->stream, reason);
    calling--;
}

static void node_send(struct node *n, uint32_t len)
{
    struct buf *b = buf_get_bytes(&n->worker->bufs, len);
    assert_non_null(b);
    for (uint32_t i = 0; i < len; i++)
        b->mem[i] = byte_at(n->salt, n->sent + i);
    n->sent += len;
    calling++;
    stream_send(n->stream, (struct seg){b, b->mem, len, n->next_tag++});
    calling--;
}

/* Keeps a few segments under way until to_send is reached. */
static void node_pump(struct node *n)
{
    while (n->sent < n->to_send && n->sent - n->returned < 4 * PIECE && !n->closed) {
        uint64_t left = n->to_send - n->sent;
        uint32_t piece = n->piece ? n->piece : PIECE;
        node_send(n, left < piece ? (uint32_t)left : piece);
    }
    if (n->finish_after && n->sent == n->to_send && !n->finished)
        node_finish(n);
}

static void check_event(const struct node *n)
{
    assert_int_equal(calling, 0);
    assert_int_equal(n->closed, 0);
}

static void on_open(struct stream *s)
{
    struct node *n = s->owner;
    check_event(n);
    assert_int_equal(n->opened++, 0);
}

static void on_data(struct stream *s, struct seg seg)
{
    struct node *n = s->owner;
    check_event(n);
    assert_int_equal(n->ended, 0);
    assert_true(seg.len > 0);
    assert_true(n->received + seg.len <= n->granted);
    for (uint32_t i = 0; i < seg.len; i++)
        if (seg.data[i] != byte_at(n->peer_salt, n->received + i))
            fail_msg("byte %lu is not what was sent", (unsigned long)(n->received + i));
    n->received += seg.len;
    worker_release_seg(n->worker, seg);
    if (n->regrant)
        node_grant(n, n->regrant < seg.len ? n->regrant : seg.len);
    if (n->regrant && n->granted == n->received)
        node_grant(n, n->regrant);
    if (n->abort_on_data)
        node_abort(n, ENDING_SLOW_READER);
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct node *n = s->owner;
    check_event(n);
    assert_int_equal(seg.tag, n->tag_back++);
    assert_ptr_equal(seg.data, seg.buf->mem);
    n->returned += seg.len;
    worker_release_seg(n->worker, seg);
    node_pump(n);
}

static void on_end(struct stream *s)
{
    struct node *n = s->owner;
    check_event(n);
    assert_int_equal(n->ended++, 0);
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct node *n = s->owner;
    check_event(n);
    n->closed++;
    n->reason = reason;
}

static const struct stream_events node_events = {on_open, on_data, on_sent, on_end, on_closed};

static struct node *node_new(struct rig *r, unsigned worker, uint8_t salt, uint8_t peer_salt)
{
    struct node *n = calloc(1, sizeof(*n));
    n->rig = r;
    n->worker = &r->workers[worker];
    n->salt = salt;
    n->peer_salt = peer_salt;
    return n;
}

static void node_bind(struct node *n, struct stream *s)
{
    assert_non_null(s);
    n->stream = s;
    stream_bind(s, &node_events, n);
}

static void node_free(struct node *n)
{
    if (n->stream) {
        assert_int_equal(n->closed, 1);
        stream_free(n->stream);
    }
    free(n);
}

static void node_dial(struct node *n)
{
    struct engine *e = n->worker->engine;
    calling++;
    struct stream *s = e->ops->dial(e, &n->rig->address);
    calling--;
    node_bind(n, s);
}

static void adopt_here(struct worker *w, struct msg *msg)
{
    struct node *n = msg->to;
    struct net_peer peer = {.address = n->rig->address};
    node_bind(n, w->engine->ops->adopt(w->engine, (int)msg->value, &peer));
    if (n->regrant)
        node_grant(n, n->regrant);
    node_pump(n);
}

static void on_accepted(struct listener *l, int handle, const struct net_peer *peer)
{
    struct rig *r = l->owner;
    assert_int_equal(calling, 0);
    assert_int_equal(peer->address.sa.sa_family, AF_INET);
    r->accepted++;
    struct node *n = r->next_accepted;
    r->next_accepted = NULL;
    if (r->refusing || !n) {
        l->engine->ops->refuse(l->engine, handle);
        return;
    }
    struct msg msg = {.deliver = adopt_here, .to = n, .value = (uint32_t)handle};
    n->worker = &r->workers[r->adopt_on];
    mailbox_post(l->engine->worker, r->adopt_on, &msg);
}

static void rig_listen(struct rig *r)
{
    struct listen_options o = {.address = r->address, .backlog = 64};
    struct engine *e = r->workers[1].engine;
    r->listener = (struct listener){.owner = r, .accepted = on_accepted};
    assert_int_equal(e->ops->listen(e, &r->listener, &o), 0);
    r->listening = true;
}

/* -- conditions ---------------------------------------------------------------------------------------------
 */

struct two {
    struct node *a, *b;
};

static bool both_closed(void *arg)
{
    struct two *t = arg;
    return t->a->closed && t->b->closed;
}

static bool is_closed(void *arg)
{
    return ((struct node *)arg)->closed > 0;
}

static bool is_ended(void *arg)
{
    const struct node *n = arg;
    return n->ended || n->closed;
}

static bool is_joined(void *arg)
{
    struct two *t = arg;
    return t->a->opened && t->b->stream;
}

static bool all_received(void *arg)
{
    struct two *t = arg;
    return t->a->received == t->b->to_send && t->b->received == t->a->to_send;
}

static bool a_is_home(void *arg)
{
    struct two *t = arg;
    return t->a->returned == t->a->to_send && t->b->received == t->a->to_send;
}

static struct two joined(struct rig *r)
{
    struct two t = {node_new(r, 0, 1, 2), node_new(r, 1, 2, 1)};
    if (!r->listening)
        rig_listen(r);
    r->next_accepted = t.b;
    node_dial(t.a);
    assert_true(spin(r, is_joined, &t));
    return t;
}

static void part(struct rig *r, struct two t)
{
    if (!t.a->closed)
        node_abort(t.a, ENDING_CANCELLED);
    if (!t.b->closed)
        node_abort(t.b, ENDING_CANCELLED);
    assert_true(spin(r, both_closed, &t));
    spin_ms(r, 20); /* nothing more may be said */
    node_free(t.a);
    node_free(t.b);
}

/* -- the promises -------------------------------------------------------------------------------------------
 */

static void bytes_arrive_once_and_in_order_both_ways(struct rig *r)
{
    struct two t = joined(r);
    t.a->to_send = t.b->to_send = BULK / 4;
    t.a->regrant = t.b->regrant = 50000;
    node_grant(t.a, 50000);
    node_grant(t.b, 50000);
    node_pump(t.a);
    node_pump(t.b);
    assert_true(spin(r, all_received, &t));
    part(r, t);
}

static void what_is_sent_before_open_arrives(struct rig *r)
{
    struct two t = {node_new(r, 0, 1, 2), node_new(r, 1, 2, 1)};
    rig_listen(r);
    r->next_accepted = t.b;
    t.b->regrant = 1000;
    node_dial(t.a);
    t.a->to_send = 5000;
    t.a->piece = 777;
    t.a->finish_after = true;
    node_pump(t.a);
    assert_true(spin(r, is_ended, t.b) || !t.b->stream);
    assert_int_equal(t.b->received, 5000);
    assert_int_equal(t.b->ended, 1);
    part(r, t);
}

static void without_credit_nothing_is_delivered(struct rig *r)
{
    struct two t = joined(r);
    t.a->to_send = 20000;
    t.a->finish_after = true;
    node_pump(t.a);
    spin_ms(r, 50);
    assert_int_equal(t.b->received, 0);
    assert_int_equal(t.b->ended, 0);
    node_grant(t.b, 1);
    spin_ms(r, 50);
    assert_int_equal(t.b->received, 1);
    t.b->regrant = 13;
    node_grant(t.b, 13);
    assert_true(spin(r, is_ended, t.b));
    assert_int_equal(t.b->received, 20000);
    part(r, t);
}

static void stopped_reader_stops_its_sender(struct rig *r)
{
    struct two t = joined(r);
    t.a->to_send = 10 * BULK;
    node_pump(t.a);
    spin_ms(r, 200);
    uint64_t stuck_at = t.a->returned;
    assert_true(t.a->returned < t.a->to_send);
    spin_ms(r, 100);
    assert_int_equal(t.a->returned, stuck_at);
    t.a->to_send = t.a->sent + 1;
    t.b->regrant = 60000;
    node_grant(t.b, 60000);
    node_pump(t.a);
    assert_true(spin(r, a_is_home, &t));
    part(r, t);
}

static void idle_connection_with_one_credit_tells_the_end(struct rig *r)
{
    struct two t = joined(r);
    node_grant(t.a, 1);
    node_finish(t.b);
    assert_true(spin(r, is_ended, t.a));
    assert_int_equal(t.a->closed, 0);
    assert_int_equal(t.a->received, 0);
    part(r, t);
}

static void directions_end_one_by_one(struct rig *r)
{
    struct two t = joined(r);
    node_grant(t.b, 10);
    node_finish(t.a);
    assert_true(spin(r, is_ended, t.b));
    t.b->to_send = 100000;
    t.b->finish_after = true;
    t.a->regrant = 9000;
    node_grant(t.a, 9000);
    node_pump(t.b);
    assert_true(spin(r, both_closed, &t));
    assert_int_equal(t.a->received, 100000);
    assert_int_equal(t.a->ended, 1);
    assert_int_equal(t.b->ended, 1);
    assert_int_equal(t.b->returned, 100000);
    assert_int_equal(t.a->reason, ENDING_DONE);
    assert_int_equal(t.b->reason, ENDING_DONE);
    part(r, t);
}

static void both_may_finish_at_once(struct rig *r)
{
    struct two t = joined(r);
    node_grant(t.a, 1);
    node_grant(t.b, 1);
    node_finish(t.a);
    node_finish(t.b);
    assert_true(spin(r, both_closed, &t));
    assert_int_equal(t.a->reason, ENDING_DONE);
    assert_int_equal(t.b->reason, ENDING_DONE);
    part(r, t);
}

static void reset_is_closed_and_never_end(struct rig *r)
{
    struct two t = joined(r);
    node_grant(t.b, 100);
    node_abort(t.a, ENDING_DEADLINE);
    assert_true(spin(r, both_closed, &t));
    assert_int_equal(t.a->reason, ENDING_DEADLINE);
    assert_int_equal(t.b->reason, ENDING_PEER_RESET);
    assert_int_equal(t.a->ended + t.b->ended, 0);
    part(r, t);
}

static void abort_is_idempotent_and_first_reason_counts(struct rig *r)
{
    struct two t = joined(r);
    t.a->to_send = BULK;
    node_pump(t.a);
    rig_turn(r);
    node_abort(t.a, ENDING_DEADLINE);
    node_abort(t.a, ENDING_CANCELLED);
    node_finish(t.a);
    assert_int_equal(t.a->closed, 0);
    assert_true(spin(r, is_closed, t.a));
    assert_int_equal(t.a->reason, ENDING_DEADLINE);
    node_abort(t.a, ENDING_CANCELLED); /* after closed: harmless until freed */
    part(r, t);
}

static void abort_in_an_event_is_the_last_but_closed(struct rig *r)
{
    struct two t = joined(r);
    t.b->abort_on_data = true;
    t.a->to_send = BULK;
    node_grant(t.b, BULK);
    node_grant(t.a, 1);
    node_pump(t.a);
    assert_true(spin(r, both_closed, &t));
    assert_int_equal(t.b->reason, ENDING_SLOW_READER);
    assert_int_equal(t.a->reason, ENDING_PEER_RESET);
    part(r, t);
}

static void abort_while_dialling_never_opens(struct rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    rig_listen(r);
    node_dial(n);
    node_send(n, 100);
    node_abort(n, ENDING_CONNECT_TIMEOUT);
    assert_true(spin(r, is_closed, n));
    assert_int_equal(n->opened, 0);
    assert_int_equal(n->reason, ENDING_CONNECT_TIMEOUT);
    node_free(n);
}

static void abort_at_any_moment_loses_no_segment(struct rig *r)
{
    for (int moment = 0; moment < 25; moment++) {
        struct two t = joined(r);
        t.a->to_send = t.b->to_send = BULK;
        t.a->regrant = t.b->regrant = 20000;
        node_grant(t.a, 20000);
        node_grant(t.b, 20000);
        node_pump(t.a);
        node_pump(t.b);
        spin_ms(r, moment / 2);
        node_abort(moment % 2 ? t.a : t.b, ENDING_CANCELLED);
        part(r, t); /* rig_free() finds what is missing */
    }
}

static void nobody_listens_is_refused(struct rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    node_dial(n);
    node_send(n, 10);
    assert_true(spin(r, is_closed, n));
    assert_int_equal(n->opened, 0);
    assert_int_equal(n->reason, ENDING_REFUSED);
    node_free(n);
}

static void refused_handle_ends_the_dialler(struct rig *r)
{
    struct node *n = node_new(r, 0, 1, 2);
    rig_listen(r);
    r->refusing = true;
    node_dial(n);
    node_grant(n, 1);
    assert_true(spin(r, is_ended, n));
    assert_int_equal(r->accepted, 1);
    if (!n->closed)
        node_abort(n, ENDING_CANCELLED);
    assert_true(spin(r, is_closed, n));
    node_free(n);
}

static void after_unlisten_nobody_is_accepted(struct rig *r)
{
    rig_listen(r);
    spin_ms(r, 2);
    r->listener.engine->ops->unlisten(&r->listener);
    r->listening = false;
    spin_ms(r, 2);
    struct node *n = node_new(r, 0, 1, 2);
    node_dial(n);
    assert_true(spin(r, is_closed, n));
    assert_int_equal(n->reason, ENDING_REFUSED);
    node_free(n);
}

static void used_address_is_not_given_twice(struct rig *r)
{
    struct listen_options o = {.address = r->address, .backlog = 64};
    struct listener second = {.owner = r, .accepted = on_accepted};
    struct engine *e = r->workers[0].engine;
    rig_listen(r);
    spin_ms(r, 2);
    assert_int_equal(e->ops->listen(e, &second, &o), -EADDRINUSE);
}

static void handle_is_adopted_on_either_worker(struct rig *r)
{
    for (unsigned on = 0; on < WORKERS; on++) {
        r->adopt_on = on;
        struct two t = joined(r);
        assert_ptr_equal(t.b->stream->worker, &r->workers[on]);
        t.a->to_send = t.b->to_send = 100000;
        t.a->regrant = t.b->regrant = 4000;
        node_grant(t.a, 4000);
        node_grant(t.b, 4000);
        node_pump(t.a);
        node_pump(t.b);
        assert_true(spin(r, all_received, &t));
        part(r, t);
    }
}

static bool b_and_tags(void *arg)
{
    struct two *t = arg;
    return t->b->ended && t->a->tag_back == t->a->next_tag;
}

static void empty_segments_come_back_in_their_turn(struct rig *r)
{
    struct two t = joined(r);
    t.b->regrant = 1000;
    node_grant(t.b, 1000);
    static const uint32_t lens[] = {0, 10, 0, 0, 4000, 0};
    for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
        node_send(t.a, lens[i]);
    node_finish(t.a);
    assert_true(spin(r, b_and_tags, &t));
    assert_int_equal(t.b->received, 4010);
    part(r, t);
}

static void sent_after_finish_is_released(struct rig *r)
{
    struct two t = joined(r);
    node_grant(t.b, 1000);
    node_send(t.a, 100);
    node_finish(t.a);
    node_send(t.a, 100);
    assert_true(spin(r, is_ended, t.b));
    spin_ms(r, 20);
    assert_int_equal(t.b->received, 100);
    assert_int_equal(t.a->tag_back, 1);
    part(r, t);
}

static void answer_before_a_reset_of_our_sending_is_still_read(struct rig *r)
{
    /* The peer answers, ends its direction and stops reading: what it said must not be lost to our failing
     * sends. */
    struct two t = joined(r);
    node_grant(t.a, 100000);
    t.b->to_send = 3000;
    t.b->finish_after = true;
    node_pump(t.b);
    t.a->to_send = 10 * BULK;
    node_pump(t.a);
    assert_true(spin(r, is_ended, t.a));
    assert_int_equal(t.a->received, 3000);
    part(r, t);
}

static bool watch_fired;
static void on_ready(struct watch *w, bool readable, bool writable)
{
    (void)writable;
    assert_int_equal(calling, 0);
    assert_ptr_equal(w->owner, current);
    assert_true(readable);
    watch_fired = true;
}

static bool has_fired(void *arg)
{
    (void)arg;
    return watch_fired;
}

static void watch_tells_readiness_once_or_is_not_supported(struct rig *r)
{
    int fds[2];
    struct watch w = {.owner = r, .ready = on_ready};
    struct engine *e = r->workers[0].engine;
    assert_int_equal(pipe(fds), 0);
    watch_fired = false;
    int rc = e->ops->watch(e, &w, fds[0], true, false);
    if (rc != -ENOTSUP) {
        assert_int_equal(rc, 0);
        spin_ms(r, 5);
        assert_false(watch_fired);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_true(spin(r, has_fired, NULL));
        watch_fired = false;
        spin_ms(r, 5);
        assert_false(watch_fired);
        assert_int_equal(e->ops->watch(e, &w, fds[0], true, false), 0);
        e->ops->unwatch(&w);
        spin_ms(r, 5);
        assert_false(watch_fired);
    }
    close(fds[0]);
    close(fds[1]);
}

/* -- threads: only where workers really sleep
 * ---------------------------------------------------------------- */

enum { SLEEP_NS = 1000000000 };

static _Atomic uint64_t posted_ns, heard_ns;

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void hear(struct worker *w, struct msg *msg)
{
    (void)msg;
    atomic_store(&heard_ns, monotonic_ns());
    worker_stop_any_thread(w);
}

static void sleep_and_listen(struct worker *w)
{
    while (!atomic_load(&w->stop))
        worker_turn(w, w->now_ns + SLEEP_NS);
}

static void post_when_sent(struct stream *s, struct seg seg)
{
    struct node *n = s->owner;
    struct msg msg = {.deliver = hear};
    worker_release_seg(n->worker, seg);
    atomic_store(&posted_ns, monotonic_ns());
    mailbox_post(n->worker, 1, &msg);
}

static void mail_posted_by_sent_does_not_wait_out_a_sleep(struct rig *r)
{
    if (!r->uring)
        return;
    static const struct stream_events events = {on_open, on_data, post_when_sent, on_end, on_closed};
    struct node *a = node_new(r, 0, 1, 2);
    struct worker *w = &r->workers[0];
    struct net_address elsewhere = r->address;
    struct listen_options o = {.address = r->address, .backlog = 1};
    net_address_set_port(&elsewhere, (uint16_t)(net_address_port(&r->address) + 10000));
    o.address = elsewhere;
    r->listener = (struct listener){.owner = r, .accepted = on_accepted};
    r->adopt_on = 0;
    struct node *b = r->next_accepted = node_new(r, 0, 2, 1);
    /* All of it on worker 0, so that worker 1 can be a thread that does nothing but sleep. */
    assert_int_equal(w->engine->ops->listen(w->engine, &r->listener, &o), 0);
    r->listening = true;
    r->address = elsewhere;
    node_dial(a);
    stream_bind(a->stream, &events, a);
    assert_int_equal(worker_start_thread(&r->workers[1], -1, sleep_and_listen), 0);
    for (int i = 0; i < 200; i++) /* until worker 1 sleeps and the connection is open */
        worker_turn(w, monotonic_ns() + 1000000);
    assert_int_equal(a->opened, 1);
    node_send(a, 1);
    worker_turn(w, monotonic_ns() + SLEEP_NS);
    pthread_join(r->workers[1].thread, NULL);
    assert_true(heard_ns - posted_ns < SLEEP_NS / 4);
    stream_abort(a->stream, ENDING_CANCELLED);
    stream_abort(b->stream, ENDING_CANCELLED);
    while (!a->closed || !b->closed)
        worker_turn(w, monotonic_ns() + 1000000);
    node_free(a);
    node_free(b);
}

/* -- runner -------------------------------------------------------------------------------------------------
 */

#define PROMISES(X)                                                                                          \
    X(bytes_arrive_once_and_in_order_both_ways)                                                              \
    X(what_is_sent_before_open_arrives)                                                                      \
    X(without_credit_nothing_is_delivered)                                                                   \
    X(stopped_reader_stops_its_sender)                                                                       \
    X(idle_connection_with_one_credit_tells_the_end)                                                         \
    X(directions_end_one_by_one)                                                                             \
    X(both_may_finish_at_once)                                                                               \
    X(reset_is_closed_and_never_end)                                                                         \
    X(abort_is_idempotent_and_first_reason_counts)                                                           \
    X(abort_in_an_event_is_the_last_but_closed)                                                              \
    X(abort_while_dialling_never_opens)                                                                      \
    X(abort_at_any_moment_loses_no_segment)                                                                  \
    X(nobody_listens_is_refused)                                                                             \
    X(refused_handle_ends_the_dialler)                                                                       \
    X(after_unlisten_nobody_is_accepted)                                                                     \
    X(used_address_is_not_given_twice)                                                                       \
    X(handle_is_adopted_on_either_worker)                                                                    \
    X(empty_segments_come_back_in_their_turn)                                                                \
    X(sent_after_finish_is_released)                                                                         \
    X(answer_before_a_reset_of_our_sending_is_still_read)                                                    \
    X(watch_tells_readiness_once_or_is_not_supported)                                                        \
    X(mail_posted_by_sent_does_not_wait_out_a_sleep)

static void run_sim(void (*promise)(struct rig *))
{
    for (uint64_t seed = 1; seed <= SIM_SEEDS; seed++) {
        struct rig *r = rig_new(false, seed);
        promise(r);
        rig_free(r);
    }
}

static void run_uring(void (*promise)(struct rig *))
{
    struct engine_probe probe;
    engine_uring_probe(&probe);
    if (!probe.usable) {
        print_message("no io_uring here: %s\n", probe.detail);
        skip();
    }
    for (uint64_t variant = 0; variant <= URING_WITHOUT_CAP; variant++) {
        struct rig *r = rig_new(true, variant);
        promise(r);
        rig_free(r);
    }
}

#define X(promise)                                                                                           \
    static void sim_##promise(void **state)                                                                  \
    {                                                                                                        \
        (void)state;                                                                                         \
        run_sim(promise);                                                                                    \
    }                                                                                                        \
    static void uring_##promise(void **state)                                                                \
    {                                                                                                        \
        (void)state;                                                                                         \
        run_uring(promise);                                                                                  \
    }
PROMISES(X)
#undef X

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(promise) cmocka_unit_test(sim_##promise), cmocka_unit_test(uring_##promise),
        PROMISES(X)
#undef X
    };
    return cmocka_run_group_tests_name("engine contract", tests, NULL, NULL);
}
