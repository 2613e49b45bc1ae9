/* test/sim/sim_case.c — see sim_case.h. */
#include "sim_case.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/front_http2.h"
#include "io/mailbox.h"
#include "io/tls/tls.h"
#include "io/worker.h"
#include "sim_crowd.h"

static const uint64_t run_max_ns = 3600000000000u; /* an hour of virtual time: nothing takes that long */
static const uint64_t hello_max_ns = 20000000000u;
static const uint64_t told_ns = 100000000u; /* for the workers that have not let the agents in themselves */
static const uint64_t drain_max_ns = 300000000000u;
static const uint64_t spares_ns = 100000000000u;   /* idle connections of the broker are not kept longer */
static const uint64_t homecoming_ns = 2000000000u; /* lent buffers travel without waking anybody */

/* -- workers ------------------------------------------------------------------------------------------------
 */

void sim_group_init(struct sim_group *g, struct sim_world *world, unsigned workers, uint32_t mailbox_entries,
                    const struct buf_limits *limits)
{
    g->count = workers;
    g->workers = calloc(workers, sizeof(*g->workers));
    g->peers = calloc(workers, sizeof(*g->peers));
    ASSERT(g->workers && g->peers && mailboxes_new(workers, mailbox_entries, &g->mail) == 0);
    for (unsigned i = 0; i < workers; i++) {
        struct worker *w = g->peers[i] = &g->workers[i];
        ASSERT(worker_init(w, i, workers, g->mail, limits) == 0);
        w->peers = g->peers;
        ASSERT(engine_sim_new(world, w, &w->engine) == 0);
        worker_start_clock(w);
    }
}

void sim_check_worker(struct sim_case *c, struct worker *w, uint32_t timers_max)
{
    uint64_t sockets = atomic_load(&w->counters.values[COUNTER_sockets]);
    if (sockets != 0)
        sim_violation(&c->ledger, 0, "worker %u has %" PRIu64 " sockets left", w->number, sockets);
    if (w->timers.armed > timers_max)
        sim_violation(&c->ledger, 0, "worker %u has %u timers left", w->number, w->timers.armed);
    for (int i = 0; i < BUF_CLASSES; i++)
        if (w->bufs.classes[i].used != 0)
            sim_violation(&c->ledger, 0, "worker %u misses %u buffers of class %d", w->number,
                          w->bufs.classes[i].used, i);
    if (mailbox_depth(w) != 0)
        sim_violation(&c->ledger, 0, "worker %u has %u messages left", w->number, mailbox_depth(w));
}

void sim_give_up_if_bad(struct sim_case *c)
{
    if (c->ledger.violations == 0)
        return;
    fflush(stdout);
    fprintf(stderr, "\nfailed: sim --app %s --seed %" PRIu64 "\n", c->app->name, c->plan.seed);
    sim_plan_print(&c->plan, stderr);
    exit(1);
}

void sim_group_fini(struct sim_case *c, struct sim_group *g)
{
    for (unsigned i = 0; i < g->count; i++)
        sim_check_worker(c, &g->workers[i], 0);
    sim_give_up_if_bad(c);
    for (unsigned i = 0; i < g->count; i++)
        worker_fini(&g->workers[i]);
    mailboxes_free(&g->mail);
    free(g->workers);
    free(g->peers);
    *g = (struct sim_group){0};
}

/* -- the case -----------------------------------------------------------------------------------------------
 */

static void address(struct net_address *a, unsigned net, unsigned n, uint16_t port)
{
    char host[32];
    snprintf(host, sizeof(host), "10.%u.0.%u", net, n);
    ASSERT(net_address_parse(host, strlen(host), port, a));
}

static enum sim_trust trust_of(const struct sim_plan *p, unsigned backend)
{
    if (!p->tls)
        return TRUST_PLAIN;
    unsigned kind = (unsigned)(p->seed * 31 + backend * 7) % 8;
    return kind == 0 ? TRUST_STRANGER : kind == 1 ? TRUST_MISNAMED : TRUST_GOOD;
}

