/* io/engine_sim.c — see engine_sim.h.
 *
 * Two nouns: the engine of one worker (listeners, arrivals, wake-ups, its turn; the streams are
 * sim_stream.c's) and the world, which stands for the scheduler. What a kernel leaves open is decided by
 * chance: who runs next and for how long not, when a wake-up is felt, what a turn costs.
 */
#include "io/engine_sim.h"

#include <errno.h>
#include <stdlib.h>

#include "io/mailbox.h"
#include "io/sim_stream.h"
#include "io/worker.h"

enum {
    TURN_MIN_NS = 500, /* what a turn costs in virtual time */
    TURN_MAX_NS = 20000,
};

struct sim_engine {
    struct engine engine;
    struct sim_world *world;
    struct sim_net *net;
    struct list node; /* world's engines */
    struct list arrivals;
    struct sim_streams streams;
    struct sim_event wake_event, held_event;
    void (*turn)(struct worker *, uint64_t wait_limit_ns);
    uint64_t sleep_until_ns;
    bool asleep, held;
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
    return sim_stream_new(&se->streams, sim_sock_of(se->net, handle), true);
}

static struct stream *sim_engine_dial(struct engine *e, const struct net_address *to)
{
    struct sim_engine *se = sim_of(e);
    struct sim_sock *sock = sim_connect(se->net, to, NULL);
    return sock ? sim_stream_new(&se->streams, sock, false) : NULL;
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
    ASSERT(list_empty(&se->arrivals));
    sim_streams_fini(&se->streams);
    sim_event_cancel(se->net, &se->wake_event);
    sim_event_cancel(se->net, &se->held_event);
    list_remove(&se->node);
    free(se);
}

static void deliver_arrivals(struct sim_engine *e)
{
    struct list *node;
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
    return sim_streams_have_work(&e->streams) || !list_empty(&e->arrivals);
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
    sim_streams_turn(&e->streams);
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
    list_init(&e->arrivals);
    e->wake_event.fire = on_wake;
    e->held_event.fire = on_held_end;
    sim_streams_init(&e->streams, e->net, w, &world->stream_ids);
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
