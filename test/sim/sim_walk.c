/* test/sim/sim_walk.c — see sim_walk.h. */
#include "sim_walk.h"

#include <inttypes.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/callers.h"
#include "broker/config/config.h"
#include "broker/egress.h"
#include "broker/front.h"
#include "sim_case.h"

struct found {
    uint64_t fronts, requests, tunnels, egresses;
    uint64_t held; /* tunnels that count against their callers, also when these have left in peace */
};

static void compare(struct sim_case *c, const struct worker *w, enum counter gauge, const char *what,
                    uint64_t found)
{
    uint64_t counted = atomic_load_explicit(&w->counters.values[gauge], memory_order_relaxed);
    if (counted != found)
        sim_violation(&c->ledger, 0, "worker %u counts %" PRIu64 " %s, a walk finds %" PRIu64, w->number,
                      counted, what, found);
}

static void budget(struct sim_case *c, const char *what, uint64_t bytes)
{
    if (bytes > c->plan.budget)
        sim_violation(&c->ledger, 0, "%s: %" PRIu64 " bytes, %u are allowed", what, bytes, c->plan.budget);
}

static void walk_fronts(struct sim_case *c, const struct broker_worker *bw, struct found *found)
{
    list_each_safe(node, tmp, (struct list *)&bw->fronts)
    {
        const struct front_conn *f = list_entry(node, struct front_conn, node);
        budget(c, "received from a client and not passed on",
               f->pending.bytes + f->head_len + (f->exchange ? (uint64_t)f->exchange->uncredited : 0));
        found->fronts++;
    }
    list_each_safe(node, tmp, (struct list *)&bw->agent_fronts) found->fronts++;
}

static void walk_exchanges(const struct broker_worker *bw, struct found *found)
{
    list_each_safe(node, tmp, (struct list *)&bw->exchanges_open)
    {
        const struct exchange *ex = list_entry(node, struct exchange, node);
        if (ex->conn && ex->form == EXCHANGE_REQUEST)
            found->requests++;
        else if (ex->conn)
            found->tunnels++;
        if (ex->form != EXCHANGE_REQUEST && (ex->conn || ex->counted))
            found->held++;
    }
}

static void walk_egress(struct sim_case *c, const struct broker_worker *bw, struct found *found)
{
    for (unsigned sender = 0; sender < bw->broker->count; sender++) {
        const struct egress_table *t = &bw->by_sender[sender];
        for (uint32_t i = 0; i < t->count; i++) {
            const struct egress *e = t->slots[i];
            if (!e)
                continue;
            budget(c, "of a request, waiting for a connection", e->early.bytes);
            if (!e->closed) /* else whatever it says is thrown away */
                budget(c, "that a destination may still send", e->credit);
            if (e->form == EXCHANGE_CONNECT && e->open_seg.buf)
                sim_violation(&c->ledger, 0, "a tunnel's egress half keeps the buffer that opened it");
            found->egresses++;
        }
    }
}

static void walk_worker(struct sim_case *c, const struct broker_worker *bw, struct found *sum)
{
    struct found found = {0};
    walk_fronts(c, bw, &found);
    walk_exchanges(bw, &found);
    walk_egress(c, bw, &found);
    compare(c, bw->worker, COUNTER_front_connections, "connections of clients", found.fronts);
    compare(c, bw->worker, COUNTER_requests_active, "requests in flight", found.requests);
    compare(c, bw->worker, COUNTER_tunnels_active, "tunnels", found.tunnels);
    if (found.egresses != bw->egresses.used)
        sim_violation(&c->ledger, 0, "worker %u has %u egress halves, a walk finds %" PRIu64,
                      bw->worker->number, bw->egresses.used, found.egresses);
    sum->requests += found.requests;
    sum->tunnels += found.tunnels;
    sum->held += found.held;
}

void sim_walk(struct sim_case *c, const struct broker *b)
{
    struct found sum = {0};
    for (unsigned i = 0; i < b->count; i++)
        walk_worker(c, &b->states[i], &sum);
    sim_walk_calls(c, b);
    if (sum.requests > b->config->limits.requests_in_flight_max || sum.held > b->config->limits.tunnels_max)
        sim_violation(&c->ledger, 0, "%" PRIu64 " requests and %" PRIu64 " tunnels are beyond the limits",
                      sum.requests, sum.held);
    if (callers_held_any_thread(b->callers, CALLER_REQUEST) != sum.requests ||
        callers_held_any_thread(b->callers, CALLER_TUNNEL) != sum.held)
        sim_violation(&c->ledger, 0, "callers hold %u requests and %u tunnels, a walk finds others",
                      callers_held_any_thread(b->callers, CALLER_REQUEST),
                      callers_held_any_thread(b->callers, CALLER_TUNNEL));
}
