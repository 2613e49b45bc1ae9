/* test/sim/sim_peer.c — see sim_peer.h. */
#include "sim_peer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_MAX = 4096 };

static struct sim_net *net_of(const struct sim_peer *p)
{
    return p->book->net;
}

static struct sim_end *end_of(const struct sim_peer *p)
{
    return sim_end_find(p->book, p->end);
}

static void after(struct sim_peer *p, struct sim_event *e, uint64_t ns)
{
    sim_event_at(net_of(p), e, sim_now_ns(net_of(p)) + ns);
}

/* -- endings ------------------------------------------------------------------------------------------------
 */

static void quiet(struct sim_peer *p)
{
    sim_event_cancel(net_of(p), &p->begin);
    sim_event_cancel(net_of(p), &p->pause);
    sim_event_cancel(net_of(p), &p->rest);
    sim_event_cancel(net_of(p), &p->life);
}

static void be_over(struct sim_peer *p)
{
    quiet(p);
    p->channel = NULL;
    end_of(p)->peer = NULL;
    p->over(p);
}

void sim_peer_break(struct sim_peer *p)
{
    struct sim_end *e = end_of(p);
    if (p->channel->resets_by_end)
        e->ended = true;
    else
        e->broke = true;
    e->broke_ns = sim_now_ns(net_of(p));
    sim_trace(net_of(p), "end broke", e->id, e->said, e->heard);
    p->channel->ops->reset(p->channel);
    be_over(p);
}

static bool shall_break(const struct sim_end *e)
{
    return e->said + e->heard >= e->script.breaks_at;
}

/* -- saying -------------------------------------------------------------------------------------------------
 */

static void fill(const struct sim_end *e, uint8_t *bytes, uint32_t len)
{
    if (e->script.echo && e->said < SIM_PREAMBLE)
        memcpy(bytes, e->preamble + e->said, len);
    else
        sim_tunnel_fill(e->script.echo ? e->speaker : e->id, e->said, bytes, len);
}

/* How much may be said now, at once. */
static uint32_t piece(const struct sim_end *e)
{
    const struct sim_script *s = &e->script;
    uint64_t left = (s->echo ? e->heard : s->len) - e->said;
    if (s->waits && e->heard == 0 && !e->end_heard)
        return 0;
    if (s->echo && e->said < SIM_PREAMBLE && left > SIM_PREAMBLE - e->said)
        left = SIM_PREAMBLE - e->said;
    uint32_t most = s->piece_max < PIECE_MAX ? s->piece_max : PIECE_MAX;
    return left < most ? (uint32_t)left : most;
}

static void say(struct sim_peer *p)
{
    uint8_t bytes[PIECE_MAX];
    struct sim_end *e = end_of(p);
    uint32_t n;
    while (p->begun && !p->pausing && !e->ended && !shall_break(e) && (n = piece(e)) > 0) {
        fill(e, bytes, n);
        size_t taken = p->channel->ops->write(p->channel, bytes, n);
        e->said += taken;
        if (taken < n)
            return;
        if (sim_chance(net_of(p), e->script.pauses)) {
            p->pausing = true;
            after(p, &p->pause, sim_between(net_of(p), 0, e->script.pause_max_ns));
        }
    }
}

static bool has_said_all(const struct sim_peer *p)
{
    const struct sim_end *e = end_of(p);
    if (!p->begun)
        return false;
    return e->script.echo ? e->end_heard && e->said == e->heard : e->said == e->script.len;
}

/* Goes on with whatever can be done; it may be over afterwards. */
static void work(struct sim_peer *p)
{
    say(p);
    struct sim_end *e = end_of(p);
    if (shall_break(e)) {
        sim_peer_break(p);
        return;
    }
    bool heard_out = e->end_heard || (!e->script.ends_last && e->heard >= e->script.ends_after);
    if (!e->ended && has_said_all(p) && heard_out) {
        e->ended = true;
        sim_trace(net_of(p), "ends", e->id, e->said, e->heard);
        p->channel->ops->finish(p->channel);
    }
    if (e->ended && e->end_heard) {
        p->channel->ops->close(p->channel);
        be_over(p);
    }
}

/* -- hearing ------------------------------------------------------------------------------------------------
 */

static void maybe_stop(struct sim_peer *p)
{
    const struct sim_end *e = end_of(p);
    if (p->stopped || e->script.stop_ns == 0 || e->heard < e->script.stops_at)
        return;
    p->stopped = true;
    sim_trace(net_of(p), "end stops", e->id, e->heard, e->script.stop_ns);
    p->channel->ops->pause(p->channel, true);
    if (e->script.stop_ns != UINT64_MAX)
        after(p, &p->rest, e->script.stop_ns);
}

void sim_peer_input(struct sim_peer *p, const uint8_t *bytes, size_t len)
{
    sim_tunnel_hear(p->book, p->end, bytes, len);
    maybe_stop(p);
}