static bool has_streams(const struct sim_case *c)
{
    return c->plan.stream_backends || c->plan.tls_clients;
}

static void start_backends(struct sim_case *c)
{
    static const struct buf_limits limits = {
        {8192, 1024, 4}
    };
    if (has_streams(c))
        sim_group_init(&c->backend_group, c->world, 1, 64, &limits);
    for (unsigned i = 0; i < c->plan.backends; i++) {
        struct sim_backend_options o = {.number = i,
                                        .address = c->targets[i],
                                        /* Those of upgrades are not counted, and look alike. */
                                        .conns_cap = c->plan.tunnellers + c->plan.agents > 0 ? 0
                                                                                             : c->conns_cap,
                                        .tunnels = &c->tunnels,
                                        .seen_max = c->seen_max,
                                        .idle_close = c->plan.idle_close,
                                        .idle_max_ns = 500000000};
        if (c->plan.stream_backends)
            o.engine = c->backend_group.workers[0].engine;
        o.trust = trust_of(&c->plan, i);
        c->backends[i] = sim_backend_new(c->net, &c->ledger, &o);
    }
}

static void start_clients(struct sim_case *c)
{
    for (unsigned i = 0; i < c->plan.clients; i++) {
        unsigned at = i % c->listen_count;
        bool own = c->app->profile == PROFILE_TRANSPARENT;
        c->clients[i] = sim_client_new(c->net, &c->ledger, &c->plan.habits, &c->listens[at],
                                       own ? &c->backends[at] : c->backends, own ? 1 : c->plan.backends);
    }
}

static void start_tunnellers(struct sim_case *c)
{
    const struct sim_plan *p = &c->plan;
    c->doors = sim_doors_new(&c->tunnels, p->backends, &p->tunnel_habits.scripts, p->warm_spares > 0);
    for (unsigned i = 0; i < p->tunnellers; i++) {
        bool tls = p->tls_clients && i % 3 == 0;
        c->tunnellers[i] = sim_tunneller_new(
            &(struct sim_tunneller_options){.book = &c->tunnels,
                                            .habits = &p->tunnel_habits,
                                            .promises = &c->promises,
                                            .doors = c->doors,
                                            .backends = c->backends,
                                            .backend_count = p->backends,
                                            .to = tls ? &c->tls_listen : &c->listens[0],
                                            .tls_engine = tls ? c->backend_group.workers[0].engine : NULL,
                                            .by_agent = p->agents > 0});
    }
}

/* What must hold after every turn of a worker. True: it does not. */
static bool step(struct sim_case *c)
{
    const struct sim_tunnel_promises *p = &c->promises;
    for (unsigned i = 0; i < c->plan.tunnellers; i++)
        if (c->tunnellers[i])
            sim_tunneller_check(c->tunnellers[i]);
    sim_crowd_check(c->crowd);
    sim_doors_check(c->doors, c->mux_promises.reset_told_ns > p->reset_told_ns ? c->mux_promises.reset_told_ns
                                                                               : p->reset_told_ns);
    for (unsigned i = 0; i < c->plan.backends; i++)
        sim_backend_check(c->backends[i], p->reset_told_ns, c->held_max);
    for (unsigned i = 0; i < c->plan.clients && c->plan.calm; i++)
        if (c->clients[i])
            sim_client_check(c->clients[i], c->held_max);
    if (c->app->step)
        c->app->step(c);
    return c->ledger.violations > 0;
}

static bool clients_done(void *arg)
{
    struct sim_case *c = arg;
    if (step(c))
        return true;
    for (unsigned i = 0; i < c->plan.clients; i++)
        if (!sim_client_is_done(c->clients[i]))
            return false;
    for (unsigned i = 0; i < c->plan.tunnellers; i++)
        if (!sim_tunneller_is_done(c->tunnellers[i]))
            return false;
    return sim_crowd_is_done(c->crowd);
}

static uint32_t far_ends(const struct sim_case *c)
{
    uint32_t n = sim_doors_guests(c->doors);
    for (unsigned i = 0; i < c->plan.backends; i++)
        n += sim_backend_tunnels(c->backends[i]);
    return n;
}

