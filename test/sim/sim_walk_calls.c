/* test/sim/sim_walk_calls.c — the part of a walk that is about connections with many streams: what HTTP/2
 * clients, Konnectivity's frontends and its agents make the broker hold, against their bounds and gauges.
 */
#include <inttypes.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/agent_call.h"
#include "broker/konnectivity/agents_index.h"
#include "broker/konnectivity/proxy.h"
#include "sim_case.h"
#include "sim_walk.h"

enum { FRAME_MAX = 16384 + 9 };

static void bound(struct sim_case *c, const char *what, uint64_t found, uint64_t most)
{
    if (found > most)
        sim_violation(&c->ledger, 0, "%s: %" PRIu64 ", at most %" PRIu64 " are allowed", what, found, most);
}

static void same(struct sim_case *c, const char *what, uint64_t counted, uint64_t found)
{
    if (counted != found)
        sim_violation(&c->ledger, 0, "%s: %" PRIu64 " are counted, a walk finds %" PRIu64, what, counted,
                      found);
}

/* -- HTTP/2, and what frontends dialled ---------------------------------------------------------------------
 */

static void walk_proxy_stream(struct sim_case *c, const struct proxy_stream *p, uint32_t budget)
{
    uint64_t spilt = 0, queued = p->data.bytes;
    uint32_t tunnels = 0;
    list_each_safe(node, tmp, (struct list *)&p->tunnels)
    {
        const struct proxy_tunnel *t = list_entry(node, struct proxy_tunnel, node);
        bound(c, "given to a frontend's tunnel, and not taken", t->given, budget);
        bound(c, "queued for a frontend's tunnel", t->queue.bytes, budget);
        spilt += t->spill.bytes;
        queued += t->queue.bytes;
        tunnels++;
    }
    same(c, "tunnels of a frontend", p->tunnel_count, tunnels);
    same(c, "bytes spilt", p->spilt, spilt);
    same(c, "bytes queued for a frontend", p->call.held, queued);
    bound(c, "owed to a frontend's window", p->call.owed, budget);
}

/* Uncredited bytes of streams, and the queues. */
static void walk_http2(struct sim_case *c, const struct front_http2 *h, uint32_t budget, bool agent)
{
    uint64_t out = 0;
    uint32_t streams = 0;
    list_each_safe(node, tmp, (struct list *)&h->streams)
    {
        const struct http2_stream *s = list_entry(node, struct http2_stream, node);
        bound(c, "received on a stream, and not passed on", s->uncredited, budget);
        bound(c, "queued on a stream", s->queue.bytes, budget + FRAME_MAX); /* or a text of our own */
        out += s->queue.bytes + (s->call ? s->call->held : 0);
        streams += s->state != HTTP2_CLOSED;
        if (s->call && !agent)
            walk_proxy_stream(c, proxy_stream_of(s->call), budget);
    }
    same(c, "streams of a client", h->stream_count, streams);
    same(c, "bytes that wait in a client's streams", h->held_out, out);
    bound(c, "given to a client's connection, and not taken", h->unsent, HTTP2_UNSENT_MAX + FRAME_MAX);
    bound(c, "received from a client, and not passed on", h->held_in, HTTP2_HELD_MAX + HTTP2_WINDOW);
    bound(c, "memory of a client's session", h->memory.used, h->memory.max);
}

static void walk_connections(struct sim_case *c, const struct broker_worker *bw, const struct list *fronts,
                             bool agents)
{
    list_each_safe(node, tmp, (struct list *)fronts)
    {
        const struct front_conn *f = list_entry(node, struct front_conn, node);
        if (f->http2)
            walk_http2(c, f->http2, bw->budget, agents);
    }
}

/* -- agents -------------------------------------------------------------------------------------------------
 */

struct agents_found {
    uint64_t conns, pending, waiting, established, serving; /* pending: and nobody may wait for it any more */
};

static void walk_far_half(struct sim_case *c, const struct agent_conn *f, struct agents_found *found)
{
    const struct config_agents *config = agent_config(f->agent);
    bool pending = f->state == AGENT_CONN_ASKED || f->state == AGENT_CONN_DIALLING ||
                   f->state == AGENT_CONN_LATE;
    found->conns++;
    found->pending += pending;
    found->waiting += f->near && f->opened_ns == 0;
    found->established += f->state == AGENT_CONN_OPEN;
    bound(c, "held of what an agent sent for one connection", f->held.bytes,
          (uint64_t)config->connection_bytes_max + f->agent->call.window);
    bound(c, "waits to go to an agent on one connection", f->out.segs.bytes,
          f->agent->home->bw->budget + (uint64_t)BUF_HUGE_BYTES);
    /* And a little more for the end of one whose words nobody wants. */
    bound(c, "credit of a near half", f->credit, f->agent->home->bw->budget + 4096u);
    if (!f->near && (f->held.bytes > 0 || f->out.segs.bytes > 0))
        sim_violation(&c->ledger, 0, "a far half without a near one holds bytes");
}

