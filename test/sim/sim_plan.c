/* test/sim/sim_plan.c — see sim_plan.h. The numbers are frank guesses that keep a seed below half a second.
 */
#include "sim_plan.h"

#include <inttypes.h>
#include <string.h>

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *d, uint64_t lowest, uint64_t highest)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = d->state ^ (d->state >> 29);
    return lowest + (x * 0x9e3779b97f4a7c15u >> 20) % (highest - lowest + 1);
}

/* A chance that is off in half of the seeds. */
static uint32_t trouble(struct dice *d, uint32_t most)
{
    return roll(d, 0, 1) ? (uint32_t)roll(d, 1, most) : 0;
}

static void make_faults(struct dice *d, bool calm, struct sim_faults *f)
{
    static const uint64_t delays_ns[] = {0, 200000, 3000000, 40000000};
    /* These disturb nothing that is promised, so the calm seeds have them too. */
    f->short_read = trouble(d, 600);
    f->short_write = trouble(d, 600);
    f->no_buffer = trouble(d, 200);
    f->late_sent = trouble(d, 300);
    f->worker_held = trouble(d, 30);
    f->wake_spurious = trouble(d, 100);
    f->delay_max_ns = delays_ns[roll(d, 0, 3)];
    f->dial_delay_max_ns = delays_ns[roll(d, 0, 3)];
    f->wake_delay_max_ns = delays_ns[roll(d, 0, 2)];
    f->held_max_ns = roll(d, 1, 100) * 1000000;
    f->window_min = (uint32_t)roll(d, 64, 8000);
    f->window_max = f->window_min + (uint32_t)roll(d, 0, 200000);
    if (calm)
        return;
    f->dial_refused = trouble(d, 60);
    f->dial_unreachable = trouble(d, 30);
    f->dial_hangs = trouble(d, 20);
    f->conn_reset = trouble(d, 150);
    f->conn_blackhole = trouble(d, 60);
    f->fault_within_ns = roll(d, 1, 1000) * 1000000;
}

static void make_habits(struct dice *d, bool calm, bool transparent, struct sim_habits *h)
{
    h->exchanges = (unsigned)roll(d, 1, 14);
    h->pipeline = roll(d, 0, 1) ? 1 : (unsigned)roll(d, 2, 6);
    h->request_max = (uint32_t)(1u << roll(d, 4, 17));
    h->answer_max = (uint32_t)(1u << roll(d, 4, 18));
    if (roll(d, 0, 7) == 0) { /* beyond every budget on the way */
        h->exchanges = h->exchanges % 3 + 1;
        h->request_max = h->answer_max = 1500000;
    }
    h->think_max_ns = roll(d, 0, 200) * 1000000;
    h->backend_think_max_ns = roll(d, 0, 100) * 1000000;
    h->slow_writes = trouble(d, 300);
    h->bad_acts = trouble(d, 250);
    h->never_acts = trouble(d, 30);
    h->closing_acts = trouble(d, 300);
    if (transparent && h->pipeline > 1)
        /* Nobody keeps a backend's closing away from the answers before it and the requests behind it. */
        h->bad_acts = h->never_acts = h->closing_acts = 0;
    h->half_closes = transparent ? trouble(d, 300) : 0;
    h->patience_ns = transparent ? 600000000000u : 150000000000u;
    h->answer_is_owed = !transparent;
    h->keep_alive_is_owed = !transparent && calm;
    h->transparent = transparent;
    if (calm)
        return;
    h->leaves = trouble(d, 300);
    h->stops_reading = trouble(d, 60);
    h->stops_for_good = trouble(d, 300);
}

/* What passes a window of the network in some minutes. */
static uint32_t passes(const struct sim_faults *f)
{
    uint64_t windows = 200000000000u / (2 * f->delay_max_ns + 1000000);
    return windows * f->window_min < 1500000 ? (uint32_t)(windows * f->window_min) : 1500000;
}

static void make_scripts(struct dice *d, bool calm, const struct sim_faults *f, struct sim_script_habits *s)
{
    s->len_max = (uint32_t)(1u << roll(d, 5, 18));
    if (roll(d, 0, 7) == 0)
        s->len_max = 1500000; /* beyond every budget on the way */
    if (s->len_max > passes(f))
        s->len_max = passes(f);
    s->echoes = (uint32_t)roll(d, 0, 500);
    s->waits = (uint32_t)roll(d, 0, 500);
    s->pauses = trouble(d, 300);
    s->breaks = trouble(d, 200);
    s->stops = trouble(d, 200);
    s->stops_for_good = calm ? 0 : trouble(d, 300);
    s->stop_max_ns = (roll(d, 0, 3) == 0 ? 80 : roll(d, 1, 5)) * 1000000000u;
    s->life_ns = (calm ? 1000 : 120) * 1000000000ull;
}