static bool far_ends_gone(void *arg)
{
    struct sim_case *c = arg;
    return step(c) || far_ends(c) == 0;
}

static bool app_is_empty(void *arg)
{
    struct sim_case *c = arg;
    return step(c) || c->app->is_empty(c);
}

static bool all_gone(void *arg)
{
    struct sim_case *c = arg;
    return c->app->is_empty(c) && sim_sockets(c->net) == 0 && sim_crowd_is_gone(c->crowd);
}

static bool agents_serve(void *arg)
{
    struct sim_case *c = arg;
    sim_crowd_check(c->crowd);
    c->app->step(c);
    return c->ledger.violations > 0 || sim_crowd_is_served(c->crowd);
}

static bool only_wait(void *arg)
{
    struct sim_case *c = arg;
    (void)agents_serve(c);
    return c->ledger.violations > 0;
}

static bool run_for(struct sim_case *c, uint64_t duration_ns, bool (*done)(void *))
{
    return sim_world_run(c->world, sim_now_ns(c->net) + duration_ns, done, c);
}

static void free_clients(struct sim_case *c)
{
    for (unsigned i = 0; i < c->plan.clients; i++)
        sim_client_free(&c->clients[i]);
    for (unsigned i = 0; i < c->plan.tunnellers; i++)
        sim_tunneller_free(&c->tunnellers[i]);
    sim_crowd_leave(c->crowd);
}

static void run_clients(struct sim_case *c)
{
    const struct sim_tunnel_promises *p = &c->promises;
    if (!run_for(c, run_max_ns, clients_done))
        sim_violation(&c->ledger, 0, "not all clients came to an end");
    free_clients(c);
    uint64_t limit_ns = p->reset_told_ns + c->plan.tunnel_habits.scripts.life_ns;
    if (!run_for(c, limit_ns + (c->plan.warm_spares ? spares_ns : 0), far_ends_gone))
        sim_violation(&c->ledger, 0, "after all clients had left %u far ends of tunnels stayed", far_ends(c));
}

/* The application is told to end while all are at work: it cuts what does not end in time, and is empty. */
static void run_into_drain(struct sim_case *c)
{
    run_for(c, c->plan.drains_after_ns, clients_done);
    c->tunnels.draining = true;
    c->app->drain(c);
    if (!run_for(c, c->promises.drained_ns, app_is_empty))
        sim_violation(&c->ledger, 0, "the application is not empty in time after it was told to end");
    free_clients(c);
}

static void run_drain(struct sim_case *c)
{
    c->app->drain(c);
    sim_crowd_rest(c->crowd);
    sim_doors_close(c->doors);
    for (unsigned i = 0; i < c->plan.backends; i++)
        sim_backend_close(c->backends[i]);
    if (!run_for(c, drain_max_ns, all_gone))
        sim_violation(&c->ledger, 0, "after all had left %u sockets stayed open", sim_sockets(c->net));
    run_for(c, homecoming_ns, NULL);
}

/* What the world owes in a seed in which nothing goes wrong by chance. */
static void judge_calm(struct sim_case *c, const struct sim_exchange *x)
{
    if (x->untrusted && x->outcome == OUTCOME_COMPLETE)
        sim_violation(&c->ledger, x->id, "was answered by a backend that cannot prove who it is");
    if (x->behind || x->disturbed || x->outcome == OUTCOME_COMPLETE ||
        (x->untrusted && x->outcome == OUTCOME_ERROR))
        return;
    bool transparent = c->app->profile == PROFILE_TRANSPARENT;
    bool excused = x->act >= ACT_FIRST_BAD;
    if (!excused)
        sim_violation(&c->ledger, x->id, "ended as %s in a calm world, status %u",
                      sim_outcome_name(x->outcome), x->status);
    /* A body that is cut takes the client's connection with it, and may take the head too. */
    bool may_be_cut = x->act == ACT_EARLY_CLOSE || (x->act >= ACT_CUT_BODY && x->act <= ACT_RESET_OPEN);
    bool unanswered = x->outcome == OUTCOME_LOST || x->outcome == OUTCOME_ABANDONED;
    if (excused && !transparent && unanswered && !may_be_cut)
        sim_violation(&c->ledger, x->id, "was neither answered nor failed with a reason");
}