static void walk_agent(struct sim_case *c, const struct agent_call *a, struct agents_found *sum)
{
    struct agents_found found = {0};
    list_each_safe(node, tmp, (struct list *)&a->conns)
        walk_far_half(c, list_entry(node, struct agent_conn, node), &found);
    same(c, "connections of an agent", a->conn_count, found.conns);
    same(c, "dials of an agent", a->pending, found.pending);
    bound(c, "dials of an agent", a->pending, (agent_config(a)->pending_dials_max + 1) / 2);
    bound(c, "window of an agent", a->call.window, AGENT_WINDOW_MAX);
    bound(c, "kept from the window of an agent", a->call.owed, a->call.window);
    sum->conns += found.conns;
    sum->pending += found.pending;
    sum->waiting += found.waiting;
    sum->established += found.established;
    sum->serving += a->state == AGENT_CALL_SERVING;
}

static void walk_home(struct sim_case *c, const struct agent_home *home, struct agents_found *sum)
{
    struct agents_found found = {0};
    const struct konnectivity_stats *stats = &home->bw->stats;
    list_each_safe(node, tmp, (struct list *)&home->agents)
        walk_agent(c, list_entry(node, struct agent_call, node), &found);
    same(c, "far halves of a home", home->conns.used, found.conns);
    same(c, "pending_backend_dials", stats->gauges[STATS_PENDING_DIALS], found.waiting);
    same(c, "established_connections", stats->gauges[STATS_ESTABLISHED], found.established);
    same(c, "grpc_connections of agents", stats->gauges[STATS_CONNECT_STREAMS], found.serving);
    sum->pending += found.pending;
    sum->serving += found.serving;
}

/* What a card says of its load is what the workers' near halves chose; false: not all workers know the card,
 * or it is leaving. */
static bool walk_card(const struct broker *b, const struct agent_card *card, uint64_t *ret_halves)
{
    uint64_t halves = 0;
    for (unsigned i = 0; i < b->count; i++) {
        const struct agent_seen *seen = agents_index_find(&b->states[i].agents->index, card);
        if (!seen)
            return false;
        halves += seen->halves;
    }
    *ret_halves = halves;
    return true;
}

static void walk_cards(struct sim_case *c, const struct broker *b)
{
    const struct agents *first = b->states[0].agents;
    uint64_t halves;
    for (uint32_t i = 0; first && i < first->index.all.count; i++) {
        const struct agent_card *card = first->index.all.members[i]->card;
        if (walk_card(b, card, &halves))
            same(c, "near halves that chose an agent", card->load, halves);
    }
}

void sim_walk_calls(struct sim_case *c, const struct broker *b)
{
    struct agents_found sum = {0};
    for (unsigned i = 0; i < b->count; i++) {
        const struct broker_worker *bw = &b->states[i];
        walk_connections(c, bw, &bw->fronts, false);
        walk_connections(c, bw, &bw->agent_fronts, true);
        if (bw->agent_home)
            walk_home(c, bw->agent_home, &sum);
    }
    walk_cards(c, b);
    same(c, "dials that no agent has answered", atomic_load(&b->agent_dials), sum.pending);
    bound(c, "dials that no agent has answered", sum.pending, b->config->agents.pending_dials_max);
}

/* -- when all have left ------------------------------------------------------------------------------------
 */

void sim_walk_nothing_left(struct sim_case *c, const struct broker *b)
{
    same(c, "dials that no agent has answered, after all have left", atomic_load(&b->agent_dials), 0);
    for (unsigned i = 0; i < b->count; i++) {
        const struct broker_worker *bw = &b->states[i];
        const struct slab *slabs[] = {
            &bw->conns,     &bw->http2_fronts, &bw->http2_streams, &bw->proxy_streams, &bw->proxy_tunnels,
            &bw->exchanges, &bw->egresses,     &bw->seg_nodes,     &bw->agent_nears,   &bw->texts};
        for (size_t k = 0; k < ARRAY_SIZE(slabs); k++)
            if (slabs[k]->used > 0)
                sim_violation(&c->ledger, 0, "worker %u has %" PRIu32 " %s left", i, slabs[k]->used,
                              slabs[k]->name);
        for (unsigned gauge = 0; gauge < STATS_GAUGE_COUNT; gauge++)
            same(c, "a gauge of Konnectivity's, after all have left", bw->stats.gauges[gauge], 0);
        if (bw->agent_home && bw->agent_home->calls.used + bw->agent_home->conns.used > 0)
            sim_violation(&c->ledger, 0, "worker %u has %" PRIu32 " agents and %" PRIu32 " far halves left",
                          i, bw->agent_home->calls.used, bw->agent_home->conns.used);
        if (bw->agents && bw->agents->index.all.count + bw->agents->leaving > 0)
            sim_violation(&c->ledger, 0, "worker %u knows %" PRIu32 " agents, and %" PRIu32 " that have left",
                          i, bw->agents->index.all.count, bw->agents->leaving);
    }
}