static void make_tunnels(struct dice *d, struct sim_plan *p)
{
    struct sim_tunnel_habits *h = &p->tunnel_habits;
    h->tunnels = (unsigned)roll(d, 1, 8);
    h->upgrades = (uint32_t)roll(d, 0, 2) * 500;
    h->shared = (uint32_t)roll(d, 0, 700);
    h->bad_doors = trouble(d, 300);
    h->ordinary = trouble(d, 400);
    h->bad_answers = trouble(d, 300);
    h->early = trouble(d, 600);
    h->early_ends = trouble(d, 500);
    h->answer_early = trouble(d, 600);
    h->leads = trouble(d, 400);
    h->leaves = trouble(d, 200);
    h->leave_max_ns = roll(d, 0, 3) * 30000000u;
    h->slow_writes = trouble(d, 200);
    h->think_max_ns = roll(d, 0, 200) * 1000000u;
    h->backend_think_max_ns = roll(d, 0, 100) * 1000000u;
    make_scripts(d, p->calm, &p->faults, &h->scripts);
    p->tls_clients = roll(d, 0, 4) == 0;
    p->answer_ms = (uint32_t)roll(d, 1, 19) * 500;
    p->hold_ms = (uint32_t)roll(d, 0, 20);
    p->warm_spares = roll(d, 0, 2) == 0 ? (uint32_t)roll(d, 1, 2) : 0;
    if (!p->calm && roll(d, 0, 7) == 0)
        p->idle_ms = (uint32_t)roll(d, 100, 5000);
    unsigned clients = p->tunnellers + 4 * (p->frontends + p->h2_clients);
    p->tunnels_max = p->calm ? 1000 : (uint32_t)roll(d, 1, clients * 2);
}

static void make_h2(struct dice *d, struct sim_h2_habits *h)
{
    h->window = roll(d, 0, 1) ? 65535 : (uint32_t)roll(d, 4096, 300000);
    h->late = trouble(d, 500);
    h->late_max_ns = roll(d, 1, 300) * 1000000u;
    h->pings = trouble(d, 50);
    h->stalls = trouble(d, 10);
    h->stall_max_ns = roll(d, 1, 2000) * 1000000u;
}

/* In a third of the seeds readers stop on connections that carry more than an agent's window has room for. */
static void make_tight(struct dice *d, struct sim_plan *p)
{
    struct sim_script_habits *s = &p->tunnel_habits.scripts;
    if (roll(d, 0, 2) > 0)
        return;
    p->budget = 65536;
    p->agents = 1;
    p->frontends = (unsigned)roll(d, 1, 3);
    p->frontend_habits.dials = (unsigned)roll(d, 4, 8);
    p->frontend_habits.at_once = (unsigned)roll(d, 4, 8);
    s->len_max = passes(&p->faults);
    s->full = 600;
    s->stops = 350;
    s->stop_max_ns = 80000000000u;
}

static void make_agents(struct dice *d, struct sim_plan *p)
{
    struct sim_agent_habits *h = &p->agent_habits;
    p->workers = (unsigned)roll(d, 2, 3);
    p->agents = (unsigned)roll(d, 1, SIM_AGENTS_MAX);
    p->dial_ms = p->calm ? 10000 : (uint32_t)roll(d, 1000, 10000);
    p->pending_dials_max = p->calm ? 1000 : (uint32_t)roll(d, 1, 60);
    p->habits.bad_acts = 0; /* to most of these an agent's connection has but one end */
    h->lag_max_ns = roll(d, 0, 100) * 1000000u;
    h->same_ids = trouble(d, 700);
    make_h2(d, &h->h2);
    h->h2.window = h->h2.window < 65535 ? 65535 : h->h2.window; /* grpc-go's */
    p->plain_ends = roll(d, 0, 1);
    if (p->calm) {
        h->h2.stalls = 0; /* dials through it are owed an answer */
        return;
    }
    if (p->plain_ends)
        p->habits.closing_acts = 0; /* a body that ends with its connection may be cut by chance */
    h->dial_mischiefs = trouble(d, 300);
    h->mischiefs = trouble(d, 700);
    h->mischief_max_ns = roll(d, 1, 50) * 100000000u;
    h->bad_hellos = trouble(d, 100);
    if (roll(d, 0, 2) == 0)
        h->lag_max_ns = roll(d, 0, 8000) * 1000000u;
}

/* Clients that do many things on one connection. What waits in the network before a reset, or an answer, is
 * not told apart from what a slow broker has not read, so the network is wide. */
