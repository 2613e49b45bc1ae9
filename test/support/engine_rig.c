/* test/support/engine_rig.c — see engine_rig.h. */
#include "test/support/engine_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/engine_sim.h"

int node_calling;
struct engine_rig *engine_rig_current;

static uint8_t byte_at(uint8_t salt, uint64_t at)
{
    return (uint8_t)((at * 2654435761u >> 7) + salt);
}

/* -- rig ----------------------------------------------------------------------------------------------------
 */

/* In place of a seed: as on kernels before 6.17, which do not know the receive's byte cap. */
enum { URING_WITHOUT_CAP = 1 };

static const struct socket_options socket_options = {.keepalive_ms = 7000, .user_timeout_ms = 21000};

static struct engine_rig *engine_rig_new(bool uring, uint64_t seed)
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
    struct engine_rig *r = calloc(1, sizeof(*r));
    struct engine_probe probe;
    r->uring = uring;
    engine_uring_probe(&probe);
    if (uring && seed == URING_WITHOUT_CAP)
        probe.byte_cap = false;
    assert_int_equal(mailboxes_new(RIG_WORKERS, 4, &r->mail), 0);
    if (!uring)
        assert_int_equal(sim_world_new(seed, &faults, &r->world), 0);
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        struct worker *w = r->peers[i] = &r->workers[i];
        assert_int_equal(worker_init(w, i, RIG_WORKERS, r->mail, &limits), 0);
        w->peers = r->peers;
        int rc = uring ? engine_uring_new(w, &probe, &w->engine) : engine_sim_new(r->world, w, &w->engine);
        assert_int_equal(rc, 0);
        w->engine->sockets = socket_options;
        worker_start_clock(w);
    }
    char host[32];
    unsigned pid = (unsigned)getpid();
    snprintf(host, sizeof(host), "127.77.%u.%u", pid >> 8 & 255, pid & 255);
    assert_true(net_address_parse(host, strlen(host), (uint16_t)(20000 + ports++ % 10000), &r->address));
    r->adopt_on = 1;
    engine_rig_current = r;
    return r;
}

void engine_rig_turn(struct engine_rig *r)
{
    if (!r->uring) {
        struct sim_net *n = sim_world_net(r->world);
        sim_world_run(r->world, sim_now_ns(n) + 1000000, NULL, NULL);
        return;
    }
    for (unsigned i = 0; i < RIG_WORKERS; i++)
        worker_turn(&r->workers[i], r->workers[i].engine->ops->now_ns(r->workers[i].engine) + 500000);
}

/* Turns until `done` holds; false when it takes too long. */
bool engine_rig_spin(struct engine_rig *r, bool (*done)(void *), void *arg)
{
    for (int i = 0; i < 40000; i++) {
        if (done(arg))
            return true;
        engine_rig_turn(r);
    }
    return done(arg);
}

void engine_rig_spin_ms(struct engine_rig *r, int ms)
{
    for (int i = 0; i < ms; i++)
        engine_rig_turn(r);
}

static void engine_rig_free(struct engine_rig *r)
{
    if (r->listening)
        r->listener.engine->ops->unlisten(&r->listener);
    engine_rig_spin_ms(r, 300); /* lent buffers travel home without waking anybody */
    for (unsigned i = 0; i < RIG_WORKERS; i++)
        assert_int_equal(atomic_load(&r->workers[i].counters.values[COUNTER_sockets]), 0);
    for (unsigned i = 0; i < RIG_WORKERS; i++)
        worker_fini(&r->workers[i]);
    mailboxes_free(&r->mail);
    sim_world_free(&r->world);
    free(r);
}

/* -- nodes --------------------------------------------------------------------------------------------------
 */

void node_grant(struct node *n, uint32_t bytes)
{
    n->granted += bytes;
    node_calling++;
    stream_grant(n->stream, bytes);
    node_calling--;
}

void node_finish(struct node *n)
{
    n->finished = true;
    node_calling++;
    stream_finish(n->stream);
    node_calling--;
}

void node_abort(struct node *n, enum ending reason)
{
    node_calling++;
    stream_abort(n->stream, reason);
    node_calling--;
}

void node_send(struct node *n, uint32_t len)
{
    struct buf *b = buf_get_bytes(&n->worker->bufs, len);
    assert_non_null(b);
    for (uint32_t i = 0; i < len; i++)
        b->mem[i] = byte_at(n->salt, n->sent + i);
    n->sent += len;
    node_calling++;
    stream_send(n->stream, (struct seg){b, b->mem, len, n->next_tag++});
    node_calling--;
}