void sim_peer_input_end(struct sim_peer *p)
{
    sim_tunnel_hear_end(p->book, p->end);
}

static void on_input(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    sim_peer_input(c->owner, bytes, len);
    work(c->owner);
}

static void on_writable(struct sim_channel *c)
{
    work(c->owner);
}

static void on_ended(struct sim_channel *c)
{
    sim_peer_input_end(c->owner);
    work(c->owner);
}

static void on_gone(struct sim_channel *c)
{
    struct sim_peer *p = c->owner;
    struct sim_end *e = end_of(p);
    e->lost = true;
    sim_trace(net_of(p), "end lost", e->id, e->said, e->heard);
    be_over(p);
}

static const struct sim_channel_events channel_events = {on_input, on_writable, on_ended, on_gone};

/* -- events -------------------------------------------------------------------------------------------------
 */

static void on_begin(struct sim_event *ev)
{
    struct sim_peer *p = container_of(ev, struct sim_peer, begin);
    p->begun = true;
    work(p);
}

static void on_pause(struct sim_event *ev)
{
    struct sim_peer *p = container_of(ev, struct sim_peer, pause);
    p->pausing = false;
    work(p);
}

static void on_rest(struct sim_event *ev)
{
    struct sim_peer *p = container_of(ev, struct sim_peer, rest);
    p->channel->ops->pause(p->channel, false); /* may read on at once, up to the end */
}

static void on_life(struct sim_event *ev)
{
    sim_peer_break(container_of(ev, struct sim_peer, life));
}

struct sim_peer *sim_peer_new(const struct sim_peer_options *o)
{
    struct sim_peer *p = calloc(1, sizeof(*p));
    ASSERT(p != NULL);
    *p = (struct sim_peer){.book = o->book,
                           .channel = o->channel,
                           .end = o->end,
                           .before_out = o->before_out,
                           .before_in = o->before_in,
                           .since_ns = sim_now_ns(o->book->net),
                           .begin.fire = on_begin,
                           .pause.fire = on_pause,
                           .rest.fire = on_rest,
                           .life.fire = on_life,
                           .owner = o->owner,
                           .over = o->over};
    list_init(&p->node);
    struct sim_end *e = end_of(p);
    e->peer = p;
    p->channel->owner = p;
    p->channel->events = &channel_events;
    after(p, &p->begin, e->script.delay_ns);
    if (e->script.life_ns != UINT64_MAX)
        after(p, &p->life, e->script.life_ns);
    return p;
}

void sim_peer_free(struct sim_peer **pp)
{
    struct sim_peer *p = *pp;
    *pp = NULL;
    ASSERT(p->channel == NULL);
    list_remove(&p->node);
    free(p);
}

/* -- checks at every step -----------------------------------------------------------------------------------
 */

void sim_peer_check_held(const struct sim_peer *p, uint32_t held_max)
{
    struct sim_traffic near_seen, far_seen;
    const struct sim_end *o = sim_end_find(p->book, end_of(p)->other);
    const struct sim_peer *far = o ? o->peer : NULL;
    if (!far || !p->channel->ops->traffic(p->channel, &near_seen) ||
        !far->channel->ops->traffic(far->channel, &far_seen) || near_seen.silenced || far_seen.silenced)
        return;
    int64_t there = (int64_t)(near_seen.taken - p->before_out) - (int64_t)(far_seen.offered - far->before_in);
    int64_t back = (int64_t)(far_seen.taken - far->before_out) - (int64_t)(near_seen.offered - p->before_in);
    if (there > held_max || back > held_max)
        sim_tunnel_violation(p->book, end_of(p)->tunnel,
                             "%" PRId64 " and %" PRId64 " bytes are between its ends", there, back);
}

void sim_peer_check_told(const struct sim_peer *p, uint64_t told_ns)
{
    const struct sim_end *e = end_of(p), *o = sim_end_find(p->book, e->other);
    const struct sim_tunnel *x = sim_tunnel_find(p->book, e->tunnel);
    if (!o || !o->broke || (o->ended && e->ended)) /* where both have ended, nothing is left to break */
        return;
    if (o->ended && p->stopped) /* what it has not read tells */
        return;
    if (x && x->by_agent && (!p->book->calm || e->end_heard || p->stopped))
        return;
    uint64_t since_ns = o->broke_ns > p->since_ns ? o->broke_ns : p->since_ns;
    uint64_t clear_ns = p->channel->ops->clear_since ? p->channel->ops->clear_since(p->channel) : 0;
    if (clear_ns == UINT64_MAX)
        return;
    if (sim_now_ns(net_of(p)) > (since_ns > clear_ns ? since_ns : clear_ns) + told_ns)
        sim_tunnel_violation(p->book, e->tunnel, "end %" PRIu32 " was not told that the other end broke off",
                             e->id);
}