static void make_crowd(struct dice *d, enum sim_profile profile, struct sim_plan *p)
{
    struct sim_h2_client_habits *h = &p->h2_habits;
    struct sim_frontend_habits *f = &p->frontend_habits;
    p->clients = (unsigned)roll(d, 0, 3);
    p->tunnellers = (unsigned)roll(d, 0, 3);
    p->h2_clients = (unsigned)(profile == PROFILE_HTTP2 ? roll(d, 1, SIM_H2_CLIENTS_MAX) : roll(d, 0, 1));
    p->frontends = profile >= PROFILE_FRONTENDS ? (unsigned)roll(d, 1, SIM_FRONTENDS_MAX) : 0;
    p->tls = false; /* whatever these do is repeatable */
    p->faults.window_min += 16384;
    p->faults.window_max += 16384;
    h->asks = (unsigned)roll(d, 1, 30);
    h->at_once = (unsigned)roll(d, 1, 12);
    h->tunnels = (uint32_t)roll(d, 0, 2) * 300;
    h->resets = trouble(d, 200);
    h->leave_max_ns = roll(d, 1, 20) * 100000000u;
    f->dials = (unsigned)roll(d, 1, 12);
    f->at_once = (unsigned)roll(d, 1, 8);
    f->leave_max_ns = roll(d, 1, 20) * 100000000u;
    make_h2(d, &h->h2);
    make_h2(d, &f->h2);
    if (profile == PROFILE_AGENTS)
        make_agents(d, p);
    if (p->calm)
        return;
    h->leaves = trouble(d, 300);
    f->leaves = trouble(d, 300);
}

void sim_plan_make(uint64_t seed, enum sim_profile profile, struct sim_plan *ret)
{
    static const uint32_t entries[] = {4, 4, 16, 256};
    bool transparent = profile == PROFILE_TRANSPARENT;
    struct dice d = {seed * 0xd1342543de82ef95u + 7};
    memset(ret, 0, sizeof(*ret));
    ret->seed = seed;
    ret->calm = seed % 5 == 0;
    ret->workers = (unsigned)roll(&d, 1, 4);
    ret->mailbox_entries = entries[roll(&d, 0, 3)];
    ret->backends = (unsigned)roll(&d, 1, SIM_BACKENDS_MAX);
    ret->clients = (unsigned)roll(&d, 1, SIM_CLIENTS_MAX);
    ret->stream_backends = roll(&d, 0, 3) == 0;
    if (!transparent && roll(&d, 0, 2) == 0)
        ret->tls = ret->stream_backends = true;
    ret->idle_close = ret->calm ? 0 : trouble(&d, 300);
    ret->conns_cap = ret->calm ? 64 : (uint32_t)roll(&d, 1, 16);
    make_faults(&d, ret->calm, &ret->faults);
    make_habits(&d, ret->calm, transparent, &ret->habits);
    ret->budget = roll(&d, 0, 1) ? 262144 : (uint32_t)roll(&d, 65536, 400000);
    if (profile >= PROFILE_HTTP2)
        make_crowd(&d, profile, ret);
    if (profile == PROFILE_TUNNELS)
        ret->clients = (unsigned)roll(&d, 0, 4);
    if (profile == PROFILE_TUNNELS)
        ret->tunnellers = (unsigned)roll(&d, 1, SIM_TUNNELLERS_MAX);
    else if (profile == PROFILE_EXCHANGES && roll(&d, 0, 1))
        ret->tunnellers = (unsigned)roll(&d, 1, 6);
    if (ret->tunnellers + ret->h2_clients + ret->frontends == 0)
        return;
    make_tunnels(&d, ret);
    ret->tls_clients &= profile <= PROFILE_TUNNELS;
    if (ret->agents > 0) {
        ret->warm_spares = 0;
        ret->answer_ms = ret->answer_ms < 3000 ? 3000 : ret->answer_ms;
        make_tight(&d, ret);
    }
    if (profile >= PROFILE_TUNNELS && !ret->calm && roll(&d, 0, 3) == 0) {
        ret->drains_after_ns = roll(&d, 1, 3000) * 1000000u;
        ret->tunnel_habits.scripts.stops = ret->tunnel_habits.scripts.stops_for_good = 300;
    }
}