static void judge(struct sim_case *c)
{
    for (uint32_t id = 1; id <= c->ledger.count; id++) {
        const struct sim_exchange *x = sim_ledger_find(&c->ledger, id);
        if (x->outcome == OUTCOME_PENDING)
            sim_violation(&c->ledger, id, "never ended");
        else if (c->plan.calm)
            judge_calm(c, x);
        if (x->request_at_backend > x->request_len || x->answer_at_client > x->answer_len) {
            if (x->outcome == OUTCOME_COMPLETE)
                sim_violation(&c->ledger, id, "more came than was sent");
        }
    }
    sim_tunnel_judge(&c->tunnels);
}

static void make_world(struct sim_case *c, FILE *trace)
{
    bool transparent = c->app->profile == PROFILE_TRANSPARENT;
    ASSERT(sim_world_new(c->plan.seed, &c->plan.faults, &c->world) == 0);
    c->net = sim_world_net(c->world);
    c->tunnels = (struct sim_tunnels){
        .net = c->net, .ledger = &c->ledger, .calm = c->plan.calm, .plain_ends = c->plan.plain_ends};
    sim_trace_to(c->net, trace);
    c->listen_count = transparent ? c->plan.backends : 1;
    for (unsigned i = 0; i < c->plan.backends; i++) {
        address(&c->targets[i], 0, i + 1, 10250);
        address(&c->listens[i], 1, i + 1, 8080);
    }
    if (!transparent)
        ASSERT(net_address_parse("127.0.0.1", 9, 8080, &c->listens[0]));
    ASSERT(net_address_parse("127.0.0.1", 9, 8443, &c->tls_listen));
    ASSERT(net_address_parse("127.0.0.1", 9, 8132, &c->agents_listen));
}

static void end_world(struct sim_case *c)
{
    c->app->free(c);
    sim_crowd_free(&c->crowd);
    sim_doors_free(&c->doors);
    for (unsigned i = 0; i < c->plan.backends; i++)
        sim_backend_free(&c->backends[i]);
    if (has_streams(c))
        sim_group_fini(c, &c->backend_group);
    c->trace_hash = sim_trace_hash(c->net);
    sim_world_free(&c->world);
    c->net = NULL;
    free(c->ledger.exchanges);
    c->ledger.exchanges = NULL;
    sim_tunnels_fini(&c->tunnels);
}

bool sim_case_run(const struct sim_app *app, uint64_t seed, FILE *trace, struct sim_case *ret)
{
    struct sim_case *c = ret;
    *c = (struct sim_case){.app = app, .tracing = trace != NULL};
    c->seen_max = app->profile == PROFILE_TRANSPARENT ? 1 : 2;
    sim_plan_make(seed, app->profile, &c->plan);
    make_world(c, trace);
    c->app_state = app->start(c);
    /* What waits in the network, in TLS and in a backend is under way, too; heads and framing are a few
     * bytes. */
    c->held_max = c->promises.held_max + c->plan.faults.window_max + (c->plan.tls ? TLS_OUT_MAX : 0) +
                  2 * SIM_INPUT_MAX + 8192 + (c->plan.h2_clients ? HTTP2_UNSENT_MAX : 0);
    start_backends(c);
    c->crowd = sim_crowd_new(c);
    if (c->plan.agents > 0) {
        if (!run_for(c, hello_max_ns, agents_serve) && c->plan.calm)
            sim_violation(&c->ledger, 0, "not all agents were let in");
        run_for(c, told_ns, only_wait);
    }
    start_clients(c);
    start_tunnellers(c);
    sim_crowd_start(c->crowd);
    if (c->plan.drains_after_ns > 0)
        run_into_drain(c);
    else
        run_clients(c);
    run_drain(c);
    if (c->ledger.violations == 0)
        judge(c);
    end_world(c);
    return c->ledger.violations == 0;
}