/* Keeps a few segments under way until to_send is reached. */
void node_pump(struct node *n)
{
    while (n->sent < n->to_send && n->sent - n->returned < 4 * RIG_PIECE && !n->closed) {
        uint64_t left = n->to_send - n->sent;
        uint32_t piece = n->piece ? n->piece : RIG_PIECE;
        node_send(n, left < piece ? (uint32_t)left : piece);
    }
    if (n->finish_after && n->sent == n->to_send && !n->finished)
        node_finish(n);
}

static void check_event(const struct node *n)
{
    assert_int_equal(node_calling, 0);
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
    if (reason == ENDING_DONE) { /* both directions ended, and the kernel has taken our bytes */
        assert_int_equal(n->ended, 1);
        assert_true(n->finished);
        assert_int_equal(n->returned, n->sent);
    }
}

const struct stream_events node_events = {on_open, on_data, on_sent, on_end, on_closed};

struct node *node_new(struct engine_rig *r, unsigned worker, uint8_t salt, uint8_t peer_salt)
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

void node_free(struct node *n)
{
    if (n->stream) {
        assert_int_equal(n->closed, 1);
        stream_free(n->stream);
    }
    free(n);
}

void node_dial(struct node *n)
{
    struct engine *e = n->worker->engine;
    node_calling++;
    struct stream *s = e->ops->dial(e, &n->rig->address);
    node_calling--;
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

void engine_rig_accepted(struct listener *l, int handle, const struct net_peer *peer)
{
    struct engine_rig *r = l->owner;
    assert_int_equal(node_calling, 0);
    assert_int_equal(peer->address.sa.sa_family, r->address.sa.sa_family);
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

void engine_rig_listen(struct engine_rig *r)
{
    struct listen_options o = {.address = r->address,
                               .backlog = 64,
                               .unix_mode = r->unix_mode,
                               .unix_owner = (uid_t)-1,
                               .unix_group = (gid_t)-1};
    struct engine *e = r->workers[1].engine;
    r->listener = (struct listener){.owner = r, .accepted = engine_rig_accepted};
    assert_int_equal(e->ops->listen(e, &r->listener, &o), 0);
    r->listening = true;
}

/* -- conditions ---------------------------------------------------------------------------------------------
 */

bool two_closed(void *arg)
{
    struct two *t = arg;
    return t->a->closed && t->b->closed;
}

bool node_is_closed(void *arg)
{
    return ((struct node *)arg)->closed > 0;
}

bool node_is_ended(void *arg)
{
    const struct node *n = arg;
    return n->ended || n->closed;
}

bool two_joined(void *arg)
{
    struct two *t = arg;
    return t->a->opened && t->b->stream;
}

bool two_received(void *arg)
{
    struct two *t = arg;
    return t->a->received == t->b->to_send && t->b->received == t->a->to_send;
}

bool two_a_is_home(void *arg)
{
    struct two *t = arg;
    return t->a->returned == t->a->to_send && t->b->received == t->a->to_send;
}

struct two two_join(struct engine_rig *r)
{
    struct two t = {node_new(r, 0, 1, 2), node_new(r, 1, 2, 1)};
    if (!r->listening)
        engine_rig_listen(r);
    r->next_accepted = t.b;
    node_dial(t.a);
    assert_true(engine_rig_spin(r, two_joined, &t));
    return t;
}

void two_part(struct engine_rig *r, struct two t)
{
    if (!t.a->closed)
        node_abort(t.a, ENDING_CANCELLED);
    if (!t.b->closed)
        node_abort(t.b, ENDING_CANCELLED);
    assert_true(engine_rig_spin(r, two_closed, &t));
    engine_rig_spin_ms(r, 20); /* nothing more may be said */
    node_free(t.a);
    node_free(t.b);
}

/* -- promises -----------------------------------------------------------------------------------------------
 */

enum { SIM_SEEDS = 12 };

void engine_rig_sim(void (*promise)(struct engine_rig *))
{
    for (uint64_t seed = 1; seed <= SIM_SEEDS; seed++) {
        struct engine_rig *r = engine_rig_new(false, seed);
        promise(r);
        engine_rig_free(r);
    }
}

void engine_rig_uring(void (*promise)(struct engine_rig *))
{
    struct engine_probe probe;
    engine_uring_probe(&probe);
    if (!probe.usable) {
        print_message("no io_uring here: %s\n", probe.detail);
        skip();
    }
    for (uint64_t variant = 0; variant <= URING_WITHOUT_CAP; variant++) {
        struct engine_rig *r = engine_rig_new(true, variant);
        promise(r);
        engine_rig_free(r);
    }
}