static void print_tunnels(const struct sim_plan *p, FILE *f)
{
    const struct sim_tunnel_habits *h = &p->tunnel_habits;
    const struct sim_script_habits *s = &h->scripts;
    fprintf(f,
            "  tunnels: %u clients%s of %u, at most %u at a time, answer %u ms, hold %u ms, idle %u ms, "
            "spares %u, drains after %.3f s\n"
            "  habits: upgrades %u shared %u bad_doors %u ordinary %u bad_answers %u early %u early_ends %u "
            "answer_early %u leads %u leaves %u within %.0f ms slow_writes %u\n"
            "  scripts: len<=%u full %u echoes %u waits %u pauses %u breaks %u stops %u for_good %u within "
            "%.0f s\n",
            p->tunnellers, p->tls_clients ? " (some over TLS)" : "", h->tunnels, p->tunnels_max, p->answer_ms,
            p->hold_ms, p->idle_ms, p->warm_spares, (double)p->drains_after_ns / 1e9, h->upgrades, h->shared,
            h->bad_doors, h->ordinary, h->bad_answers, h->early, h->early_ends, h->answer_early, h->leads,
            h->leaves, (double)h->leave_max_ns / 1e6, h->slow_writes, s->len_max, s->full, s->echoes,
            s->waits, s->pauses, s->breaks, s->stops, s->stops_for_good, (double)s->stop_max_ns / 1e9);
}

static void print_h2(const struct sim_h2_habits *h, FILE *f)
{
    fprintf(f, " window %u late %u within %.0f ms pings %u stalls %u within %.0f ms\n", h->window, h->late,
            (double)h->late_max_ns / 1e6, h->pings, h->stalls, (double)h->stall_max_ns / 1e6);
}

static void print_crowd(const struct sim_plan *p, FILE *f)
{
    const struct sim_h2_client_habits *h = &p->h2_habits;
    const struct sim_frontend_habits *k = &p->frontend_habits;
    fprintf(f, "  http2: %u clients of %u asks, %u at once, tunnels %u resets %u leaves %u within %.0f ms,",
            p->h2_clients, h->asks, h->at_once, h->tunnels, h->resets, h->leaves,
            (double)h->leave_max_ns / 1e6);
    print_h2(&h->h2, f);
    fprintf(f, "  frontends: %u of %u dials, %u at once, leaves %u within %.0f ms,", p->frontends, k->dials,
            k->at_once, k->leaves, (double)k->leave_max_ns / 1e6);
    print_h2(&k->h2, f);
    if (p->agents == 0)
        return;
    const struct sim_agent_habits *a = &p->agent_habits;
    fprintf(
        f,
        "  agents: %u%s, dials %u ms, at most %u pending; lag %.0f ms, mischief of a dial %u, of a stream %u "
        "within %.0f ms, same names %u, bad metadata %u,",
        p->agents, p->plain_ends ? " that tell resets as ends" : "", p->dial_ms, p->pending_dials_max,
        (double)a->lag_max_ns / 1e6, a->dial_mischiefs, a->mischiefs, (double)a->mischief_max_ns / 1e6,
        a->same_ids, a->bad_hellos);
    print_h2(&a->h2, f);
}

void sim_plan_print(const struct sim_plan *p, FILE *f)
{
    const struct sim_faults *x = &p->faults;
    const struct sim_habits *h = &p->habits;
    fprintf(f, "  seed %" PRIu64 "%s: %u workers, mailboxes of %u, %u clients, %u backends%s\n", p->seed,
            p->calm ? " (calm)" : "", p->workers, p->mailbox_entries, p->clients, p->backends,
            p->tls               ? " with TLS"
            : p->stream_backends ? " on streams"
                                 : "");
    fprintf(
        f,
        "  faults: refused %u unreachable %u hangs %u reset %u blackhole %u short_read %u short_write %u "
        "no_buffer %u late_sent %u held %u spurious %u delay %.1fms dial %.1fms wake %.1fms window %u..%u\n",
        x->dial_refused, x->dial_unreachable, x->dial_hangs, x->conn_reset, x->conn_blackhole, x->short_read,
        x->short_write, x->no_buffer, x->late_sent, x->worker_held, x->wake_spurious,
        (double)x->delay_max_ns / 1e6, (double)x->dial_delay_max_ns / 1e6, (double)x->wake_delay_max_ns / 1e6,
        x->window_min, x->window_max);
    fprintf(f,
            "  habits: exchanges %u pipeline %u request<=%u answer<=%u bad %u closing %u never %u leaves %u "
            "stops "
            "%u for_good %u slow_writes %u half_closes %u idle_close %u cap %u "
            "budget %u\n",
            h->exchanges, h->pipeline, h->request_max, h->answer_max, h->bad_acts, h->closing_acts,
            h->never_acts, h->leaves, h->stops_reading, h->stops_for_good, h->slow_writes, h->half_closes,
            p->idle_close, p->conns_cap, p->budget);
    if (p->tunnels_max > 0)
        print_tunnels(p, f);
    if (p->h2_clients + p->frontends > 0)
        print_crowd(p, f);
}
